//! Starting and stopping: sockets, Unix files, what becomes of clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use pannier_server::{Options, StartError, start};
use support::{Wire, config, serve};

#[test]
fn what_was_received_before_the_shutdown_is_answered_and_idle_clients_are_closed() {
    let server = serve(&[]);
    let (mut busy, mut idle) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(idle.ask("PING"), "+PONG");
    busy.send("PING\r\n".repeat(50_000));
    busy.expect("+PONG\r\n");
    let addr = server.addrs()[0];
    let stopping = std::thread::spawn(move || server.end());
    assert_eq!(busy.rest().len(), 49_999 * 7);
    assert_eq!(idle.rest(), b"");
    stopping.join().unwrap();
    assert!(TcpStream::connect(addr).is_err(), "nobody listens any more");
}

#[test]
fn a_shutdown_does_not_wait_for_the_end_of_a_pause() {
    let server = serve(&[]);
    let (mut held, mut other) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(other.ask("CLIENT PAUSE 1000000 WRITE"), "+OK");
    held.send("GET key\r\nSET key value\r\n");
    held.expect("$-1\r\n");
    server.end();
    assert_eq!(held.rest(), b"");
}

#[test]
fn shutdown_by_a_client_ends_the_server_and_closes_without_a_reply() {
    let server = serve(&[]);
    let (mut client, mut other) = (Wire::to(&server), Wire::to(&server));
    assert_eq!(other.ask("PING"), "+PONG");
    client.send("SHUTDOWN\r\n");
    assert_eq!(client.rest(), b"");
    assert_eq!(other.rest(), b"");
    server.wait();
}

#[test]
fn nobody_is_let_in_when_the_connection_that_asked_for_the_end_is_closed() {
    for number in 0..40 {
        let server = serve(&[]);
        let addr = server.addrs()[0];
        let mut client = Wire::to(&server);
        client.send(if number % 2 == 0 {
            "SHUTDOWN NOSAVE\r\n"
        } else {
            "SHUTDOWN NOSAVE NOW\r\n"
        });
        assert_eq!(client.rest(), b"");
        // A socket may be given the very port and meet itself.
        let met = TcpStream::connect(addr).is_ok_and(|own| own.local_addr().unwrap() != addr);
        assert!(!met, "{number}");
    }
}

#[test]
fn shutdown_now_does_not_wait_for_a_client_that_never_reads() {
    let server = serve(&[]);
    let (mut deaf, mut client) = (Wire::to(&server), Wire::to(&server));
    deaf.send(support::request(&["SET", "key", &"x".repeat(1 << 20)]));
    deaf.send(support::request(&["GET", "key"]).repeat(64));
    client.ask_until("EXISTS key", |found| found == ":1");
    client.send("SHUTDOWN NOW\r\n");
    assert_eq!(client.rest(), b"");
    server.wait();
}

#[test]
fn a_unix_socket_has_its_permissions_and_goes_with_the_server() {
    let path = temporary("perm");
    let text = path.display().to_string();
    let server = serve(&[("unixsocket", &text), ("unixsocketperm", "700")]);
    assert_eq!(server.unix_path(), Some(&path));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut client = Wire::to_path(&path);
    assert_eq!(client.ask("SET key value"), "+OK");
    assert_eq!(client.ask("PING"), "+PONG");
    assert!(client.ask_bulk("CLIENT INFO").contains(&format!("addr={text}:0 laddr={text}:0 ")));
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_another_file_is_not() {
    let path = temporary("left");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let text = path.display().to_string();
    drop(serve(&[("unixsocket", &text)]));
    std::fs::write(&path, "precious").unwrap();
    let config = config(&[("unixsocket", &text)]);
    let refused = start(Options { config, free_port: true, ..Options::default() });
    assert!(matches!(refused, Err(StartError::Unix { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_unix_socket_on_which_another_server_listens_is_not_taken_from_it() {
    let path = temporary("taken");
    let text = path.display().to_string();
    let first = serve(&[("unixsocket", &text)]);
    let config = config(&[("unixsocket", &text)]);
    let refused = start(Options { config, free_port: true, ..Options::default() }).err().unwrap();
    assert!(refused.to_string().starts_with(&format!("Failed opening Unix socket {text}: ")));
    assert_eq!(Wire::to_path(&path).ask("PING"), "+PONG");
    // Whoever removes the file may have it, and keeps it.
    std::fs::remove_file(&path).unwrap();
    let second = serve(&[("unixsocket", &text)]);
    drop(first);
    assert_eq!(Wire::to_path(&path).ask("PING"), "+PONG");
    drop(second);
    assert!(!path.exists());
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let first = serve(&[]);
    let port = first.port().to_string();
    let config = config(&[("port", &port), ("bind", "127.0.0.1")]);
    let error = start(Options { config, ..Options::default() }).err().expect("refused");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "Could not create server TCP listening socket 127.0.0.1:{port}: "
        )),
        "{text}"
    );
}

#[test]
fn ipv6_and_several_addresses_share_a_port() {
    let server = serve(&[("bind", "127.0.0.1 127.0.0.3 -::1")]);
    for addr in server.addrs() {
        assert_eq!(addr.port(), server.port());
        let mut client = Wire(TcpStream::connect(addr).unwrap());
        assert_eq!(client.ask("PING"), "+PONG");
    }
    assert!(server.addrs().len() >= 2);
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pannier-{}-{name}.sock", std::process::id()))
}
