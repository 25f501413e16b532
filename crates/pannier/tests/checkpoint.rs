//! Checkpoints as values: nested, with scripts and parameters, under a virtual clock, with clients
//! that wait, and what a test that fails leaves behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use pannier::{Cache, Clock, Error, Frame};

fn call(cache: &Cache, line: &str) -> Frame {
    cache.call(line.split(' ')).unwrap()
}

fn number(cache: &Cache, line: &str) -> i64 {
    match call(cache, line) {
        Frame::Number { data, .. } => data,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn what_happens_while_a_checkpoint_lives_is_taken_back_at_its_end() {
    let cache = Cache::new();
    call(&cache, "RPUSH list a b");
    {
        let _undo = cache.checkpoint().unwrap();
        call(&cache, "RPUSH list c");
        call(&cache.db(3).unwrap(), "SET elsewhere v");
    }
    assert_eq!(number(&cache, "LLEN list"), 2);
    assert!(cache.db(3).unwrap().is_empty());
    let failing = cache.clone();
    let test = std::thread::spawn(move || {
        let _undo = failing.checkpoint().unwrap();
        call(&failing, "DEL list");
        panic!("a test fails");
    });
    assert!(test.join().is_err());
    assert_eq!(number(&cache, "LLEN list"), 2);
    assert!(cache.engine().checkpoints(pannier_engine::Now::default()).unwrap().is_empty());
}

#[test]
fn inner_checkpoints_end_with_the_outer_one() {
    let cache = Cache::new();
    let outer = cache.checkpoint().unwrap();
    call(&cache, "SET k outer");
    let inner = cache.checkpoint().unwrap();
    call(&cache, "SET k inner");
    assert_eq!((outer.kept().unwrap().keys, inner.kept().unwrap().keys), (1, 1));
    outer.rollback().unwrap();
    assert!(cache.is_empty());
    let Err(Error::Reply(gone)) = inner.rollback() else { panic!("it was given up") };
    assert_eq!(gone.text(), "ERR no such checkpoint");
    assert!(inner.kept().is_err());
    call(&cache, "SET k after");
    drop(inner);
    assert_eq!(cache.len(), 1, "one that is gone changes nothing");
    outer.release().unwrap();
    assert_eq!(cache.len(), 1);
}

#[test]
fn scripts_and_parameters_return() {
    let cache = Cache::new();
    let clean = cache.checkpoint().unwrap();
    let Frame::BlobString { data: sha, .. } = cache.call(["SCRIPT", "LOAD", "return 7"]).unwrap()
    else {
        panic!("a name")
    };
    let exists = |cache: &Cache| cache.call([b"SCRIPT", &b"EXISTS"[..], &sha]).unwrap();
    let before = exists(&cache);
    call(&cache, "CONFIG SET maxentries 1");
    clean.rollback().unwrap();
    assert_ne!(exists(&cache), before);
    assert!(cache.call(["MSET", "a", "1", "b", "2"]).is_err(), "the limit is still there");
    clean.rollback_with_config().unwrap();
    call(&cache, "MSET a 1 b 2");
    // The Lua state that was made meanwhile is as good as new.
    assert_eq!(number(&cache, "EVAL return(7) 0"), 7);
}

#[test]
fn deadlines_return_under_a_clock_that_is_set_back() {
    let (clock, hand) = Clock::virtual_at(1_750_000_000_000);
    let cache = Cache::builder().clock(clock).build().unwrap();
    call(&cache, "SET k v PX 1000");
    call(&cache, "HSET h f v");
    call(&cache, "HPEXPIRE h 500 FIELDS 1 f");
    let clean = cache.checkpoint().unwrap();
    for _ in 0..3 {
        hand.advance(Duration::from_secs(2));
        assert_eq!(cache.len(), 0);
        hand.set(1_750_000_000_000);
        clean.rollback().unwrap();
        assert_eq!(number(&cache, "PTTL k"), 1000);
        hand.advance(Duration::from_millis(499));
        assert_eq!(number(&cache, "HLEN h"), 1);
        hand.advance(Duration::from_millis(1));
        assert_eq!(number(&cache, "EXISTS h k"), 1);
    }
}

#[test]
fn who_waits_for_a_key_is_served_when_it_comes_back() {
    let cache = Cache::new();
    call(&cache, "RPUSH list a b");
    let clean = cache.checkpoint().unwrap();
    call(&cache, "DEL list");
    let waiting = std::thread::spawn({
        let cache = cache.clone();
        move || cache.call(["BLPOP", "list", "10"]).unwrap()
    });
    while !blocked(&cache) {
        std::thread::yield_now();
    }
    clean.rollback().unwrap();
    assert!(matches!(waiting.join().unwrap(), Frame::Array { data, .. } if data.len() == 2));
    assert_eq!(number(&cache, "LLEN list"), 1);
    drop(clean);
    assert_eq!(number(&cache, "LLEN list"), 2);
}

/// Whether somebody waits for a key.
fn blocked(cache: &Cache) -> bool {
    let Frame::VerbatimString { data, .. } = call(cache, "INFO clients") else { panic!("a text") };
    String::from_utf8_lossy(&data).contains("blocked_clients:1")
}
