//! Strings and counters.
//!
//! The names are those of the commands, which every user of Redis knows. Writes that are told no
//! time to live take the cache's default, if it has one (`CacheBuilder::default_ttl`); so do those
//! of `memo` and `transaction`, and no others.
//!
//! Neighbours: `options` for what SET can be told; `calls`, whose rules hold here.

use bytes::Bytes;

use super::{SetOptions, digits, flat, whole_ms};
use crate::cache::Cache;
use crate::error::Error;
use crate::reply::FromFrame;

impl Cache {
    /// The string under a key (GET).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// assert_eq!(cache.get("key")?, None);
    /// cache.set("key", "value")?;
    /// assert_eq!(cache.get("key")?.as_deref(), Some(&b"value"[..]));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) when the key holds another type.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.get_bytes(key.as_ref())
    }

    /// The string under a key, read as another type.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.incr_by("n", 5)?;
    /// assert_eq!(cache.get_as::<i64>("n")?, Some(5));
    /// assert_eq!(cache.get_as::<String>("n")?.as_deref(), Some("5"));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`]; [`Error::Unexpected`] for a string that is no such value.
    pub fn get_as<T: FromFrame>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        self.ask([b"GET", key.as_ref()])
    }

    /// Stores a string under a key, whatever was there (SET), with the cache's default time to
    /// live, if it has one.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("key", vec![0, 255])?;
    /// assert_eq!(cache.get("key")?.as_deref(), Some(&[0, 255][..]));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) at a limit where nothing may be evicted.
    #[inline]
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.set_with(key, value, SetOptions::new()).map(drop)
    }

    /// Stores a string under a key as the options say; whether it was stored.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pannier::SetOptions;
    ///
    /// let cache = pannier::Cache::new();
    /// let minute = SetOptions::new().ttl(Duration::from_secs(60));
    /// assert!(cache.set_with("session", "Ann", minute)?);
    /// assert!(!cache.set_with("session", "Bob", minute.nx())?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::set`].
    #[inline]
    pub fn set_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: SetOptions,
    ) -> Result<bool, Error> {
        let (key, value) = (key.as_ref(), value.as_ref());
        let plain = options.plain(self.default_ttl());
        if plain.is_some_and(|ttl_ms| self.set_directly(key, value, ttl_ms)) {
            return Ok(true);
        }
        self.set_generally(key, value, options)
    }

    #[cold]
    fn set_generally(&self, key: &[u8], value: &[u8], options: SetOptions) -> Result<bool, Error> {
        let mut room = String::new();
        let options = options.words(self.default_ttl(), &mut room);
        self.ask_with([b"SET", key, value], options)
    }

    /// Stores a string as the options say and returns the one that was there (SET with GET). With
    /// [`SetOptions::nx`] what is returned says why nothing was stored.
    ///
    /// ```
    /// use pannier::SetOptions;
    ///
    /// let cache = pannier::Cache::new();
    /// assert_eq!(cache.get_set("key", "old", SetOptions::new())?, None);
    /// let old = cache.get_set("key", "new", SetOptions::new())?;
    /// assert_eq!(old.as_deref(), Some(&b"old"[..]));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`] and [`Cache::set`].
    pub fn get_set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: SetOptions,
    ) -> Result<Option<Bytes>, Error> {
        let mut room = String::new();
        let options = options.words(self.default_ttl(), &mut room);
        self.ask_with([b"SET", key.as_ref(), value.as_ref(), b"GET"], options)
    }

    /// Takes the string out (GETDEL).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("once", "token")?;
    /// assert!(cache.take("once")?.is_some());
    /// assert!(cache.take("once")?.is_none());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`].
    pub fn take(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.ask([b"GETDEL", key.as_ref()])
    }

    /// Appends to a string, which is made if it is not there; its length (APPEND).
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// assert_eq!(cache.append("log", "one;")?, 4);
    /// assert_eq!(cache.append("log", "two;")?, 8);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`] and [`Cache::set`].
    pub fn append(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.ask([b"APPEND", key.as_ref(), value.as_ref()])
    }

    /// Adds one to the integer under a key; its new value (INCR). A missing key counts as 0.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// assert_eq!(cache.incr("visits")?, 1);
    /// assert_eq!(cache.incr("visits")?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`] and [`Cache::set`]; a reply error for what is no integer, and for
    /// one that would overflow.
    pub fn incr(&self, key: impl AsRef<[u8]>) -> Result<i64, Error> {
        self.ask([b"INCR", key.as_ref()])
    }

    /// Takes one from the integer under a key; its new value (DECR).
    ///
    /// ```
    /// assert_eq!(pannier::Cache::new().decr("stock")?, -1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::incr`].
    pub fn decr(&self, key: impl AsRef<[u8]>) -> Result<i64, Error> {
        self.ask([b"DECR", key.as_ref()])
    }

    /// Adds to the integer under a key, or takes away; its new value (INCRBY).
    ///
    /// ```
    /// assert_eq!(pannier::Cache::new().incr_by("n", -5)?, -5);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::incr`].
    pub fn incr_by(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.ask([b"INCRBY", key.as_ref(), &digits(by)])
    }

    /// The strings under several keys, read in one step (MGET); `None` for what is missing or of
    /// another type.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.mset([("a", "1"), ("b", "2")])?;
    /// let found = cache.mget(["a", "x", "b"])?;
    /// assert_eq!(found.iter().flatten().count(), 2);
    /// assert_eq!(found[1], None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A reply error when there is no key.
    pub fn mget(
        &self,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Option<Bytes>>, Error> {
        self.ask_with([b"MGET"], keys)
    }

    /// Stores several strings in one step (MSET), with the cache's default time to live, if it
    /// has one.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.mset([("a", "1"), ("b", "2")])?;
    /// assert_eq!(cache.len(), 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::set`]; a reply error when there is no pair.
    pub fn mset<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), Error> {
        let mut args: Vec<Vec<u8>> = flat(pairs).collect();
        let Some(ttl) = self.default_ttl() else { return self.ask_with([b"MSET"], args) };
        let pairs = digits(args.len() / 2);
        args.push(b"PX".to_vec());
        args.push(digits(whole_ms(ttl)));
        self.ask_with([b"MSETEX", &pairs], args)
    }
}
