//! Configuration: parameters as data, and every way in and out of them.
//!
//! A [`Config`] is a snapshot with one plain field for each parameter that is honoured (`table`).
//! Names, ranges, defaults, CONFIG GET and SET, the file, the command line and CONFIG REWRITE all
//! follow from one list, so that a parameter is declared once. Words from outside become canonical
//! text (`kind`), canonical text becomes a typed field (`value`). Parameters of the real server
//! whose feature is missing here are known too (`absent`): files that set them are accepted, but
//! CONFIG SET never says OK to what is not done.
//!
//! Rules: nothing here opens a file (`file` parses text that the program read, `rewrite` returns
//! text for it to write); no text, however broken, makes it panic; errors are Valkey 9.1's.
//! What a change means outside the engine is the host's business (`Host::configure`).
//!
//! Neighbours: `command::config` is the command; `engine` holds the snapshot in force. Tests are
//! in `tests` here, in each file, and in the transcripts.

mod absent;
pub mod file;
mod kind;
mod rewrite;
mod table;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

use pannier_store::Limits;

pub use kind::Kind;
pub(crate) use kind::memory;
pub use rewrite::rewrite;
pub use table::{Change, Config, Parameter};
pub use value::{
    Allowed, ClientMemory, Events, LogLevel, Mode, OutputLimit, OutputLimits, TlsAuth,
};

use crate::glob;

/// All parameters: those that are honoured, and those whose feature is absent.
pub fn parameters() -> impl Iterator<Item = &'static Parameter> {
    table::HONOURED.iter().chain(absent::ABSENT)
}

/// What became of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in force.
    Set,
    /// It was understood and does nothing.
    Absent {
        /// The feature that Pannier does not have.
        feature: &'static str,
        /// Whether it asks for what Pannier does anyway.
        agrees: bool,
    },
}

/// Why a directive is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// There is no such directive, or not with so many arguments.
    Unknown,
    /// The value is wrong; why.
    Value(String),
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Bad directive or wrong number of arguments",
            Self::Value(reason) => reason,
        })
    }
}

impl std::error::Error for SetError {}

impl Config {
    /// Whether each request must be measured by itself, because a log or the latency monitor wants
    /// what a coarse clock cannot tell.
    pub(crate) fn measures_each(&self) -> bool {
        let coarse = |threshold_us: u64| threshold_us >= MEASURED_BELOW_US;
        let slower_than = u64::try_from(self.commandlog_execution_slower_than);
        let monitor_ms = self.latency_monitor_threshold;
        !slower_than.map_or(true, coarse)
            || monitor_ms != 0 && !coarse(monitor_ms.saturating_mul(1_000))
    }

    /// Sets a parameter as a line of a file or of the command line does: immutable ones too.
    ///
    /// ```
    /// use pannier_engine::config::Config;
    /// let mut config = Config::default();
    /// config.set("maxmemory", &["100mb"])?;
    /// assert_eq!(config.maxmemory, 100 << 20);
    /// # Ok::<(), pannier_engine::config::SetError>(())
    /// ```
    ///
    /// # Errors
    /// The directive is unknown, or its value is wrong.
    pub fn set(&mut self, name: &str, args: &[&str]) -> Result<Applied, SetError> {
        let Some((parameter, _)) = find(name) else { return self.set_file_only(name, args) };
        if !parameter.kind.takes_words() {
            return self.assign(parameter, args);
        }
        match args {
            [""] => self.assign(parameter, &[]),
            // All in one argument, as in `--bind "127.0.0.1 ::1"`.
            [one] => {
                let words = file::split(one).map_err(|reason| SetError::Value(reason.into()))?;
                self.assign(parameter, &words.iter().map(String::as_str).collect::<Vec<_>>())
            }
            _ => self.assign(parameter, args),
        }
    }

    fn set_file_only(&mut self, name: &str, args: &[&str]) -> Result<Applied, SetError> {
        if let ("rename-command", [from, to]) = (name.to_ascii_lowercase().as_str(), args) {
            self.rename_command.push(((*from).to_owned(), (*to).to_owned()));
            return Ok(Applied::Set);
        }
        let known = absent::FILE_ONLY.iter().find(|(known, min, max, _)| {
            known.eq_ignore_ascii_case(name) && (*min..=*max).contains(&args.len())
        });
        let (.., feature) = known.ok_or(SetError::Unknown)?;
        Ok(Applied::Absent { feature, agrees: false })
    }

    fn assign(
        &mut self,
        parameter: &'static Parameter,
        words: &[&str],
    ) -> Result<Applied, SetError> {
        let current = parameter.text(self);
        let text = parameter.kind.canonical(words, &current);
        let text = text.map_err(|reason| SetError::Value(reason.into_owned()))?;
        let Some(field) = &parameter.field else {
            let feature = parameter.absent.unwrap_or_default();
            return Ok(Applied::Absent { feature, agrees: text == current });
        };
        if (field.read)(self, &text) {
            Ok(Applied::Set)
        } else {
            Err(SetError::Value("argument does not fit".into()))
        }
    }

    /// From which size on collections are no longer packed.
    pub fn limits(&self) -> Limits {
        Limits {
            hash_entries: self.hash_max_listpack_entries,
            hash_value: self.hash_max_listpack_value,
            list_size: self.list_max_listpack_size,
            list_alone: 0,
            set_integers: self.set_max_intset_entries,
            set_entries: self.set_max_listpack_entries,
            set_value: self.set_max_listpack_value,
            sorted_set_entries: self.zset_max_listpack_entries,
            sorted_set_value: self.zset_max_listpack_value,
            stream_bytes: self.stream_node_max_bytes,
            stream_entries: self.stream_node_max_entries,
        }
    }

    /// Checks what no single parameter can: that limits name databases that exist.
    ///
    /// # Errors
    /// The parameter at fault, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        match self.db_maxentries.iter().find(|(database, _)| *database >= self.databases) {
            Some((database, _)) => {
                Err(("db-maxentries", format!("there is no database {database}")))
            }
            None => Ok(()),
        }
    }

    /// CONFIG SET: changes all of these parameters or none. `local` says that the client is on
    /// this machine, which `enable-protected-configs` may ask.
    ///
    /// # Errors
    /// The text of the error reply.
    pub fn set_live(&mut self, pairs: &[(&[u8], &[u8])], local: bool) -> Result<(), String> {
        let mut found: Vec<(&'static Parameter, &'static str)> = Vec::new();
        for (name, _) in pairs {
            let shown = String::from_utf8_lossy(name);
            let Some((parameter, known)) = find(&shown) else {
                return Err(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{shown}'"
                ));
            };
            let protected = parameter.change == Change::Protected
                && !self.enable_protected_configs.allows(local);
            if parameter.change == Change::Immutable {
                return Err(failed(&shown, "can't set immutable config"));
            } else if protected {
                return Err(failed(&shown, "can't set protected config"));
            } else if found.iter().any(|(_, earlier)| *earlier == known) {
                return Err(failed(&shown, "duplicate parameter"));
            }
            found.push((parameter, known));
        }
        let mut next = self.clone();
        for ((parameter, known), (_, value)) in found.into_iter().zip(pairs) {
            next.assign_live(parameter, value).map_err(|reason| failed(known, &reason))?;
        }
        next.check().map_err(|(name, reason)| failed(name, &reason))?;
        *self = next;
        Ok(())
    }

    fn assign_live(&mut self, parameter: &'static Parameter, value: &[u8]) -> Result<(), String> {
        let value = std::str::from_utf8(value).map_err(|_| "argument must be UTF-8 text")?;
        let words: Vec<&str> = match (parameter.kind.takes_words(), value) {
            (true, "") => Vec::new(),
            (true, _) => value.split(' ').collect(),
            (false, _) => vec![value],
        };
        match self.assign(parameter, &words) {
            Ok(Applied::Absent { feature, agrees: false }) => {
                Err(format!("not supported by Pannier: {feature}"))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The value of a parameter by any of its names, in any case, as CONFIG GET prints it.
    pub fn get(&self, name: &str) -> Option<String> {
        find(name).map(|(parameter, _)| parameter.text(self))
    }

    /// CONFIG GET: the parameters that match any of the patterns, each once, in the order of
    /// their names. A name without wildcards is answered as it was written.
    pub fn matching(&self, patterns: &[&[u8]]) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, parameter: &Parameter| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_owned(), parameter.text(self)));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
                let name = String::from_utf8_lossy(pattern);
                if let Some((parameter, _)) = find(&name) {
                    add(&name, parameter);
                }
                continue;
            }
            for parameter in parameters() {
                for name in parameter.names() {
                    if glob::matches(pattern, name.as_bytes(), false) {
                        add(name, parameter);
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }
}

impl Parameter {
    /// Its names: the first one, and its alias.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.alias)
    }

    /// Its value in a configuration, as CONFIG GET prints it.
    pub fn text(&self, config: &Config) -> String {
        match &self.field {
            Some(field) => (field.text)(config),
            None => self.default.to_owned(),
        }
    }
}

/// A parameter by name or alias in any case, with the name that was meant.
pub fn find(name: &str) -> Option<(&'static Parameter, &'static str)> {
    parameters().find_map(|parameter| {
        let known = parameter.names().find(|known| known.eq_ignore_ascii_case(name))?;
        Some((parameter, known))
    })
}

fn failed(name: &str, reason: &str) -> String {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
}

/// A threshold below this wants each request measured by itself: twice what the coarse clock
/// may stand still.
const MEASURED_BELOW_US: u64 = 8_000;
