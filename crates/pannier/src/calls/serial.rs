//! Values of the program's own types (feature `serde`), kept as JSON.
//!
//! JSON and not a binary form, so that what a program has cached can be read with redis-cli, by a
//! script, and by a program in another language over the same cache.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SetOptions;
use crate::cache::Cache;
use crate::error::Error;

impl Cache {
    /// The value under a key, read from JSON.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// cache.set_json("user", &("Ann", 7), pannier::SetOptions::new())?;
    /// assert_eq!(cache.get_json::<(String, u32)>("user")?, Some(("Ann".into(), 7)));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`]; [`Error::Unexpected`] when it is no such value.
    pub fn get_json<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        self.get(key)?.map(|text| read(&text)).transpose()
    }

    /// Stores a value under a key as JSON; whether it was stored.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// let cache = pannier::Cache::new();
    /// let prices = HashMap::from([("tea", 2)]);
    /// assert!(cache.set_json("prices", &prices, pannier::SetOptions::new())?);
    /// assert_eq!(cache.get("prices")?.as_deref(), Some(&br#"{"tea":2}"#[..]));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::set_with`]; [`Error::Unexpected`] when JSON cannot express it.
    pub fn set_json<T: Serialize + ?Sized>(
        &self,
        key: impl AsRef<[u8]>,
        value: &T,
        options: SetOptions,
    ) -> Result<bool, Error> {
        self.set_with(key, write(value)?, options)
    }

    /// The value under a key, or the one that `make` makes (see
    /// [`Cache::get_or_try_insert_with`], whose rules hold).
    ///
    /// ```
    /// use pannier::{Cache, Error, SetOptions};
    ///
    /// let cache = Cache::new();
    /// let primes = cache.get_or_insert_json_with("primes", SetOptions::new(), || {
    ///     Ok::<_, Error>(vec![2, 3, 5])
    /// })?;
    /// assert_eq!(primes, [2, 3, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get_json`] and [`Cache::set_json`], and what `make` returns.
    pub fn get_or_insert_json_with<T: Serialize + DeserializeOwned, E: From<Error>>(
        &self,
        key: impl AsRef<[u8]>,
        options: SetOptions,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut made = None;
        let text = self.get_or_try_insert_with(key, options, || {
            let value = make()?;
            let text = write(&value)?;
            made = Some(value);
            Ok::<_, E>(text)
        })?;
        match made {
            Some(value) => Ok(value),
            None => Ok(read(&text)?),
        }
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| Error::Unexpected(error.to_string()))
}

fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Unexpected(error.to_string()))
}
