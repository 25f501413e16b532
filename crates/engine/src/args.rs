//! Reading arguments: numbers, option words, expiry options.
//!
//! Handlers take their arguments apart with these, so that every command refuses the same mistake
//! with the same words. Nothing here copies an argument. Neighbours: `pannier_resp` cuts the
//! arguments out of the buffer; `error` holds the texts.

use pannier_resp::{Args, parse_i64};
use pannier_store::Now;

use crate::error::Error;

/// A 64-bit integer.
pub(crate) fn integer(bytes: &[u8]) -> Result<i64, Error> {
    parse_i64(bytes).ok_or(Error::NOT_INTEGER)
}

/// The index of an existing database.
pub(crate) fn database(bytes: &[u8], databases: usize) -> Result<usize, Error> {
    let index = integer(bytes)?;
    if i32::try_from(index).is_err() {
        return Err(Error::NOT_32_BIT);
    }
    usize::try_from(index).ok().filter(|index| *index < databases).ok_or(Error::DB_OUT_OF_RANGE)
}

/// Whether an argument is this word, in any case.
pub(crate) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// How an option states a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// EX: seconds from now.
    Seconds,
    /// PX: milliseconds from now.
    Milliseconds,
    /// EXAT: seconds since the epoch.
    UnixSeconds,
    /// PXAT: milliseconds since the epoch.
    UnixMilliseconds,
}

impl Unit {
    /// The unit that an option word stands for.
    pub(crate) fn of(argument: &[u8]) -> Option<Self> {
        const WORDS: [(&str, Unit); 4] = [
            ("EX", Unit::Seconds),
            ("PX", Unit::Milliseconds),
            ("EXAT", Unit::UnixSeconds),
            ("PXAT", Unit::UnixMilliseconds),
        ];
        WORDS.iter().find(|(word, _)| is(argument, word)).map(|(_, unit)| *unit)
    }

    const fn is_seconds(self) -> bool {
        matches!(self, Self::Seconds | Self::UnixSeconds)
    }

    const fn is_relative(self) -> bool {
        matches!(self, Self::Seconds | Self::Milliseconds)
    }

    /// The deadline in Unix milliseconds for a value that must be positive (SET EX and its like).
    pub(crate) fn deadline(self, bytes: &[u8], now: Now, command: &str) -> Result<u64, Error> {
        let value = integer(bytes)?;
        let invalid = || Error::invalid_expire(command);
        if value <= 0 {
            return Err(invalid());
        }
        self.deadline_of(value, now).and_then(|at| u64::try_from(at).ok()).ok_or_else(invalid)
    }

    /// The deadline in Unix milliseconds, which may lie in the past; `None` on overflow.
    pub(crate) fn deadline_of(self, value: i64, now: Now) -> Option<i64> {
        let ms = if self.is_seconds() { value.checked_mul(1000)? } else { value };
        if self.is_relative() { ms.checked_add(now.unix_ms() as i64) } else { Some(ms) }
    }
}

/// Walks over options: each step sees the words that are left.
pub(crate) struct Options<'a> {
    args: Args<'a>,
    at: usize,
}

impl<'a> Options<'a> {
    /// Options from an argument on.
    pub(crate) fn new(args: Args<'a>, at: usize) -> Self {
        Self { args, at }
    }

    /// The next word, if any.
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let word = (self.at < self.args.len()).then(|| self.args.get(self.at));
        self.at += usize::from(word.is_some());
        word
    }

    /// The value that must follow.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], Error> {
        self.next().ok_or(Error::SYNTAX)
    }

    /// The next word, without taking it.
    pub(crate) fn peek(&self) -> Option<&'a [u8]> {
        (self.at < self.args.len()).then(|| self.args.get(self.at))
    }

    /// How many words are left.
    pub(crate) fn left(&self) -> usize {
        self.args.len() - self.at
    }

    /// Whether a value follows.
    pub(crate) fn has_value(&self) -> bool {
        self.at < self.args.len()
    }
}
