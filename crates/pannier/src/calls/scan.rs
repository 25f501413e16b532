//! A walk over the keys, as an iterator.
//!
//! It is SCAN: nothing is held between two steps, so others read and write meanwhile; a key that
//! is there from the beginning to the end is returned, one that comes or goes meanwhile may be, and
//! a key may come twice while the table grows.

use std::collections::VecDeque;

use bytes::Bytes;

use super::digits;
use crate::cache::Cache;
use crate::error::Error;

/// A walk over the keys of a database. Made by [`Cache::scan`].
///
/// ```
/// let cache = pannier::Cache::new();
/// cache.mset([("user:1", "Ann"), ("user:2", "Bob"), ("page:1", "Home")])?;
/// let users = cache.scan().matching("user:*").collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(users.len(), 2);
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "an iterator does nothing by itself"]
pub struct Scan<'c> {
    cache: &'c Cache,
    /// Where the next step begins; `None` after the last.
    cursor: Option<Bytes>,
    options: Vec<Vec<u8>>,
    found: VecDeque<Bytes>,
}

impl Cache {
    /// Walks over the keys (SCAN).
    ///
    /// ```
    /// assert_eq!(pannier::Cache::new().scan().count(), 0);
    /// ```
    pub fn scan(&self) -> Scan<'_> {
        let count = [b"COUNT".to_vec(), digits(COUNT)];
        Scan {
            cache: self,
            cursor: Some(Bytes::from_static(b"0")),
            options: count.into(),
            found: VecDeque::new(),
        }
    }
}

impl Scan<'_> {
    /// Keys that match a pattern only (MATCH).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.mset([("a1", ""), ("b1", "")])?;
    /// assert_eq!(cache.scan().matching("a?").count(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn matching(self, pattern: impl AsRef<[u8]>) -> Self {
        self.with(b"MATCH", pattern.as_ref())
    }

    /// Keys that hold a type only (TYPE): `string`, `list`, `hash`.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set("text", "")?;
    /// cache.list("jobs").push_back("a")?;
    /// assert_eq!(cache.scan().of_kind("list").count(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn of_kind(self, kind: &str) -> Self {
        self.with(b"TYPE", kind.as_bytes())
    }

    /// How many keys one step looks at (COUNT), 100 unless told otherwise: each holds the keyspace
    /// for a moment.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set("key", "value")?;
    /// assert_eq!(cache.scan().step(1_000).count(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn step(self, keys: usize) -> Self {
        self.with(b"COUNT", &digits(keys.max(1)))
    }

    fn with(mut self, word: &[u8], value: &[u8]) -> Self {
        match self.options.iter().position(|held| held == word) {
            Some(at) => self.options[at + 1] = value.to_vec(),
            None => self.options.extend([word.to_vec(), value.to_vec()]),
        }
        self
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.found.pop_front() {
                return Some(Ok(key));
            }
            let cursor = self.cursor.take()?;
            let step: Result<(Bytes, Vec<Bytes>), Error> =
                self.cache.ask_with([b"SCAN", &cursor], &self.options);
            match step {
                Ok((cursor, found)) => {
                    self.cursor = (cursor != "0").then_some(cursor);
                    self.found = found.into();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Keys that a step looks at unless told otherwise.
const COUNT: usize = 100;
