//! GET and SET without a request: the commonest calls, by the engine's direct way.
//!
//! A call takes neither a seat nor a session, and reads no exact clock: the time is a coarse one,
//! which the store knows how to bear, unless a deadline is counted from it. When the engine
//! declines (somebody observes requests, the key is near its deadline, a limit is reached), the
//! call goes the general way, and its caller sees no difference but 600 ns.
//!
//! Rules: a value that is lent (`get_with`) lies in a locked shard, so whoever looks at it must not
//! call the same cache meanwhile. That would wait for itself for ever; it is found out by a mark
//! that the thread carries, and panics. Neighbours: `pannier_engine::direct`. Tests:
//! `tests/direct.rs`, which compares both ways; `benches/embedded.rs` for the figures.

use std::cell::Cell;

use bytes::Bytes;
use pannier_engine::{Now, Str, StrBuffer};

use crate::cache::{Cache, Core};
use crate::error::Error;

impl Cache {
    /// Looks at the string under a key where it lies: nothing is copied, nothing allocated. What
    /// the closure returns is returned; `None` when there is no key.
    ///
    /// The closure runs under a lock of the keyspace, so it should be brief, and must not call
    /// this cache.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("config", "threads=4")?;
    /// let threads = cache.get_with("config", |text| text.ends_with(b"=4"))?;
    /// assert_eq!(threads, Some(true));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`].
    ///
    /// # Panics
    /// When the closure calls this cache.
    #[inline]
    pub fn get_with<R>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        let key = key.as_ref();
        let mut read = Some(read);
        let mut apply = |value: &[u8]| read.take().map(|read| read(value));
        let read_directly = self.read_directly(key, |value| match value {
            None => None,
            Some(Str::Bytes(value)) => self.core().lend(|| apply(value)),
            Some(value) => self.core().lend(|| apply(value.as_bytes(&mut StrBuffer::new()))),
        });
        match read_directly {
            Some(result) => Ok(result),
            None => Ok(self.get_generally(key)?.and_then(|value| apply(&value))),
        }
    }

    /// GET.
    #[inline]
    pub(crate) fn get_bytes(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.read_directly(key, |value| value.map(to_bytes)) {
            Some(value) => Ok(value),
            None => self.get_generally(key),
        }
    }

    #[inline]
    pub(crate) fn read_directly<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(Option<Str<'_>>) -> R,
    ) -> Option<R> {
        let now = self.core().direct_now()?;
        self.engine().get_directly((self.index(), key), now, read)
    }

    #[cold]
    fn get_generally(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.ask([b"GET", key])
    }

    /// SET with a time to live in milliseconds, or none; false when it must be called the general
    /// way.
    #[inline]
    pub(crate) fn set_directly(&self, key: &[u8], value: &[u8], ttl_ms: Option<u64>) -> bool {
        let core = self.core();
        let Some(mut now) = core.direct_now() else { return false };
        let deadline = match ttl_ms {
            None => None,
            // The general way refuses it.
            Some(0) => return false,
            Some(ttl_ms) => {
                now = core.now();
                Some(now.unix_ms() + ttl_ms)
            }
        };
        self.engine().set_directly((self.index(), key), now, value, deadline).is_some()
    }
}

impl Core {
    /// The time of a direct call; `None` when the call has to keep house first.
    #[inline]
    fn direct_now(&self) -> Option<Now> {
        self.check_not_lent();
        let now = Now { unix_us: self.clock.coarse_unix_us(), mono_us: 0 };
        if self.is_on_access() && self.host.house.has_work(&self.engine, now) {
            return None;
        }
        Some(now)
    }

    /// Panics on a thread that looks at a value of this cache: it would wait for itself.
    #[inline]
    pub(crate) fn check_not_lent(&self) {
        assert!(
            LENT.get() != std::ptr::from_ref(self) as usize,
            "the closure of `get_with` called the same cache, whose lock it holds"
        );
    }

    /// Runs a closure that looks at a value where it lies.
    #[inline]
    pub(crate) fn lend<R>(&self, look: impl FnOnce() -> R) -> R {
        /// Puts the mark back, also when the closure panics.
        struct Mark(usize);
        impl Drop for Mark {
            fn drop(&mut self) {
                LENT.set(self.0);
            }
        }
        let _mark = Mark(LENT.replace(std::ptr::from_ref(self) as usize));
        look()
    }
}

#[inline]
fn to_bytes(value: Str<'_>) -> Bytes {
    match value {
        Str::Bytes(value) => Bytes::copy_from_slice(value),
        Str::Large(value) => value.clone(),
        other => Bytes::from(other.to_vec()),
    }
}

thread_local! {
    /// The core of the cache whose value the thread looks at; 0 for none.
    static LENT: Cell<usize> = const { Cell::new(0) };
}
