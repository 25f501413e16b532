//! What every measurement needs to know about this run, and where it leaves its remarks.
//!
//! One value for many arguments: the definitions, the peers that serve here, how much
//! was asked for, and the notes. A measurement that cannot give a peer a figure says so by
//! [`Run::left_out`] and goes on with the others; nothing is left out silently.

use std::fmt::{self, Display};

use crate::definition::Definitions;
use crate::peer::Peer;
use crate::result::{Cell, Contestant, Field};

/// One invocation of the harness.
pub(crate) struct Run {
    pub(crate) definitions: Definitions,
    /// The peers that serve on this machine.
    pub(crate) peers: Vec<Peer>,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Parts of names; empty means everything.
    pub(crate) only: Vec<String>,
    /// What a reader of the tables must know.
    pub(crate) notes: Vec<Note>,
}

/// Why a peer has no figure.
pub(crate) struct Note {
    pub(crate) peer: String,
    /// The row, or all that goes with it; empty when the peer did not take part.
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, what, why } = self;
        if what.is_empty() {
            write!(f, "{peer}: {why}")
        } else {
            write!(f, "{peer}: {what}: {why}")
        }
    }
}

impl Run {
    /// Whether the row called `name` was asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|part| name.contains(&part.to_lowercase()))
    }

    /// Remembers that a peer has no figure, and why.
    pub(crate) fn left_out(&mut self, peer: usize, what: &str, why: impl Display) {
        let peer = self.peers[peer].name().to_owned();
        let note =
            Note { peer, what: what.to_owned(), why: format!("{why:#}").trim_end().to_owned() };
        eprintln!("  {note}");
        self.notes.push(note);
    }

    /// An empty cell for every peer.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        vec![Cell::default(); self.peers.len()]
    }

    /// The peers as the tables name them.
    pub(crate) fn field(&self) -> Field {
        let peers = self.peers.iter();
        Field {
            peers: peers.map(|peer| Contestant::new(&peer.definition, &peer.version)).collect(),
        }
    }

    /// The order of the peers in a round: each begins in turn, so that none is always first.
    pub(crate) fn order(&self, round: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.peers.len();
        (0..count).map(move |step| (round + step) % count)
    }
}
