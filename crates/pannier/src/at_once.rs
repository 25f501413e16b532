//! Calls that do not wait, for a caller that holds a lock of its own: a language's interpreter.
//!
//! Such a caller keeps its lock over what takes a microsecond, because giving it away costs more
//! than the call. But a pause, a delay for a test, or a script can hold any call back, and
//! nobody knows before. So these calls come back instead: the direct ones with nothing done, the
//! general one with a [`Client`] that has the request and gives its reply when it is fed nothing.
//! What makes a call wait for a lock is a script or another long request, so the caller can ask for
//! these first.
//!
//! Rules: what comes back as a client has been judged (by faults, by the recorder) and is not
//! asked again. Neighbours: `direct`, `cache`. Tests: `tests/at_once.rs`, and those of the Python
//! package.

use bytes::Bytes;
use pannier_engine::{Str, StrBuffer};

use crate::cache::{Cache, Called};
use crate::calls::SetOptions;
use crate::client::Client;
use crate::error::Error;
use crate::frame;

impl Cache {
    /// Whether a script runs, so that any call may have to wait for what it holds.
    #[doc(hidden)]
    #[inline]
    pub fn runs_script(&self) -> bool {
        self.engine().runs_script()
    }

    /// Whether another request, which is not brief, holds what a call may have to wait for.
    #[doc(hidden)]
    #[inline]
    pub fn is_held_up(&self) -> bool {
        self.engine().is_held_up()
    }

    /// As [`Cache::get_with`]; `None` when it cannot be done at once, and nothing has happened.
    #[doc(hidden)]
    #[inline]
    pub fn get_with_at_once<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<Option<R>> {
        self.read_directly(key, |value| match value {
            None => None,
            Some(Str::Bytes(value)) => Some(self.core().lend(|| read(value))),
            Some(value) => Some(self.core().lend(|| read(value.as_bytes(&mut StrBuffer::new())))),
        })
    }

    /// As [`Cache::set_with`]; false when it cannot be done at once, and nothing has happened.
    #[doc(hidden)]
    #[inline]
    pub fn set_with_at_once(&self, key: &[u8], value: &[u8], options: &SetOptions) -> bool {
        let plain = options.plain(self.default_ttl());
        plain.is_some_and(|ttl_ms| self.set_directly(key, value, ttl_ms))
    }

    /// As [`Cache::call_bytes`]; a client when it waits, which is fed nothing until it has the
    /// reply (in RESP3).
    ///
    /// # Errors
    /// Those of [`Cache::call_bytes`].
    #[doc(hidden)]
    pub fn call_bytes_at_once<I>(&self, args: I) -> Result<Result<Bytes, Client>, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        Ok(match self.call_once(args)? {
            Called::Ready(seat) => Ok(frame::bytes(&seat.reply)),
            Called::Waits(held) => {
                let (session, args, next) = *held;
                Err(self.client_of(session).keeping(&args, &next))
            }
        })
    }
}

impl Client {
    /// As [`Cache::get_with_at_once`] for this client's database, and seen as its GET; `None` also
    /// when the client is in a state in which a GET means something else, or something waits for
    /// it.
    #[doc(hidden)]
    pub fn get_with_at_once<R>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<Option<R>> {
        let cache = self.plain_cache()?;
        let found = cache.get_with_at_once(key, read)?;
        self.ran_directly("get");
        Some(found)
    }

    /// As [`Cache::set_with_at_once`], likewise.
    #[doc(hidden)]
    pub fn set_at_once(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some(cache) = self.plain_cache() else { return false };
        let done = cache.set_directly(key, value, None);
        if done {
            self.ran_directly("set");
        }
        done
    }

    /// Whether nothing is there to be fetched, and nothing is on its way.
    #[doc(hidden)]
    #[inline]
    pub fn is_quiet(&self) -> bool {
        !self.is_closed() && !self.is_waiting() && !self.has_mail()
    }
}
