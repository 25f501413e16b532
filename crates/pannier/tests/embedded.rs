//! Servers inside a process: several at once, under a clock of the test's own, gone when dropped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use pannier::{Cache, Clock, Config, Crew, Error, ErrorKind, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;

fn ask(server: &Server, request: &str, reply: &str) {
    let mut client = TcpStream::connect(server.addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut found = vec![0; reply.len()];
    client.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), reply);
}

#[test]
fn two_servers_in_one_process_do_not_know_each_other() {
    let first = Server::builder().start().unwrap();
    let second = Server::builder().directive("databases", "2").start().unwrap();
    assert_ne!(first.port(), second.port());
    ask(&first, "SET key value", "+OK\r\n");
    ask(&first, "EXISTS key", ":1\r\n");
    ask(&second, "EXISTS key", ":0\r\n");
    ask(&second, "SELECT 2", "-ERR DB index is out of range\r\n");
    ask(&first, "SELECT 2", "+OK\r\n");
}

#[test]
fn dropping_a_server_stops_it_and_its_address_is_free_again() {
    let server = Server::builder().start().unwrap();
    let addr = server.addr().unwrap();
    ask(&server, "PING", "+PONG\r\n");
    drop(server);
    assert!(TcpStream::connect(addr).is_err());
    let again = Server::builder().port(addr.port()).start().unwrap();
    assert_eq!(again.addr(), Some(addr));
    again.stop();
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_virtual_clock_rules_everything() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let server = Server::builder().clock(clock).start().unwrap();
    ask(&server, "TIME", "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
    ask(&server, "SET key value EX 100", "+OK\r\n");
    hand.advance(Duration::from_millis(99_999));
    ask(&server, "PTTL key", ":1\r\n");
    hand.advance(Duration::from_millis(1));
    ask(&server, "GET key", "$-1\r\n");
}

#[test]
fn what_is_wrong_is_said_at_the_start_and_names_the_directive() {
    let error = Server::builder().directive("no-such", "1").start().err().unwrap();
    assert!(matches!(&error, Error::Directive { name, .. } if name == "no-such"));
    assert_eq!(error.to_string(), "no-such: Bad directive or wrong number of arguments");
    let error = Server::builder().directive("bind", "not-an-address").start().err().unwrap();
    assert!(matches!(error, Error::Start(_)), "{error}");
}

#[test]
fn a_server_may_have_a_unix_socket_only() {
    let path = std::env::temp_dir().join(format!("pannier-embedded-{}.sock", std::process::id()));
    let server = Server::builder().without_tcp().unix_socket(&path).start().unwrap();
    assert_eq!((server.addr(), server.port()), (None, 0));
    assert_eq!(server.unix_socket(), Some(path.as_path()));
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_whole_configuration_can_be_given_and_a_server_can_be_sent_to_another_thread() {
    let config = Config { port: 0, maxclients: 7, ..Config::default() };
    let server = Server::builder().config(config).threads(3).start().unwrap();
    std::thread::spawn(move || {
        ask(&server, "CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$1\r\n7\r\n");
    })
    .join()
    .unwrap();
}

#[test]
fn a_cache_and_its_server_hold_the_same_keys() {
    let cache = Cache::builder().databases(4).build().unwrap();
    cache.call(["SET", "key", "value"]).unwrap();
    let server = Server::builder().cache(&cache).threads(1).start().unwrap();
    ask(&server, "GET key", "$5\r\nvalue\r\n");
    ask(&server, "SET brief value PX 20", "+OK\r\n");
    let second = Server::builder().cache(&cache).start().err().unwrap();
    assert_eq!(second.to_string(), "this cache has a server already");
    let foreign = Server::builder().cache(&cache).directive("maxmemory", "1mb").start();
    assert!(foreign.err().unwrap().to_string().contains("maxmemory"));
    // The server keeps house, and the cache does after it.
    until(|| cache.len() == 1);
    drop(server);
    cache.call(["SET", "brief", "value", "PX", "20"]).unwrap();
    until(|| cache.len() == 1);
    let again = Server::builder().cache(&cache).threads(1).start().unwrap();
    ask(&again, "GET key", "$5\r\nvalue\r\n");
}

/// Waits for what other threads do.
fn until(done: impl Fn() -> bool) {
    let clock = Clock::system();
    while !done() {
        assert!(clock.mono_us() < 30_000_000, "never");
        std::thread::yield_now();
    }
}

#[test]
fn shutdown_over_the_wire_ends_the_server_and_not_its_cache() {
    let cache = Cache::new();
    let server = Server::builder().cache(&cache).threads(1).start().unwrap();
    ask(&server, "SET key value", "+OK\r\n");
    let mut client = TcpStream::connect(server.addr().unwrap()).unwrap();
    client.write_all(b"SHUTDOWN NOSAVE\r\n").unwrap();
    server.wait();
    assert!(TcpStream::connect(server.addr().unwrap()).is_err());
    drop(server);
    assert_eq!(cache.len(), 1);
}

#[test]
fn many_servers_share_a_crew() {
    let crew = Arc::new(Crew::new(1).unwrap());
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let servers: Vec<Server> =
        (0..100).map(|_| Server::builder().crew(&crew).start().unwrap()).collect();
    // Other tests of this program run beside.
    assert!(threads() < before + 50, "{} threads", threads() - before);
    for (index, server) in servers.iter().enumerate() {
        ask(server, &format!("SET key {index:04}"), "+OK\r\n");
    }
    for (index, server) in servers.iter().enumerate() {
        ask(server, "GET key", &format!("$4\r\n{index:04}\r\n"));
    }
}

#[test]
fn a_server_on_the_callers_runtime() {
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    current.block_on(async {
        let server = Server::builder().runtime(Handle::current()).start().unwrap();
        let mut client = tokio::net::TcpStream::connect(server.addr().unwrap()).await.unwrap();
        for _ in 0..3 {
            client.write_all(b"PING\r\n").await.unwrap();
            let mut reply = [0; 7];
            client.read_exact(&mut reply).await.unwrap();
            assert_eq!(&reply, b"+PONG\r\n");
        }
        let addr = server.addr().unwrap();
        server.stop_async().await;
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    });
    // Dropped without a word, it blocks nobody.
    let server =
        current.block_on(async { Server::builder().runtime(Handle::current()).start().unwrap() });
    drop(server);
}

/// A cache whose scripts are slow soon, and its server.
fn impatient() -> (Cache, Server) {
    let cache = Cache::builder().directive("busy-reply-threshold", "20").build().unwrap();
    let server = Server::builder().cache(&cache).threads(1).start().unwrap();
    (cache, server)
}

fn is_busy(cache: &Cache) -> bool {
    cache.call(["PING"]).is_err_and(|error| error.kind() == Some(ErrorKind::Busy))
}

#[test]
fn a_server_that_stops_ends_the_scripts_of_its_connections_and_no_others() {
    let (cache, server) = impatient();
    let endless =
        "EVAL \"redis.call('set', 'k', 'v') while true do pcall(function() end) end\" 0\r\n";
    let mut client = TcpStream::connect(server.addr().unwrap()).unwrap();
    // What was received behind it is executed, too.
    client.write_all(endless.repeat(3).as_bytes()).unwrap();
    until(|| is_busy(&cache));
    server.stop();
    assert_eq!(cache.get("k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(cache.query::<i64>(["EVAL", "return 7", "0"]).unwrap(), 7);
    let again = Server::builder().cache(&cache).threads(1).start().unwrap();
    ask(&again, "EVAL \"return 8\" 0", ":8\r\n");
}

#[test]
fn shutdown_over_the_wire_ends_the_scripts_of_its_server() {
    let (cache, server) = impatient();
    let mut client = TcpStream::connect(server.addr().unwrap()).unwrap();
    client.write_all(b"EVAL \"while true do end\" 0\r\n").unwrap();
    until(|| is_busy(&cache));
    let mut other = TcpStream::connect(server.addr().unwrap()).unwrap();
    other.write_all(b"SHUTDOWN NOSAVE\r\n").unwrap();
    server.wait();
    assert_eq!(cache.query::<i64>(["EVAL", "return 7", "0"]).unwrap(), 7);
}

#[test]
fn a_script_of_the_callers_own_goes_on_when_a_server_stops() {
    let (cache, server) = impatient();
    let own = cache.clone();
    let script = std::thread::spawn(move || own.call(["EVAL", "while true do end", "0"]));
    until(|| is_busy(&cache));
    let mut client = TcpStream::connect(server.addr().unwrap()).unwrap();
    client.write_all(b"SHUTDOWN NOSAVE\r\n").unwrap();
    server.wait();
    drop(server);
    let again = Server::builder().cache(&cache).threads(1).start().unwrap();
    again.stop();
    // It would not be there to be killed.
    cache.call(["SCRIPT", "KILL"]).unwrap();
    let killed = script.join().unwrap().unwrap_err();
    assert!(killed.to_string().contains("killed by user"), "{killed}");
}

#[test]
fn a_server_ends_with_the_runtime_that_it_is_on() {
    let current = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runtime = current();
    let server = Server::builder().runtime(runtime.handle().clone()).start().unwrap();
    runtime.block_on(async {
        let mut client = tokio::net::TcpStream::connect(server.addr().unwrap()).await.unwrap();
        client.write_all(b"PING\r\n").await.unwrap();
        client.read_exact(&mut [0; 7]).await.unwrap();
    });
    drop(runtime);
    server.wait();
    server.cache().set("key", "value").unwrap();
    // One that never began has ended, too.
    let runtime = current();
    let server = Server::builder().runtime(runtime.handle().clone()).start().unwrap();
    drop(runtime);
    server.wait();
}

#[test]
fn a_server_that_would_listen_nowhere_does_not_start() {
    let cache = Cache::new();
    let refused = Server::builder().cache(&cache).without_tcp().start().err().unwrap();
    assert_eq!(refused.to_string(), "Configured to not listen anywhere");
    assert!(Server::builder().cache(&cache).start().is_ok());
}

#[test]
fn of_two_servers_that_start_at_once_a_cache_gets_one() {
    let cache = Cache::new();
    let start = || Server::builder().cache(&cache).threads(1).start();
    for _ in 0..20 {
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(start);
            (start(), other.join().unwrap())
        });
        assert!(one.is_ok() != other.is_ok());
        let refused = one.as_ref().err().or(other.as_ref().err()).unwrap();
        assert_eq!(refused.to_string(), "this cache has a server already");
    }
}
