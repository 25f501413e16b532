//! The libraries of functions: their texts, what they registered, and the Lua state they live in.
//!
//! A library is loaded as a whole or not at all: its text runs once, in half a second at most, and
//! registers functions; only when every name is found to be free does it take its place. RESTORE
//! does the same with many libraries on a copy of the shelf, so that one that does not fit leaves
//! everything as it was. Names of functions are one space for all libraries, in any case; those of
//! libraries are taken as they are.
//!
//! The lock is taken after the shards and before nothing. Whoever waits for it while a function
//! runs for too long gets the error BUSY instead, so that no thread is lost to a function that
//! must still be killed. FUNCTION STATS, which is answered then, reads what lies beside the lock.
//!
//! Neighbours: `scripts` knows what runs, `command::function` has the commands. Tests: the
//! transcripts `function-*` and `fcall*` of the group `scripting`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pannier_lock::{MappedMutexGuard, Mutex, MutexGuard};
use pannier_resp::{OwnedArgs, split_line};
use pannier_script::{Ask, FunctionRow, Interrupt, Machine, is_name};

use crate::engine::Engine;
use crate::error::Error;
use crate::scripts::{VERSIONS, memory_max};

/// How long a library's text may run.
const LOAD_MAX_US: u64 = 500_000;
/// What a library costs beside its text, roughly, and what a function does.
const LIBRARY_BYTES: usize = 200;
const FUNCTION_BYTES: usize = 150;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Functions {
    held: Mutex<Option<Held>>,
    /// The request that runs a function, or did last.
    pub(crate) caller: Mutex<OwnedArgs>,
    /// For INFO: bytes that Lua holds for functions, bytes beside that, libraries, functions.
    pub(crate) lua_bytes: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
    pub(crate) libraries: AtomicUsize,
    pub(crate) functions: AtomicUsize,
}

/// The Lua state with its libraries. A clone is cheap; the shelf is copied by the first change that
/// comes while a checkpoint holds it, too.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) machine: Arc<Machine>,
    pub(crate) shelf: Arc<Shelf>,
}

/// A library.
pub(crate) struct Library {
    pub(crate) name: Vec<u8>,
    /// Its text with the first line.
    pub(crate) text: Vec<u8>,
    pub(crate) functions: Vec<FunctionRow>,
}

/// The libraries, and whose each function is.
#[derive(Clone, Default)]
pub(crate) struct Shelf {
    pub(crate) libraries: BTreeMap<Vec<u8>, Arc<Library>>,
    /// By the name in lower case: the library and the function's index.
    names: HashMap<Vec<u8>, (Arc<Library>, usize)>,
}

/// What the first line of a library says.
struct Head {
    name: Vec<u8>,
    /// Where the rest begins.
    end: usize,
}

impl Functions {
    /// The Lua state with its libraries, made if there is none.
    ///
    /// # Errors
    /// The server is busy, or there is not enough memory.
    pub(crate) fn hold(&self, engine: &Engine) -> Result<MappedMutexGuard<'_, Held>, Error> {
        let mut held = engine.scripts.run.wait(&self.held)?;
        if held.is_none() {
            let machine = Machine::functions(&VERSIONS, memory_max(engine));
            let machine = machine.map_err(|failure| Error::script(&failure))?;
            self.lua_bytes.store(machine.used_memory(), Relaxed);
            *held = Some(Held { machine: Arc::new(machine), shelf: Arc::default() });
        }
        MutexGuard::try_map(held, Option::as_mut).map_err(|_| Error::new("ERR no Lua state"))
    }

    /// Throws everything away; dropping the result takes a while.
    ///
    /// # Errors
    /// The server is busy.
    pub(crate) fn flush(&self, engine: &Engine) -> Result<Option<Held>, Error> {
        let held = engine.scripts.run.wait(&self.held)?.take();
        for number in [&self.lua_bytes, &self.bytes, &self.libraries, &self.functions] {
            number.store(0, Relaxed);
        }
        Ok(held)
    }

    /// The libraries as they are, to be put back later.
    ///
    /// # Errors
    /// The server is busy.
    pub(crate) fn keep(&self, engine: &Engine) -> Result<Option<Held>, Error> {
        engine.scripts.run.wait(&self.held).map(|held| held.clone())
    }

    /// Puts kept libraries back. A Lua state that is younger stays, with no library in it.
    ///
    /// # Errors
    /// The server is busy.
    pub(crate) fn put_back(&self, engine: &Engine, kept: Option<&Held>) -> Result<(), Error> {
        let mut held = engine.scripts.run.wait(&self.held)?;
        match (&mut *held, kept) {
            (held, Some(kept)) => *held = Some(kept.clone()),
            (Some(younger), None) => younger.shelf = Arc::default(),
            (None, None) => {}
        }
        if let Some(held) = &*held {
            self.publish(held);
        }
        Ok(())
    }

    /// Takes down what INFO and FUNCTION STATS say.
    pub(crate) fn publish(&self, Held { machine, shelf }: &Held) {
        let libraries = shelf.libraries.values();
        let functions = libraries.clone().map(|library| library.functions.len()).sum::<usize>();
        let texts = libraries.map(|library| library.text.len() + LIBRARY_BYTES).sum::<usize>();
        self.lua_bytes.store(machine.used_memory(), Relaxed);
        self.bytes.store(texts + functions * FUNCTION_BYTES, Relaxed);
        self.libraries.store(shelf.libraries.len(), Relaxed);
        self.functions.store(functions, Relaxed);
    }
}

impl Shelf {
    /// The function of a name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&FunctionRow> {
        let (library, at) = self.names.get(&name.to_ascii_lowercase())?;
        library.functions.get(*at)
    }

    /// Places a library, instead of one of its name.
    ///
    /// # Errors
    /// One of its functions is called like one of another library; nothing has changed.
    pub(crate) fn put(&mut self, library: Arc<Library>) -> Result<(), Error> {
        for function in &library.functions {
            let taken = self.names.get(&function.name.to_ascii_lowercase());
            if taken.is_some_and(|(other, _)| other.name != library.name) {
                let name = String::from_utf8_lossy(&function.name);
                return Err(Error::text(format!("ERR Function {name} already exists")));
            }
        }
        self.remove(&library.name);
        for (at, function) in library.functions.iter().enumerate() {
            let place = (Arc::clone(&library), at);
            self.names.insert(function.name.to_ascii_lowercase(), place);
        }
        self.libraries.insert(library.name.clone(), library);
        Ok(())
    }

    /// Takes a library away; false when there is none of this name.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.libraries.remove(name) else { return false };
        for function in &library.functions {
            self.names.remove(&function.name.to_ascii_lowercase());
        }
        true
    }
}

impl Held {
    /// Loads a library of which `taken` says whether its name is free.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        text: &[u8],
        taken: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<Arc<Library>, Error> {
        let Head { name, end } = Head::read(text)?;
        taken(&name)?;
        let began_us = engine.host.mono_us();
        let mut answer = |question: &mut Ask| match question {
            Ask::Continue(verdict) => {
                let us = engine.host.mono_us().saturating_sub(began_us);
                *verdict = (us >= LOAD_MAX_US).then_some(Interrupt::TimedOut);
            }
            Ask::Log(level, text) => crate::exec::script::log(engine, *level, text),
            Ask::Call(call) => call.reply.error(NOT_WHILE_LOADING),
            Ask::MayRun(..) => {}
        };
        let loaded = self.machine.load(&text[end..], &mut answer);
        let loaded = loaded.map_err(|failure| Error::script(&failure))?;
        Ok(Arc::new(Library { name, text: text.to_vec(), functions: loaded.functions }))
    }
}

impl Head {
    fn read(text: &[u8]) -> Result<Self, Error> {
        let line = text.strip_prefix(b"#!").ok_or(Error::new("ERR Missing library metadata"))?;
        let invalid = Error::new("ERR Invalid library metadata");
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else { return Err(invalid) };
        // The words are split with the mark, so that a blank behind it makes an engine without a
        // name.
        let words = split_line(&text[..end + 2]).map_err(|_| invalid)?;
        let (first, options) = words.split_first().map_or((&[][..], &[][..]), |(first, rest)| {
            (first.strip_prefix(b"#!").unwrap_or_default(), rest)
        });
        let mut name: Option<&[u8]> = None;
        for option in options {
            match option.split_at_checked(b"name=".len()) {
                Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                    if name.replace(value).is_some() {
                        return Err(Error::new(
                            "ERR Invalid metadata value, name argument was given multiple times",
                        ));
                    }
                }
                _ => {
                    let option = String::from_utf8_lossy(option);
                    return Err(Error::text(format!("ERR Invalid metadata value given: {option}")));
                }
            }
        }
        let name = name.ok_or(Error::new("ERR Library name was not given"))?;
        if !is_name(name) {
            return Err(Error::new(
                "ERR Library names can only contain letters, numbers, or underscores(_) and must \
                 be at least one character long",
            ));
        }
        if !first.eq_ignore_ascii_case(b"lua") {
            let engine = String::from_utf8_lossy(first);
            return Err(Error::text(format!("ERR Engine '{engine}' not found")));
        }
        Ok(Self { name: name.to_vec(), end: end + 2 })
    }
}

const NOT_WHILE_LOADING: &str = "ERR a script can call the server only while it runs";
