//! Faults and the recorder inside the process: typed calls, clients, and those that are fed bytes.

use std::thread;

use pannier::{Cache, Error, Fault};

#[test]
fn typed_calls_are_judged_and_recorded_like_all_others() {
    let cache = Cache::new();
    cache.set("user:1", "alice").unwrap();
    let id = cache.faults().add(Fault::error("LOADING").command("get").times(1)).unwrap();
    cache.recorder().start();
    let refused = cache.get("user:1").unwrap_err();
    assert!(refused.to_string().starts_with("LOADING"), "{refused}");
    assert_eq!(cache.get("user:1").unwrap().as_deref(), Some(&b"alice"[..]));
    cache.set("user:1", "bob").unwrap();
    assert_eq!(cache.faults().hits(id), Some(1));
    assert_eq!((cache.recorder().commands().len(), cache.recorder().round_trips()), (3, 3));
}

#[test]
fn a_client_whose_connection_is_dropped_is_closed() {
    let cache = Cache::new();
    for (fault, stored) in [(Fault::drop_before(), 0), (Fault::drop_after(), 1)] {
        cache.faults().add(fault.command("set").times(1)).unwrap();
        let mut client = cache.connect();
        assert!(matches!(client.call(["SET", "k", "v"]), Err(Error::Closed)));
        assert!(client.is_closed());
        assert_eq!(cache.len(), stored);
    }
}

#[test]
fn a_client_that_is_fed_bytes_gets_as_many_as_are_left_to_it() {
    let cache = Cache::new();
    cache.faults().add(Fault::cut(4).command("echo").times(1)).unwrap();
    let (mut client, mut out) = (cache.connect(), Vec::new());
    client.feed(b"PING\r\nECHO hello\r\nSET k v\r\n", &mut out);
    assert_eq!(out, b"+PONG\r\n$5\r\n");
    assert!(client.is_closed() && cache.is_empty());
}

#[test]
fn the_reply_to_a_client_that_waits_is_lost_with_what_it_took() {
    let cache = Cache::new();
    cache.faults().add(Fault::drop_after().command("blpop")).unwrap();
    let mut waiting = cache.connect();
    let popper = thread::spawn(move || waiting.call(["BLPOP", "queue", "0"]));
    while !cache.faults().list().iter().any(|rule| rule.hits == 1) {
        thread::yield_now();
    }
    cache.call(["RPUSH", "queue", "job"]).unwrap();
    assert!(matches!(popper.join().unwrap(), Err(Error::Closed)));
    assert!(cache.is_empty());
}
