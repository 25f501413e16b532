//! Deadlines of hash fields: setting, reading and removing them, alone or with the fields.
//!
//! A field's deadline is kept in Unix milliseconds, and one that has passed removes the field at
//! once, as with keys (see `expire`). All these commands name their fields behind the word FIELDS
//! and their number. A field that is there is looked up twice, once for the reply.
//! Transcripts: `tests/transcripts/hash`; the marks that free due fields are in `store::fields`.

use pannier_resp::{Args, Reply};
use pannier_store::{Deadline, Hash, HashMut, Key, class};

use super::expire::Conditions;
use super::hash::pairs_of;
use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags, reply_piece};
use crate::args::{Unit, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[
    HEXPIRE,
    HPEXPIRE,
    HEXPIREAT,
    HPEXPIREAT,
    HTTL,
    HPTTL,
    HEXPIRETIME,
    HPEXPIRETIME,
    HPERSIST,
    HGETEX,
    HSETEX,
    HGETDEL,
];

const HEXPIRE: Command = Command {
    name: "hexpire",
    since: "9.0.0",
    group: Group::Hash,
    arity: -6,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    summary: "Sets the time to live of fields in seconds.",
    complexity: "O(N) with N the number of fields named",
    handler: hexpire,
    ..Command::DEFAULT
};

const HPEXPIRE: Command = Command {
    name: "hpexpire",
    since: "9.0.0",
    group: Group::Hash,
    arity: -6,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    summary: "Sets the time to live of fields in milliseconds.",
    complexity: "O(N) with N the number of fields named",
    handler: hpexpire,
    ..Command::DEFAULT
};

const HEXPIREAT: Command = Command {
    name: "hexpireat",
    since: "9.0.0",
    group: Group::Hash,
    arity: -6,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    summary: "Sets the time at which fields expire, in Unix seconds.",
    complexity: "O(N) with N the number of fields named",
    handler: hexpireat,
    ..Command::DEFAULT
};

const HPEXPIREAT: Command = Command {
    name: "hpexpireat",
    since: "9.0.0",
    group: Group::Hash,
    arity: -6,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    summary: "Sets the time at which fields expire, in Unix milliseconds.",
    complexity: "O(N) with N the number of fields named",
    handler: hpexpireat,
    ..Command::DEFAULT
};

const HTTL: Command = Command {
    name: "httl",
    since: "9.0.0",
    group: Group::Hash,
    arity: -5,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key FIELDS numfields field [field ...]",
    summary: "Tells the time to live of fields in seconds.",
    complexity: "O(N) with N the number of fields named",
    handler: httl,
    ..Command::DEFAULT
};

const HPTTL: Command = Command {
    name: "hpttl",
    since: "9.0.0",
    group: Group::Hash,
    arity: -5,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key FIELDS numfields field [field ...]",
    summary: "Tells the time to live of fields in milliseconds.",
    complexity: "O(N) with N the number of fields named",
    handler: hpttl,
    ..Command::DEFAULT
};

const HEXPIRETIME: Command = Command {
    name: "hexpiretime",
    since: "9.0.0",
    group: Group::Hash,
    arity: -5,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key FIELDS numfields field [field ...]",
    summary: "Tells the Unix time in seconds at which fields expire.",
    complexity: "O(N) with N the number of fields named",
    handler: hexpiretime,
    ..Command::DEFAULT
};

const HPEXPIRETIME: Command = Command {
    name: "hpexpiretime",
    since: "9.0.0",
    group: Group::Hash,
    arity: -5,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key FIELDS numfields field [field ...]",
    summary: "Tells the Unix time in milliseconds at which fields expire.",
    complexity: "O(N) with N the number of fields named",
    handler: hpexpiretime,
    ..Command::DEFAULT
};

const HPERSIST: Command = Command {
    name: "hpersist",
    since: "9.0.0",
    group: Group::Hash,
    arity: -5,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key FIELDS numfields field [field ...]",
    summary: "Removes the time to live of fields.",
    complexity: "O(N) with N the number of fields named",
    handler: hpersist,
    ..Command::DEFAULT
};

const HGETEX: Command = Command {
    name: "hgetex",
    since: "9.0.0",
    group: Group::Hash,
    arity: -5,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
    summary: "Returns the values of fields, and sets or removes their time to live.",
    complexity: "O(N) with N the number of fields named",
    handler: hgetex,
    ..Command::DEFAULT
};

const HSETEX: Command = Command {
    name: "hsetex",
    since: "9.0.0",
    group: Group::Hash,
    arity: -6,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
    summary: "Sets fields together with their time to live, if conditions hold.",
    complexity: "O(N) with N the number of fields set",
    handler: hsetex,
    ..Command::DEFAULT
};

const HGETDEL: Command = Command {
    name: "hgetdel",
    since: "9.1.0",
    group: Group::Hash,
    arity: -5,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key FIELDS numfields field [field ...]",
    summary: "Returns the values of fields and removes them.",
    complexity: "O(N) with N the number of fields named",
    handler: hgetdel,
    ..Command::DEFAULT
};

fn hexpire(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::Seconds)
}

fn hpexpire(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::Milliseconds)
}

fn hexpireat(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::UnixSeconds)
}

fn hpexpireat(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::UnixMilliseconds)
}

fn set(cx: &mut Context<'_>, unit: Unit) -> Result<Done, Error> {
    let word = fields_word(cx.args, 3)?;
    let conditions = Conditions::parse(cx.args.iter().take(word).skip(3))?;
    let fields = fields_behind(cx.args, word, 1)?;
    let deadline = deadline_of(unit, cx.arg(2), cx)?;
    let (db, key, limits, now_ms) = (cx.db(), cx.key(1), cx.config.limits(), cx.now.unix_ms());
    let reply = &mut *cx.reply;
    reply.array(fields.len());
    let (mut given, mut past) = (false, false);
    let found = cx.view.change::<Hash, _>(db, key, (&limits, false), |hash| {
        for field in fields.iter() {
            let result = match hash.as_ref().deadline(field) {
                None => NO_FIELD,
                Some(old) if !conditions.allow(old, deadline) => 0,
                Some(_) if give_deadline(hash, field, deadline, now_ms) => 1,
                Some(_) => 2,
            };
            given |= result == 1;
            past |= result == 2;
            reply.integer(result);
        }
    })?;
    notify_deadlines(cx, key, (given, past));
    let reply = &mut *cx.reply;
    if found.is_none() {
        fields.iter().for_each(|_| reply.integer(NO_FIELD));
    }
    Ok(Done::Replied)
}

/// Tells that fields were given deadlines, or are gone because theirs have passed.
fn notify_deadlines(cx: &mut Context<'_>, key: Key<'_>, (given, past): (bool, bool)) {
    if past {
        cx.notify(class::HASH, "hexpired", key);
    }
    if given {
        cx.notify(class::HASH, "hexpire", key);
    }
    if cx.view.emptied() {
        cx.notify(class::GENERIC, "del", key);
    }
}

/// Gives a field that is there a deadline; false when it has passed, and the field is gone.
fn give_deadline(hash: &mut HashMut<'_>, field: &[u8], deadline: i64, now_ms: u64) -> bool {
    match u64::try_from(deadline) {
        Ok(at) if at > now_ms => hash.set_deadline(field, Some(at)),
        Ok(_) | Err(_) => {
            hash.expire(field);
            false
        }
    }
}

fn httl(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |left, _| (left + 500) / 1000)
}

fn hpttl(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |left, _| left)
}

fn hexpiretime(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |_, at| at.saturating_add(500) / 1000)
}

fn hpexpiretime(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |_, at| at)
}

/// Replies what `show` makes of the milliseconds left and the deadline of each field.
fn tell(cx: &mut Context<'_>, show: fn(u64, u64) -> u64) -> Result<Done, Error> {
    let fields = fields_at(cx, Error::SYNTAX)?;
    let (db, key, now_ms) = (cx.db(), cx.key(1), cx.now.unix_ms());
    let hash = cx.view.read_as::<Hash>(db, key)?;
    cx.reply.array(fields.len());
    for field in fields.iter() {
        cx.reply.integer(match hash.and_then(|hash| hash.deadline(field)) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(at)) => show(at.saturating_sub(now_ms), at) as i64,
        });
    }
    Ok(Done::Replied)
}

fn hpersist(cx: &mut Context<'_>) -> Result<Done, Error> {
    let fields = fields_at(cx, FIELDS_DIFFER)?;
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let reply = &mut *cx.reply;
    reply.array(fields.len());
    let dirty = cx.view.dirty();
    let found = cx.view.change::<Hash, _>(db, key, (&limits, false), |hash| {
        for field in fields.iter() {
            reply.integer(match hash.as_ref().deadline(field) {
                None => NO_FIELD,
                Some(None) => NO_DEADLINE,
                Some(Some(_)) => i64::from(hash.set_deadline(field, None)),
            });
        }
    })?;
    cx.notify_since(dirty, class::HASH, "hpersist", key);
    let reply = &mut *cx.reply;
    if found.is_none() {
        fields.iter().for_each(|_| reply.integer(NO_FIELD));
    }
    Ok(Done::Replied)
}

fn hgetex(cx: &mut Context<'_>) -> Result<Done, Error> {
    let word = fields_word(cx.args, 2)?;
    let options = Setting::parse(cx.args.iter().take(word).skip(2), Keeping::Persist)?;
    let fields = fields_behind(cx.args, word, 1)?;
    let (db, key, limits, now_ms) = (cx.db(), cx.key(1), cx.config.limits(), cx.now.unix_ms());
    // Another type's error comes before that of the time.
    let deadline = options.deadline(cx);
    cx.tell_miss(key);
    let reply = &mut *cx.reply;
    reply.array(fields.len());
    let (mut given, mut past, mut kept) = (false, false, false);
    let found = cx.view.change::<Hash, _>(db, key, (&limits, false), |hash| {
        let deadline = deadline.clone()?;
        for field in fields.iter() {
            if !reply_field(reply, hash, field) {
                continue;
            }
            let volatile = || hash.as_ref().deadline(field).flatten().is_some();
            if let Some(deadline) = deadline {
                let ahead = give_deadline(hash, field, deadline, now_ms);
                (given, past) = (given | ahead, past | !ahead);
            } else if options.keeping && volatile() {
                kept |= hash.set_deadline(field, None);
            }
        }
        Ok::<(), Error>(())
    })?;
    if kept {
        cx.notify(class::HASH, "hpersist", key);
    }
    notify_deadlines(cx, key, (given, past));
    let reply = &mut *cx.reply;
    match found {
        None => deadline.map(|_| fields.iter().for_each(|_| reply.null()))?,
        Some(result) => result?,
    }
    Ok(Done::Replied)
}

fn hgetdel(cx: &mut Context<'_>) -> Result<Done, Error> {
    let fields = fields_at(cx, FIELDS_DIFFER)?;
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let reply = &mut *cx.reply;
    reply.array(fields.len());
    let dirty = cx.view.dirty();
    let found = cx.view.change::<Hash, _>(db, key, (&limits, false), |hash| {
        for field in fields.iter() {
            reply_field(reply, hash, field);
            hash.remove(field);
        }
    })?;
    cx.notify_since(dirty, class::HASH, "hdel", key);
    let reply = &mut *cx.reply;
    if found.is_none() {
        fields.iter().for_each(|_| reply.null());
    }
    Ok(Done::Replied)
}

/// Replies the value of a field, or null; true when it is there.
fn reply_field(reply: &mut Reply, hash: &HashMut<'_>, field: &[u8]) -> bool {
    let value = hash.as_ref().get(field);
    match value {
        Some(value) => reply_piece(reply, value),
        None => reply.null(),
    }
    value.is_some()
}

fn hsetex(cx: &mut Context<'_>) -> Result<Done, Error> {
    let word = fields_word(cx.args, 2)?;
    let options = Setting::parse(cx.args.iter().take(word).skip(2), Keeping::Ttl)?;
    let fields = fields_behind(cx.args, word, 2)?;
    let (db, key, limits, now_ms) = (cx.db(), cx.key(1), cx.config.limits(), cx.now.unix_ms());
    let deadline = options.deadline(cx);
    let dirty = cx.view.dirty();
    let (mut given, mut past) = (false, false);
    let done = cx.view.change::<Hash, _>(db, key, (&limits, true), |hash| {
        if options.key.is_some_and(|there| there == hash.as_ref().is_empty()) {
            return Ok(false);
        }
        let deadline = deadline?;
        let met =
            |field| options.field.is_none_or(|there| there == hash.as_ref().get(field).is_some());
        if !pairs_of(fields).all(|(field, _)| met(field)) {
            return Ok(false);
        }
        let (keep, ahead) = match deadline.map(u64::try_from) {
            None if options.keeping => (Deadline::Keep, true),
            None => (Deadline::Clear, true),
            Some(Ok(at)) if at > now_ms => (Deadline::At(at), true),
            Some(_) => (Deadline::Clear, false),
        };
        (given, past) = (ahead && matches!(keep, Deadline::At(_)), !ahead);
        for (field, value) in pairs_of(fields) {
            if ahead {
                hash.put(field, value, keep);
            } else {
                hash.expire(field);
            }
        }
        Ok::<bool, Error>(true)
    })?;
    let done = done.transpose()? == Some(true);
    if past {
        // Set, and gone at once.
        for event in ["hset", "hexpire", "hexpired"] {
            cx.notify(class::HASH, event, key);
        }
        if !cx.view.contains(db, key) {
            cx.notify(class::GENERIC, "del", key);
        }
    } else if cx.view.dirty() > dirty {
        cx.notify(class::HASH, "hset", key);
        notify_deadlines(cx, key, (given, false));
    }
    cx.int(i64::from(done))
}

/// The word that asks for no deadline to be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// PERSIST: fields lose theirs.
    Persist,
    /// KEEPTTL: fields keep theirs; and there are conditions.
    Ttl,
}

/// The options of HGETEX and HSETEX.
#[derive(Default)]
struct Setting<'a> {
    /// Whether the key must be there, or must not (XX, NX).
    key: Option<bool>,
    /// Whether each field must be there, or must not (FXX, FNX).
    field: Option<bool>,
    /// EX and its like, with their value.
    expiry: Option<(Unit, &'a [u8])>,
    /// PERSIST or KEEPTTL.
    keeping: bool,
}

impl<'a> Setting<'a> {
    fn parse(mut words: impl Iterator<Item = &'a [u8]>, keeping: Keeping) -> Result<Self, Error> {
        let mut parsed = Self::default();
        while let Some(word) = words.next() {
            let conditions = keeping == Keeping::Ttl;
            if let Some(unit) = Unit::of(word) {
                let value = words.next().ok_or(Error::SYNTAX)?;
                if parsed.keeping || parsed.expiry.is_some_and(|(other, _)| other != unit) {
                    return Err(Error::SYNTAX);
                }
                parsed.expiry = Some((unit, value));
            } else if is(word, if conditions { "KEEPTTL" } else { "PERSIST" }) {
                if parsed.expiry.is_some() {
                    return Err(Error::SYNTAX);
                }
                parsed.keeping = true;
            } else if conditions && (is(word, "NX") || is(word, "XX")) {
                demand(&mut parsed.key, is(word, "XX"))?;
            } else if conditions && (is(word, "FNX") || is(word, "FXX")) {
                demand(&mut parsed.field, is(word, "FXX"))?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(parsed)
    }

    /// The deadline asked for, which may have passed.
    fn deadline(&self, cx: &Context<'_>) -> Result<Option<i64>, Error> {
        self.expiry.map(|(unit, value)| deadline_of(unit, value, cx)).transpose()
    }
}

/// Notes a condition; the opposite one must not have been named.
fn demand(condition: &mut Option<bool>, there: bool) -> Result<(), Error> {
    if condition.is_some_and(|other| other != there) {
        return Err(Error::SYNTAX);
    }
    *condition = Some(there);
    Ok(())
}

/// A deadline in Unix milliseconds; it may have passed, but not by a negative number.
fn deadline_of(unit: Unit, value: &[u8], cx: &Context<'_>) -> Result<i64, Error> {
    let value = integer(value)?;
    let deadline = if value < 0 { None } else { unit.deadline_of(value, cx.now) };
    deadline.ok_or_else(|| Error::invalid_expire(cx.command.name))
}

/// Where the word FIELDS stands: the first time from `from` on, and not as the last word.
fn fields_word(args: Args<'_>, from: usize) -> Result<usize, Error> {
    let mut words = args.iter().take(args.len() - 1).skip(from);
    words.position(|word| is(word, "FIELDS")).map(|at| at + from).ok_or(FIELDS_DIFFER)
}

/// What is named behind FIELDS, `width` words each; their number must come first and be right.
fn fields_behind(args: Args<'_>, word: usize, width: usize) -> Result<Args<'_>, Error> {
    let (count, fields) = (integer(args.get(word + 1))?, args.from(word + 2));
    let right = usize::try_from(count).ok().and_then(|count| count.checked_mul(width));
    if count > 0 && right == Some(fields.len()) { Ok(fields) } else { Err(FIELDS_DIFFER) }
}

/// The fields of a command that knows no options.
fn fields_at<'a>(cx: &Context<'a>, differ: Error) -> Result<Args<'a>, Error> {
    if !cx.is(2, "FIELDS") {
        return Err(Error::SYNTAX);
    }
    integer(cx.arg(3))?;
    fields_behind(cx.args, 2, 1).map_err(|_| differ)
}

const FIELDS_DIFFER: Error =
    Error::new("ERR numfields should be greater than 0 and match the provided number of fields");
/// The reply for a field that is not there.
const NO_FIELD: i64 = -2;
/// The reply for one without a deadline.
const NO_DEADLINE: i64 = -1;
