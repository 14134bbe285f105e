//! A daemon that listens on a socket in the file system, and the command line that talks to it there.

use crate::support::daemon::{binary, serve, spawn, token, write_config};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn said(dir: &Path, args: &[&str]) -> Said {
    let output = binary()
        .args(args)
        .current_dir(dir)
        .env("BREACHCLOCK_SERVER", format!("unix:{}", dir.join("api.sock").display()))
        .env("BREACHCLOCK_TOKEN_FILE", dir.join("token"))
        .output()
        .expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

#[test]
fn a_report_over_the_socket() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = write_config(dir.path(), 1, "");
    let text = std::fs::read_to_string(&config).expect("read").replace("127.0.0.1:1", "unix:api.sock");
    // a second entity: whose incident it is, nobody says
    let second = "[[entity]]\nid = \"acme-us\"\nname = \"Acme Inc\"\nroles = [\"data-owner\"]\nestablished_in = [\"US-CA\"]\nzone = \"America/Los_Angeles\"\n";
    std::fs::write(&config, format!("{text}{second}")).expect("written");
    std::fs::write(dir.path().join("token"), token(&config)).expect("written");
    let mode = std::fs::metadata(dir.path().join("data")).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "evidence and keys are for the daemon alone");

    let mut command = serve(&config, None);
    command.current_dir(dir.path());
    let mut daemon = spawn(command, 1);
    for _ in 0..400 {
        if std::os::unix::net::UnixStream::connect(dir.path().join("api.sock")).is_ok() {
            break;
        }
        assert!(daemon.lives(), "the daemon ended");
        std::thread::sleep(Duration::from_millis(25));
    }

    let reported = said(dir.path(), &["incident", "report", "Ransomware on a file server"]);
    assert_eq!(reported.code, Some(0), "{}", reported.err);
    let id = reported.out.split_whitespace().next().expect("an id").to_string();
    // a title alone calls up hundreds that may apply: a screen shows the nearest, and says how many there are
    assert!(reported.out.lines().count() < 60, "{}", reported.out);
    assert!(reported.out.contains("more may apply") && reported.out.contains("ask first"), "{}", reported.out);

    let unknown = said(dir.path(), &["incident", "assert", &id, "personal_data=null"]);
    assert!(unknown.out.contains("`personal_data` stays unknown"), "{}{}", unknown.out, unknown.err);

    // a fault is named once, with the place of the field
    let refused = said(dir.path(), &["incident", "assert", &id, "afected.FR=3"]);
    assert_eq!(refused.code, Some(65), "{}", refused.err);
    assert_eq!(refused.err.matches("`afected.FR`").count(), 1, "{}", refused.err);

    let gone = said(dir.path(), &["incident", "list", "--server", "unix:nowhere.sock"]);
    assert_eq!(gone.code, Some(69), "{}", gone.err);
    assert!(gone.err.contains("`unix:nowhere.sock` cannot be reached"), "{}", gone.err);

    // what needs no server does not ask the one that the environment names
    drop(daemon);
    let diff = said(dir.path(), &["law", "diff", "built-in", "built-in"]);
    assert_eq!(diff.code, Some(0), "{}", diff.err);
}
