//! Listening sockets: which addresses, with which options, and what is left on exit.
//!
//! `bind` follows Redis: `*` is every IPv4 address, a leading `-` means that the address may be
//! missing on this machine, IPv6 sockets take IPv6 only, and all share one port. With a free port
//! the first socket chooses it and the others follow; should one of them be taken, another
//! port is tried. Binding happens before any thread starts, so that `start` can say why not.
//!
//! A Unix socket's file is replaced when it is a socket on which nobody listens any more, and
//! removed when the listener is dropped, unless another one has taken its place.

use std::fs::Metadata;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use pannier_engine::config::Config;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::StartError;
use crate::socket::Kind;

/// One listening socket.
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    pub(crate) kind: Kind,
    /// Address and port, or the path.
    pub(crate) name: String,
    pub(crate) file: Option<SocketFile>,
}

/// The file of a Unix socket, removed on drop.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

/// All listening sockets of a server.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) unix: Option<PathBuf>,
}

impl Listeners {
    /// Opens the sockets that a configuration asks for; `free_port` makes port 0 mean any free
    /// one instead of none.
    pub(crate) fn open(config: &Config, free_port: bool) -> Result<Self, StartError> {
        let mut opened = Self::default();
        if config.port > 0 {
            opened.open_tcp(config, config.port)?;
        } else if free_port {
            opened.open_tcp_anywhere(config)?;
        }
        if !config.unixsocket.is_empty() {
            opened.open_unix(config)?;
        }
        Ok(opened)
    }

    /// Opens the sockets for TLS; port 0 means any free one.
    pub(crate) fn open_tls(config: &Config, port: u16) -> Result<Self, StartError> {
        let mut opened = Self::default();
        match port {
            0 => opened.open_tcp_anywhere(config)?,
            _ => opened.open_tcp(config, port)?,
        }
        for listener in &mut opened.listeners {
            listener.kind = Kind::Tls;
        }
        Ok(opened)
    }

    fn open_tcp_anywhere(&mut self, config: &Config) -> Result<(), StartError> {
        for _ in 1..FREE_PORT_TRIES {
            match self.open_tcp(config, 0) {
                Err(StartError::Bind { source, .. })
                    if source.kind() == io::ErrorKind::AddrInUse =>
                {
                    *self = Self::default();
                }
                outcome => return outcome,
            }
        }
        self.open_tcp(config, 0)
    }

    fn open_tcp(&mut self, config: &Config, port: u16) -> Result<(), StartError> {
        let mut port = port;
        for word in &config.bind {
            let (address, optional) = match word.strip_prefix('-') {
                Some(address) => (address, true),
                None => (word.as_str(), false),
            };
            let failed = |source| StartError::Bind { address: address.to_owned(), port, source };
            let ip = parse_address(address).map_err(failed)?;
            let addr = SocketAddr::new(ip, port);
            match listen_tcp(addr, config.tcp_backlog) {
                Ok((socket, addr)) => {
                    port = addr.port();
                    let name = addr.to_string();
                    self.addrs.push(addr);
                    self.listeners.push(Listener { socket, kind: Kind::Tcp, name, file: None });
                }
                Err(error) if may_be_missing(&error, optional) => {
                    tracing::debug!("Not listening on {addr}: {error}");
                }
                Err(error) => return Err(failed(error)),
            }
        }
        if self.addrs.is_empty() && !config.bind.is_empty() {
            let source = io::ErrorKind::AddrNotAvailable.into();
            return Err(StartError::Bind { address: config.bind.join(" "), port, source });
        }
        Ok(())
    }

    fn open_unix(&mut self, config: &Config) -> Result<(), StartError> {
        let path = Path::new(&config.dir).join(&config.unixsocket);
        let socket = listen_unix(&path, config.unixsocketperm.0, config.tcp_backlog);
        let socket = socket.map_err(|source| StartError::Unix { path: path.clone(), source })?;
        let name = config.unixsocket.clone();
        self.unix = Some(path.clone());
        self.listeners.push(Listener {
            socket,
            kind: Kind::Unix,
            name,
            file: Some(SocketFile { identity: identity(&path), path }),
        });
        Ok(())
    }
}

impl Listener {
    /// The address without its port, or the path.
    pub(crate) fn host(&self) -> String {
        let addr = self.name.parse().ok().filter(|_| self.kind != Kind::Unix);
        addr.map_or_else(|| self.name.clone(), |addr: SocketAddr| addr.ip().to_string())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already, and somebody else listen there.
        if self.identity.is_some() && self.identity == identity(&self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// An address as `bind` writes it.
fn parse_address(address: &str) -> io::Result<IpAddr> {
    match address {
        "*" => Ok(Ipv4Addr::UNSPECIFIED.into()),
        "::*" => Ok(Ipv6Addr::UNSPECIFIED.into()),
        _ => address
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not a numeric address")),
    }
}

fn listen_tcp(addr: SocketAddr, backlog: u32) -> io::Result<(OwnedFd, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let addr = socket.local_addr()?.as_socket().unwrap_or(addr);
    Ok((socket.into(), addr))
}

fn listen_unix(path: &Path, mode: u32, backlog: u32) -> io::Result<OwnedFd> {
    // What a killed server left. Anything else stays, and `bind` says that it is there.
    let is_socket = |file: Metadata| file.file_type().is_socket();
    if std::fs::symlink_metadata(path).is_ok_and(is_socket) && !is_served(path)? {
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Whether somebody listens on a Unix socket.
fn is_served(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Nobody is waited for whose queue is full.
    socket.set_nonblocking(true)?;
    let outcome = socket.connect(&SockAddr::unix(path)?);
    Ok(outcome.map_or_else(|error| error.kind() == io::ErrorKind::WouldBlock, |()| true))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Whether an address may be left out: it is optional and absent, or its family is.
fn may_be_missing(error: &io::Error, optional: bool) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        Some(Errno::ADDRNOTAVAIL) => optional,
        Some(
            Errno::NOPROTOOPT
            | Errno::PROTONOSUPPORT
            | Errno::SOCKTNOSUPPORT
            | Errno::PFNOSUPPORT
            | Errno::AFNOSUPPORT,
        ) => true,
        _ => false,
    }
}

/// Ports that are tried until all addresses have the same.
const FREE_PORT_TRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numeric_or_stars() {
        assert_eq!(parse_address("*").unwrap(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(parse_address("::*").unwrap(), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        assert_eq!(parse_address("::1").unwrap(), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert!(parse_address("localhost").is_err());
    }

    #[test]
    fn a_free_port_is_the_same_for_all_addresses_and_optional_ones_may_be_missing() {
        let config = Config {
            port: 0,
            bind: vec!["127.0.0.1".into(), "127.0.0.2".into(), "-192.0.2.1".into()],
            ..Config::default()
        };
        let opened = Listeners::open(&config, true).unwrap();
        assert_eq!(opened.addrs.len(), 2);
        assert_eq!(opened.addrs[0].port(), opened.addrs[1].port());
        assert!(opened.addrs[0].port() > 0);
        let config = Config { bind: vec!["192.0.2.1".into()], ..config };
        let error = Listeners::open(&config, true).err().unwrap();
        assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
    }

    #[test]
    fn without_a_free_port_port_0_means_no_tcp() {
        let opened = Listeners::open(&Config { port: 0, ..Config::default() }, false).unwrap();
        assert!(opened.listeners.is_empty());
    }
}
