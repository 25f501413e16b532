//! Groups: pipelined requests that are opened together and executed in order.
//!
//! On a keyspace larger than the CPU's caches a lookup is mostly waiting for memory. The keys of
//! up to [`GROUP_MAX`] requests of a pipeline are hashed first, the union of their shards is
//! locked once, the buckets and then the entries of all keys are prefetched, and in large
//! collections the elements that the requests name; only then are the requests executed, one after
//! the other. What every request would pay alone is paid once: the locks, the gate, the clock, the
//! statistics.
//!
//! Rules. Only brief commands with one key are grouped (`Command::is_brief`), because others wait
//! for the shards meanwhile; not a write whose value is to be compressed first (`compress`). A
//! group ends where the next request is of another kind, and where a key became ready that
//! somebody waits for. There is none while a session, a monitor, a script, a pause, a fault or the
//! recorder asks for a look before each request; a write is in none while a limit in entries is
//! set.
//! Room in bytes is made for all writes of a group before it is opened. So nothing that the gate
//! asks can change inside a group. Replies, errors and their order are those of single execution.
//! A group's time is shared out evenly between its requests; a slow one among them is known by
//! the coarse clock, which is looked at after each, and is logged with its own time.
//!
//! Neighbours: `exec` takes the single path when there is no group. Measured at a million keys of
//! 64 bytes, pipeline 16: GET takes 0.6 of the CPU time that it takes without groups.

use std::ops::Range;

use pannier_resp::{Args, Batch, Reply};
use pannier_store::{Key, Now, Open};
use smallvec::SmallVec;

use super::compress::Ahead;
use super::settle::{self, Ran};
use super::{open, serve};
use crate::command::{Context, Done, Resolved, flags};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::logs::Request;
use crate::session::{ReplyMode, Session};

/// Requests of one group. Their failures are kept as bits of a word.
pub(super) const GROUP_MAX: usize = 64;

/// A longer request is executed by itself.
const REQUEST_LEN_MAX: usize = 16 << 10;

/// A group ends early when it has replied so much: long values may have to be inflated, at 2 us
/// a KiB, while others wait for the shards.
const REPLY_LEN_MAX: usize = 256 << 10;

/// The requests of a group: their keys, and the numbers of their rows.
#[derive(Default)]
struct Group<'b> {
    keys: SmallVec<[Key<'b>; GROUP_MAX]>,
    ids: SmallVec<[u16; GROUP_MAX]>,
    /// Elements of collections that the requests name, with the keys of these.
    elements: SmallVec<[(Key<'b>, &'b [u8]); GROUP_MAX]>,
}

/// Executes the requests at the head of `requests` that can be grouped; returns how many, 0 when
/// there is no group.
pub(super) fn run(
    engine: &Engine,
    session: &mut Session,
    (batch, buf): (&Batch, &[u8]),
    requests: Range<usize>,
    (reply, now): (&mut Reply, Now),
) -> usize {
    if requests.len() < 2 {
        return 0;
    }
    let config = &*engine.config.load();
    if !may_group(engine, config, session, now) {
        return 0;
    }
    let mut group = Group::default();
    let from = requests.start;
    let needed = collect(engine, config, (batch, buf), requests, &mut group);
    if group.keys.len() < 2 || !open::has_room(engine, config, needed, now) {
        return 0;
    }
    execute(engine, config, session, ((batch, buf), from, &group), (reply, now))
}

/// Whether nothing has to be asked before each request.
fn may_group(engine: &Engine, config: &Config, session: &Session, now: Now) -> bool {
    session.queue.is_none()
        && !session.expects_pushes()
        && session.fate.is_none()
        && !engine.is_observed(now)
        && session.reply_mode == ReplyMode::On
        && !session.needs_password(config)
        && !config.measures_each()
}

/// Finds out which requests form the group; returns the bytes by which they may make the keyspace
/// grow.
fn collect<'b>(
    engine: &Engine,
    config: &Config,
    (batch, buf): (&'b Batch, &'b [u8]),
    requests: Range<usize>,
    group: &mut Group<'b>,
) -> usize {
    let limited = engine.keyspace.has_entry_limit();
    let mut needed = 0;
    let mut last: Option<(&[u8], Resolved, usize)> = None;
    for at in requests.take(GROUP_MAX) {
        let args = batch.request(at, buf);
        let name = args.get(0);
        let (found, key_at) = match last {
            // A pipeline is mostly one command.
            Some((held, found, key_at)) if held == name => (found, key_at),
            _ => {
                let Some(found) = engine.commands.find(name) else { break };
                let Some(key_at) = engine.commands.groupable(found.id) else { break };
                last = Some((name, found, key_at));
                (found, key_at)
            }
        };
        let command = found.command;
        if !command.accepts(args.len()) || args.wire_len() > REQUEST_LEN_MAX {
            break;
        }
        if command.is(flags::WRITE) && limited || Ahead::concerns(config, command, args) {
            break;
        }
        if command.is(flags::DENYOOM) {
            needed += growth(args);
        }
        let key = engine.keyspace.key(args.get(key_at));
        if command.element > 0 {
            group.elements.push((key, args.get(command.element)));
        }
        group.keys.push(key);
        group.ids.push(found.id);
    }
    needed
}

/// Bytes by which a request may make the keyspace grow, as far as its length tells.
fn growth(args: Args<'_>) -> usize {
    args.wire_len() + ENTRY_OVERHEAD
}

/// What an entry takes beyond its key and value, rounding included.
const ENTRY_OVERHEAD: usize = 128;

/// Executes the group, or the head of it; returns how many requests.
fn execute(
    engine: &Engine,
    config: &Config,
    session: &mut Session,
    ((batch, buf), from, group): ((&Batch, &[u8]), usize, &Group<'_>),
    (reply, now): (&mut Reply, Now),
) -> usize {
    let rules = Engine::rules(config, !session.no_touch());
    let Some(mut view) = engine.keyspace.try_open(Open::Keys(&group.keys), now, rules) else {
        // The single path says why not.
        return 0;
    };
    view.set_origin(session.id());
    view.prefetch(session.database, &group.keys);
    if !group.elements.is_empty() {
        view.prefetch_elements(session.database, &group.elements);
    }
    let mut watch = settle::Watch::start(engine, config);
    let command = engine.commands.row(group.ids[0]);
    let args = batch.request(from, buf);
    let (hashed, ahead) = (None, &Ahead::default());
    let mut cx =
        Context { engine, config, session, command, args, ahead, view, hashed, reply, now };
    let (begin, mut done, mut failures) = (cx.reply.mark(), 0, 0u64);
    for (index, (key, id)) in group.keys.iter().zip(&group.ids).enumerate() {
        (cx.args, cx.hashed) = (batch.request(from + index, buf), Some(*key));
        cx.command = engine.commands.row(*id);
        let mark = cx.reply.mark();
        if let Err(error) = run_one(&mut cx) {
            cx.reply.cut(mark);
            cx.reply.error(error.message());
            cx.session.lane.count_error(error.code());
            failures |= 1 << index;
        }
        let (command, args) = (cx.command, cx.args);
        watch.passed(engine, cx.session, Request { command, args }, cx.reply.len_since(mark), now);
        done = index + 1;
        let ready = engine.keyspace.ready_shards() != 0;
        if ready || cx.reply.len_since(begin) >= REPLY_LEN_MAX {
            break;
        }
    }
    let (dirty, sooner) = (cx.view.dirty(), cx.view.sooner());
    let us = watch.elapsed_us(engine);
    serve::close(cx);
    engine.deliver();
    let ran = Ran { ids: &group.ids[..done], failures, dirty, sooner };
    settle::settle_group(engine, config, session, ran, us, now);
    done
}

/// Runs the handler. Nothing that is grouped asks for more than a reply.
#[inline]
fn run_one(cx: &mut Context<'_>) -> Result<(), Error> {
    let done = (cx.command.handler)(cx)?;
    debug_assert_eq!(done, Done::Replied, "{} cannot be grouped", cx.command.name);
    Ok(())
}

const _: () = assert!(GROUP_MAX <= u64::BITS as usize);
