//! Calls that do not wait: what they decline, and the client that has a call which waits.

use std::time::Duration;

use pannier::{Cache, Error, Fault, SetOptions};

/// The reply that a client has, when it has it.
fn reply(mut client: pannier::Client) -> Vec<u8> {
    let mut out = Vec::new();
    while out.is_empty() && !client.is_closed() {
        client.wait(Some(Duration::from_secs(5)));
        client.feed(b"", &mut out);
    }
    out
}

#[test]
fn what_need_not_wait_is_done() {
    let cache = Cache::new();
    assert!(cache.set_with_at_once(b"key", b"value", &SetOptions::new()));
    assert_eq!(cache.get_with_at_once(b"key", <[u8]>::to_vec), Some(Some(b"value".to_vec())));
    assert_eq!(cache.get_with_at_once(b"none", <[u8]>::to_vec), Some(None));
    let replied = cache.call_bytes_at_once(["STRLEN", "key"]).unwrap();
    assert_eq!(replied.ok().unwrap(), b":5\r\n"[..]);
    assert!(matches!(cache.call_bytes_at_once(["MULTI"]), Err(Error::NeedsClient)));
}

#[test]
fn a_pause_declines_and_keeps_the_request() {
    let cache = Cache::new();
    cache.call(["CLIENT", "PAUSE", "100000", "WRITE"]).unwrap();
    assert!(!cache.set_with_at_once(b"key", b"value", &SetOptions::new()));
    assert_eq!(cache.get_with_at_once(b"key", <[u8]>::to_vec), None);
    let mut client = cache.call_bytes_at_once(["SET", "key", "a value"]).unwrap().err().unwrap();
    assert!(client.is_waiting() && !client.wait(Some(Duration::from_millis(10))));
    let mut out = Vec::new();
    client.feed(b"", &mut out);
    assert!(out.is_empty() && cache.is_empty());
    cache.connect().feed(b"CLIENT UNPAUSE\r\n", &mut Vec::new());
    assert_eq!(reply(client), b"+OK\r\n");
    assert_eq!(cache.get("key").unwrap().as_deref(), Some(&b"a value"[..]));
}

#[test]
fn a_fault_is_met_once() {
    let cache = Cache::new();
    let faults = cache.faults();
    cache.recorder().start();
    faults.add(Fault::delay(Duration::from_millis(20)).command("incr").times(1)).unwrap();
    let client = cache.call_bytes_at_once(["INCR", "n"]).unwrap().err().unwrap();
    assert_eq!(faults.list()[0].hits, 1);
    assert_eq!(reply(client), b":1\r\n");
    assert_eq!((faults.list()[0].hits, cache.recorder().commands().len()), (1, 1));
    faults.add(Fault::drop_after().command("incr").times(1)).unwrap();
    assert!(matches!(cache.call_bytes_at_once(["INCR", "n"]), Err(Error::Closed)));
}

#[test]
fn a_command_that_blocks_becomes_a_client_that_is_served() {
    let cache = Cache::new();
    let client = cache.call_bytes_at_once(["BLPOP", "jobs", "0"]).unwrap().err().unwrap();
    cache.call(["RPUSH", "jobs", "a"]).unwrap();
    assert_eq!(reply(client), b"*2\r\n$4\r\njobs\r\n$1\r\na\r\n");
}

#[test]
fn a_script_is_seen_while_it_runs() {
    let cache = Cache::new();
    assert!(!cache.runs_script());
    std::thread::scope(|scope| {
        let script = "while redis.call('TIME')[1] do end";
        let handle = cache.clone();
        scope.spawn(move || handle.call(["EVAL", script, "0"]).unwrap_err());
        while !cache.runs_script() {
            std::thread::yield_now();
        }
        while cache.call(["SCRIPT", "KILL"]).is_err() {
            std::thread::yield_now();
        }
    });
    assert!(!cache.runs_script());
}
