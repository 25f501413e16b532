//! Pannier: a cache server that speaks the Redis protocol and rides inside your process.
//!
//! A [`Cache`] is the engine in your process, without a socket, a thread of yours or a runtime.
//! The everyday commands are typed calls; every other is a [`Cache::query`] or a [`Cache::call`].
//!
//! ```
//! use std::time::Duration;
//! use pannier::{Cache, SetOptions};
//!
//! let cache = Cache::new();
//! cache.set_with("greeting", "hello", SetOptions::new().ttl(Duration::from_secs(60)))?;
//! assert_eq!(cache.get("greeting")?.as_deref(), Some(&b"hello"[..]));
//! cache.sorted_set("board").add("Ann", 12.0)?;
//! let page = cache.get_or_insert_with("page:1", || "made once, however many threads ask")?;
//! let kind: String = cache.query(["OBJECT", "ENCODING", "board"])?;
//! # Ok::<(), pannier::Error>(())
//! ```
//!
//! A `Server` (feature `server`, on by default) is the whole of it: an engine, worker threads, and
//! sockets that any Redis client can connect to. It is built with the same directives that a
//! `redis.conf` has, listens on a free port of the loopback interface unless told otherwise, and
//! stops when it is dropped.
//!
#![cfg_attr(feature = "server", doc = "```")]
#![cfg_attr(not(feature = "server"), doc = "```ignore")]
//! use std::io::{Read, Write};
//!
//! let server = pannier::Server::builder().directive("maxentries", "1000").start()?;
//! let mut client = std::net::TcpStream::connect(server.addr().expect("a TCP address"))?;
//! client.write_all(b"PING\r\n")?;
//! let mut reply = [0; 7];
//! client.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"+PONG\r\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Under a virtual clock a test decides when time passes, and everything follows it: expiry,
//! idle times, TIME, the end of blocking commands.
//!
//! Features: `server` is the above and brings tokio; without it there is no runtime in the
//! dependency tree. `tls` lets it speak TLS and brings rustls. Both are on by default. `serde`
//! keeps values of your own types, as JSON. `program` is for the program `pannier` alone.
//!
//! Rules: nothing is global, so caches and servers in one process do not know each other; no
//! call holds a lock of the keyspace while it waits. Neighbours: `pannier-engine` is what runs
//! commands, `pannier-server` the machinery of sockets; the program is in `main.rs`.

/// The examples of the packed crate's page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Page;

mod alarm;
mod at_once;
mod builder;
mod cache;
mod calls;
mod checkpoint;
mod client;
mod direct;
mod error;
mod faults;
mod frame;
mod host;
mod house;
mod recorder;
mod reply;
mod seat;
#[cfg(feature = "server")]
mod server;

pub use builder::CacheBuilder;
pub use cache::Cache;
pub use calls::{
    End, Hash, List, Message, Scan, Script, Set, SetOptions, SortedSet, Subscription, Transaction,
};
pub use checkpoint::Checkpoint;
pub use client::Client;
pub use error::{Error, ErrorKind, ReplyError};
pub use faults::Faults;
pub use frame::Frame;
pub use house::Housekeeping;
/// ```
/// use std::time::Duration;
///
/// let (clock, hand) = pannier::Clock::virtual_at(1_700_000_000_000);
/// let cache = pannier::Cache::builder().clock(clock).build()?;
/// cache.call(["SET", "key", "value", "EX", "60"])?;
/// hand.advance(Duration::from_secs(59));
/// assert_eq!(cache.ttl("key")?, Some(Duration::from_secs(1)));
/// # Ok::<(), pannier::Error>(())
/// ```
#[doc(inline)]
pub use pannier_clock::{Clock, VirtualClock};
/// ```
/// use pannier::{Cache, Condition};
///
/// let cache = Cache::new();
/// cache.recorder().start();
/// cache.set("user:1", "Ann")?;
/// cache.get("user:1")?;
/// let writes = Condition::new().command("@write").key("user:*");
/// assert_eq!(cache.recorder().find(&writes)?.len(), 1);
/// # Ok::<(), pannier::Error>(())
/// ```
#[doc(inline)]
pub use pannier_engine::Condition;
/// ```
/// let cache = pannier::Cache::new();
/// cache.set("key", "old")?;
/// let checkpoint = cache.checkpoint()?;
/// cache.set("key", "new")?;
/// assert_eq!(checkpoint.kept()?.keys, 1);
/// # Ok::<(), pannier::Error>(())
/// ```
#[doc(inline)]
pub use pannier_engine::Kept;
/// ```
/// use pannier::{Cache, Policy};
///
/// let cache = Cache::builder().max_entries(2).policy(Policy::AllKeysLru).build()?;
/// cache.mset([("a", "1"), ("b", "2")])?;
/// cache.set("c", "3")?;
/// assert_eq!(cache.len(), 2);
/// # Ok::<(), pannier::Error>(())
/// ```
#[doc(inline)]
pub use pannier_engine::Policy;
/// ```
/// let mut config = pannier::Config { databases: 2, ..pannier::Config::default() };
/// config.set("maxmemory", &["64mb"])?;
/// assert_eq!(config.maxmemory, 64 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use pannier_engine::config::Config;
/// ```
/// use pannier::{Cache, Fault};
///
/// let cache = Cache::new();
/// cache.faults().add(Fault::error("LOADING").command("get").times(2))?;
/// assert!(cache.get("key").unwrap_err().to_string().starts_with("LOADING "));
/// let rule = &cache.faults().list()[0];
/// assert_eq!((rule.hits, rule.left), (1, Some(1)));
/// # Ok::<(), pannier::Error>(())
/// ```
#[doc(inline)]
pub use pannier_engine::{Fault, FaultRule};
/// ```
/// use pannier::{Cache, Condition, Recording, Tally};
///
/// let cache = Cache::new();
/// let recorder = cache.recorder();
/// recorder.start_with(Recording { entries_max: 1, ..Recording::default() })?;
/// cache.incr("n")?;
/// cache.incr("n")?;
/// let recorded = &recorder.commands()[0];
/// assert_eq!((recorded.number, recorded.database), (2, 0));
/// let tally = recorder.tally(&Condition::new())?;
/// assert_eq!(tally, Tally { commands: 1, round_trips: 1, lost: 1 });
/// # Ok::<(), pannier::Error>(())
/// ```
#[doc(inline)]
pub use pannier_engine::{Recorded, Recording, Tally};
/// ```
/// use std::sync::Arc;
/// use pannier::{Crew, Server};
///
/// let crew = Arc::new(Crew::new(1)?);
/// let (one, other) = (Server::builder().crew(&crew), Server::builder().crew(&crew));
/// assert_ne!(one.start()?.port(), other.start()?.port());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "server")]
#[doc(inline)]
pub use pannier_server::Crew;
#[cfg(feature = "tls")]
pub use pannier_server::{Pem, TlsAuth, TlsOptions};
pub use recorder::Recorder;
pub use reply::FromFrame;
#[cfg(feature = "server")]
pub use server::{Builder, Server};
