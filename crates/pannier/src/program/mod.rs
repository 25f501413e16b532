//! What the program knows that the server does not: arguments, its configuration file, its log.
//!
//! `arguments` and `file` turn words and files into a configuration, `log` writes events in
//! Redis's form; [`Main`] hands the server what it asks of its program.

pub(crate) mod allocator;
mod arguments;
mod file;
mod log;

use std::path::PathBuf;

use pannier_engine::config::Config;

pub(crate) use arguments::{Arguments, Outcome};
pub(crate) use log::Log;

/// The program as the server sees it.
pub(crate) struct Main {
    /// The configuration file's absolute path.
    file: Option<PathBuf>,
    log: Log,
}

impl Main {
    pub(crate) fn new(file: Option<PathBuf>, log: Log) -> Self {
        Self { file, log }
    }
}

impl pannier_server::Program for Main {
    fn config_file(&self) -> String {
        self.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }

    fn rewrite_config(&self, config: &Config) -> Result<(), String> {
        let Some(path) = &self.file else {
            return Err("The server is running without a config file".into());
        };
        file::rewrite(path, config).map_err(|error| {
            tracing::warn!("CONFIG REWRITE failed: {error}");
            format!("Rewriting config file: {error}")
        })?;
        tracing::info!("CONFIG REWRITE executed with success.");
        Ok(())
    }

    fn configure(&self, old: &Config, new: &Config) -> Result<(), String> {
        if old.loglevel != new.loglevel {
            self.log.set_level(new.loglevel)?;
        }
        Ok(())
    }

    fn allocator(&self) -> &'static str {
        "jemalloc"
    }

    fn allocator_stats(&self) -> String {
        allocator::report()
    }

    fn allocated_bytes(&self) -> usize {
        allocator::allocated()
    }

    fn purge_memory(&self) {
        allocator::purge();
    }

    fn keep_house(&self, stored_bytes: usize) {
        allocator::keep_house(stored_bytes);
    }
}
