//! A reply as text, in the style of `redis-cli` on a terminal.
//!
//! `OK`, `(integer) 1`, `"v"`, `(nil)`, `(error) ERR ...`, `1) "a"` with nesting by indentation,
//! `1# "k" => "v"` for maps, `1~ "m"` for sets, `(double) 1.5`, `(true)`. Equal text must mean
//! equal replies on the wire, which redis-cli does not promise, so where it prints two kinds of
//! reply alike this differs: a null array of RESP2 is `(nil array)`, a push is `1> "message"`, a
//! verbatim string is `(verbatim txt) "..."`, an empty status is `(empty status)`.
//!
//! Rules: no line has blanks at its end (editors eat them), and no line of a reply is empty.
//!
//! The other direction, what a line of a file must match, is [`super::expect`].

use super::quote::quoted;
use crate::target::Value;

/// The lines that show `value`.
pub fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => aggregate(items, ')', "(empty array)"),
        Value::Set(items) => aggregate(items, '~', "(empty set)"),
        Value::Push(items) => aggregate(items, '>', "(empty push)"),
        Value::Map(pairs) => map(pairs, "(empty hash)"),
        Value::Attribute(pairs, value) => {
            let mut out = vec!["(attribute)".to_owned()];
            out.extend(map(pairs, "(empty attribute)"));
            out.extend(lines(value));
            out
        }
        single => vec![line(single)],
    }
}

/// `value` with the parts sorted whose order means nothing: sets, maps, and arrays of plain
/// values. What is an array of arrays keeps its order, since that is a cursor beside its keys.
pub fn sorted(value: Value) -> Value {
    let plain =
        |v: &Value| !matches!(v, Value::Array(_) | Value::Set(_) | Value::Map(_) | Value::Push(_));
    let by_text = |items: Vec<Value>| {
        let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
        items.sort_by_cached_key(lines);
        items
    };
    match value {
        Value::Array(items) if items.iter().all(plain) => Value::Array(by_text(items)),
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Set(items) => Value::Set(by_text(items)),
        Value::Map(pairs) => {
            let mut pairs: Vec<_> =
                pairs.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by_cached_key(|(key, _)| lines(key));
            Value::Map(pairs)
        }
        other => other,
    }
}

fn line(value: &Value) -> String {
    match value {
        Value::Simple(text) if text.is_empty() => "(empty status)".to_owned(),
        Value::Simple(text) => printable(text),
        Value::Error(text) => format!("(error) {}", printable(text)),
        Value::Integer(n) => format!("(integer) {n}"),
        Value::Bulk(bytes) => quoted(bytes),
        Value::Null => "(nil)".to_owned(),
        Value::NullArray => "(nil array)".to_owned(),
        Value::Double(text) => format!("(double) {text}"),
        Value::Boolean(true) => "(true)".to_owned(),
        Value::Boolean(false) => "(false)".to_owned(),
        Value::BigNumber(digits) => format!("(big number) {digits}"),
        Value::Verbatim(format, text) => format!("(verbatim {format}) {}", quoted(text)),
        _ => String::new(),
    }
}

/// A line of text without blanks at its end; control characters, which an error may repeat from
/// the request, as `\xHH`.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim_end_matches(' ').chars() {
        if c.is_control() {
            out.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn aggregate(items: &[Value], mark: char, empty: &str) -> Vec<String> {
    if items.is_empty() {
        return vec![empty.to_owned()];
    }
    let width = items.len().to_string().len();
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let head = format!("{:>width$}{mark} ", index + 1);
        indent(&mut out, &head, width, lines(item));
    }
    out
}

fn map(pairs: &[(Value, Value)], empty: &str) -> Vec<String> {
    if pairs.is_empty() {
        return vec![empty.to_owned()];
    }
    let width = pairs.len().to_string().len();
    let mut out = Vec::new();
    for (index, (key, value)) in pairs.iter().enumerate() {
        let head = format!("{:>width$}# ", index + 1);
        indent(&mut out, &head, width, lines(key));
        let value = lines(value);
        if let Some(last) = out.last_mut() {
            last.push_str(" =>");
            if let [only] = value.as_slice() {
                last.push(' ');
                last.push_str(only);
                continue;
            }
        }
        let margin = " ".repeat(width + 2);
        out.extend(value.into_iter().map(|line| format!("{margin}{line}")));
    }
    out
}

fn indent(out: &mut Vec<String>, head: &str, width: usize, lines: Vec<String>) {
    let margin = " ".repeat(width + 2);
    for (index, line) in lines.into_iter().enumerate() {
        out.push(if index == 0 { format!("{head}{line}") } else { format!("{margin}{line}") });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    #[test]
    fn nested_replies_are_indented_as_redis_cli_indents_them() {
        let inner = Value::Array(vec![bulk("a"), Value::Integer(1)]);
        let outer = Value::Array(vec![inner.clone(), Value::Array(vec![]), Value::Null]);
        let expected = ["1) 1) \"a\"", "   2) (integer) 1", "2) (empty array)", "3) (nil)"];
        assert_eq!(lines(&outer), expected);
        let map = Value::Map(vec![(bulk("k"), bulk("v")), (bulk("list"), inner)]);
        let expected = ["1# \"k\" => \"v\"", "2# \"list\" =>", "   1) \"a\"", "   2) (integer) 1"];
        assert_eq!(lines(&map), expected);
    }

    #[test]
    fn numbers_of_ten_and_more_are_aligned() {
        let shown = lines(&Value::Set(vec![Value::Boolean(true); 10]));
        assert_eq!((shown[0].as_str(), shown[9].as_str()), (" 1~ (true)", "10~ (true)"));
    }

    #[test]
    fn sorting_leaves_a_cursor_beside_its_keys() {
        let scan = Value::Array(vec![bulk("17"), Value::Array(vec![bulk("b"), bulk("a")])]);
        let expected = Value::Array(vec![bulk("17"), Value::Array(vec![bulk("a"), bulk("b")])]);
        assert_eq!(lines(&sorted(scan)), lines(&expected));
    }
}
