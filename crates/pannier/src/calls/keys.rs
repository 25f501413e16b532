//! Keys, whatever they hold: removal, deadlines, names.
//!
//! Times to live are durations on both sides, in whole milliseconds: what is given is rounded up,
//! so that nothing expires earlier than asked for. A key without a deadline and a key that is not
//! there both have none left; `exists` tells them apart.
//!
//! Neighbours: `strings` and the handles for what keys hold; `scan` walks over them.

use std::time::Duration;

use super::{digits, whole_ms};
use crate::cache::Cache;
use crate::error::Error;

impl Cache {
    /// Removes a key; whether it was there (DEL).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("key", "value")?;
    /// assert!(cache.del("key")?);
    /// assert!(!cache.del("key")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn del(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.ask([b"DEL", key.as_ref()])
    }

    /// Removes several keys in one step; how many were there (DEL).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.mset([("a", "1"), ("b", "2")])?;
    /// assert_eq!(cache.del_all(["a", "b", "c"])?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A reply error when there is no key.
    pub fn del_all(&self, keys: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<usize, Error> {
        self.ask_with([b"DEL"], keys)
    }

    /// Whether a key is there (EXISTS).
    ///
    /// ```
    /// assert!(!pannier::Cache::new().exists("key")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.ask([b"EXISTS", key.as_ref()])
    }

    /// Has a key expire after so long; whether it is there (PEXPIRE).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = pannier::Cache::new();
    /// cache.set("key", "value")?;
    /// assert!(cache.expire("key", Duration::from_secs(60))?);
    /// assert!(!cache.expire("missing", Duration::from_secs(60))?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn expire(&self, key: impl AsRef<[u8]>, ttl: Duration) -> Result<bool, Error> {
        self.ask([b"PEXPIRE", key.as_ref(), &digits(whole_ms(ttl))])
    }

    /// Takes a key's deadline away; whether it had one (PERSIST).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("key", "value")?;
    /// cache.expire("key", std::time::Duration::from_secs(60))?;
    /// assert!(cache.persist("key")?);
    /// assert_eq!(cache.ttl("key")?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.ask([b"PERSIST", key.as_ref()])
    }

    /// The time that a key has left (PTTL); `None` for a key without a deadline and for one that
    /// is not there.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("key", "value")?;
    /// assert_eq!(cache.ttl("key")?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Option<Duration>, Error> {
        let left_ms: i64 = self.ask([b"PTTL", key.as_ref()])?;
        Ok(u64::try_from(left_ms).ok().map(Duration::from_millis))
    }

    /// Renames a key, over whatever was under the new name (RENAME).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("draft", "text")?;
    /// cache.rename("draft", "page")?;
    /// assert!(cache.exists("page")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A reply error when there is no such key.
    pub fn rename(&self, key: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<(), Error> {
        self.ask([b"RENAME", key.as_ref(), to.as_ref()])
    }

    /// The type of what a key holds: `string`, `list`, `hash`; `None` without a key (TYPE).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.list("jobs").push_back("a")?;
    /// assert_eq!(cache.kind("jobs")?.as_deref(), Some("list"));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<String>, Error> {
        let kind: String = self.ask([b"TYPE", key.as_ref()])?;
        Ok((kind != "none").then_some(kind))
    }

    /// Removes every key of this database (FLUSHDB).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("key", "value")?;
    /// cache.clear()?;
    /// assert!(cache.is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn clear(&self) -> Result<(), Error> {
        self.ask([b"FLUSHDB"])
    }
}
