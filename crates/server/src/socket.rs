//! A connection's stream, TCP or Unix, behind one face.
//!
//! Reading goes through tokio's `poll_read`, not `try_read`: when a read does not fill the buffer
//! the socket is known to be empty, and tokio then forgets that it was readable. The next look
//! costs no system call, so that an unpipelined request costs two: one read, one write.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// See the module's header.
pub(crate) struct Stream {
    socket: Socket,
    /// See [`Stream::set_direct`].
    direct: bool,
}

enum Socket {
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
        let socket = match kind {
            Kind::Tcp => Socket::Tcp(TcpStream::from_std(socket.into())?),
            Kind::Unix => Socket::Unix(UnixStream::from_std(socket.into())?),
        };
        Ok(Self { socket, direct: false })
    }

    /// Whether reads and writes go past the runtime, which does not look at its sockets while a
    /// script keeps its thread. Nobody is woken for them then.
    pub(crate) fn set_direct(&mut self, direct: bool) {
        self.direct = direct;
    }

    /// Appends to `into` what has arrived, at most its free capacity; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        if self.direct {
            let free = rustix::buffer::spare_capacity(into);
            return or_pending(rustix::io::read(self.socket.as_fd(), free));
        }
        match &mut self.socket {
            Socket::Tcp(stream) => pin!(stream.read_buf(into)).poll(cx),
            Socket::Unix(stream) => pin!(stream.read_buf(into)).poll(cx),
        }
    }

    /// Writes what the socket takes of several slices.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.direct {
            return or_pending(rustix::io::writev(self.socket.as_fd(), slices));
        }
        // One slice needs no vector: `poll_write` notices a short write without another call.
        match (&mut self.socket, slices) {
            (Socket::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Socket::Unix(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Socket::Tcp(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
            (Socket::Unix(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// The result of a call to a non-blocking socket.
fn or_pending(result: rustix::io::Result<usize>) -> Poll<io::Result<usize>> {
    match result {
        Err(Errno::AGAIN | Errno::INTR) => Poll::Pending,
        result => Poll::Ready(result.map_err(io::Error::from)),
    }
}
