//! Lists: a handle that borrows the cache and holds the key.
//!
//! Ends are called front and back, as in Rust's deques; Redis says left and right. Waiting for an
//! element holds up the calling thread, and nothing else: no seat and no lock is held meanwhile.
//!
//! Rules: a range has both its ends in it, as in Redis, since negative places could not express the
//! last element otherwise. Neighbours: `calls`, whose rules hold here.

use std::time::Duration;

use bytes::Bytes;

use super::digits;
use crate::cache::Cache;
use crate::error::Error;

/// The list under a key. Made by [`Cache::list`]; there need not be one yet.
///
/// Its calls fail with [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) when the key holds
/// another type, and writing ones with [`ErrorKind::Full`](crate::ErrorKind::Full) at a limit.
///
/// ```
/// let cache = pannier::Cache::new();
/// let jobs = cache.list("jobs");
/// jobs.push_back("first")?;
/// jobs.push_back("second")?;
/// assert_eq!(jobs.pop_front()?.as_deref(), Some(&b"first"[..]));
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct List<'c, K> {
    cache: &'c Cache,
    key: K,
}

/// One of the two ends of a list.
///
/// ```
/// use pannier::{Cache, End};
///
/// let cache = Cache::new();
/// cache.list("jobs").extend(["first", "last"])?;
/// let moved = cache.list("jobs").move_to(End::Back, "done", End::Front)?;
/// assert_eq!(moved.as_deref(), Some(&b"last"[..]));
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head, LEFT to Redis.
    Front,
    /// The tail, RIGHT to Redis.
    Back,
}

impl End {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Front => b"LEFT",
            Self::Back => b"RIGHT",
        }
    }
}

impl Cache {
    /// The list under a key.
    ///
    /// ```
    /// assert!(pannier::Cache::new().list("jobs").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn list<K: AsRef<[u8]>>(&self, key: K) -> List<'_, K> {
        List { cache: self, key }
    }
}

impl<K: AsRef<[u8]>> List<'_, K> {
    fn key(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// Puts an element before the first; the new length (LPUSH).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.list("jobs").push_front("a")?, 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn push_front(&self, element: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.cache.ask([b"LPUSH", self.key(), element.as_ref()])
    }

    /// Puts an element behind the last; the new length (RPUSH).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.list("jobs").push_back("a")?, 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn push_back(&self, element: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.cache.ask([b"RPUSH", self.key(), element.as_ref()])
    }

    /// Puts elements behind the last, in their order, in one step; the new length (RPUSH).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.list("jobs").extend(["a", "b", "c"])?, 3);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`]; a reply error when there is no element.
    pub fn extend(&self, elements: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<usize, Error> {
        self.cache.ask_with([b"RPUSH", self.key()], elements)
    }

    /// Takes the first element out (LPOP).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.list("jobs").pop_front()?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn pop_front(&self) -> Result<Option<Bytes>, Error> {
        self.cache.ask([b"LPOP", self.key()])
    }

    /// Takes the last element out (RPOP).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.list("jobs").pop_back()?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn pop_back(&self) -> Result<Option<Bytes>, Error> {
        self.cache.ask([b"RPOP", self.key()])
    }

    /// Takes the first element out, after waiting for one if need be: so long, or for ever with a
    /// time of zero (BLPOP). The calling thread waits.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = pannier::Cache::new();
    /// let worker = cache.clone();
    /// let job = std::thread::spawn(move || {
    ///     worker.list("jobs").wait_pop_front(Duration::from_secs(10))
    /// });
    /// cache.list("jobs").push_back("a job")?;
    /// assert!(job.join().expect("no panic")?.is_some());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn wait_pop_front(&self, timeout: Duration) -> Result<Option<Bytes>, Error> {
        self.wait_pop(b"BLPOP", timeout)
    }

    /// The same with the last element (BRPOP).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.list("jobs").wait_pop_back(Duration::from_millis(1))?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn wait_pop_back(&self, timeout: Duration) -> Result<Option<Bytes>, Error> {
        self.wait_pop(b"BRPOP", timeout)
    }

    fn wait_pop(&self, command: &[u8], timeout: Duration) -> Result<Option<Bytes>, Error> {
        let seconds = digits(timeout.as_secs_f64());
        let popped: Option<(Bytes, Bytes)> = self.cache.ask([command, self.key(), &seconds])?;
        Ok(popped.map(|(_, element)| element))
    }

    /// Takes an element from one end and puts it at an end of another list, in one step (LMOVE).
    ///
    /// ```
    /// use pannier::End;
    ///
    /// let cache = pannier::Cache::new();
    /// cache.list("jobs").push_back("a")?;
    /// let job = cache.list("jobs").move_to(End::Front, "running", End::Back)?;
    /// assert!(job.is_some() && cache.list("running").len()? == 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn move_to(
        &self,
        from: End,
        key: impl AsRef<[u8]>,
        to: End,
    ) -> Result<Option<Bytes>, Error> {
        self.cache.ask([b"LMOVE", self.key(), key.as_ref(), from.word(), to.word()])
    }

    /// The element at a place (LINDEX); negative places count from the end.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.list("jobs").extend(["a", "b"])?;
    /// assert_eq!(cache.list("jobs").get(-1)?.as_deref(), Some(&b"b"[..]));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn get(&self, index: i64) -> Result<Option<Bytes>, Error> {
        self.cache.ask([b"LINDEX", self.key(), &digits(index)])
    }

    /// Replaces the element at a place (LSET).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.list("jobs").push_back("a")?;
    /// cache.list("jobs").set(0, "b")?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`]; a reply error when there is no such place.
    pub fn set(&self, index: i64, element: impl AsRef<[u8]>) -> Result<(), Error> {
        self.cache.ask([b"LSET", self.key(), &digits(index), element.as_ref()])
    }

    /// The elements from one place to another, both included (LRANGE); negative places count from
    /// the end, so `range(0, -1)` is all.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.list("jobs").extend(["a", "b", "c"])?;
    /// assert_eq!(cache.list("jobs").range(1, -1)?, ["b", "c"]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn range(&self, start: i64, end: i64) -> Result<Vec<Bytes>, Error> {
        self.cache.ask([b"LRANGE", self.key(), &digits(start), &digits(end)])
    }

    /// Keeps the elements from one place to another, both included, and no others (LTRIM).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.list("latest").extend(["a", "b", "c"])?;
    /// cache.list("latest").trim(-2, -1)?;
    /// assert_eq!(cache.list("latest").len()?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn trim(&self, start: i64, end: i64) -> Result<(), Error> {
        self.cache.ask([b"LTRIM", self.key(), &digits(start), &digits(end)])
    }

    /// Removes every element that equals this one; how many there were (LREM).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.list("jobs").extend(["a", "b", "a"])?;
    /// assert_eq!(cache.list("jobs").remove("a")?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn remove(&self, element: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.cache.ask([b"LREM", self.key(), b"0", element.as_ref()])
    }

    /// How many elements it has (LLEN).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.list("jobs").len()?, 0);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn len(&self) -> Result<usize, Error> {
        self.cache.ask([b"LLEN", self.key()])
    }

    /// Whether it has no element, which is to say that there is no such key.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(cache.list("jobs").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`List`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.len().map(|len| len == 0)
    }
}
