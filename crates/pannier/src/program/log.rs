//! The log: tracing's events as Redis's lines.
//!
//! A line reads `pid:M 21 Nov 2026 04:03:00.123 * text`, local time, with `.` for debug, `-` for
//! verbose, `*` for notice and `#` for warning. The level can be changed while the server runs;
//! an event below it costs one load. Lines go to standard output or are appended to `logfile`,
//! which is opened for each line as Redis does, so that it can be rotated without a signal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Stdout, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pannier_clock::Clock;
use pannier_engine::config::{Config, LogLevel};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

/// The handle that changes the level.
pub(crate) struct Log(reload::Handle<LevelFilter, Registry>);

impl Log {
    /// Makes the configuration's log the process's.
    pub(crate) fn install(config: &Config) -> Result<Self, String> {
        let writer = if config.logfile.is_empty() {
            Destination::Stdout
        } else {
            let path = Path::new(&config.dir).join(&config.logfile);
            append(&path)
                .map_err(|error| format!("Can't open the log file {}: {error}", path.display()))?;
            // The working directory may change; the path must not.
            Destination::File(fs::canonicalize(&path).unwrap_or(path))
        };
        let (filter, handle) = reload::Layer::new(threshold(config.loglevel));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(writer)
            .event_format(Lines { clock: Clock::system(), pid: std::process::id() });
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())?;
        Ok(Self(handle))
    }

    /// Changes the level.
    pub(crate) fn set_level(&self, level: LogLevel) -> Result<(), String> {
        self.0.reload(threshold(level)).map_err(|error| error.to_string())
    }
}

fn threshold(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

fn mark(level: Level) -> char {
    match level {
        Level::TRACE => '.',
        Level::DEBUG => '-',
        Level::INFO => '*',
        _ => '#',
    }
}

/// Where lines go.
enum Destination {
    Stdout,
    File(PathBuf),
}

/// One line on its way.
enum Line {
    Stdout(Stdout),
    File(File),
    /// The file cannot be opened now.
    Lost,
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl<'a> MakeWriter<'a> for Destination {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        match self {
            Self::Stdout => Line::Stdout(io::stdout()),
            Self::File(path) => append(path).map_or(Line::Lost, Line::File),
        }
    }
}

impl Write for Line {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            // Nobody may be reading it any more, which is no reason to fail.
            Self::Stdout(stdout) => Ok(stdout.write(buf).unwrap_or(buf.len())),
            Self::File(file) => file.write(buf),
            Self::Lost => Ok(buf.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file) => file.flush(),
            Self::Lost => Ok(()),
        }
    }
}

/// Redis's form of a line.
struct Lines {
    clock: Clock,
    pid: u32,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mark = mark(*event.metadata().level());
        write!(line, "{}:M {} {mark} ", self.pid, self.time())?;
        ctx.field_format().format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}

impl Lines {
    fn time(&self) -> impl std::fmt::Display {
        let us = i64::try_from(self.clock.now().unix_us).unwrap_or(i64::MAX);
        let time = Timestamp::from_microsecond(us).unwrap_or_default();
        time.to_zoned(TimeZone::system()).strftime("%d %b %Y %H:%M:%S%.3f").to_string()
    }
}
