//! Templates for lists. Nodes are small now and then, so that a few elements fill several.

use super::Family;

pub(super) const FAMILY: Family = Family { templates: TEMPLATES, slots: SLOTS };

const TEMPLATES: &[&str] = &[
    "LPUSH {key} {element}*",
    "RPUSH {key} {element}*",
    "LPUSH {key} {element}* {element}*",
    "RPUSH {key} {element}* {element}*",
    "RPUSH {key} {long}*",
    "LPUSH {key} {long} {element}*",
    "LPUSHX {key} {element}*",
    "RPUSHX {key} {element}*",
    "LPOP {key}",
    "RPOP {key}",
    "LPOP {key} {few}",
    "RPOP {key} {few}",
    "LLEN {key}",
    "LRANGE {key} 0 -1",
    "LRANGE {key} 0 -1",
    "LRANGE {key} {index} {index}",
    "LINDEX {key} {index}",
    "LINSERT {key} BEFORE|AFTER|BEFORE|AFTER|beside {element} {element}",
    "LINSERT {key} BEFORE|AFTER {element} {long}",
    "LINSERT {key} BEFORE|AFTER {long} {element}",
    "LSET {key} {index} {element}",
    "LSET {key} {index} {long}",
    "LREM {key} {occurrences} {element}",
    "LREM {key} {occurrences} {long}",
    "LTRIM {key} {index} {index}",
    "LTRIM {key} {few} -1",
    "LPOS {key} {element}",
    "LPOS {key} {element} RANK {rank}",
    "LPOS {key} {element} RANK {rank} COUNT {few} MAXLEN {few}",
    "LPOS {key} {element} COUNT|MAXLEN {few} RANK|COUNT|nonsense? {rank}?",
    "LMOVE {key} {key} LEFT|RIGHT LEFT|RIGHT",
    "LMOVE {key} {key} LEFT|RIGHT LEFT|RIGHT|up",
    "RPOPLPUSH {key} {key}",
    "LMPOP {count} {key}* LEFT|RIGHT",
    "LMPOP {count} {key}* LEFT|RIGHT COUNT {few} COUNT? {few}?",
    "TYPE {key}",
    "SCAN 0 COUNT 1000 TYPE list",
    "COPY {key} {key} REPLACE",
    "CONFIG SET list-max-listpack-size {node}",
];

const SLOTS: &[(&str, &[&str])] = &[
    ("element", &["a", "b", "", "1", "-1", "4095", "70000", "01", "a b", "9223372036854775807"]),
    (
        "long",
        &[
            "0123456789012345678901234567890123456789012345678901234567890123456789",
            X_200,
            Y_3000,
            Z_5000,
            W_9000,
        ],
    ),
    ("few", &["0", "1", "2", "3", "5", "1", "2", "100", "-1", "x", "9223372036854775807"]),
    ("occurrences", &["0", "1", "-1", "2", "-2", "0", "x", "9223372036854775807"]),
    ("rank", &["1", "-1", "2", "-2", "3", "0", "x", "-9223372036854775808"]),
    ("node", &["-2", "-2", "-1", "1", "2", "4", "0", "16", "-5", "128"]),
];

const X_200: &str = text(&[b'x'; 200]);
const Y_3000: &str = text(&[b'y'; 3_000]);
const Z_5000: &str = text(&[b'z'; 5_000]);
const W_9000: &str = text(&[b'w'; 9_000]);

const fn text(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("it is ASCII"),
    }
}
