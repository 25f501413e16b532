//! The payload of FUNCTION DUMP: the texts of libraries, one after the other.
//!
//! ```text
//!  payload: | 245, 1 | text | 245, 1 | text | ... | version, 2 | CRC-64 of all before it, 8 |
//! ```
//!
//! What a library is called and which functions it has says its text, so nothing else is written.
//! Redis has had this form since 7.0, whose version is the one in the footer. The form of its
//! previews (246) is refused. Neighbours: `payload` has the footer. Tests at the bottom; against
//! real servers `tests/tests/dump.rs` of the workspace.

use std::fmt;

use crate::payload::{VERSION_COMMON, body, sign};
use crate::reader::Reader;
use crate::writer::Writer;

/// A library follows.
const LIBRARY: u8 = 245;
/// A library follows as the previews of Redis 7.0 wrote it.
const LIBRARY_PREVIEW: u8 = 246;

/// Why a payload of libraries was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLibraries {
    /// It is of a version that is not known, or not what was dumped.
    Footer,
    /// It is of a time when the format was not settled.
    Preview,
    /// Something in it is no library.
    Other,
    /// The text of a library is damaged.
    Text,
}

impl fmt::Display for NoLibraries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Footer => "DUMP payload version or checksum are wrong",
            Self::Preview => "Pre-GA function format not supported",
            Self::Other => "given type is not a function",
            Self::Text => "Failed loading library payload",
        })
    }
}

impl std::error::Error for NoLibraries {}

/// The payload of libraries. `compress` says whether long texts in it are compressed.
pub fn dump_libraries<'a>(texts: impl Iterator<Item = &'a [u8]>, compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(compress);
    for text in texts {
        writer.byte(LIBRARY);
        writer.string(text);
    }
    sign(writer, VERSION_COMMON)
}

/// The texts of the libraries in a payload.
///
/// # Errors
/// [`NoLibraries`], when it is none that could have been dumped.
pub fn restore_libraries(payload: &[u8]) -> Result<Vec<Vec<u8>>, NoLibraries> {
    let (_, body) = body(payload).ok_or(NoLibraries::Footer)?;
    let mut reader = Reader::new(body);
    let mut texts = Vec::new();
    while let Some(code) = reader.byte() {
        match code {
            LIBRARY => texts.push(reader.string().ok_or(NoLibraries::Text)?.into_owned()),
            LIBRARY_PREVIEW => return Err(NoLibraries::Preview),
            _ => return Err(NoLibraries::Other),
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::{NoLibraries, dump_libraries, restore_libraries};
    use crate::payload::sign;
    use crate::writer::Writer;

    #[test]
    fn texts_come_back() {
        let long = b"return 1 ".repeat(1000);
        let texts = [&b"#!lua name=a\n"[..], &long, b""];
        for compress in [false, true] {
            let payload = dump_libraries(texts.iter().copied(), compress);
            assert_eq!(restore_libraries(&payload).unwrap(), texts);
            for cut in 0..payload.len() {
                assert!(restore_libraries(&payload[..cut]).is_err());
            }
        }
        assert_eq!(restore_libraries(&dump_libraries([].into_iter(), true)), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_library_is_refused() {
        let refusal = |bytes: &[u8]| {
            let mut writer = Writer::new(false);
            writer.bytes(bytes);
            restore_libraries(&sign(writer, 10)).unwrap_err()
        };
        assert_eq!(refusal(&[245]), NoLibraries::Text);
        assert_eq!(refusal(&[245, 5, b'a']), NoLibraries::Text);
        assert_eq!(refusal(&[246, 1, b'a']), NoLibraries::Preview);
        assert_eq!(refusal(&[0, 1, b'a']), NoLibraries::Other);
    }
}
