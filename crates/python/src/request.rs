//! Python arguments to a request of the protocol.
//!
//! A request is written as a client would put it on a socket: an array of strings, appended to a
//! buffer that its owner keeps. What counts as a string is what redis-py lets count: bytes-like
//! objects as they are, `str` in the encoding in which replies are decoded, or in UTF-8 when they
//! are not (a command's name always), whole and floating numbers as Python prints them. A bool
//! or None is refused, because whoever passes one is mistaken about what will be stored. The
//! first argument may hold several words (`"CONFIG GET"`).
//!
//! Neighbours: `reply` is the way back. Tests: `tests/python/test_cache.py`.

use std::borrow::Cow;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyMemoryView, PyString, PyTuple};

use crate::reply::Text;

/// Appends one request; nothing, when it is refused.
pub(crate) fn encode(
    args: &Bound<'_, PyTuple>,
    text: Option<&Text>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let begin = out.len();
    let done = encode_args(args, text, out);
    if done.is_err() {
        out.truncate(begin);
    }
    done
}

fn encode_args(args: &Bound<'_, PyTuple>, text: Option<&Text>, out: &mut Vec<u8>) -> PyResult<()> {
    let name = name(args)?;
    let words = words_of(name.as_slice());
    number(b'*', words.clone().count() + args.len() - 1, out);
    words.for_each(|word| string(word, out));
    for arg in args.iter_borrowed().skip(1) {
        string(Bytes::of_arg(&arg, text)?.as_slice(), out);
    }
    Ok(())
}

/// Appends a request of words that were cut already.
pub(crate) fn encode_words(args: &[Bytes<'_>], out: &mut Vec<u8>) {
    number(b'*', args.len(), out);
    args.iter().for_each(|arg| string(arg.as_slice(), out));
}

/// The words of a request; at least one.
pub(crate) fn words<'py>(
    args: &Bound<'py, PyTuple>,
    text: Option<&Text>,
) -> PyResult<Vec<Bytes<'py>>> {
    let name = name(args)?;
    let mut words = Vec::with_capacity(args.len());
    if name.as_slice().contains(&b' ') {
        words.extend(words_of(name.as_slice()).map(|word| Bytes::Made(word.to_vec())));
    } else {
        words.push(name);
    }
    for arg in args.iter_borrowed().skip(1) {
        words.push(Bytes::of_arg(&arg, text)?);
    }
    Ok(words)
}

/// The first argument, which is a name.
pub(crate) fn name<'py>(args: &Bound<'py, PyTuple>) -> PyResult<Bytes<'py>> {
    let nameless = || PyValueError::new_err("a command has a name");
    let name = args.get_borrowed_item(0).map_err(|_| nameless())?;
    let name = Bytes::of(&name)?;
    let named = words_of(name.as_slice()).next().is_some();
    if named { Ok(name) } else { Err(nameless()) }
}

fn words_of(name: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    name.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// The bytes of an argument, kept alive by the object that has them.
pub(crate) enum Bytes<'py> {
    /// They are the object's own.
    Object(Bound<'py, PyBytes>),
    /// They were copied or printed.
    Made(Vec<u8>),
}

impl<'py> Bytes<'py> {
    /// The bytes that an argument stands for, in this encoding.
    #[inline]
    pub(crate) fn of_arg(value: &Bound<'py, PyAny>, text: Option<&Text>) -> PyResult<Self> {
        if let Some(text @ Text::Other { .. }) = text
            && let Ok(value) = value.cast::<PyString>()
        {
            return text.encode(value).map(Self::Object);
        }
        Self::of(value)
    }

    /// The same, in UTF-8.
    pub(crate) fn of(value: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(Self::Object(bytes.clone()));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self::Object(text.encode_utf8()?));
        }
        Self::of_other(value)
    }

    fn of_other(value: &Bound<'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyBool>() {
            return Err(refused(value));
        }
        if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
            if value.is_exact_instance_of::<PyInt>()
                && let Ok(value) = value.extract::<i64>()
            {
                return Ok(Self::Made(value.to_string().into_bytes()));
            }
            return Ok(Self::Object(value.repr()?.encode_utf8()?));
        }
        if let Ok(bytes) = value.cast::<PyByteArray>() {
            return Ok(Self::Made(bytes.to_vec()));
        }
        if value.is_instance_of::<PyMemoryView>() {
            let bytes = value.call_method0("tobytes")?.cast_into::<PyBytes>();
            return Ok(Self::Object(bytes.map_err(PyErr::from)?));
        }
        Err(refused(value))
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Object(bytes) => bytes.as_bytes(),
            Self::Made(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

#[cold]
fn refused(value: &Bound<'_, PyAny>) -> PyErr {
    let kind = value.get_type();
    let name = kind.name().map_or(Cow::Borrowed("?"), |name| name.to_string().into());
    PyTypeError::new_err(format!(
        "Invalid input of type: '{name}'. Convert to a bytes, string, int or float first."
    ))
}

/// Appends a string as both requests and replies have it.
pub(crate) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    number(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A line of a mark and a number.
fn number(mark: u8, value: usize, out: &mut Vec<u8>) {
    out.push(mark);
    if value < 10 {
        out.push(b'0' + value as u8);
    } else {
        out.extend_from_slice(value.to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
