//! Configuration files on disk: loading them with their includes, and writing one back.
//!
//! `include` may hold wildcards; files that match come in the order of their names, and a pattern
//! that matches nothing is no error, while a plain path that is missing is. Writing back goes
//! through a new file beside the old one that then takes its name, so that a crash leaves
//! one of the two, whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pannier_engine::config::Config;
use pannier_engine::config::file::Text;
use pannier_engine::config::rewrite as rewritten;

/// What stands for standard input in place of a path.
pub(super) const STDIN: &str = "-";

/// The texts of the files that a path, which may hold wildcards, names.
pub(super) fn load(path: &str) -> Result<Vec<Text>, String> {
    if path == STDIN {
        let text = io::read_to_string(io::stdin()).map_err(|error| error.to_string())?;
        return Ok(vec![Text { path: "stdin".into(), text }]);
    }
    if !path.contains(['*', '?', '[']) {
        return Ok(vec![read(path.into())?]);
    }
    let found = glob::glob(path).map_err(|error| error.to_string())?;
    found.map(|entry| read(entry.map_err(|error| error.to_string())?)).collect()
}

fn read(path: PathBuf) -> Result<Text, String> {
    let text = fs::read(&path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(text).map_err(|_| "the file is not UTF-8 text".to_owned())?;
    Ok(Text { path: path.display().to_string(), text })
}

/// Writes a configuration back to its file.
pub(super) fn rewrite(path: &Path, config: &Config) -> io::Result<()> {
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = write_whole(&beside, path, &rewritten(&old, config));
    if written.is_err() {
        // What could not be written, or not be renamed, is of no use.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_whole(beside: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::write(beside, text)?;
    if let Ok(old) = fs::metadata(path) {
        fs::set_permissions(beside, old.permissions())?;
    }
    fs::File::open(beside)?.sync_all()?;
    fs::rename(beside, path)
}
