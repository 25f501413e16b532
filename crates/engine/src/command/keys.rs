//! Key specifications: where a command's keys stand, and what it does to them.
//!
//! One specification serves the locks, COMMAND INFO, COMMAND GETKEYS and (later) ACL. The notation
//! is Redis 7's: where to begin (an index, or after a keyword), how to go on from there (a range,
//! or a count that precedes the keys), and the access.

use pannier_resp::{Args, parse_i64};

use super::row::Command;

/// Where the keys of one specification begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// After this keyword, searched from an argument on (negative: from the end, backwards).
    Keyword(&'static str, i32),
    /// After the word STREAMS of XREAD and XREADGROUP, which is found as their options are read: a
    /// group may have that name. COMMAND INFO shows a keyword, searched from this argument on.
    Streams(i32),
    /// Where no specification can say.
    Unknown,
}

/// How the keys go on from where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` counted from the beginning (negative: from the end of the arguments), each
    /// `step` further; `limit` > 1 takes only the first part of what is left.
    Range {
        /// Last key, relative to the first.
        last: i32,
        /// Distance between keys.
        step: i32,
        /// Divisor of what remains, 0 or 1 for all.
        limit: i32,
    },
    /// The argument at `count` (relative to the beginning) says how many keys follow at `first`.
    Count {
        /// Where the number stands.
        count: usize,
        /// Where the first key stands.
        first: usize,
        /// Distance between keys.
        step: usize,
    },
}

/// What a command does to the keys of a specification, a bit set of [`access`].
pub type Access = u32;

/// The access bits and their names.
pub mod access {
    use super::Access;

    /// Reads the value or its metadata.
    pub const RO: Access = 1;
    /// Reads and writes.
    pub const RW: Access = 1 << 1;
    /// Overwrites without reading.
    pub const OW: Access = 1 << 2;
    /// Removes.
    pub const RM: Access = 1 << 3;
    /// Returns, copies or uses the content.
    pub const ACCESS: Access = 1 << 4;
    /// Changes the content.
    pub const UPDATE: Access = 1 << 5;
    /// Adds content.
    pub const INSERT: Access = 1 << 6;
    /// Removes content.
    pub const DELETE: Access = 1 << 7;
    /// Not really a key.
    pub const NOT_KEY: Access = 1 << 8;
    /// The specification may miss keys.
    pub const INCOMPLETE: Access = 1 << 9;
    /// The access depends on the arguments.
    pub const VARIABLE: Access = 1 << 10;

    /// Names in the order in which COMMAND prints them.
    pub const NAMES: &[(Access, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE, "variable_flags"),
    ];
}

/// One specification.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// How to go on.
    pub find: Find,
    /// What is done to these keys.
    pub access: Access,
    /// A remark, as COMMAND INFO shows it.
    pub notes: &'static str,
}

impl KeySpec {
    /// One key at an index.
    pub const fn one(at: usize, access: Access) -> Self {
        Self::range(at, 0, 1, access)
    }

    /// The index of the key, when it is always one at an index.
    pub const fn lone(&self) -> Option<usize> {
        match (self.begin, self.find) {
            (Begin::Index(at), Find::Range { last: 0, .. }) => Some(at),
            _ => None,
        }
    }

    /// Keys from `at` to `last` (relative; negative from the end), each `step` further.
    pub const fn range(at: usize, last: i32, step: i32, access: Access) -> Self {
        let find = Find::Range { last, step, limit: 0 };
        Self { begin: Begin::Index(at), find, access, notes: "" }
    }

    /// Keys that no specification can find.
    pub const fn unknown(access: Access) -> Self {
        let find = Find::Range { last: 0, step: 1, limit: 0 };
        Self { begin: Begin::Unknown, find, access, notes: "" }
    }

    /// Keys counted by the argument at `at`.
    pub const fn counted(at: usize, step: usize, access: Access) -> Self {
        let find = Find::Count { count: 0, first: 1, step };
        Self { begin: Begin::Index(at), find, access, notes: "" }
    }

    /// The same with a remark.
    pub const fn noted(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }

    /// Calls `visit` with the position of each key; false when the arguments contradict the
    /// specification.
    #[inline]
    pub fn positions(&self, args: Args<'_>, mut visit: impl FnMut(usize)) -> bool {
        let argc = args.len();
        let Some(start) = self.start(args) else { return false };
        match self.find {
            Find::Range { last, step, limit } => {
                let last = match last {
                    0.. => start + last as usize,
                    -1 if limit > 1 => start + ((argc - start) / limit as usize).max(1) - 1,
                    _ => match argc.checked_sub(last.unsigned_abs() as usize) {
                        Some(last) => last,
                        None => return false,
                    },
                };
                if start >= argc || last >= argc {
                    return false;
                }
                (start..=last).step_by(step.max(1) as usize).for_each(&mut visit);
                last >= start
            }
            Find::Count { count, first, step } => {
                let Some(n) = args.iter().nth(start + count).and_then(parse_i64) else {
                    return false;
                };
                let Ok(n) = usize::try_from(n) else { return false };
                let first = start + first;
                let room = argc.saturating_sub(first);
                let fits = n > 0 && n.checked_mul(step).is_some_and(|all| all <= room);
                if fits {
                    (0..n).for_each(|i| visit(first + i * step));
                }
                fits
            }
        }
    }

    fn start(&self, args: Args<'_>) -> Option<usize> {
        match self.begin {
            Begin::Unknown => None,
            Begin::Index(at) => (at < args.len()).then_some(at),
            Begin::Keyword(word, from) => {
                let is_word = |at: &usize| args.get(*at).eq_ignore_ascii_case(word.as_bytes());
                let found = if from >= 0 {
                    (from as usize..args.len()).find(is_word)
                } else {
                    let end = args.len().checked_sub(from.unsigned_abs() as usize)?;
                    (1..=end).rev().find(is_word)
                };
                found.map(|at| at + 1).filter(|at| *at < args.len())
            }
            Begin::Streams(_) => streams(args),
        }
    }
}

/// Where the first key of XREAD or XREADGROUP stands.
fn streams(args: Args<'_>) -> Option<usize> {
    let mut at = 1;
    while at + 1 < args.len() {
        let word = args.get(at);
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("STREAMS") {
            return Some(at + 1);
        }
        at += match () {
            () if is("GROUP") => 3,
            () if is("COUNT") || is("BLOCK") => 2,
            () => 1,
        };
    }
    None
}

impl Command {
    /// First key, last key and step as COMMAND prints them; zeros when keys are movable.
    pub fn key_range(&self) -> (i32, i32, i32) {
        let (mut first, mut last, mut step) = (0i32, 0i32, 0i32);
        for spec in self.keys {
            let (Begin::Index(at), Find::Range { last: to, step: by, limit: 0 | 1 }) =
                (spec.begin, spec.find)
            else {
                continue;
            };
            let to = if to >= 0 { at as i32 + to } else { to };
            if first == 0 || (at as i32) < first {
                first = at as i32;
            }
            if step == 0 {
                (last, step) = (to, by);
            } else {
                last = if to < 0 || last < 0 { last.min(to) } else { last.max(to) };
                step = step.max(1);
            }
        }
        (first, last, step)
    }
}
