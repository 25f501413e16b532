//! The TLS port of a server: where it listens, and what newcomers begin with.
//!
//! All of it can change while the server runs. A new certificate is for those who come later; those
//! who are there keep theirs. A new port is listened on before the old one is left. What cannot be
//! read leaves everything as it was. With `tls-auto-reload-interval` the files are looked at now
//! and then, and read when their times or sizes have changed.
//!
//! Rules: [`Door::configure`] runs on whatever thread executes CONFIG SET; sockets are handed to
//! the control thread, which alone accepts. One lock, for a look or a swap; under it files are
//! read by CONFIG SET alone, so a newcomer waits for that at most.
//!
//! Neighbours: `accept` lets clients in, `context` makes what is handed out here.

use std::fs;
use std::future::pending;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pannier_clock::Clock;
use pannier_engine::Certificate;
use pannier_engine::config::Config;
use pannier_lock::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::options::TlsOptions;
use super::{Context, Opening, build};
use crate::accept::{Acceptor, accept};
use crate::error::StartError;
use crate::listener::{Listener, Listeners};

/// See the module's header.
pub(crate) struct Door {
    clock: Clock,
    /// Addresses and what else sockets are opened with.
    sockets: Config,
    /// The engine's configuration is what it follows.
    follows: bool,
    open: Mutex<Option<Open>>,
    changes: UnboundedSender<Change>,
    /// For the control thread.
    changed: Mutex<Option<UnboundedReceiver<Change>>>,
}

/// What is in force.
#[derive(Clone)]
struct Open {
    options: Arc<TlsOptions>,
    context: Arc<Context>,
    /// The files when they were read.
    stamps: Vec<Stamp>,
    addrs: Vec<SocketAddr>,
    hosts: Vec<String>,
}

/// What tells that a file has changed.
type Stamp = (PathBuf, Option<(SystemTime, u64)>);

/// What the control thread is told.
enum Change {
    /// Listen here instead.
    Sockets(Vec<Listener>),
    /// There may be files to watch.
    Files,
}

impl Door {
    /// Opens the port, when there shall be one: with given options on `tls_port`, 0 for any free
    /// one; else by the directives.
    pub(crate) fn open(
        config: &Config,
        given: Option<TlsOptions>,
        clock: &Clock,
    ) -> Result<Self, StartError> {
        let (changes, changed) = unbounded_channel();
        let door = Self {
            clock: clock.clone(),
            sockets: config.clone(),
            follows: given.is_none(),
            open: Mutex::new(None),
            changes,
            changed: Mutex::new(Some(changed)),
        };
        if given.is_none() && config.tls_port == 0 {
            return Ok(door);
        }
        let options = given.map_or_else(|| TlsOptions::of_config(config), Ok);
        let mut open = options.and_then(|options| door.read(options)).map_err(StartError::Tls)?;
        door.listen(&mut open, config.tls_port)?;
        *door.open.lock() = Some(open);
        Ok(door)
    }

    /// Leaves it to whoever started the server what it speaks, whatever the engine's configuration
    /// becomes, unless the two agree.
    pub(crate) fn follow(mut self, engine: &Config) -> Self {
        self.follows &= directives(engine) == directives(&self.sockets);
        self
    }

    /// What a newcomer begins with; `refusal` is what it is sent away with.
    pub(crate) fn opening(&self, refusal: Option<&'static str>) -> Option<Opening> {
        let context = self.open.lock().as_ref().map(|open| Arc::clone(&open.context))?;
        Some(Opening { context, refusal })
    }

    /// The addresses that it listens on.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.open.lock().as_ref().map(|open| open.addrs.clone()).unwrap_or_default()
    }

    /// The same for INFO.
    pub(crate) fn listener(&self) -> Option<pannier_engine::Listener> {
        let open = self.open.lock();
        let open = open.as_ref()?;
        let port = open.addrs.first().map_or(0, SocketAddr::port);
        Some(pannier_engine::Listener { name: "tls", binds: open.hosts.clone(), port })
    }

    /// What INFO tells of the certificates: the server's, and the first authority's.
    pub(crate) fn certificates(&self) -> [Option<Certificate>; 2] {
        self.open.lock().as_ref().map(|open| open.context.certificates()).unwrap_or_default()
    }

    /// Puts changed directives into effect.
    ///
    /// # Errors
    /// Redis's words for the client; why is in the log. All is as it was then.
    pub(crate) fn configure(&self, old: &Config, new: &Config) -> Result<(), String> {
        if directives(old) == directives(new) {
            return Ok(());
        } else if !self.follows {
            return Err("TLS of this server is set where it is started".into());
        }
        let mut held = self.open.lock();
        if new.tls_port == 0 {
            *held = None;
            self.tell(Change::Sockets(Vec::new()));
            return Ok(());
        }
        let read = TlsOptions::of_config(new).and_then(|options| self.read(options));
        let mut open = read.map_err(|error| {
            tracing::warn!("{error}");
            "Unable to update TLS configuration. Check server logs."
        })?;
        match &*held {
            Some(before) if old.tls_port == new.tls_port => {
                (open.addrs, open.hosts) = (before.addrs.clone(), before.hosts.clone());
                self.tell(Change::Files);
            }
            _ => self.listen(&mut open, new.tls_port).map_err(|error| {
                tracing::warn!("{error}");
                "Unable to listen on this port. Check server logs."
            })?,
        }
        *held = Some(open);
        Ok(())
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// Why they cannot be used; the old ones then stay.
    pub(crate) fn reload(&self) -> Result<(), StartError> {
        let Some(before) = self.open.lock().clone() else { return Ok(()) };
        let options = TlsOptions::clone(&before.options);
        let read = self.read(options).map_err(StartError::Tls)?;
        if let Some(open) = &mut *self.open.lock()
            && Arc::ptr_eq(&open.options, &before.options)
        {
            (open.context, open.stamps) = (read.context, read.stamps);
        }
        Ok(())
    }

    /// Accepts on its port, wherever that is, and watches its files, until it is dropped.
    pub(crate) async fn keep(acceptor: Arc<Acceptor>) {
        let door = &acceptor.door;
        let Some(mut changes) = door.changed.lock().take() else { return };
        let mut listening = JoinSet::new();
        loop {
            let reload_s = door.open.lock().as_ref().map_or(0, |open| open.options.reload_s);
            let look = async {
                match reload_s {
                    0 => pending().await,
                    _ => tokio::time::sleep(Duration::from_secs(reload_s.into())).await,
                }
            };
            let change = tokio::select! {
                change = changes.recv() => change,
                () = look => Some(Change::Files),
            };
            match change {
                Some(Change::Sockets(listeners)) => {
                    listening.shutdown().await;
                    for listener in listeners {
                        listening.spawn(accept(Arc::clone(&acceptor), listener));
                    }
                }
                Some(Change::Files) => door.look(),
                None => return,
            }
        }
    }

    /// Reads the files again if they have changed.
    fn look(&self) {
        let changed = {
            let mut open = self.open.lock();
            let Some(open) = &mut *open else { return };
            let stamps = stamps(&open.options);
            let changed = stamps != open.stamps;
            // What cannot be read is not tried again until it changes again.
            open.stamps = stamps;
            changed
        };
        if changed {
            match self.reload() {
                Ok(()) => tracing::info!("TLS: read the changed certificates and key"),
                Err(error) => tracing::warn!("TLS: the old certificates stay in force: {error}"),
            }
        }
    }

    fn read(&self, options: TlsOptions) -> Result<Open, crate::error::TlsError> {
        // Before they are read: who writes them meanwhile is noticed.
        let stamps = stamps(&options);
        let context = Arc::new(build(&options, &self.clock)?);
        let (addrs, hosts) = (Vec::new(), Vec::new());
        Ok(Open { options: Arc::new(options), context, stamps, addrs, hosts })
    }

    fn listen(&self, open: &mut Open, port: u16) -> Result<(), StartError> {
        let Listeners { listeners, addrs, .. } = Listeners::open_tls(&self.sockets, port)?;
        open.addrs = addrs;
        open.hosts = listeners.iter().map(Listener::host).collect();
        self.tell(Change::Sockets(listeners));
        Ok(())
    }

    fn tell(&self, change: Change) {
        // Nobody listens when the server is about to end.
        let _ = self.changes.send(change);
    }
}

/// The files of these options as they are now.
fn stamps(options: &TlsOptions) -> Vec<Stamp> {
    let mut stamps = Vec::new();
    let mut add = |path: &Path| {
        let file = fs::metadata(path).ok();
        let stamp = file.and_then(|file| Some((file.modified().ok()?, file.len())));
        stamps.push((path.to_owned(), stamp));
    };
    for path in options.files() {
        add(path);
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            add(&entry.path());
        }
    }
    stamps.sort_unstable();
    stamps
}

/// What of a configuration is about TLS.
fn directives(config: &Config) -> impl PartialEq + '_ {
    let texts = [
        &config.tls_cert_file,
        &config.tls_key_file,
        &config.tls_key_file_pass,
        &config.tls_ca_cert_file,
        &config.tls_ca_cert_dir,
        &config.tls_protocols,
        &config.tls_ciphers,
        &config.tls_ciphersuites,
    ];
    let switches =
        (config.tls_auth_clients, config.tls_prefer_server_ciphers, config.tls_session_caching);
    let numbers = (
        config.tls_port,
        config.tls_session_cache_size,
        config.tls_session_cache_timeout,
        config.tls_auto_reload_interval,
    );
    (texts, switches, numbers)
}
