//! Typed calls: the everyday commands of every type, with arguments and results of Rust's types.
//!
//! A call puts its arguments together and asks [`Cache::query`]; what it returns is what the
//! command answers. Keys and values are anything that is bytes (`&str`, `String`, `Vec<u8>`,
//! `Bytes`), values come back as [`Bytes`](bytes::Bytes). Collections have handles that
//! borrow the cache and hold the key: `cache.hash("user:7").set("name", "Ann")`. What has no
//! method here is a `query` away: the point is the everyday, not a second list of commands.
//!
//! Rules: a method is named for what it does where Redis's name says little (`push_front`), and
//! its documentation names the command. Nothing here knows the engine. Tests: `tests/calls.rs`,
//! and an example at each method.

mod hash;
mod keys;
mod list;
mod memo;
mod messages;
mod options;
mod scan;
mod script;
#[cfg(feature = "serde")]
mod serial;
mod set;
mod sorted_set;
mod strings;
mod transaction;

use std::time::Duration;

pub use hash::Hash;
pub use list::{End, List};
pub(crate) use memo::Flights;
pub use messages::{Message, Subscription};
pub use options::SetOptions;
pub use scan::Scan;
pub use script::Script;
pub use set::Set;
pub use sorted_set::SortedSet;
pub use transaction::Transaction;

use crate::cache::Cache;
use crate::client::Client;
use crate::error::Error;
use crate::reply::FromFrame;

impl Cache {
    /// Runs any command and reads its reply as a value.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let len: usize = cache.query(["APPEND", "key", "hello"])?;
    /// assert_eq!(len, 5);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`]; [`Error::Unexpected`] when the reply is of another shape.
    pub fn query<T: FromFrame>(
        &self,
        args: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<T, Error> {
        T::from_frame(self.call(args)?)
    }

    /// The same with arguments of the everyday kind.
    pub(crate) fn ask<T: FromFrame, const N: usize>(&self, args: [&[u8]; N]) -> Result<T, Error> {
        self.query(args)
    }

    /// The same with some arguments after others.
    pub(crate) fn ask_with<T: FromFrame, const N: usize>(
        &self,
        args: [&[u8]; N],
        more: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<T, Error> {
        let args = args.into_iter().map(Argument::Slice);
        self.query(args.chain(more.into_iter().map(Argument::Own)))
    }
}

impl Client {
    /// Runs any command and reads its reply as a value.
    ///
    /// ```
    /// let mut client = pannier::Cache::new().connect();
    /// client.call(["CLIENT", "SETNAME", "worker"])?;
    /// assert_eq!(client.query::<String>(["CLIENT", "GETNAME"])?, "worker");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Client::call`]; [`Error::Unexpected`] when the reply is of another shape.
    pub fn query<T: FromFrame>(
        &mut self,
        args: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<T, Error> {
        T::from_frame(self.call(args)?)
    }
}

/// An argument of the call's own or of its caller's.
enum Argument<'a, A> {
    Slice(&'a [u8]),
    Own(A),
}

impl<A: AsRef<[u8]>> AsRef<[u8]> for Argument<'_, A> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Slice(slice) => slice,
            Self::Own(own) => own.as_ref(),
        }
    }
}

/// Pairs as arguments that follow each other.
fn flat<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> impl Iterator<Item = Vec<u8>> {
    pairs.into_iter().flat_map(|(key, value)| [key.as_ref().to_vec(), value.as_ref().to_vec()])
}

/// Milliseconds of a time to live: the next whole one, for a cut-off would be earlier than asked.
fn whole_ms(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(TTL_MAX_MS)
}

/// What a script or a floating score is given as.
fn digits(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// The longest time to live: a hundred thousand years. The engine refuses what overflows its
/// milliseconds.
const TTL_MAX_MS: u64 = 100_000 * 366 * 86_400_000;
