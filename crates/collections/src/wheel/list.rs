//! The marks of one slot of the wheel, in chunks.
//!
//! A slot of a day's width may hold millions of marks. In one growing vector a push would now and
//! then copy tens of megabytes; here the last chunk grows by doubling up to `CHUNK` marks and is
//! then put aside whole, so that a push copies at most half a chunk (and, once in a thousand
//! chunks, their addresses), and at most one chunk per list is partly empty.
//!
//! Rules: every chunk in `full` holds exactly `CHUNK` marks; `last` is empty only when the list
//! is. The order of marks in a list means nothing.
//! Neighbours: `wheel`. Tests: those of the wheel.

use crate::size_class::allocated;

pub(super) struct List<E> {
    full: Vec<Vec<E>>,
    last: Vec<E>,
}

impl<E> Default for List<E> {
    fn default() -> Self {
        Self { full: Vec::new(), last: Vec::new() }
    }
}

impl<E: Copy> List<E> {
    /// Adds a mark; returns how many bytes of memory that took.
    #[inline]
    pub(super) fn push(&mut self, mark: E) -> usize {
        let mut taken = 0;
        if self.last.len() == self.last.capacity() {
            let before = self.footprint();
            self.make_room();
            taken = self.footprint() - before;
        }
        self.last.push(mark);
        taken
    }

    /// Takes a mark; returns with it how many bytes of memory that freed.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(E, usize)> {
        let mark = self.last.pop()?;
        let mut freed = 0;
        if self.last.is_empty() {
            let before = self.footprint();
            match self.full.pop() {
                Some(chunk) => self.last = chunk,
                None => *self = Self::default(),
            }
            freed = before - self.footprint();
        }
        Some((mark, freed))
    }

    /// Takes mark number `index`, which must exist, as `pop` does.
    pub(super) fn remove(&mut self, index: usize) -> usize {
        let Some((tail, freed)) = self.pop() else { unreachable!("the caller has seen the mark") };
        if let Some(mark) = self.get_mut(index) {
            *mark = tail;
        }
        freed
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut E> {
        let whole = self.full.len() * CHUNK;
        if index < whole {
            self.full[index / CHUNK].get_mut(index % CHUNK)
        } else {
            self.last.get_mut(index - whole)
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.full.len() * CHUNK + self.last.len()
    }

    /// Bytes allocated by the list. O(1).
    pub(super) fn footprint(&self) -> usize {
        self.full.len() * allocated(CHUNK * size_of::<E>())
            + allocated(self.full.capacity() * size_of::<Vec<E>>())
            + allocated(self.last.capacity() * size_of::<E>())
    }

    fn make_room(&mut self) {
        if self.last.len() == CHUNK {
            let next = Vec::with_capacity(CHUNK);
            self.full.push(std::mem::replace(&mut self.last, next));
        } else {
            let more = self.last.len().clamp(4, CHUNK - self.last.len());
            self.last.reserve_exact(more);
        }
    }
}

/// Marks in a full chunk: 2 KiB of the store's marks.
pub(super) const CHUNK: usize = 256;
