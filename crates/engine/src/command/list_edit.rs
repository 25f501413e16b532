//! Lists: changes in the middle, and the search for an element.
//!
//! Elements are compared as they are packed, so an integer is found by its value and a string by
//! length and bytes, and nothing is decoded. Transcripts: `tests/transcripts/list`.

use std::num::NonZeroUsize;

use pannier_store::{End, List, ListRef, Piece, class};

use super::keys::{KeySpec, access};
use super::list::{limits, position, range};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[LINSERT, LSET, LREM, LTRIM, LPOS];

const LINSERT: Command = Command {
    name: "linsert",
    since: "2.2.0",
    group: Group::List,
    arity: 5,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key <BEFORE | AFTER> pivot element",
    summary: "Puts an element before or behind another one.",
    complexity: "O(N) with N the number of elements up to the other one",
    handler: linsert,
    ..Command::DEFAULT
};

const LSET: Command = Command {
    name: "lset",
    since: "1.0.0",
    group: Group::List,
    arity: 4,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key index element",
    summary: "Replaces the element of a list at a position.",
    complexity: "O(N) with N the number of nodes up to it from the nearer end",
    handler: lset,
    ..Command::DEFAULT
};

const LREM: Command = Command {
    name: "lrem",
    since: "1.0.0",
    group: Group::List,
    arity: 4,
    flags: flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key count element",
    summary: "Removes elements that equal one from a list: the first, the last, or all.",
    complexity: "O(N) with N the number of elements",
    handler: lrem,
    ..Command::DEFAULT
};

const LTRIM: Command = Command {
    name: "ltrim",
    since: "1.0.0",
    group: Group::List,
    arity: 4,
    flags: flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key start stop",
    summary: "Removes what does not lie between two positions.",
    complexity: "O(N) with N the number of elements removed",
    handler: ltrim,
    ..Command::DEFAULT
};

const LPOS: Command = Command {
    name: "lpos",
    since: "6.0.6",
    group: Group::List,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
    summary: "Tells at which positions of a list an element is.",
    complexity: "O(N) with N the number of elements looked at",
    handler: lpos,
    ..Command::DEFAULT
};

fn linsert(cx: &mut Context<'_>) -> Result<Done, Error> {
    let after = cx.is(2, "AFTER");
    if !after && !cx.is(2, "BEFORE") {
        return Err(Error::SYNTAX);
    }
    let (db, key, limits) = (cx.db(), cx.key(1), limits(cx));
    let (pivot, element) = (cx.arg(3), cx.arg(4));
    let dirty = cx.view.dirty();
    let len = cx.view.change::<List, _>(db, key, (&limits, false), |list| {
        let inserted = list.insert(pivot, element, after);
        if inserted { list.as_ref().len() as i64 } else { -1 }
    })?;
    cx.notify_since(dirty, class::LIST, "linsert", key);
    cx.int(len.unwrap_or(0))
}

fn lset(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, limits) = (cx.db(), cx.key(1), limits(cx));
    // Valkey takes the lower 32 bits of the index, here alone; Redis 7.0 refuses what is beyond.
    let (index, element) = (cx.integer(2).map(|index| i64::from(index as i32)), cx.arg(3));
    let set = cx.view.change::<List, _>(db, key, (&limits, false), |list| {
        index.map(|index| list.set(position(index, list.as_ref().len()), element))
    })?;
    match set.transpose()? {
        None => Err(Error::NO_SUCH_KEY),
        Some(false) => Err(Error::new("ERR index out of range")),
        Some(true) => {
            cx.notify(class::LIST, "lset", key);
            cx.ok()
        }
    }
}

fn lrem(cx: &mut Context<'_>) -> Result<Done, Error> {
    let count = ranged(cx.arg(2))?;
    let (db, key, limits) = (cx.db(), cx.key(1), limits(cx));
    let from = if count < 0 { End::Right } else { End::Left };
    let most =
        NonZeroUsize::new(count.unsigned_abs() as usize).map_or(usize::MAX, NonZeroUsize::get);
    let element = cx.arg(3);
    let dirty = cx.view.dirty();
    let removed = cx
        .view
        .change::<List, _>(db, key, (&limits, false), |list| list.remove(element, most, from))?;
    cx.notify_since(dirty, class::LIST, "lrem", key);
    cx.int(removed.unwrap_or(0) as i64)
}

fn ltrim(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (start, stop) = (cx.integer(2)?, cx.integer(3)?);
    let (db, key, limits) = (cx.db(), cx.key(1), limits(cx));
    let trimmed = cx.view.change::<List, _>(db, key, (&limits, false), |list| {
        let len = list.as_ref().len();
        let (from, count) = range(start, stop, len);
        list.trim(from, len - from - count);
    })?;
    if trimmed.is_some() {
        cx.notify_change(class::LIST, "ltrim", key);
    }
    cx.ok()
}

/// What LPOS looks for.
struct Search {
    from: End,
    /// Matches to pass over.
    skipped: u64,
    /// Positions wanted at most; 0 means all.
    count: u64,
    /// Elements looked at at most; 0 means all.
    longest: u64,
}

impl Search {
    /// Hands positions of `needle` to `found`.
    fn run(&self, list: ListRef<'_>, needle: Piece<'_>, mut found: impl FnMut(usize)) {
        let len = list.len();
        let (mut looked, mut matches) = (0, 0);
        let start = if self.from == End::Left { 0 } else { len.saturating_sub(1) };
        list.visit(self.from, start, |piece| {
            looked += 1;
            if piece == needle {
                matches += 1;
                if matches > self.skipped {
                    found(if self.from == End::Left { looked - 1 } else { len - looked });
                }
            }
            let enough = self.count > 0 && matches >= self.skipped.saturating_add(self.count);
            !enough && (self.longest == 0 || (looked as u64) < self.longest)
        });
    }
}

fn lpos(cx: &mut Context<'_>) -> Result<Done, Error> {
    let natural = |value: &[u8], refusal: &'static str| {
        let value = integer(value).ok().and_then(|value| u64::try_from(value).ok());
        value.ok_or(Error::new(refusal))
    };
    let (mut rank, mut count, mut longest) = (1, None, 0);
    let mut options = Options::new(cx.args, 3);
    while let Some(word) = options.next() {
        if is(word, "RANK") && options.has_value() {
            rank = ranged(options.value()?)?;
            if rank == 0 {
                return Err(Error::new(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                     second ... or use negative to start from the end of the list",
                ));
            }
        } else if is(word, "COUNT") && options.has_value() {
            count = Some(natural(options.value()?, "ERR COUNT can't be negative")?);
        } else if is(word, "MAXLEN") && options.has_value() {
            longest = natural(options.value()?, "ERR MAXLEN can't be negative")?;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let (db, key, needle) = (cx.db(), cx.key(1), Piece::of(cx.arg(2)));
    let from = if rank < 0 { End::Right } else { End::Left };
    let skipped = rank.unsigned_abs() - 1;
    let search = Search { from, skipped, count: count.unwrap_or(1), longest };
    let list = cx.view.read_as::<List>(db, key)?;
    let reply = &mut *cx.reply;
    if count.is_some() {
        let (deferred, mut found) = (reply.deferred(), 0);
        if let Some(list) = list {
            search.run(list, needle, |index| {
                reply.integer(index as i64);
                found += 1;
            });
        }
        reply.fill_array(deferred, found);
    } else {
        let mut first = None;
        if let Some(list) = list {
            search.run(list, needle, |index| first = Some(index));
        }
        match first {
            Some(index) => reply.integer(index as i64),
            None => reply.null(),
        }
    }
    Ok(Done::Replied)
}

/// An integer whose negative is one, too.
fn ranged(value: &[u8]) -> Result<i64, Error> {
    match integer(value)? {
        i64::MIN => Err(Error::new(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        )),
        value => Ok(value),
    }
}
