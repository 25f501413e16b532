//! Serving those who wait, by whoever has made their key ready.
//!
//! The thread whose command changed the key tries the waiting requests itself, before its next
//! request and, as far as possible, under the locks that it still holds: then a push and its
//! delivery are one step, as in Redis. A waiter's request is run by the ordinary handler, for a
//! session that stands in for the one that waits; it takes from the first of *its* keys that has
//! something. The reply goes into the waiter's mailbox when the locks are given back.
//!
//! Keys are taken in the order in which they became ready, the waiters of a key in the order in
//! which they came. What serving makes ready (BLMOVE pushes) is served in the same way, until
//! nothing is left; that ends, because each step takes a waiter out or goes on in its queue.
//!
//! A request whose keys lie in further shards needs those open, too. Waiting for a shard below
//! one that is held could lock two threads against each other, so such a shard is only tried. If
//! it is taken, the locks are given back and the union is opened in order. In that moment another
//! client may take what was pushed: nothing is lost, the waiter keeps its place, and the other one
//! was served as if it had come first. The alternative, to open for each write what all waiters of
//! its keys may need, would make every push to a queue of Celery's lock what its workers wait for.
//!
//! Neighbours: `store::waiters` holds the queues, `waiting` the sessions' side. Called by `exec`
//! after single requests, groups and transactions, and by the engine's housekeeping.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::{Protocol, Reply};
use pannier_store::{Now, View, Waiter};

use super::compress::Ahead;
use super::open::{self, Creates};
use super::settle::{self, Executed};
use crate::clients::Client;
use crate::command::{Context, Done, flags};
use crate::engine::Engine;
use crate::error::Error;
use crate::mailbox::Letter;
use crate::session::Session;
use crate::stats::Lane;
use crate::waiting::Parked;

/// Who has been served, and what they get.
type Served = Vec<(Arc<Client>, Letter)>;

/// Gives the opened keys back, after serving whoever waits for what has become ready. Returns the
/// microseconds that it took.
#[inline]
pub(super) fn close(cx: Context<'_>) -> u64 {
    let engine = cx.engine;
    if engine.keyspace.ready_shards() == 0 {
        return 0;
    }
    let lane = Arc::clone(&cx.session.lane);
    serve(engine, &lane, Some(cx.view), cx.now)
}

/// Serves whoever waits for what has become ready: in this view, if there is one, and wherever
/// else it is needed. Returns the microseconds that it took.
pub(crate) fn serve(engine: &Engine, lane: &Arc<Lane>, view: Option<View<'_>>, now: Now) -> u64 {
    let started = engine.host.mono_us();
    // The command that made the keys ready may have taken its time.
    let passed_us = started.saturating_sub(now.mono_us);
    let now = Now { unix_us: now.unix_us + passed_us, mono_us: now.mono_us + passed_us };
    let mut served = Served::new();
    let mut missing = view.map_or(0, |mut view| {
        view.advance(now);
        round(engine, lane, view, now, &mut served)
    });
    loop {
        let shards = missing | engine.keyspace.ready_shards();
        if shards == 0 {
            break;
        }
        let rules = Engine::rules(&engine.config.load(), true);
        let Some(view) = engine.keyspace.open_shards(shards, now, rules) else {
            // A script holds the shards; who ends it serves what is ready.
            break;
        };
        missing = round(engine, lane, view, now, &mut served);
    }
    if !served.is_empty() {
        let mut left = &served[..];
        // Who tracks hears of a change before the reply that already knows it, but of the changes
        // that its own request has made behind the reply to that.
        engine.deliver_behind(&mut |by| {
            if let Some(at) = left.iter().position(|(client, _)| client.id == by) {
                let (told, rest) = left.split_at(at + 1);
                left = rest;
                tell(told);
            }
        });
        tell(left);
    }
    trim(engine, now);
    engine.host.mono_us() - started
}

/// Gives clients what they were served.
fn tell(served: &[(Arc<Client>, Letter)]) {
    for (client, letter) in served {
        client.mailbox.post(letter.clone());
    }
}

/// Evicts what serving has put over a limit in entries.
fn trim(engine: &Engine, now: Now) {
    if engine.keyspace.has_entry_limit() {
        open::trim(engine, &engine.config.load(), now);
    }
}

/// Serves in one view; returns the shards that it lacks.
fn round(
    engine: &Engine,
    lane: &Arc<Lane>,
    mut view: View<'_>,
    now: Now,
    served: &mut Served,
) -> u64 {
    let mut place = Place::default();
    let Some(first) = place.next(&mut view) else { return 0 };
    let (Some(parked), Some(own)) = (first.parked::<Parked>(), engine.itself.upgrade()) else {
        return 0;
    };
    let mut session = Session::new(own, Arc::clone(&parked.client), Arc::clone(lane), false);
    session.stands_in = true;
    session.authenticated = true;
    let config = &*engine.config.load();
    let tried = Tried::default();
    let (mut tried, mut reply) = (&tried, Reply::new(Protocol::Resp2));
    let (command, ahead, hashed) = (parked.found.command, &Ahead::default(), None);
    let (session, reply, args) = (&mut session, &mut reply, parked.args.args());
    let mut cx = Context {
        engine,
        config,
        session,
        command,
        args,
        ahead,
        view: view.shorten(),
        hashed,
        reply,
        now,
    };
    let mut next = Some(Arc::clone(&first));
    while let Some(waiter) = next {
        if !cx.view.extend(waiter.shards()) {
            place.again(&mut cx.view);
            return waiter.shards();
        }
        let kept;
        (kept, tried) = tried.keep(waiter);
        match attempt(&mut cx, kept) {
            Attempt::Served(told) => served.push(told),
            Attempt::Vain if kept.kin() != 0 => place.vain.push(kept.kin()),
            Attempt::Vain | Attempt::Gone => {}
        }
        next = place.next(&mut cx.view);
    }
    0
}

/// What came of trying a waiter's request.
enum Attempt {
    /// The client, and what it gets.
    Served((Arc<Client>, Letter)),
    /// Nothing: it waits on.
    Vain,
    /// It waits no longer.
    Gone,
}

/// Tries a waiter's request. All its shards are open.
fn attempt<'a>(cx: &mut Context<'a>, waiter: &'a Waiter) -> Attempt {
    let Some(parked) = waiter.parked::<Parked>() else { return Attempt::Gone };
    if !waiter.begin() {
        // Its client gave up while a script held the shards.
        cx.view.forget(waiter);
        return Attempt::Gone;
    }
    if parked.client.closing.load(Relaxed) {
        // It was killed: it takes nothing any more.
        cx.view.withdraw(waiter);
        return Attempt::Gone;
    }
    cx.session.client = Arc::clone(&parked.client);
    // What serving changes is the waiter's doing, not that of who has made its key ready.
    cx.view.set_origin(parked.client.id);
    cx.session.database = parked.database;
    cx.session.protocol = parked.protocol;
    (cx.command, cx.args) = (parked.found.command, parked.args.args());
    cx.reply.clear();
    cx.reply.set_protocol(parked.protocol);
    let (started, dirty_before) = (cx.engine.host.mono_us(), cx.view.dirty());
    let mark = cx.reply.mark();
    let outcome = reserve(cx).and_then(|()| (cx.command.handler)(cx));
    let dirty = cx.view.dirty() - dirty_before;
    let failed = match outcome {
        Ok(Done::Wait) => {
            let us = cx.engine.host.mono_us() - started;
            parked.spent_us.fetch_add(us, Relaxed);
            waiter.rest();
            settle::changed(cx.engine, cx.session, dirty, cx.view.sooner());
            return Attempt::Vain;
        }
        Ok(_) => false,
        Err(error) => {
            cx.reply.cut(mark);
            cx.reply.error(error.message());
            cx.session.lane.count_error(error.code());
            true
        }
    };
    if parked.tracks {
        cx.track_keys();
    }
    cx.view.withdraw(waiter);
    parked.client.blocked.store(false, Relaxed);
    let (id, args, sooner) = (parked.found.id, cx.args, cx.view.sooner());
    let started = started.saturating_sub(parked.spent_us.load(Relaxed));
    let ran = Executed { id, args, failed, dirty, sooner, started };
    settle::settle(cx.engine, cx.config, cx.session, ran, (cx.reply, mark), cx.now);
    let mut bytes = Vec::with_capacity(cx.reply.len());
    cx.reply.write_to(&mut bytes);
    Attempt::Served((Arc::clone(&parked.client), Letter::Served(bytes.into())))
}

/// Reserves room for the key that a request may create. Where something may be evicted, that is
/// done afterwards (`trim`), because it takes other locks.
fn reserve(cx: &mut Context<'_>) -> Result<(), Error> {
    let keyspace = &cx.engine.keyspace;
    if !keyspace.has_entry_limit() || !cx.command.is(flags::DENYOOM) {
        return Ok(());
    }
    let mut creates = Creates::new();
    open::creatable(keyspace, cx.command, cx.args, cx.session.database, &mut creates);
    for (database, keys) in &creates {
        let missing = cx.view.missing(*database, keys);
        match cx.view.reserve(*database, missing) {
            Err((None, _)) if !evicts(cx) => return Err(Error::OOM_ENTRIES),
            Err((Some(_), _)) if !evicts(cx) => return Err(Error::OOM_DATABASE_ENTRIES),
            _ => {}
        }
    }
    Ok(())
}

fn evicts(cx: &Context<'_>) -> bool {
    cx.config.maxmemory_policy != pannier_store::Policy::NoEviction
}

/// Where a walk over ready keys and their waiters stands.
#[derive(Default)]
struct Place {
    key: Option<(usize, Box<[u8]>)>,
    /// Number of the waiter that was tried last.
    behind: u64,
    /// Of whom one was tried in vain: what the key holds is for none of them.
    vain: Vec<u64>,
}

impl Place {
    /// The next waiter to be tried.
    fn next(&mut self, view: &mut View<'_>) -> Option<Arc<Waiter>> {
        loop {
            if let Some((database, key)) = &self.key
                && let Some(waiter) = view.next_waiter(*database, key, (self.behind, &self.vain))
            {
                self.behind = waiter.number();
                return Some(waiter);
            }
            self.key = Some(view.next_ready()?);
            self.behind = 0;
            self.vain.clear();
        }
    }

    /// Has the key looked at again, in another view.
    fn again(&self, view: &mut View<'_>) {
        if let Some((database, key)) = &self.key {
            view.ready_again(*database, key);
        }
    }
}

/// The waiters that were tried, kept because the context borrows their arguments: a list that
/// grows at its end while its elements are borrowed.
#[derive(Default)]
struct Tried(OnceCell<(Arc<Waiter>, Box<Self>)>);

impl Tried {
    fn keep(&self, waiter: Arc<Waiter>) -> (&Waiter, &Self) {
        let (kept, rest) = self.0.get_or_init(|| (waiter, Box::default()));
        (kept, rest)
    }
}

impl Drop for Tried {
    /// One after the other: ten thousand boxes in each other would take as many frames.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some((_, mut rest)) = next {
            next = rest.0.take();
        }
    }
}
