//! XREAD and XREADGROUP: entries of several streams behind the ids that a client has seen.
//!
//! Both are read the same way: all keys and ids are looked at first, because an error must leave
//! everything as it was, then each stream is served that has something to give. A group's new
//! entries are asked for as `>`; with any other id a consumer gets back what it has pending.
//! With BLOCK a request waits for the first of its streams that has something; `$` is made the
//! id that it stood for first. A group's reader also hears when the group or the stream is gone.
//! Neighbours: `stream_args` reads ids, `block` waits. Transcripts: `tests/transcripts/stream`.

use pannier_resp::{Args, Protocol, Reply};
use pannier_store::{Group as Readers, Kind, Log, Now, Stream, StreamId, class};
use smallvec::SmallVec;

use super::block::{milliseconds, wait};
use super::keys::{Begin, Find, KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::stream_args::{exact_id, no_group, reply_entry, reply_id, reply_range};
use super::stream_group::CONSUMER_CREATED;
use crate::args::{integer, is};
use crate::error::Error;
use crate::waiting::{Rewritten, Wait};

/// The family's rows.
pub(super) const ROWS: &[Command] = &[XREAD, XREADGROUP];

/// The first half of what follows STREAMS.
const fn streams(from: i32) -> KeySpec {
    let find = Find::Range { last: -1, step: 1, limit: 2 };
    let access = access::RO | access::ACCESS;
    KeySpec { begin: Begin::Streams(from), find, access, notes: "" }
}

const XREAD: Command = Command {
    name: "xread",
    since: "5.0.0",
    group: Group::Stream,
    arity: -4,
    flags: flags::BLOCKING | flags::MOVABLE_KEYS | flags::READONLY,
    categories: categories::STREAM,
    keys: &[streams(1)],
    syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
    summary: "Reads the entries of streams behind given ids.",
    complexity: "O(log M + N) for each stream, for N entries out of M",
    handler: xread,
    ..Command::DEFAULT
};

const XREADGROUP: Command = Command {
    name: "xreadgroup",
    since: "5.0.0",
    group: Group::Stream,
    arity: -7,
    flags: flags::BLOCKING | flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::STREAM,
    keys: &[streams(4)],
    syntax: "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] \
             STREAMS key [key ...] id [id ...]",
    summary: "Reads what is new to a consumer group, or what one of its consumers has pending.",
    complexity: "O(log M + N) for each stream, for N entries out of M",
    handler: xreadgroup,
    ..Command::DEFAULT
};

/// What a client wants to read.
struct Wanted<'a> {
    count: usize,
    /// Until when it may wait (Unix milliseconds), if it may.
    until_ms: Option<u64>,
    no_ack: bool,
    /// The group and the consumer.
    reader: Option<(&'a [u8], &'a [u8])>,
    /// Where the first key stands.
    keys: usize,
    streams: usize,
}

impl<'a> Wanted<'a> {
    fn read(args: Args<'a>, by_group: bool, now: Now) -> Result<Self, Error> {
        let mut wanted =
            Self { count: 0, until_ms: None, no_ack: false, reader: None, keys: 0, streams: 0 };
        let only_group = |option: &str| {
            Err(Error::text(format!(
                "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
            )))
        };
        let mut at = 1;
        while at < args.len() {
            let (word, more) = (args.get(at), args.len() - 1 - at);
            if is(word, "BLOCK") && more > 0 {
                wanted.until_ms = Some(milliseconds(args.get(at + 1), now)?);
                at += 1;
            } else if is(word, "COUNT") && more > 0 {
                wanted.count = usize::try_from(integer(args.get(at + 1))?).unwrap_or(0);
                at += 1;
            } else if is(word, "STREAMS") && more > 0 {
                (wanted.keys, wanted.streams) = (at + 1, more / 2);
                if !more.is_multiple_of(2) {
                    return Err(unbalanced(by_group));
                }
                break;
            } else if is(word, "GROUP") && more >= 2 {
                if !by_group {
                    return only_group("GROUP");
                }
                wanted.reader = Some((args.get(at + 1), args.get(at + 2)));
                at += 2;
            } else if is(word, "NOACK") {
                if !by_group {
                    return only_group("NOACK");
                }
                wanted.no_ack = true;
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        if wanted.keys == 0 {
            return Err(Error::SYNTAX);
        }
        if by_group && wanted.reader.is_none() {
            return Err(Error::new("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(wanted)
    }
}

impl Wanted<'_> {
    fn wait(&self, until_ms: u64, rewritten: Rewritten) -> Wait {
        let keys = self.keys..self.keys + self.streams;
        let without_key = self.reader.is_some();
        Wait { without_key, rewritten, ..Wait::new(keys.collect(), Kind::Stream, until_ms) }
    }
}

fn unbalanced(by_group: bool) -> Error {
    let (name, symbol) = if by_group { ("xreadgroup", '>') } else { ("xread", '$') };
    Error::text(format!(
        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be \
         specified."
    ))
}

/// What is being replied: pairs of a key and its entries, as soon as there is one.
#[derive(Default)]
struct Served {
    pairs: usize,
    head: Option<pannier_resp::Deferred>,
}

impl Served {
    fn key(&mut self, reply: &mut Reply, key: &[u8]) {
        self.head.get_or_insert_with(|| reply.deferred());
        if reply.protocol() == Protocol::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
        self.pairs += 1;
    }

    fn end(
        self,
        cx: &mut Context<'_>,
        wanted: &Wanted<'_>,
        rewritten: Rewritten,
    ) -> Result<Done, Error> {
        match self.head {
            Some(head) if cx.reply.protocol() == Protocol::Resp2 => {
                cx.reply.fill_array(head, self.pairs);
            }
            Some(head) => cx.reply.fill_map(head, self.pairs),
            None => match wanted.until_ms {
                Some(until_ms) => {
                    // What is there for no reader of a group is there for none of its others.
                    let kin = wanted.reader.map_or(0, |(group, _)| cx.view.key(group).hash() | 1);
                    return wait(cx, Wait { kin, ..wanted.wait(until_ms, rewritten) });
                }
                None => cx.reply.null_array(),
            },
        }
        Ok(Done::Replied)
    }
}

fn xread(cx: &mut Context<'_>) -> Result<Done, Error> {
    let wanted = Wanted::read(cx.args, false, cx.now)?;
    let db = cx.db();
    let mut ids: SmallVec<[StreamId; 8]> = SmallVec::new();
    for at in wanted.keys..wanted.keys + wanted.streams {
        let key = cx.key(at);
        let last = cx.view.read_as::<Stream>(db, key)?.map(|stream| stream.log().meta().last);
        ids.push(match cx.args.get(at + wanted.streams) {
            b"$" => last.unwrap_or_default(),
            b"+" => last.and_then(StreamId::previous).unwrap_or_default(),
            b">" => {
                return Err(Error::new(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                     <group> <consumer> option.",
                ));
            }
            text => exact_id(text, 0)?,
        });
    }
    let mut served = Served::default();
    let positions = (wanted.keys..).zip(ids.iter().copied());
    for (at, id) in positions.clone() {
        let key = cx.key(at);
        let Some(found) = cx.view.again(db, key) else { continue };
        let log = found.collection::<Stream>()?.log();
        let Some(from) = id.next().filter(|_| log.last_entry().is_some_and(|last| last > id))
        else {
            continue;
        };
        served.key(cx.reply, key.bytes);
        reply_range(cx.reply, log, (from, StreamId::MAX), wanted.count, false);
    }
    // Tried again, `$` still is what it was when the client asked.
    let rewritten = positions
        .filter(|(at, _)| cx.arg(at + wanted.streams) == b"$")
        .map(|(at, id)| (at + wanted.streams, id.to_string().into_bytes()))
        .collect();
    served.end(cx, &wanted, rewritten)
}

fn xreadgroup(cx: &mut Context<'_>) -> Result<Done, Error> {
    let wanted = Wanted::read(cx.args, true, cx.now)?;
    let Some((group, consumer)) = wanted.reader else { return Err(Error::SYNTAX) };
    let db = cx.db();
    let mut ids: SmallVec<[Option<StreamId>; 8]> = SmallVec::new();
    for at in wanted.keys..wanted.keys + wanted.streams {
        let key = cx.key(at);
        let stream = cx.view.read_as::<Stream>(db, key)?;
        if stream.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(no_group(key.bytes, group, " in XREADGROUP with GROUP option"));
        }
        ids.push(match cx.args.get(at + wanted.streams) {
            b">" => None,
            b"$" => return Err(meaningless('$')),
            b"+" => return Err(meaningless('+')),
            // The greatest id is another way to write `>`.
            text => Some(exact_id(text, 0)?).filter(|id| *id != StreamId::MAX),
        });
    }
    let limits = cx.config.limits();
    let now_ms = cx.now.unix_ms();
    let mut served = Served::default();
    for (at, id) in (wanted.keys..).zip(ids) {
        let key = cx.key(at);
        let reply = &mut *cx.reply;
        let mut is_new = false;
        let read = |log: &Log, group: &mut Readers| {
            let (reader, created) = group.add_consumer(consumer, now_ms);
            is_new = created;
            let mut reading = Reading { log, group, reader, now_ms, count: wanted.count };
            reading.seen();
            let serves = id.is_some() || log.last_entry().is_some_and(|l| l > reading.group.last);
            if serves {
                served.key(reply, key.bytes);
                match id {
                    Some(id) => reading.history(reply, id),
                    None => reading.news(reply, wanted.no_ack),
                }
            }
            ((), u64::from(created) + u64::from(serves))
        };
        cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
            stream.group(group, read);
        })?;
        if is_new {
            cx.notify(class::STREAM, CONSUMER_CREATED, key);
        }
    }
    served.end(cx, &wanted, Vec::new())
}

fn meaningless(symbol: char) -> Error {
    Error::text(format!(
        "ERR The {symbol} ID is meaningless in the context of XREADGROUP: you want to read the \
         history of this consumer by specifying a proper ID, or use the > ID to get new messages. \
         The {symbol} ID would just return an empty result set."
    ))
}

/// A consumer that reads.
struct Reading<'s> {
    log: &'s Log,
    group: &'s mut Readers,
    reader: pannier_store::ConsumerId,
    now_ms: u64,
    /// Entries at most; 0 is all.
    count: usize,
}

impl Reading<'_> {
    fn seen(&mut self) {
        if let Some(consumer) = self.group.consumer_mut(self.reader) {
            consumer.seen_ms = self.now_ms;
        }
    }

    fn most(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.count }
    }

    /// Writes what the group has not read, and makes it pending.
    fn news(&mut self, reply: &mut Reply, no_ack: bool) {
        let array = reply.deferred();
        let from = self.group.last.next().unwrap_or(StreamId::MAX);
        let mut written = 0;
        for entry in self.log.range(from, StreamId::MAX).take(self.most()) {
            self.group.advance(self.log, entry.id);
            reply_entry(reply, &entry);
            if !no_ack {
                self.group.give(entry.id, self.reader, self.now_ms, 1);
            }
            written += 1;
        }
        if written > 0
            && !no_ack
            && let Some(consumer) = self.group.consumer_mut(self.reader)
        {
            consumer.active_ms = Some(self.now_ms);
        }
        reply.fill_array(array, written);
    }

    /// Writes what the consumer has pending behind an id.
    fn history(&mut self, reply: &mut Reply, behind: StreamId) {
        let from = behind.next().unwrap_or(StreamId::MAX);
        let held = self.group.consumer_at(self.reader);
        let ids: Vec<StreamId> = held
            .into_iter()
            .flat_map(|consumer| consumer.pending_from(from))
            .take(self.most())
            .collect();
        reply.array(ids.len());
        for id in ids {
            if let Some(entry) = self.log.get(id) {
                reply_entry(reply, &entry);
                self.group.repeat(id, self.now_ms);
            } else {
                // The entry is gone; that it was pending shows as an entry without fields.
                reply.array(2);
                reply_id(reply, id);
                reply.null_array();
            }
        }
    }
}
