//! What SET is told beyond a key and a value.
//!
//! One small `Copy` value, so that it can be a constant of the program's. What contradicts itself
//! in Redis (NX with XX, EX with KEEPTTL) cannot be said: the later word replaces the earlier one.
//! GET is a call of its own (`Cache::get_set`), because it changes what is returned.
//!
//! Neighbours: `strings`, `memo` and `transaction` take it.

use std::time::Duration;

use super::whole_ms;

/// Options of [`Cache::set_with`](crate::Cache::set_with).
///
/// ```
/// use std::time::Duration;
/// use pannier::{Cache, SetOptions};
///
/// let cache = Cache::new();
/// let lock = SetOptions::new().ttl(Duration::from_secs(10)).nx();
/// assert!(cache.set_with("lock", "me", lock)?);
/// assert!(!cache.set_with("lock", "you", lock)?);
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SetOptions {
    pub(crate) expiry: Expiry,
    condition: Option<&'static [u8]>,
}

/// When what is set expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// After the cache's default time to live, if it has one.
    #[default]
    Default,
    Never,
    Keep,
    After(Duration),
}

impl SetOptions {
    /// Sets whatever was there, with the cache's default time to live, if it has one.
    ///
    /// ```
    /// # use pannier::{Cache, SetOptions};
    /// assert!(Cache::new().set_with("key", "value", SetOptions::new())?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Expires after so long, in whole milliseconds (PX).
    ///
    /// ```
    /// # use pannier::{Cache, SetOptions};
    /// # use std::time::Duration;
    /// let cache = Cache::new();
    /// cache.set_with("key", "value", SetOptions::new().ttl(Duration::from_secs(5)))?;
    /// assert!(cache.ttl("key")?.is_some_and(|left| left <= Duration::from_secs(5)));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.expiry = Expiry::After(ttl);
        self
    }

    /// Never expires, whatever the cache's default is.
    ///
    /// ```
    /// # use pannier::{Cache, SetOptions};
    /// # use std::time::Duration;
    /// let cache = Cache::builder().default_ttl(Duration::from_secs(60)).build()?;
    /// cache.set_with("key", "value", SetOptions::new().no_ttl())?;
    /// assert_eq!(cache.ttl("key")?, None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn no_ttl(mut self) -> Self {
        self.expiry = Expiry::Never;
        self
    }

    /// Leaves the key's deadline as it is (KEEPTTL).
    ///
    /// ```
    /// # use pannier::{Cache, SetOptions};
    /// # use std::time::Duration;
    /// let cache = Cache::new();
    /// cache.set_with("key", "old", SetOptions::new().ttl(Duration::from_secs(5)))?;
    /// cache.set_with("key", "new", SetOptions::new().keep_ttl())?;
    /// assert!(cache.ttl("key")?.is_some());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn keep_ttl(mut self) -> Self {
        self.expiry = Expiry::Keep;
        self
    }

    /// Sets only a key that is not there (NX).
    ///
    /// ```
    /// # use pannier::{Cache, SetOptions};
    /// let cache = Cache::new();
    /// assert!(cache.set_with("key", "first", SetOptions::new().nx())?);
    /// assert!(!cache.set_with("key", "second", SetOptions::new().nx())?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn nx(mut self) -> Self {
        self.condition = Some(b"NX");
        self
    }

    /// Sets only a key that is there (XX).
    ///
    /// ```
    /// # use pannier::{Cache, SetOptions};
    /// assert!(!Cache::new().set_with("key", "value", SetOptions::new().xx())?);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn xx(mut self) -> Self {
        self.condition = Some(b"XX");
        self
    }

    /// The time to live in milliseconds, or none, of options that say nothing else; given the
    /// cache's default.
    #[inline]
    pub(crate) fn plain(self, default_ttl: Option<Duration>) -> Option<Option<u64>> {
        if self.condition.is_some() || self.expiry == Expiry::Keep {
            return None;
        }
        Some(self.ttl_or(default_ttl).map(whole_ms))
    }

    #[inline]
    fn ttl_or(self, default_ttl: Option<Duration>) -> Option<Duration> {
        match self.expiry {
            Expiry::After(ttl) => Some(ttl),
            Expiry::Default => default_ttl,
            Expiry::Never | Expiry::Keep => None,
        }
    }

    /// The words of the options, given the cache's default; `digits` has the room for a number.
    pub(crate) fn words(
        self,
        default_ttl: Option<Duration>,
        digits: &mut String,
    ) -> impl Iterator<Item = &[u8]> {
        let ttl = self.ttl_or(default_ttl);
        let expiry: [Option<&[u8]>; 2] = match (ttl, self.expiry) {
            (Some(ttl), _) => {
                *digits = whole_ms(ttl).to_string();
                [Some(b"PX"), Some(digits.as_bytes())]
            }
            (None, Expiry::Keep) => [Some(b"KEEPTTL"), None],
            (None, _) => [None, None],
        };
        self.condition.into_iter().chain(expiry.into_iter().flatten())
    }
}
