//! Scripts by the SHA-1 of their text, compiled.
//!
//! What SCRIPT LOAD put here stays until SCRIPT FLUSH. What only EVAL brought is likely never run
//! again (texts with values pasted in), so of those the least recently run goes when there are
//! [`EVAL_MAX`]. Their order is a queue of names with the number of the use that queued them; an
//! entry whose number is no longer its script's latest is stale and skipped.

use std::collections::{HashMap, VecDeque};

use sha1::{Digest, Sha1};

use crate::machine::Script;
use crate::shebang::Flags;

/// Scripts that only EVAL brought.
pub const EVAL_MAX: usize = 500;
/// The queue is made anew when so many of its entries are stale.
const QUEUE_MAX: usize = EVAL_MAX * 8;

/// The SHA-1 of a text in lower case hexadecimal digits.
pub fn sha1_hex(text: &[u8]) -> Name {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut name = [0; 40];
    for (pair, byte) in name.chunks_exact_mut(2).zip(Sha1::digest(text)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    name
}

/// A script's name.
pub type Name = [u8; 40];

/// How a script came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By EVAL.
    Eval,
    /// By SCRIPT LOAD.
    Load,
}

/// A compiled script.
#[derive(Clone)]
pub struct Cached {
    /// Its function.
    pub script: Script,
    /// What its first line says.
    pub flags: Flags,
    /// Its text.
    pub text: Box<[u8]>,
    origin: Origin,
    /// The number of its latest run.
    used: u64,
}

/// See the module's header. A clone holds the same compiled scripts, in the same Lua state.
#[derive(Clone, Default)]
pub struct Cache {
    scripts: HashMap<Name, Cached>,
    queue: VecDeque<(u64, Name)>,
    evals: usize,
    uses: u64,
    text_bytes: usize,
    evicted: u64,
}

impl Cache {
    /// A script to be run; `name` in any case.
    pub fn run(&mut self, name: &[u8]) -> Option<&Cached> {
        let name = lower(name)?;
        self.uses += 1;
        let cached = self.scripts.get_mut(&name)?;
        if cached.origin == Origin::Eval {
            cached.used = self.uses;
            self.queue.push_back((self.uses, name));
            if self.queue.len() > QUEUE_MAX {
                let scripts = &self.scripts;
                self.queue.retain(|(used, name)| is_latest(scripts, *used, name));
            }
        }
        self.scripts.get(&name)
    }

    /// A script to be looked at; `name` in any case.
    pub fn look(&self, name: &[u8]) -> Option<&Cached> {
        self.scripts.get(&lower(name)?)
    }

    /// What EVAL brought is to stay from now on.
    pub fn keep(&mut self, name: &Name) {
        if let Some(cached) = self.scripts.get_mut(name)
            && cached.origin == Origin::Eval
        {
            cached.origin = Origin::Load;
            self.evals -= 1;
        }
    }

    /// Adds a script that is not there.
    pub fn add(
        &mut self,
        name: Name,
        text: &[u8],
        (script, flags): (Script, Flags),
        origin: Origin,
    ) {
        if origin == Origin::Eval {
            if self.evals >= EVAL_MAX {
                self.evict();
            }
            self.evals += 1;
            self.queue.push_back((self.uses, name));
        }
        self.text_bytes += text.len();
        let cached = Cached { script, flags, text: text.into(), origin, used: self.uses };
        self.scripts.insert(name, cached);
    }

    fn evict(&mut self) {
        while let Some((used, name)) = self.queue.pop_front() {
            if !is_latest(&self.scripts, used, &name) {
                continue;
            }
            if let Some(cached) = self.scripts.remove(&name) {
                self.text_bytes -= cached.text.len();
                self.evals -= 1;
                self.evicted += 1;
                return;
            }
        }
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Scripts that were evicted so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes beside those of Lua.
    pub fn bytes(&self) -> usize {
        const ENTRY: usize = size_of::<Name>() + size_of::<Cached>() + 16;
        self.text_bytes + self.scripts.len() * ENTRY
    }
}

fn is_latest(scripts: &HashMap<Name, Cached>, used: u64, name: &Name) -> bool {
    let held = scripts.get(name);
    held.is_some_and(|cached| cached.used == used && cached.origin == Origin::Eval)
}

fn lower(name: &[u8]) -> Option<Name> {
    let mut lower: Name = name.try_into().ok()?;
    lower.make_ascii_lowercase();
    Some(lower)
}
