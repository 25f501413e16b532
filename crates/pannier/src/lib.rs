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
//! dependency tree. `serde` keeps values of your own types, as JSON. `program` is for the program
//! `pannier` alone.
//!
//! Rules: nothing is global, so caches and servers in one process do not know each other; no
//! call holds a lock of the keyspace while it waits. Neighbours: `pannier-engine` is what runs
//! commands, `pannier-server` the machinery of sockets; the program is in `main.rs`.

/// The examples of the packed crate's page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Page;

mod alarm;
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
pub use pannier_clock::{Clock, VirtualClock};
pub use pannier_engine::config::Config;
pub use pannier_engine::{Condition, Fault, FaultRule, Kept, Policy, Recorded, Recording, Tally};
#[cfg(feature = "server")]
pub use pannier_server::Crew;
pub use recorder::Recorder;
pub use reply::FromFrame;
#[cfg(feature = "server")]
pub use server::{Builder, Server};
