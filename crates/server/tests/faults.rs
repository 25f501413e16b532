//! Faults over real sockets: what a client sees of its connection when a test wants it to fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pannier_clock::Clock;
use pannier_server::{Options, Running};
use support::{Wire, config, request, serve, serve_with, until};

/// A server in test mode, and a client that sets faults.
fn faulty(directives: &[(&str, &str)]) -> (Running, Wire) {
    let directives: Vec<_> = directives.iter().copied().chain([("test-mode", "yes")]).collect();
    let server = serve(&directives);
    let tester = Wire::to(&server);
    (server, tester)
}

impl Wire {
    /// Adds a fault; its number.
    fn fault(&mut self, words: &str) -> u64 {
        let reply = self.ask(&format!("PANNIER FAULT ADD {words}"));
        reply.strip_prefix(':').expect(&reply).parse().unwrap()
    }
}

#[test]
fn a_dropped_request_takes_its_connection_and_what_stands_behind_it() {
    let (server, mut tester) = faulty(&[]);
    for (when, stored) in [("BEFORE", "$-1"), ("AFTER", "$1")] {
        tester.fault(&format!("DROP {when} COMMAND set COUNT 1"));
        let mut client = Wire::to(&server);
        client.send("PING one\r\nSET k v\r\nPING two\r\nSET other v\r\n");
        assert_eq!(String::from_utf8(client.rest()).unwrap(), "$3\r\none\r\n", "{when}");
        assert_eq!(tester.ask("EXISTS other"), ":0");
        assert_eq!(tester.ask("GET k"), stored);
        if stored == "$1" {
            assert_eq!(tester.line(), "v");
        }
    }
    until(|| tester.info("connected_clients") == 1);
}

#[test]
fn a_reply_is_cut_behind_any_number_of_bytes() {
    let (server, mut tester) = faulty(&[]);
    assert_eq!(tester.ask("SET k value"), "+OK");
    let whole = "$5\r\nvalue\r\n";
    for bytes in 0..=whole.len() + 1 {
        tester.fault(&format!("CUT {bytes} COMMAND get COUNT 1"));
        let mut client = Wire::to(&server);
        client.send("GET k\r\nPING\r\n");
        let expected = &whole[..bytes.min(whole.len())];
        assert_eq!(String::from_utf8(client.rest()).unwrap(), expected, "{bytes}");
    }
}

#[test]
fn a_large_reply_is_cut_in_the_middle_of_what_is_sent_by_reference() {
    let (server, mut tester) = faulty(&[]);
    let value = "v".repeat(1 << 20);
    tester.send(request(&["SET", "k", &value]));
    tester.expect("+OK\r\n");
    tester.fault("CUT 600000 COMMAND mget COUNT 1");
    let mut client = Wire::to(&server);
    client.send("GET k\r\nMGET none k k\r\n");
    let before = format!("${}\r\n{value}\r\n", value.len());
    let after = format!("*3\r\n$-1\r\n${}\r\n{value}", value.len());
    let found = client.rest();
    assert_eq!(found.len(), before.len() + 600_000);
    assert_eq!(found, [before.as_bytes(), &after.as_bytes()[..600_000]].concat());
}

#[test]
fn a_delay_keeps_nobody_else_waiting() {
    let (server, mut tester) = faulty(&[("threads", "1")]);
    tester.fault("DELAY 200 COMMAND get COUNT 1");
    let clock = Clock::system();
    let (mut slow, started_us) = (Wire::to(&server), clock.mono_us());
    slow.send("GET k\r\nPING\r\n");
    until(|| hits(&mut tester) == 1);
    for _ in 0..100 {
        assert_eq!(tester.ask("PING"), "+PONG");
    }
    slow.expect("$-1\r\n+PONG\r\n");
    let passed_us = clock.mono_us() - started_us;
    assert!(passed_us >= 199_000, "{passed_us} us");
}

#[test]
fn a_delay_under_a_virtual_clock_ends_when_the_clock_is_moved() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let config = config(&[("test-mode", "yes")]);
    let server = serve_with(Options { clock, config, ..Options::default() });
    let (mut slow, mut tester) = (Wire::to(&server), Wire::to(&server));
    tester.fault("DELAY 3600000 COMMAND get");
    slow.send("GET k\r\n");
    until(|| hits(&mut tester) == 1);
    hand.advance(Duration::from_secs(3_599));
    slow.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let kind = slow.0.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind}");
    slow.0.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    hand.advance(Duration::from_secs(1));
    slow.expect("$-1\r\n");
}

/// How often the first rule was hit.
fn hits(tester: &mut Wire) -> u64 {
    tester.send("PANNIER FAULT LIST\r\n");
    loop {
        if tester.line() == "hits" {
            let hits = tester.line()[1..].parse().unwrap();
            assert_eq!(tester.line(), "$4");
            assert_eq!(tester.line(), "left");
            tester.line();
            return hits;
        }
    }
}

#[test]
fn a_removed_delay_lets_its_requests_go() {
    let (server, mut tester) = faulty(&[]);
    let id = tester.fault("DELAY 3600000 COMMAND get");
    let mut clients: Vec<Wire> = (0..10).map(|_| Wire::to(&server)).collect();
    clients.iter_mut().for_each(|client| client.send("GET k\r\nPING\r\n"));
    until(|| hits(&mut tester) == 10);
    assert_eq!(tester.ask(&format!("PANNIER FAULT DEL {id}")), ":1");
    clients.iter_mut().for_each(|client| client.expect("$-1\r\n+PONG\r\n"));
}

#[test]
fn a_shutdown_does_not_wait_for_a_delay() {
    let (server, mut tester) = faulty(&[]);
    tester.fault("DELAY 3600000 COMMAND get");
    let mut slow = Wire::to(&server);
    slow.send("PING\r\nGET k\r\n");
    until(|| hits(&mut tester) == 1);
    server.stopper().stop();
    assert_eq!(slow.rest(), b"+PONG\r\n");
}

#[test]
fn the_reply_to_a_wait_is_lost_with_what_it_took() {
    let (server, mut tester) = faulty(&[]);
    tester.fault("CUT 7 COMMAND blpop COUNT 1");
    let mut waiting = Wire::to(&server);
    waiting.send("BLPOP queue 0\r\nPING\r\n");
    until(|| tester.info("blocked_clients") == 1);
    assert_eq!(tester.ask("RPUSH queue job"), ":1");
    assert_eq!(waiting.rest(), b"*2\r\n$5\r");
    assert_eq!(tester.ask("EXISTS queue"), ":0");
}

#[test]
fn nothing_comes_behind_a_reply_that_was_cut() {
    let (server, mut tester) = faulty(&[]);
    tester.fault("CUT 3 COMMAND publish COUNT 1");
    let mut client = Wire::to(&server);
    client.send("HELLO 3\r\nPING\r\n");
    until(|| client.line() == "+PONG");
    client.send("SUBSCRIBE c\r\n");
    client.expect(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    client.send("PUBLISH c to-myself\r\n");
    assert_eq!(client.rest(), b":1\r");
}

#[test]
fn connections_are_refused_as_often_as_is_wanted() {
    let (server, mut tester) = faulty(&[]);
    tester.fault("REFUSE COUNT 3");
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.addrs()[0]).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let _ = stream.write_all(b"PING\r\n");
        match stream.read(&mut [0]) {
            Ok(len) => assert_eq!(len, 0),
            Err(error) => {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
            }
        }
    }
    assert_eq!(Wire::to(&server).ask("PING"), "+PONG");
    assert_eq!(tester.info("rejected_connections"), 3);
    assert_eq!(hits(&mut tester), 3);
}

#[test]
fn pipelines_are_judged_request_by_request() {
    let (server, mut tester) = faulty(&[]);
    tester.fault("ERROR READONLY COMMAND set KEY k7");
    let mut client = Wire::to(&server);
    client.send((0..100).map(|n| format!("SET k{n} v\r\n")).collect::<String>());
    for n in 0..100 {
        let failed = client.line().starts_with("-READONLY");
        assert_eq!(failed, n == 7, "request {n}");
    }
    assert_eq!(tester.ask("DBSIZE"), ":99");
}
