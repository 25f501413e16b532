//! What stands for the cryptography in a build without the feature `tls`: nothing.
//!
//! The types have no value, so that the compiler drops what would use one, and nobody else needs
//! to know how this was built. Asking for TLS is refused where a context would be made. Neighbours:
//! `stream` and `context`, whose surface this has.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context as Task, Poll};

use pannier_clock::Clock;
use pannier_engine::Certificate;

use super::{Opening, TlsOptions};
use crate::error::TlsError;

/// No set-up.
pub(super) enum Context {}

impl Context {
    pub(super) fn certificates(&self) -> [Option<Certificate>; 2] {
        match *self {}
    }
}

/// No stream.
pub(crate) enum Stream {}

/// Says that there is none.
pub(super) fn build(_options: &TlsOptions, _clock: &Clock) -> Result<Context, TlsError> {
    Err(TlsError::NotBuilt)
}

impl Stream {
    pub(crate) fn new(_socket: OwnedFd, opening: Opening) -> io::Result<Self> {
        match *opening.context {}
    }

    pub(crate) fn poll_read(
        &mut self,
        _task: Option<&mut Task<'_>>,
        _into: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_write(
        &mut self,
        _task: Option<&mut Task<'_>>,
        _slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_flush(&mut self, _task: Option<&mut Task<'_>>) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match *self {}
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}
