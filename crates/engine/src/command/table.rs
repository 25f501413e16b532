//! From names to rows: the table that `exec` looks commands up in.
//!
//! Built once an engine from the families' rows and the `rename-command` directives. Every row
//! and every sub-command's row gets a number, by which statistics are kept; one that exists in
//! test mode only has no name in another, so it is as unknown as one that was never written.
//! A lookup lowers the name into a buffer on the stack and asks one hash map. Only a new name can
//! be longer than the buffer (the example in Redis's configuration is 40 hexadecimal digits);
//! names longer than any are unknown without a look.

use std::collections::HashMap;

use super::all;
use super::row::Command;

/// Longer than any command's own name.
const NAME_MAX: usize = 32;

/// A row and its number.
#[derive(Clone, Copy, Debug)]
pub struct Resolved {
    /// The row.
    pub command: &'static Command,
    /// Its number, below [`Table::len`].
    pub id: u16,
}

/// See the module's header.
pub struct Table {
    rows: Vec<&'static Command>,
    /// By number: the index of its key, for a command that may be grouped; see `exec::group`.
    groupable: Vec<Option<u8>>,
    names: HashMap<Box<[u8]>, u16, foldhash::fast::FixedState>,
    /// Length of the longest name.
    longest: usize,
}

impl Table {
    /// Builds the table; `renames` are `(command, new name)` pairs, an empty new name removes.
    /// Rows for tests alone have names only with `test_mode`.
    ///
    /// # Errors
    /// Names the first command that cannot be renamed.
    pub fn new(renames: &[(String, String)], test_mode: bool) -> Result<Self, String> {
        let mut table =
            Self { rows: Vec::new(), groupable: Vec::new(), names: HashMap::default(), longest: 0 };
        for command in all() {
            let named = test_mode || !command.test_only;
            table.add(command, named);
            for sub in command.subcommands {
                table.add(sub, named);
            }
        }
        for (from, to) in renames {
            let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
            let Some(id) = table.names.remove(from.as_bytes()) else {
                return Err(format!("No such command '{from}' in rename-command"));
            };
            if to.is_empty() {
                continue;
            }
            if table.names.insert(to.as_bytes().into(), id).is_some() {
                return Err("Target command name already exists".into());
            }
        }
        table.longest = table.names.keys().map(|name| name.len()).max().unwrap_or_default();
        Ok(table)
    }

    fn add(&mut self, command: &'static Command, named: bool) {
        let id = self.rows.len() as u16;
        self.rows.push(command);
        let key = command.lone_key().filter(|_| command.is_brief() && !command.name.contains('|'));
        self.groupable.push(key.and_then(|at| u8::try_from(at).ok()));
        if named {
            self.names.insert(command.name.as_bytes().into(), id);
        }
    }

    /// Number of rows, sub-commands included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no command at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row with a number.
    pub fn row(&self, id: u16) -> &'static Command {
        self.rows[usize::from(id)]
    }

    /// The index of the key of a command that may be grouped with its neighbours.
    #[inline]
    pub(crate) fn groupable(&self, id: u16) -> Option<usize> {
        self.groupable[usize::from(id)].map(usize::from)
    }

    /// Rows with their numbers.
    pub fn rows(&self) -> impl Iterator<Item = Resolved> {
        self.rows.iter().enumerate().map(|(id, command)| Resolved { command, id: id as u16 })
    }

    /// Top-level rows that can be called by some name: those that were removed are left out.
    pub fn callable(&self) -> impl Iterator<Item = &'static Command> {
        let mut ids: Vec<u16> = self.names.values().copied().collect();
        ids.sort_unstable();
        let rows = ids.into_iter().map(|id| self.rows[usize::from(id)]);
        rows.filter(|row| !row.name.contains('|'))
    }

    /// The row of a top-level command, or of `container|sub`, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Resolved> {
        let mut lower = [0u8; NAME_MAX];
        let id = match lower.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                *self.names.get(&*lower)?
            }
            None if name.len() > self.longest => return None,
            None => *self.names.get(&*name.to_ascii_lowercase())?,
        };
        Some(Resolved { command: self.rows[usize::from(id)], id })
    }

    /// The row of a container's sub-command, in any case.
    pub fn find_sub(&self, container: Resolved, word: &[u8]) -> Option<Resolved> {
        let subs = container.command.subcommands;
        let at = subs.iter().position(|sub| sub.word().as_bytes().eq_ignore_ascii_case(word))?;
        Some(Resolved { command: &subs[at], id: container.id + 1 + at as u16 })
    }
}
