//! The engine: one keyspace and everything that a command can ask about.
//!
//! Built by a shell from a configuration and a [`Host`]; shared between workers. Nothing here is
//! mutable except through the parts' own locks: the keyspace's shards, the registries, and the
//! configuration, which is a snapshot that CONFIG SET replaces whole.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use pannier_lock::Mutex;
use pannier_store::{Compressor, Keyspace, Now, Room, Rules, Turn};

use crate::checkpoint::Checkpoints;
use crate::clients::{Client, Clients, ConnectionInfo};
use crate::command::Table;
use crate::config::Config;
use crate::direct::Direct;
use crate::faults::Faults;
use crate::host::Host;
use crate::latency::LatencyMonitor;
use crate::logs::Logs;
use crate::mailbox::Letter;
use crate::monitor::Monitors;
use crate::pause::Pause;
use crate::pubsub::PubSub;
use crate::recorder::Recorder;
use crate::scripts::Scripts;
use crate::session::Session;
use crate::stats::{Lane, Stats};
use crate::tracking::Tracking;

/// How to build an engine.
pub struct Options {
    /// The configuration to start with.
    pub config: Config,
    /// The program around it.
    pub host: Arc<dyn Host>,
    /// The time of the start.
    pub now: Now,
    /// Seed of every random choice.
    pub seed: u64,
    /// Number of shards (a power of two, at most 64); a few for each worker.
    pub shards: usize,
}

/// See the module's header.
pub struct Engine {
    pub(crate) keyspace: Keyspace,
    pub(crate) compressor: Compressor,
    pub(crate) config: ArcSwap<Config>,
    /// Held while the configuration is being replaced.
    pub(crate) configuring: Mutex<()>,
    pub(crate) commands: Table,
    pub(crate) clients: Clients,
    pub(crate) stats: Stats,
    pub(crate) logs: Logs,
    pub(crate) latency: LatencyMonitor,
    pub(crate) pause: Pause,
    pub(crate) pubsub: PubSub,
    pub(crate) monitors: Monitors,
    pub(crate) tracking: Tracking,
    pub(crate) scripts: Scripts,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) faults: Faults,
    pub(crate) direct: Direct,
    pub(crate) recorder: Recorder,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) started: Now,
    /// 40 hexadecimal digits, new for every start.
    pub(crate) run_id: Mutex<String>,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub(crate) active_expire: AtomicBool,
    /// DEBUG PAUSE-CRON.
    pub(crate) cron_paused: AtomicBool,
    /// DEBUG QUICKLIST-PACKED-THRESHOLD: from how many bytes on a list's element stands alone; 0
    /// leaves it to the limit of a node.
    pub(crate) packed_threshold: AtomicUsize,
    /// PFDEBUG SIMD: whether HyperLogLogs are merged with vector instructions.
    pub(crate) wide_merges: AtomicBool,
    pub(crate) peak_bytes: AtomicUsize,
    /// Bytes of the process when nothing was stored yet.
    pub(crate) startup_bytes: AtomicUsize,
    pub(crate) rng: Mutex<fastrand::Rng>,
    pub(crate) pace: crate::pace::Pace,
    /// Where the requests are counted that housekeeping serves; its lock is taken before any other.
    pub(crate) house: Mutex<Arc<Lane>>,
    /// This engine.
    pub(crate) itself: Weak<Self>,
}

impl Engine {
    /// Builds an engine.
    ///
    /// # Errors
    /// What in the configuration contradicts the commands (`rename-command`).
    pub fn new(options: Options) -> Result<Arc<Self>, String> {
        let Options { config, host, now, seed, shards } = options;
        let commands = Table::new(&config.rename_command, config.test_mode)?;
        let databases = config.databases;
        let discard = Arc::clone(&host);
        let reaper = Arc::new(move |garbage| discard.discard(Box::new(garbage)));
        let keyspace =
            Keyspace::new(pannier_store::Options { shards, databases, seed, now, reaper });
        let mut rng = fastrand::Rng::with_seed(seed);
        let run_id = random_id(&mut rng);
        let direct = Direct::new(&commands);
        let stats = Stats::new(&commands, keyspace.tallies());
        let house = stats.lane();
        let mut engine = Self {
            keyspace,
            compressor: Compressor::default(),
            configuring: Mutex::new(()),
            clients: Clients::default(),
            stats,
            commands,
            logs: Logs::default(),
            latency: LatencyMonitor::default(),
            pause: Pause::default(),
            pubsub: PubSub::default(),
            monitors: Monitors::default(),
            tracking: Tracking::default(),
            scripts: Scripts::default(),
            checkpoints: Checkpoints::default(),
            faults: Faults::new(seed),
            direct,
            recorder: Recorder::default(),
            host,
            started: now,
            run_id: Mutex::new(run_id),
            active_expire: AtomicBool::new(true),
            cron_paused: AtomicBool::new(false),
            wide_merges: AtomicBool::new(true),
            packed_threshold: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            startup_bytes: AtomicUsize::new(0),
            rng: Mutex::new(rng),
            pace: crate::pace::Pace::default(),
            house: Mutex::new(house),
            itself: Weak::new(),
            config: ArcSwap::from_pointee(Config::default()),
        };
        engine.apply_limits(&config)?;
        engine.direct.configure(&config);
        engine.config.store(Arc::new(config));
        Ok(Arc::new_cyclic(|itself| {
            engine.itself = Weak::clone(itself);
            engine
        }))
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The configuration in force, for a quick look: cheaper than [`Engine::config`], not to be
    /// kept.
    pub fn peek_config(&self) -> impl std::ops::Deref<Target = Arc<Config>> {
        self.config.load()
    }

    /// The command table.
    pub fn commands(&self) -> &Table {
        &self.commands
    }

    /// The keyspace.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// What compresses values.
    pub fn compressor(&self) -> &Compressor {
        &self.compressor
    }

    /// A lane for a new worker's statistics.
    pub fn lane(&self) -> Arc<Lane> {
        self.stats.lane()
    }

    /// Number of connected clients.
    pub fn connected(&self) -> usize {
        self.clients.len()
    }

    /// All connected clients, in ascending order of id.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.all()
    }

    /// Begins a session for a new connection.
    pub fn connect(self: &Arc<Self>, info: ConnectionInfo, now: Now) -> Session {
        let client = self.clients.connect(&info, now.unix_ms());
        Session::new(Arc::clone(self), client, info.lane, info.local)
    }

    /// Begins a session that is no client: it is not counted or listed, and is reached by nothing
    /// that goes to all clients, until [`Session::list`] shows it.
    pub fn enter(self: &Arc<Self>, info: ConnectionInfo, now: Now) -> Session {
        let client = self.clients.unlisted(&info, now.unix_ms());
        Session::new(Arc::clone(self), client, info.lane, info.local)
    }

    /// Commands executed since the start.
    pub fn executed(&self) -> u64 {
        self.stats.executed()
    }

    /// Posts a letter to every session.
    pub fn post_to_all(&self, letter: &Letter) {
        for client in self.clients.all() {
            client.mailbox.post(letter.clone());
        }
    }

    /// Frees keys whose deadline has passed, looking at no more than `budget`
    /// marks in the wheel.
    pub fn expire(&self, now: Now, budget: usize) -> Turn {
        if !self.active_expire.load(Relaxed) || self.pause.active(now.unix_ms()).is_some() {
            return Turn::default();
        }
        let turn = self.keyspace.expire(now.unix_ms(), budget);
        self.serve_waiters(now);
        self.deliver();
        turn
    }

    /// Delivers the events that have been recorded. No shard may be locked by the caller, or its
    /// own events wait.
    pub(crate) fn deliver(&self) {
        self.deliver_behind(&mut |_| {});
    }

    /// The same; `first` is told whose change is told next, before caches hear of it.
    pub(crate) fn deliver_behind(&self, first: &mut dyn FnMut(u64)) {
        if self.keyspace.has_events() {
            let config = self.config.load();
            let changes = self.pubsub.deliver(&self.keyspace, &config);
            if !changes.is_empty() {
                let limits = &config.client_output_buffer_limit;
                self.tracking.deliver(&changes, limits, first);
            }
        }
    }

    /// When [`Engine::expire`] has something to do, in Unix milliseconds.
    pub fn next_deadline(&self) -> u64 {
        self.keyspace.next_deadline()
    }

    /// Periodic work: samples the rates and brings data back under limits that were lowered.
    /// Call it a few times a second.
    pub fn tick(&self, now: Now) {
        if self.cron_paused.load(Relaxed) {
            return;
        }
        if self.pace.is_due(now.mono_us) {
            let totals = self.stats.totals([0; 5]);
            self.pace.add(crate::pace::Sample {
                mono_us: now.mono_us,
                executed: totals.executed,
                net_in: totals.net_in,
                net_out: totals.net_out,
            });
        }
        if self.scripts.run.kind().is_none() {
            let config = self.config.load();
            crate::exec::make_room(self, &config, now);
        }
        self.serve_waiters(now);
        self.keyspace.trim_trackers();
        self.deliver();
    }

    /// Serves those who wait for keys that housekeeping has removed.
    pub(crate) fn serve_waiters(&self, now: Now) {
        if self.keyspace.ready_shards() != 0 {
            let lane = self.house.lock();
            crate::exec::serve(self, &lane, None, now);
        }
    }

    /// The clock was moved by hand: what is due happens before this returns, and whoever waits for
    /// a deadline looks again.
    pub fn time_moved(&self, now: Now) {
        while self.expire(now, MOVED_STEP).more {}
        self.tick(now);
        self.post_to_all(&Letter::Resume);
    }

    /// Whether a script runs for longer than others wait for it.
    pub fn is_busy(&self) -> bool {
        self.scripts.run.is_busy()
    }

    /// Whether a script runs, and holds what requests need.
    #[inline]
    pub fn runs_script(&self) -> bool {
        self.scripts.run.is_active()
    }

    /// Whether a request holds data for longer than a brief one does.
    #[inline]
    pub fn is_held_up(&self) -> bool {
        self.keyspace.is_held_up()
    }

    /// Gives the server another id.
    pub(crate) fn renew_run_id(&self) {
        *self.run_id.lock() = random_id(&mut self.rng.lock());
    }

    /// How access clocks are recorded under a configuration.
    pub(crate) fn rules(config: &Config, touch: bool) -> Rules {
        Rules {
            frequency: config.maxmemory_policy.frequency(),
            lfu_log_factor: config.lfu_log_factor,
            lfu_decay_min: config.lfu_decay_time,
            touch,
            keep_expired: false,
        }
    }

    /// How room is made under a configuration.
    pub(crate) fn room(config: &Config) -> Room {
        Room {
            policy: config.maxmemory_policy,
            samples: config.maxmemory_samples,
            rules: Self::rules(config, true),
        }
    }

    /// Hands the keyspace's own limits on.
    ///
    /// # Errors
    /// A limit for a database that does not exist.
    pub(crate) fn apply_limits(&self, config: &Config) -> Result<(), String> {
        let databases = self.keyspace.databases();
        if let Some((index, _)) = config.db_maxentries.iter().find(|(index, _)| *index >= databases)
        {
            return Err(format!("there is no database {index}"));
        }
        if config.compression_threshold == 0 {
            self.compressor.rest();
        }
        self.keyspace.want_events(config.notify_keyspace_events.wanted());
        self.keyspace.set_tracked_keys_max(config.tracking_table_max_keys);
        self.keyspace.set_entries_max(config.maxentries);
        for database in 0..databases {
            let limit = config.db_maxentries.iter().rev().find(|(index, _)| *index == database);
            self.keyspace.set_database_entries_max(database, limit.map_or(0, |(_, n)| *n));
        }
        Ok(())
    }

    /// Puts a configuration into force: the host is asked to follow, the keyspace is told its
    /// limits, and then the snapshot is swapped in. The caller holds `configuring`.
    ///
    /// # Errors
    /// The host cannot follow (a port is taken), or a limit is wrong; nothing has changed then.
    pub(crate) fn reconfigure(&self, old: &Config, new: &Arc<Config>) -> Result<(), String> {
        self.host.configure(old, new)?;
        self.apply_limits(new)?;
        self.direct.configure(new);
        self.config.store(Arc::clone(new));
        Ok(())
    }

    /// Tells what the process held before anything was stored.
    pub fn set_startup_bytes(&self, bytes: usize) {
        self.startup_bytes.store(bytes, Relaxed);
    }

    /// Bytes that the server counts as used: the data. What the process began with is told by INFO
    /// and counts for nothing, so that a limit means the same in a process of any size.
    pub fn used_memory(&self) -> usize {
        let used = self.keyspace.bytes();
        // Seldom a new one: others need not give the cache line up.
        if used > self.peak_bytes.load(Relaxed) {
            self.peak_bytes.fetch_max(used, Relaxed);
        }
        used
    }
}

/// Marks that one step of expiry looks at when the clock was moved.
const MOVED_STEP: usize = 256;

/// 40 random hexadecimal digits.
fn random_id(rng: &mut fastrand::Rng) -> String {
    (0..40).map(|_| hex_digit(rng.u8(..16))).collect()
}

const fn hex_digit(n: u8) -> char {
    (if n < 10 { b'0' + n } else { b'a' + n - 10 }) as char
}
