//! What the machine says: clock, zone data, data folder, service manager. Programs are asked where only they know.

use super::Line;
use crate::daemon::{clock_sync, program, zone_data};
use crate::workflow::Discipline;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Less free space than this stops the store soon, or at once.
const LITTLE_SPACE: u64 = 1 << 30;
const NO_SPACE: u64 = 100 << 20;
const UNIT: &str = "breachclock.service";

pub fn data_folder(dir: &Path) -> Vec<Line> {
    let check = "data folder";
    let shown = dir.display();
    let meta = match std::fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => return vec![Line::fault(check, format!("`{shown}` is no folder"), "name another in `[data].dir`")],
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("`{shown}` does not exist; it is made at the first start");
            return vec![Line::warning(check, text, "start the daemon once, as the user it runs as")];
        }
        Err(error) => {
            let text = format!("`{shown}` cannot be looked at: {error}");
            return vec![Line::fault(check, text, "run doctor as the user the daemon runs as")];
        }
    };
    vec![owner(check, dir, meta.uid(), meta.mode() & 0o777), space(dir)]
}

fn owner(check: &str, dir: &Path, owner: u32, mode: u32) -> Line {
    let (shown, me) = (dir.display(), rustix::process::geteuid().as_raw());
    if mode & 0o002 != 0 {
        let text = format!("everybody on this machine may write into `{shown}` (mode {mode:03o})");
        return Line::fault(check, text, &format!("chmod 700 {shown}"));
    }
    if me != 0 && owner != me {
        let text = format!("`{shown}` belongs to user {owner}, and this is user {me}");
        return Line::fault(check, text, "run doctor as the user the daemon runs as, or give the folder to that user");
    }
    if mode & 0o077 != 0 {
        let text =
            format!("others than its owner may look into `{shown}` (mode {mode:03o}): keys and incidents lie there");
        return Line::warning(check, text, &format!("chmod 700 {shown}"));
    }
    Line::ok(check, format!("`{shown}` belongs to user {owner}, mode {mode:03o}"))
}

fn space(dir: &Path) -> Line {
    let check = "free space";
    let free = match rustix::fs::statvfs(dir) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => return Line::unknown(check, format!("the file system does not say: {error}"), "look with `df`"),
    };
    let text = format!("{} MiB free for `{}`", free >> 20, dir.display());
    let remedy = "make room: when the disk is full nothing can be recorded";
    match free {
        ..NO_SPACE => Line::fault(check, text, remedy),
        NO_SPACE..LITTLE_SPACE => Line::warning(check, text, remedy),
        _ => Line::ok(check, text),
    }
}

/// Whether a time service disciplines the clock. Silence is not consent.
pub fn clock() -> Line {
    let (discipline, source) = clock_sync::ask_now();
    judge_clock(discipline, source)
}

fn judge_clock(discipline: Discipline, source: &str) -> Line {
    let check = "clock";
    match discipline {
        Discipline::Synchronised => Line::ok(check, format!("synchronised, says {source}")),
        Discipline::Unsynchronised => {
            let remedy = "set up systemd-timesyncd, chrony or ntpd: every deadline rests on the clock";
            Line::fault(check, format!("not synchronised, says {source}"), remedy)
        }
        Discipline::Unknown => {
            let text =
                "nobody here says whether it is synchronised (asked timedatectl, chronyc, ntpq, systemd-timesyncd)";
            Line::unknown(check, text.into(), "if the host of this machine keeps the time, check it there")
        }
    }
}

/// Zone data of the machine against those built in, which alone are used.
pub fn zone_data() -> Line {
    let check = "zone data";
    match zone_data::behind_machine() {
        Some(behind) => Line::warning(check, behind, "update breachclock"),
        None => {
            Line::ok(check, format!("{} built in, this machine has none that are newer", crate::time::tzdb_version()))
        }
    }
}

/// Whether systemd restarts a daemon whose loop stands still.
pub fn systemd_watchdog() -> Line {
    let said = program::output("systemctl", &["show", UNIT, "--property=LoadState,WatchdogUSec"]);
    judge_unit(said.as_deref())
}

fn judge_unit(said: Option<&str>) -> Line {
    let check = "systemd watchdog";
    let value = |name: &str| {
        said.into_iter().flat_map(str::lines).find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::trim)
    };
    let remedy = "use the shipped unit, which has `WatchdogSec=`";
    match (value("LoadState"), value("WatchdogUSec")) {
        (Some("loaded"), Some("0" | "infinity" | "")) => {
            Line::warning(check, format!("`{UNIT}` has no `WatchdogSec=`"), remedy)
        }
        (Some("loaded"), Some(after)) => Line::ok(check, format!("`{UNIT}` is restarted after {after} of silence")),
        (Some(_), _) => {
            let text = format!("there is no `{UNIT}` here: nothing restarts a daemon whose loop stands still");
            Line::warning(check, text, remedy)
        }
        (None, _) => {
            Line::unknown(check, "systemd does not answer here".into(), "see that whatever starts it restarts it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn clocks() {
        let cases = [
            (Discipline::Synchronised, State::Ok),
            (Discipline::Unsynchronised, State::Fault),
            (Discipline::Unknown, State::Unknown),
        ];
        for (discipline, wanted) in cases {
            assert_eq!(judge_clock(discipline, "chronyc").state, wanted, "{discipline:?}");
        }
    }

    #[test]
    fn units() {
        for (said, wanted) in [
            (Some("LoadState=loaded\nWatchdogUSec=1min 30s\n"), State::Ok),
            (Some("WatchdogUSec=0\nLoadState=loaded\n"), State::Warning),
            (Some("LoadState=loaded\nWatchdogUSec=infinity\n"), State::Warning),
            (Some("LoadState=not-found\nWatchdogUSec=infinity\n"), State::Warning),
            (None, State::Unknown),
        ] {
            assert_eq!(judge_unit(said).state, wanted, "{said:?}");
        }
    }

    #[test]
    fn folders() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        for (mode, wanted) in [(0o700, State::Ok), (0o750, State::Warning), (0o707, State::Fault)] {
            std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).expect("set");
            assert_eq!(data_folder(dir.path())[0].state, wanted, "{mode:o}");
        }
        assert_eq!(data_folder(&dir.path().join("missing"))[0].state, State::Warning);
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert_eq!(data_folder(&file)[0].state, State::Fault);
        let me = rustix::process::geteuid().as_raw();
        let foreign = owner("data folder", dir.path(), me + 1, 0o700).state;
        assert_eq!(foreign, if me == 0 { State::Ok } else { State::Fault });
    }
}
