//! A connection's stream, TCP, TLS or Unix, behind one face.
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

use crate::tls;

/// See the module's header.
pub(crate) struct Stream {
    socket: Socket,
    /// See [`Stream::set_direct`].
    direct: bool,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<tls::Stream>),
}

/// The kinds of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Unix,
    Tls,
}

impl Stream {
    /// Registers a connected, non-blocking socket with the runtime of this thread.
    /// Over TLS there is an opening.
    pub(crate) fn register(
        socket: OwnedFd,
        kind: Kind,
        opening: Option<tls::Opening>,
    ) -> io::Result<Self> {
        let socket = match kind {
            Kind::Tls => {
                let opening = opening.ok_or(io::ErrorKind::ConnectionAborted)?;
                Socket::Tls(Box::new(tls::Stream::new(socket, opening)?))
            }
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
        match &mut self.socket {
            Socket::Tls(stream) => stream.poll_read((!self.direct).then_some(cx), into),
            plain if self.direct => {
                let free = rustix::buffer::spare_capacity(into);
                or_pending(rustix::io::read(plain.as_fd(), free))
            }
            Socket::Tcp(stream) => pin!(stream.read_buf(into)).poll(cx),
            Socket::Unix(stream) => pin!(stream.read_buf(into)).poll(cx),
        }
    }

    /// Writes what the socket takes of several slices. Over TLS what is taken may still have to be
    /// flushed.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One slice needs no vector: `poll_write` notices a short write without another call.
        match (&mut self.socket, slices) {
            (Socket::Tls(stream), _) => stream.poll_write((!self.direct).then_some(cx), slices),
            (plain, _) if self.direct => or_pending(rustix::io::writev(plain.as_fd(), slices)),
            (Socket::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Socket::Unix(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Socket::Tcp(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
            (Socket::Unix(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// Writes what was taken and has not reached the socket, which only TLS has.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(_) | Socket::Unix(_) => Poll::Ready(Ok(())),
            Socket::Tls(stream) => stream.poll_flush((!self.direct).then_some(cx)),
        }
    }

    /// Whether it has still to be agreed how to encrypt.
    pub(crate) fn is_handshaking(&self) -> bool {
        match &self.socket {
            Socket::Tcp(_) | Socket::Unix(_) => false,
            Socket::Tls(stream) => stream.is_handshaking(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.as_fd(),
        }
    }
}

/// The result of a call to a non-blocking socket.
pub(crate) fn or_pending<T>(result: rustix::io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(Errno::AGAIN | Errno::INTR) => Poll::Pending,
        result => Poll::Ready(result.map_err(io::Error::from)),
    }
}
