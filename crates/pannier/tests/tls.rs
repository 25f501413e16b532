//! Which ports an embedded server opens when TLS is asked for, and what of it can change.
//!
//! What is spoken there is tested in the crate `server`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use pannier::{Cache, Error, Server, TlsAuth, TlsOptions};

fn options() -> TlsOptions {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    TlsOptions::new(cert.into_bytes(), key.into_bytes())
}

/// Whether what listens there takes plain text for an error of TLS.
fn speaks_tls(addr: SocketAddr) -> bool {
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    let mut first = [0];
    client.read_exact(&mut first).unwrap();
    first[0] == ALERT
}

/// How an alert begins (RFC 8446, 5.1); a reply to PING begins with `+`.
const ALERT: u8 = 21;

#[test]
fn tls_is_all_that_is_spoken_unless_a_port_is_asked_for() {
    let server = Server::builder().tls(options()).start().unwrap();
    assert_eq!((server.addr(), server.port()), (None, 0));
    assert!(speaks_tls(server.tls_addr().unwrap()));
    assert_eq!(server.tls_addrs().len(), 2, "as `bind` says: 127.0.0.1 and ::1");

    let both = Server::builder().tls(options()).port(0).start().unwrap();
    assert!(!speaks_tls(both.addr().unwrap()) && speaks_tls(both.tls_addr().unwrap()));
    assert!(both.url().starts_with("redis://"));

    let again = server.tls_addr().unwrap().port();
    drop(server);
    let server = Server::builder().tls(options()).tls_port(again).start().unwrap();
    assert_eq!(server.url(), format!("rediss://127.0.0.1:{again}/0"));

    let plain = Server::builder().start().unwrap();
    assert_eq!(plain.tls_addr(), None);
    assert!(!speaks_tls(plain.addr().unwrap()));
}

#[test]
fn what_cannot_be_used_is_an_error_of_configuration() {
    for wrong in [options().client_auth(TlsAuth::Yes), options().protocols("SSLv3")] {
        let error = Server::builder().tls(wrong).start().err().unwrap();
        assert!(matches!(&error, Error::Config(text) if text.starts_with("Failed to configure")));
    }
    let builder = Server::builder().directive("tls-port", "7000");
    let error = builder.start().err().unwrap().to_string();
    assert_eq!(error, "Failed to configure TLS: No tls-cert-file configured!");
}

#[test]
fn a_cache_keeps_its_data_and_its_server_the_tls_that_it_was_started_with() {
    let cache = Cache::new();
    let change = ["CONFIG", "SET", "tls-port", "7000"];
    let error = cache.query::<String>(change).unwrap_err().to_string();
    assert!(error.ends_with("this cache has no server"), "{error}");
    let server = Server::builder().cache(&cache).tls(options()).start().unwrap();
    assert!(speaks_tls(server.tls_addr().unwrap()));
    let error = cache.query::<String>(change).unwrap_err().to_string();
    assert!(error.ends_with("TLS of this server is set where it is started"), "{error}");
    server.reload_tls().unwrap();
    assert!(speaks_tls(server.tls_addr().unwrap()));
}
