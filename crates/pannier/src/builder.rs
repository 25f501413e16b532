//! How a cache is built.
//!
//! What everybody sets has a method; everything else is a directive as text, by the name that it
//! has in `redis.conf` or in Pannier's reference. What is wrong is said by `build`, so that calls
//! can be chained.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::Policy;
use pannier_engine::config::Config;

use crate::cache::Cache;
use crate::error::Error;
use crate::house::Housekeeping;

/// Builds a [`Cache`].
///
/// ```
/// use pannier::{Cache, Policy};
///
/// let cache = Cache::builder()
///     .databases(2)
///     .max_entries(10_000)
///     .policy(Policy::AllKeysLru)
///     .directive("notify-keyspace-events", "Ex")
///     .build()?;
/// assert_eq!(cache.databases(), 2);
/// # Ok::<(), pannier::Error>(())
/// ```
#[must_use = "`build` makes the cache"]
pub struct CacheBuilder {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) seed: Option<u64>,
    pub(crate) housekeeping: Housekeeping,
    pub(crate) default_ttl: Option<Duration>,
    refused: Option<Error>,
}

impl CacheBuilder {
    pub(crate) fn new() -> Self {
        Self {
            config: Config { port: 0, ..Config::default() },
            clock: Clock::system(),
            seed: None,
            housekeeping: Housekeeping::default(),
            default_ttl: None,
            refused: None,
        }
    }

    /// The number of logical databases, 16 unless told otherwise.
    ///
    /// ```
    /// let cache = pannier::Cache::builder().databases(1).build()?;
    /// assert!(cache.db(1).is_err());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn databases(mut self, databases: usize) -> Self {
        self.config.databases = databases.clamp(1, DATABASES_MAX);
        self
    }

    /// The bytes that the data may take, 0 for no limit. What happens at the limit is the
    /// [policy](Self::policy)'s to say.
    ///
    /// ```
    /// let cache = pannier::Cache::builder().max_memory(64 << 20).build()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.config.maxmemory = bytes;
        self
    }

    /// The entries that all databases together may hold, 0 for no limit.
    ///
    /// ```
    /// use pannier::{Cache, Policy};
    ///
    /// let cache = Cache::builder().max_entries(2).policy(Policy::AllKeysLru).build()?;
    /// for key in ["a", "b", "c"] {
    ///     cache.call(["SET", key, "value"])?;
    /// }
    /// assert_eq!(cache.len(), 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.config.maxentries = entries;
        self
    }

    /// Which entries go when a limit is reached; by default none does, and writes are refused.
    ///
    /// ```
    /// use pannier::{Cache, Policy};
    ///
    /// let cache = Cache::builder().max_memory(1 << 20).policy(Policy::AllKeysLfu).build()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.config.maxmemory_policy = policy;
        self
    }

    /// The time to live of strings that are stored by a typed call which says none: `set`, `mset`,
    /// `get_or_insert_with`. Commands by [`Cache::call`] and those of clients do as they are told.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = pannier::Cache::builder().default_ttl(Duration::from_secs(300)).build()?;
    /// cache.set("key", "value")?;
    /// assert!(cache.ttl("key")?.is_some());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = Some(ttl);
        self
    }

    /// Keeps strings of so many bytes or more compressed, where that saves enough; 0, the default,
    /// compresses nothing.
    ///
    /// ```
    /// let cache = pannier::Cache::builder().compression(1024).build()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn compression(mut self, threshold: usize) -> Self {
        self.config.compression_threshold = threshold;
        self
    }

    /// The clock that everything follows. Under a virtual one, nothing expires and no wait ends
    /// before it is moved, and whoever moves it does the housekeeping.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pannier::{Cache, Clock};
    ///
    /// let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    /// let cache = Cache::builder().clock(clock).build()?;
    /// cache.call(["SET", "key", "value", "EX", "100"])?;
    /// hand.advance(Duration::from_secs(100));
    /// assert!(cache.is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Seed of every random choice (eviction samples, RANDOMKEY), for runs that repeat; by default
    /// another one each time.
    ///
    /// ```
    /// let cache = pannier::Cache::builder().seed(7).build()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Who frees what has expired: a small thread, or the calls themselves.
    ///
    /// ```
    /// use pannier::{Cache, Housekeeping};
    ///
    /// let cache = Cache::builder().housekeeping(Housekeeping::OnAccess).build()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn housekeeping(mut self, housekeeping: Housekeeping) -> Self {
        self.housekeeping = housekeeping;
        self
    }

    /// Sets a directive of `redis.conf` or of Pannier's own; a value of several words is one text.
    ///
    /// ```
    /// let wrong = pannier::Cache::builder().directive("maxmemory", "plenty").build();
    /// let error = wrong.err().expect("refused");
    /// assert_eq!(error.to_string(), "maxmemory: argument must be a memory value");
    /// ```
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        if let Err(source) = self.config.set(name, &[value]) {
            self.refused.get_or_insert(Error::Directive { name: name.to_owned(), source });
        }
        self
    }

    /// Replaces the whole configuration.
    ///
    /// ```
    /// use pannier::{Cache, Config};
    ///
    /// let config = Config { databases: 1, ..Config::default() };
    /// assert_eq!(Cache::builder().config(config).build()?.databases(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Makes the cache.
    ///
    /// ```
    /// let cache = pannier::Cache::builder().max_entries(10_000).build()?;
    /// assert!(cache.is_empty());
    /// let wrong = pannier::Cache::builder().directive("db-maxentries", "20 100").build();
    /// assert!(wrong.is_err(), "there is no database 20");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first directive that was refused, or how directives contradict each other.
    pub fn build(mut self) -> Result<Cache, Error> {
        match self.refused.take() {
            Some(refused) => Err(refused),
            None => Cache::open(self),
        }
    }

    /// Only says what was refused.
    #[cfg(feature = "server")]
    pub(crate) fn check(mut self) -> Result<(), Error> {
        self.refused.take().map_or(Ok(()), Err)
    }

    pub(crate) fn seed_or_random(&self) -> u64 {
        self.seed.unwrap_or_else(|| RandomState::new().hash_one(0))
    }
}

impl std::fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheBuilder").field("housekeeping", &self.housekeeping).finish()
    }
}

/// As the directive `databases` has it.
const DATABASES_MAX: usize = 1 << 16;
