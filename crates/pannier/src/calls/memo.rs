//! Get a value, or make it once: the guard against a stampede.
//!
//! When a popular value expires, everybody misses it at the same moment, and everybody makes it
//! anew. Here the first thread that misses a key makes its value (it *flies*), and the others that
//! miss the key meanwhile wait for what it brings. They are handed the value itself, so they have
//! it even when it was evicted at once. Threads that want different keys do not meet.
//!
//! Rules. The flights are those of one process, which is where an embedded cache lives. A flight
//! that fails or panics brings nothing: one of those who wait flies next. A thread that wants the
//! key that it is making, makes it (waiting would be for ever); two threads that want each other's
//! keys while they fly do wait for ever, as with any two locks. Nothing of the engine is held
//! meanwhile. Tests: `tests/memo.rs`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use bytes::Bytes;

use super::SetOptions;
use crate::cache::Cache;
use crate::error::{Error, ErrorKind};

/// A database and a key.
type Place = (usize, Box<[u8]>);

/// The values that are being made.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Place, Arc<Flight>>>);

/// One value that is being made.
struct Flight {
    pilot: ThreadId,
    state: Mutex<State>,
    landed: Condvar,
}

enum State {
    Flying,
    Landed(Bytes),
    Failed,
}

/// What a thread that misses a key does.
enum Role<'f> {
    Pilot(Pilot<'f>),
    Passenger(Arc<Flight>),
    /// It is this thread that makes the value, further up.
    Within,
}

/// Ends the flight, whatever happens.
struct Pilot<'f> {
    flights: &'f Flights,
    place: Place,
    flight: Arc<Flight>,
    brought: Option<Bytes>,
}

impl Flights {
    fn board(&self, place: Place) -> Role<'_> {
        let own = std::thread::current().id();
        match lock(&self.0).entry(place) {
            Entry::Occupied(held) if held.get().pilot == own => Role::Within,
            Entry::Occupied(held) => Role::Passenger(Arc::clone(held.get())),
            Entry::Vacant(free) => {
                let (state, landed) = (Mutex::new(State::Flying), Condvar::new());
                let flight = Arc::new(Flight { pilot: own, state, landed });
                let place = free.key().clone();
                free.insert(Arc::clone(&flight));
                Role::Pilot(Pilot { flights: self, place, flight, brought: None })
            }
        }
    }
}

impl Flight {
    /// Waits for what it brings; `None` when it has failed.
    fn wait(&self) -> Option<Bytes> {
        let flying = |state: &mut State| matches!(state, State::Flying);
        let state = self.landed.wait_while(lock(&self.state), flying);
        match &*state.unwrap_or_else(PoisonError::into_inner) {
            State::Landed(value) => Some(value.clone()),
            State::Flying | State::Failed => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        lock(&self.flights.0).remove(&self.place);
        let brought = self.brought.take();
        *lock(&self.flight.state) = brought.map_or(State::Failed, State::Landed);
        self.flight.landed.notify_all();
    }
}

impl Cache {
    /// The string under a key, or the one that `make` makes, which is stored with the cache's
    /// default time to live. Of several threads that miss the key at the same time one makes the
    /// value, and the others wait for it (single flight): `make` runs once.
    ///
    /// A value that a full cache refuses to store is returned all the same.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let page = cache.get_or_insert_with("page:1", || "<h1>slowly made</h1>")?;
    /// let again = cache.get_or_insert_with("page:1", || unreachable!("it is there") as &str)?;
    /// assert_eq!(page, again);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`].
    pub fn get_or_insert_with<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        make: impl FnOnce() -> V,
    ) -> Result<Bytes, Error> {
        self.get_or_try_insert_with(key, SetOptions::new(), || Ok::<V, Error>(make()))
    }

    /// The same with options for storing, and a `make` that may fail. Then nothing is stored, its
    /// error is returned to its caller, and the next thread that waits tries for itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pannier::{Cache, SetOptions};
    ///
    /// let cache = Cache::new();
    /// let minute = SetOptions::new().ttl(Duration::from_secs(60));
    /// #[derive(Debug)]
    /// enum Failure {
    ///     Cache(pannier::Error),
    ///     File(std::io::Error),
    /// }
    /// impl From<pannier::Error> for Failure {
    ///     fn from(error: pannier::Error) -> Self {
    ///         Self::Cache(error)
    ///     }
    /// }
    ///
    /// let made = cache.get_or_try_insert_with("file", minute, || {
    ///     std::fs::read("/no/such/file").map_err(Failure::File)
    /// });
    /// assert!(matches!(made, Err(Failure::File(_))) && cache.is_empty());
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::get`], and what `make` returns.
    pub fn get_or_try_insert_with<V: AsRef<[u8]>, E: From<Error>>(
        &self,
        key: impl AsRef<[u8]>,
        options: SetOptions,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Bytes, E> {
        let key = key.as_ref();
        if let Some(value) = self.get(key)? {
            return Ok(value);
        }
        let mut pilot = loop {
            match self.flights().board((self.index(), key.into())) {
                Role::Pilot(pilot) => break pilot,
                Role::Within => return self.insert_made(key, options, make),
                Role::Passenger(flight) => {
                    if let Some(value) = flight.wait() {
                        return Ok(value);
                    }
                }
            }
        };
        // Another flight may have landed before this one began.
        if let Some(value) = self.get(key)? {
            pilot.brought = Some(value.clone());
            return Ok(value);
        }
        let value = self.insert_made(key, options, make)?;
        pilot.brought = Some(value.clone());
        Ok(value)
    }

    fn insert_made<V: AsRef<[u8]>, E: From<Error>>(
        &self,
        key: &[u8],
        options: SetOptions,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Bytes, E> {
        let value = make()?;
        let value = value.as_ref();
        match self.set_with(key, value, options) {
            Err(error) if error.kind() != Some(ErrorKind::Full) => Err(error.into()),
            _ => Ok(Bytes::copy_from_slice(value)),
        }
    }
}
