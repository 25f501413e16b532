//! Bytes in, bytes out: what an in-process transport relies on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use pannier::{Cache, Client, Clock};

fn feed(client: &mut Client, requests: &str) -> String {
    let mut out = Vec::new();
    client.feed(requests.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_pipeline_split_at_any_byte_gives_the_same_bytes() {
    let pipeline = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nab\r\nGET k\r\nPING\r\n\
                    *2\r\n$4\r\nINCR\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n";
    let expected = "+OK\r\n$2\r\nab\r\n+PONG\r\n\
                    -ERR value is not an integer or out of range\r\n+PONG\r\n";
    for cut in 0..=pipeline.len() {
        let mut client = Cache::new().connect();
        let (head, tail) = pipeline.split_at(cut);
        let replies = feed(&mut client, head) + &feed(&mut client, tail);
        assert_eq!(replies, expected, "cut at {cut}");
    }
    let mut client = Cache::new().connect();
    let single: String =
        pipeline.chars().map(|byte| feed(&mut client, &byte.to_string())).collect();
    assert_eq!(single, expected);
}

#[test]
fn thousands_of_requests_at_once_are_all_answered() {
    let mut client = Cache::new().connect();
    let replies = feed(&mut client, &"INCR n\r\n".repeat(5000));
    assert_eq!(replies.lines().count(), 5000);
    assert!(replies.ends_with(":5000\r\n"));
}

#[test]
fn requests_behind_one_that_waits_are_answered_after_it() {
    let cache = Cache::new();
    let mut client = cache.connect();
    assert_eq!(feed(&mut client, "PING\r\nBLPOP list 0\r\nECHO a\r\n"), "+PONG\r\n");
    assert_eq!(feed(&mut client, "ECHO b\r\n"), "");
    assert!(client.is_waiting() && !client.wait(Some(Duration::ZERO)));
    cache.call(["RPUSH", "list", "x"]).unwrap();
    assert!(client.wait(None));
    let rest = "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n$1\r\na\r\n$1\r\nb\r\n";
    assert_eq!(feed(&mut client, ""), rest);
}

#[test]
fn a_wait_ends_when_the_clock_says_so() {
    let (clock, hand) = Clock::virtual_at(1_000_000);
    let cache = Cache::builder().clock(clock).build().unwrap();
    let mut client = cache.connect();
    assert_eq!(feed(&mut client, "BLPOP list 2\r\nPING\r\n"), "");
    assert_eq!(client.time_left(), Some(Duration::from_secs(2)));
    hand.advance(Duration::from_millis(1999));
    assert_eq!(feed(&mut client, ""), "");
    hand.advance(Duration::from_millis(1));
    assert!(client.wait(None));
    assert_eq!(feed(&mut client, ""), "*-1\r\n+PONG\r\n");
    assert_eq!(client.time_left(), None);
}

#[test]
fn a_pause_holds_back_what_was_fed() {
    let (clock, hand) = Clock::virtual_at(1_000_000);
    let cache = Cache::builder().clock(clock).build().unwrap();
    let mut client = cache.connect();
    cache.call(["CLIENT", "PAUSE", "500", "WRITE"]).unwrap();
    assert_eq!(feed(&mut client, "GET k\r\nSET k v\r\nGET k\r\n"), "$-1\r\n");
    hand.advance(Duration::from_millis(499));
    assert_eq!(feed(&mut client, ""), "");
    hand.advance(Duration::from_millis(1));
    assert_eq!(feed(&mut client, ""), "+OK\r\n$1\r\nv\r\n");
}

#[test]
fn messages_come_between_replies_where_a_socket_would_have_them() {
    let cache = Cache::new();
    let mut client = cache.connect();
    feed(&mut client, "HELLO 3\r\nSUBSCRIBE news\r\n");
    cache.call(["PUBLISH", "news", "before"]).unwrap();
    let message =
        |text: &str| format!(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n{text}\r\n", text.len());
    let out = feed(&mut client, "PING\r\nPUBLISH news own\r\nPING\r\n");
    assert_eq!(out, message("before") + "+PONG\r\n:1\r\n" + &message("own") + "+PONG\r\n");
    let mut old = cache.connect();
    feed(&mut old, "SUBSCRIBE news\r\n");
    cache.call(["PUBLISH", "news", "x"]).unwrap();
    assert_eq!(feed(&mut old, ""), message("x").replacen('>', "*", 1));
}

#[test]
fn a_protocol_error_closes_and_so_does_quit() {
    let cache = Cache::new();
    let mut client = cache.connect();
    let out = feed(&mut client, "PING\r\n*1\r\nPING\r\nPING\r\n");
    assert_eq!(out, "+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n");
    assert!(client.is_closed() && client.wait(None));
    assert_eq!(feed(&mut client, "PING\r\n"), "");
    let mut client = cache.connect();
    assert_eq!(feed(&mut client, "QUIT\r\nPING\r\n"), "+OK\r\n");
    assert!(client.is_closed());
}

#[test]
fn a_client_begins_in_the_database_of_its_cache() {
    let cache = Cache::new();
    cache.db(5).unwrap().call(["SET", "k", "five"]).unwrap();
    let mut client = cache.db(5).unwrap().connect();
    assert_eq!(feed(&mut client, "GET k\r\nSELECT 0\r\nGET k\r\n"), "$4\r\nfive\r\n+OK\r\n$-1\r\n");
}
