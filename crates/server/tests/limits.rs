//! What happens at the limits: clients, buffers, idleness, strangers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Read;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use pannier_clock::Clock;
use pannier_server::Options;
use support::{Wire, config, request, serve, serve_with, until};

#[test]
fn the_client_too_many_is_told_and_closed_and_room_comes_back() {
    let server = serve(&[("maxclients", "3")]);
    let mut clients: Vec<Wire> = (0..3).map(|_| Wire::to(&server)).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG"));
    for _ in 0..5 {
        let mut refused = Wire::to(&server);
        assert_eq!(refused.rest(), b"-ERR max number of clients reached\r\n");
    }
    assert_eq!(clients[0].info("rejected_connections"), 5);
    drop(clients.pop());
    clients[0].ask_until("PING", |_| server.engine().connected() == 2);
    assert_eq!(Wire::to(&server).ask("PING"), "+PONG");
    assert_eq!(clients[0].ask("CONFIG SET maxclients 100"), "+OK");
    let mut more: Vec<Wire> = (0..90).map(|_| Wire::to(&server)).collect();
    more.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG"));
}

#[test]
fn a_client_that_reconnects_at_once_is_not_refused_for_its_own_last_connection() {
    let server = serve(&[("maxclients", "1")]);
    for _ in 0..200 {
        assert_eq!(Wire::to(&server).ask("PING"), "+PONG");
    }
}

#[test]
fn a_client_that_never_reads_is_cut_at_the_hard_limit_and_its_memory_comes_back() {
    let server = serve(&[("client-output-buffer-limit", "normal 8mb 0 0")]);
    let (mut deaf, mut other) = (Wire::to(&server), Wire::to(&server));
    deaf.send(request(&["SET", "key", &"x".repeat(1 << 20)]));
    deaf.expect("+OK\r\n");
    let mut sender = deaf.again();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        // Being cut may make this fail.
        let _ = sender.0.write_all(&request(&["GET", "key"]).repeat(10_000));
    });
    other.ask_until("PING", |_| server.engine().connected() == 1);
    sending.join().unwrap();
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 1);
    assert_eq!(other.ask("EXISTS key"), ":1");
}

#[test]
fn the_soft_limit_cuts_after_its_seconds() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let config = config(&[("client-output-buffer-limit", "normal 0 1mb 10")]);
    let server = serve_with(Options { clock, config, ..Options::default() });
    let (mut deaf, mut other) = (Wire::to(&server), Wire::to(&server));
    deaf.send(request(&["SET", "key", &"x".repeat(1 << 20)]));
    deaf.expect("+OK\r\n");
    deaf.send(request(&["GET", "key"]).repeat(64));
    until(|| other.ask_field("CLIENT LIST ID 1", "omem") > 1 << 20);
    hand.advance(Duration::from_secs(9));
    assert_eq!(other.ask("PING"), "+PONG");
    assert_eq!(server.engine().connected(), 2);
    hand.advance(Duration::from_secs(2));
    other.ask_until("PING", |_| server.engine().connected() == 1);
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 1);
}

#[test]
fn an_unfinished_request_over_the_query_limit_is_cut() {
    let server = serve(&[("client-query-buffer-limit", "1mb")]);
    let (mut client, mut other) = (Wire::to(&server), Wire::to(&server));
    client.send("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$100000000\r\n");
    let mut sender = client.again();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        let _ = sender.0.write_all(&vec![b'x'; 8 << 20]);
    });
    assert_eq!(client.rest(), b"");
    sending.join().unwrap();
    assert_eq!(other.info("client_query_buffer_limit_disconnections"), 1);
}

#[test]
fn a_transaction_over_the_query_limit_is_cut() {
    let server = serve(&[("client-query-buffer-limit", "1mb")]);
    let (mut client, mut other) = (Wire::to(&server), Wire::to(&server));
    let set = format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$10000\r\n{}\r\n", "x".repeat(10_000));
    assert_eq!(client.ask("MULTI"), "+OK");
    for _ in 0..100 {
        client.send(&set);
        assert_eq!(client.line(), "+QUEUED");
    }
    other.ask("CLIENT LIST");
    let shown = other.line();
    assert!(shown.contains("multi=100") && shown.contains("multi-mem=1003200"), "{shown}");
    (0..5).for_each(|_| client.send(&set));
    let rest = String::from_utf8(client.rest()).unwrap();
    assert_eq!(rest.replace("+QUEUED\r\n", ""), "");
    assert_eq!(other.info("client_query_buffer_limit_disconnections"), 1);
}

#[test]
fn a_transaction_that_a_refusal_has_spoilt_counts_for_nothing() {
    let server = serve(&[("client-query-buffer-limit", "1mb")]);
    let (mut client, mut other) = (Wire::to(&server), Wire::to(&server));
    let set = format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$10000\r\n{}\r\n", "x".repeat(10_000));
    assert_eq!(client.ask("MULTI"), "+OK");
    for turn in 0..150 {
        client.send(&set);
        assert_eq!(client.line(), "+QUEUED", "{turn}");
        if turn == 90 {
            assert!(client.ask("NOSUCH").starts_with("-ERR unknown command"));
            other.ask("CLIENT LIST");
            let shown = other.line();
            assert!(shown.contains("multi-mem=0"), "{shown}");
        }
    }
    assert!(client.ask("EXEC").starts_with("-EXECABORT"));
}

#[test]
fn idle_clients_are_closed_after_the_timeout_and_others_are_not() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let config = config(&[("timeout", "60"), ("hz", "100")]);
    let server = serve_with(Options { clock, config, ..Options::default() });
    let (mut idle, mut active) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(idle.ask("PING"), "+PONG");
    hand.advance(Duration::from_secs(40));
    assert_eq!(active.ask("PING"), "+PONG");
    hand.advance(Duration::from_secs(40));
    assert_eq!(idle.rest(), b"");
    assert_eq!(active.ask("PING"), "+PONG");
}

#[test]
fn the_largest_clients_are_evicted_and_protected_ones_are_not() {
    let server = serve(&[("maxmemory-clients", "3mb"), ("hz", "100")]);
    let (mut large, mut protected, mut small) =
        (Wire::to(&server), Wire::to(&server), Wire::to(&server));
    assert_eq!(protected.ask("CLIENT NO-EVICT on"), "+OK");
    protected.send("*2\r\n$4\r\nPING\r\n$2500000\r\n");
    protected.send(vec![b'x'; 2_000_000]);
    large.send("*2\r\n$4\r\nPING\r\n$2500000\r\n");
    large.send(vec![b'x'; 1_900_000]);
    assert_eq!(large.rest(), b"");
    assert_eq!(small.ask("PING"), "+PONG");
    protected.send(vec![b'x'; 500_000]);
    protected.send("\r\n");
    assert_eq!(protected.line(), "$2500000");
    assert_eq!(small.info("evicted_clients"), 1);
}

#[test]
fn idle_connections_own_no_buffers_and_all_answer() {
    let server = serve(&[]);
    let mut clients: Vec<Wire> = (0..400).map(|_| Wire::to(&server)).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG"));
    let text = clients[0].ask_bulk("CLIENT LIST");
    let idle = text.lines().skip(1);
    for line in idle {
        assert!(line.contains(" qbuf=0 qbuf-free=0 "), "{line}");
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG"));
}

#[test]
fn strangers_are_refused_in_protected_mode_until_there_is_a_password() {
    let Some(ip) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let server = serve(&[("bind", "*")]);
    let connect = || {
        let stream = TcpStream::connect((ip, server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Wire(stream)
    };
    let mut words = String::new();
    connect().0.read_to_string(&mut words).unwrap();
    assert!(words.starts_with("-DENIED Running in protected mode because protected mode is"));
    assert!(words.ends_with("connections from the outside.\r\n"));
    assert!(!words.contains("  "), "{words}");
    let mut local = Wire::to(&server);
    assert_eq!(local.ask("CONFIG SET requirepass secret"), "+OK");
    let mut stranger = connect();
    assert_eq!(stranger.ask("PING"), "-NOAUTH Authentication required.");
    assert_eq!(stranger.ask("AUTH secret"), "+OK");
}

/// An address of this machine that is not loopback; sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[test]
fn a_subscriber_that_never_reads_is_cut_and_harms_nobody() {
    let server = serve(&[("client-output-buffer-limit", "normal 0 0 0 pubsub 1mb 0 0")]);
    let (mut deaf, mut good) = (Wire::to(&server), Wire::to(&server));
    let mut publisher = Wire::to(&server);
    for subscriber in [&mut deaf, &mut good] {
        subscriber.send(request(&["SUBSCRIBE", "a"]));
        subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    }
    let text = "x".repeat(10_000);
    let message = format!("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10000\r\n{text}\r\n");
    let receivers = |publisher: &mut Wire, good: &mut Wire| {
        publisher.send(request(&["PUBLISH", "a", &text]));
        let receivers = publisher.line();
        good.expect(&message);
        receivers
    };
    assert_eq!(receivers(&mut publisher, &mut good), ":2");
    // The sockets' own buffers are filled first.
    until(|| receivers(&mut publisher, &mut good) == ":1");
    assert_eq!(publisher.info("client_output_buffer_limit_disconnections"), 1);
    assert_eq!(publisher.info("pubsub_clients"), 1);
    assert_eq!(server.engine().connected(), 2);
}
