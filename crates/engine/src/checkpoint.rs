//! Checkpoints of an engine: everything that commands have changed since can be taken back.
//!
//! What belongs to a checkpoint is what one test must not leave to the next: the keys of all
//! databases with their deadlines and places, the scripts that EVALSHA finds, the libraries of
//! functions, and, for a rollback that asks for it, the parameters that CONFIG SET changes. What
//! belongs to a connection stays (its database, subscriptions, MULTI, tracking), and so do
//! statistics, logs, the order of random numbers and the clock. Setting one costs some
//! microseconds, whatever there is: the keyspace keeps what changes afterwards (the store's
//! `checkpoint`), all else is shared until it is changed.
//!
//! Checkpoints are nested like savepoints in SQL: rolling back to one gives up those that came
//! after it and keeps the one itself, so a test suite sets one and rolls back after each test. A
//! name means the latest checkpoint that has it. All is done with every shard open, so no other
//! client sees half of it, and no script runs meanwhile.
//!
//! Rules: the list here and the layers in the shards are changed together, under all shards, so a
//! place in the list is a depth. The list's lock is taken for a few instructions only. What is
//! refused (a busy script, a port that cannot be opened again) has changed nothing.
//! Neighbours: `command::pannier_checkpoint` is the wire; `scripts`, `functions` and `engine` keep
//! and put back their parts. Tests: `tests/checkpoint.rs` of the package `pannier-tests`, and the
//! transcripts `server/pannier-*`.

use std::fmt;
use std::sync::Arc;

use pannier_lock::Mutex;
use pannier_store::{Kept, Now, Open, View};

use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::functions::Held;
use crate::scripts::Evaluator;

/// More checkpoints at once are taken for a leak.
const CHECKPOINTS_MAX: usize = 1000;

/// Names a checkpoint; no two of an engine have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckpointId(pub(crate) u64);

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much a rollback brings back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Keys, scripts and functions.
    #[default]
    Data,
    /// These and the configuration.
    WithConfig,
}

/// An active checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its number.
    pub id: CheckpointId,
    /// Its name, if it has one.
    pub name: Option<Box<[u8]>>,
    /// What has changed between it and the next one.
    pub kept: Kept,
}

/// The active checkpoints. See the module's header.
#[derive(Default)]
pub(crate) struct Checkpoints(Mutex<List>);

#[derive(Default)]
struct List {
    /// The number of the one that was set last.
    last: u64,
    /// By depth.
    active: Vec<Active>,
}

struct Active {
    id: CheckpointId,
    name: Option<Box<[u8]>>,
    state: Arc<State>,
}

/// What a checkpoint holds beside the keyspace.
struct State {
    config: Arc<Config>,
    scripts: Option<Evaluator>,
    functions: Option<Held>,
}

/// Which checkpoint is meant.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    Latest,
    Id(CheckpointId),
    /// The latest of this name.
    Name(&'a [u8]),
}

impl Engine {
    /// Remembers everything as it is.
    ///
    /// # Errors
    /// A script keeps the server busy, or there are a thousand checkpoints.
    pub fn checkpoint(&self, now: Now) -> Result<CheckpointId, Error> {
        self.set_checkpoint(&mut self.open_all(now)?, None)
    }

    /// Brings everything back to a checkpoint, which stays: it can be rolled back to again. Later
    /// checkpoints are given up. Whoever waits for keys that come back is served.
    ///
    /// # Errors
    /// The checkpoint is not active, a script keeps the server busy, or the host cannot follow the
    /// configuration; nothing has changed then.
    pub fn rollback(&self, id: CheckpointId, extent: Extent, now: Now) -> Result<(), Error> {
        let mut view = self.open_all(now)?;
        self.roll_back(&mut view, Which::Id(id), extent)?;
        let (dirty, sooner) = (view.dirty(), view.sooner());
        drop(view);
        if sooner {
            self.host.wake_expiry();
        }
        self.house.lock().changes.add(dirty);
        crate::exec::trim(self, &self.config.load(), now);
        self.serve_waiters(now);
        self.deliver();
        Ok(())
    }

    /// Gives a checkpoint up; the data stay as they are, and so do other checkpoints.
    ///
    /// # Errors
    /// The checkpoint is not active, or a script keeps the server busy.
    pub fn release(&self, id: CheckpointId, now: Now) -> Result<(), Error> {
        self.give_up(&mut self.open_all(now)?, Which::Id(id))
    }

    /// The active checkpoints, the latest last.
    ///
    /// # Errors
    /// A script keeps the server busy.
    pub fn checkpoints(&self, now: Now) -> Result<Vec<Checkpoint>, Error> {
        Ok(self.list_checkpoints(&self.open_all(now)?))
    }

    fn open_all(&self, now: Now) -> Result<View<'_>, Error> {
        let rules = Self::rules(&self.config.load(), true);
        let view = self.keyspace.try_open(Open::All, now, rules);
        view.ok_or_else(|| self.scripts.run.busy_error().unwrap_or(Error::BUSY_SCRIPT))
    }

    /// Sets a checkpoint. Every shard is open, here and below.
    pub(crate) fn set_checkpoint(
        &self,
        view: &mut View<'_>,
        name: Option<&[u8]>,
    ) -> Result<CheckpointId, Error> {
        if self.checkpoints.0.lock().active.len() >= CHECKPOINTS_MAX {
            return Err(TOO_MANY);
        }
        let state = Arc::new(State {
            config: self.config.load_full(),
            scripts: self.scripts.keep()?,
            functions: self.scripts.functions.keep(self)?,
        });
        let depth = view.checkpoint();
        let mut list = self.checkpoints.0.lock();
        debug_assert_eq!(depth, list.active.len(), "the layers in the shards are those listed");
        list.last += 1;
        let id = CheckpointId(list.last);
        list.active.push(Active { id, name: name.map(Box::from), state });
        Ok(id)
    }

    /// Rolls back. Whoever waits for keys is not served here.
    pub(crate) fn roll_back(
        &self,
        view: &mut View<'_>,
        which: Which<'_>,
        extent: Extent,
    ) -> Result<(), Error> {
        let (depth, state) = self.checkpoints.find(which)?;
        if extent == Extent::WithConfig {
            let _configuring = self.configuring.lock();
            let old = self.config.load_full();
            if !Arc::ptr_eq(&old, &state.config) {
                let refused = |reason| Error::text(format!("ERR ROLLBACK failed - {reason}"));
                self.reconfigure(&old, &state.config).map_err(refused)?;
            }
        }
        self.scripts.put_back(state.scripts.as_ref())?;
        self.scripts.functions.put_back(self, state.functions.as_ref())?;
        view.rollback(depth);
        let later = self.checkpoints.0.lock().active.split_off(depth + 1);
        drop(later);
        Ok(())
    }

    /// Gives a checkpoint up.
    pub(crate) fn give_up(&self, view: &mut View<'_>, which: Which<'_>) -> Result<(), Error> {
        let (depth, _) = self.checkpoints.find(which)?;
        view.release(depth);
        let given_up = self.checkpoints.0.lock().active.remove(depth);
        drop(given_up);
        Ok(())
    }

    /// The active checkpoints, the latest last.
    pub(crate) fn list_checkpoints(&self, view: &View<'_>) -> Vec<Checkpoint> {
        let list = self.checkpoints.0.lock();
        let listed = list.active.iter().enumerate().map(|(depth, active)| Checkpoint {
            id: active.id,
            name: active.name.clone(),
            kept: view.kept(depth),
        });
        listed.collect()
    }
}

impl Checkpoints {
    /// The depth of a checkpoint, and what it holds.
    fn find(&self, which: Which<'_>) -> Result<(usize, Arc<State>), Error> {
        let list = self.0.lock();
        let depth = list.active.iter().rposition(|active| match which {
            Which::Latest => true,
            Which::Id(id) => active.id == id,
            Which::Name(name) => active.name.as_deref() == Some(name),
        });
        let depth = depth.ok_or(Error::NO_CHECKPOINT)?;
        Ok((depth, Arc::clone(&list.active[depth].state)))
    }
}

const TOO_MANY: Error = Error::new("ERR too many checkpoints, RELEASE some");
