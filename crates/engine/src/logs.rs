//! The command logs: slow executions, large requests, large replies (SLOWLOG, COMMANDLOG).
//!
//! One log for each of the three, newest first, bounded by its `*-max-len` parameter. A request
//! that stays below every threshold costs three comparisons and no lock. Entries keep at most 32
//! arguments of at most 128 bytes, as Redis does, so that a log cannot hold much memory.

use std::collections::VecDeque;

use pannier_resp::Args;
use pannier_store::Now;
use parking_lot::Mutex;

use crate::config::Config;
use crate::session::Session;

/// Arguments kept of a request.
const ARGS_MAX: usize = 32;
/// Bytes kept of an argument.
const ARG_LEN_MAX: usize = 128;

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
        args: Args<'_>,
        (us, reply_len): (u64, usize),
        now: Now,
    ) {
        let over = |threshold: i64, value: u64| threshold >= 0 && value >= threshold as u64;
        if over(config.commandlog_execution_slower_than, us) {
            let max = config.commandlog_slow_execution_max_len;
            self.add((Which::Slow, max), session, args, us, now);
        }
        let request_len = args.wire_len() as u64;
        if over(config.commandlog_request_larger_than, request_len) {
            let max = config.commandlog_large_request_max_len;
            self.add((Which::LargeRequest, max), session, args, request_len, now);
        }
        if over(config.commandlog_reply_larger_than, reply_len as u64) {
            let max = config.commandlog_large_reply_max_len;
            self.add((Which::LargeReply, max), session, args, reply_len as u64, now);
        }
    }

    #[cold]
    fn add(
        &self,
        (which, max): (Which, usize),
        session: &Session,
        args: Args<'_>,
        value: u64,
        now: Now,
    ) {
        if max == 0 {
            return;
        }
        let name = session.client.labels.lock().name.clone();
        let addr = session.client.addr.clone();
        let args = kept(args);
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

/// The arguments as they are kept: the last place says how many were left out.
fn kept(args: Args<'_>) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = args.iter().take(ARGS_MAX).map(shortened).collect();
    if args.len() > ARGS_MAX {
        let left_out = args.len() - ARGS_MAX + 1;
        kept[ARGS_MAX - 1] = format!("... ({left_out} more arguments)").into_bytes();
    }
    kept
}

fn shortened(argument: &[u8]) -> Vec<u8> {
    if argument.len() <= ARG_LEN_MAX {
        return argument.to_vec();
    }
    let mut short = argument[..ARG_LEN_MAX].to_vec();
    short.extend(format!("... ({} more bytes)", argument.len() - ARG_LEN_MAX).into_bytes());
    short
}
