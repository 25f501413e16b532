//! How a connection reads, executes and writes, whatever way the bytes come and go.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use pannier_clock::Clock;
use pannier_server::Options;
use std::time::Duration;
use support::{Wire, config, request, serve, serve_with, until};

#[test]
fn requests_that_arrive_byte_by_byte_are_answered_in_order() {
    let server = serve(&[]);
    let mut client = Wire::to(&server);
    let mut bytes = request(&["SET", "key", "value"]);
    bytes.extend(b"PING\r\n");
    bytes.extend(request(&["GET", "key"]));
    for byte in bytes {
        client.send([byte]);
    }
    client.expect("+OK\r\n+PONG\r\n$5\r\nvalue\r\n");
}

#[test]
fn a_pipeline_of_a_hundred_thousand_is_executed_though_nobody_reads_meanwhile() {
    let server = serve(&[]);
    let mut client = Wire::to(&server);
    let value = "v".repeat(100);
    client.send(request(&["SET", "key", &value]));
    client.expect("+OK\r\n");
    client.send(request(&["GET", "key"]).repeat(100_000));
    client.send("PING end\r\n");
    let reply = format!("$100\r\n{value}\r\n");
    for _ in 0..100 {
        client.expect(reply.repeat(1_000));
    }
    client.expect("$3\r\nend\r\n");
    let mut other = Wire::to(&server);
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 0);
}

#[test]
fn a_large_value_arrives_in_pieces_and_comes_back_whole() {
    let server = serve(&[]);
    let mut client = Wire::to(&server);
    let value: Vec<u8> =
        (0..40 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let bytes = request(&[&b"SET"[..], b"key", &value]);
    for piece in bytes.chunks(1_000_003) {
        client.send(piece);
    }
    client.expect("+OK\r\n");
    for _ in 0..3 {
        client.send(request(&["GET", "key"]));
    }
    for _ in 0..3 {
        client.expect(format!("${}\r\n", value.len()));
        client.expect(&value);
        client.expect("\r\n");
    }
}

#[test]
fn what_came_before_the_end_of_the_stream_is_answered_before_closing() {
    let server = serve(&[]);
    let mut client = Wire::to(&server);
    client.send("PING\r\n".repeat(20_000));
    client.send("*2\r\n$3\r\nGET\r\n$3\r\nhal");
    client.finish_sending();
    assert_eq!(client.rest(), b"+PONG\r\n".repeat(20_000));
}

#[test]
fn a_protocol_error_comes_after_the_replies_to_earlier_requests_and_closes() {
    let server = serve(&[]);
    let mut client = Wire::to(&server);
    client.send("PING\r\nSET k v\r\n*1\r\n$zzz\r\nPING\r\n");
    let expected = "+PONG\r\n+OK\r\n-ERR Protocol error: invalid bulk length\r\n";
    assert_eq!(String::from_utf8_lossy(&client.rest()), expected);
}

#[test]
fn quit_answers_and_drops_what_comes_behind_it() {
    let server = serve(&[]);
    let mut client = Wire::to(&server);
    client.send("PING\r\nQUIT\r\nPING\r\n");
    assert_eq!(client.rest(), b"+PONG\r\n+OK\r\n");
}

#[test]
fn limits_before_authentication_end_with_it_within_one_packet() {
    let server = serve(&[("requirepass", "secret")]);
    let mut client = Wire::to(&server);
    let keys: Vec<String> = (0..20).map(|i| format!("k{i}")).collect();
    let mut exists = vec!["EXISTS".to_owned()];
    exists.extend(keys);
    let mut bytes = request(&["AUTH", "secret"]);
    bytes.extend(request(&exists));
    client.send(bytes);
    client.expect("+OK\r\n:0\r\n");
    let mut client = Wire::to(&server);
    client.send(request(&exists));
    let rest = client.rest();
    assert_eq!(rest, b"-ERR Protocol error: unauthenticated multibulk length\r\n");
}

#[test]
fn a_paused_request_waits_in_its_place_until_unpause() {
    let server = serve(&[]);
    let (mut paused, mut other) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(other.ask("CLIENT PAUSE 1000000 WRITE"), "+OK");
    paused.send("GET a\r\nSET a 1\r\nGET a\r\n");
    paused.expect("$-1\r\n");
    paused.send("PING\r\n");
    assert_eq!(other.ask("CLIENT UNPAUSE"), "+OK");
    paused.expect("+OK\r\n$1\r\n1\r\n+PONG\r\n");
}

#[test]
fn a_pause_ends_by_itself() {
    let server = serve(&[]);
    let (mut paused, mut other) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(other.ask("CLIENT PAUSE 50"), "+OK");
    paused.send("SET a 1\r\n");
    paused.finish_sending();
    assert_eq!(paused.rest(), b"+OK\r\n");
}

#[test]
fn a_pause_under_a_virtual_clock_ends_when_the_clock_is_moved() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let server = serve_with(Options { clock, config: config(&[]), ..Options::default() });
    let (mut paused, mut other) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(other.ask("CLIENT PAUSE 1000 ALL"), "+OK");
    paused.send("PING\r\n");
    hand.advance(Duration::from_millis(1_001));
    paused.expect("+PONG\r\n");
    // The other way round: the request comes after the clock was moved.
    assert_eq!(other.ask("CLIENT PAUSE 1000 ALL"), "+OK");
    hand.advance(Duration::from_millis(1_000));
    paused.send("PING\r\n");
    paused.expect("+PONG\r\n");
}

#[test]
fn far_more_may_wait_behind_a_pause_than_one_read() {
    let server = serve(&[]);
    let (mut paused, mut other) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(other.ask("CLIENT PAUSE 1000000 WRITE"), "+OK");
    let mut sender = paused.again();
    let sending = std::thread::spawn(move || {
        sender.send("SET key value\r\n");
        sender.send("PING\r\n".repeat(300_000));
    });
    let list = "CLIENT LIST ID 1";
    until(|| other.ask_field(list, "qbuf") >= 512 << 10);
    assert_eq!(other.ask("CLIENT UNPAUSE"), "+OK");
    paused.expect("+OK\r\n");
    for _ in 0..300 {
        paused.expect("+PONG\r\n".repeat(1_000));
    }
    sending.join().unwrap();
}

#[test]
fn a_killed_client_is_closed_though_it_is_idle_or_held_back() {
    let server = serve(&[]);
    let (mut idle, mut held, mut other) = (Wire::to(&server), Wire::to(&server), Wire::to(&server));
    let id = idle.ask("CLIENT ID").replace(':', "");
    assert_eq!(other.ask(&format!("CLIENT KILL ID {id}")), ":1");
    assert_eq!(idle.rest(), b"");
    let id = held.ask("CLIENT ID").replace(':', "");
    assert_eq!(other.ask("CLIENT PAUSE 1000000 WRITE"), "+OK");
    held.send("SET key value\r\n");
    assert_eq!(other.ask(&format!("CLIENT KILL ID {id}")), ":1");
    assert_eq!(held.rest(), b"");
}

#[test]
fn a_client_that_kills_itself_gets_its_reply_first() {
    let server = serve(&[]);
    let mut client = Wire::to(&server);
    let id = client.ask("CLIENT ID").replace(':', "");
    client.send(format!("CLIENT KILL ID {id} SKIPME no\r\nPING\r\n"));
    assert_eq!(client.rest(), b":1\r\n");
}

#[test]
fn a_long_pipeline_does_not_keep_others_waiting() {
    let server = serve(&[("threads", "1"), ("enable-debug-command", "yes")]);
    let (mut busy, mut other) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(busy.ask("PING"), "+PONG");
    // A second of work that is already there when the other one comes.
    busy.send("DEBUG SLEEP 0.002\r\n".repeat(500));
    busy.expect("+OK\r\n");
    let executed = other.ask_field("CLIENT LIST ID 1", "tot-cmds");
    assert!(executed < 450, "{executed} of 500 were executed first");
    busy.expect("+OK\r\n".repeat(499));
}

#[test]
fn keys_are_freed_when_their_time_comes_though_nobody_asks() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let server = serve_with(Options { clock, config: config(&[]), ..Options::default() });
    let mut client = Wire::to(&server);
    for i in 0..1_000 {
        client.send(format!("SET key{i} v PX {}\r\n", 1_000 + i));
    }
    client.expect("+OK\r\n".repeat(1_000));
    hand.advance(Duration::from_millis(1_000 + 499));
    client.ask_until("DBSIZE", |size| size == ":500");
    hand.advance(Duration::from_millis(10_000));
    client.ask_until("DBSIZE", |size| size == ":0");
    assert_eq!(client.info("expired_keys"), 1_000);
}
