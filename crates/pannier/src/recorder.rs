//! The recorder of a cache: tests assert what a program asks of it, and in how many round trips.
//!
//! A thin handle over the engine's recorder (`pannier_engine::Recording`). It is of the whole
//! cache: of all databases, of calls in the process as well as of clients on sockets. Each call in
//! the process is a round trip of its own.
//!
//! Tests: the examples below, and `server/pannier-recorder` of the transcripts.

use std::fmt;
use std::sync::Arc;

use pannier_engine::{Condition, Engine, Recorded, Recording, Tally};

use crate::cache::Cache;
use crate::error::{Error, ReplyError};

/// The recorder of a cache. Made by [`Cache::recorder`].
///
/// ```
/// let cache = pannier::Cache::new();
/// let recorder = cache.recorder();
/// recorder.start();
/// cache.mget(["a", "b"])?;
/// assert_eq!((recorder.commands().len(), recorder.round_trips()), (1, 1));
/// assert_eq!(recorder.commands()[0].args, ["MGET", "a", "b"]);
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone)]
pub struct Recorder {
    engine: Arc<Engine>,
}

impl Cache {
    /// What clients have sent, for tests.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let recorder = cache.recorder();
    /// recorder.start();
    /// cache.call(["SET", "key", "value"])?;
    /// cache.connect().feed(b"GET key\r\nPING\r\n", &mut Vec::new());
    /// assert_eq!(recorder.round_trips(), 2);
    /// assert_eq!(recorder.commands()[1].args, ["GET", "key"]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn recorder(&self) -> Recorder {
        Recorder { engine: Arc::clone(self.engine()) }
    }
}

impl Recorder {
    /// Forgets what was recorded, and records everything from now on: the newest 10,000 commands,
    /// and 16 MiB of them at most.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.recorder().start();
    /// cache.call(["PING"])?;
    /// assert_eq!(cache.recorder().commands().len(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn start(&self) {
        let started = self.engine.start_recorder(Recording::default());
        debug_assert_eq!(started, Ok(()), "the default names no command");
    }

    /// As [`Recorder::start`], with conditions and limits.
    ///
    /// ```
    /// use pannier::{Cache, Condition, Recording};
    ///
    /// let cache = Cache::new();
    /// let condition = Condition::new().command("@write").key("user:*");
    /// cache.recorder().start_with(Recording { condition, ..Recording::default() })?;
    /// cache.call(["SET", "user:1", "alice"])?;
    /// cache.call(["SET", "other", "value"])?;
    /// cache.call(["GET", "user:1"])?;
    /// assert_eq!(cache.recorder().commands().len(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A command that does not exist, or a limit of nothing.
    pub fn start_with(&self, recording: Recording) -> Result<(), Error> {
        self.engine.start_recorder(recording).map_err(refused)
    }

    /// Records nothing more; what was recorded stays. False when it was off.
    ///
    /// ```
    /// let recorder = pannier::Cache::new().recorder();
    /// recorder.start();
    /// assert!(recorder.stop() && !recorder.stop());
    /// ```
    pub fn stop(&self) -> bool {
        self.engine.stop_recorder()
    }

    /// Forgets what was recorded, and goes on if it is on; how many commands there were.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.recorder().start();
    /// cache.call(["PING"])?;
    /// assert_eq!(cache.recorder().clear(), 1);
    /// assert!(cache.recorder().commands().is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn clear(&self) -> usize {
        self.engine.clear_recorder()
    }

    /// What was recorded, the oldest first.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.recorder().start();
    /// cache.db(3)?.call(["SET", "key", "value"])?;
    /// let commands = cache.recorder().commands();
    /// assert_eq!(commands[0].args, ["SET", "key", "value"]);
    /// assert_eq!(commands[0].database, 3);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn commands(&self) -> Vec<Recorded> {
        self.engine.recorded(&Condition::new()).unwrap_or_default()
    }

    /// What was recorded and fulfils a condition.
    ///
    /// ```
    /// use pannier::{Cache, Condition};
    ///
    /// let cache = Cache::new();
    /// cache.recorder().start();
    /// cache.call(["SET", "key", "value"])?;
    /// cache.call(["GET", "key"])?;
    /// assert_eq!(cache.recorder().find(&Condition::new().command("get"))?.len(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// The condition names a command that does not exist.
    pub fn find(&self, condition: &Condition) -> Result<Vec<Recorded>, Error> {
        self.engine.recorded(condition).map_err(refused)
    }

    /// How many round trips brought what was recorded.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.recorder().start();
    /// cache.connect().feed(b"SET a 1\r\nSET b 2\r\nSET c 3\r\n", &mut Vec::new());
    /// assert_eq!(cache.recorder().round_trips(), 1);
    /// ```
    pub fn round_trips(&self) -> u64 {
        self.engine.recorder_tally(&Condition::new()).unwrap_or_default().round_trips
    }

    /// How much was recorded that fulfils a condition; a round trip counts that has brought at
    /// least one such command.
    ///
    /// ```
    /// use pannier::{Cache, Condition};
    ///
    /// let cache = Cache::new();
    /// cache.recorder().start();
    /// cache.connect().feed(b"CLIENT SETNAME a\r\nGET b\r\nGET c\r\n", &mut Vec::new());
    /// let tally = cache.recorder().tally(&Condition::new().command("-@connection"))?;
    /// assert_eq!((tally.commands, tally.round_trips, tally.lost), (2, 1, 0));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// The condition names a command that does not exist.
    pub fn tally(&self, condition: &Condition) -> Result<Tally, Error> {
        self.engine.recorder_tally(condition).map_err(refused)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("on", &self.engine.is_recording()).finish_non_exhaustive()
    }
}

fn refused(error: pannier_engine::Error) -> Error {
    ReplyError::new(error.message()).into()
}
