//! Clients inside the process: transactions, messages, waits, and how they end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use pannier::{Cache, Client, Clock, Error, ErrorKind, Frame};

const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// A frame as plain text.
fn plain(frame: &Frame) -> String {
    let many = |frames: &[Frame]| frames.iter().map(plain).collect::<Vec<_>>().join(" ");
    match frame {
        Frame::BlobString { data, .. } | Frame::SimpleString { data, .. } => {
            String::from_utf8_lossy(data).into_owned()
        }
        Frame::Number { data, .. } => data.to_string(),
        Frame::Null => "null".into(),
        Frame::Array { data, .. } | Frame::Push { data, .. } => many(data),
        other => format!("{other:?}"),
    }
}

fn call(client: &mut Client, args: &[&str]) -> String {
    plain(&client.call(args).unwrap())
}

fn push(client: &mut Client) -> String {
    client.next_push(SOON).as_ref().map(plain).unwrap()
}

#[test]
fn a_transaction_is_the_clients_own_and_watch_guards_it() {
    let cache = Cache::new();
    let (mut one, mut other) = (cache.connect(), cache.connect());
    assert_eq!(call(&mut one, &["WATCH", "key"]), "OK");
    assert_eq!(call(&mut one, &["MULTI"]), "OK");
    assert_eq!(call(&mut one, &["INCR", "key"]), "QUEUED");
    assert_eq!(call(&mut other, &["SET", "key", "5"]), "OK");
    assert_eq!(call(&mut one, &["EXEC"]), "null");
    call(&mut one, &["MULTI"]);
    call(&mut one, &["INCR", "key"]);
    assert_eq!(call(&mut one, &["EXEC"]), "6");
    call(&mut one, &["MULTI"]);
    assert!(one.call(["INCR"]).is_err());
    assert_eq!(one.call(["EXEC"]).unwrap_err().kind(), Some(ErrorKind::Aborted));
}

#[test]
fn messages_are_kept_in_order_while_calls_go_on() {
    let cache = Cache::new();
    let mut client = cache.connect();
    assert_eq!(call(&mut client, &["SUBSCRIBE", "a", "b"]), "subscribe a 1");
    for text in ["1", "2", "3"] {
        cache.call(["PUBLISH", "a", text]).unwrap();
    }
    assert_eq!(call(&mut client, &["ECHO", "reply"]), "reply");
    assert_eq!(push(&mut client), "subscribe b 2");
    assert_eq!(push(&mut client), "message a 1");
    // Its own message comes as well.
    assert_eq!(call(&mut client, &["PUBLISH", "b", "own"]), "1");
    let rest = [push(&mut client), push(&mut client), push(&mut client)];
    assert_eq!(rest, ["message a 2", "message a 3", "message b own"]);
    assert_eq!(client.next_push(Some(Duration::ZERO)), None);
    assert_eq!(client.next_push(Some(Duration::from_millis(5))), None);
}

#[test]
fn whoever_waits_for_a_message_is_woken_by_another_thread() {
    let cache = Cache::new();
    let mut client = cache.connect();
    call(&mut client, &["PSUBSCRIBE", "n*"]);
    let reader = std::thread::spawn(move || push(&mut client));
    cache.call(["PUBLISH", "news", "hello"]).unwrap();
    assert_eq!(reader.join().unwrap(), "pmessage n* news hello");
}

#[test]
fn invalidations_reach_a_client_that_tracks() {
    let cache = Cache::new();
    let mut client = cache.connect();
    call(&mut client, &["CLIENT", "TRACKING", "ON"]);
    call(&mut client, &["GET", "key"]);
    cache.call(["SET", "key", "value"]).unwrap();
    assert_eq!(push(&mut client), "invalidate key");
}

#[test]
fn a_wait_is_over_by_the_clock_of_the_cache() {
    let (clock, hand) = Clock::virtual_at(1_000_000);
    let cache = Cache::builder().clock(clock).build().unwrap();
    let mut client = cache.connect();
    call(&mut client, &["SUBSCRIBE", "news"]);
    let reader = std::thread::spawn(move || client.next_push(Some(Duration::from_secs(3600))));
    hand.advance(Duration::from_secs(3599));
    assert!(!reader.is_finished());
    // Until it has read the clock, a second is no hour.
    while !reader.is_finished() {
        hand.advance(Duration::from_secs(3600));
        std::thread::yield_now();
    }
    assert_eq!(reader.join().unwrap(), None);
}

#[test]
fn a_client_that_is_killed_or_quits_says_so() {
    let cache = Cache::new();
    let mut client = cache.connect();
    cache.call(["CLIENT", "KILL", "ID", &client.id().to_string()]).unwrap();
    assert!(matches!(client.call(["PING"]), Err(Error::Closed)));
    assert_eq!(client.next_push(None), None);
    let mut client = cache.connect();
    assert_eq!(call(&mut client, &["QUIT"]), "OK");
    assert!(client.is_closed());
    assert!(matches!(client.call(["PING"]), Err(Error::Closed)));
}

#[test]
fn a_wait_can_be_unblocked_and_a_dropped_client_is_not_served() {
    let cache = Cache::new();
    let mut client = cache.connect();
    let id = client.id().to_string();
    let waiter = std::thread::spawn(move || client.call(["BLPOP", "list", "0"]));
    while cache.call(["CLIENT", "UNBLOCK", &id, "ERROR"]).map(|reply| plain(&reply)).unwrap() == "0"
    {
        std::thread::yield_now();
    }
    let error = waiter.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Unblocked));
    let mut gone = cache.connect();
    gone.feed(b"BLPOP list 0\r\n", &mut Vec::new());
    assert!(gone.is_waiting());
    drop(gone);
    cache.call(["RPUSH", "list", "a"]).unwrap();
    assert_eq!(plain(&cache.call(["LLEN", "list"]).unwrap()), "1");
}

#[test]
fn a_task_is_woken_once_there_is_something() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let (cache, count) = (Cache::new(), Arc::new(Count(AtomicUsize::new(0))));
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let mut client = cache.connect();
    let mut out = Vec::new();
    client.feed(b"BLPOP list 0\r\n", &mut out);
    assert_eq!(client.poll_wake(&mut cx), Poll::Pending);
    cache.call(["RPUSH", "list", "a"]).unwrap();
    assert_eq!(count.0.load(Relaxed), 1);
    assert_eq!(client.poll_wake(&mut cx), Poll::Ready(()));
    client.feed(b"", &mut out);
    assert_eq!(out, b"*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
    assert_eq!(client.poll_wake(&mut cx), Poll::Pending);
}
