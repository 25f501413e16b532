//! Transactions as closures.
//!
//! The closure reads what it wants and queues what is to be written; what it queued runs in one
//! step, provided that no key it watched has changed since it began. If one has, it is asked again.
//! That is WATCH, MULTI and EXEC, and it was preferred to running the closure under the locks of
//! the keyspace: a closure that takes long, or calls another cache, then holds up nobody and cannot
//! lock itself out.
//!
//! Rules: the closure may run several times, so what it does beside queueing must bear that.
//! Tests: `tests/calls.rs`.

use super::{SetOptions, digits, whole_ms};
use std::time::Duration;

use crate::cache::Cache;
use crate::error::Error;
use crate::frame::{self, Frame};

/// What a transaction is to write. Handed to the closure of [`Cache::transaction`].
///
/// ```
/// let cache = pannier::Cache::new();
/// let ((), replies) = cache.transaction([""; 0], |tx| {
///     tx.set("name", "Ann").incr_by("visits", 1).call(["LPUSH", "log", "visit"]);
///     Ok(())
/// })?;
/// assert_eq!(replies.len(), 3);
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Debug)]
pub struct Transaction {
    queue: Vec<Vec<Vec<u8>>>,
    default_ttl: Option<Duration>,
}

impl Cache {
    /// Runs a closure that queues commands, then all of them in one step: nobody sees a part, and
    /// nothing comes between. If one of the `watched` keys was changed since the closure began,
    /// nothing is done and the closure runs again; so what it has read of them through the cache
    /// holds. Returns what the closure returned, and a reply for each command.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set("from", "10")?;
    /// let (moved, _) = cache.transaction(["from"], |tx| {
    ///     let held = cache.get_as::<i64>("from")?.unwrap_or(0);
    ///     if held < 3 {
    ///         return Ok(false);
    ///     }
    ///     tx.incr_by("from", -3).incr_by("to", 3);
    ///     Ok(true)
    /// })?;
    /// assert!(moved);
    /// assert_eq!(cache.get_as::<i64>("to")?, Some(3));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the closure returns; then nothing was run. What one of the commands answers: when it
    /// was refused before it could run (an unknown command, a wrong number of arguments, a limit),
    /// none was run, but when it failed as it ran (another type), the others took effect, as in
    /// Redis.
    pub fn transaction<R>(
        &self,
        watched: impl IntoIterator<Item: AsRef<[u8]>>,
        mut work: impl FnMut(&mut Transaction) -> Result<R, Error>,
    ) -> Result<(R, Vec<Frame>), Error> {
        let mut watch = vec![b"WATCH".to_vec()];
        watch.extend(watched.into_iter().map(|key| key.as_ref().to_vec()));
        let mut client = self.connect();
        loop {
            if watch.len() > 1 {
                client.call(&watch)?;
            }
            let mut transaction =
                Transaction { queue: Vec::new(), default_ttl: self.default_ttl() };
            // The client goes with its watches when the closure fails.
            let result = work(&mut transaction)?;
            client.call(["MULTI"])?;
            for command in &transaction.queue {
                // A command that is refused has EXEC refuse all; its own error says more.
                client.call(command)?;
            }
            match client.call(["EXEC"])? {
                Frame::Null => {}
                Frame::Array { data, .. } => {
                    let replies = data.into_iter().map(frame::checked);
                    return Ok((result, replies.collect::<Result<_, _>>()?));
                }
                other => return Err(Error::Unexpected(format!("EXEC answered {other:?}"))),
            }
        }
    }
}

impl Transaction {
    /// Queues any command.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.transaction([""; 0], |tx| {
    ///     tx.call(["HSET", "user", "name", "Ann"]);
    ///     Ok(())
    /// })?;
    /// assert_eq!(cache.hash("user").len()?, 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn call(&mut self, args: impl IntoIterator<Item: AsRef<[u8]>>) -> &mut Self {
        self.queue.push(args.into_iter().map(|arg| arg.as_ref().to_vec()).collect());
        self
    }

    /// Queues a [`Cache::set`].
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.transaction([""; 0], |tx| {
    ///     tx.set("a", "1").set("b", "2");
    ///     Ok(())
    /// })?;
    /// assert_eq!(cache.len(), 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.set_with(key, value, SetOptions::new())
    }

    /// Queues a [`Cache::set_with`].
    ///
    /// ```
    /// # use pannier::SetOptions;
    /// # let cache = pannier::Cache::new();
    /// cache.transaction([""; 0], |tx| {
    ///     tx.set_with("a", "1", SetOptions::new().nx());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn set_with(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: SetOptions,
    ) -> &mut Self {
        let mut room = String::new();
        let mut args = vec![b"SET".to_vec(), key.as_ref().to_vec(), value.as_ref().to_vec()];
        args.extend(options.words(self.default_ttl, &mut room).map(<[u8]>::to_vec));
        self.queue.push(args);
        self
    }

    /// Queues a [`Cache::del`].
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.set("key", "value")?;
    /// cache.transaction(["key"], |tx| {
    ///     tx.del("key");
    ///     Ok(())
    /// })?;
    /// assert!(cache.is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn del(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.call([b"DEL", key.as_ref()])
    }

    /// Queues a [`Cache::incr_by`].
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// cache.transaction([""; 0], |tx| {
    ///     tx.incr_by("n", 2);
    ///     Ok(())
    /// })?;
    /// assert_eq!(cache.get_as::<i64>("n")?, Some(2));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn incr_by(&mut self, key: impl AsRef<[u8]>, by: i64) -> &mut Self {
        self.call([b"INCRBY", key.as_ref(), &digits(by)])
    }

    /// Queues a [`Cache::expire`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let cache = pannier::Cache::new();
    /// cache.transaction([""; 0], |tx| {
    ///     tx.set("key", "value").expire("key", Duration::from_secs(60));
    ///     Ok(())
    /// })?;
    /// assert!(cache.ttl("key")?.is_some());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn expire(&mut self, key: impl AsRef<[u8]>, ttl: Duration) -> &mut Self {
        self.call([b"PEXPIRE", key.as_ref(), &digits(whole_ms(ttl))])
    }
}
