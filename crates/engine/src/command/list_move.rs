//! Lists: from one to another, and from the first of several that has elements.
//!
//! All keys are open while the handler runs, so an element is at any time in exactly one list.
//! Transcripts: `tests/transcripts/list`.

use pannier_store::{End, List, class};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::list::{limits, pop, popped, pushed, reply_piece};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[LMOVE, RPOPLPUSH, LMPOP];

const LMOVE: Command = Command {
    name: "lmove",
    since: "6.2.0",
    group: Group::List,
    arity: 5,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::LIST,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
        KeySpec::one(2, access::RW | access::INSERT),
    ],
    syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
    summary: "Moves an element from one end of a list to an end of another.",
    complexity: "O(1)",
    handler: lmove,
    ..Command::DEFAULT
};

const RPOPLPUSH: Command = Command {
    name: "rpoplpush",
    since: "1.2.0",
    group: Group::List,
    arity: 3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::LIST,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
        KeySpec::one(2, access::RW | access::INSERT),
    ],
    syntax: "source destination",
    summary: "Moves the last element of a list before the first of another.",
    complexity: "O(1)",
    handler: rpoplpush,
    ..Command::DEFAULT
};

const LMPOP: Command = Command {
    name: "lmpop",
    since: "7.0.0",
    group: Group::List,
    arity: -4,
    flags: flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::counted(1, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    summary: "Removes elements of the first list that is not empty, and returns them.",
    complexity: "O(N+M) with N the number of keys and M the number of elements returned",
    handler: lmpop,
    ..Command::DEFAULT
};

/// The end that a word names.
pub(super) fn end_of(word: &[u8]) -> Result<End, Error> {
    if is(word, "LEFT") {
        Ok(End::Left)
    } else if is(word, "RIGHT") {
        Ok(End::Right)
    } else {
        Err(Error::SYNTAX)
    }
}

fn lmove(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (from, to) = (end_of(cx.arg(3))?, end_of(cx.arg(4))?);
    move_or_nil(cx, (from, to))
}

fn rpoplpush(cx: &mut Context<'_>) -> Result<Done, Error> {
    move_or_nil(cx, (End::Right, End::Left))
}

fn move_or_nil(cx: &mut Context<'_>, ends: (End, End)) -> Result<Done, Error> {
    if !move_element(cx, ends)? {
        cx.reply.null();
    }
    Ok(Done::Replied)
}

/// Moves an element between the lists at the first two arguments and replies it; false when the
/// first has none.
pub(super) fn move_element(cx: &mut Context<'_>, (from, to): (End, End)) -> Result<bool, Error> {
    let (db, source, target, limits) = (cx.db(), cx.key(1), cx.key(2), limits(cx));
    let element = match cx.view.look_to_write(db, source) {
        None => None,
        Some(found) => found.collection::<List>()?.at(from),
    };
    let Some(piece) = element else { return Ok(false) };
    reply_piece(cx.reply, piece);
    if source.bytes == target.bytes {
        cx.view.change::<List, _>(db, source, (&limits, false), |list| list.rotate(from, to))?;
        cx.notify(class::LIST, pushed(to), target);
        cx.notify(class::LIST, popped(from), source);
        return Ok(true);
    }
    let mut digits = itoa::Buffer::new();
    let element: SmallVec<[u8; 64]> = piece.as_bytes(&mut digits).into();
    cx.view.change::<List, _>(db, target, (&limits, true), |list| list.push_moved(to, &element))?;
    cx.notify(class::LIST, pushed(to), target);
    cx.view.change::<List, _>(db, source, (&limits, false), |list| list.drop(from, 1))?;
    cx.notify_change(class::LIST, popped(from), source);
    Ok(true)
}

/// What LMPOP and BLMPOP ask for.
pub(super) struct Several {
    /// Where the keys stand.
    pub(super) keys: std::ops::Range<usize>,
    end: End,
    count: usize,
}

impl Several {
    /// Reads `numkeys key [key ...] LEFT|RIGHT [COUNT count]` from an argument on.
    pub(super) fn read(cx: &Context<'_>, at: usize) -> Result<Self, Error> {
        let positive = |value: &[u8], refusal: &'static str| {
            let value = integer(value).ok().and_then(|value| usize::try_from(value).ok());
            value.filter(|value| *value > 0).ok_or(Error::new(refusal))
        };
        let keys = positive(cx.arg(at), "ERR numkeys should be greater than 0")?;
        let behind = keys.checked_add(at + 1).filter(|behind| *behind < cx.args.len());
        let behind = behind.ok_or(Error::SYNTAX)?;
        let end = end_of(cx.arg(behind))?;
        let mut options = Options::new(cx.args, behind + 1);
        let mut count = None;
        while let Some(word) = options.next() {
            if count.is_some() || !is(word, "COUNT") || !options.has_value() {
                return Err(Error::SYNTAX);
            }
            count = Some(positive(options.value()?, "ERR count should be greater than 0")?);
        }
        Ok(Self { keys: at + 1..behind, end, count: count.unwrap_or(1) })
    }
}

fn lmpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    let several = Several::read(cx, 1)?;
    if !pop_first(cx, &several)? {
        cx.reply.null_array();
    }
    Ok(Done::Replied)
}

/// Removes elements of the first list that has some and replies them; false when none has.
pub(super) fn pop_first(cx: &mut Context<'_>, several: &Several) -> Result<bool, Error> {
    let (db, limits) = (cx.db(), limits(cx));
    for at in several.keys.clone() {
        let key = cx.key(at);
        let reply = &mut *cx.reply;
        let found = cx.view.change::<List, _>(db, key, (&limits, false), |list| {
            reply.array(2);
            reply.bulk(key.bytes);
            pop(list, several.end, Some(several.count), reply);
        })?;
        if found.is_some() {
            cx.notify_change(class::LIST, popped(several.end), key);
            return Ok(true);
        }
    }
    Ok(false)
}
