//! A keyspace used as a cache, without a server: what the commands GET and SET do to it.
//!
//! Hit ratios depend on the policy and not on the protocol, so policies are compared here in
//! seconds. Time is virtual: it moves by a fixed step a request, because a policy sees time only
//! through `Now`, and a trace must give the same ratio on a slow machine as on a fast one.
//!
//! Rules: room is made before a write as the engine makes it (`engine::exec::open`), one victim at
//! a time. Neighbours: `trace` for the requests, `peers/hits.rs` for the same over sockets.

use pannier_store::{
    Deadline, Keyspace, NewValue, Now, Open, Options, Policy, Room, Rules, Scope, Str,
};

/// How much a cache may hold.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Entries, exactly.
    Entries(usize),
    /// Bytes as the keyspace counts them.
    Bytes(usize),
}

/// A keyspace with a policy, a limit and a clock.
pub struct Cache {
    /// The keyspace itself.
    pub keyspace: Keyspace,
    /// The policy and its parameters.
    pub room: Room,
    /// The time of the next request.
    pub now: Now,
    limit: Limit,
}

impl Cache {
    /// An empty cache of so many shards.
    pub fn new(policy: Policy, limit: Limit, shards: usize) -> Self {
        let now = Now { unix_us: START_US, mono_us: START_US };
        let rules = Rules { frequency: policy.frequency(), ..Rules::default() };
        let keyspace = Keyspace::new(Options {
            shards,
            databases: 1,
            seed: 7,
            now,
            reaper: std::sync::Arc::new(drop),
        });
        Self { keyspace, room: Room { policy, samples: 5, rules }, now, limit }
    }

    /// Whether the key is there; its access clock moves.
    ///
    /// # Panics
    /// When it holds another value than `set` gave it.
    pub fn get(&self, key: &[u8], value: &[u8]) -> bool {
        let key = self.keyspace.key(key);
        let mut view = self.keyspace.open(Open::Keys(&[key]), self.now, self.room.rules);
        match view.string(0, key) {
            Ok(Some(Str::Bytes(held))) => {
                assert_eq!(held, value, "a hit with the value of another key");
                true
            }
            Ok(None) => false,
            other => panic!("a string was stored, and this found: {other:?}"),
        }
    }

    /// Puts the key in, with room made first.
    ///
    /// # Panics
    /// When the policy finds no victim.
    pub fn set(&self, key: &[u8], value: &[u8], deadline: Deadline) {
        while self.is_over() {
            assert!(self.keyspace.evict(Scope::Keyspace, self.room, self.now), "no victim");
        }
        let key = self.keyspace.key(key);
        let mut view = self.keyspace.open(Open::Keys(&[key]), self.now, self.room.rules);
        view.set(0, key, NewValue::Bytes(value), deadline);
    }

    fn is_over(&self) -> bool {
        match self.limit {
            Limit::Entries(max) => self.keyspace.len(0) >= max,
            Limit::Bytes(max) => self.keyspace.bytes() > max,
        }
    }

    /// Asks for every key of the trace, `step_us` apart, and puts in what is missing. The share
    /// of requests that were hits.
    pub fn hit_ratio(&mut self, trace: &[u32], step_us: u64) -> f64 {
        let mut hits = 0_u64;
        for (at, number) in trace.iter().enumerate() {
            let key = key(*number);
            let value = value(*number);
            self.now.unix_us = START_US + at as u64 * step_us;
            self.now.mono_us = self.now.unix_us;
            if self.get(&key, &value) {
                hits += 1;
            } else {
                self.set(&key, &value, Deadline::Clear);
            }
        }
        hits as f64 / trace.len().max(1) as f64
    }
}

/// The key of that number in a trace: 16 bytes, as redis-benchmark has them.
pub fn key(number: u32) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// The value of that key: 64 bytes that no other key of a trace has.
pub fn value(number: u32) -> [u8; 64] {
    let mut value = [b'v'; 64];
    value[..16].copy_from_slice(&key(number));
    value
}

/// When virtual time begins: 14 November 2023.
const START_US: u64 = 1_700_000_000_000_000;
