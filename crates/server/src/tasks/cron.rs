//! Periodic housekeeping, `hz` times a second: rates, idle clients, memory of clients. While nobody
//! is connected and nothing is executed it slows down to once a second: 600 idle servers on one
//! thread kept that busy in a debug build, so that the end of each waited for all others.
//!
//! Only what has no event of its own is polled here. Output limits, pauses and expiry have
//! deadlines and need no look. The registry of clients is walked once a second, and only when a
//! limit asks for it. Clients are ended through their mailbox, as CLIENT KILL does.

use std::sync::Arc;
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{Client, Engine, Lane, Letter, Now};

use crate::host::ShellHost;
use crate::now;

/// Time between two walks over all clients.
const WALK_US: u64 = 1_000_000;

/// Time between two rounds while nobody is connected and nothing is executed: of a thousand servers
/// in one process, each for a test, most are idle.
const PERIOD_IDLE: Duration = Duration::from_secs(1);

/// Runs until it is dropped. `lane` is the control thread's.
pub(crate) async fn cron(engine: Arc<Engine>, host: Arc<ShellHost>, clock: Clock, lane: Arc<Lane>) {
    let (mut walked_us, mut executed, mut period) = (0, 0, Duration::ZERO);
    loop {
        let now = now(&clock);
        let config = engine.config();
        engine.tick(now);
        host.program.keep_house(engine.keyspace().bytes());
        if now.mono_us >= walked_us + WALK_US {
            walked_us = now.mono_us;
            end_idle(&engine, &config, now);
            evict_clients(&engine, &config, &lane);
        }
        let brisk = Duration::from_millis(1_000) / config.hz.clamp(1, 500);
        let before = std::mem::replace(&mut executed, engine.executed());
        let is_idle = executed == before && engine.connected() == 0;
        period = if is_idle { (period * 2).clamp(brisk, PERIOD_IDLE) } else { brisk };
        drop(config);
        tokio::time::sleep(period).await;
    }
}

/// `timeout`.
fn end_idle(engine: &Engine, config: &Config, now: Now) {
    if config.timeout == 0 {
        return;
    }
    let limit_ms = u64::from(config.timeout) * 1_000;
    for client in engine.clients() {
        let idle_ms = now.unix_ms().saturating_sub(client.last_seen_ms());
        if idle_ms > limit_ms && !client.is_blocked() {
            tracing::debug!("Closing idle client {}", client.addr);
            client.mailbox.post(Letter::Kill);
        }
    }
}

/// `maxmemory-clients`: the largest go first, those that CLIENT NO-EVICT protects never.
fn evict_clients(engine: &Engine, config: &Config, lane: &Lane) {
    let limit = config.maxmemory_clients.bytes(config.maxmemory);
    if limit == 0 {
        return;
    }
    let mut clients: Vec<(usize, Arc<Client>)> =
        engine.clients().into_iter().map(|client| (client.memory(), client)).collect();
    let mut total: usize = clients.iter().map(|(memory, _)| memory).sum();
    clients.retain(|(_, client)| !client.is_protected());
    clients.sort_unstable_by_key(|(memory, _)| std::cmp::Reverse(*memory));
    for (memory, client) in clients {
        if total <= limit {
            break;
        }
        tracing::info!("Evicting client {}, which holds {memory} bytes", client.addr);
        client.mailbox.post(Letter::Kill);
        lane.evicted_clients.add(1);
        total -= memory;
    }
}
