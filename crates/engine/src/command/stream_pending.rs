//! What consumers have pending: XPENDING lists it, XCLAIM and XAUTOCLAIM give it to another.
//!
//! Claiming looks whether the entry is still there: a pending id whose entry has gone is
//! forgotten. XAUTOCLAIM looks at ten pending ids for each that it may return, so that its cost is
//! bounded however few are idle for long enough.
//! Neighbours: `stream_group` acknowledges. Transcripts: `tests/transcripts/stream`.

use pannier_resp::Reply;
use pannier_store::{ConsumerId, Group as Readers, Log, Stream, StreamId, class};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::stream_args::{exact_id, interval_end, interval_start, no_group, reply_entry, reply_id};
use super::stream_group::CONSUMER_CREATED;
use crate::args::{integer, is};
use crate::error::{Error, quoted};

/// The family's rows.
pub(super) const ROWS: &[Command] = &[XPENDING, XCLAIM, XAUTOCLAIM];

const XPENDING: Command = Command {
    name: "xpending",
    since: "5.0.0",
    group: Group::Stream,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key group [[IDLE min-idle-time] start end count [consumer]]",
    summary: "Lists what a group's consumers have pending, or sums it up.",
    complexity: "O(N) for N entries returned, or looked at because of IDLE; the sum is O(N) for N \
                 consumers.",
    tips: &["nondeterministic_output"],
    history: &[("6.2.0", "The option IDLE and exclusive bounds.")],
    handler: xpending,
    ..Command::DEFAULT
};

const XCLAIM: Command = Command {
    name: "xclaim",
    since: "5.0.0",
    group: Group::Stream,
    arity: -6,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] \
             [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
    summary: "Gives pending entries to a consumer.",
    complexity: "O(log N) for each of N pending entries",
    tips: &["nondeterministic_output"],
    handler: xclaim,
    ..Command::DEFAULT
};

const XAUTOCLAIM: Command = Command {
    name: "xautoclaim",
    since: "6.2.0",
    group: Group::Stream,
    arity: -6,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
    summary: "Gives a consumer the next pending entries that have been idle for long enough.",
    complexity: "O(1) if COUNT is small",
    tips: &["nondeterministic_output"],
    history: &[("7.0.0", "The reply names the ids whose entries have gone.")],
    handler: xautoclaim,
    ..Command::DEFAULT
};

/// A range of pending entries that is asked for.
struct Asked<'a> {
    idle_ms: i64,
    range: (StreamId, StreamId),
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    fn read(cx: &Context<'a>) -> Result<Option<Self>, Error> {
        let words = cx.args.len();
        if words == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&words) {
            return Err(Error::SYNTAX);
        }
        let (mut start, mut idle_ms) = (3, 0);
        if cx.is(3, "IDLE") {
            idle_ms = cx.integer(4)?;
            if words < 8 {
                return Err(Error::SYNTAX);
            }
            start = 5;
        }
        let count = usize::try_from(cx.integer(start + 2)?).unwrap_or(0);
        let range = (interval_start(cx.arg(start))?, interval_end(cx.arg(start + 1))?);
        let consumer = (start + 3 < words).then(|| cx.arg(start + 3));
        Ok(Some(Self { idle_ms, range, count, consumer }))
    }
}

fn xpending(cx: &mut Context<'_>) -> Result<Done, Error> {
    let asked = Asked::read(cx)?;
    let (db, key, name) = (cx.db(), cx.key(1), cx.arg(2));
    let now_ms = cx.now.unix_ms();
    let stream = cx.view.read_as::<Stream>(db, key)?;
    let Some(group) = stream.and_then(|stream| stream.group(name)) else {
        return Err(no_group(key.bytes, name, ""));
    };
    match asked {
        None => reply_sum(cx.reply, group),
        Some(asked) => reply_pending(cx.reply, group, &asked, now_ms),
    }
    Ok(Done::Replied)
}

fn reply_sum(reply: &mut Reply, group: &Readers) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let mut all = group.pending(StreamId::MIN, StreamId::MAX);
    let Some((first, _)) = all.next() else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, first);
    reply_id(reply, all.next_back().map_or(first, |(last, _)| last));
    let array = reply.deferred();
    let mut busy = 0;
    for consumer in group.consumers().filter(|consumer| consumer.pending_len() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
        busy += 1;
    }
    reply.fill_array(array, busy);
}

fn reply_pending(reply: &mut Reply, group: &Readers, asked: &Asked<'_>, now_ms: u64) {
    let (from, to) = asked.range;
    let array = reply.deferred();
    let mut written = 0;
    let mut write = |id: StreamId| {
        let Some(pending) = group.pending_of(id) else { return false };
        let idle_ms = now_ms as i64 - pending.delivered_ms as i64;
        if asked.idle_ms != 0 && idle_ms < asked.idle_ms {
            return true;
        }
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(group.owner_name(pending));
        reply.integer(idle_ms.max(0));
        reply.integer(pending.count as i64);
        written += 1;
        written < asked.count
    };
    if asked.count > 0 && from <= to {
        match asked.consumer {
            None => {
                group.pending(from, to).all(|(id, _)| write(id));
            }
            Some(name) => {
                let held = group.consumer(name).into_iter();
                let mut ids = held.flat_map(|consumer| consumer.pending_from(from));
                while let Some(id) = ids.next().filter(|id| *id <= to) {
                    if !write(id) {
                        break;
                    }
                }
            }
        }
    }
    reply.fill_array(array, written);
}

/// How XCLAIM claims.
struct Claim {
    idle_ms: i64,
    delivered_ms: Option<i64>,
    count: Option<u64>,
    force: bool,
    just_id: bool,
    last: StreamId,
    ids: SmallVec<[StreamId; 8]>,
}

impl Claim {
    fn read(cx: &Context<'_>) -> Result<Self, Error> {
        let now_ms = cx.now.unix_ms() as i64;
        let number =
            |at: usize, text: &'static str| integer(cx.args.get(at)).map_err(|_| Error::new(text));
        let idle_ms = number(4, "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
        let ids: SmallVec<[StreamId; 8]> =
            (5..cx.args.len()).map_while(|at| exact_id(cx.args.get(at), 0).ok()).collect();
        let mut at = 5 + ids.len();
        let (delivered_ms, count, last) = (None, None, StreamId::MIN);
        let (force, just_id) = (false, false);
        let mut claim = Self { idle_ms, delivered_ms, count, force, just_id, last, ids };
        while at < cx.args.len() {
            let (word, more) = (cx.args.get(at), at + 1 < cx.args.len());
            at += 2;
            if is(word, "FORCE") {
                claim.force = true;
                at -= 1;
            } else if is(word, "JUSTID") {
                claim.just_id = true;
                at -= 1;
            } else if is(word, "IDLE") && more {
                let idle = number(at - 1, "ERR Invalid IDLE option argument for XCLAIM")?;
                claim.delivered_ms = Some(now_ms.wrapping_sub(idle));
            } else if is(word, "TIME") && more {
                let time = number(at - 1, "ERR Invalid TIME option argument for XCLAIM")?;
                claim.delivered_ms = Some(time);
            } else if is(word, "RETRYCOUNT") && more {
                let count = number(at - 1, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                claim.count = u64::try_from(count).ok();
            } else if is(word, "LASTID") && more {
                claim.last = exact_id(cx.args.get(at - 1), 0)?;
            } else {
                let word = quoted(word, usize::MAX);
                return Err(Error::text(format!("ERR Unrecognized XCLAIM option '{word}'")));
            }
        }
        // -1 is as good as no time, and a time that cannot be becomes now.
        let sane = claim.delivered_ms.filter(|at| (0..=now_ms).contains(at));
        claim.delivered_ms = Some(sane.unwrap_or(now_ms));
        Ok(claim)
    }
}

fn xclaim(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, name, consumer) = (cx.db(), cx.key(1), cx.arg(2), cx.arg(3));
    let now_ms = cx.now.unix_ms();
    let limits = cx.config.limits();
    // A missing group comes before options that cannot be read.
    let claim = Claim::read(cx);
    cx.tell_miss(key);
    let reply = &mut *cx.reply;
    let mut created = false;
    let claimed = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
        stream.group(name, |log, group| match &claim {
            Ok(claim) => {
                created = group.consumer(consumer).is_none();
                ((), claim_ids(log, group, claim, (consumer, now_ms), reply))
            }
            Err(_) => ((), 0),
        })
    })?;
    if created {
        cx.notify(class::STREAM, CONSUMER_CREATED, key);
    }
    claimed.flatten().ok_or_else(|| no_group(key.bytes, name, ""))?;
    claim.map(|_| Done::Replied)
}

/// Claims the ids and replies with them; how many changes that was.
fn claim_ids(
    log: &Log,
    group: &mut Readers,
    claim: &Claim,
    (name, now_ms): (&[u8], u64),
    reply: &mut Reply,
) -> u64 {
    let mut changes = u64::from(claim.last > group.last);
    group.last = group.last.max(claim.last);
    let (consumer, created) = group.add_consumer(name, now_ms);
    changes += u64::from(created);
    let array = reply.deferred();
    let mut claimed = 0;
    for id in &claim.ids {
        let held = group.pending_of(*id).copied();
        let Some(entry) = log.get(*id) else {
            changes += u64::from(group.acknowledge(*id));
            continue;
        };
        let before = match held {
            Some(pending) if is_idle(now_ms, pending.delivered_ms, claim.idle_ms) => pending.count,
            None if claim.force => 1,
            _ => continue,
        };
        let again = before.wrapping_add(u64::from(!claim.just_id));
        let delivered_ms = claim.delivered_ms.map_or(now_ms, |at| at as u64);
        group.give(*id, consumer, delivered_ms, claim.count.unwrap_or(again));
        if claim.just_id {
            reply_id(reply, *id);
        } else {
            reply_entry(reply, &entry);
        }
        claimed += 1;
    }
    reply.fill_array(array, claimed);
    seen(group, consumer, now_ms, claimed > 0);
    changes + claimed as u64
}

fn is_idle(now_ms: u64, delivered_ms: u64, least_ms: i64) -> bool {
    least_ms == 0 || now_ms as i64 - delivered_ms as i64 >= least_ms
}

/// Notes that a consumer has asked, and whether it got something.
fn seen(group: &mut Readers, consumer: ConsumerId, now_ms: u64, active: bool) {
    if let Some(consumer) = group.consumer_mut(consumer) {
        consumer.seen_ms = now_ms;
        consumer.active_ms = if active { Some(now_ms) } else { consumer.active_ms };
    }
}

fn xautoclaim(cx: &mut Context<'_>) -> Result<Done, Error> {
    let invalid_idle = Error::new("ERR Invalid min-idle-time argument for XAUTOCLAIM");
    let idle_ms = integer(cx.arg(4)).map_err(|_| invalid_idle)?.max(0);
    let from = interval_start(cx.arg(5))?;
    let (mut count, mut just_id) = (AUTO_COUNT, false);
    let mut at = 6;
    while at < cx.args.len() {
        if cx.is(at, "COUNT") && at + 1 < cx.args.len() {
            let asked = cx.integer(at + 1).ok().and_then(|asked| usize::try_from(asked).ok());
            let asked = asked.filter(|asked| (1..=AUTO_COUNT_MAX).contains(asked));
            count = asked.ok_or(Error::new("ERR COUNT must be > 0"))?;
            at += 1;
        } else if cx.is(at, "JUSTID") {
            just_id = true;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    let (db, key, name, consumer) = (cx.db(), cx.key(1), cx.arg(2), cx.arg(3));
    let now_ms = cx.now.unix_ms();
    let limits = cx.config.limits();
    cx.tell_miss(key);
    let reply = &mut *cx.reply;
    let mut is_new = false;
    let claimed = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
        stream.group(name, |log, group| {
            let (consumer, created) = group.add_consumer(consumer, now_ms);
            is_new = created;
            let walk = Walk::over(log, group, (from, count), (idle_ms, now_ms));
            let changes = walk.claimed.len() + walk.gone.len() + usize::from(created);
            walk.give(group, consumer, now_ms, just_id);
            walk.reply(log, reply, just_id);
            ((), changes as u64)
        })
    })?;
    if is_new {
        cx.notify(class::STREAM, CONSUMER_CREATED, key);
    }
    claimed.flatten().ok_or_else(|| no_group(key.bytes, name, ""))?;
    Ok(Done::Replied)
}

/// What XAUTOCLAIM has found among the pending entries.
struct Walk {
    /// Where the next walk begins.
    next: StreamId,
    claimed: Vec<StreamId>,
    /// Pending ids whose entries have gone.
    gone: Vec<StreamId>,
}

impl Walk {
    fn over(
        log: &Log,
        group: &Readers,
        (from, count): (StreamId, usize),
        (idle_ms, now_ms): (i64, u64),
    ) -> Self {
        let mut all = group.pending(from, StreamId::MAX);
        let (mut claimed, mut gone) = (Vec::new(), Vec::new());
        let mut attempts = count * ATTEMPTS;
        while attempts > 0 && claimed.len() + gone.len() < count {
            attempts -= 1;
            let Some((id, pending)) = all.next() else { break };
            if log.get(id).is_none() {
                gone.push(id);
            } else if is_idle(now_ms, pending.delivered_ms, idle_ms) {
                claimed.push(id);
            }
        }
        let next = all.next().map_or(StreamId::MIN, |(id, _)| id);
        Self { next, claimed, gone }
    }

    fn give(&self, group: &mut Readers, consumer: ConsumerId, now_ms: u64, just_id: bool) {
        for id in &self.gone {
            group.acknowledge(*id);
        }
        for id in &self.claimed {
            let before = group.pending_of(*id).map_or(0, |pending| pending.count);
            group.give(*id, consumer, now_ms, before.wrapping_add(u64::from(!just_id)));
        }
        seen(group, consumer, now_ms, !self.claimed.is_empty());
    }

    fn reply(&self, log: &Log, reply: &mut Reply, just_id: bool) {
        reply.array(3);
        reply_id(reply, self.next);
        reply.array(self.claimed.len());
        for id in &self.claimed {
            match log.get(*id).filter(|_| !just_id) {
                Some(entry) => reply_entry(reply, &entry),
                None => reply_id(reply, *id),
            }
        }
        reply.array(self.gone.len());
        for id in &self.gone {
            reply_id(reply, *id);
        }
    }
}

/// Entries that XAUTOCLAIM returns, unless told otherwise, and at most.
const AUTO_COUNT: usize = 100;
const AUTO_COUNT_MAX: usize = i64::MAX as usize / 16;
/// Pending entries that XAUTOCLAIM looks at for each that it may return.
const ATTEMPTS: usize = 10;
