//! The command line, by redis-server's rules.
//!
//! The first argument is the configuration file unless it begins with `-`; a single `-`, first or
//! last, reads the configuration from standard input. Everything else is directives, which
//! override the file. `--version` and `--help` count only when they stand alone, because a
//! directive's value may look like them.
//!
//! Port 0 in a file means no TCP, as in Redis; on the command line it means any free port, unless
//! there is a TLS port: who asks for that and for `--port 0` wants nothing unencrypted.

use std::path::PathBuf;

use pannier_engine::config::Config;
use pannier_engine::config::file::{self, FileError, Notice, Place};

use super::file::{STDIN, load};

/// What the command line asks for.
pub(crate) enum Outcome {
    /// A server.
    Serve(Arguments),
    /// Only this text.
    Say(String),
}

/// A command line that asks for a server.
pub(crate) struct Arguments {
    file: Option<String>,
    stdin: bool,
    directives: Vec<String>,
}

/// What a command line and its files say.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) free_port: bool,
    pub(crate) file: Option<PathBuf>,
    pub(crate) notices: Vec<Absent>,
}

/// A directive whose feature is absent.
pub(crate) struct Absent(Notice);

impl Absent {
    /// Says so, quietly when it asks for what is done anyway.
    pub(crate) fn log(&self) {
        let Notice { place, name, feature, agrees } = &self.0;
        if *agrees {
            tracing::debug!("{name} ({place}) agrees with what is not part of Pannier: {feature}");
        } else {
            tracing::info!("{name} ({place}) has no effect, not part of Pannier: {feature}");
        }
    }
}

impl Arguments {
    /// Reads the command line, without the program's name.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Outcome {
        let mut directives: Vec<String> = arguments.collect();
        if let [only] = directives.as_slice() {
            match only.as_str() {
                "-v" | "--version" => return Outcome::Say(version()),
                "-h" | "--help" => return Outcome::Say(HELP.trim_end().to_owned()),
                _ => {}
            }
        }
        let mut file = None;
        let mut stdin = false;
        if directives.first().is_some_and(|first| first == STDIN) {
            directives.remove(0);
            stdin = true;
        } else if directives.first().is_some_and(|first| !first.starts_with('-')) {
            file = Some(directives.remove(0));
        }
        if !stdin && directives.last().is_some_and(|last| last == STDIN) {
            directives.pop();
            stdin = true;
        }
        Outcome::Serve(Self { file, stdin, directives })
    }

    /// The configuration.
    pub(crate) fn load(self) -> Result<Loaded, FileError> {
        let mut lines = Vec::new();
        if let Some(path) = &self.file {
            lines.extend(file::read(path, &mut load)?);
        }
        if self.stdin {
            lines.extend(file::read(STDIN, &mut load)?);
        }
        for line in file::from_arguments(&self.directives)? {
            match line.args.as_slice() {
                [path] if line.name == "include" => lines.extend(file::read(path, &mut load)?),
                _ => lines.push(line),
            }
        }
        let mut config = Config::default();
        let notices = config.apply(&lines)?;
        let port = lines.iter().rev().find(|line| line.name == "port");
        Ok(Loaded {
            free_port: config.tls_port == 0
                && port.is_some_and(|line| line.place == Place::CommandLine),
            config,
            file: self.file.map(|path| std::fs::canonicalize(&path).unwrap_or(path.into())),
            notices: notices.into_iter().map(Absent).collect(),
        })
    }
}

fn version() -> String {
    let bits = usize::BITS;
    format!("Pannier v={} malloc=jemalloc bits={bits}", env!("CARGO_PKG_VERSION"))
}

const HELP: &str = "\
Pannier, a cache server that speaks the Redis protocol.

Usage: pannier [path/to/redis.conf] [--directive value ...] [-]
       pannier - (the configuration comes from standard input)
       pannier -v or --version
       pannier -h or --help

Directives are those of redis.conf and override the file. Some of them:
  --port <number>         TCP port, 6379 by default; 0 picks a free one and prints it
  --tls-port <number>     TCP port for TLS; needs --tls-cert-file, --tls-key-file, and
                          --tls-ca-cert-file or --tls-auth-clients no
  --bind <address> ...    addresses to listen on, loopback only by default
  --unixsocket <path>     also listen on a Unix socket
  --threads <number>      worker threads, by default one for each processor, at most 8
  --maxmemory <bytes>     evict or refuse above so many bytes, for example 100mb
  --maxentries <number>   the same for entries
  --maxmemory-policy <p>  what to evict, for example allkeys-lru
  --requirepass <word>    password that clients must give
  --loglevel <level>      debug, verbose, notice, warning or nothing

Examples:
  pannier                                (default configuration)
  pannier /etc/redis/redis.conf
  pannier --port 0 --maxmemory 100mb --maxmemory-policy allkeys-lru
";
