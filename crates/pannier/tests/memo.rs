//! Get or insert: one thread makes a value, the others wait for it.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, mpsc};

use pannier::{Cache, Error, SetOptions};

#[test]
fn of_many_threads_that_miss_one_makes_the_value() {
    let cache = Cache::new();
    let (made, start) = (AtomicUsize::new(0), Barrier::new(8));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for round in 0..200 {
                    let value = cache.get_or_insert_with(format!("key:{round}"), || {
                        made.fetch_add(1, SeqCst);
                        format!("value:{round}")
                    });
                    assert_eq!(value.unwrap(), format!("value:{round}"));
                }
            });
        }
    });
    assert_eq!(made.load(SeqCst), 200);
}

#[test]
fn those_who_wait_are_handed_the_value_even_if_it_is_gone_at_once() {
    let cache = Cache::new();
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let cache = &cache;
        let maker = scope.spawn(move || {
            cache.get_or_insert_with("key", || {
                enter.send(()).unwrap();
                left.recv().unwrap();
                "made once"
            })
        });
        entered.recv().unwrap();
        let waiting = scope.spawn(|| cache.get_or_insert_with("key", || "made once"));
        // Another key is nobody's concern.
        assert_eq!(cache.get_or_insert_with("other", || "own").unwrap(), "own");
        leave.send(()).unwrap();
        assert_eq!(maker.join().unwrap().unwrap(), "made once");
        assert_eq!(waiting.join().unwrap().unwrap(), "made once");
    });
}

#[test]
fn when_the_maker_fails_or_panics_the_next_one_makes_it() {
    let cache = Cache::new();
    let failed = cache
        .get_or_try_insert_with("key", SetOptions::new(), || Err::<&str, Error>(Error::NoCommand));
    assert!(matches!(failed, Err(Error::NoCommand)));
    let own = cache.clone();
    let panicked = std::thread::spawn(move || {
        own.get_or_insert_with("key", || -> &str { panic!("on purpose") })
    });
    assert!(panicked.join().is_err());
    assert_eq!(cache.get_or_insert_with("key", || "third").unwrap(), "third");
}

#[test]
fn a_maker_may_want_other_keys_and_even_its_own() {
    let cache = Cache::new();
    let outer = cache.get_or_insert_with("outer", || {
        let inner = cache.get_or_insert_with("inner", || "1").unwrap();
        let own = cache.get_or_insert_with("outer", || "2").unwrap();
        [inner, own].concat()
    });
    assert_eq!(outer.unwrap(), "12");
    assert_eq!(cache.get("outer").unwrap().unwrap(), "12");
}

#[test]
fn the_same_key_of_two_databases_is_two_values() {
    let cache = Cache::new();
    let other = cache.db(1).unwrap();
    let nested = cache.get_or_insert_with("key", || {
        other.get_or_insert_with("key", || "one").unwrap();
        "zero"
    });
    assert_eq!(nested.unwrap(), "zero");
    assert_eq!(other.get("key").unwrap().unwrap(), "one");
}
