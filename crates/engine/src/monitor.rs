//! Monitors: sessions that are shown every command that others run.
//!
//! A line is made once for all monitors, after the command has run, as in Redis: so it shows the
//! database that SELECT has chosen, and EXEC comes after what it ran. Commands for administrators
//! are not shown, and secrets are not (`logs`). While nobody watches, that is one check; while
//! somebody does, requests are executed one by one (`exec::group`).
//!
//! Rules: the list's lock comes after the shards and before the mailboxes. A monitor is cut like a
//! subscriber when it does not read (`Client::output_limit`). Neighbours: `command::monitor`.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use pannier_lock::Mutex;
use pannier_store::Now;

use crate::clients::{Client, Transport};
use crate::command::flags;
use crate::config::Config;
use crate::logs::{self, Request};
use crate::pubsub::Wakers;
use crate::session::Session;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Monitors {
    any: AtomicBool,
    list: Mutex<Vec<Arc<Client>>>,
}

impl Monitors {
    /// Whether there are any.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// Adds a client; it is shown what is run from now on.
    pub(crate) fn add(&self, client: &Arc<Client>) {
        client.monitoring.store(true, Relaxed);
        self.list.lock().push(Arc::clone(client));
        self.any.store(true, Relaxed);
    }

    /// Takes a client out, if it is there.
    pub(crate) fn remove(&self, client: &Client) {
        if client.monitoring.swap(false, Relaxed) {
            let mut list = self.list.lock();
            list.retain(|one| one.id != client.id);
            self.any.store(!list.is_empty(), Relaxed);
        }
    }

    /// Shows a command that a session has run.
    #[cold]
    pub(crate) fn show(&self, config: &Config, session: &Session, request: Request<'_>, now: Now) {
        if request.command.flags & (flags::ADMIN | flags::SKIP_MONITOR) == 0 {
            self.send(config, line(session, &address(session), request, now));
        }
    }

    /// Shows a script before it runs, so that its commands come behind it.
    #[cold]
    pub(crate) fn show_script(
        &self,
        config: &Config,
        session: &Session,
        request: Request<'_>,
        now: Now,
    ) {
        self.send(config, line(session, &address(session), request, now));
    }

    /// Shows a command that a session's script has called.
    #[cold]
    pub(crate) fn show_nested(
        &self,
        config: &Config,
        session: &Session,
        request: Request<'_>,
        now: Now,
    ) {
        if request.command.flags & (flags::ADMIN | flags::SKIP_MONITOR) == 0 {
            self.send(config, line(session, "lua", request, now));
        }
    }

    fn send(&self, config: &Config, line: String) {
        let line = Bytes::from(line);
        let mut wakers = Wakers::default();
        for client in self.list.lock().iter() {
            wakers.push(client, &line, &config.client_output_buffer_limit);
        }
        wakers.wake();
    }
}

/// Where a session's commands come from.
fn address(session: &Session) -> String {
    let client = &session.client;
    match client.transport {
        Transport::Unix => format!("unix:{}", client.laddr.trim_end_matches(":0")),
        Transport::Tcp | Transport::Embedded => client.addr.clone(),
    }
}

/// A command as MONITOR shows it, in wire form.
fn line(session: &Session, from: &str, request: Request<'_>, now: Now) -> String {
    let (seconds, micros) = (now.unix_us / 1_000_000, now.unix_us % 1_000_000);
    let mut line = format!("+{seconds}.{micros:06} [{} {from}]", session.database);
    let secrets: Vec<usize> = logs::secrets(request).collect();
    for (at, argument) in request.args.iter().enumerate() {
        line.push(' ');
        quote(if secrets.contains(&at) { logs::REDACTED } else { argument }, &mut line);
    }
    line.push_str("\r\n");
    line
}

/// Writes a text between quotes, so that what is not printable can be read.
fn quote(text: &[u8], line: &mut String) {
    line.push('"');
    for byte in text {
        match byte {
            b'\\' | b'"' => line.extend(['\\', char::from(*byte)]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            7 => line.push_str("\\a"),
            8 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_shown_as_redis_shows_it() {
        let mut line = String::new();
        quote(b"a \"\\\r\n\t\x07\x08\x00\x7f\xff~", &mut line);
        assert_eq!(line, "\"a \\\"\\\\\\r\\n\\t\\a\\b\\x00\\x7f\\xff~\"");
    }
}
