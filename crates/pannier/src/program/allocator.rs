//! What the program asks of its allocator, jemalloc: huge pages, figures, giving memory back.
//!
//! jemalloc won by memory. Beside mimalloc and the system's allocator in one run: bytes per key of
//! a million 32-byte values 44, 60, 62; RSS over living data after a million overwrites by values
//! of 16 bytes to 4 KiB 1.29, 1.44, 1.27; RSS after flushing those 30, 217, 182 MB; CPU time of a
//! random GET in a pipeline 1.84, 1.92, 2.23 us (SET 1.79, 1.76, 2.07).
//!
//! Huge pages are for large keyspaces: they take about a tenth off a random GET on a million
//! keys, but an empty server would pay 7 MB for them, because each small arena gets a page of
//! 2 MB. So the process starts with huge pages switched off for itself ([`begin`]) although
//! jemalloc is told to ask for them everywhere (`.cargo/config.toml`), and [`keep_house`] switches
//! them on for good when the keyspace has grown past [`SMALL_MAX`]: what is touched from then on
//! comes in huge pages. Returning unused pages splits them again: after a fill 25 to 40 of 110 MB
//! are huge, 90 if nothing is returned, which costs 7 MB. jemalloc makes its first arena before
//! `main`, too early for us; the switch survives `exec`, so the program executes itself once more
//! behind it, which costs a millisecond and saves 1.8 MB. Only the program does this; a process
//! that embeds the library keeps its own allocator and its own pages.
//!
//! jemalloc keeps freed pages for a second before it returns them; MEMORY PURGE makes it return
//! them now, by setting each arena's patience to nothing for a moment (`arena.<i>.purge` is a call
//! without a value, which the safe interface of its crate does not have; setting the patience to 0
//! purges in the same call). Names are those of jemalloc's `mallctl` tree. Neighbours:
//! `pannier_server::Program` asks for these.

use std::env;
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tikv_jemalloc_ctl::{Access, AsName, arenas, epoch, stats};

/// Small pages as long as the keyspace is small. To be called before anything else is.
///
/// Returns in the process that has them from its first page on, or where they cannot be had.
pub(crate) fn begin() {
    if env::var_os(AGAIN).is_some() {
        SMALL_PAGES.store(true, Relaxed);
        return;
    }
    // Who started us may have switched them off for good, and the system may not know them.
    if !huge_pages_are_on() || !set_huge_pages(false) {
        return;
    }
    SMALL_PAGES.store(true, Relaxed);
    let mut arguments = env::args_os();
    let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) else { return };
    // It returns only when it fails; then this process goes on as it is.
    let _ = Command::new(program).arg0(name).args(arguments).env(AGAIN, "1").exec();
}

/// Huge pages from now on, if the keyspace has outgrown small ones.
pub(super) fn keep_house(stored_bytes: usize) {
    if stored_bytes > SMALL_MAX && SMALL_PAGES.swap(false, Relaxed) {
        let switched = set_huge_pages(true);
        tracing::debug!("Huge pages from now on: {switched}");
    }
}

#[cfg(target_os = "linux")]
fn huge_pages_are_on() -> bool {
    rustix::thread::transparent_huge_pages_are_disabled() == Ok(false)
}

/// For this process; whether the system did it.
#[cfg(target_os = "linux")]
fn set_huge_pages(on: bool) -> bool {
    rustix::thread::disable_transparent_huge_pages(!on).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn huge_pages_are_on() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn set_huge_pages(_on: bool) -> bool {
    false
}

/// The figures that jemalloc keeps, a line each, in bytes; empty when it keeps none.
pub(super) fn report() -> String {
    // The figures are as of the last turn of the epoch.
    if epoch::advance().is_err() {
        return String::new();
    }
    let figures = [
        ("allocated", stats::allocated::read()),
        ("active", stats::active::read()),
        ("resident", stats::resident::read()),
        ("mapped", stats::mapped::read()),
        ("metadata", stats::metadata::read()),
        ("retained", stats::retained::read()),
    ];
    let mut text = String::from("jemalloc\n");
    for (name, figure) in figures {
        if let Ok(bytes) = figure {
            let _ = writeln!(text, "{name}: {bytes}");
        }
    }
    text
}

/// Bytes that the process holds now, or 0 when jemalloc does not say.
pub(super) fn allocated() -> usize {
    epoch::advance().and_then(|_| stats::allocated::read()).unwrap_or(0)
}

/// Returns unused pages to the system.
pub(super) fn purge() {
    let Ok(arenas) = arenas::narenas::read() else { return };
    for arena in 0..arenas {
        let place = format!("arena.{arena}.dirty_decay_ms\0");
        let name = place.as_bytes().name();
        // An arena that was never used has no such entry.
        let Ok(patience) = Access::<isize>::read(name) else { continue };
        if let Err(error) = name.write(0isize).and_then(|()| name.write(patience)) {
            tracing::warn!("MEMORY PURGE: arena {arena}: {error}");
        }
    }
}

/// Huge pages were switched off by us and not yet on again.
static SMALL_PAGES: AtomicBool = AtomicBool::new(false);

/// In the environment of a process that was executed again by [`begin`].
const AGAIN: &str = "PANNIER_SMALL_PAGES";

/// A keyspace of so many bytes is served from small pages.
const SMALL_MAX: usize = 8 << 20;
