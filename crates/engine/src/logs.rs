//! The command logs: slow executions, large requests, large replies (SLOWLOG, COMMANDLOG).
//!
//! One log for each of the three, newest first, bounded by its `*-max-len` parameter. A request
//! that stays below every threshold costs three comparisons and no lock. Entries keep at most 32
//! arguments of at most 128 bytes, as Redis does, so that a log cannot hold much memory. Passwords
//! (AUTH, HELLO AUTH, sensitive parameters of CONFIG SET) are not kept: a log is read by more
//! people than a password is meant for.

use std::collections::VecDeque;

use pannier_lock::Mutex;
use pannier_resp::Args;
use pannier_store::Now;

use crate::args::is;
use crate::command::Command;
use crate::config::{self, Config};
use crate::session::Session;

/// Arguments kept of a request.
const ARGS_MAX: usize = 32;
/// Bytes kept of an argument.
const ARG_LEN_MAX: usize = 128;

/// What stands for an argument that is a secret.
pub(crate) const REDACTED: &[u8] = b"(redacted)";

/// A request that ran: its row and its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) command: &'static Command,
    pub(crate) args: Args<'a>,
}

/// Which of the three logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Slow executions.
    Slow,
    /// Large requests.
    LargeRequest,
    /// Large replies.
    LargeReply,
}

/// One logged request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// Unix seconds.
    pub(crate) time_s: u64,
    /// Microseconds, or bytes.
    pub(crate) value: u64,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) addr: String,
    pub(crate) name: String,
}

#[derive(Default)]
struct Log {
    next_id: u64,
    entries: VecDeque<Entry>,
}

/// The three logs.
#[derive(Default)]
pub(crate) struct Logs([Mutex<Log>; 3]);

impl Logs {
    /// Logs a request wherever it exceeds a threshold; `(us, reply_len)` is what it took.
    #[inline]
    pub(crate) fn offer(
        &self,
        config: &Config,
        session: &Session,
        request: Request<'_>,
        (us, reply_len): (u64, usize),
        now: Now,
    ) {
        let over = |threshold: i64, value: u64| threshold >= 0 && value >= threshold as u64;
        if over(config.commandlog_execution_slower_than, us) {
            let max = config.commandlog_slow_execution_max_len;
            self.add((Which::Slow, max), session, request, us, now);
        }
        let request_len = request.args.wire_len() as u64;
        if over(config.commandlog_request_larger_than, request_len) {
            let max = config.commandlog_large_request_max_len;
            self.add((Which::LargeRequest, max), session, request, request_len, now);
        }
        if over(config.commandlog_reply_larger_than, reply_len as u64) {
            let max = config.commandlog_large_reply_max_len;
            self.add((Which::LargeReply, max), session, request, reply_len as u64, now);
        }
    }

    #[cold]
    fn add(
        &self,
        (which, max): (Which, usize),
        session: &Session,
        request: Request<'_>,
        value: u64,
        now: Now,
    ) {
        if max == 0 {
            return;
        }
        let name = session.client.labels.lock().name.clone();
        let addr = session.client.addr.clone();
        let args = kept(request);
        let mut log = self.0[which as usize].lock();
        let id = log.next_id;
        log.next_id += 1;
        log.entries.push_front(Entry { id, time_s: now.unix_s(), value, args, addr, name });
        log.entries.truncate(max);
    }

    /// The newest `count` entries.
    pub(crate) fn newest(&self, which: Which, count: usize) -> Vec<Entry> {
        self.0[which as usize].lock().entries.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub(crate) fn len(&self, which: Which) -> usize {
        self.0[which as usize].lock().entries.len()
    }

    /// Forgets all entries.
    pub(crate) fn reset(&self, which: Which) {
        self.0[which as usize].lock().entries.clear();
    }
}

/// The arguments as they are kept: without secrets; the last place says how many were left out.
fn kept(request: Request<'_>) -> Vec<Vec<u8>> {
    let args = request.args;
    let mut kept: Vec<Vec<u8>> = args.iter().take(ARGS_MAX).map(shortened).collect();
    for at in secrets(request).take_while(|at| *at < ARGS_MAX) {
        kept[at] = REDACTED.to_vec();
    }
    if args.len() > ARGS_MAX {
        let left_out = args.len() - ARGS_MAX + 1;
        kept[ARGS_MAX - 1] = format!("... ({left_out} more arguments)").into_bytes();
    }
    kept
}

/// Positions of arguments that are secrets.
pub(crate) fn secrets(request: Request<'_>) -> impl Iterator<Item = usize> {
    let Request { command, args } = request;
    let is_secret: fn(Args<'_>, usize) -> bool = match command.name {
        // More than a user and a password is a syntax error, in which nothing is known.
        "auth" => |args, at| at > 0 && args.len() <= 3,
        "hello" => |args, at| {
            let after_auth = |back: usize| at >= back + 2 && is(args.get(at - back), "AUTH");
            let whole = |back: usize| at - back + 2 < args.len();
            [1, 2].into_iter().any(|back| after_auth(back) && whole(back))
        },
        "config|set" => |args, at| at > 2 && at % 2 == 1 && is_sensitive(args.get(at - 1)),
        _ => |_, _| false,
    };
    (0..args.len()).filter(move |at| is_secret(args, *at))
}

fn is_sensitive(parameter: &[u8]) -> bool {
    let name = str::from_utf8(parameter).unwrap_or_default();
    config::find(name).is_some_and(|(parameter, _)| parameter.sensitive)
}

fn shortened(argument: &[u8]) -> Vec<u8> {
    if argument.len() <= ARG_LEN_MAX {
        return argument.to_vec();
    }
    let mut short = argument[..ARG_LEN_MAX].to_vec();
    short.extend(format!("... ({} more bytes)", argument.len() - ARG_LEN_MAX).into_bytes());
    short
}

#[cfg(test)]
mod tests {
    use pannier_resp::OwnedArgs;

    use super::*;
    use crate::command::Table;

    fn logged(line: &str) -> String {
        let args = OwnedArgs::new(line.split(' '));
        let table = Table::new(&[], false).unwrap();
        let mut found = table.find(args.args().get(0)).unwrap();
        if !found.command.subcommands.is_empty() {
            found = table.find_sub(found, args.args().get(1)).unwrap();
        }
        let kept = kept(Request { command: found.command, args: args.args() });
        String::from_utf8(kept.join(&b' ')).unwrap()
    }

    #[test]
    fn passwords_are_not_kept() {
        for (line, expected) in [
            ("AUTH pw", "AUTH (redacted)"),
            ("auth user pw", "auth (redacted) (redacted)"),
            ("AUTH a b c", "AUTH a b c"),
            ("HELLO 3", "HELLO 3"),
            ("HELLO 3 AUTH", "HELLO 3 AUTH"),
            ("HELLO 3 AUTH u p", "HELLO 3 AUTH (redacted) (redacted)"),
            ("HELLO 3 SETNAME a AUTH u p", "HELLO 3 SETNAME a AUTH (redacted) (redacted)"),
            ("HELLO 2 AUTH u p SETNAME c", "HELLO 2 AUTH (redacted) (redacted) SETNAME c"),
            ("CONFIG SET requirepass x", "CONFIG SET requirepass (redacted)"),
            ("CONFIG SET PRIMARYAUTH x", "CONFIG SET PRIMARYAUTH (redacted)"),
            ("CONFIG SET port 1 masterauth x", "CONFIG SET port 1 masterauth (redacted)"),
            ("CONFIG SET maxmemory requirepass", "CONFIG SET maxmemory requirepass"),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
        ] {
            assert_eq!(logged(line), expected);
        }
    }
}
