//! Locks that readers pass without writing to them: what many threads read, and few change.
//!
//! Whoever takes a mutex writes to its line of memory, and the next thread on another core waits
//! for that line, 50 to 100 ns, however briefly the mutex was held: two threads that looked
//! at values through mutexes carried 0.7 times what one did, and 0.4 times with one key for both.
//! Here each thread writes down which lock it reads under in a slot of its own, a line that nobody
//! else writes, and looks whether the lock is open to readers: two threads carry 1.9 times one, 1.8
//! times with one key, and a read saves one of a mutex's two atomic operations besides
//! (`benches/embedded.rs`, rows `threads`). A writer takes the mutex, closes the lock, and waits
//! for the readers that stand in the slots; it stays closed until it has been taken for reading
//! [`READS`] times, so where there are as many writes as reads, it is a mutex that costs one more
//! look. This is the idea of BRAVO (Dice and Kogan, 2019) with a mutex below.
//!
//! The invariant behind the one unsafe block: while a slot names a lock that was seen open after
//! the slot was written, nobody has the lock's `&mut`. A reader writes its slot and then looks
//! whether the lock is open; a writer, who has the mutex, closes it and then looks at the slots.
//! All four are sequentially consistent, so one of the two sees the other. It opens under its mutex
//! only, and only this set's own slots are ever used with its locks.
//!
//! Rules: a reader that takes its time keeps the writers of that lock waiting, and they spin and
//! yield. A thread reads under one lock at a time, and must not write the same one meanwhile.
//! Neighbours: the keyspace's shards lie here. Tests: `biased/tests.rs`, under the sanitizers too.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{Relaxed, Release, SeqCst},
};
use std::time::Duration;

use crate::mutex::{Mutex, MutexGuard};

/// So many reads through the mutex open a lock to readers. Closing it costs about ten reads.
const READS: u32 = 16;
/// Looks at a slot before the processor is given to somebody else.
const SPINS: u32 = 100;

/// A set of locks, numbered from 0, and the slots of those who read under them. `H` lies beside
/// each lock, on its line of memory, and `L` beside each slot: to count in without another line.
pub struct BiasedLocks<T, H, L> {
    places: Box<[Place<T, H>]>,
    slots: Box<[Slot<L>]>,
}

#[repr(C, align(64))]
struct Place<T, H> {
    head: H,
    /// Whether readers pass; changed under the mutex alone.
    open: AtomicBool,
    /// Reads through the mutex since it was closed; written under the mutex alone.
    reads: AtomicU32,
    mutex: Mutex<T>,
}

#[repr(align(128))]
struct Slot<L> {
    /// The number of the lock that is read under, plus one; 0 while the slot is free.
    held: AtomicUsize,
    local: L,
}

/// A read under a lock, which nobody changes meanwhile.
pub struct Reading<'a, T, L> {
    data: &'a T,
    slot: &'a Slot<L>,
}

impl<T, H: Default, L: Default> BiasedLocks<T, H, L> {
    /// A lock around each of these, and slots for about so many threads at a time.
    pub fn new(contents: impl Iterator<Item = T>, threads: usize) -> Self {
        let place = |content| Place {
            head: H::default(),
            open: AtomicBool::new(false),
            reads: AtomicU32::new(0),
            mutex: Mutex::new(content),
        };
        let slot = |_| Slot { held: AtomicUsize::new(0), local: L::default() };
        Self {
            places: contents.map(place).collect(),
            slots: (0..threads.next_power_of_two()).map(slot).collect(),
        }
    }
}

impl<T, H, L> BiasedLocks<T, H, L> {
    /// How many locks there are.
    #[expect(clippy::len_without_is_empty, reason = "a set of locks is never empty")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// What lies beside a lock.
    #[inline]
    pub fn head(&self, index: usize) -> &H {
        &self.places[index].head
    }

    /// What lies beside all locks, and beside all slots.
    pub fn sides(&self) -> (impl Iterator<Item = &H>, impl Iterator<Item = &L>) {
        (self.places.iter().map(|place| &place.head), self.slots.iter().map(|slot| &slot.local))
    }

    /// Takes a lock.
    pub fn lock(&self, index: usize) -> MutexGuard<'_, T> {
        let guard = self.places[index].mutex.lock();
        self.exclude(index);
        guard
    }

    /// Takes a lock if nobody else has it; waits for readers.
    #[inline]
    pub fn try_lock(&self, index: usize) -> Option<MutexGuard<'_, T>> {
        let guard = self.places[index].mutex.try_lock()?;
        self.exclude(index);
        Some(guard)
    }

    /// Whether somebody has a lock at this moment.
    #[inline]
    pub fn is_locked(&self, index: usize) -> bool {
        self.places[index].mutex.is_locked()
    }

    /// Takes a lock if it becomes free in time; waits for readers besides.
    pub fn try_lock_for(&self, index: usize, time: Duration) -> Option<MutexGuard<'_, T>> {
        let guard = self.places[index].mutex.try_lock_for(time)?;
        self.exclude(index);
        Some(guard)
    }

    /// Closes the lock, whose mutex is held, and sees the last readers off.
    #[inline]
    fn exclude(&self, index: usize) {
        if self.places[index].open.load(Relaxed) {
            self.close(index);
        }
    }

    #[cold]
    fn close(&self, index: usize) {
        self.places[index].open.store(false, SeqCst);
        for slot in &self.slots {
            let mut looks = 0;
            while slot.held.load(SeqCst) == index + 1 {
                looks += 1;
                match looks % SPINS {
                    0 => std::thread::yield_now(),
                    _ => std::hint::spin_loop(),
                }
            }
        }
    }

    /// A lock was taken to read only: it may be time to open it. The guard proves that it is held.
    #[inline]
    pub fn note_read(&self, index: usize, _guard: &MutexGuard<'_, T>) {
        let place = &self.places[index];
        let reads = place.reads.load(Relaxed) + 1;
        if reads < READS {
            place.reads.store(reads, Relaxed);
        } else {
            place.reads.store(0, Relaxed);
            place.open.store(true, Release);
        }
    }
}

impl<T: Sync, H, L> BiasedLocks<T, H, L> {
    /// Reads under a lock without taking it; `None` when it is not open to readers, or this
    /// thread's slot is taken: then take the lock, and [`BiasedLocks::note_read`].
    #[inline]
    pub fn read(&self, index: usize) -> Option<Reading<'_, T, L>> {
        let place = &self.places[index];
        if !place.open.load(Relaxed) {
            return None;
        }
        #[cfg(test)]
        std::thread::yield_now();
        let slot = &self.slots[thread_number() & (self.slots.len() - 1)];
        slot.held.compare_exchange(0, index + 1, SeqCst, Relaxed).ok()?;
        if !place.open.load(SeqCst) {
            slot.held.store(0, Release);
            return None;
        }
        // SAFETY: the lock is open and the slot names it: see the module's header.
        Some(Reading { data: unsafe { &*place.mutex.data_ptr() }, slot })
    }
}

impl<T, L> Reading<'_, T, L> {
    /// What lies beside the slot, which nobody else changes meanwhile.
    #[inline]
    pub fn local(&self) -> &L {
        &self.slot.local
    }
}

impl<T, L> Deref for Reading<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.data
    }
}

impl<T, L> Drop for Reading<'_, T, L> {
    #[inline]
    fn drop(&mut self) {
        self.slot.held.store(0, Release);
    }
}

/// The number of the calling thread: threads are numbered in the order in which they first ask.
#[inline]
pub fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    #[cold]
    fn first() -> usize {
        let number = NEXT.fetch_add(1, Relaxed);
        NUMBER.set(number);
        number
    }
    match NUMBER.get() {
        usize::MAX => first(),
        number => number,
    }
}

#[cfg(test)]
mod tests;
