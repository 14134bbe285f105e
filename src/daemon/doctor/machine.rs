//! What the machine says: clock, zone data, data folder, service manager. Programs are asked where only they know.

use super::Line;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that has not answered by then says nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// Less free space than this stops the store soon, or at once.
const LITTLE_SPACE: u64 = 1 << 30;
const NO_SPACE: u64 = 100 << 20;
/// systemd-timesyncd polls at least every 2048 s and touches its file each time.
const TOUCHED_SECONDS: u64 = 3 * 3600;
const TOUCHED: &str = "/run/systemd/timesync/synchronized";
/// Where systems keep their zone data, and the file that names its version.
const ZONE_DATA: [&str; 3] =
    ["/usr/share/zoneinfo/tzdata.zi", "/usr/share/zoneinfo/+VERSION", "/usr/share/zoneinfo/version"];
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
    let timedatectl = run("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    let chronyc = run("chronyc", &["-n", "-c", "tracking"]);
    let ntpq = run("ntpq", &["-c", "rv 0 leap,sync"]);
    let touched = std::fs::metadata(TOUCHED).and_then(|file| file.modified()).ok();
    let fresh = touched.map(|at| at.elapsed().map_or(0, |ago| ago.as_secs()) < TOUCHED_SECONDS).filter(|fresh| *fresh);
    judge(&[
        ("systemd-timesyncd", fresh),
        ("chronyc", chronyc.as_deref().and_then(chronyc_says)),
        ("ntpq", ntpq.as_deref().and_then(ntpq_says)),
        ("timedatectl", timedatectl.as_deref().and_then(timedatectl_says)),
    ])
}

/// One who knows of a synchronisation outweighs one who does not: a chrony without `rtcsync` does not tell the kernel.
fn judge(said: &[(&str, Option<bool>)]) -> Line {
    let check = "clock";
    let who = |wanted: bool| said.iter().find(|(_, says)| *says == Some(wanted)).map(|(who, _)| *who);
    let remedy = "set up systemd-timesyncd, chrony or ntpd: every deadline rests on the clock";
    match (who(true), who(false)) {
        (Some(source), _) => Line::ok(check, format!("synchronised, says {source}")),
        (None, Some(source)) => Line::fault(check, format!("not synchronised, says {source}"), remedy),
        (None, None) => {
            let text =
                "nobody here says whether it is synchronised (asked timedatectl, chronyc, ntpq, systemd-timesyncd)";
            Line::unknown(check, text.into(), "if the host of this machine keeps the time, check it there")
        }
    }
}

fn timedatectl_says(text: &str) -> Option<bool> {
    match text.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Fourteen fields between commas; the last one is the leap status.
fn chronyc_says(text: &str) -> Option<bool> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    match (fields.len(), fields.last()?.trim()) {
        (14, "Not synchronised") => Some(false),
        (14, "Normal" | "Insert second" | "Delete second") => Some(true),
        _ => None,
    }
}

/// `leap=00`; 3 is the alarm of a clock that is not synchronised.
fn ntpq_says(text: &str) -> Option<bool> {
    let leap = text.split("leap=").nth(1)?.split([',', ' ', '\n']).next()?.trim();
    match leap {
        "00" | "01" | "10" | "0" | "1" | "2" => Some(true),
        "11" | "3" => Some(false),
        _ => None,
    }
}

/// Zone data of the machine against those built in, which alone are used.
pub fn zone_data() -> Line {
    let theirs = ZONE_DATA.iter().find_map(|place| version_in(Path::new(place)));
    compare_zones(crate::time::tzdb_version(), theirs.as_deref())
}

fn compare_zones(ours: &str, theirs: Option<&str>) -> Line {
    let check = "zone data";
    match theirs {
        None => Line::ok(check, format!("{ours} built in; this machine has none to compare with")),
        Some(theirs) if release(theirs) > release(ours) => {
            let text =
                format!("{ours} built in, and this machine knows {theirs}: a place may have changed its clocks since");
            Line::warning(check, text, "update breachclock")
        }
        Some(theirs) => Line::ok(check, format!("{ours} built in, {theirs} on this machine")),
    }
}

fn version_in(file: &Path) -> Option<String> {
    // the version stands in the first line; the rest is large
    let mut head = Vec::new();
    std::fs::File::open(file).ok()?.take(200).read_to_end(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head);
    let word = text.lines().next()?.trim().trim_start_matches("# version").trim();
    let word = word.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    release(word).map(|_| word.to_string())
}

/// Year and letters: `2026za` comes after `2026z`.
fn release(version: &str) -> Option<(u32, usize, &str)> {
    let (year, letters) = version.split_at_checked(4)?;
    let fits = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_lowercase());
    fits.then_some((year.parse().ok()?, letters.len(), letters))
}

/// Whether systemd restarts a daemon whose loop stands still.
pub fn systemd_watchdog() -> Line {
    let said = run("systemctl", &["show", UNIT, "--property=LoadState,WatchdogUSec"]);
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

/// Standard output of a program that ended well in time.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
    // a few lines: they fit into the pipe, nobody waits for a reader
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn clocks() {
        let (yes, no) = (Some(true), Some(false));
        for (said, wanted) in [
            (vec![("a", yes)], State::Ok),
            (vec![("a", no), ("b", yes)], State::Ok),
            (vec![("a", no), ("b", None)], State::Fault),
            (vec![("a", None), ("b", None)], State::Unknown),
        ] {
            assert_eq!(judge(&said).state, wanted, "{said:?}");
        }
        assert_eq!(["yes\n", "no\n", "", "n/a"].map(timedatectl_says), [yes, no, None, None]);
        // from `chronyc -c tracking`, chrony 4.5
        let normal = "A29FC801,162.159.200.1,4,1711584000.123,0.000012,-0.000003,0.000021,-12.345,-0.001,0.023,0.001,0.0005,64.3,Normal\n";
        let never = "7F7F0101,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n";
        assert_eq!([normal, never, "506 Cannot talk to daemon\n", ""].map(chronyc_says), [yes, no, None, None]);
        assert_eq!(["leap=00, sync=ntp\n", "leap=11\n", "timed out"].map(ntpq_says), [yes, no, None]);
    }

    #[test]
    fn zones() {
        for (theirs, wanted) in [
            (Some("2025c"), State::Warning),
            (Some("2026a"), State::Warning),
            (Some("2025b"), State::Ok),
            (Some("2024z"), State::Ok),
            (None, State::Ok),
        ] {
            assert_eq!(compare_zones("2025b", theirs).state, wanted, "{theirs:?}");
        }
        assert!(release("2026za") > release("2026z"));
        assert!(release(crate::time::tzdb_version()).is_some(), "the built-in version is comparable");
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("tzdata.zi");
        for (text, wanted) in
            [("# version 2025b\n# ddeps\n", Some("2025b")), ("2026a\n", Some("2026a")), ("# none\n", None)]
        {
            std::fs::write(&file, text).expect("written");
            assert_eq!(version_in(&file).as_deref(), wanted, "{text:?}");
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
