//! Finding, starting and stopping the servers.
//!
//! A server lives as long as its [`Server`] value: dropping it kills the process by its id and
//! waits for it, so a check that fails, a panic and the normal end all take the same way. An
//! interrupt or a termination takes [`stop_all_on_signal`]'s way, which kills what is in the list
//! of running ids. Nothing is ever killed by name.
//!
//! A peer that is not installed, cannot be built or does not answer PING is no failure of the run:
//! the reason is returned, reported in the table's notes, and the others go on.
//!
//! Servers work in a folder of their own under `target/`, with their output beside it.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::cpu::Cores;
use crate::definition;
use crate::timing::poll;

/// A peer whose program was found.
pub(crate) struct Peer {
    pub(crate) definition: definition::Peer,
    pub(crate) version: String,
    program: PathBuf,
    cores: Cores,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) port: u16,
    child: Child,
}

/// Finds the program of a peer, building it first where it is built here.
pub(crate) fn find_program(peer: &definition::Peer) -> Result<PathBuf> {
    for candidate in &peer.program {
        let found = match candidate.split_once(':') {
            Some(("wheel", inside)) => in_wheel(inside),
            Some(("built", target)) => Some(build(target)?),
            _ => on_path(candidate),
        };
        if let Some(program) = found {
            return Ok(program);
        }
    }
    bail!("not installed (looked for {})", peer.program.join(", "))
}

impl Peer {
    /// Starts the program once to see that it serves, and asks for its version.
    pub(crate) fn try_out(
        definition: &definition::Peer,
        program: PathBuf,
        cores: Cores,
    ) -> Result<Self> {
        let version = String::new();
        let mut peer = Self { definition: definition.clone(), version, program, cores };
        let server = peer.start()?;
        if let Some(field) = &peer.definition.version_field {
            let info = server.client()?.call(&["INFO", "server"])?.to_string();
            let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            peer.version = value.unwrap_or_default().trim().to_owned();
        }
        Ok(peer)
    }

    pub(crate) fn name(&self) -> &str {
        &self.definition.name
    }

    /// Starts a server as its definition says.
    pub(crate) fn start(&self) -> Result<Server> {
        self.start_with(&[], false)
    }

    /// Starts a server on a free port of the loopback interface and waits until it answers PING.
    /// `config` holds directives, a line each, beside its own arguments.
    pub(crate) fn start_with(&self, config: &[String], all_cores: bool) -> Result<Server> {
        // Whoever takes this port between here and the server's bind makes the start fail, no more.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let folder = target_folder()?.join("bench-servers").join(self.name());
        fs::create_dir_all(&folder)?;
        let log = folder.join(format!("output-{port}.txt"));
        let output = File::create(&log)?;
        let mut command = Command::new(&self.program);
        let arguments = self.definition.arguments.iter();
        command
            .args(arguments.map(|argument| argument.replace("{port}", &port.to_string())))
            .args(config.iter().flat_map(|line| as_arguments(line)))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output);
        let child = if all_cores {
            self.cores.on_both_cores(|| command.spawn())?
        } else {
            self.cores.on_server_core(|| command.spawn())?
        };
        let child = child.with_context(|| format!("cannot start {}", self.program.display()))?;
        running().push(child.id());
        let mut server = Server { port, child };
        server.await_ready().with_context(|| last_line(&log))?;
        Ok(server)
    }
}

impl Server {
    /// The id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(self.port)
    }

    fn await_ready(&mut self) -> Result<()> {
        let answer = poll(START_LIMIT, Duration::from_millis(10), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(Err(anyhow!("the server ended at its start: {status}")));
            }
            let mut client = Client::connect(self.port).ok()?;
            client.expect(&["PING"], "PONG").ok().map(Ok)
        });
        answer.context("the server does not answer PING")?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id();
        // It may have ended already: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        running().retain(|&other| other != pid);
    }
}

/// Makes an interrupt or a termination stop every server before it ends this program.
pub(crate) fn stop_all_on_signal() -> Result<()> {
    ctrlc::set_handler(|| {
        for &pid in running().iter() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::process::exit(130);
    })
    .context("cannot handle signals")
}

/// The ids of the servers that run now.
fn running() -> MutexGuard<'static, Vec<u32>> {
    static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The target directory of cargo, wherever that is: this program lies in a profile's folder there.
fn target_folder() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().and_then(Path::parent).context("no target directory")?;
    Ok(folder.to_owned())
}

/// Builds `package/bin` as the product is built, and returns where it is.
fn build(target: &str) -> Result<PathBuf> {
    let (package, bin) = target.split_once('/').context("built:<package>/<bin>")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The library of that name is built without what its program needs.
    let features: &[&str] = if package == "pannier" { &["--features", "program"] } else { &[] };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "-p", package, "--bin", bin])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    ensure!(status.success(), "{target} does not build");
    Ok(target_folder()?.join("release").join(bin))
}

fn in_wheel(inside: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let venv = env::var_os("PANNIER_VENV").map_or_else(|| root.join(".venv"), PathBuf::from);
    let versions = fs::read_dir(venv.join("lib")).ok()?.flatten();
    let mut programs = versions.map(|version| version.path().join("site-packages").join(inside));
    programs.find(|program| program.is_file())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|program| program.is_file())
}

/// `maxmemory 64mb` as `--maxmemory`, `64mb`.
fn as_arguments(directive: &str) -> impl Iterator<Item = String> {
    let mut words = directive.split_whitespace();
    let name = words.next().map(|name| format!("--{name}"));
    name.into_iter().chain(words.map(str::to_owned))
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
    format!("its last line: {line}")
}

const START_LIMIT: Duration = Duration::from_secs(10);
