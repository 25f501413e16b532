//! Sets: a handle that borrows the cache and holds the key.
//!
//! Members come in no order; operations over several sets read them all in one step.
//!
//! Rules: the handle is made by `set_of`, since `set` is the command that stores a string.
//! Neighbours: `calls`, whose rules hold here.

use bytes::Bytes;

use crate::cache::Cache;
use crate::error::Error;

/// The set under a key. Made by [`Cache::set_of`]; there need not be one yet.
///
/// Its calls fail with [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) when the key holds
/// another type, and writing ones with [`ErrorKind::Full`](crate::ErrorKind::Full) at a limit.
///
/// ```
/// let cache = pannier::Cache::new();
/// let online = cache.set_of("online");
/// assert!(online.add("Ann")?);
/// assert!(online.contains("Ann")?);
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Set<'c, K> {
    cache: &'c Cache,
    key: K,
}

impl Cache {
    /// The set under a key. (`set` is the command of that name, which stores a string.)
    ///
    /// ```
    /// assert!(pannier::Cache::new().set_of("online").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn set_of<K: AsRef<[u8]>>(&self, key: K) -> Set<'_, K> {
        Set { cache: self, key }
    }
}

impl<K: AsRef<[u8]>> Set<'_, K> {
    fn key(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// Adds a member; whether it is a new one (SADD).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(cache.set_of("online").add("Ann")?);
    /// assert!(!cache.set_of("online").add("Ann")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn add(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.cache.ask([b"SADD", self.key(), member.as_ref()])
    }

    /// Adds several members in one step; how many are new (SADD).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.set_of("online").extend(["Ann", "Bob"])?, 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`]; a reply error when there is no member.
    pub fn extend(&self, members: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<usize, Error> {
        self.cache.ask_with([b"SADD", self.key()], members)
    }

    /// Removes a member; whether it was one (SREM).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(!cache.set_of("online").remove("Ann")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.cache.ask([b"SREM", self.key(), member.as_ref()])
    }

    /// Whether it has a member (SISMEMBER).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(!cache.set_of("online").contains("Ann")?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn contains(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.cache.ask([b"SISMEMBER", self.key(), member.as_ref()])
    }

    /// All members, in no order (SMEMBERS).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set_of("online").add("Ann")?;
    /// assert_eq!(cache.set_of("online").members()?, ["Ann"]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn members(&self) -> Result<Vec<Bytes>, Error> {
        self.cache.ask([b"SMEMBERS", self.key()])
    }

    /// Takes a member out at random (SPOP).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.set_of("online").pop()?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn pop(&self) -> Result<Option<Bytes>, Error> {
        self.cache.ask([b"SPOP", self.key()])
    }

    /// A member at random (SRANDMEMBER).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set_of("online").add("Ann")?;
    /// assert_eq!(cache.set_of("online").random()?.as_deref(), Some(&b"Ann"[..]));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn random(&self) -> Result<Option<Bytes>, Error> {
        self.cache.ask([b"SRANDMEMBER", self.key()])
    }

    /// The members that other sets have, too (SINTER).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set_of("online").extend(["Ann", "Bob"])?;
    /// cache.set_of("friends").extend(["Ann", "Cy"])?;
    /// assert_eq!(cache.set_of("online").intersection(["friends"])?, ["Ann"]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn intersection(
        &self,
        others: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Bytes>, Error> {
        self.cache.ask_with([b"SINTER", self.key()], others)
    }

    /// The members of this and of other sets (SUNION).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set_of("a").add("1")?;
    /// cache.set_of("b").add("2")?;
    /// assert_eq!(cache.set_of("a").union(["b"])?.len(), 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn union(&self, others: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<Vec<Bytes>, Error> {
        self.cache.ask_with([b"SUNION", self.key()], others)
    }

    /// The members that other sets have not (SDIFF).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set_of("all").extend(["1", "2"])?;
    /// cache.set_of("done").add("2")?;
    /// assert_eq!(cache.set_of("all").difference(["done"])?, ["1"]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn difference(
        &self,
        others: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Vec<Bytes>, Error> {
        self.cache.ask_with([b"SDIFF", self.key()], others)
    }

    /// How many members it has (SCARD).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.set_of("online").len()?, 0);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn len(&self) -> Result<usize, Error> {
        self.cache.ask([b"SCARD", self.key()])
    }

    /// Whether it has no member, which is to say that there is no such key.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// assert!(cache.set_of("online").is_empty()?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Set`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.len().map(|len| len == 0)
    }
}
