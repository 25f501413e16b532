//! TLS as clients meet it: versions, certificates, and all that a connection can do besides.
//!
//! Certificates are made here, of ECDSA keys; RSA keys, encrypted keys and the clients of other
//! libraries are in `tests/clients/test_tls.py`. A client is rustls over a plain socket, so every
//! test of a [`Wire`] can be said over TLS.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pannier_server::{Options, Running, StartError, TlsAuth, TlsOptions, start};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use support::{Wire, config, until};

type Client = Wire<StreamOwned<ClientConnection, TcpStream>>;

/// An authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key.
#[derive(Clone)]
struct Identity {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, until_year: i32) -> Identity {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { cert, key: key.serialize_pem() }
    }
}

impl Identity {
    fn options(&self) -> TlsOptions {
        TlsOptions::new(self.cert.clone().into_bytes(), self.key.clone().into_bytes())
    }
}

/// A server that speaks TLS and, for control, plain TCP.
fn serve(tls: TlsOptions, directives: &[(&str, &str)]) -> Running {
    let config = config(directives);
    let options = Options { config, tls: Some(tls), free_port: true, ..Options::default() };
    start(options).expect("the server starts")
}

fn client_config(
    authority: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { cert, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

fn connect(server: &Running, config: &Arc<ClientConfig>) -> Client {
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let socket = TcpStream::connect(server.tls_addrs()[0]).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket.set_nodelay(true).unwrap();
    Wire(StreamOwned::new(client, socket))
}

/// The first line of a reply, or why there is none.
fn try_ping(server: &Running, config: &Arc<ClientConfig>) -> io::Result<String> {
    let mut client = connect(server, config);
    client.0.write_all(b"PING\r\n")?;
    let mut reply = [0; 7];
    client.0.read_exact(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).trim_end().to_owned())
}

/// A server with a certificate, and what its clients use.
fn simple(directives: &[(&str, &str)]) -> (Running, Arc<ClientConfig>) {
    let authority = Authority::new("ours");
    let server = serve(authority.issue(2100).options(), directives);
    (server, client_config(&authority, None, rustls::ALL_VERSIONS))
}

#[test]
fn requests_of_every_shape_are_answered() {
    let (server, config) = simple(&[]);
    let mut client = connect(&server, &config);
    assert_eq!(client.ask("PING"), "+PONG");
    client.send("PING\r\n".repeat(20_000));
    client.expect("+PONG\r\n".repeat(20_000));
    for byte in b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n" {
        client.send([*byte]);
        client.0.flush().unwrap();
    }
    client.expect("$2\r\nhi\r\n");
    // Larger than all that is encrypted at once, and than what a turn writes.
    let value = "0123456789abcdef".repeat(5 << 16);
    client.send(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len()));
    client.expect("+OK\r\n");
    client.send("GET k\r\n".repeat(3));
    for _ in 0..3 {
        client.expect(format!("${}\r\n{value}\r\n", value.len()));
    }
    assert_eq!(client.ask("STRLEN k"), format!(":{}", value.len()));
    assert_eq!(client.ask("QUIT"), "+OK");
    assert_eq!(client.rest(), b"", "the end is told");
}

#[test]
fn both_versions_are_spoken_and_sessions_are_resumed() {
    let authority = Authority::new("ours");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for resumed in [true, false] {
            let directives = [("tls-session-caching", if resumed { "yes" } else { "no" })];
            let directory = Directory::new(&authority);
            let server = directory.serve(&directives);
            let config = client_config(&authority, None, &[version]);
            for number in 0..3 {
                let mut client = connect(&server, &config);
                assert_eq!(client.ask("PING"), "+PONG");
                let kind = client.0.conn.handshake_kind().unwrap();
                let again = number > 0 && resumed;
                assert_eq!(kind == HandshakeKind::Resumed, again, "{version:?} {number}");
                assert_eq!(client.0.conn.protocol_version(), Some(version.version));
            }
        }
    }
}

#[test]
fn what_a_configuration_does_not_allow_is_not_agreed_on() {
    let authority = Authority::new("ours");
    let directory = Directory::new(&authority);
    let server = directory.serve(&[
        ("tls-protocols", "TLSv1.3"),
        ("tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"),
    ]);
    let old = client_config(&authority, None, &[&rustls::version::TLS12]);
    assert!(try_ping(&server, &old).is_err());
    let mut client = connect(&server, &client_config(&authority, None, rustls::ALL_VERSIONS));
    assert_eq!(client.ask("PING"), "+PONG");
    let suite = client.0.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
}

#[test]
fn clients_show_a_certificate_where_they_must() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let options = || ours.issue(2100).options().client_ca(ours.pem.clone().into_bytes());
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let none = client_config(&ours, None, versions);
        let good = client_config(&ours, Some(&ours.issue(2100)), versions);
        let expired = client_config(&ours, Some(&ours.issue(2001)), versions);
        let unknown = client_config(&ours, Some(&foreign.issue(2100)), versions);
        let server = serve(options(), &[]);
        assert_eq!(try_ping(&server, &good).unwrap(), "+PONG");
        assert!(try_ping(&server, &none).is_err());
        assert!(try_ping(&server, &expired).is_err());
        assert!(try_ping(&server, &unknown).is_err());
        let server = serve(options().client_auth(TlsAuth::Optional), &[]);
        assert_eq!(try_ping(&server, &good).unwrap(), "+PONG");
        assert_eq!(try_ping(&server, &none).unwrap(), "+PONG");
        assert!(try_ping(&server, &unknown).is_err());
        let server = serve(options().client_auth(TlsAuth::No), &[]);
        assert_eq!(try_ping(&server, &unknown).unwrap(), "+PONG");
    }
}

#[test]
fn a_server_with_another_certificate_is_not_believed() {
    let (server, _) = simple(&[]);
    let foreign = client_config(&Authority::new("foreign"), None, rustls::ALL_VERSIONS);
    assert!(try_ping(&server, &foreign).is_err());
}

#[test]
fn a_server_does_not_start_with_what_it_cannot_use() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.issue(2100), authority.issue(2100));
    let fails = |tls: TlsOptions| match start(Options {
        config: config(&[]),
        tls: Some(tls),
        ..Options::default()
    }) {
        Err(error @ StartError::Tls(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    };
    let (cert, key) = (one.cert.into_bytes(), other.key.into_bytes());
    let mixed = fails(TlsOptions::new(cert.clone(), key.clone()));
    assert!(mixed.contains("not the key of the certificate"), "{mixed}");
    assert!(fails(TlsOptions::new(key.clone(), key.clone())).contains("no certificate in it"));
    assert!(fails(TlsOptions::new(cert.clone(), cert.clone())).contains("no private key in it"));
    let options = TlsOptions::new(PathBuf::from("/nowhere.crt"), key);
    assert!(fails(options).contains("Failed to load certificate: /nowhere.crt: No such file"));
    let auth = fails(other_options(&authority).client_auth(TlsAuth::Yes));
    assert!(auth.contains("Either tls-ca-cert-file or tls-ca-cert-dir"), "{auth}");
    let old = fails(other_options(&authority).protocols("TLSv1.1"));
    assert!(old.contains("TLSv1.1 is not secure"), "{old}");
}

fn other_options(authority: &Authority) -> TlsOptions {
    authority.issue(2100).options()
}

#[test]
fn messages_reach_a_client_and_waits_end() {
    let (server, config) = simple(&[]);
    let mut plain = Wire::to(&server);
    let mut subscriber = connect(&server, &config);
    subscriber.send("SUBSCRIBE news\r\n");
    subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    for number in 0..100 {
        assert_eq!(plain.ask(&format!("PUBLISH news {number:03}")), ":1");
        subscriber.expect(format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\n{number:03}\r\n"));
    }
    let mut waiter = connect(&server, &config);
    waiter.send("BLPOP jobs 0\r\n");
    until(|| plain.info("blocked_clients") == 1);
    plain.ask("RPUSH jobs one");
    waiter.expect("*2\r\n$4\r\njobs\r\n$3\r\none\r\n");
    waiter.send("BLPOP jobs 0.01\r\n");
    waiter.expect("*-1\r\n");
    let mut monitor = connect(&server, &config);
    assert_eq!(monitor.ask("MONITOR"), "+OK");
    assert_eq!(plain.ask("PING seen"), "$4");
    assert_eq!(plain.line(), "seen");
    assert!(monitor.line().ends_with("\"PING\" \"seen\""));
    let id = waiter.ask("CLIENT ID");
    assert_eq!(plain.ask(&format!("CLIENT KILL ID {}", &id[1..])), ":1");
    assert_eq!(waiter.rest(), b"");
}

#[test]
fn a_client_that_does_not_read_is_waited_for_up_to_its_limit() {
    let (server, config) = simple(&[("client-output-buffer-limit", "normal 8mb 0 0")]);
    let mut plain = Wire::to(&server);
    let value = "x".repeat(1 << 20);
    plain.send(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len()));
    plain.expect("+OK\r\n");
    let mut patient = connect(&server, &config);
    assert_eq!(patient.ask("CLIENT SETNAME patient"), "+OK");
    patient.send("GET k\r\n".repeat(6));
    patient.0.flush().unwrap();
    assert_eq!(plain.ask("PING"), "+PONG");
    for _ in 0..6 {
        patient.expect(format!("${}\r\n{value}\r\n", value.len()));
    }
    let mut greedy = connect(&server, &config);
    greedy.send("GET k\r\n".repeat(64));
    greedy.0.flush().unwrap();
    until(|| plain.info("client_output_buffer_limit_disconnections") == 1);
    assert_eq!(patient.ask("PING"), "+PONG");
}

#[test]
fn a_stand_in_serves_it_while_a_script_keeps_the_thread() {
    let (server, config) = simple(&[("threads", "1"), ("busy-reply-threshold", "20")]);
    let mut script = connect(&server, &config);
    let mut other = connect(&server, &config);
    assert_eq!(other.ask("PING"), "+PONG");
    script.send("EVAL \"while true do end\" 0\r\n");
    script.0.flush().unwrap();
    until(|| other.ask("PING").starts_with("-BUSY"));
    other.send("PING\r\n".repeat(1_000));
    for _ in 0..1_000 {
        assert!(other.line().starts_with("-BUSY"));
    }
    // Who comes now shakes hands with the stand-in, too.
    let mut late = connect(&server, &config);
    assert_eq!(late.ask("SCRIPT KILL"), "+OK");
    assert!(script.line().contains("killed by user"));
    for client in [&mut script, &mut other, &mut late] {
        assert_eq!(client.ask("PING"), "+PONG");
    }
}

#[test]
fn the_end_of_the_server_is_told_after_the_last_reply() {
    let (server, config) = simple(&[]);
    let mut idle = connect(&server, &config);
    assert_eq!(idle.ask("PING"), "+PONG");
    let mut last = connect(&server, &config);
    last.send("PING\r\nSHUTDOWN NOSAVE\r\n");
    last.expect("+PONG\r\n");
    server.wait();
    // Without its goodbye this would be an error.
    assert_eq!(idle.0.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn who_does_not_speak_tls_is_cut_and_holds_nobody_up() {
    let (server, config) = simple(&[("threads", "1"), ("maxclients", "10")]);
    let mut plain = Wire::to(&server);
    let silent: Vec<_> =
        (0..5).map(|_| TcpStream::connect(server.tls_addrs()[0]).unwrap()).collect();
    until(|| plain.info("connected_clients") == 6);
    for garbage in [&b"PING\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4_000]] {
        let mut wrong = TcpStream::connect(server.tls_addrs()[0]).unwrap();
        wrong.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        wrong.write_all(garbage).unwrap();
        let mut said = Vec::new();
        match wrong.read_to_end(&mut said) {
            Ok(_) => assert!(said.len() <= 7, "an alert at most: {said:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert_eq!(try_ping(&server, &config).unwrap(), "+PONG");
    drop(silent);
    until(|| plain.info("connected_clients") == 1);
}

#[test]
fn a_full_server_sends_away_without_a_word() {
    let (server, config) = simple(&[("maxclients", "1")]);
    let mut first = connect(&server, &config);
    assert_eq!(first.ask("PING"), "+PONG");
    assert!(try_ping(&server, &config).is_err());
    assert!(first.info("rejected_connections") >= 1);
}

/// Files of a certificate, gone with the test.
struct Directory {
    path: PathBuf,
    port: u16,
}

impl Directory {
    fn new(authority: &Authority) -> Self {
        let name = format!("pannier-tls-{}-{}", std::process::id(), next_number());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let directory = Self { path, port: free_port() };
        directory.write(&authority.issue(2100));
        directory
    }

    fn write(&self, identity: &Identity) {
        std::fs::write(self.path.join("server.crt"), &identity.cert).unwrap();
        std::fs::write(self.path.join("server.key"), &identity.key).unwrap();
    }

    fn serve(&self, directives: &[(&str, &str)]) -> Running {
        let (dir, port) = (self.path.display().to_string(), self.port.to_string());
        let mut all = vec![
            ("dir", dir.as_str()),
            ("tls-port", &port),
            ("tls-cert-file", "server.crt"),
            ("tls-key-file", "server.key"),
            ("tls-auth-clients", "no"),
        ];
        all.extend_from_slice(directives);
        let options = Options { config: config(&all), free_port: true, ..Options::default() };
        start(options).expect("the server starts")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A number that no other directory of this process has.
fn next_number() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn certificates_and_the_port_change_while_it_runs() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let directory = Directory::new(&first);
    let server = directory.serve(&[]);
    let mut plain = Wire::to(&server);
    let (by_first, by_second) = (
        client_config(&first, None, &[&rustls::version::TLS13]),
        client_config(&second, None, &[&rustls::version::TLS13]),
    );
    let mut old = connect(&server, &by_first);
    assert_eq!(old.ask("PING"), "+PONG");

    // What cannot be used changes nothing.
    let failed = plain.ask("CONFIG SET tls-cert-file missing.crt");
    let words = "(possibly related to argument 'tls-cert-file') - Unable to update TLS \
                 configuration. Check server logs.";
    assert_eq!(failed, format!("-ERR CONFIG SET failed {words}"));
    plain.send("CONFIG GET tls-cert-file\r\n");
    plain.expect("*2\r\n$13\r\ntls-cert-file\r\n$10\r\nserver.crt\r\n");
    assert!(plain.ask("CONFIG SET tls-auth-clients yes").starts_with("-ERR CONFIG SET failed"));
    assert_eq!(try_ping(&server, &by_first).unwrap(), "+PONG");

    // Other files are for those who come now.
    let other = second.issue(2100);
    std::fs::write(directory.path.join("other.crt"), &other.cert).unwrap();
    std::fs::write(directory.path.join("other.key"), &other.key).unwrap();
    assert_eq!(plain.ask("CONFIG SET tls-cert-file other.crt tls-key-file other.key"), "+OK");
    assert_eq!(try_ping(&server, &by_second).unwrap(), "+PONG");
    assert!(try_ping(&server, &by_first).is_err());
    assert_eq!(old.ask("PING"), "+PONG");

    // Another port, one that is taken, and none.
    let before = server.tls_addrs()[0];
    let port = free_port();
    assert_eq!(plain.ask(&format!("CONFIG SET tls-port {port}")), "+OK");
    assert_eq!(server.tls_addrs()[0].port(), port);
    until(|| try_ping(&server, &by_second).is_ok());
    until(|| TcpStream::connect(before).is_err());
    let taken = server.port();
    let failed = plain.ask(&format!("CONFIG SET tls-port {taken}"));
    assert!(failed.ends_with("Unable to listen on this port. Check server logs."), "{failed}");
    assert_eq!(try_ping(&server, &by_second).unwrap(), "+PONG");
    let listening = plain.ask_bulk("INFO server");
    assert!(listening.contains(&format!("listener1:name=tls,bind=127.0.0.1,bind=::1,port={port}")));
    let here = server.tls_addrs()[0];
    assert_eq!(plain.ask("CONFIG SET tls-port 0"), "+OK");
    until(|| TcpStream::connect(here).is_err());
    assert_eq!(old.ask("PING"), "+PONG");
}

#[test]
fn changed_files_are_read_when_asked_or_by_themselves() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let directory = Directory::new(&first);
    let server = directory.serve(&[("tls-auto-reload-interval", "1")]);
    let (by_first, by_second) = (
        client_config(&first, None, &[&rustls::version::TLS13]),
        client_config(&second, None, &[&rustls::version::TLS13]),
    );
    assert_eq!(try_ping(&server, &by_first).unwrap(), "+PONG");
    std::fs::write(directory.path.join("server.crt"), "half of it").unwrap();
    assert!(server.reload_tls().unwrap_err().to_string().contains("no certificate in it"));
    assert_eq!(try_ping(&server, &by_first).unwrap(), "+PONG");
    directory.write(&second.issue(2100));
    server.reload_tls().unwrap();
    assert_eq!(try_ping(&server, &by_second).unwrap(), "+PONG");
    directory.write(&first.issue(2100));
    until(|| try_ping(&server, &by_first).is_ok());
}

#[test]
fn what_a_program_has_set_up_itself_stays() {
    let (server, config) = simple(&[]);
    let mut client = connect(&server, &config);
    let refused = client.ask("CONFIG SET tls-port 7000");
    assert!(refused.ends_with("TLS of this server is set where it is started"), "{refused}");
    assert_eq!(client.ask("PING"), "+PONG");
    let addr = format!("laddr={}", server.tls_addrs()[0]);
    assert!(client.ask_bulk("CLIENT INFO").contains(&addr));
    // Until 2100, less the years that have passed.
    let seconds = client.info("tls_server_cert_expires_in_seconds");
    assert!((1_000_000_000..3_000_000_000).contains(&seconds), "{seconds}");
    let told = client.ask_bulk("INFO tls");
    assert!(told.contains("tls_ca_cert_serial:none") && !told.contains("server_cert_serial:none"));
}
