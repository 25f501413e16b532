//! Four threads on one keyspace, for ThreadSanitizer (`make sanitize`) and for the sums.
//!
//! The standard library is not instrumented there, so the test harness, scoped threads and the
//! last drop of an `Arc` would be reported though nothing is wrong with them. Hence this is a
//! program with its own `main`, a keyspace in a static, and threads that are joined one by one.
//! Writers set, read, change and remove keys of two databases, open several shards at once, walk
//! the keyspace and turn the wheel; most of the time they read past the views and locks. In the
//! end a walk must find just as many keys as were counted.
//!
//! Neighbours: `src/tests`, which look inside the keyspace, by one thread mostly.

use std::sync::OnceLock;

use pannier_store::direct::Place;
use pannier_store::{Cursor, Deadline, Key, Keyspace, NewValue, Now, Open, Options, Rules, Str};

static KEYSPACE: OnceLock<Keyspace> = OnceLock::new();

const START_MS: u64 = 1_700_000_000_000;

fn at(unix_ms: u64) -> Now {
    Now { unix_us: unix_ms * 1_000, mono_us: unix_ms * 1_000 }
}

fn keyspace() -> &'static Keyspace {
    KEYSPACE.get_or_init(|| {
        Keyspace::new(Options {
            shards: 4,
            databases: 2,
            seed: 3,
            now: at(START_MS),
            reaper: std::sync::Arc::new(drop),
        })
    })
}

fn work(thread: u64, steps: u64) {
    let keyspace = keyspace();
    let mut random = fastrand::Rng::with_seed(thread);
    for step in 0..steps {
        let now = at(START_MS + step / 16);
        let names = [(); 3].map(|()| format!("key:{}", random.u32(..5_000)));
        let keys: [Key<'_>; 3] = std::array::from_fn(|at| keyspace.key(names[at].as_bytes()));
        let database = random.usize(..2);
        // For long enough that all threads do so at times, and readers pass by the locks.
        if step % 512 < 384 {
            let place = Place { database, key: keys[0], now, rules: Rules::default() };
            directly(&mut random, place);
            continue;
        }
        let open = if random.u8(..8) == 0 { Open::Keys(&keys) } else { Open::Keys(&keys[..1]) };
        let mut view = keyspace.open(open, now, Rules::default());
        match random.u8(..10) {
            0..4 => {
                let value = vec![b'v'; random.usize(..100)];
                let deadline = match random.u64(..3_000) {
                    never @ 0..1_000 => Deadline::At(now.unix_ms() + 1_000_000 + never),
                    soon @ 1_000..2_000 => Deadline::At(now.unix_ms() + soon - 999),
                    _ => Deadline::Clear,
                };
                view.set(database, keys[0], NewValue::of(&value), deadline);
            }
            4 => _ = view.remove(database, keys[0]),
            5 => _ = view.set_deadline(database, keys[0], Some(now.unix_ms() + 100)),
            6 => {
                if let Ok(Some(mut edit)) = view.edit(database, keys[0]) {
                    edit.bytes(20, |bytes| bytes.fill(b'w'));
                }
            }
            _ => {
                let string = view.string(database, keys[0]);
                assert!(string.is_ok_and(|string| string.is_none_or(|text| text.len() < 101)));
            }
        }
        drop(view);
        if step % 512 == 384 + thread {
            keyspace.expire(now.unix_ms(), 100);
        }
        if step % 4_096 == 384 + thread {
            let mut all = keyspace.open(Open::All, now, Rules::default());
            all.scan(database, Cursor(0), 500, |_, _| ());
        }
    }
}

/// A call past the views: mostly a read.
fn directly(random: &mut fastrand::Rng, place: Place<'_>) {
    let (keyspace, clock) = (keyspace(), || 0);
    if random.u8(..64) == 0 {
        let value = vec![b'v'; random.usize(..100)];
        keyspace.set_directly(place, clock, NewValue::of(&value), None);
        return;
    }
    let is_whole = |value: Option<Str<'_>>| {
        let value = value.map(|value| value.to_vec()).unwrap_or_default();
        Some(value.len() < 101 && value.iter().all(|byte| b"vw".contains(byte)))
    };
    assert_ne!(keyspace.get_directly(place, clock, is_whole), Some(false));
}

fn main() {
    let asked = std::env::var("PANNIER_STEPS").ok().and_then(|text| text.parse::<u64>().ok());
    let steps = 2_400 * asked.unwrap_or(100);
    // Made before there are threads: that the static makes itself once is the library's affair.
    keyspace();
    let threads = [0, 1, 2, 3].map(|thread| std::thread::spawn(move || work(thread, steps)));
    assert!(threads.into_iter().all(|thread| thread.join().is_ok()), "a thread has failed");
    let (keyspace, end) = (keyspace(), START_MS + 500_000);
    while keyspace.expire(end, 1_000).more {}
    for database in 0..2 {
        let mut seen = 0;
        let view = keyspace.open(Open::All, at(end), Rules::default());
        view.for_each(database, |_, _| seen += 1);
        assert!(seen > 100, "hardly anything was stored");
        assert_eq!(seen, keyspace.len(database), "what is there and what was counted");
    }
    // What is alive at the end would be called leaked: tags hide the entries' addresses.
    drop(keyspace.open(Open::All, at(end), Rules::default()).flush(None));
    assert!(keyspace.is_empty());
    println!("threads: ok");
}
