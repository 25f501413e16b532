//! From key positions to locked shards, with room made first.
//!
//! Room in bytes is made before any lock is taken. Room in entries depends on how many of the
//! command's keys are missing, which only shows under the locks; so the keys are opened, the
//! missing ones counted and reserved, and when the limits do not allow that, the locks are given
//! back, victims evicted, and the keys opened again. That makes the entry limits exact, also with
//! several workers, and costs nothing while no such limit is set.
//!
//! Room in bytes is made for what is there already, not for what the command will add, so one
//! write may exceed `maxmemory`; a command evicts at most `VICTIMS_MAX` entries unless that would
//! leave memory far over the limit.

use pannier_resp::Args;
use pannier_store::{Key, Keyspace, Now, Open, Policy, Room, Scope, View};

use super::script;
use crate::command::keys::access;
use crate::command::row::KeyList;
use crate::command::{Command, Opens, flags};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::session::Session;

/// Victims for one command (0.3 ms) while memory is over its limit by less than a sixteenth.
const VICTIMS_MAX: usize = 500;
/// The part of `maxmemory` by which it may be exceeded while victims are counted.
const SLACK_PART: usize = 16;
/// The part of what is beyond the slack that one command works off, however many victims it takes.
const HASTE_PART: usize = 4;
/// Attempts to reserve room in entries, against other workers that take it first.
const RESERVE_TRIES: usize = 10_000;

/// Opens what a command needs; `lone` is its key, when there is but one.
pub(super) fn open<'a>(
    engine: &'a Engine,
    config: &Config,
    session: &Session,
    command: &Command,
    (args, lone): (Args<'_>, Option<Key<'_>>),
    now: Now,
) -> Result<View<'a>, Error> {
    let keyspace = &engine.keyspace;
    let keyspace_open = |open: Open<'_>, rules| {
        let mut view = keyspace.try_open(open, now, rules)?;
        view.set_origin(session.id());
        Some(view)
    };
    let mut rules = Engine::rules(config, !session.no_touch());
    rules.keep_expired = engine.pause.active(now.unix_ms()).is_some();
    if lacks_room(engine, config, (command, args), now) {
        return Err(Error::OOM);
    }
    if command.opens == Opens::Everything && !keyspace.has_entry_limit() {
        return keyspace_open(Open::All, rules).ok_or_else(|| busy(engine));
    }
    let mut keys = KeyList::new();
    keys.extend(lone);
    if lone.is_none() {
        command.key_positions(args, |at, _| keys.push(keyspace.key(args.get(at))));
    }
    let everything = command.looks_further.is_some_and(|looks| looks(args));
    let everything = everything || command.opens == Opens::Everything;
    let open = if everything { Open::All } else { Open::Keys(&keys) };
    if keys.is_empty() && command.opens != Opens::Everything {
        return keyspace_open(Open::Nothing, rules).ok_or_else(|| busy(engine));
    }
    let creates = command.is(flags::WRITE) || command.runs_script();
    if !creates || !keyspace.has_entry_limit() {
        let view = keyspace_open(open, rules).ok_or_else(|| busy(engine))?;
        if keys.len() > 1 {
            view.prefetch(session.database, &keys);
        }
        return Ok(view);
    }
    let mut creates = Creates::new();
    creatable(keyspace, command, args, session.database, &mut creates);
    reserve(engine, config, &creates, || keyspace_open(open, rules), now)
}

/// Whether a request is refused because memory is short; makes room first.
pub(super) fn lacks_room(
    engine: &Engine,
    config: &Config,
    (command, args): (&Command, Args<'_>),
    now: Now,
) -> bool {
    config.maxmemory > 0
        && !make_room(engine, config, now)
        && (command.is(flags::DENYOOM) || script::denies_oom(engine, command, args))
}

/// A script holds every shard for an unknown time.
fn busy(engine: &Engine) -> Error {
    engine.scripts.run.busy_error().unwrap_or(Error::BUSY_SCRIPT)
}

/// Keys that may be created, by database; distinct.
pub(super) type Creates<'a> = Vec<(usize, KeyList<'a>)>;

/// Adds the keys that a write command may create.
pub(super) fn creatable<'b>(
    keyspace: &Keyspace,
    command: &Command,
    args: Args<'b>,
    selected: usize,
    creates: &mut Creates<'b>,
) {
    let database = target_database(command, args, selected, keyspace.databases());
    let at = creates.iter().position(|(held, _)| *held == database).unwrap_or_else(|| {
        creates.push((database, KeyList::new()));
        creates.len() - 1
    });
    let keys = &mut creates[at].1;
    command.key_positions(args, |at, access| {
        let key = keyspace.key(args.get(at));
        let creates = access & (access::INSERT | access::UPDATE | access::OW) != 0;
        if creates && !keys.iter().any(|held| held.bytes == key.bytes) {
            keys.push(key);
        }
    });
}

/// The database in which a command creates keys: the selected one, unless it names another.
fn target_database(command: &Command, args: Args<'_>, selected: usize, databases: usize) -> usize {
    let named = match command.name {
        "move" => args.iter().nth(2),
        "copy" => {
            let mut words = args.iter().skip(3);
            words.find(|word| word.eq_ignore_ascii_case(b"DB")).and_then(|_| words.next())
        }
        _ => None,
    };
    named
        .and_then(pannier_resp::parse_i64)
        .and_then(|index| usize::try_from(index).ok())
        .filter(|index| *index < databases)
        .unwrap_or(selected)
}

/// Opens with room reserved for those of the keys that are missing.
pub(super) fn reserve<'a>(
    engine: &'a Engine,
    config: &Config,
    creates: &Creates<'_>,
    open: impl Fn() -> Option<View<'a>>,
    now: Now,
) -> Result<View<'a>, Error> {
    let room = Engine::room(config);
    for _ in 0..RESERVE_TRIES {
        let mut view = open().ok_or_else(|| busy(engine))?;
        let full = creates.iter().find_map(|(database, keys)| {
            let missing = view.missing(*database, keys);
            view.reserve(*database, missing).err()
        });
        let Some((database, over)) = full else { return Ok(view) };
        drop(view);
        let keyspace = &engine.keyspace;
        let (scope, entries, refusal) = match database {
            None => (Scope::Keyspace, keyspace.totals().entries, Error::OOM_ENTRIES),
            Some(index) => {
                (Scope::Database(index), keyspace.len(index), Error::OOM_DATABASE_ENTRIES)
            }
        };
        // What would not fit with everything else gone costs nobody an entry.
        if over > entries || !evict(engine, scope, room, over, now) {
            return Err(refusal);
        }
    }
    Err(Error::OOM_ENTRIES)
}

/// Evicts `n` entries; false when there are not so many victims.
fn evict(engine: &Engine, scope: Scope, room: Room, n: usize, now: Now) -> bool {
    room.policy != Policy::NoEviction && (0..n).all(|_| engine.keyspace.evict(scope, room, now))
}

/// Whether `needed` more bytes fit under the limit, after making room for them.
pub(super) fn has_room(engine: &Engine, config: &Config, needed: usize, now: Now) -> bool {
    let fits = || match config.maxmemory {
        0 => true,
        max => engine.used_memory() + needed <= max,
    };
    needed == 0 || fits() || make_room_for(engine, config, needed, now) && fits()
}

/// Brings bytes under their limit (see `make_room_for`).
pub(crate) fn make_room(engine: &Engine, config: &Config, now: Now) -> bool {
    make_room_for(engine, config, 0, now)
}

/// Brings bytes under their limit with `needed` to spare, by a bounded number of victims: what is
/// left over is worked off by later commands and by the periodic work. False when bytes stay above
/// `maxmemory` because nothing may be evicted.
fn make_room_for(engine: &Engine, config: &Config, needed: usize, now: Now) -> bool {
    let over = || match config.maxmemory {
        0 => 0,
        max => (engine.used_memory() + needed).saturating_sub(max),
    };
    let mut excess = over();
    // A large value may be worth ten thousand small ones. Counting victims alone would let memory
    // grow without bound under such values, so a part of what is far over the limit always goes.
    let beyond = excess.saturating_sub(config.maxmemory / SLACK_PART);
    let tolerable = excess - beyond / HASTE_PART;
    let room = Engine::room(config);
    let mut victims = 0;
    while excess > 0 && (victims < VICTIMS_MAX || excess > tolerable) {
        if !evict(engine, Scope::Keyspace, room, 1, now) {
            return false;
        }
        victims += 1;
        excess = over();
    }
    true
}

/// Evicts what a lowered limit in entries leaves over, if the policy allows; trackers, too.
pub(crate) fn trim(engine: &Engine, config: &Config, now: Now) {
    engine.keyspace.trim_trackers();
    let room = Engine::room(config);
    while let (Some((database, over)), _) = engine.keyspace.excess() {
        if !evict(engine, Scope::Database(database), room, over, now) {
            break;
        }
    }
    let (_, over) = engine.keyspace.excess();
    evict(engine, Scope::Keyspace, room, over, now);
}
