//! The program as a user starts it: arguments, files, log, signals, exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pannier-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running program; ended with the test.
struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    port: u16,
    said: Vec<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, "")
    }

    fn start_with(arguments: &[&str], stdin: &str) -> Self {
        let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, stdout, port: 0, said: Vec::new() };
        let place = program.wait_for("listening on ");
        program.port = place.rsplit(':').next().unwrap().parse().unwrap_or(0);
        program
    }

    /// Reads the log up to the line that holds `text`, and returns what follows it there.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let len = self.stdout.read_line(&mut line).unwrap();
            assert!(len > 0, "it ended after {:?}", self.said);
            self.said.push(line.trim_end().to_owned());
            if let Some((_, rest)) = line.trim_end().split_once(text) {
                return rest.to_owned();
            }
        }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client
    }

    fn ask(&self, request: &str) -> String {
        let mut client = self.connect();
        client.write_all(format!("{request}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        reply.strip_suffix("+OK\r\n").unwrap_or(&reply).to_owned()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(sent.unwrap().success());
    }

    fn exit_code(mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        code
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pannier"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn version_and_help_are_printed_and_nothing_is_started() {
    for option in ["-v", "--version"] {
        let output = run(&[option]);
        assert!(output.status.success());
        assert!(text(&output.stdout).starts_with("Pannier v=0.1.0 "));
    }
    for option in ["-h", "--help"] {
        let output = run(&[option]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("--maxmemory-policy"));
    }
}

#[test]
fn a_wrong_directive_is_refused_with_its_place_and_the_reason() {
    let output = run(&["--maxmemory", "plenty"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("*** FATAL CONFIG FILE ERROR (Pannier 0.1.0) ***"), "{said}");
    assert!(said.contains(">>> 'maxmemory \"plenty\"'\nargument must be a memory value"), "{said}");

    let directory = Directory::new("wrong");
    let file = directory.file("a.conf", "port 0\n\nno-such-directive 1\n");
    let output = run(&[name(&file)]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("at line 3 of {}", name(&file))), "{said}");
    assert!(said.contains(">>> 'no-such-directive 1'\nBad directive"), "{said}");

    let output = run(&["/no/such/file.conf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("can't open config file '/no/such/file.conf'"));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let first = Program::start(&["--port", "0"]);
    let output = run(&["--port", &first.port.to_string(), "--bind", "127.0.0.1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("Could not create server TCP listening socket 127.0.0.1:"), "{said}");
}

#[test]
fn files_includes_standard_input_and_options_override_in_this_order() {
    let directory = Directory::new("order");
    directory.file("one.inc", "maxclients 11\ntimeout 11\n");
    directory.file("two.inc", "timeout 22\n");
    let pattern = directory.0.join("*.inc");
    let main = format!("maxclients 5\ntimeout 5\ndatabases 5\ninclude {}\n", name(&pattern));
    let main = directory.file("main.conf", &main);
    let arguments = [name(&main), "--port", "0", "--databases", "9", "-"];
    let program = Program::start_with(&arguments, "lfu-decay-time 33\ndatabases 8\n");
    let get = |parameter: &str| {
        let reply = program.ask(&format!("CONFIG GET {parameter}"));
        reply.lines().nth(4).unwrap().to_owned()
    };
    assert_eq!(get("maxclients"), "11");
    assert_eq!(get("timeout"), "22");
    assert_eq!(get("lfu-decay-time"), "33");
    assert_eq!(get("databases"), "9");
    let info = program.ask("INFO server");
    assert!(info.contains(&format!("config_file:{}", name(&main))), "{info}");
}

#[test]
fn absent_features_are_accepted_and_said_so() {
    let program = Program::start(&["--port", "0", "--appendonly", "yes", "--save", ""]);
    let lines: Vec<&String> =
        program.said.iter().filter(|line| line.contains("has no effect")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("appendonly"), "{lines:?}");
    assert_eq!(program.ask("PING"), "+PONG\r\n");
}

#[test]
fn log_lines_have_the_form_of_redis_and_the_level_can_be_changed() {
    let mut program = Program::start(&["--port", "0"]);
    let line = program.said[0].clone();
    let (head, rest) = line.split_once(":M ").expect("a process id and the role");
    assert_eq!(head, program.child.id().to_string());
    // 21 Nov 2026 04:03:00.123 * text
    let words: Vec<&str> = rest.splitn(6, ' ').collect();
    assert_eq!((words[0].len(), words[1].len(), words[2].len(), words[3].len()), (2, 3, 4, 12));
    assert_eq!(words[4], "*");
    assert_eq!(program.ask("CONFIG SET loglevel verbose"), "+OK\r\n");
    assert_eq!(program.ask("PING"), "+PONG\r\n");
    program.wait_for(" - Accepted 127.0.0.1:");
}

#[test]
fn a_log_file_is_appended_to_and_the_port_is_still_printed() {
    let directory = Directory::new("log");
    let log = directory.file("server.log", "before\n");
    let arguments = ["--port", "0", "--logfile", "server.log", "--dir", name(&directory.0)];
    let mut program = Program::start(&arguments);
    assert!(program.port > 0);
    assert_eq!(program.said[0], format!("listening on 127.0.0.1:{}", program.port));
    program.signal("TERM");
    let mut rest = String::new();
    program.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(program.exit_code(), Some(0));
    let logged = fs::read_to_string(log).unwrap();
    assert!(logged.starts_with("before\n"), "{logged}");
    assert!(logged.contains("Received SIGTERM"), "{logged}");
    assert!(!rest.contains("SIGTERM"), "{rest}");
}

#[test]
fn signals_end_it_in_order_and_a_second_one_at_once() {
    for signal in ["TERM", "INT"] {
        let directory = Directory::new(signal);
        let socket = directory.0.join("s");
        let program = Program::start(&["--port", "0", "--unixsocket", name(&socket)]);
        let mut client = program.connect();
        client.write_all(b"PING\r\nPING\r\n").unwrap();
        client.read_exact(&mut [0; 7]).unwrap();
        program.signal("HUP");
        program.signal(signal);
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "+PONG\r\n");
        assert_eq!(program.exit_code(), Some(0));
        assert!(!socket.exists());
    }
    let mut program = Program::start(&["--port", "0"]);
    // Somebody who never reads holds up the orderly end.
    let mut deaf = program.connect();
    deaf.write_all(b"SETRANGE key 1000000 x\r\n").unwrap();
    deaf.write_all("GET key\r\n".repeat(64).as_bytes()).unwrap();
    while !program.ask("EXISTS key").contains('1') {}
    program.signal("TERM");
    program.wait_for("Received SIGTERM");
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(1));
}

#[test]
fn config_rewrite_changes_the_file_and_without_one_is_refused() {
    let directory = Directory::new("rewrite");
    let file = directory.file("a.conf", "# mine\nmaxclients 100\n");
    let program = Program::start(&[name(&file), "--port", "0"]);
    assert_eq!(program.ask("CONFIG SET maxclients 200"), "+OK\r\n");
    assert_eq!(program.ask("CONFIG REWRITE"), "+OK\r\n");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# mine\nmaxclients 200\n"), "{text}");
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
    let program = Program::start(&["--port", "0"]);
    let refused = "-ERR The server is running without a config file\r\n";
    assert_eq!(program.ask("CONFIG REWRITE"), refused);
}
