//! The first line of a script, `#!<engine> [flags=a,b] [name=library]`: what it says of the rest.
//!
//! EVAL takes flags there, FUNCTION LOAD the library's name. A script without such a line runs as
//! all scripts did before Redis 7, which is a flag of its own. The line stays in the text when it
//! is compiled, as an empty one, so that line numbers in errors are right. Tests at the bottom.

use pannier_resp::split_line;

/// What a script may do or need, a bit set.
pub type Flags = u8;

/// The flags.
pub mod flags {
    use super::Flags;

    /// It writes nothing, and is refused to.
    pub const NO_WRITES: Flags = 1;
    /// It may run when memory is short.
    pub const ALLOW_OOM: Flags = 1 << 1;
    /// It may run on a stale replica.
    pub const ALLOW_STALE: Flags = 1 << 2;
    /// It is not for clusters.
    pub const NO_CLUSTER: Flags = 1 << 3;
    /// It may reach keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Flags = 1 << 4;
    /// It has no first line of this kind: its commands are judged one by one.
    pub const COMPATIBLE: Flags = 1 << 5;

    /// Flags and their names, in the order in which FUNCTION LIST prints them.
    pub const NAMES: &[(Flags, &str)] = &[
        (NO_WRITES, "no-writes"),
        (ALLOW_OOM, "allow-oom"),
        (ALLOW_STALE, "allow-stale"),
        (NO_CLUSTER, "no-cluster"),
        (ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
    ];

    /// The flag of a name.
    pub fn named(name: &[u8]) -> Option<Flags> {
        NAMES.iter().find(|(_, text)| text.as_bytes() == name).map(|(flag, _)| *flag)
    }
}

/// A first line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang<'a> {
    /// The engine: `lua`.
    pub engine: Vec<u8>,
    /// What stands behind it, word by word; words may be quoted as in redis-cli.
    pub options: Vec<Vec<u8>>,
    /// The text behind the line.
    pub body: &'a [u8],
}

impl<'a> Shebang<'a> {
    /// Reads the first line; `None`: there is none of this kind.
    ///
    /// # Errors
    /// The line does not end, or a quotation does not.
    pub fn read(text: &'a [u8]) -> Result<Option<Self>, &'static str> {
        if !text.starts_with(b"#!") {
            return Ok(None);
        }
        let end = text.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or("Invalid script shebang")?;
        let (line, body) = text.split_at(end);
        let words = split_line(line).map_err(|_| "Invalid engine in script shebang")?;
        let mut words = words.into_iter();
        let engine = words.next().unwrap_or_default();
        let engine = engine.strip_prefix(b"#!").unwrap_or_default().to_vec();
        Ok(Some(Self { engine, options: words.collect(), body }))
    }

    /// The flags of a script that EVAL runs.
    ///
    /// # Errors
    /// The text behind `ERR `.
    pub fn script_flags(&self) -> Result<Flags, String> {
        let lossy = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut all = 0;
        for option in &self.options {
            let Some(list) = option.strip_prefix(b"flags=") else {
                return Err(format!("Unknown lua shebang option: {}", lossy(option)));
            };
            // A list may be empty, but not what stands between its commas.
            for name in list.split(|byte| *byte == b',').filter(|_| !list.is_empty()) {
                all |= flags::named(name)
                    .ok_or_else(|| format!("Unexpected flag in script shebang: {}", lossy(name)))?;
            }
        }
        if !self.engine.eq_ignore_ascii_case(b"lua") {
            return Err(format!("Could not find scripting engine '{}'", lossy(&self.engine)));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::{Shebang, flags};

    #[test]
    fn a_first_line_has_an_engine_and_flags() {
        let text = b"#!lua flags=no-writes,allow-oom\nreturn 1";
        let shebang = Shebang::read(text).unwrap().unwrap();
        assert_eq!(shebang.script_flags(), Ok(flags::NO_WRITES | flags::ALLOW_OOM));
        assert_eq!(shebang.body, b"\nreturn 1");
        assert_eq!(Shebang::read(b"return 1"), Ok(None));
        assert!(Shebang::read(b"#!lua").is_err());
        let wrong = Shebang::read(b"#!lua flags=foo\n").unwrap().unwrap();
        assert!(wrong.script_flags().unwrap_err().ends_with("foo"));
        let quoted = Shebang::read(b"#!'lua' flags=\"no-writes\"\n").unwrap().unwrap();
        assert_eq!(quoted.script_flags(), Ok(flags::NO_WRITES));
        assert!(Shebang::read(b"#!lua \"\n").is_err());
        for (line, why) in [
            ("#!\n", "Could not find scripting engine ''"),
            ("#! lua\n", "Unknown lua shebang option: lua"),
            ("#!lua flags=no-writes, allow-oom\n", "Unexpected flag in script shebang: "),
        ] {
            let shebang = Shebang::read(line.as_bytes()).unwrap().unwrap();
            assert_eq!(shebang.script_flags(), Err(why.into()));
        }
    }
}
