//! Connections that wait: deadlines, further requests, and what becomes of those who hang up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use pannier_clock::Clock;
use pannier_server::Options;
use std::time::Duration;
use support::{Wire, config, serve, serve_with, until};

const SERVED: &str = "*2\r\n$1\r\nk\r\n$1\r\nv\r\n";

#[test]
fn a_client_that_hangs_up_while_it_waits_takes_nothing() {
    let server = serve(&[]);
    let mut other = Wire::to(&server);
    for behind in ["", "PING\r\n", "RPUSH k behind\r\n", "*2\r\n$3\r\nhal"] {
        let mut waiting = Wire::to(&server);
        waiting.send("BLPOP k other 0\r\n");
        waiting.send(behind);
        until(|| other.info("blocked_clients") == 1);
        assert_eq!(other.info("total_blocking_keys"), 2);
        drop(waiting);
        until(|| other.info("blocked_clients") == 0);
        assert_eq!(other.ask("RPUSH k v"), ":1");
        assert_eq!(other.info("total_blocking_keys"), 0);
        assert_eq!(other.ask("DEL k"), ":1");
    }
}

#[test]
fn what_is_sent_behind_a_request_that_waits_is_answered_behind_it() {
    let server = serve(&[]);
    let (mut waiting, mut other) = (Wire::to(&server), Wire::to(&server));
    waiting.send("BLPOP k 0\r\n");
    waiting.send("PING\r\n".repeat(10_000));
    waiting.send("BLPOP k 0\r\nPING end\r\n");
    until(|| other.info("blocked_clients") == 1);
    assert_eq!(other.ask("RPUSH k v"), ":1");
    waiting.expect(SERVED);
    waiting.expect("+PONG\r\n".repeat(10_000));
    until(|| other.info("blocked_clients") == 1);
    assert_eq!(other.ask("RPUSH k v"), ":1");
    waiting.expect(format!("{SERVED}$3\r\nend\r\n"));
}

#[test]
fn a_wait_ends_when_its_time_is_over_and_not_before() {
    let (server, clock) = (serve(&[]), Clock::system());
    let mut client = Wire::to(&server);
    for _ in 0..3 {
        let started_us = clock.mono_us();
        client.send("BLPOP k 0.03\r\n");
        client.expect("*-1\r\n");
        let passed_us = clock.mono_us() - started_us;
        assert!(passed_us >= 29_000, "{passed_us} us");
    }
    // Who was served is not cut short by the deadline of before.
    let mut other = Wire::to(&server);
    client.send("BLPOP k 0.2\r\n");
    until(|| other.info("blocked_clients") == 1);
    assert_eq!(other.ask("RPUSH k v"), ":1");
    client.expect(SERVED);
    client.send("BLPOP k 0\r\n");
    clock.sleep(Duration::from_millis(300));
    assert_eq!(other.info("blocked_clients"), 1);
}

#[test]
fn a_wait_under_a_virtual_clock_ends_when_the_clock_is_moved() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let server = serve_with(Options { clock, config: config(&[]), ..Options::default() });
    let (mut waiting, mut other) = (Wire::to(&server), Wire::to(&server));
    waiting.send("BLPOP k 3600\r\n");
    until(|| other.info("blocked_clients") == 1);
    hand.advance(Duration::from_secs(3_599));
    assert_eq!(other.info("blocked_clients"), 1);
    hand.advance(Duration::from_secs(1));
    waiting.expect("*-1\r\n");
}

#[test]
fn five_hundred_wait_and_are_served_in_the_order_in_which_they_came() {
    let server = serve(&[]);
    let mut other = Wire::to(&server);
    let mut waiting: Vec<_> = (0..500).map(|_| Wire::to(&server)).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        client.send("BRPOP k 0\r\n");
        until(|| other.info("blocked_clients") > number as u64);
    }
    for (number, client) in waiting.iter_mut().enumerate() {
        assert_eq!(other.ask(&format!("LPUSH k {number}")), ":1");
        let text = number.to_string();
        client.expect(format!("*2\r\n$1\r\nk\r\n${}\r\n{text}\r\n", text.len()));
    }
    assert_eq!(other.ask("EXISTS k"), ":0");
}

#[test]
fn a_shutdown_does_not_wait_for_those_who_wait() {
    let server = serve(&[]);
    let (mut waiting, mut other) = (Wire::to(&server), Wire::to(&server));
    waiting.send("BLPOP k 0\r\n");
    until(|| other.info("blocked_clients") == 1);
    server.end();
    assert_eq!(waiting.rest(), b"");
}
