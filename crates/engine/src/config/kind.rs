//! What a parameter accepts: from the words of a user to canonical text, or the exact refusal.
//!
//! A [`Kind`] is data in a parameter's row. [`Kind::canonical`] checks words against it and gives
//! the text that CONFIG GET prints, which `value` then reads into a typed field. Parameters whose
//! feature is absent have kinds too: a wrong value is refused for what it is, and a right one can
//! be compared with the effective one.
//!
//! Rules: every text that arrives here may be anything, and nothing panics. Error texts are those
//! of Valkey 9.1. Where the real server lets a size wrap round (`17179869184gb` becomes 0) it is
//! refused instead.

use std::borrow::Cow;

use super::value::{Events, OutputLimit, OutputLimits, Typed};

/// What a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A decimal number within bounds.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number that is accepted within the outer bounds and then brought within the inner ones.
    Pace {
        /// The greatest that is accepted.
        max: i64,
        /// The least that is used.
        low: i64,
        /// The greatest that is used.
        high: i64,
    },
    /// Bytes, with the units `k kb m mb g gb`, within bounds.
    Memory {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Bytes, or per cent.
    MemoryOrPercent,
    /// Permission bits in octal, up to 777.
    Octal,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words.
    Flags(&'static [&'static str]),
    /// Any text.
    Text,
    /// Any text but the empty one: the path of a directory.
    Directory,
    /// The name of a file, without a path.
    FileName,
    /// A version such as `7.4.0`.
    Version,
    /// At most so many words.
    Words(usize),
    /// Numbers from 0 to 100.
    Percentiles,
    /// `class hard soft seconds` entries.
    OutputLimits,
    /// `database count` entries; 0 removes the database's.
    DatabaseCounts,
    /// `seconds changes` entries.
    SavePoints,
    /// Three numbers from -2000 to 2000.
    OomScores,
    /// Letters that stand for classes of events.
    Events,
    /// `host port`, or `no one`.
    Primary,
}

/// Why a value is refused.
pub(super) type Refusal = Cow<'static, str>;

/// A count or size without a limit of its own.
pub(super) const COUNT: Kind = Kind::Integer { min: 0, max: i64::MAX };
/// A number that fits a C int, from 0.
pub(super) const INT: Kind = Kind::Integer { min: 0, max: i32::MAX as i64 };
/// A port, 0 for none.
pub(super) const PORT: Kind = Kind::Integer { min: 0, max: u16::MAX as i64 };
/// A size without a limit of its own.
pub(super) const SIZE: Kind = Kind::Memory { min: 0, max: i64::MAX as u64 };

impl Kind {
    /// Whether it takes several words.
    pub const fn takes_words(&self) -> bool {
        matches!(
            self,
            Self::Flags(_)
                | Self::Words(_)
                | Self::Percentiles
                | Self::OutputLimits
                | Self::DatabaseCounts
                | Self::SavePoints
                | Self::OomScores
                | Self::Primary
        )
    }

    /// The canonical text of a value given as words; `current` is the canonical text that it
    /// replaces, of which some kinds keep parts.
    pub(super) fn canonical(&self, words: &[&str], current: &str) -> Result<String, Refusal> {
        if self.takes_words() {
            return self.canonical_list(words, current);
        }
        let [word] = words else { return Err(WRONG_NUMBER) };
        self.canonical_word(word)
    }

    fn canonical_word(&self, word: &str) -> Result<String, Refusal> {
        match *self {
            Self::Bool => {
                let known = ["yes", "no"].into_iter().find(|name| name.eq_ignore_ascii_case(word));
                Ok(known.ok_or("argument must be 'yes' or 'no'")?.to_owned())
            }
            Self::Integer { min, max } => {
                let number = integer(word)?;
                within(number, min, max).map(|()| number.to_string())
            }
            Self::Pace { max, low, high } => {
                let number = integer(word)?;
                within(number, 0, max).map(|()| number.clamp(low, high).to_string())
            }
            Self::Memory { min, max } => {
                let bytes = memory(word).ok_or("argument must be a memory value")?;
                within(bytes, min, max).map(|()| bytes.to_string())
            }
            Self::MemoryOrPercent => memory_or_percent(word),
            Self::Octal => octal(word),
            Self::Choice(names) => {
                choice(names, word).map(str::to_owned).ok_or_else(|| not_one_of(names))
            }
            Self::Directory if word.is_empty() => Err("dir can't be empty".into()),
            Self::FileName if word.contains('/') => {
                Err("dbfilename can't be a path, just a filename".into())
            }
            Self::Version if !is_version(word) => {
                Err("argument must be a version of three numbers such as 7.4.0".into())
            }
            Self::Events => {
                let events = Events::read(word);
                let wrong = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
                Ok(events.ok_or(wrong)?.text())
            }
            _ => Ok(word.to_owned()),
        }
    }

    fn canonical_list(&self, words: &[&str], current: &str) -> Result<String, Refusal> {
        match *self {
            Self::Flags(names) => flags(names, words),
            Self::Words(max) if words.len() > max => {
                Err("Too many bind addresses specified.".into())
            }
            Self::Percentiles => percentiles(words),
            Self::OutputLimits => output_limits(words, current),
            Self::DatabaseCounts => database_counts(words, current),
            Self::SavePoints => save_points(words),
            Self::OomScores => oom_scores(words),
            Self::Primary => primary(words),
            _ => Ok(words.join(" ")),
        }
    }
}

fn integer(word: &str) -> Result<i64, Refusal> {
    // A number has one way to be written: no plus sign, no leading zero, no blank.
    let number = word.parse::<i64>().ok().filter(|number| number.to_string() == word);
    number.ok_or(Cow::Borrowed("argument couldn't be parsed into an integer"))
}

fn within<N: PartialOrd + std::fmt::Display>(number: N, min: N, max: N) -> Result<(), Refusal> {
    if number >= min && number <= max {
        return Ok(());
    }
    Err(format!("argument must be between {min} and {max} inclusive").into())
}

/// Bytes of a number with a unit: `1k` is 1000, `1kb` is 1024. No digits at all count as 0.
pub(crate) fn memory(word: &str) -> Option<u64> {
    let unit_at = word.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at(unit_at);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = if digits.is_empty() { 0 } else { digits.parse::<u64>().ok()? };
    number.checked_mul(factor)
}

fn memory_or_percent(word: &str) -> Result<String, Refusal> {
    if let Some(bytes) = memory(word) {
        return within(bytes, 0, i64::MAX as u64).map(|()| bytes.to_string());
    }
    let percent = word.strip_suffix('%').and_then(|digits| integer(digits).ok());
    match percent {
        // Nought per cent and no limit are the same, and print the same.
        Some(0) => Ok("0".to_owned()),
        Some(1..=100) => Ok(word.to_owned()),
        Some(101..) => Err("percentage argument must be less or equal to 100".into()),
        _ => Err("argument must be a memory or percent value".into()),
    }
}

fn octal(word: &str) -> Result<String, Refusal> {
    let digits = word.trim_start();
    let bits = if digits.is_empty() { Some(0) } else { i64::from_str_radix(digits, 8).ok() };
    match bits {
        Some(bits @ 0..=0o777) => Ok(format!("{bits:o}")),
        Some(_) => Err("argument must be between 0 and 777 inclusive".into()),
        None => Err("argument couldn't be parsed as an octal number".into()),
    }
}

fn choice(names: &'static [&'static str], word: &str) -> Option<&'static str> {
    names.iter().copied().find(|name| name.eq_ignore_ascii_case(word))
}

fn not_one_of(names: &[&str]) -> Refusal {
    format!("argument(s) must be one of the following: {}", names.join(", ")).into()
}

/// The first of the names stands for "none of them".
fn flags(names: &'static [&'static str], words: &[&str]) -> Result<String, Refusal> {
    let known: Option<Vec<_>> = words.iter().map(|word| choice(names, word)).collect();
    let Some(known) = known.filter(|known| !known.is_empty()) else {
        return Err(not_one_of(names));
    };
    let set: Vec<_> = names.iter().skip(1).copied().filter(|name| known.contains(name)).collect();
    Ok(if set.is_empty() { names[0].to_owned() } else { set.join(" ") })
}

fn percentiles(words: &[&str]) -> Result<String, Refusal> {
    let mut numbers = Vec::new();
    for word in words {
        let number = word.parse::<f64>().ok().filter(|number| !number.is_nan());
        let number = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&number) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .into(),
            );
        }
        numbers.push(number);
    }
    Ok(numbers.text())
}

fn output_limits(words: &[&str], current: &str) -> Result<String, Refusal> {
    let mut limits = OutputLimits::read(current).unwrap_or_default();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for entry in words.chunks(4) {
        let [class, hard, soft, seconds] = entry else { continue };
        let slot = limits
            .class_mut(class)
            .ok_or("Invalid client class specified in buffer limit configuration.")?;
        let limit = || {
            let soft_seconds = c_integer(seconds).and_then(|n| u64::try_from(n).ok())?;
            Some(OutputLimit { hard: memory(hard)?, soft: memory(soft)?, soft_seconds })
        };
        *slot = limit()
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    Ok(limits.text())
}

fn database_counts(words: &[&str], current: &str) -> Result<String, Refusal> {
    const SHAPE: &str = "argument must be pairs of a database and a number of entries";
    let mut counts = match words {
        [] => Vec::new(),
        _ => Vec::<(usize, usize)>::read(current).unwrap_or_default(),
    };
    if !words.len().is_multiple_of(2) {
        return Err(SHAPE.into());
    }
    for pair in words.chunks(2) {
        let [database, count] = pair else { continue };
        let number = |word| integer(word).ok().and_then(|number| usize::try_from(number).ok());
        let (Some(database), Some(count)) = (number(database), number(count)) else {
            return Err(SHAPE.into());
        };
        counts.retain(|(known, _)| *known != database);
        if count > 0 {
            counts.push((database, count));
        }
    }
    counts.sort_unstable();
    Ok(counts.text())
}

fn save_points(words: &[&str]) -> Result<String, Refusal> {
    const INVALID: &str = "Invalid save parameters";
    if !words.len().is_multiple_of(2) {
        return Err(INVALID.into());
    }
    let mut numbers = Vec::new();
    for pair in words.chunks(2) {
        let [seconds, changes] = pair else { continue };
        let (Some(seconds @ 1..), Some(changes @ 0..)) = (c_integer(seconds), c_integer(changes))
        else {
            return Err(INVALID.into());
        };
        numbers.push(format!("{seconds} {changes}"));
    }
    Ok(numbers.join(" "))
}

fn oom_scores(words: &[&str]) -> Result<String, Refusal> {
    if words.len() != 3 {
        return Err(WRONG_NUMBER);
    }
    let mut scores = Vec::new();
    for word in words {
        let Some(score @ -2000..=2000) = c_integer(word) else {
            return Err(
                "Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into()
            );
        };
        scores.push(score.to_string());
    }
    Ok(scores.join(" "))
}

fn primary(words: &[&str]) -> Result<String, Refusal> {
    match words {
        [] => Ok(String::new()),
        [host, port] if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") => {
            Ok(String::new())
        }
        [host, port] => match c_integer(port) {
            Some(port @ 0..=65535) => Ok(format!("{host} {port}")),
            _ => Err("Invalid primary port".into()),
        },
        _ => Err(WRONG_NUMBER),
    }
}

/// A number as C's strtoll reads a whole text: blanks and a sign in front, nothing behind, and an
/// empty text is 0.
fn c_integer(word: &str) -> Option<i64> {
    if word.is_empty() { Some(0) } else { word.trim_start().parse().ok() }
}

fn is_version(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| part.parse::<u8>().is_ok() && !part.starts_with('+'))
}

const WRONG_NUMBER: Refusal = Cow::Borrowed("wrong number of arguments");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_ten_and_of_two() {
        let cases = [
            ("1", Some(1)),
            ("", Some(0)),
            ("1b", Some(1)),
            ("1k", Some(1000)),
            ("1KB", Some(1024)),
            ("2m", Some(2_000_000)),
            ("2Mb", Some(2 << 20)),
            ("3g", Some(3_000_000_000)),
            ("3gb", Some(3 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("17179869184gb", None),
            ("-1", None),
            ("1kx", None),
            ("1 kb", None),
            ("10%", None),
        ];
        for (word, expected) in cases {
            assert_eq!(memory(word), expected, "{word:?}");
        }
    }

    #[test]
    fn an_integer_is_written_in_one_way() {
        for wrong in ["x", " 5", "05", "+5", "5.0", "", "-0", "99999999999999999999"] {
            assert!(integer(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(integer("-5"), Ok(-5));
    }

    #[test]
    fn permission_bits_are_octal() {
        assert_eq!(octal("0755"), Ok("755".into()));
        assert_eq!(octal("0"), Ok("0".into()));
        assert_eq!(octal("1000").unwrap_err(), "argument must be between 0 and 777 inclusive");
        assert_eq!(octal("8").unwrap_err(), "argument couldn't be parsed as an octal number");
    }

    #[test]
    fn output_limits_change_only_the_named_classes() {
        let current = "normal 0 0 0 slave 1 2 3 pubsub 4 5 6";
        let limits = |words: &str| output_limits(&words.split(' ').collect::<Vec<_>>(), current);
        assert_eq!(
            limits("REPLICA 1mb 1kb 10 normal 7 8 9"),
            Ok("normal 7 8 9 slave 1048576 1024 10 pubsub 4 5 6".into())
        );
        assert!(limits("normal 0 0").is_err());
        assert!(limits("master 0 0 0").is_err());
        assert!(limits("normal 1x 0 0").is_err());
        assert!(limits("normal 1 1 -1").is_err());
    }

    #[test]
    fn database_counts_change_only_the_named_databases() {
        let counts = |words: &[&str]| database_counts(words, "1 500 3 7");
        assert_eq!(counts(&["2", "9", "1", "0"]), Ok("2 9 3 7".into()));
        assert_eq!(counts(&["3", "8"]), Ok("1 500 3 8".into()));
        assert_eq!(counts(&[]), Ok(String::new()));
        assert!(counts(&["1"]).is_err());
        assert!(counts(&["1", "-5"]).is_err());
        assert!(counts(&["x", "5"]).is_err());
    }

    #[test]
    fn flags_print_in_the_order_of_their_names() {
        const NAMES: &[&str] = &["default", "save", "nosave", "now"];
        assert_eq!(flags(NAMES, &["NOW", "save"]), Ok("save now".into()));
        assert_eq!(flags(NAMES, &["default"]), Ok("default".into()));
        assert!(flags(NAMES, &[]).is_err());
        assert!(flags(NAMES, &["later"]).is_err());
    }

    #[test]
    fn percentiles_print_without_needless_digits() {
        assert_eq!(percentiles(&["50.0", "99.99", "1e1"]), Ok("50 99.99 10".into()));
        assert_eq!(percentiles(&["0.00000001", "100"]), Ok("0 100".into()));
        for wrong in ["x", "nan", "101", "-1", "", "5 "] {
            assert!(percentiles(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
