//! Seats: what a thread uses while it is inside a call, and nobody else does.
//!
//! A call needs buffers, a lane to count in (which has one writer at a time), and, unless it
//! comes from a client, a session. Together they are a seat, behind a lock of its own. A thread
//! goes to the seat of its number, so threads meet only when there are more of them than seats;
//! then it takes any that is free. Handing out one shared pool would make its lock the point at
//! which all threads meet; a seat per thread would never be freed when threads come and go.
//!
//! Rules: a seat is held for one request, or one batch, never while a command waits. A seat is
//! made when it is first used. Neighbours: `cache` and `client` sit here.

use std::sync::Arc;

use pannier_engine::{Engine, Lane, Session, thread_number};
use pannier_lock::{MappedMutexGuard, Mutex, MutexGuard};
use pannier_resp::{Batch, OwnedArgs, Protocol, Reply};

/// All seats of a cache.
pub(crate) struct Seats {
    places: Box<[Place]>,
    /// Held by sessions that are outside a seat; counts nothing.
    pub(crate) no_lane: Arc<Lane>,
}

/// One seat, on cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Place(Mutex<Option<Box<Seat>>>);

/// See the module's header.
pub(crate) struct Seat {
    pub(crate) lane: Arc<Lane>,
    /// A session for calls that have none, which counts into this seat's lane.
    pub(crate) session: Option<Session>,
    pub(crate) args: OwnedArgs,
    pub(crate) batch: Batch,
    pub(crate) reply: Reply,
}

impl Seats {
    pub(crate) fn new(engine: &Engine, threads: usize) -> Self {
        let count = (threads * SEATS_PER_THREAD).next_power_of_two();
        Self { places: (0..count).map(|_| Place::default()).collect(), no_lane: engine.lane() }
    }

    /// The calling thread's seat, or any that is free.
    #[inline]
    pub(crate) fn take(&self, engine: &Engine) -> MappedMutexGuard<'_, Seat> {
        let number = thread_number();
        let guard = self.places[number & (self.places.len() - 1)].0.try_lock();
        let guard = guard.unwrap_or_else(|| self.take_other(number));
        MutexGuard::map(guard, |seat| &mut **seat.get_or_insert_with(|| Seat::new(engine)))
    }

    #[cold]
    fn take_other(&self, number: usize) -> MutexGuard<'_, Option<Box<Seat>>> {
        let mask = self.places.len() - 1;
        let others = (1..=mask).map(|step| &self.places[(number + step) & mask].0);
        let free = others.filter_map(Mutex::try_lock).next();
        free.unwrap_or_else(|| self.places[number & mask].0.lock())
    }
}

impl Seat {
    #[cold]
    fn new(engine: &Engine) -> Box<Self> {
        Box::new(Self {
            lane: engine.lane(),
            session: None,
            args: OwnedArgs::default(),
            batch: Batch::new(),
            reply: Reply::new(Protocol::Resp3),
        })
    }

    /// Does something for a session that counts into this seat's lane, with an empty reply.
    pub(crate) fn lend<R>(
        &mut self,
        session: &mut Session,
        work: impl FnOnce(&mut Session, &mut Batch, &mut Reply) -> R,
    ) -> R {
        let Self { lane, batch, reply, .. } = self;
        session.swap_lane(lane);
        reply.clear();
        let done = work(session, batch, reply);
        session.swap_lane(lane);
        done
    }
}

/// Seats for each thread that the machine runs at once: a program may have more threads.
const SEATS_PER_THREAD: usize = 4;
