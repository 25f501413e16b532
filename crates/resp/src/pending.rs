//! Reply bytes that a socket did not take yet, in order.
//!
//! A queue of chunks: large parts are kept by reference, so that a slow reader of a large value
//! costs no copy of it, while small parts (published messages, the ends of replies) are
//! gathered in one tail buffer, so that a million of them do not become a million allocations.
//!
//! Rules: `len` is exact, because the limits on a client's output buffer are checked against it;
//! an empty queue holds no memory worth counting. Filled from `reply`, emptied by a connection
//! through `slices`, one vectored write, and `advance`. Tests at the bottom.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::reply::Reply;

/// What could not be written yet.
#[derive(Debug, Default)]
pub struct Pending {
    chunks: VecDeque<Bytes>,
    /// Comes after the chunks; its first `tail_at` bytes are written.
    tail: Vec<u8>,
    tail_at: usize,
    len: usize,
}

impl Pending {
    /// An empty queue; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves everything out of `reply` except its first `written` bytes, and clears it.
    pub fn take_from(&mut self, reply: &mut Reply, written: usize) {
        let mut skip = written;
        reply.drain(|part| match part {
            Part::Copied(bytes) => {
                let skipped = skip.min(bytes.len());
                skip -= skipped;
                self.push_slice(&bytes[skipped..]);
            }
            Part::Shared(mut bytes) => {
                let skipped = skip.min(bytes.len());
                skip -= skipped;
                bytes.advance(skipped);
                self.push(bytes);
            }
        });
    }

    /// Appends bytes by reference, or by copy when they are few.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < CHUNK_MIN {
            return self.push_slice(&bytes);
        }
        self.close_tail();
        self.len += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Appends a copy of `bytes`.
    pub fn push_slice(&mut self, bytes: &[u8]) {
        if self.tail.len() >= CHUNK_MIN {
            self.close_tail();
        }
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Drops the first `count` bytes, which were written. Panics when there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "advanced past the end of the pending bytes");
        self.len -= count;
        let mut left = count;
        while let Some(first) = self.chunks.front_mut() {
            if left < first.len() {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.chunks.pop_front();
        }
        self.tail_at += left;
        if self.len == 0 {
            *self = Self::new();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of separate buffers that wait, for `CLIENT LIST`'s `oll`.
    pub fn chunks(&self) -> usize {
        self.chunks.len() + usize::from(self.tail_at < self.tail.len())
    }

    /// The first waiting bytes as at most `max` slices, for one vectored write.
    pub fn slices(&self, max: usize) -> impl Iterator<Item = IoSlice<'_>> {
        let tail = &self.tail[self.tail_at..];
        let parts = self.chunks.iter().map(|chunk| &chunk[..]).chain([tail]);
        parts.filter(|part| !part.is_empty()).take(max).map(IoSlice::new)
    }

    fn close_tail(&mut self) {
        let mut tail = Bytes::from(std::mem::take(&mut self.tail));
        tail.advance(std::mem::take(&mut self.tail_at));
        if !tail.is_empty() {
            self.chunks.push_back(tail);
        }
    }
}

/// A piece of a reply on its way into the queue.
pub(crate) enum Part<'a> {
    Copied(&'a [u8]),
    Shared(Bytes),
}

/// Below this a piece is copied: a reference of its own costs more than so many bytes.
const CHUNK_MIN: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Protocol;

    fn written(pending: &Pending) -> Vec<u8> {
        pending.slices(usize::MAX).flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn an_unwritten_rest_comes_out_in_order_whatever_was_written() {
        let large = Bytes::from(vec![b'x'; 40_000]);
        let mut reply = Reply::new(Protocol::Resp2);
        let fill = |reply: &mut Reply| {
            reply.simple("before");
            reply.shared(large.clone());
            reply.integer(7);
            reply.shared(large.clone());
        };
        fill(&mut reply);
        let mut whole = Vec::new();
        reply.write_to(&mut whole);
        for cut in [0, 1, 9, 10, 16, 17, 18, 40_016, 40_017, 40_018, 40_022, whole.len()] {
            let mut pending = Pending::new();
            reply.clear();
            fill(&mut reply);
            pending.take_from(&mut reply, cut);
            assert!(reply.is_empty());
            assert_eq!(pending.len(), whole.len() - cut);
            assert!(written(&pending) == whole[cut..], "cut at {cut}");
        }
    }

    #[test]
    fn advancing_by_any_step_walks_through_chunks_and_tail() {
        for step in [1, 7, 16_384, 20_001, 70_000] {
            let mut pending = Pending::new();
            pending.push_slice(b"head");
            pending.push(Bytes::from(vec![1; 30_000]));
            (0..3_000).for_each(|_| pending.push_slice(b"message"));
            let mut left = written(&pending);
            assert_eq!(left.len(), pending.len());
            while !pending.is_empty() {
                let count = step.min(pending.len());
                pending.advance(count);
                left.drain(..count);
                let looked_at = step > 100 || left.len().is_multiple_of(997);
                assert!(!looked_at || written(&pending) == left);
            }
            assert_eq!(pending.chunks(), 0);
        }
    }

    #[test]
    fn no_more_slices_than_asked_for() {
        let mut pending = Pending::new();
        (0..10).for_each(|_| pending.push(Bytes::from(vec![1; 20_000])));
        pending.push_slice(b"tail");
        assert_eq!(pending.slices(3).count(), 3);
        assert_eq!(pending.slices(64).count(), 11);
        assert_eq!(pending.chunks(), 11);
    }
}
