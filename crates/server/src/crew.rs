//! Crews: the threads that servers run on.
//!
//! A thread of a crew drives a tokio runtime of its own, so that what lives there never changes
//! its thread. A server has a crew for itself by default; many small ones (a server for each test)
//! can share one, and then a server costs no thread at all. Or it runs on the caller's runtime,
//! whatever its kind.
//!
//! Rules: dropping a crew ends its threads and whatever still runs there; a server keeps its crew
//! alive. Neighbours: `server` decides what runs where.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Threads for servers, which end when it is dropped.
pub struct Crew(Vec<Member>);

struct Member {
    runtime: Handle,
    /// Dropped, it ends the thread.
    stay: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Crew {
    /// Starts so many threads; at least one.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(threads: usize) -> io::Result<Self> {
        (0..threads.max(1)).map(|index| Member::start(format!("pannier-worker-{index}"))).collect()
    }

    /// Threads for one server: its workers, and behind them the one that accepts and keeps house.
    pub(crate) fn of_one(workers: usize) -> io::Result<Self> {
        let mut crew = Self::new(workers)?;
        crew.0.push(Member::start("pannier-control".into())?);
        Ok(crew)
    }
}

impl FromIterator<Member> for Crew {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

impl Member {
    fn start(name: String) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (stay, leave) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // Ends with an error, since nothing is ever sent.
            let _ = runtime.block_on(leave);
        })?;
        Ok(Self { runtime: handle, stay: Some(stay), thread: Some(thread) })
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for member in &mut self.0 {
            member.stay = None;
        }
        for thread in self.0.iter_mut().filter_map(|member| member.thread.take()) {
            // The last owner may be a task of the crew itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("A worker panicked");
            }
        }
    }
}

/// Where a server runs.
#[derive(Clone, Default)]
pub enum Place {
    /// On threads of its own.
    #[default]
    Own,
    /// On threads that it shares with others.
    Crew(Arc<Crew>),
    /// On the caller's runtime. Nothing then blocks: dropping the server ends it when the runtime
    /// comes to it.
    Runtime(Handle),
}

/// The runtimes that a server uses.
pub(crate) struct Site {
    /// One for each worker.
    pub(crate) workers: Vec<Handle>,
    /// Accepts and keeps house.
    pub(crate) control: Handle,
    /// The threads, when there are any of ours.
    pub(crate) crew: Option<Arc<Crew>>,
}

impl Site {
    /// The site of a server that wants so many workers; a crew that it shares decides that itself.
    pub(crate) fn at(place: Place, workers: usize) -> io::Result<Self> {
        let (crew, shared) = match place {
            Place::Own => (Arc::new(Crew::of_one(workers)?), false),
            Place::Crew(crew) => (crew, true),
            Place::Runtime(runtime) => {
                let workers = vec![runtime.clone(); workers];
                return Ok(Self { workers, control: runtime, crew: None });
            }
        };
        let all: Vec<Handle> = crew.0.iter().map(|member| member.runtime.clone()).collect();
        let control = all[all.len() - 1].clone();
        let workers = if shared { all } else { all[..workers].to_vec() };
        Ok(Self { workers, control, crew: Some(crew) })
    }
}
