//! Hashes: a handle that borrows the cache and holds the key.
//!
//! Each method is one command and costs what it costs; nothing of the hash is kept in the handle,
//! so that handles may be made for each call, and two of one key see the same.
//!
//! Rules: names are those of Rust's maps where those say it (`get`, `contains`, `remove`); the
//! command is named in the documentation. Neighbours: `calls`, whose rules hold here.

use std::collections::HashMap;

use bytes::Bytes;

use super::{digits, flat};
use crate::cache::Cache;
use crate::error::Error;

/// The hash under a key. Made by [`Cache::hash`]; there need not be one yet.
///
/// Its calls fail with [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) when the key holds
/// another type, and writing ones with [`ErrorKind::Full`](crate::ErrorKind::Full) at a limit.
///
/// ```
/// let cache = pannier::Cache::new();
/// let user = cache.hash("user:7");
/// user.set("name", "Ann")?;
/// assert_eq!(user.get("name")?.as_deref(), Some(&b"Ann"[..]));
/// assert_eq!(user.len()?, 1);
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hash<'c, K> {
    cache: &'c Cache,
    key: K,
}

impl Cache {
    /// The hash under a key.
    ///
    /// ```
    /// assert!(pannier::Cache::new().hash("user:7").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn hash<K: AsRef<[u8]>>(&self, key: K) -> Hash<'_, K> {
        Hash { cache: self, key }
    }
}

impl<K: AsRef<[u8]>> Hash<'_, K> {
    fn key(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// Sets a field; whether it is a new one (HSET).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(cache.hash("user").set("name", "Ann")?);
    /// assert!(!cache.hash("user").set("name", "Bob")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn set(&self, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.cache.ask([b"HSET", self.key(), field.as_ref(), value.as_ref()])
    }

    /// Sets several fields in one step; how many are new (HSET).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.hash("user").set_all([("name", "Ann"), ("town", "Ulm")])?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash); a reply error when there is no field.
    pub fn set_all<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        fields: impl IntoIterator<Item = (F, V)>,
    ) -> Result<usize, Error> {
        self.cache.ask_with([b"HSET", self.key()], flat(fields))
    }

    /// The value of a field (HGET).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.hash("user").get("name")?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn get(&self, field: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        self.cache.ask([b"HGET", self.key(), field.as_ref()])
    }

    /// The values of several fields (HMGET).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.hash("user").set("name", "Ann")?;
    /// let [name, town] = &cache.hash("user").get_many(["name", "town"])?[..] else { panic!() };
    /// assert!(name.is_some() && town.is_none());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash); a reply error when there is no field.
    pub fn get_many(
        &self,
        fields: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Option<Bytes>>, Error> {
        self.cache.ask_with([b"HMGET", self.key()], fields)
    }

    /// All fields with their values (HGETALL).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.hash("user").set("name", "Ann")?;
    /// let fields = cache.hash("user").get_all()?;
    /// assert_eq!(&fields[&b"name"[..]][..], b"Ann");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn get_all(&self) -> Result<HashMap<Bytes, Bytes>, Error> {
        self.cache.ask([b"HGETALL", self.key()])
    }

    /// The names of all fields (HKEYS).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.hash("user").set("name", "Ann")?;
    /// assert_eq!(cache.hash("user").fields()?, ["name"]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn fields(&self) -> Result<Vec<Bytes>, Error> {
        self.cache.ask([b"HKEYS", self.key()])
    }

    /// Removes a field; whether it was there (HDEL).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.hash("user").set("name", "Ann")?;
    /// assert!(cache.hash("user").remove("name")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn remove(&self, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.cache.ask([b"HDEL", self.key(), field.as_ref()])
    }

    /// Whether there is such a field (HEXISTS).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(!cache.hash("user").contains("name")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn contains(&self, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.cache.ask([b"HEXISTS", self.key(), field.as_ref()])
    }

    /// Adds to the integer in a field; its new value (HINCRBY).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.hash("user").incr_by("visits", 2)?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash); a reply error for what is no integer.
    pub fn incr_by(&self, field: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.cache.ask([b"HINCRBY", self.key(), field.as_ref(), &digits(by)])
    }

    /// How many fields it has (HLEN).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.hash("user").len()?, 0);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn len(&self) -> Result<usize, Error> {
        self.cache.ask([b"HLEN", self.key()])
    }

    /// Whether it has no field, which is to say that there is no such key.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(cache.hash("user").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Hash`](struct@Hash).
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.len().map(|len| len == 0)
    }
}
