//! Checkpoints: what a rollback brings back, to the byte and to the sum.
//!
//! A random walk over everything that changes a keyspace (that of `accounting`), with checkpoints
//! in between and a digest of the whole at each; and one test for each promise that the digest
//! cannot see.

use std::collections::BTreeMap;

use super::accounting::Walk;
use super::*;
use crate::value::{FORM, Item, Kind};
use crate::{Hash, Kept, Limits, Policy, Room, Scope, Waiter, Want};

/// What can be seen of an entry: flags, deadline, bytes, content.
type Seen = (u8, Option<u64>, usize, Vec<(Vec<u8>, Option<u64>)>);

fn seen(item: &Item) -> Seen {
    let mut content = Vec::new();
    match large_hash(item) {
        Some(hash) => {
            hash.recounted();
            crate::HashRef::Large { hash, now_ms: 0 }.for_each_timed(|field, value, deadline| {
                content.push((format!("{field:?} {value:?}").into_bytes(), deadline));
            });
            content.sort();
        }
        None => match Str::of(item) {
            Ok(string) => content.push((string.to_vec(), None)),
            Err(_) => content.push((format!("{:?}", packed(item)).into_bytes(), None)),
        },
    }
    (item.flags() & FORM, item.deadline(), footprint(item), content)
}

fn packed(item: &Item) -> Option<&[u8]> {
    match item.payload() {
        pannier_collections::Payload::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

/// Everything that a rollback must bring back.
#[derive(Debug, PartialEq)]
struct Digest {
    entries: BTreeMap<(usize, Vec<u8>), Seen>,
    /// Keys by database, as the counters say.
    lens: Vec<usize>,
    /// Bytes of the entries, as the counters say.
    bytes: usize,
}

fn digest(keyspace: &Keyspace) -> Digest {
    let mut entries = BTreeMap::new();
    for index in 0..keyspace.shards() {
        let shard = keyspace.shards.lock(index);
        for (index, part) in shard.databases.iter().enumerate() {
            for item in part.table.iter() {
                entries.insert((index, item.key().to_vec()), seen(item));
            }
        }
    }
    let overhead = keyspace.open(Open::Nothing, at(START_MS), Rules::default()).overhead();
    let lens = (0..keyspace.databases()).map(|database| keyspace.len(database)).collect();
    Digest { entries, lens, bytes: keyspace.totals().bytes - overhead }
}

/// Runs `work` on a view of everything.
fn all<R>(keyspace: &Keyspace, now_ms: u64, work: impl FnOnce(&mut View<'_>) -> R) -> R {
    work(&mut keyspace.open(Open::All, at(now_ms), Rules::default()))
}

fn nothing_kept(keyspace: &Keyspace) {
    for index in 0..keyspace.shards() {
        assert_eq!(
            keyspace.shards.lock(index).interest.kept.capacity(),
            0,
            "memory is held for checkpoints that are gone"
        );
    }
}

fn walk(seed: u64, shards: usize, steps: usize) {
    let keyspace = keyspace(shards);
    let mut walk = Walk::new(seed);
    // The checkpoints with their digests and times.
    let mut marks: Vec<(Digest, u64)> = Vec::new();
    let (mut rollbacks, mut changes) = (0, 0);
    for _ in 0..steps {
        match walk.rng.u32(..60) {
            0 | 1 if marks.len() < 4 => {
                let depth = all(&keyspace, walk.now_ms, |view| view.checkpoint());
                assert_eq!(depth, marks.len());
                marks.push((digest(&keyspace), walk.now_ms));
            }
            2 if !marks.is_empty() => {
                let depth = walk.rng.usize(..marks.len());
                let before = digest(&keyspace);
                all(&keyspace, walk.now_ms, |view| view.release(depth));
                marks.remove(depth);
                assert_eq!(digest(&keyspace), before, "a release changes nothing");
            }
            3 | 4 if !marks.is_empty() => {
                let depth = walk.rng.usize(..marks.len());
                marks.truncate(depth + 1);
                if walk.rng.bool() {
                    walk.now_ms = marks[depth].1;
                }
                let now = digest(&keyspace);
                all(&keyspace, walk.now_ms, |view| view.rollback(depth));
                rollbacks += 1;
                changes += usize::from(now != marks[depth].0);
                assert_eq!(digest(&keyspace), marks[depth].0);
                let kept = all(&keyspace, walk.now_ms, |view| view.kept(depth));
                assert_eq!(kept, Kept::default(), "nothing has changed since");
            }
            _ => walk.step(&keyspace),
        }
        recount(&keyspace);
    }
    assert!(rollbacks > 10 && changes > 10, "{rollbacks} rollbacks, {changes} with effect");
    for depth in (0..marks.len()).rev() {
        all(&keyspace, walk.now_ms, |view| view.release(depth));
    }
    nothing_kept(&keyspace);
    // The marks in the wheels are as good as ever.
    walk.now_ms += 1_000_000;
    while keyspace.expire(walk.now_ms, 1000).more {}
    let due = |(_, deadline, _, _): &Seen| deadline.is_some_and(|at| at <= walk.now_ms);
    assert!(!digest(&keyspace).entries.values().any(due), "all that was due has gone");
    recount(&keyspace);
}

#[test]
fn a_rollback_brings_back_what_was_there_whatever_has_happened() {
    for (seed, shards) in [(11, 1), (12, 1), (13, 4), (14, 16)] {
        walk(seed, shards, 4000);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::with_cases(16)
    })]

    #[test]
    fn the_same_from_any_seed(seed: u64, shards in 1usize..9) {
        walk(seed, shards, 1500);
    }
}

#[test]
fn one_checkpoint_can_be_rolled_back_to_many_times() {
    let keyspace = keyspace(4);
    set(&keyspace, b"old", None, START_MS);
    all(&keyspace, START_MS, |view| view.checkpoint());
    let before = digest(&keyspace);
    for round in 0..3 {
        set(&keyspace, format!("new {round}").as_bytes(), Some(START_MS + 9), START_MS);
        with(&keyspace, b"old", START_MS, |view, key| view.remove(0, key));
        assert_ne!(digest(&keyspace), before);
        all(&keyspace, START_MS, |view| view.rollback(0));
        assert_eq!(digest(&keyspace), before);
        recount(&keyspace);
    }
}

#[test]
fn what_has_expired_comes_back_with_its_deadline() {
    let keyspace = keyspace(2);
    set(&keyspace, b"k", Some(START_MS + 100), START_MS);
    all(&keyspace, START_MS, |view| view.checkpoint());
    keyspace.expire(START_MS + 200, 100);
    assert_eq!(keyspace.len(0), 0);
    all(&keyspace, START_MS + 200, |view| view.rollback(0));
    assert_eq!(keyspace.len(0), 1, "it lies there, unseen");
    assert!(!exists(&keyspace, b"k", START_MS + 200));
    all(&keyspace, START_MS + 200, |view| view.rollback(0));
    // The clock was set back, too.
    let left = with(&keyspace, b"k", START_MS + 50, |view, key| {
        view.peek(0, key).and_then(|found| found.deadline())
    });
    assert_eq!(left, Some(START_MS + 100));
    assert!(keyspace.next_deadline() <= START_MS + 100, "it is expected");
    keyspace.expire(START_MS + 99, 100);
    assert_eq!(keyspace.len(0), 1);
    keyspace.expire(START_MS + 100, 100);
    assert_eq!(keyspace.len(0), 0);
    recount(&keyspace);
}

#[test]
fn fields_that_have_expired_come_back_with_their_deadlines() {
    let keyspace = keyspace(1);
    let change = |field: &[u8], at: u64| {
        with(&keyspace, b"h", START_MS, |view, key| {
            let limits = (&Limits::default(), true);
            view.change::<Hash, _>(0, key, limits, |hash| hash.put(field, b"v", Deadline::At(at)))
        })
    };
    for n in 0..300u64 {
        assert_eq!(change(format!("field {n}").as_bytes(), START_MS + 10 + n), Ok(Some(true)));
    }
    all(&keyspace, START_MS, |view| view.checkpoint());
    let before = digest(&keyspace);
    for due in [50, 200, 400] {
        while keyspace.expire(START_MS + due, 10).more {}
        assert_ne!(digest(&keyspace), before);
        all(&keyspace, START_MS, |view| view.rollback(0));
        assert_eq!(digest(&keyspace), before);
        recount(&keyspace);
    }
    all(&keyspace, START_MS, |view| view.flush(None));
    all(&keyspace, START_MS, |view| view.rollback(0));
    assert_eq!(digest(&keyspace), before);
    recount(&keyspace);
    while keyspace.expire(START_MS + 400, 10).more {}
    assert_eq!(keyspace.len(0), 0);
    assert_eq!(keyspace.stats().expired_fields, 300 + 300 + 191 + 41);
}

#[test]
fn what_was_evicted_comes_back() {
    let keyspace = keyspace(2);
    (0..100).for_each(|n| set(&keyspace, format!("k{n}").as_bytes(), None, START_MS));
    all(&keyspace, START_MS, |view| view.checkpoint());
    let before = digest(&keyspace);
    let room = Room { policy: Policy::AllKeysLru, samples: 5, rules: Rules::default() };
    for _ in 0..60 {
        assert!(keyspace.evict(Scope::Keyspace, room, at(START_MS)));
    }
    assert_eq!(keyspace.len(0), 40);
    let kept = all(&keyspace, START_MS, |view| view.kept(0));
    assert_eq!(kept.keys, 60);
    assert!(kept.bytes >= before.bytes * 60 / 100, "{kept:?}");
    all(&keyspace, START_MS, |view| view.rollback(0));
    assert_eq!(digest(&keyspace), before);
}

#[test]
fn databases_return_to_their_places() {
    let keyspace = keyspace(4);
    let put = |database, name: &[u8]| {
        with(&keyspace, name, START_MS, |view, key| {
            view.set(database, key, NewValue::of(b"v"), Deadline::Clear);
        });
    };
    (0..3).for_each(|n| put(n, format!("in {n}").as_bytes()));
    all(&keyspace, START_MS, |view| view.swap_databases(0, 2));
    let outer = digest(&keyspace);
    all(&keyspace, START_MS, |view| view.checkpoint());
    all(&keyspace, START_MS, |view| {
        view.swap_databases(0, 1);
        view.swap_databases(1, 9);
    });
    put(9, b"more");
    let inner = digest(&keyspace);
    all(&keyspace, START_MS, |view| view.checkpoint());
    all(&keyspace, START_MS, |view| {
        view.swap_databases(9, 12);
        view.flush(Some(12));
        view.swap_databases(12, 13);
    });
    all(&keyspace, START_MS, |view| view.rollback(1));
    assert_eq!(digest(&keyspace), inner);
    recount(&keyspace);
    all(&keyspace, START_MS, |view| view.rollback(0));
    assert_eq!(digest(&keyspace), outer);
    recount(&keyspace);
}

#[test]
fn a_value_that_is_overwritten_or_removed_moves_and_a_changed_one_is_copied() {
    let keyspace = keyspace(1);
    let large = |name: &[u8]| {
        with(&keyspace, name, START_MS, |view, key| {
            let limits = (&Limits { hash_entries: 1, ..Limits::default() }, true);
            view.change::<Hash, _>(0, key, limits, |hash| {
                (0..9u8).for_each(|n| {
                    hash.set(&[n], b"v");
                });
            })
        })
        .expect("a hash");
    };
    let place = |name: &[u8]| {
        let hash = keyspace.key(name).hash;
        let shard = keyspace.shards.lock(0);
        let item = shard.databases[0].table.find(hash, |item| item.key() == name);
        item.and_then(large_hash).map(|hash| std::ptr::from_ref(hash).addr())
    };
    [&b"set"[..], b"del", b"hset", b"same"].iter().for_each(|name| large(name));
    let places = || [place(b"set"), place(b"del"), place(b"hset"), place(b"same")];
    let before = places();
    all(&keyspace, START_MS, |view| view.checkpoint());
    set(&keyspace, b"set", None, START_MS);
    with(&keyspace, b"del", START_MS, |view, key| view.remove(0, key));
    large(b"hset");
    assert!(place(b"hset").is_some() && place(b"hset") != before[2], "a copy is changed");
    assert_eq!(place(b"same"), before[3]);
    all(&keyspace, START_MS, |view| view.rollback(0));
    assert_eq!(places(), before, "the very values are back");
}

#[test]
fn the_access_clock_is_that_before_the_change() {
    let keyspace = keyspace(1);
    set(&keyspace, b"k", None, START_MS);
    all(&keyspace, START_MS, |view| view.checkpoint());
    set(&keyspace, b"k", None, START_MS + 5000);
    all(&keyspace, START_MS + 6000, |view| view.rollback(0));
    let idle = with(&keyspace, b"k", START_MS + 6000, |view, key| {
        view.peek(0, key).map(|found| found.idle_ms())
    });
    assert_eq!(idle, Some(6000));
}

#[test]
fn a_rollback_is_a_change_for_those_who_watch_and_wait() {
    let keyspace = keyspace(4);
    let watch = |name: &[u8]| {
        let watcher: crate::Watcher = Arc::default();
        with(&keyspace, name, START_MS, |view, key| view.watch(0, key, &watcher));
        watcher
    };
    let raised = |watcher: &crate::Watcher| watcher.load(std::sync::atomic::Ordering::Relaxed);
    ["kept", "gone", "changed"].iter().for_each(|name| {
        set(&keyspace, name.as_bytes(), None, START_MS);
    });
    all(&keyspace, START_MS, |view| view.checkpoint());
    with(&keyspace, b"gone", START_MS, |view, key| view.remove(0, key));
    ["changed", "new"].iter().for_each(|name| set(&keyspace, name.as_bytes(), None, START_MS));
    let watchers = ["kept", "gone", "changed", "new", "never"].map(|name| watch(name.as_bytes()));
    let waiter = {
        let keys = [keyspace.key(b"gone")];
        let mut view = keyspace.open(Open::Keys(&keys), at(START_MS), Rules::default());
        let want =
            Want { database: 0, kind: Kind::String, without_key: false, kin: 0, keys: &keys };
        view.park(want, Box::new(()))
    };
    let dirty = all(&keyspace, START_MS, |view| {
        view.rollback(0);
        view.dirty()
    });
    assert_eq!(watchers.each_ref().map(raised), [false, true, true, true, false]);
    assert_eq!(dirty, 3);
    let ready = all(&keyspace, START_MS, |view| {
        let (database, key) = view.next_ready()?;
        view.next_waiter(database, &key, (0, &[])).map(|next: Arc<Waiter>| next.number())
    });
    assert_eq!(ready, Some(waiter.number()));
    // A database that comes back as a whole: what was there or is there has changed.
    all(&keyspace, START_MS, |view| view.flush(None));
    let watchers = ["kept", "never"].map(|name| watch(name.as_bytes()));
    all(&keyspace, START_MS, |view| view.rollback(0));
    assert_eq!(watchers.each_ref().map(raised), [true, false]);
}

#[test]
fn nobody_sees_half_of_a_rollback() {
    const ACCOUNTS: usize = 16;
    const ROLLBACKS: usize = 200;
    let keyspace = &keyspace(8);
    let names: Vec<Vec<u8>> = (0..ACCOUNTS).map(|n| format!("account {n}").into_bytes()).collect();
    let keys: Vec<Key<'_>> = names.iter().map(|name| keyspace.key(name)).collect();
    let keys = &keys[..];
    for key in keys {
        all(keyspace, START_MS, |view| view.set(0, *key, NewValue::Int(100), Deadline::Clear));
    }
    let read = |view: &mut View<'_>, key: Key<'_>| match view.string(0, key) {
        Ok(Some(Str::Int(n))) => n,
        _ => panic!("an integer"),
    };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let done = &done;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let (a, b) = (keys[rng.usize(..ACCOUNTS)], keys[rng.usize(..ACCOUNTS)]);
                    let mut view =
                        keyspace.open(Open::Keys(&[a, b]), at(START_MS), Rules::default());
                    for (key, by) in [(a, -1), (b, 1)] {
                        let sum = read(&mut view, key) + by;
                        view.set(0, key, NewValue::Int(sum), Deadline::Clear);
                    }
                    drop(view);
                    let mut view = keyspace.open(Open::Keys(keys), at(START_MS), Rules::default());
                    let sum: i64 = keys.iter().map(|key| read(&mut view, *key)).sum();
                    assert_eq!(sum, 100 * ACCOUNTS as i64);
                }
            });
        }
        for _ in 0..ROLLBACKS {
            let depth = all(keyspace, START_MS, |view| view.checkpoint());
            std::thread::yield_now();
            all(keyspace, START_MS, |view| view.rollback(depth));
            all(keyspace, START_MS, |view| view.release(depth));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    recount(keyspace);
    nothing_kept(keyspace);
}
