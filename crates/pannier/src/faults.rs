//! Faults of a cache: tests make its requests fail, wait, or lose their connection.
//!
//! A thin handle over the engine's rules (`pannier_engine::Fault`). Rules are of the whole cache:
//! of all databases, of calls in the process as well as of clients on sockets, only that nothing
//! but a socket can be refused. A call whose connection is dropped ends with [`Error::Closed`].
//!
//! Tests: the examples below, and `server/pannier-fault` of the transcripts.

use std::fmt;
use std::sync::Arc;

use pannier_engine::{Engine, Fault, FaultRule};

use crate::cache::Cache;
use crate::error::{Error, ReplyError};

/// The faults of a cache. Made by [`Cache::faults`].
///
/// ```
/// use pannier::{Cache, Fault};
///
/// let cache = Cache::new();
/// let faults = cache.faults();
/// let id = faults.add(Fault::error("LOADING").command("get"))?;
/// assert!(cache.get("key").is_err());
/// assert_eq!(faults.hits(id), Some(1));
/// faults.clear();
/// assert!(cache.get("key").is_ok());
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone)]
pub struct Faults {
    engine: Arc<Engine>,
}

impl Cache {
    /// What goes wrong on purpose: rules for tests.
    ///
    /// ```
    /// use pannier::{Cache, Fault};
    ///
    /// let cache = Cache::new();
    /// cache.faults().add(Fault::error("READONLY").command("set").key("user:*").times(1))?;
    /// assert!(cache.call(["SET", "user:1", "alice"]).is_err());
    /// assert!(cache.call(["SET", "user:1", "alice"]).is_ok());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn faults(&self) -> Faults {
        Faults { engine: Arc::clone(self.engine()) }
    }
}

impl Faults {
    /// Puts a rule into force; the number that it is removed by.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use pannier::{Cache, Clock, Error, Fault};
    ///
    /// let cache = Cache::new();
    /// let faults = cache.faults();
    /// faults.add(Fault::drop_after().command("incr").times(1))?;
    /// assert!(matches!(cache.call(["INCR", "n"]), Err(Error::Closed)));
    /// assert_eq!(cache.call(["GET", "n"])?, cache.call(["ECHO", "1"])?);
    ///
    /// faults.add(Fault::delay(Duration::from_millis(20)).command("get"))?;
    /// let (clock, before) = (Clock::system(), Clock::system().mono_us());
    /// cache.call(["GET", "n"])?;
    /// assert!(clock.mono_us() - before > 15_000);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What the rule says makes no sense: a command that does not exist, a probability beyond 1,
    /// an error of two lines; or there are a thousand rules.
    pub fn add(&self, fault: Fault) -> Result<u64, Error> {
        self.engine.add_fault(fault).map_err(|error| ReplyError::new(error.message()).into())
    }

    /// All rules, in the order in which they were added; also those that will not be hit any more.
    ///
    /// ```
    /// use pannier::{Cache, Fault};
    ///
    /// let cache = Cache::new();
    /// let faults = cache.faults();
    /// faults.add(Fault::error("OOM").command("@write").times(5))?;
    /// assert!(cache.call(["SET", "key", "value"]).is_err());
    /// let rule = &faults.list()[0];
    /// assert_eq!((rule.hits, rule.left), (1, Some(4)));
    /// assert_eq!(rule.fault.to_string(), "ERROR OOM COMMAND @write COUNT 5");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn list(&self) -> Vec<FaultRule> {
        self.engine.faults()
    }

    /// How often a rule was hit; `None` when there is none of this number.
    ///
    /// ```
    /// use pannier::{Cache, Fault};
    ///
    /// let cache = Cache::new();
    /// let never = cache.faults().add(Fault::drop_before().probability(0.0))?;
    /// cache.call(["PING"])?;
    /// assert_eq!(cache.faults().hits(never), Some(0));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn hits(&self, id: u64) -> Option<u64> {
        self.list().iter().find(|rule| rule.id == id).map(|rule| rule.hits)
    }

    /// Removes a rule; false when there is none of this number. A request that it delays goes on.
    ///
    /// ```
    /// use pannier::{Cache, Fault};
    ///
    /// let faults = Cache::new().faults();
    /// let id = faults.add(Fault::error("LOADING"))?;
    /// assert!(faults.remove(id) && !faults.remove(id));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn remove(&self, id: u64) -> bool {
        self.engine.remove_fault(id)
    }

    /// Removes all rules; how many there were. Requests that they delay go on.
    ///
    /// ```
    /// let faults = pannier::Cache::new().faults();
    /// faults.add(pannier::Fault::error("LOADING"))?;
    /// assert_eq!(faults.clear(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn clear(&self) -> usize {
        self.engine.clear_faults()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}
