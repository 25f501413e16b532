//! A Lua state that loads and runs scripts, one at a time.
//!
//! Making one takes a millisecond and 100 KiB, so an engine has one for scripts and one for
//! functions, each made when it is first needed. A run costs 1.2 us beside what the script does.
//! The memory limit holds for the whole state; what goes beyond it is an error of the script.
//!
//! Rules: a state moves between threads but is used by one at a time. However a run ends, the next
//! one finds the state as it was: globals cannot be set, and the hook is set back. Neighbours:
//! `sandbox` builds the state, `ask` carries what a script wants.

use std::sync::Arc;

use bstr::BStr;
use mlua::chunk::ChunkMode;
use mlua::{Error, Function, HookTriggers, Lua, Table, Value, VmState};
use pannier_lock::Mutex;
use pannier_resp::Reply;

use crate::api::{self, Line};
use crate::ask::{Ask, Versions, answering, ask};
use crate::convert::to_reply;
use crate::failure::{Failure, Raised, is_counted, raised};
use crate::library::{self, Desk, FunctionRow, Registration};
use crate::sandbox::{Sandbox, explain};

/// The hook runs after so many instructions of the interpreter: about a millisecond.
pub const HOOK_INSTRUCTIONS: u32 = 100_000;

/// Name of the chunks of libraries.
const FUNCTION_CHUNK: &str = "@user_function";

/// More arguments than this are handed over as tables, because Lua's stack is limited.
const PASSED_MAX: usize = 64;

/// A compiled script, in the Lua state that compiled it.
#[derive(Clone)]
pub struct Script(Function);

/// See the module's header.
pub struct Machine {
    sandbox: Sandbox,
    line: Line,
    desk: Desk,
    ended: Ended,
    eval: Function,
    eval_tables: Function,
    call: Function,
    load_library: Function,
    loaded: Function,
    /// Name of the chunks, as errors say it.
    chunk: &'static str,
}

impl Machine {
    /// For scripts that EVAL runs. `memory_max` bounds what they hold in bytes.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn scripts(versions: &Versions, memory_max: usize) -> Result<Self, Failure> {
        Self::new(versions, memory_max, "@user_script").map_err(|error| failed(&error))
    }

    /// For libraries of functions.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn functions(versions: &Versions, memory_max: usize) -> Result<Self, Failure> {
        Self::new(versions, memory_max, FUNCTION_CHUNK).map_err(|error| failed(&error))
    }

    fn new(versions: &Versions, memory_max: usize, chunk: &'static str) -> mlua::Result<Self> {
        let line = api::new_line();
        let desk: Desk = Arc::new(Mutex::new(None));
        let sandbox = Sandbox::new(|lua| {
            let running = api::whole(lua, &line, versions)?;
            if chunk != FUNCTION_CHUNK {
                return Ok((running, lua.create_table()?));
            }
            api::without_old(&running)?;
            let loading = api::common(lua, versions)?;
            library::api(lua, &loading, &desk)?;
            Ok((running, loading))
        })?;
        let entry = |name| sandbox.entry(name);
        let machine = Self {
            eval: entry("eval")?,
            eval_tables: entry("eval_tables")?,
            call: entry("call")?,
            load_library: entry("load_library")?,
            loaded: entry("loaded")?,
            line,
            desk,
            ended: Arc::default(),
            chunk,
            sandbox,
        };
        hook(&machine.sandbox.lua, HOOK_INSTRUCTIONS, &machine.ended)?;
        machine.sandbox.lua.set_memory_limit(memory_max)?;
        Ok(machine)
    }

    /// Bytes that Lua holds.
    pub fn used_memory(&self) -> usize {
        self.sandbox.lua.used_memory()
    }

    /// Compiles a script.
    ///
    /// # Errors
    /// What is wrong with its text, behind the place.
    pub fn compile(&self, text: &[u8]) -> Result<Script, Vec<u8>> {
        let chunk = self.sandbox.lua.load(text).set_name(self.chunk).set_mode(ChunkMode::Text);
        chunk.into_function().map(Script).map_err(|error| explain(&error))
    }

    /// Runs a script of EVAL and writes its reply.
    ///
    /// # Errors
    /// Why it did not end well; nothing is written then.
    pub fn eval(
        &self,
        script: &Script,
        (keys, args): (&[&[u8]], &[&[u8]]),
        answer: &mut dyn FnMut(&mut Ask),
        reply: &mut Reply,
    ) -> Result<(), Failure> {
        let run = || {
            if keys.len() + args.len() > PASSED_MAX {
                let lua = &self.sandbox.lua;
                let names = list(lua, keys)?;
                return self.eval_tables.call((&script.0, names, list(lua, args)?));
            }
            let words = keys.iter().chain(args).map(|word| BStr::new(*word));
            self.eval.call((&script.0, keys.len(), mlua::Variadic::from_iter(words)))
        };
        self.run(run, answer, reply)
    }

    /// Runs a function of a library and writes its reply.
    ///
    /// # Errors
    /// Why it did not end well; nothing is written then.
    pub fn call(
        &self,
        function: &FunctionRow,
        (keys, args): (&[&[u8]], &[&[u8]]),
        answer: &mut dyn FnMut(&mut Ask),
        reply: &mut Reply,
    ) -> Result<(), Failure> {
        let run = || {
            let lua = &self.sandbox.lua;
            self.call.call((&function.body, list(lua, keys)?, list(lua, args)?))
        };
        self.run(run, answer, reply)
    }

    /// Loads a library: runs its text, which registers its functions.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(
        &self,
        text: &[u8],
        answer: &mut dyn FnMut(&mut Ask),
    ) -> Result<Registration, Failure> {
        let script = self.compile(text).map_err(|text| {
            Failure::new([b"ERR Error compiling function: ", &text[..]].concat())
        })?;
        *self.desk.lock() = Some(Registration::default());
        let run = || self.load_library.call::<(bool, Value)>(&script.0);
        let outcome = self.until_end(run, answer);
        let restored = self.loaded.call::<()>(()).map_err(|error| failed(&error));
        let registration = self.desk.lock().take().unwrap_or_default();
        outcome.map_err(|failure| {
            let text = [b"ERR Error registering functions: ", &failure.message[..]].concat();
            Failure::new(text)
        })?;
        restored?;
        registration.check()?;
        Ok(registration)
    }

    fn run(
        &self,
        run: impl FnOnce() -> mlua::Result<(bool, Value)>,
        answer: &mut dyn FnMut(&mut Ask),
        reply: &mut Reply,
    ) -> Result<(), Failure> {
        api::reset(&self.line);
        let value = self.until_end(run, answer)?;
        if let Some(failure) = returned(&value) {
            return Err(failure);
        }
        let mark = reply.mark();
        to_reply(&value, reply, api::chosen(&self.line)).map_err(|error| {
            reply.cut(mark);
            failed(&error)
        })
    }
}

impl Machine {
    /// Runs something to its end; what it returned.
    fn until_end(
        &self,
        run: impl FnOnce() -> mlua::Result<(bool, Value)>,
        answer: &mut dyn FnMut(&mut Ask),
    ) -> Result<Value, Failure> {
        let outcome = answering(answer, run);
        if let Some(failure) = self.ended.lock().take() {
            hook(&self.sandbox.lua, HOOK_INSTRUCTIONS, &self.ended)
                .map_err(|error| failed(&error))?;
            return Err(failure);
        }
        match outcome.map_err(|error| failed(&error))? {
            (true, value) => Ok(value),
            (false, value) => Err(failure(&value)),
        }
    }
}

fn list(lua: &Lua, words: &[&[u8]]) -> mlua::Result<Table> {
    lua.create_sequence_from(words.iter().map(|word| BStr::new(*word)))
}

/// How a run was ended from outside, if it was.
type Ended = Arc<Mutex<Option<Failure>>>;

/// Asks now and then whether the script may go on. Once it may not, the hook ends it before every
/// instruction, so that a script that catches the error comes no further than the next one.
fn hook(lua: &Lua, instructions: u32, ended: &Ended) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(instructions);
    let ended = Arc::clone(ended);
    lua.set_global_hook(triggers, move |lua, frame| {
        let held = ended.lock().clone();
        let failure = match held {
            Some(failure) => failure,
            None => {
                let mut question = Ask::Continue(None);
                ask(&mut question);
                let Ask::Continue(Some(interrupt)) = question else {
                    return Ok(VmState::Continue);
                };
                let source = frame.source().source.filter(|source| source.starts_with('@'));
                let line = frame.current_line().map(|line| line as i64);
                let place = source.map(std::borrow::Cow::into_owned).zip(line);
                let message = format!("ERR {}", interrupt.text()).into_bytes();
                let failure = Failure { message, place, counted: false };
                *ended.lock() = Some(failure.clone());
                hook(lua, 1, &ended)?;
                failure
            }
        };
        Err(Error::external(Raised::Reply(failure.message, false)))
    })
}

/// What a run ended with that was an error.
fn failure(value: &Value) -> Failure {
    let read = || -> mlua::Result<Failure> {
        let Value::Table(table) = value else {
            let text = value.to_string()?;
            return Ok(Failure::new(format!("ERR {text}")));
        };
        let message: mlua::LuaString = table.raw_get("err")?;
        let source: Option<String> = table.raw_get("source")?;
        let line: Option<i64> = table.raw_get("line")?;
        let counted: Option<bool> = table.raw_get("counted")?;
        Ok(Failure {
            message: message.as_bytes().to_vec(),
            place: source.zip(line),
            counted: counted.unwrap_or(false),
        })
    };
    read().unwrap_or_else(|error| failed(&error))
}

/// The error that a run returned as its reply; one that is not UTF-8 stays a value, which keeps its
/// bytes.
fn returned(value: &Value) -> Option<Failure> {
    let Value::Table(table) = value else { return None };
    let Ok(Value::String(text)) = table.raw_get("err") else { return None };
    let message = text.to_str().ok()?.as_bytes().to_vec();
    Some(Failure { message, place: None, counted: is_counted(table) })
}

/// An error that no script could catch.
fn failed(error: &Error) -> Failure {
    match raised(error) {
        Raised::Reply(text, counted) => Failure { counted, ..Failure::new(text) },
        Raised::Text(_) => Failure::new([b"ERR ", &explain(error)[..]].concat()),
    }
}
