//! Checkpoints as values: whatever happens to a cache while one lives is taken back at its end.
//!
//! Made for tests, where a cache is filled once and every test begins with the same data. The
//! engine's checkpoints do the work (`pannier_engine::checkpoint`), and cost microseconds; here is
//! who gives them up. Dropping one rolls back, as with a transaction that nobody commits, so that
//! a test that panics leaves nothing behind either.
//!
//! Rules: a checkpoint is of all databases, whichever handle it came from, and needs no
//! `test-mode`, which is for clients. Neighbours: `cache`. Tests: `tests/checkpoint.rs`.

use std::fmt;
use std::sync::Arc;

use pannier_engine::{CheckpointId, Extent, Kept};

use crate::cache::{Cache, Core};
use crate::error::{Error, ReplyError};

/// A state of a cache that it returns to when this is dropped, and before as often as you like.
///
/// ```
/// use pannier::Cache;
///
/// let cache = Cache::new();
/// cache.call(["SET", "user:1", "alice"])?;
/// let clean = cache.checkpoint()?;
/// cache.call(["FLUSHALL"])?;
/// clean.rollback()?;
/// assert_eq!(cache.len(), 1);
/// cache.call(["SET", "user:2", "bob"])?;
/// drop(clean);
/// assert_eq!(cache.len(), 1);
/// # Ok::<(), pannier::Error>(())
/// ```
#[must_use = "the cache is rolled back when this is dropped"]
pub struct Checkpoint {
    core: Arc<Core>,
    id: CheckpointId,
    released: bool,
}

impl Cache {
    /// Remembers the data of all databases, the scripts and the functions as they are. Costs some
    /// microseconds, whatever there is.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// {
    ///     let _undo = cache.checkpoint()?;
    ///     cache.call(["SET", "key", "value"])?;
    /// }
    /// assert!(cache.is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A script keeps the cache busy, or there are a thousand checkpoints.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let core = self.core();
        let id = core.engine.checkpoint(core.enter()).map_err(replied)?;
        Ok(Checkpoint { core: Arc::clone(core), id, released: false })
    }
}

impl Checkpoint {
    /// Brings data, scripts and functions back. Checkpoints that were made later are given up; to
    /// this one the cache can return again.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let clean = cache.checkpoint()?;
    /// for test in ["one", "two"] {
    ///     cache.call(["SET", test, "value"])?;
    ///     assert_eq!(cache.len(), 1);
    ///     clean.rollback()?;
    /// }
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// An earlier checkpoint was rolled back to, which gave this one up; or a script keeps the
    /// cache busy.
    pub fn rollback(&self) -> Result<(), Error> {
        self.roll_back(Extent::Data)
    }

    /// The same, and what CONFIG SET has changed.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let clean = cache.checkpoint()?;
    /// cache.call(["CONFIG", "SET", "maxentries", "1"])?;
    /// clean.rollback_with_config()?;
    /// cache.call(["MSET", "a", "1", "b", "2"])?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Checkpoint::rollback`], and when a server cannot follow the configuration back.
    pub fn rollback_with_config(&self) -> Result<(), Error> {
        self.roll_back(Extent::WithConfig)
    }

    /// Gives the checkpoint up and leaves the data as they are now.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let checkpoint = cache.checkpoint()?;
    /// cache.call(["SET", "key", "value"])?;
    /// checkpoint.release()?;
    /// assert_eq!(cache.len(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Checkpoint::rollback`].
    pub fn release(mut self) -> Result<(), Error> {
        self.released = true;
        self.give_up()
    }

    /// What is kept for it: the keys that have changed between it and the next checkpoint, and the
    /// bytes that these took before, which no limit counts.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let clean = cache.checkpoint()?;
    /// cache.call(["SET", "key", "value"])?;
    /// assert_eq!(clean.kept()?.keys, 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Checkpoint::rollback`].
    pub fn kept(&self) -> Result<Kept, Error> {
        let active = self.core.engine.checkpoints(self.core.now()).map_err(replied)?;
        let own = active.into_iter().find(|one| one.id == self.id);
        own.map(|own| own.kept).ok_or_else(|| replied(pannier_engine::Error::NO_CHECKPOINT))
    }

    fn roll_back(&self, extent: Extent) -> Result<(), Error> {
        self.core.engine.rollback(self.id, extent, self.core.enter()).map_err(replied)
    }

    fn give_up(&self) -> Result<(), Error> {
        self.core.engine.release(self.id, self.core.now()).map_err(replied)
    }
}

impl Drop for Checkpoint {
    /// Rolls back and gives up. If an earlier checkpoint was rolled back to, that is done already.
    fn drop(&mut self) {
        if !self.released && self.rollback().is_ok() {
            let _ = self.give_up();
        }
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("id", &self.id).finish_non_exhaustive()
    }
}

fn replied(error: pannier_engine::Error) -> Error {
    ReplyError::new(error.message()).into()
}
