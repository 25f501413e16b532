//! The library `struct`: values packed into strings by a format, as Roberto Ierusalimschy's
//! library of that name does it.
//!
//! A format is read character by character: `<` `>` order of bytes, `!n` alignment, `x` a byte of
//! padding, `b B h H l L T i I` integers, `f d` floats, `s` a string up to a zero, `cn` a string
//! of n bytes (`c0`: its whole length, or as many as the number before says).

use mlua::{BString, Lua, MultiValue, Result, Table, Value};

use crate::failure::{bad_argument, error};
use crate::random::number;

/// The widest integer in bytes.
const INTEGER_MAX: usize = 32;
/// Alignment of the machine.
const ALIGN_DEFAULT: usize = 8;

/// The library's table.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", lua.create_function(pack)?)?;
    table.raw_set("unpack", lua.create_function(unpack)?)?;
    table.raw_set("size", lua.create_function(size)?)?;
    Ok(table)
}

/// A format, being read.
struct Format<'a> {
    lua: &'a Lua,
    function: &'static str,
    rest: &'a [u8],
    little: bool,
    align: usize,
}

/// One item of a format that stands for bytes.
struct Item {
    option: u8,
    size: usize,
    /// Bytes of padding before it.
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, function: &'static str, text: &'a [u8]) -> Self {
        Self { lua, function, rest: text, little: true, align: 1 }
    }

    fn count(&mut self, default: usize) -> Result<usize> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if number.is_empty() {
            return Ok(default);
        }
        let parsed = std::str::from_utf8(number).ok().and_then(|text| text.parse::<i32>().ok());
        parsed.map(|n| n as usize).ok_or_else(|| error(self.lua, "integral size overflow"))
    }

    /// The next item, at `len` bytes from the start.
    fn next(&mut self, len: usize) -> Result<Option<Item>> {
        while let Some((&option, rest)) = self.rest.split_first() {
            self.rest = rest;
            let size = match option {
                b'b' | b'B' | b'x' => 1,
                b'h' | b'H' => 2,
                b'f' => 4,
                b'l' | b'L' | b'T' | b'd' => 8,
                b's' => 0,
                b'c' => self.count(1)?,
                b'i' | b'I' => {
                    let size = self.count(4)?;
                    if size > INTEGER_MAX {
                        let text =
                            format!("integral size {size} is larger than limit of {INTEGER_MAX}");
                        return Err(error(self.lua, text));
                    }
                    size
                }
                b' ' => continue,
                b'<' | b'>' => {
                    self.little = option == b'<';
                    continue;
                }
                b'!' => {
                    self.align = self.count(ALIGN_DEFAULT)?;
                    if !self.align.is_power_of_two() {
                        return Err(error(self.lua, "alignment is not a power of 2"));
                    }
                    continue;
                }
                other => {
                    let text = format!("invalid format option '{}'", char::from(other));
                    return Err(bad_argument(self.lua, 1, self.function, &text));
                }
            };
            let unit = size.min(self.align);
            let padding = match option {
                b'c' => 0,
                _ if unit > 1 => (unit - (len & (unit - 1))) & (unit - 1),
                _ => 0,
            };
            return Ok(Some(Item { option, size, padding }));
        }
        Ok(None)
    }

    fn ordered(&self, little: &mut [u8]) {
        if !self.little {
            little.reverse();
        }
    }
}

fn pack(lua: &Lua, (text, args): (BString, MultiValue)) -> Result<BString> {
    let mut format = Format::new(lua, "pack", &text);
    let mut out = Vec::new();
    let mut args = args.into_iter();
    let mut at = 1;
    while let Some(Item { option, size, padding }) = format.next(out.len())? {
        out.resize(out.len() + padding, 0);
        if option == b'x' {
            out.push(0);
            continue;
        }
        at += 1;
        let arg = args.next().unwrap_or(Value::Nil);
        match option {
            b's' | b'c' => {
                let Some(bytes) = lua.coerce_string(arg.clone())? else {
                    let got = if arg.is_nil() { "no value" } else { arg.type_name() };
                    let why = format!("string expected, got {got}");
                    return Err(bad_argument(lua, at, "pack", &why));
                };
                let bytes = bytes.as_bytes();
                let size = if size == 0 { bytes.len() } else { size };
                let Some(head) = bytes.get(..size) else {
                    return Err(bad_argument(lua, at, "pack", "string too short"));
                };
                out.extend_from_slice(head);
                if option == b's' {
                    out.push(0);
                }
            }
            b'f' => {
                let mut bytes = (number(lua, &arg, at, "pack")? as f32).to_le_bytes();
                format.ordered(&mut bytes);
                out.extend_from_slice(&bytes);
            }
            b'd' => {
                let mut bytes = number(lua, &arg, at, "pack")?.to_le_bytes();
                format.ordered(&mut bytes);
                out.extend_from_slice(&bytes);
            }
            _ => {
                let n = number(lua, &arg, at, "pack")?;
                let word = if n < 0.0 { n as i64 as u64 } else { n as u64 };
                let mut bytes = [0; INTEGER_MAX];
                bytes[..8].copy_from_slice(&word.to_le_bytes());
                format.ordered(&mut bytes[..size]);
                out.extend_from_slice(&bytes[..size]);
            }
        }
    }
    Ok(out.into())
}

fn unpack(lua: &Lua, (text, data, from): (BString, BString, Option<i64>)) -> Result<MultiValue> {
    let mut format = Format::new(lua, "unpack", &text);
    let Some(mut at) = from.unwrap_or(1).checked_sub(1).and_then(|at| usize::try_from(at).ok())
    else {
        return Err(bad_argument(lua, 3, "unpack", "offset must be 1 or greater"));
    };
    let short = || bad_argument(lua, 2, "unpack", "data string too short");
    let mut values: Vec<Value> = Vec::new();
    while let Some(Item { option, size, padding }) = format.next(at)? {
        at += padding;
        let mut size = size;
        if option == b'c' && size == 0 {
            let counted = match values.pop() {
                Some(Value::Integer(n)) => usize::try_from(n).ok(),
                Some(Value::Number(n)) if n >= 0.0 => Some(n as usize),
                _ => return Err(error(lua, "format 'c0' needs a previous size")),
            };
            size = counted.ok_or_else(short)?;
        }
        let bytes = at.checked_add(size).and_then(|end| data.get(at..end)).ok_or_else(short)?;
        let value = match option {
            b'x' => None,
            b's' => {
                let Some(len) = data[at..].iter().position(|byte| *byte == 0) else {
                    return Err(error(lua, "unfinished string in data"));
                };
                size = len + 1;
                Some(Value::String(lua.create_string(&data[at..at + len])?))
            }
            b'c' => Some(Value::String(lua.create_string(bytes)?)),
            _ => Some(Value::Number(read_number(&format, option, bytes))),
        };
        values.extend(value);
        at += size;
    }
    values.push(Value::Integer(at as i64 + 1));
    Ok(values.into_iter().collect())
}

fn read_number(format: &Format<'_>, option: u8, bytes: &[u8]) -> f64 {
    let size = bytes.len();
    let mut little = [0; INTEGER_MAX];
    little[..size].copy_from_slice(bytes);
    format.ordered(&mut little[..size]);
    let mut word = [0; 8];
    word.copy_from_slice(&little[..8]);
    let word = u64::from_le_bytes(word);
    match option {
        b'f' => f64::from(f32::from_bits(word as u32)),
        b'd' => f64::from_bits(word),
        _ if option.is_ascii_uppercase() => word as f64,
        _ if size == 0 || size >= 8 => word as i64 as f64,
        _ => {
            let unused = 64 - 8 * size as u32;
            ((word << unused) as i64 >> unused) as f64
        }
    }
}

fn size(lua: &Lua, text: BString) -> Result<i64> {
    let mut format = Format::new(lua, "size", &text);
    let mut at = 0;
    while let Some(Item { option, size, padding }) = format.next(at)? {
        match (option, size) {
            (b's', _) => {
                return Err(bad_argument(lua, 1, "size", "variable-size format in string"));
            }
            (b'c', 0) => {
                return Err(bad_argument(lua, 1, "size", "variable-length format in string"));
            }
            _ => at += padding + size,
        }
    }
    Ok(at as i64)
}
