//! A full file system under a daemon that takes reports: what it cannot keep it refuses, whole; it stays up, says so,
//! and goes on when there is space again.

use crate::support::daemon::{Daemon, serve, start_by};
use crate::support::desks::MailDesk;
use crate::support::site::{DUTY, Site, eventually, incident_id, report};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const POLICY: &str = "[[policy]]\nid = \"default\"\n[[policy.step]]\nat = \"start\"\nnotify = [\"person:lea\"]\n";
const AWARE: &str = "2026-01-05T10:00:00Z";
const SECOND: Duration = Duration::from_secs(1);
/// Room for some dozens of reports.
const ROOM: u64 = 3 << 20;

/// A real small file system. Needs the right to mount.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_file_system_refuses_whole_and_recovers() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(mounted) = Mounted::new(dir.path()) else {
        println!(
            "figure: full file system: skipped, this user may not mount a tmpfs; the limit on file sizes is tested all the same"
        );
        return;
    };
    let mails = MailDesk::open();
    let site = Arc::new(Site::within(dir.path(), &mails.url, POLICY));
    let daemon = site.start();
    let full = || mounted.resize(mounted.used() + ROOM);
    fill_and_free("full file system", &site, daemon, &mails, full, || mounted.resize(64 << 20)).await;
}

/// No file may grow: what a quota does. Needs no rights.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_file_sizes_is_survived_alike() {
    let mails = MailDesk::open();
    let site = Arc::new(Site::new(&mails.url, POLICY));
    // the signal that comes with such a write would end any program that does not ignore it
    let daemon = serve(&site.config, None);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(daemon.get_program()).args(daemon.get_args());
    let daemon = start_by(command, site.port);
    let pid = daemon.child.id();
    let limit = |size: &str| {
        let arguments = [format!("--pid={pid}"), format!("--fsize={size}:unlimited")];
        assert!(Command::new("prlimit").args(arguments).status().expect("prlimit, of util-linux").success());
    };
    let wal = site.dir.join("data/breachclock.db-wal");
    let full = || limit(&(std::fs::metadata(&wal).map_or(0, |m| m.len()) + ROOM).to_string());
    fill_and_free("limit on file sizes", &site, daemon, &mails, full, || limit("unlimited")).await;
}

/// Nobody asks for anything, and what is there could still take small things: it is not ready all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_shows_while_nothing_happens() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(mounted) = Mounted::new(dir.path()) else {
        println!("figure: full disk, idle: skipped, this user may not mount a tmpfs");
        return;
    };
    let site = Site::within(dir.path(), &format!("maildir:{}", dir.path().join("mail").display()), POLICY);
    let mut daemon = site.start();
    let ready = async |wanted: u16| {
        eventually(30 * SECOND, "readiness follows the disk", || async {
            let (status, body) = site.get("/readyz").await.expect("answers");
            (status == wanted).then_some(body["faults"].to_string())
        })
        .await
    };
    ready(200).await;
    mounted.resize(mounted.used() + (1 << 20));
    let faults = ready(503).await;
    assert!(faults.contains("are free for"), "{faults}");
    mounted.resize(64 << 20);
    ready(200).await;
    assert!(daemon.lives());
    daemon.terminate(20 * SECOND).expect("ends");
}

async fn fill_and_free(
    name: &str,
    site: &Arc<Site>,
    mut daemon: Daemon,
    mails: &MailDesk,
    full: impl FnOnce(),
    free: impl FnOnce(),
) {
    let before = site.report("before", AWARE).await;
    eventually(10 * SECOND, "the first mail", || async { (!mails.taken().is_empty()).then_some(()) }).await;
    full();

    let workers: Vec<_> = (0..4).map(|worker| tokio::spawn(report_until_refused(site.clone(), worker))).collect();
    let (mut accepted, mut refused) = (BTreeSet::from([("before".to_string(), before.clone())]), BTreeSet::new());
    for worker in workers {
        let (kept, lost) = worker.await.expect("the worker ended");
        accepted.extend(kept);
        refused.extend(lost);
    }
    assert!(accepted.len() > 10 && refused.len() >= 20, "{} accepted, {} refused", accepted.len(), refused.len());

    // it stays up, says what is wrong, shows what it has, and refuses other writes as well
    assert!(daemon.lives());
    let faults = eventually(10 * SECOND, "it says that it is not ready", || async {
        let (status, body) = site.get("/readyz").await.expect("answers");
        (status == 503).then(|| body["faults"].to_string())
    })
    .await;
    assert!(faults.contains("the store failed"), "{faults}");
    assert_eq!(site.ok("/api/v1/status").await["ready"], false);
    assert_eq!(site.ok(&format!("/api/v1/incidents/{before}")).await["title"], "incident before");
    let note = "x".repeat(9000);
    let filing = json!({ "by": "lea", "reference": "r", "note": note });
    let path = format!("/api/v1/obligations/{before}~{DUTY}/filing");
    let (status, body) = site.post(&path, &filing).await.expect("answers");
    assert_eq!(status, 503, "{body}");
    assert_eq!(site.ok(&format!("/api/v1/obligations/{before}~{DUTY}")).await["standing"], "running");

    free();
    let after = site.report("after", AWARE).await;
    accepted.insert(("after".to_string(), after));
    eventually(10 * SECOND, "it is ready again", || async {
        let (status, _) = site.get("/readyz").await.expect("answers");
        (status == 200).then_some(())
    })
    .await;

    // all that was accepted is there and was mailed, nothing of what was refused
    let mut there = BTreeSet::new();
    let list = site.ok("/api/v1/incidents?limit=500").await;
    for item in list["items"].as_array().expect("a list") {
        let text = |key: &str| item[key].as_str().expect("text").to_string();
        there.insert((text("title").trim_start_matches("incident ").to_string(), text("id")));
    }
    assert_eq!(there, accepted);
    assert!(there.iter().all(|(reference, _)| !refused.contains(reference)));
    // a lease that was taken just before outlives its attempt when the outcome could not be kept
    let told = eventually(180 * SECOND, "everything is handed over", || async {
        let told = site.log().await.messages();
        let done = told.values().all(|m| m.outcomes.last().is_some_and(|outcome| outcome == "handed-over"));
        done.then_some(told)
    })
    .await;
    assert_eq!(told.len(), accepted.len(), "one reminder for each");
    let arrived: Vec<String> = mails.taken().into_iter().map(|mail| mail.id).collect();
    assert_eq!(arrived.iter().cloned().collect::<BTreeSet<_>>(), told.keys().cloned().collect::<BTreeSet<_>>());
    assert_eq!(arrived.len(), told.len(), "none went out twice, although their outcome could not be kept at first");
    site.verify_export(&before).await;
    daemon.terminate(20 * SECOND).expect("ends");
    site.fsck();
    println!(
        "figure: {name}: {} reports accepted and mailed once, {} refused with 503, none of them stored",
        accepted.len(),
        refused.len()
    );
}

/// Reports until several in a row were refused. Answers references with ids, and references.
async fn report_until_refused(site: Arc<Site>, worker: usize) -> (Vec<(String, String)>, Vec<String>) {
    let (mut accepted, mut refused, mut in_a_row) = (Vec::new(), Vec::new(), 0);
    for n in 0..5000 {
        let reference = format!("{worker}-{n}");
        let (status, body) = site.post("/api/v1/incidents", &report(&reference, AWARE)).await.expect("answers");
        match status {
            201 => {
                accepted.push((reference, incident_id(&body)));
                in_a_row = 0;
            }
            503 => {
                assert_eq!(body["type"], "urn:breachclock:problem:store-failed");
                refused.push(reference);
                in_a_row += 1;
            }
            other => panic!("{other}: {body}"),
        }
        if in_a_row == 10 {
            return (accepted, refused);
        }
    }
    panic!("the disk does not fill");
}

/// A tmpfs, taken away at the end.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(dir: &'a Path) -> Option<Mounted<'a>> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(dir).output();
        mount.ok().filter(|output| output.status.success()).map(|_| Mounted(dir))
    }

    fn used(&self) -> u64 {
        let output = Command::new("df").args(["--block-size=1", "--output=used"]).arg(self.0).output().expect("df");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1).and_then(|used| used.trim().parse().ok()).expect("a number")
    }

    fn resize(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0).status().expect("mount").success());
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // lazily: after a failure the daemon may still have files open
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}
