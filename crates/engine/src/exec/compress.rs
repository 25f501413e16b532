//! Deflating what a request will store, before its keys are locked.
//!
//! Deflating 64 KiB takes half a millisecond, during which nobody else should wait for a shard. So
//! it is done as soon as the request has passed the gate: a row says how far behind each key the
//! string stands that is stored under it (`Command::stores`), and those strings that reach
//! `compression-threshold` are compressed here. The handler asks for them by position
//! (`Context::value`) and stores what it gets. What a condition then keeps from being stored (SET
//! NX) was compressed in vain; what commands compute or change in place is never compressed.
//!
//! While the threshold is 0 this is one comparison. Neighbours: `pannier_store::Compressor`.
//! Tests: `tests/tests/compression.rs`.

use pannier_resp::Args;
use pannier_store::Compressed;

use crate::command::Command;
use crate::config::Config;
use crate::engine::Engine;

/// The arguments of one request that were compressed.
#[derive(Default)]
pub(crate) struct Ahead {
    /// By position, ascending.
    values: Vec<(usize, Compressed)>,
}

impl Ahead {
    /// Compresses what a request will store, as far as the configuration wants it.
    #[inline]
    pub(super) fn of(engine: &Engine, config: &Config, command: &Command, args: Args<'_>) -> Self {
        if Self::concerns(config, command, args) {
            Self::compress(engine, config, command, args)
        } else {
            Self::default()
        }
    }

    /// Whether a request may have something to compress.
    #[inline]
    pub(super) fn concerns(config: &Config, command: &Command, args: Args<'_>) -> bool {
        let threshold = config.compression_threshold;
        threshold > 0 && command.stores > 0 && args.wire_len() >= threshold
    }

    #[inline(never)]
    fn compress(engine: &Engine, config: &Config, command: &Command, args: Args<'_>) -> Self {
        let mut values = Vec::new();
        for spec in command.keys {
            spec.positions(args, |key| {
                let at = key + command.stores;
                if at >= args.len() || args.get(at).len() < config.compression_threshold {
                    return;
                }
                let value = engine.compressor.compress(args.get(at), config.compression_level);
                values.extend(value.map(|value| (at, value)));
            });
        }
        Self { values }
    }

    /// The argument at a position, if it was compressed.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&Compressed> {
        if self.values.is_empty() {
            return None;
        }
        let found = self.values.binary_search_by_key(&at, |(at, _)| *at).ok()?;
        Some(&self.values[found].1)
    }
}
