//! Scripts: Lua that runs in one step.
//!
//! A script is called by its SHA1, so that its text is compiled once; a cache that does not know it
//! (the first call, or after SCRIPT FLUSH) is given the text. The digest is computed here.

use pannier_engine::sha1_hex;

use super::digits;
use crate::cache::Cache;
use crate::error::{Error, ErrorKind};
use crate::reply::FromFrame;

/// A Lua script. It can be kept in a `static` or a `LazyLock` and run on any cache.
///
/// ```
/// use pannier::{Cache, Script};
///
/// let take = Script::new(
///     "local n = redis.call('GET', KEYS[1]) \
///      if n and tonumber(n) > 0 then return redis.call('DECR', KEYS[1]) end \
///      return -1",
/// );
/// let cache = Cache::new();
/// cache.set("stock", "1")?;
/// assert_eq!(take.run::<i64>(&cache, ["stock"], [""; 0])?, 0);
/// assert_eq!(take.run::<i64>(&cache, ["stock"], [""; 0])?, -1);
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    text: String,
    sha: String,
}

impl Script {
    /// A script by its text. Whether it compiles is said by its first run.
    ///
    /// ```
    /// # use pannier::{Cache, Script};
    /// assert!(Script::new("return (").run::<()>(&Cache::new(), [""; 0], [""; 0]).is_err());
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let sha = sha1_hex(text.as_bytes()).map(char::from).iter().collect();
        Self { text, sha }
    }

    /// Its SHA1 in hexadecimal digits, as EVALSHA takes it.
    ///
    /// ```
    /// let script = pannier::Script::new("return 1");
    /// assert_eq!(script.sha(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    /// ```
    pub fn sha(&self) -> &str {
        &self.sha
    }

    /// Runs it with keys (KEYS) and arguments (ARGV), and reads what it returns.
    ///
    /// ```
    /// # use pannier::{Cache, Script};
    /// let echo = Script::new("return {KEYS[1], ARGV[1]}");
    /// let (key, arg): (String, String) = echo.run(&Cache::new(), ["key"], ["arg"])?;
    /// assert_eq!((key.as_str(), arg.as_str()), ("key", "arg"));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the script raises; [`Error::Unexpected`] when it returns something else.
    pub fn run<T: FromFrame>(
        &self,
        cache: &Cache,
        keys: impl IntoIterator<Item: AsRef<[u8]>>,
        args: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<T, Error> {
        let mut rest: Vec<Vec<u8>> = keys.into_iter().map(|key| key.as_ref().to_vec()).collect();
        let keys = digits(rest.len());
        rest.extend(args.into_iter().map(|arg| arg.as_ref().to_vec()));
        match cache.ask_with([b"EVALSHA", self.sha.as_bytes(), &keys], &rest) {
            Err(error) if error.kind() == Some(ErrorKind::NoScript) => {
                cache.ask_with([b"EVAL", self.text.as_bytes(), &keys], &rest)
            }
            result => result,
        }
    }
}
