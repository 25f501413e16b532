//! Waiters: requests that wait for a key, in the order in which they came.
//!
//! A blocking command that finds nothing leaves a [`Waiter`] with each key it waits for; the
//! queues are part of the shards' tables of interest. A change of such a key writes the key into
//! its shard's list of ready keys and the shard into the keyspace's bell, one word that whoever
//! has changed something looks at. While nobody waits, a change costs the check for an empty table
//! that it makes anyway; while somebody waits for other keys, one lookup more.
//!
//! What a waiter wants is known here only as far as it saves vain attempts: the type of its key,
//! and whether it wants to hear that the key is gone. The rest is the owner's, who tries the
//! request again and withdraws the waiter when that had a result.
//!
//! Rules. Whether a waiter is finished is decided under the lock of its first key's shard, by
//! whoever sets its state first: the one that serves it (and holds the shards of all its keys),
//! or the one that gives up waiting. Only while a script keeps all shards for long does one give up
//! without that lock, and not while the request is being tried. So nothing happens to a waiter
//! twice, and an element that is taken for it is taken for somebody who still waits. Numbers are
//! given under the locks of its keys, so that every queue ascends by them.
//!
//! Neighbours: `interest` reports changes; `pannier_engine`'s `exec::serve` is the user.
//! Tests: `tests::waiters`, and the simulation of `pannier-tests`.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU8, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use foldhash::fast::RandomState;

use crate::guards::OpenShards;
use crate::hash::Key;
use crate::keyspace::Keyspace;
use crate::value::Kind;
use crate::{Now, Rules, View};

/// States of a waiter.
const WAITING: u8 = 0;
const TRIED: u8 = 1;
const FINISHED: u8 = 2;

/// A request that waits. See the module's header.
pub struct Waiter {
    number: u64,
    database: usize,
    kind: Kind,
    without_key: bool,
    kin: u64,
    keys: Box<[Box<[u8]>]>,
    shards: u64,
    state: AtomicU8,
    parked: Box<dyn Any + Send + Sync>,
}

/// What a waiter waits for.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// The database of its keys.
    pub database: usize,
    /// The type of value that may serve it.
    pub kind: Kind,
    /// Whether it is also tried when its key is missing or of another type.
    pub without_key: bool,
    /// Requests with the same number are served by a key as one or not at all, so that one that
    /// was tried in vain stands for all of them; 0 is for those of which that is not known.
    pub kin: u64,
    /// The keys; none is fine.
    pub keys: &'a [Key<'a>],
}

impl Waiter {
    /// Ascends in the order in which waiters came.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The shards that its request opens, as bits.
    pub fn shards(&self) -> u64 {
        self.shards
    }

    /// What its owner said of requests like it.
    pub fn kin(&self) -> u64 {
        self.kin
    }

    /// Whether it waits no longer.
    pub fn is_finished(&self) -> bool {
        self.state.load(Acquire) == FINISHED
    }

    /// Says that its request is being tried, by whoever holds its shards; false when it is
    /// finished.
    pub fn begin(&self) -> bool {
        self.state.compare_exchange(WAITING, TRIED, AcqRel, Acquire).is_ok()
    }

    /// Says that the trial had no result: it waits on.
    pub fn rest(&self) {
        self.state.store(WAITING, Release);
    }

    /// Finishes it without its shards, unless it is being tried or finished.
    fn leave(&self) -> bool {
        self.state.compare_exchange(WAITING, FINISHED, AcqRel, Acquire).is_ok()
    }

    /// What its owner has left with it.
    pub fn parked<T: 'static>(&self) -> Option<&T> {
        self.parked.downcast_ref()
    }

    fn finish(&self) -> bool {
        self.state.swap(FINISHED, AcqRel) != FINISHED
    }

    fn takes(&self, kind: Option<Kind>) -> bool {
        self.without_key || kind == Some(self.kind)
    }
}

/// Which shards have keys that became ready, as bits, and a clock for their order.
#[derive(Default)]
pub(crate) struct Bell {
    shards: AtomicU64,
    clock: AtomicU64,
}

/// Those who wait for one key.
#[derive(Default)]
struct Queue {
    waiters: VecDeque<Arc<Waiter>>,
    /// How many want a value of each kind.
    kinds: [usize; Kind::ALL.len()],
    /// How many of them also want to know that the key is gone.
    without_key: usize,
    /// The key is in the list of ready keys.
    ready: bool,
}

type Queues = HashMap<Box<[u8]>, Queue, RandomState>;

/// A key that has changed, and when.
struct Ready {
    at: u64,
    database: usize,
    key: Box<[u8]>,
}

/// One shard's queues, by database.
pub(crate) struct Waiting {
    databases: Vec<Queues>,
    keys: usize,
    ready: VecDeque<Ready>,
    bell: Arc<Bell>,
    /// The shard's bit.
    bit: u64,
}

impl Waiting {
    pub(crate) fn new(bell: Arc<Bell>, shard: usize) -> Self {
        let (databases, ready) = (Vec::new(), VecDeque::new());
        Self { databases, keys: 0, ready, bell, bit: 1 << shard }
    }

    /// Whether nobody waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Number of keys that are waited for, and how many of these for their end as well.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let queues = self.databases.iter().flat_map(HashMap::values);
        (self.keys, queues.filter(|queue| queue.without_key > 0).count())
    }

    /// The keys of a database that are waited for, sorted.
    pub(crate) fn keys(&self, database: usize) -> Vec<Box<[u8]>> {
        let queues = self.databases.get(database);
        let mut keys: Vec<_> = queues.into_iter().flat_map(HashMap::keys).cloned().collect();
        keys.sort_unstable();
        keys
    }

    fn queue(&mut self, database: usize, key: &[u8]) -> Option<&mut Queue> {
        self.databases.get_mut(database)?.get_mut(key)
    }

    fn add(&mut self, key: &[u8], waiter: &Arc<Waiter>) {
        if self.databases.len() <= waiter.database {
            self.databases.resize_with(waiter.database + 1, Queues::default);
        }
        let queues = &mut self.databases[waiter.database];
        if !queues.contains_key(key) {
            queues.insert(key.into(), Queue::default());
            self.keys += 1;
        }
        if let Some(queue) = queues.get_mut(key)
            && queue.waiters.back().is_none_or(|last| last.number != waiter.number)
        {
            queue.kinds[waiter.kind as usize] += 1;
            queue.without_key += usize::from(waiter.without_key);
            queue.waiters.push_back(Arc::clone(waiter));
        }
    }

    fn remove(&mut self, key: &[u8], waiter: &Waiter) {
        let Some(queues) = self.databases.get_mut(waiter.database) else { return };
        let Some(queue) = queues.get_mut(key) else { return };
        if let Ok(at) = queue.waiters.binary_search_by_key(&waiter.number, |held| held.number) {
            queue.waiters.remove(at);
            queue.kinds[waiter.kind as usize] -= 1;
            queue.without_key -= usize::from(waiter.without_key);
        }
        if queue.waiters.is_empty() {
            queues.remove(key);
            self.keys -= 1;
            if queues.is_empty() {
                queues.shrink_to_fit();
            }
        }
    }

    /// A key has changed.
    #[cold]
    pub(crate) fn changed(&mut self, database: usize, key: &[u8]) {
        let Some(queue) = self.queue(database, key) else { return };
        if !std::mem::replace(&mut queue.ready, true) {
            let at = self.bell.clock.fetch_add(1, Relaxed);
            self.ready.push_back(Ready { at, database, key: key.into() });
            self.bell.shards.fetch_or(self.bit, Relaxed);
        }
    }

    /// Takes the oldest ready key.
    fn next_ready(&mut self) -> Option<Ready> {
        let ready = self.ready.pop_front()?;
        if self.ready.is_empty() {
            self.ready.shrink_to_fit();
            self.bell.shards.fetch_and(!self.bit, Relaxed);
        }
        if let Some(queue) = self.queue(ready.database, &ready.key) {
            queue.ready = false;
        }
        Some(ready)
    }

    /// The first behind a number that a value of this kind (or none) may serve.
    fn next(
        &self,
        database: usize,
        key: &[u8],
        kind: Option<Kind>,
        (behind, vain): (u64, &[u64]),
    ) -> Option<&Arc<Waiter>> {
        let queue = self.databases.get(database)?.get(key)?;
        if queue.without_key + kind.map_or(0, |kind| queue.kinds[kind as usize]) == 0 {
            return None;
        }
        let from = queue.waiters.partition_point(|held| held.number <= behind);
        let mut rest = queue.waiters.range(from..);
        rest.find(|held| held.takes(kind) && !vain.contains(&held.kin))
    }
}

impl Keyspace {
    /// The shards in which keys became ready that somebody waits for, as bits.
    #[inline]
    pub fn ready_shards(&self) -> u64 {
        self.bell.shards.load(Relaxed)
    }

    /// Locks these shards, in ascending order; `None` when they are not to be waited for.
    pub fn open_shards(&self, shards: u64, now: Now, rules: Rules) -> Option<View<'_>> {
        View::lock(self, shards, now, rules)
    }

    /// Takes a waiter out of every queue; false when it has been served or withdrawn before. No
    /// shard may be locked by the caller.
    pub fn withdraw(&self, waiter: &Waiter) -> bool {
        let Some(home) = waiter.keys.first() else { return waiter.finish() };
        let shard = |key: &[u8]| self.lock(self.shard_of(self.hasher.hash(key)));
        loop {
            match shard(home) {
                Some(mut shard) => {
                    if !waiter.finish() {
                        return false;
                    }
                    shard.interest.waiting.remove(home, waiter);
                    break;
                }
                // A script holds the shards for long: it stays in its queues, finished, until
                // somebody comes across it there.
                None if waiter.leave() => return true,
                None if waiter.is_finished() => return false,
                // The script has ended, and it is just being tried.
                None => {}
            }
        }
        for key in &waiter.keys[1..] {
            if let Some(mut shard) = shard(key) {
                shard.interest.waiting.remove(key, waiter);
            }
        }
        true
    }
}

impl View<'_> {
    /// Leaves a waiter with each of its keys, which must be open as all keys of its request are.
    pub fn park(&mut self, want: Want<'_>, parked: Box<dyn Any + Send + Sync>) -> Arc<Waiter> {
        let Want { database, kind, without_key, kin, keys } = want;
        let number = self.keyspace.bell.clock.fetch_add(1, Relaxed) + 1;
        let waiter = Arc::new(Waiter {
            number,
            database,
            kind,
            without_key,
            kin,
            keys: keys.iter().map(|key| key.bytes.into()).collect(),
            shards: self.mask,
            state: AtomicU8::new(WAITING),
            parked,
        });
        for key in keys {
            self.shard(*key).interest.waiting.add(key.bytes, &waiter);
        }
        waiter
    }

    /// Takes a waiter out of every queue, in a view that has its shards open or none at all; false
    /// when it has been served or withdrawn before.
    pub fn withdraw(&mut self, waiter: &Waiter) -> bool {
        if waiter.shards & !self.mask != 0 {
            debug_assert_eq!(self.mask, 0, "a shard was locked while others were held");
            return self.keyspace.withdraw(waiter);
        }
        if !waiter.finish() {
            return false;
        }
        self.forget(waiter);
        true
    }

    /// Takes a finished waiter, whose shards are open, out of every queue.
    pub fn forget(&mut self, waiter: &Waiter) {
        for key in &waiter.keys {
            let key = self.keyspace.key(key);
            self.shard(key).interest.waiting.remove(key.bytes, waiter);
        }
    }

    /// Takes the key that became ready first in the opened shards.
    pub fn next_ready(&mut self) -> Option<(usize, Box<[u8]>)> {
        if self.keyspace.ready_shards() & self.mask == 0 {
            return None;
        }
        let heads = self.guards.iter().map(|shard| shard.interest.waiting.ready.front());
        let heads = heads.enumerate().filter_map(|(index, head)| Some((head?.at, index)));
        let (_, oldest) = heads.min()?;
        let waiting = &mut self.guards.at_mut(oldest).interest.waiting;
        waiting.next_ready().map(|ready| (ready.database, ready.key))
    }

    /// Has a key looked at again, by whoever serves next.
    pub fn ready_again(&mut self, database: usize, key: &[u8]) {
        let key = self.keyspace.key(key);
        self.shard(key).interest.waiting.changed(database, key.bytes);
    }

    /// The next in a key's queue, behind a number and of no kin that was tried in vain, whom the
    /// key as it is now may serve.
    pub fn next_waiter(
        &mut self,
        database: usize,
        key: &[u8],
        (behind, vain): (u64, &[u64]),
    ) -> Option<Arc<Waiter>> {
        let key = self.keyspace.key(key);
        let kind = self.peek(database, key).map(|found| found.kind());
        self.shard(key).interest.waiting.next(database, key.bytes, kind, (behind, vain)).cloned()
    }

    /// Opens more shards, if that is possible without waiting out of order: what lies above the
    /// shards held is waited for, what lies below must be free.
    pub fn extend(&mut self, shards: u64) -> bool {
        let mut rest = shards & !self.mask;
        while rest != 0 {
            let index = rest.trailing_zeros() as usize;
            let shards = &self.keyspace.shards;
            let guard = match self.mask >> index {
                0 => shards.lock(index),
                _ => match shards.try_lock(index) {
                    Some(guard) => guard,
                    None => return false,
                },
            };
            let at = (self.mask & ((1 << index) - 1)).count_ones() as usize;
            self.guards.insert(at, guard);
            self.mask |= 1 << index;
            rest &= rest - 1;
        }
        true
    }
}
