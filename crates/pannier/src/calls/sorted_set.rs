//! Sorted sets: a handle that borrows the cache and holds the key.
//!
//! Scores are `f64` on both sides. They go to the engine as the shortest text that reads back as
//! the same number, and come back as doubles of RESP3, so none is rounded on the way.
//!
//! Rules: the lowest score is first, unless the name says top. Neighbours: `calls`, whose rules
//! hold here.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::digits;
use crate::cache::Cache;
use crate::error::Error;

/// The sorted set under a key. Made by [`Cache::sorted_set`]; there need not be one yet.
///
/// Its calls fail with [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) when the key holds
/// another type, and writing ones with [`ErrorKind::Full`](crate::ErrorKind::Full) at a limit. A
/// score that is no number is a reply error.
///
/// ```
/// let cache = pannier::Cache::new();
/// let board = cache.sorted_set("board");
/// board.add("Ann", 12.5)?;
/// board.add("Bob", 7.0)?;
/// assert_eq!(board.rank("Ann")?, Some(1));
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SortedSet<'c, K> {
    cache: &'c Cache,
    key: K,
}

impl Cache {
    /// The sorted set under a key.
    ///
    /// ```
    /// assert!(pannier::Cache::new().sorted_set("board").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn sorted_set<K: AsRef<[u8]>>(&self, key: K) -> SortedSet<'_, K> {
        SortedSet { cache: self, key }
    }
}

impl<K: AsRef<[u8]>> SortedSet<'_, K> {
    fn key(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// Adds a member or changes its score; whether it is a new one (ZADD).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(cache.sorted_set("board").add("Ann", 1.0)?);
    /// assert!(!cache.sorted_set("board").add("Ann", 2.0)?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn add(&self, member: impl AsRef<[u8]>, score: f64) -> Result<bool, Error> {
        self.cache.ask([b"ZADD", self.key(), &digits(score), member.as_ref()])
    }

    /// Adds several members, or changes their scores, in one step; how many are new (ZADD).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.sorted_set("board").extend([("Ann", 1.0), ("Bob", 2.0)])?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`]; a reply error when there is no member.
    pub fn extend<M: AsRef<[u8]>>(
        &self,
        members: impl IntoIterator<Item = (M, f64)>,
    ) -> Result<usize, Error> {
        let pairs = members.into_iter();
        let args = pairs.flat_map(|(member, score)| [digits(score), member.as_ref().to_vec()]);
        self.cache.ask_with([b"ZADD", self.key()], args)
    }

    /// Adds to the score of a member, which is made with 0 if it is not there; its new score
    /// (ZINCRBY).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.sorted_set("board").incr_by("Ann", 1.5)?, 1.5);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn incr_by(&self, member: impl AsRef<[u8]>, by: f64) -> Result<f64, Error> {
        self.cache.ask([b"ZINCRBY", self.key(), &digits(by), member.as_ref()])
    }

    /// Removes a member; whether it was one (ZREM).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(!cache.sorted_set("board").remove("Ann")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.cache.ask([b"ZREM", self.key(), member.as_ref()])
    }

    /// The score of a member (ZSCORE).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("board").add("Ann", 0.1)?;
    /// assert_eq!(cache.sorted_set("board").score("Ann")?, Some(0.1));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn score(&self, member: impl AsRef<[u8]>) -> Result<Option<f64>, Error> {
        self.cache.ask([b"ZSCORE", self.key(), member.as_ref()])
    }

    /// The place of a member, the lowest score being at 0 (ZRANK).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.sorted_set("board").rank("Ann")?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn rank(&self, member: impl AsRef<[u8]>) -> Result<Option<usize>, Error> {
        self.cache.ask([b"ZRANK", self.key(), member.as_ref()])
    }

    /// The place of a member, the highest score being at 0 (ZREVRANK).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("board").extend([("Ann", 1.0), ("Bob", 2.0)])?;
    /// assert_eq!(cache.sorted_set("board").rank_from_top("Bob")?, Some(0));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn rank_from_top(&self, member: impl AsRef<[u8]>) -> Result<Option<usize>, Error> {
        self.cache.ask([b"ZREVRANK", self.key(), member.as_ref()])
    }

    /// The members from one place to another, both included, with their scores, lowest first
    /// (ZRANGE); negative places count from the end.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("board").extend([("Ann", 1.0), ("Bob", 2.0)])?;
    /// assert_eq!(cache.sorted_set("board").range(0, 0)?, [("Ann".into(), 1.0)]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn range(&self, start: i64, end: i64) -> Result<Vec<(Bytes, f64)>, Error> {
        let (start, end) = (digits(start), digits(end));
        self.cache.ask([b"ZRANGE", self.key(), &start, &end, b"WITHSCORES"])
    }

    /// The same, highest first (ZRANGE with REV): `top(0, 9)` are the best ten.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("board").extend([("Ann", 1.0), ("Bob", 2.0)])?;
    /// assert_eq!(cache.sorted_set("board").top(0, 0)?, [("Bob".into(), 2.0)]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn top(&self, start: i64, end: i64) -> Result<Vec<(Bytes, f64)>, Error> {
        let (start, end) = (digits(start), digits(end));
        self.cache.ask([b"ZRANGE", self.key(), &start, &end, b"REV", b"WITHSCORES"])
    }

    /// The members whose scores lie in a range, with their scores, lowest first (ZRANGE with
    /// BYSCORE); infinite bounds are allowed.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("due").extend([("a", 10.0), ("b", 20.0)])?;
    /// let due = cache.sorted_set("due").range_by_score(f64::NEG_INFINITY..=15.0)?;
    /// assert_eq!(due, [("a".into(), 10.0)]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn range_by_score(&self, scores: RangeInclusive<f64>) -> Result<Vec<(Bytes, f64)>, Error> {
        let (start, end) = (digits(scores.start()), digits(scores.end()));
        self.cache.ask([b"ZRANGE", self.key(), &start, &end, b"BYSCORE", b"WITHSCORES"])
    }

    /// Removes the members whose scores lie in a range; how many there were (ZREMRANGEBYSCORE).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("seen").extend([("a", 10.0), ("b", 20.0)])?;
    /// assert_eq!(cache.sorted_set("seen").remove_by_score(0.0..=15.0)?, 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn remove_by_score(&self, scores: RangeInclusive<f64>) -> Result<usize, Error> {
        let (start, end) = (digits(scores.start()), digits(scores.end()));
        self.cache.ask([b"ZREMRANGEBYSCORE", self.key(), &start, &end])
    }

    /// Takes the member with the lowest score out (ZPOPMIN).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("queue").add("a", 1.0)?;
    /// assert_eq!(cache.sorted_set("queue").pop_min()?, Some(("a".into(), 1.0)));
    /// assert_eq!(cache.sorted_set("queue").pop_min()?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn pop_min(&self) -> Result<Option<(Bytes, f64)>, Error> {
        self.pop(b"ZPOPMIN")
    }

    /// Takes the member with the highest score out (ZPOPMAX).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.sorted_set("queue").extend([("a", 1.0), ("b", 2.0)])?;
    /// assert_eq!(cache.sorted_set("queue").pop_max()?, Some(("b".into(), 2.0)));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn pop_max(&self) -> Result<Option<(Bytes, f64)>, Error> {
        self.pop(b"ZPOPMAX")
    }

    fn pop(&self, command: &[u8]) -> Result<Option<(Bytes, f64)>, Error> {
        let popped: Vec<(Bytes, f64)> = self.cache.ask([command, self.key(), b"1"])?;
        Ok(popped.into_iter().next())
    }

    /// How many members it has (ZCARD).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.sorted_set("board").len()?, 0);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn len(&self) -> Result<usize, Error> {
        self.cache.ask([b"ZCARD", self.key()])
    }

    /// Whether it has no member, which is to say that there is no such key.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(cache.sorted_set("board").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.len().map(|len| len == 0)
    }
}
