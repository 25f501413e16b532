//! A connection's stream, TCP or Unix, behind one face.
//!
//! Reading goes through tokio's `poll_read`, not `try_read`: when a read does not fill the buffer
//! the socket is known to be empty, and tokio then forgets that it was readable. The next look
//! costs no system call, so that an unpipelined request costs two: one read, one write.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// See the module's header.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The kinds of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Unix,
}

impl Stream {
    /// Registers a connected, non-blocking socket with the runtime of this thread.
    pub(crate) fn register(socket: OwnedFd, kind: Kind) -> io::Result<Self> {
        Ok(match kind {
            Kind::Tcp => Self::Tcp(TcpStream::from_std(socket.into())?),
            Kind::Unix => Self::Unix(UnixStream::from_std(socket.into())?),
        })
    }

    /// Appends to `into` what has arrived, at most its free capacity; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => pin!(stream.read_buf(into)).poll(cx),
            Self::Unix(stream) => pin!(stream.read_buf(into)).poll(cx),
        }
    }

    /// Writes what the socket takes of several slices.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One slice needs no vector: `poll_write` notices a short write without another call.
        match (self, slices) {
            (Self::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Self::Unix(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Self::Tcp(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
            (Self::Unix(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
