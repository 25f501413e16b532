//! Pannier: a cache server that speaks the Redis protocol and rides inside your process.
//!
//! A [`Server`] is the whole of it: an engine, worker threads, and sockets that any Redis client
//! can connect to. It is built with the same directives that a `redis.conf` has, listens on a
//! free port of the loopback interface unless told otherwise, and stops when it is dropped.
//!
//! ```
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
//! idle times, TIME.
//!
//! Neighbours: `pannier-server` is the machinery; the program `pannier` is in `main.rs`.

mod server;

pub use pannier_clock::{Clock, VirtualClock};
pub use pannier_engine::config::Config;
pub use server::{Builder, Error, Server};
