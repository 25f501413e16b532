//! The `pannier` program: `pannier [path/to/redis.conf] [--directive value ...]`.
//!
//! It reads its configuration as redis-server does, sets up the log, starts the server, and turns
//! signals into an orderly end: SIGTERM and SIGINT finish what was received and leave with 0, a
//! second one leaves at once, SIGHUP is ignored. A configuration that is refused is explained on
//! standard error, with exit code 1.
//!
//! Where it listens is a line of the log, `listening on 127.0.0.1:6379`; if the log goes to a file
//! or is quieter than that, the line goes to standard output, so that whoever started it with
//! `--port 0` learns the port.

mod program;

use std::process::ExitCode;
use std::sync::Arc;

use pannier_clock::Clock;
use pannier_engine::config::{Config, LogLevel};
use pannier_server::{Options, Running, Stopper};
use program::{Arguments, Log, Main, Outcome};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    program::allocator::begin();
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Outcome::Serve(arguments) => arguments,
        Outcome::Say(text) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
    };
    let loaded = match arguments.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("\n{error}");
            return ExitCode::FAILURE;
        }
    };
    let config = loaded.config;
    let log = match Log::install(&config) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!("Pannier version {}, pid {}", env!("CARGO_PKG_VERSION"), std::process::id());
    for notice in &loaded.notices {
        notice.log();
    }
    let quiet = !config.logfile.is_empty()
        || matches!(config.loglevel, LogLevel::Warning | LogLevel::Nothing);
    serve(config, loaded.free_port, Main::new(loaded.file, log), quiet)
}

fn serve(config: Config, free_port: bool, program: Main, quiet: bool) -> ExitCode {
    // Only a test may move the time.
    let clock = if config.test_mode { Clock::adjustable().0 } else { Clock::system() };
    let program = Arc::new(program);
    let options = Options { config, free_port, program, clock, ..Options::default() };
    let running = match pannier_server::start(options) {
        Ok(running) => running,
        Err(error) => {
            tracing::warn!("{error}");
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = watch_signals(running.stopper()) {
        tracing::warn!("Cannot watch signals: {error}");
    }
    announce(&running, quiet);
    running.wait();
    ExitCode::SUCCESS
}

/// Says where the server listens.
fn announce(running: &Running, quiet: bool) {
    let tcp = running.addrs().iter().map(ToString::to_string);
    let tls = running.tls_addrs().into_iter().map(|addr| format!("{addr} (TLS)"));
    let unix = running.unix_path().map(|path| format!("unix:{}", path.display()));
    for place in tcp.chain(tls).chain(unix) {
        tracing::info!("listening on {place}");
        if quiet {
            println!("listening on {place}");
        }
    }
    tracing::info!("Ready to accept connections");
}

/// Starts the thread that turns signals into the server's end.
fn watch_signals(stopper: Stopper) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut term, mut interrupt, mut hangup) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        )
    };
    let watch = async move {
        let mut stopping = false;
        loop {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => continue,
            };
            if stopping {
                tracing::warn!("Received {name} again, leaving at once");
                std::process::exit(1);
            }
            tracing::warn!("Received {name}, shutting down");
            stopping = true;
            stopper.stop();
        }
    };
    std::thread::Builder::new()
        .name("pannier-signals".into())
        .spawn(move || runtime.block_on(watch))?;
    Ok(())
}
