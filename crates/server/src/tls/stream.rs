//! One connection's TLS: ciphertext of a socket on one side, requests and replies on the other.
//!
//! Reading takes what the socket has into a buffer on the stack, decrypts it, and appends all that
//! became whole, so nothing decrypted is ever left lying between two calls. Writing encrypts at
//! most [`UNSENT_MAX`] bytes of replies; what the socket does not take of them waits here and goes
//! first next time, or when `poll_flush` is asked, before more is taken. The rest waits as plain
//! replies in the connection, where it is counted and limited like everybody's.
//!
//! The handshake is part of reading. Until it is done nothing has been read, and its end is
//! waited for [`HANDSHAKE_MAX`] at most: who has connected holds a place among `maxclients`.
//! (Redis waits for as long as `timeout` says, by default for ever.) A peer that hangs up without
//! `close_notify` has hung up, as with Redis: a request is whole or it is not. Dropping a
//! stream says `close_notify`, if the socket takes it.
//!
//! Every call is made with a task to wake, or without one past the runtime, as a stand-in does.

use std::future::Future;
use std::io::{self, BufRead, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::Opening;
use crate::socket::or_pending;

/// See the module's header.
pub(crate) struct Stream {
    socket: TcpStream,
    tls: ServerConnection,
    /// Something was received, be it garbage.
    begun: bool,
    /// The end of the handshake's time, while it lasts.
    patience: Option<Pin<Box<Sleep>>>,
    /// Words to be sent away with when it is done.
    refusal: Option<&'static str>,
    /// Nothing more is to be said to the peer.
    broken: bool,
}

/// The socket as rustls writes to it.
struct Outward<'a, 'b, 'c> {
    socket: &'a mut TcpStream,
    task: Option<&'b mut Task<'c>>,
}

impl Stream {
    /// Registers a socket with the runtime of this thread; the handshake begins with reading.
    pub(crate) fn new(socket: OwnedFd, opening: Opening) -> io::Result<Self> {
        let Opening { context, refusal } = opening;
        let mut tls =
            ServerConnection::new(Arc::clone(&context.config)).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(UNSENT_MAX));
        let socket = TcpStream::from_std(socket.into())?;
        let patience = Some(Box::pin(tokio::time::sleep(HANDSHAKE_MAX)));
        Ok(Self { socket, tls, begun: false, patience, refusal, broken: false })
    }

    /// Whether the peer has still to show that it speaks TLS, and may.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.patience.is_some()
    }

    /// Appends to `into` what has arrived, a little more than its free capacity perhaps; 0 is the
    /// end.
    pub(crate) fn poll_read(
        &mut self,
        mut task: Option<&mut Task<'_>>,
        into: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let before = into.len();
        for _ in 0..READS_MAX {
            let mut space = [const { MaybeUninit::uninit() }; READ_LEN];
            let mut space = ReadBuf::uninit(&mut space);
            if self.poll_socket(task.as_deref_mut(), &mut space)?.is_pending() {
                return self.wait(task);
            }
            let arrived = space.filled();
            if arrived.is_empty() {
                return Poll::Ready(self.hung_up());
            }
            self.begun = true;
            let taken = self.decrypt(arrived, into);
            // An alert, if it was refused. Whatever is not taken now goes with what is said next.
            let _ = self.poll_flush(task.as_deref_mut());
            taken?;
            if self.patience.is_some() && !self.tls.is_handshaking() {
                self.patience = None;
                if let Some(words) = self.refusal {
                    self.tls.writer().write_all(words.as_bytes())?;
                    let _ = self.poll_flush(task.as_deref_mut());
                    return Poll::Ready(Ok(0));
                }
            }
            let len = into.len() - before;
            if len > 0 || self.broken {
                return Poll::Ready(Ok(len));
            }
        }
        // A peer that sends much that says nothing must not keep the others waiting.
        if let Some(task) = task {
            task.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Encrypts and writes what fits of several slices; returns how much of them it has taken.
    pub(crate) fn poll_write(
        &mut self,
        mut task: Option<&mut Task<'_>>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.poll_flush(task.as_deref_mut())?.is_pending() {
            return Poll::Pending;
        }
        let taken = self.tls.writer().write_vectored(slices)?;
        // What the socket does not take of it goes first next time.
        let _ = self.poll_flush(task)?;
        Poll::Ready(Ok(taken))
    }

    /// Writes what was encrypted and is not sent.
    pub(crate) fn poll_flush(&mut self, mut task: Option<&mut Task<'_>>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let task = task.as_deref_mut();
            match self.tls.write_tls(&mut Outward { socket: &mut self.socket, task }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What the socket has, at most so much.
    fn poll_socket(
        &mut self,
        task: Option<&mut Task<'_>>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(task) = task {
            return Pin::new(&mut self.socket).poll_read(task, space);
        }
        let read = rustix::io::read(&self.socket, space.initialize_unfilled());
        or_pending(read).map_ok(|len| space.advance(len))
    }

    /// Decrypts what has arrived, and appends what is whole.
    fn decrypt(&mut self, mut arrived: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        while !arrived.is_empty() && !self.broken {
            // It takes a few kilobytes at a time; nothing after the peer has said goodbye.
            let taken = self.tls.read_tls(&mut arrived)?;
            let state = self.tls.process_new_packets().map_err(|error| {
                self.broken = true;
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            let len = state.plaintext_bytes_to_read();
            self.broken = taken == 0 || state.peer_has_closed();
            into.reserve(len);
            let end = into.len() + len;
            while into.len() < end {
                let mut reader = self.tls.reader();
                let chunk = reader.fill_buf()?;
                let len = chunk.len();
                into.extend_from_slice(chunk);
                reader.consume(len);
            }
        }
        Ok(())
    }

    /// Nothing has arrived. A handshake is not waited for for ever.
    fn wait(&mut self, task: Option<&mut Task<'_>>) -> Poll<io::Result<usize>> {
        if let (Some(patience), Some(task)) = (&mut self.patience, task)
            && patience.as_mut().poll(task).is_ready()
        {
            let late = "the handshake took too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
        }
        Poll::Pending
    }

    /// The end of the stream; inside a handshake it is an error, unless the peer only looked
    /// whether somebody listens.
    fn hung_up(&mut self) -> io::Result<usize> {
        self.broken = true;
        if self.begun && self.patience.is_some() {
            let text = "the client hung up during the handshake";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        Ok(0)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.patience.is_none() && !self.broken {
            self.tls.send_close_notify();
            // The peer is not waited for.
            let _ = self.poll_flush(None);
        }
    }
}

impl Write for Outward<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let polled = match (&mut self.task, slices) {
            (None, _) => or_pending(rustix::io::writev(&*self.socket, slices)),
            // Such a write notices that the socket is full without another call.
            (Some(task), [one]) => Pin::new(&mut *self.socket).poll_write(task, one),
            (Some(task), _) => Pin::new(&mut *self.socket).poll_write_vectored(task, slices),
        };
        match polled {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Time that a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Bytes of replies that are encrypted and may wait for the socket: four records.
const UNSENT_MAX: usize = 64 << 10;

/// Bytes of ciphertext that one read takes.
const READ_LEN: usize = 32 << 10;

/// Reads of one turn that bring nothing whole.
const READS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream as Plain};

    use pannier_clock::Clock;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, SignatureScheme};

    use super::*;
    use crate::tls::{TlsOptions, build};

    /// A stream, and its peer, who has said nothing yet.
    fn pair() -> (Stream, Plain) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        let options = TlsOptions::new(cert.into_bytes(), key.into_bytes());
        let context = Arc::new(build(&options, &Clock::system()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Plain::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Stream::new(socket.into(), Opening { context, refusal: None }).unwrap(), peer)
    }

    #[test]
    fn a_refusal_can_be_read_when_the_handshake_is_done() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let (mut stream, mut peer) = pair();
        stream.refusal = Some("-DENIED\r\n");
        let client = std::thread::spawn(move || {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Believer))
                .with_no_client_auth();
            let name = "localhost".try_into().unwrap();
            let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
            let mut said = String::new();
            rustls::Stream::new(&mut tls, &mut peer).read_to_string(&mut said).unwrap();
            said
        });
        assert_eq!(runtime.block_on(read(&mut stream)).unwrap(), 0);
        drop(stream);
        assert_eq!(client.join().unwrap(), "-DENIED\r\n");
    }

    /// Believes every server.
    #[derive(Debug)]
    struct Believer;

    impl ServerCertVerifier for Believer {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }

    async fn read(stream: &mut Stream) -> io::Result<usize> {
        let mut into = Vec::new();
        poll_fn(|task| stream.poll_read(Some(task), &mut into)).await
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_peer_that_says_nothing_or_stops_halfway_is_not_waited_for() {
        for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
            let (mut stream, mut peer) = pair();
            peer.write_all(said).unwrap();
            let begin = tokio::time::Instant::now();
            let error = read(&mut stream).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(begin.elapsed() >= HANDSHAKE_MAX);
            assert!(stream.is_handshaking());
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_look_whether_somebody_listens_is_no_error_and_half_a_handshake_is() {
        let (mut stream, peer) = pair();
        drop(peer);
        assert_eq!(read(&mut stream).await.unwrap(), 0);
        let (mut stream, mut peer) = pair();
        peer.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
        drop(peer);
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
