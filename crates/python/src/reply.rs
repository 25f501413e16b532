//! Replies of the protocol to Python objects.
//!
//! The objects are those that redis-py makes of the same bytes, under both protocols: a set
//! becomes a list (its members may be unhashable), a map a dict, a verbatim string loses the mark
//! of its format, an error becomes what the given function makes of its text (and is not raised:
//! it may lie inside an array). What a reply holds is copied once, from the buffer into the object.
//!
//! The replies come from our own engine, whole unless a fault has cut one: a byte that cannot be
//! is a mistake of ours and raises RuntimeError. Neighbours: `request` is the way there, `client`
//! reads here.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

/// What becomes of strings, errors and messages.
pub(crate) struct Style {
    /// Encoding and what to do where it fails, when strings are to be text.
    pub(crate) text: Option<Text>,
    /// Makes an exception of an error's text.
    pub(crate) error: Py<PyAny>,
    /// Makes something of a message, a list, that can be told from a reply.
    pub(crate) push: Py<PyAny>,
}

impl Style {
    /// The same once more.
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        let (error, push) = (self.error.clone_ref(py), self.push.clone_ref(py));
        Self { text: self.text.clone(), error, push }
    }

    /// A string under a lock of the engine's: only what runs no Python code is made there, and
    /// anything else is a copy to be decoded later.
    #[inline]
    pub(crate) fn string_at_once<'py>(
        &self,
        py: Python<'py>,
        bytes: &[u8],
    ) -> Result<Bound<'py, PyAny>, Vec<u8>> {
        match &self.text {
            None => Ok(PyBytes::new(py, bytes).into_any()),
            Some(Text::Utf8) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(PyString::new(py, text).into_any()),
                Err(_) => Err(bytes.to_vec()),
            },
            Some(Text::Other { .. }) => Err(bytes.to_vec()),
        }
    }

    /// A string, as text if it is to be.
    #[inline]
    pub(crate) fn string<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match &self.text {
            None => Ok(PyBytes::new(py, bytes).into_any()),
            Some(text) => text.decode(py, bytes),
        }
    }
}

/// How bytes become text, and text bytes.
#[derive(Clone)]
pub(crate) enum Text {
    /// Strict UTF-8, the usual.
    Utf8,
    /// What `bytes.decode` and `str.encode` are given.
    Other {
        /// Name of the encoding.
        encoding: String,
        /// Name of the error handler.
        errors: String,
    },
}

impl Text {
    pub(crate) fn new(encoding: String, errors: String) -> Self {
        let plain = encoding.replace('_', "-").eq_ignore_ascii_case("utf-8");
        if plain && errors == "strict" { Self::Utf8 } else { Self::Other { encoding, errors } }
    }

    /// The bytes of a text.
    pub(crate) fn encode<'py>(&self, text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
        match self {
            Self::Utf8 => text.encode_utf8(),
            Self::Other { encoding, errors } => {
                let bytes = text.call_method1("encode", (encoding, errors))?;
                Ok(bytes.cast_into::<PyBytes>()?)
            }
        }
    }

    /// The text of some bytes.
    pub(crate) fn decode<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(PyString::new(py, text).into_any()),
                // Python makes the error that its users expect.
                Err(_) => PyBytes::new(py, bytes).call_method1("decode", ("utf-8",)),
            },
            Self::Other { encoding, errors } => {
                PyBytes::new(py, bytes).call_method1("decode", (encoding, errors))
            }
        }
    }
}

/// Reads replies, one after the other, from bytes that hold whole ones.
pub(crate) struct Replies<'a, 'py> {
    py: Python<'py>,
    style: &'a Style,
    /// Strings stay bytes, whatever the style says.
    raw: bool,
    bytes: &'a [u8],
    at: usize,
}

impl<'a, 'py> Replies<'a, 'py> {
    pub(crate) fn new(
        py: Python<'py>,
        style: &'a Style,
        raw: bool,
        (bytes, at): (&'a [u8], usize),
    ) -> Self {
        Self { py, style, raw, bytes, at }
    }

    /// How far they were read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next one; it must be there.
    pub(crate) fn next(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let (mark, line) = self.line()?;
        match mark {
            b'+' => self.string(line),
            b'$' => match self.length(line)? {
                Some(len) => {
                    let bytes = self.take(len)?;
                    self.string(bytes)
                }
                None => Ok(self.none()),
            },
            b':' => Ok(PyInt::new(self.py, integer(line)?).into_any()),
            b'*' | b'~' => match self.length(line)? {
                Some(len) => Ok(self.list(len)?.into_any()),
                None => Ok(self.none()),
            },
            b'_' => Ok(self.none()),
            b'%' => self.map(line),
            _ => self.rare(mark, line),
        }
    }

    fn rare(&mut self, mark: u8, line: &'a [u8]) -> PyResult<Bound<'py, PyAny>> {
        let length = |line| usize::try_from(integer(line)?).map_err(|_| broken("a length"));
        match mark {
            b'-' => self.error(line),
            b'!' => {
                let text = self.take(length(line)?)?;
                self.error(text)
            }
            b'=' => {
                let text = self.take(length(line)?)?;
                self.string(text.get(4..).unwrap_or_default())
            }
            b',' => {
                let text = std::str::from_utf8(line).map_err(|_| broken("a number"))?;
                let value = text.parse().map_err(|_| broken("a number"))?;
                Ok(PyFloat::new(self.py, value).into_any())
            }
            b'#' => Ok(PyBool::new(self.py, line == b"t").to_owned().into_any()),
            b'(' => {
                let digits = String::from_utf8_lossy(line);
                self.py.get_type::<PyInt>().call1((digits,))
            }
            b'>' => {
                let items = self.list(length(line)?)?;
                self.style.push.bind(self.py).call1((items,))
            }
            b'|' => {
                // What is said about a reply is not part of it.
                self.map(line)?;
                self.next()
            }
            _ => Err(broken("a kind of reply")),
        }
    }

    fn list(&mut self, len: usize) -> PyResult<Bound<'py, PyList>> {
        let mut items = Vec::with_capacity(len.min(1024));
        for _ in 0..len {
            items.push(self.next()?);
        }
        PyList::new(self.py, items)
    }

    fn map(&mut self, line: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let items = PyDict::new(self.py);
        for _ in 0..integer(line)? {
            let key = self.next()?;
            items.set_item(key, self.next()?)?;
        }
        Ok(items.into_any())
    }

    fn string(&self, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        if self.raw {
            return Ok(PyBytes::new(self.py, bytes).into_any());
        }
        self.style.string(self.py, bytes)
    }

    fn error(&self, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.style.error.bind(self.py).call1((String::from_utf8_lossy(text),))
    }

    fn none(&self) -> Bound<'py, PyAny> {
        self.py.None().into_bound(self.py)
    }

    /// A length; none for the null that RESP2 writes as -1.
    fn length(&self, line: &[u8]) -> PyResult<Option<usize>> {
        Ok(usize::try_from(integer(line)?).ok())
    }

    /// A line without its end: the mark and the rest.
    fn line(&mut self) -> PyResult<(u8, &'a [u8])> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == b'\r').ok_or_else(|| broken("a line"))?;
        let (mark, line) = rest[..len].split_first().ok_or_else(|| broken("a mark"))?;
        self.end(len)?;
        Ok((*mark, line))
    }

    /// Some bytes and the end of their line.
    fn take(&mut self, len: usize) -> PyResult<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at + len).ok_or_else(|| broken("a string"))?;
        self.end(len)?;
        Ok(bytes)
    }

    /// Goes behind so many bytes and the end of their line, which must be there.
    fn end(&mut self, len: usize) -> PyResult<()> {
        self.at += len + 2;
        if self.at <= self.bytes.len() { Ok(()) } else { Err(broken("the end of a line")) }
    }
}

fn integer(line: &[u8]) -> PyResult<i64> {
    let (negative, digits) = match line.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, line),
    };
    let mut value: i64 = 0;
    for digit in digits {
        // Built downwards, because the least integer has no positive twin.
        let digit = i64::from(digit.wrapping_sub(b'0'));
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_sub(digit))
            .ok_or_else(|| broken("an integer"))?;
    }
    Ok(if negative { value } else { -value })
}

#[cold]
fn broken(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!("a reply of the engine could not be read: {what}"))
}
