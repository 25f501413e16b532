//! Replies as frames of the crate redis-protocol.
//!
//! The bytes of a reply are copied out of the writer's buffer once; the frames are slices of that
//! copy. A reply buffer may hold several: messages that came before the reply, or after it.

use bytes::Bytes;
use pannier_resp::Reply;
use redis_protocol::resp3::decode::complete::decode_bytes;

use crate::error::{Error, ReplyError};

/// A typed reply: a frame of RESP3, whose strings share one buffer.
///
/// ```
/// use pannier::{Cache, Frame};
///
/// let cache = Cache::new();
/// cache.call(["RPUSH", "list", "a", "b"])?;
/// let Frame::Array { data, .. } = cache.call(["LRANGE", "list", "0", "-1"])? else { panic!() };
/// assert!(matches!(&data[1], Frame::BlobString { data, .. } if data == "b"));
/// # Ok::<(), pannier::Error>(())
/// ```
pub type Frame = redis_protocol::resp3::types::BytesFrame;

/// The bytes of replies.
pub(crate) fn bytes(reply: &Reply) -> Bytes {
    match reply.as_slice() {
        Some(bytes) => Bytes::copy_from_slice(bytes),
        None => {
            let mut bytes = Vec::new();
            reply.write_to(&mut bytes);
            Bytes::from(bytes)
        }
    }
}

/// The frame of a reply. The commonest short ones are read where they lie.
pub(crate) fn only(reply: &Reply) -> Result<Frame, Error> {
    match reply.as_slice() {
        Some([b':', digits @ .., b'\r', b'\n']) => match number(digits) {
            Some(data) => Ok(Frame::Number { data, attributes: None }),
            None => first(bytes(reply)),
        },
        Some(b"_\r\n") => Ok(Frame::Null),
        _ => first(bytes(reply)),
    }
}

/// An integer out of its digits.
fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first frame of replies.
pub(crate) fn first(mut replied: Bytes) -> Result<Frame, Error> {
    match next(&mut replied)? {
        Some((frame, _)) => Ok(frame),
        None => Err(Error::Unexpected("no reply".into())),
    }
}

/// Takes the first frame off the bytes, with its own bytes.
pub(crate) fn next(bytes: &mut Bytes) -> Result<Option<(Frame, Bytes)>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match decode_bytes(bytes) {
        Ok(Some((frame, len))) => Ok(Some((frame, bytes.split_to(len)))),
        Ok(None) => Err(Error::Unexpected("half a reply".into())),
        Err(error) => Err(Error::Unexpected(error.to_string())),
    }
}

/// An error frame as an error.
pub(crate) fn checked(frame: Frame) -> Result<Frame, Error> {
    match frame {
        Frame::SimpleError { data, .. } => Err(ReplyError::new(&*data).into()),
        Frame::BlobError { data, .. } => {
            Err(ReplyError::new(String::from_utf8_lossy(&data)).into())
        }
        frame => Ok(frame),
    }
}
