//! Replies as values of the caller's types.
//!
//! A command answers a [`Frame`]; [`FromFrame`] makes of it what a program wants to go on with.
//! Conversions are those that a client library for Redis makes: an integer may come as text (what
//! GET returns of a counter), a missing value is `None`, a map may come flat as in RESP2. What
//! does not fit is an [`Error::Unexpected`], never a default.
//!
//! Neighbours: `Cache::query` and `Client::query` convert; `calls` names the types.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::str::FromStr;

use bytes::Bytes;

use crate::error::Error;
use crate::frame::{self, Frame};

/// A value that a reply can be read as.
///
/// ```
/// use pannier::Cache;
///
/// let cache = Cache::new();
/// cache.set("n", "42")?;
/// assert_eq!(cache.query::<i64>(["GET", "n"])?, 42);
/// assert_eq!(cache.query::<String>(["GET", "n"])?, "42");
/// assert_eq!(cache.query::<Option<String>>(["GET", "missing"])?, None);
/// # Ok::<(), pannier::Error>(())
/// ```
pub trait FromFrame: Sized {
    /// Reads a reply.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the reply is of another shape, [`Error::Reply`] when it is an
    /// error.
    fn from_frame(frame: Frame) -> Result<Self, Error>;
}

/// What a reply is not.
fn unexpected<T>(wanted: &str, frame: &Frame) -> Result<T, Error> {
    Err(Error::Unexpected(format!("wanted {wanted}, found {}", found(frame))))
}

/// A reply, in short.
fn found(frame: &Frame) -> String {
    match frame {
        Frame::Null => "nothing, for which there is Option".into(),
        Frame::BlobString { data, .. } | Frame::SimpleString { data, .. } => {
            let text = String::from_utf8_lossy(&data[..data.len().min(SHOWN_MAX)]);
            format!("a string of {} bytes, {text:?}", data.len())
        }
        Frame::Number { data, .. } => format!("the number {data}"),
        Frame::Double { data, .. } => format!("the number {data}"),
        Frame::Array { data, .. } => format!("an array of {}", data.len()),
        Frame::Set { data, .. } => format!("a set of {}", data.len()),
        Frame::Map { data, .. } => format!("a map of {}", data.len()),
        other => format!("{other:?}"),
    }
}

/// A number out of its text.
fn parsed<T: FromStr>(wanted: &str, frame: &Frame, text: &[u8]) -> Result<T, Error> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.map_or_else(|| unexpected(wanted, frame), Ok)
}

impl FromFrame for Frame {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        Ok(frame)
    }
}

/// Any reply that is no error.
impl FromFrame for () {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        frame::checked(frame).map(drop)
    }
}

impl FromFrame for Bytes {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::BlobString { data, .. }
            | Frame::SimpleString { data, .. }
            | Frame::BigNumber { data, .. }
            | Frame::VerbatimString { data, .. } => Ok(data),
            Frame::Number { data, .. } => Ok(Self::from(data.to_string())),
            Frame::Double { data, .. } => Ok(Self::from(data.to_string())),
            other => unexpected("a string", &frame::checked(other)?),
        }
    }
}

impl FromFrame for String {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        let bytes = Bytes::from_frame(frame)?;
        Self::from_utf8(bytes.into()).map_err(|error| Error::Unexpected(error.to_string()))
    }
}

impl FromFrame for bool {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::Boolean { data, .. } => Ok(data),
            Frame::Number { data: 0, .. } | Frame::Null => Ok(false),
            Frame::Number { data: 1, .. } => Ok(true),
            Frame::SimpleString { ref data, .. } if data == "OK" => Ok(true),
            other => unexpected("a truth value", &frame::checked(other)?),
        }
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl FromFrame for $integer {
            fn from_frame(frame: Frame) -> Result<Self, Error> {
                let wanted = stringify!($integer);
                match &frame {
                    Frame::Number { data, .. } => {
                        Self::try_from(*data).or_else(|_| unexpected(wanted, &frame))
                    }
                    Frame::BlobString { data, .. } | Frame::SimpleString { data, .. } => {
                        parsed(wanted, &frame, data)
                    }
                    _ => unexpected(wanted, &frame::checked(frame)?),
                }
            }
        }
    )*};
}

integers!(i64, u64, u32, usize);

impl FromFrame for f64 {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        match &frame {
            Frame::Double { data, .. } => Ok(*data),
            Frame::Number { data, .. } => Ok(*data as Self),
            Frame::BlobString { data, .. } | Frame::SimpleString { data, .. } => {
                parsed("a number", &frame, data)
            }
            _ => unexpected("a number", &frame::checked(frame)?),
        }
    }
}

impl<T: FromFrame> FromFrame for Option<T> {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::Null => Ok(None),
            frame => T::from_frame(frame).map(Some),
        }
    }
}

/// The elements of an array or of a set; of a map, its keys and values by turns.
fn elements(frame: Frame) -> Result<Vec<Frame>, Error> {
    match frame {
        Frame::Array { data, .. } | Frame::Push { data, .. } => Ok(data),
        Frame::Set { data, .. } => Ok(data.into_iter().collect()),
        Frame::Map { data, .. } => Ok(data.into_iter().flat_map(|(k, v)| [k, v]).collect()),
        other => unexpected("an array", &frame::checked(other)?),
    }
}

impl<T: FromFrame> FromFrame for Vec<T> {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        elements(frame)?.into_iter().map(T::from_frame).collect()
    }
}

impl<A: FromFrame, B: FromFrame> FromFrame for (A, B) {
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        match <[Frame; 2]>::try_from(elements(frame)?) {
            Ok([a, b]) => Ok((A::from_frame(a)?, B::from_frame(b)?)),
            Err(others) => {
                let text = format!("wanted a pair, found an array of {}", others.len());
                Err(Error::Unexpected(text))
            }
        }
    }
}

impl<K, V, S> FromFrame for HashMap<K, V, S>
where
    K: FromFrame + Eq + Hash,
    V: FromFrame,
    S: BuildHasher + Default,
{
    fn from_frame(frame: Frame) -> Result<Self, Error> {
        let elements = elements(frame)?;
        if elements.len() % 2 != 0 {
            return Err(Error::Unexpected("wanted a map, found a key without a value".into()));
        }
        let mut map = Self::with_capacity_and_hasher(elements.len() / 2, S::default());
        let mut elements = elements.into_iter();
        while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
            map.insert(K::from_frame(key)?, V::from_frame(value)?);
        }
        Ok(map)
    }
}

/// Bytes of a string that an error shows.
const SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(data: i64) -> Frame {
        Frame::Number { data, attributes: None }
    }

    fn text(text: &'static str) -> Frame {
        Frame::BlobString { data: Bytes::from_static(text.as_bytes()), attributes: None }
    }

    #[test]
    fn numbers_come_as_numbers_or_as_text_and_never_cut_off() {
        assert_eq!(i64::from_frame(text("-7")).unwrap(), -7);
        assert_eq!(u64::from_frame(number(7)).unwrap(), 7);
        assert!(u64::from_frame(number(-7)).is_err());
        assert!(i64::from_frame(text("seven")).is_err());
        assert_eq!(f64::from_frame(text("2.5")).unwrap(), 2.5);
        assert!(bool::from_frame(number(2)).is_err());
    }

    #[test]
    fn what_does_not_fit_is_told_in_short() {
        let told = |error: Error| error.to_string();
        assert_eq!(
            told(i64::from_frame(text("seven")).unwrap_err()),
            "unexpected reply: wanted i64, found a string of 5 bytes, \"seven\""
        );
        assert_eq!(
            told(String::from_frame(Frame::Null).unwrap_err()),
            "unexpected reply: wanted a string, found nothing, for which there is Option"
        );
        let long = Frame::BlobString { data: Bytes::from(vec![b'x'; 1 << 20]), attributes: None };
        assert!(told(f64::from_frame(long).unwrap_err()).len() < 120);
    }

    #[test]
    fn a_map_may_come_flat_but_not_with_a_key_left_over() {
        let flat = |data| Frame::Array { data, attributes: None };
        let map = HashMap::<String, i64>::from_frame(flat(vec![text("a"), number(1)])).unwrap();
        assert_eq!(map["a"], 1);
        assert!(HashMap::<String, i64>::from_frame(flat(vec![text("a")])).is_err());
        assert!(<(i64, i64)>::from_frame(flat(vec![number(1)])).is_err());
        assert!(Vec::<i64>::from_frame(number(1)).is_err());
    }

    #[test]
    fn an_error_stays_an_error_whatever_was_wanted() {
        let error = || Frame::SimpleError { data: "WRONGTYPE no".into(), attributes: None };
        assert!(matches!(Bytes::from_frame(error()), Err(Error::Reply(_))));
        assert!(matches!(<()>::from_frame(error()), Err(Error::Reply(_))));
        assert!(matches!(Vec::<i64>::from_frame(error()), Err(Error::Reply(_))));
        assert!(matches!(Option::<i64>::from_frame(error()), Err(Error::Reply(_))));
    }
}
