//! Servers that run as processes of their own.
//!
//! One [`Spawner`] for Valkey, Redis and Pannier: they take the same command line. They differ in
//! the port only: Pannier picks a free one and prints it, the real ones are given one that was
//! free a moment ago and are started again when somebody else took it.
//!
//! Rules: loopback only, no persistence, a temporary directory that is removed with the server,
//! and the process is killed when the value is dropped. A server that says nothing within ten
//! seconds has not started; the test fails with what it printed.
//!
//! [`super::oracle`] finds the programs, [`super::tcp`] talks to them.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::tcp::TcpClient;
use super::{Client, Maker, Place, Protocol, Server, Target, Version};

const START_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS_MAX: u32 = 5;

/// A program that can be started as a server.
#[derive(Debug, Clone)]
pub struct Spawner {
    /// Who made it.
    pub maker: Maker,
    /// Which version it is.
    pub version: Version,
    /// Its path.
    pub program: PathBuf,
}

/// A program under one protocol, as a target.
#[derive(Debug, Clone)]
pub struct SpawnedTarget {
    /// The program.
    pub spawner: Spawner,
    /// What its clients speak.
    pub protocol: Protocol,
}

/// A running process.
pub struct Process {
    child: Child,
    directory: PathBuf,
    /// The port on loopback where it listens.
    pub port: u16,
}

impl Spawner {
    /// Starts the server.
    ///
    /// # Errors
    /// What it printed instead of starting.
    pub fn start(&self, directives: &[String]) -> Result<Process, String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            match self.attempt(directives) {
                Ok(process) => return Ok(process),
                Err(said) if said.contains("Address already in use") => last = said,
                Err(said) => return Err(said),
            }
        }
        Err(last)
    }

    fn attempt(&self, directives: &[String]) -> Result<Process, String> {
        let directory = temporary_directory()?;
        let port = if self.maker == Maker::Pannier { 0 } else { free_port()? };
        let child = Command::new(&self.program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(&directory)
            .args(directives)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", self.program.display()))?;
        let mut process = Process { child, directory, port };
        let ready = self.wait_until_ready(&mut process);
        ready.map(|port| process.port = port).map_err(|said| {
            format!("{} did not start; it printed:\n{said}", self.program.display())
        })?;
        Ok(process)
    }

    /// Reads the server's output on two threads until it says that it listens; the threads go on
    /// reading, so that the server never blocks on a full pipe.
    fn wait_until_ready(&self, process: &mut Process) -> Result<u16, String> {
        let (sender, lines) = mpsc::channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            process.child.stdout.take().map(|s| Box::new(s) as _),
            process.child.stderr.take().map(|s| Box::new(s) as _),
        ];
        for stream in streams.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        drop(sender);
        let mut said = String::new();
        while let Ok(line) = lines.recv_timeout(START_TIMEOUT) {
            if let Some(port) = self.port_in(&line, process.port) {
                return Ok(port);
            }
            said.push_str(&line);
            said.push('\n');
        }
        Err(said)
    }

    fn port_in(&self, line: &str, port: u16) -> Option<u16> {
        if self.maker != Maker::Pannier {
            return line.contains("Ready to accept connections").then_some(port);
        }
        let (_, address) = line.split_once("listening on 127.0.0.1:")?;
        let digits = address.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }
}

impl Process {
    /// Opens a connection.
    ///
    /// # Errors
    /// No connection, or `HELLO` was refused.
    pub fn connect(&self, protocol: Protocol) -> Result<TcpClient, String> {
        TcpClient::connect(self.port, protocol)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

struct SpawnedServer {
    process: Process,
    protocol: Protocol,
}

impl Target for SpawnedTarget {
    fn place(&self) -> Place {
        let Spawner { maker, version, .. } = self.spawner;
        Place { maker, version, protocol: self.protocol, virtual_clock: false }
    }

    fn open(&self, directives: &[String]) -> Result<Box<dyn Server>, String> {
        let process = self.spawner.start(directives)?;
        Ok(Box::new(SpawnedServer { process, protocol: self.protocol }))
    }
}

impl Server for SpawnedServer {
    fn connect(&mut self) -> Result<Box<dyn Client>, String> {
        Ok(Box::new(self.process.connect(self.protocol)?))
    }

    #[expect(clippy::disallowed_methods, reason = "a real server has no virtual clock")]
    fn pass(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

fn temporary_directory() -> Result<PathBuf, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("pannier-tests-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}
