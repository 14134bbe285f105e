//! Is there room for what comes next? A full disk shows when something is refused; this asks before, also while nothing
//! happens, so that `/readyz` does not promise what could not be kept.

use super::run::is_over;
use crate::store::Store;
use crate::workflow::House;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The disk is real also in an exercise: real time.
const EVERY: Duration = Duration::from_secs(10);
/// With less the next large report, or the next checkpoint of the write-ahead log, may not find room.
const FLOOR: u64 = 8 << 20;
/// What is asked for, and given back at once: a quota, or a limit on files, shows in no other way.
const PROBE: u64 = 1 << 20;

/// Looks at once and then every ten seconds, until `stop` turns true.
pub async fn watch<S: Store>(house: Arc<House<S>>, dir: PathBuf, mut stop: watch::Receiver<bool>) {
    while !is_over(&stop) {
        let place = dir.clone();
        let fault = tokio::task::spawn_blocking(move || missing(&place)).await.unwrap_or_default();
        house.stats.health.fault("room", fault);
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// What is wrong with the room in a folder; `None` when there is enough, or nobody can tell.
fn missing(dir: &Path) -> Option<String> {
    let remedy = "nothing more may be kept; free space";
    if let Ok(stat) = rustix::fs::statvfs(dir) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < FLOOR {
            return Some(format!("{} KiB are free for `{}`: {remedy}", free >> 10, dir.display()));
        }
    }
    let probe = dir.join(".room");
    let asked = File::create(&probe)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .and_then(|file| rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, PROBE));
    let _ = std::fs::remove_file(&probe);
    match asked {
        // a file system that cannot reserve says so, which is no fault of the disk
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => None,
        Err(error) => Some(format!("`{}` takes no more, says the system ({error}): {remedy}", dir.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_room_has_no_fault_and_keeps_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(missing(dir.path()), None);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a list").count(), 0);
    }

    #[test]
    fn a_folder_that_takes_nothing_is_a_fault() {
        let dir = tempfile::tempdir().expect("a folder");
        let said = missing(&dir.path().join("gone")).expect("a fault");
        assert!(said.contains("takes no more"), "{said}");
    }
}
