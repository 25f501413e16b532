//! What the system lets this process have: open files.
//!
//! Each client is one, so `maxclients` needs the limit raised, or is lowered to what there is. The
//! limit belongs to the process: servers that share one only ever raise it. Facts about the process
//! are in `pannier-host`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that the server needs besides its clients.
const RESERVED_FILES: u64 = 32;

/// Raises the limit on open files so that `clients` fit, if the system allows; otherwise returns
/// how many clients do.
pub(crate) fn make_room_for(clients: usize) -> Result<(), usize> {
    let wanted = clients as u64 + RESERVED_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    let raised = Rlimit { current: Some(wanted), maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    let most = limit.maximum.unwrap_or(wanted).min(wanted);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    let current = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    if current >= wanted {
        return Ok(());
    }
    Err(usize::try_from(current.saturating_sub(RESERVED_FILES)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_one_client_is_always_there_and_for_2_to_the_40_never() {
        assert_eq!(make_room_for(1), Ok(()));
        assert!(make_room_for(1 << 40).is_err());
    }
}
