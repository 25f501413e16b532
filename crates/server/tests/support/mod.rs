//! Servers and clients for the tests of this crate: plain sockets, and waits that end.
//!
//! Every read has a timeout, so that a server that does not answer fails a test instead of holding
//! it up. Nothing here sleeps: what a test waits for is a reply, an end of stream, or a condition
//! that it asks the server about again and again.

#![expect(dead_code, reason = "each test program uses its part")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use pannier_engine::config::Config;
use pannier_server::{Options, Running, start};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A configuration from directives.
pub(crate) fn config(directives: &[(&str, &str)]) -> Config {
    let mut config = Config { port: 0, threads: 2, ..Config::default() };
    for (name, value) in directives {
        config.set(name, &[value]).unwrap_or_else(|error| panic!("{name} {value}: {error}"));
    }
    config
}

/// A server on a free port.
pub(crate) fn serve(directives: &[(&str, &str)]) -> Running {
    serve_with(Options { config: config(directives), ..Options::default() })
}

/// A server on a free port with other options.
pub(crate) fn serve_with(options: Options) -> Running {
    start(Options { free_port: true, ..options }).expect("the server starts")
}

/// A bare connection.
pub(crate) struct Wire<S = TcpStream>(pub(crate) S);

impl Wire {
    pub(crate) fn to(server: &Running) -> Self {
        let stream = TcpStream::connect(server.addrs()[0]).expect("connected");
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Ends this direction only.
    pub(crate) fn finish_sending(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Another handle to the same connection.
    pub(crate) fn again(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }
}

impl Wire<UnixStream> {
    pub(crate) fn to_path(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("connected");
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self(stream)
    }
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("written");
    }

    /// Sends one inline request and returns the first line of its reply.
    pub(crate) fn ask(&mut self, request: &str) -> String {
        self.send(format!("{request}\r\n"));
        self.line()
    }

    /// Sends one inline request and returns its bulk reply.
    pub(crate) fn ask_bulk(&mut self, request: &str) -> String {
        let header = self.ask(request);
        let len: usize = header.strip_prefix('$').and_then(|len| len.parse().ok()).expect(&header);
        let mut bytes = vec![0; len + 2];
        self.0.read_exact(&mut bytes).expect("a bulk reply");
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    /// A field of INFO.
    pub(crate) fn info(&mut self, field: &str) -> u64 {
        let text = self.ask_bulk("INFO everything");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).parse().expect(field)
    }

    /// A number in the reply of CLIENT LIST or CLIENT INFO.
    pub(crate) fn ask_field(&mut self, request: &str, field: &str) -> usize {
        let text = self.ask_bulk(request);
        let value =
            text.trim_end().split(' ').find_map(|word| word.strip_prefix(&format!("{field}=")));
        value.unwrap_or_else(|| panic!("no {field} in {text}")).parse().expect(field)
    }

    /// Asks again and again until `done` says that an answer is right.
    pub(crate) fn ask_until(&mut self, request: &str, done: impl Fn(&str) -> bool) {
        until(|| done(&self.ask(request)));
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.0.read_exact(&mut byte).expect("a line");
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).unwrap()
    }

    /// Reads exactly these bytes.
    pub(crate) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        let mut found = vec![0; wanted.len()];
        self.0.read_exact(&mut found).expect("a reply");
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(wanted));
    }

    /// Everything until the server closes the connection; being cut counts as closed.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut found = Vec::new();
        match self.0.read_to_end(&mut found) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("still open after {} bytes: {error}", found.len()),
        }
        found
    }
}

/// Looks again and again until something is so.
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < TIMEOUT, "this does not come true");
        std::thread::yield_now();
    }
}

/// A request as clients send it.
pub(crate) fn request<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
