//! Random commands that are worth asking.
//!
//! A command is made from a template line of a table, because purely random words are refused at
//! the first one and find nothing; then, sometimes, it is spoiled (a word dropped, doubled,
//! replaced, in another case), because that is where the order of the checks shows. Keys are few,
//! so that commands meet; numbers are those at which something happens.
//!
//! Rules: what is made does not depend on time. Deadlines lie in the past or years ahead, what is
//! relative is never compared with `GT` or `LT`, and no word is a small positive time. Offsets
//! stay below a few thousand or are refused. The same seed makes the same commands for ever.
//!
//! `tests/tests/differential.rs` asks two servers with this.

mod geo;
mod hashes;
mod hyperloglog;
mod lists;
mod sets;
mod sorted_sets;
mod streams;
mod strings;

use fastrand::Rng;

/// Makes commands from a seed.
#[derive(Debug)]
pub struct Generator {
    rng: Rng,
}

/// Commands of one family: their templates, and the slots that only they have.
///
/// Words are separated by blanks. `{slot}` is filled from the list of that name, `a|b` is one of
/// both, a `?` at the end means perhaps, a `*` one to three times. What a family's own slot offers
/// may be several words.
struct Family {
    templates: &'static [&'static str],
    slots: &'static [(&'static str, &'static [&'static str])],
}

/// All families. A command is taken from a family in proportion to its templates.
const FAMILIES: &[Family] = &[
    geo::FAMILY,
    hashes::FAMILY,
    hyperloglog::FAMILY,
    lists::FAMILY,
    sets::FAMILY,
    sorted_sets::FAMILY,
    streams::FAMILY,
    strings::FAMILY,
];

/// The only keys there are.
pub const KEYS: &[&[u8]] = &[b"a", b"b", b"c", b"key:1", b"key:2", b"\x00\xff\r\n", b""];
const VALUES: &[&[u8]] = &[
    b"",
    b"a",
    b"ohmytext",
    b"mynewtext",
    b"\x00\x01\xff\x80",
    b"\r\n",
    b"abcdefghijklmnopqrstuvwxyz",
    b"10",
    b"-1",
    b"3.0e3",
    b"0123456789012345678901234567890123456789012345678901234567890123456789",
];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "10",
    "255",
    "-129",
    "9999",
    "2147483648",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "9223372036854775808",
    "",
    "abc",
    "1.5",
    " 1",
    "1 ",
    "01",
    "+1",
    "-0",
    "0x10",
];
const FLOATS: &[&str] = &[
    "0",
    "0.1",
    "-0.1",
    "3.5",
    "1e10",
    "-1.5e-5",
    "5.0e3",
    "1e17",
    "1e18",
    "123456789.123456789",
    "9223372036854775807",
    "1e308",
    "1e400",
    "-1e4931",
    "nan",
    "inf",
    "-inf",
    "infinity",
    "",
    " 1",
    "1 ",
    "10.",
    ".5",
    "0x1p3",
    "1e",
    "--1",
    "abc",
    "0.000000000000000001",
    "3.14159265358979323846",
];
const INDICES: &[&str] = &[
    "0",
    "1",
    "2",
    "7",
    "8",
    "-1",
    "-2",
    "-7",
    "30",
    "-30",
    "100",
    "-100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "x",
    "",
    "1.0",
];
const OFFSETS: &[&str] =
    &["0", "1", "3", "10", "44", "64", "200", "-1", "536870912", "9223372036854775807", "x", ""];
const BITS: &[&str] = &[
    "0",
    "1",
    "7",
    "8",
    "9",
    "31",
    "63",
    "64",
    "100",
    "1000",
    "-1",
    "4294967296",
    "9223372036854775807",
    "x",
    "01",
];
const FIELDS: &[&str] = &["0", "1", "7", "8", "60", "100", "#0", "#1", "#7", "-1", "#-1", "#", "x"];
const TYPES: &[&str] = &[
    "u1", "u2", "u7", "u8", "u16", "u32", "u63", "u64", "i1", "i2", "i5", "i8", "i16", "i33",
    "i64", "i65", "u0", "x8", "8", "u", "u08",
];
const PATTERNS: &[&str] = &[
    "*", "a", "key:*", "*:?", "[a-b]", "[^a]", "[b-a]", "\\a", "?", "", "**", "[", "a*b", "[\\a]",
    "*1",
];
const NO_TIMES: &[&str] = &[
    "0",
    "-1",
    "x",
    "",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
];
const DATABASES: &[&str] = &["0", "1", "0", "1", "16", "-1", "x", "", "9223372036854775807"];
/// What replaces a word when a command is spoiled; none of them is a small time.
const AWKWARD: &[&str] = &[
    "",
    "x",
    "-1",
    "0",
    "1.5",
    "nan",
    " 1",
    "01",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "\r\n",
];

impl Generator {
    /// A generator that always makes the same commands from the same seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed) }
    }

    /// The next command.
    pub fn command(&mut self) -> Vec<Vec<u8>> {
        let all: Vec<&str> = FAMILIES.iter().flat_map(|family| family.templates).copied().collect();
        let template = self.one(&all);
        let mut words = Vec::new();
        for word in template.split(' ') {
            self.word(word, &mut words);
        }
        // Another score among members that are asked by their bytes would make answers undefined.
        if self.rng.u32(..100) < 8 && !template.contains("{zlex}") {
            self.spoil(&mut words);
        }
        words
    }

    fn word(&mut self, word: &str, words: &mut Vec<Vec<u8>>) {
        let (word, times) = if let Some(word) = word.strip_suffix('?') {
            (word, usize::from(self.rng.bool()))
        } else if let Some(word) = word.strip_suffix('*') {
            (word, self.rng.usize(1..=3))
        } else {
            (word, 1)
        };
        for _ in 0..times {
            if let Some(slot) = word.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
                self.slot(slot, words);
            } else {
                let choices: Vec<&str> = word.split('|').collect();
                words.push(self.one(&choices).as_bytes().to_vec());
            }
        }
    }

    fn slot(&mut self, slot: &str, words: &mut Vec<Vec<u8>>) {
        let text = match slot {
            "key" => return words.push(self.one(KEYS).to_vec()),
            "value" => return words.push(self.one(VALUES).to_vec()),
            "pair" => {
                words.push(self.one(KEYS).to_vec());
                return words.push(self.one(VALUES).to_vec());
            }
            "integer" => self.one(INTEGERS),
            "float" => self.one(FLOATS),
            "index" => self.one(INDICES),
            "offset" => self.one(OFFSETS),
            "bit" => self.one(BITS),
            "bit_value" => self.one(&["0", "1", "0", "1", "0", "1", "2", "-1", "x", ""]),
            "field" => self.one(FIELDS),
            "type" => self.one(TYPES),
            "pattern" => self.one(PATTERNS),
            "no_time" => self.one(NO_TIMES),
            "far_s" => self.one(&["33177117420", "33177117421", "33177117999", "1"]),
            // Keys whose deadline is past count for Valkey's DBSIZE until it comes across them.
            "future_s" => self.one(&["33177117420", "33177117421", "33177117999"]),
            "far_ms" => self.one(&["33177117420000", "33177117420001", "33177117999123", "1"]),
            "relative_s" => self.one(&["100000", "2000000"]),
            "relative_ms" => self.one(&["100000000", "2000000000"]),
            "count" => self.one(&["1", "2", "3", "1", "2", "3", "0", "-1", "x", "99999999999"]),
            "small" => self.one(&["0", "1", "4", "-1", "x"]),
            "database" => self.one(DATABASES),
            "no_cursor" => self.one(&["x", "-1", "", "18446744073709551616", "1.5"]),
            "no_count" => self.one(&["0", "-1", "x", ""]),
            other => {
                let mut slots = FAMILIES.iter().flat_map(|family| family.slots);
                let Some((_, list)) = slots.find(|(name, _)| *name == other) else {
                    unreachable!("no slot is named {other}")
                };
                let chosen = self.one(list).split(' ');
                return words.extend(chosen.map(|word| word.as_bytes().to_vec()));
            }
        };
        words.push(text.as_bytes().to_vec());
    }

    fn spoil(&mut self, words: &mut Vec<Vec<u8>>) {
        let at = self.rng.usize(..words.len());
        match self.rng.u32(..5) {
            0 if at > 0 => {
                words.remove(at);
            }
            1 if at > 0 => words[at] = self.one(AWKWARD).as_bytes().to_vec(),
            2 => words.push(self.one(AWKWARD).as_bytes().to_vec()),
            3 => words.insert(at + 1, words[at].clone()),
            _ => words[at] = words[at].to_ascii_lowercase(),
        }
    }

    fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.usize(..list.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_filled_and_a_seed_repeats_itself() {
        let commands = |seed| {
            let mut generator = Generator::new(seed);
            (0..20_000).map(|_| generator.command()).collect::<Vec<_>>()
        };
        let made = commands(1);
        assert!(made.iter().all(|words| !words.is_empty()));
        assert_eq!(made, commands(1));
        assert_ne!(made, commands(2));
    }
}
