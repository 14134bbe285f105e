//! Backup and restore: online, whole or not at all, and a restored log that never contradicts what was signed after the
//! backup; start-up on a log that was edited by hand.

use crate::support::daemon::{Daemon, binary, free_port, spawn, start, token, write_config};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

/// An installation in a folder of its own, with the daemon's token.
struct Site {
    dir: tempfile::TempDir,
    port: u16,
    config: PathBuf,
    token: PathBuf,
}

impl Site {
    fn new(extra: &str) -> Site {
        let dir = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let config = write_config(dir.path(), port, extra);
        let token_file = dir.path().join("token");
        fs::write(&token_file, token(&config)).expect("written");
        Site { port, config, token: token_file, dir }
    }

    /// Another folder with the same configuration, and nothing else.
    fn empty_twin(&self) -> Site {
        let dir = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let config = write_config(dir.path(), port, "");
        Site { port, config, token: self.token.clone(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self) -> Daemon {
        start(&self.config, self.port)
    }

    /// A command that talks to the daemon.
    fn ask(&self, args: &[&str]) -> Output {
        let server = format!("http://127.0.0.1:{}", self.port);
        let mut command = binary();
        command.args(args).args(["--server", &server, "--token-file"]).arg(&self.token);
        command.output().expect("runs")
    }

    fn report(&self, title: &str) {
        let output = self.ask(&["incident", "report", title]);
        assert!(output.status.success(), "{}", text(&output));
    }

    fn checkpoint(&self) -> String {
        let output = self.ask(&["evidence", "checkpoint"]);
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).expect("a note")
    }

    fn backup(&self, to: &Path, keys: &str) -> Output {
        binary().arg("backup").arg(to).arg(keys).arg("--config").arg(&self.config).output().expect("runs")
    }

    fn restore(&self, from: &Path, args: &[&str]) -> Output {
        binary().arg("restore").arg(from).arg("--config").arg(&self.config).args(args).output().expect("runs")
    }

    /// Every entry of the log, from its database.
    fn entries(&self) -> Vec<Value> {
        let sql = rusqlite::Connection::open(self.path("data/breachclock.db")).expect("opens");
        let mut rows = sql.prepare("SELECT bytes FROM entry ORDER BY idx").expect("a query");
        let read = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
        read.map(|bytes| serde_json::from_slice(&bytes.expect("bytes")).expect("JSON")).collect()
    }

    /// Size and root of every checkpoint that was ever kept.
    fn signed(&self) -> Vec<(i64, Vec<u8>)> {
        let sql = rusqlite::Connection::open(self.path("data/breachclock.db")).expect("opens");
        let mut rows = sql.prepare("SELECT size, root FROM checkpoint ORDER BY size").expect("a query");
        let read = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        read.map(|row| row.expect("a row")).collect()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn expect(output: &Output, code: i32, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in\n{text}");
    }
}

fn size_of(note: &str) -> u64 {
    note.lines().nth(1).and_then(|line| line.parse().ok()).expect("a size")
}

fn kinds(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|e| e["type"].as_str().expect("a type")).collect()
}

#[test]
fn a_restored_log_contradicts_nothing_that_was_signed() {
    let site = Site::new("");
    let backup = site.path("backup.zip");
    let mut daemon = site.start();
    site.report("before the backup");
    expect(&site.backup(&backup, "--with-keys"), 0, &["entries", "keys included", "sha256 "]);
    expect(&site.backup(&backup, "--with-keys"), 1, &["exists; choose another name"]);
    site.report("after the backup, and lost");
    let note = site.checkpoint();
    fs::write(site.path("note"), &note).expect("written");
    assert!(daemon.terminate(Duration::from_secs(20)).is_some(), "ends");
    let before = site.signed();

    let twin = site.empty_twin();
    let unsaid = twin.restore(&backup, &[]);
    expect(&unsaid, 1, &["--last-checkpoint FILE", "--lost-at-most N", "--nothing-later"]);
    assert!(!twin.path("data/breachclock.db").exists() && !twin.path("data/restore.part").exists());
    let named = site.path("note");
    let restored = twin.restore(&backup, &["--json", "--last-checkpoint", named.to_str().expect("UTF-8")]);
    expect(&restored, 0, &[]);
    let answer: Value = serde_json::from_slice(&restored.stdout).expect("JSON");
    let (size, reached) = (answer["entries"].as_u64().expect("a size"), size_of(&note));
    assert_eq!((answer["reached"].as_u64(), answer["stated"].as_str()), (Some(reached), Some("checkpoint")));
    assert_eq!(answer["incidents_woken"], 0, "its alarm rings as before: {answer}");
    assert!(reached > size + 1, "the second report wrote entries: {size} {reached}");

    // no place and no size is given twice
    let entries = twin.entries();
    for lost in size..reached {
        assert_eq!(entries[lost as usize]["type"], "log.lost", "{lost}");
    }
    let said = &entries[reached as usize];
    assert_eq!((said["type"].as_str(), said["stream"].as_str()), (Some("log.restored"), Some("_system")));
    assert_eq!(said["body"]["lost"]["from"], size);
    assert_eq!(said["body"]["lost"]["to"], reached - 1);
    assert_eq!(said["body"]["checkpoints"][0]["size"], reached);
    for (size, root) in twin.signed() {
        let other = before.iter().find(|(s, _)| *s == size);
        assert!(other.is_none_or(|(_, known)| *known == root), "two checkpoints of size {size}");
    }

    // it goes on, and says why an old checkpoint has no proof
    let _daemon = twin.start();
    twin.report("after the restore");
    let output = twin.ask(&["incident", "list"]);
    expect(&output, 0, &["before the backup", "after the restore"]);
    assert!(!text(&output).contains("and lost"));
    assert!(size_of(&twin.checkpoint()) > reached);
    let client = reqwest_get(&twin, &format!("/api/v1/log/proof?from={reached}"));
    assert!(client.0 == 409 && client.1.contains("log.restored"), "{client:?}");
    let client = reqwest_get(&twin, &format!("/api/v1/log/proof?from={size}"));
    assert_eq!(client.0, 200, "{client:?}");
}

fn reqwest_get(site: &Site, path: &str) -> (u16, String) {
    let url = format!("http://127.0.0.1:{}{path}", site.port);
    let token = fs::read_to_string(&site.token).expect("a token");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let answer = reqwest::Client::new().get(url).bearer_auth(token.trim()).send().await.expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    })
}

#[test]
fn a_restore_over_the_old_folder_reads_what_is_lost() {
    let site = Site::new("");
    let backup = site.path("backup.zip");
    let mut daemon = site.start();
    site.report("before the backup");
    expect(&site.backup(&backup, "--without-keys"), 0, &["without keys"]);
    site.report("lost, and still legible");
    daemon.kill();
    let reached = site.entries().len() as u64;
    expect(&site.restore(&backup, &[]), 1, &["is not empty", "--replace"]);
    expect(&site.restore(&backup, &["--replace", "--nothing-later"]), 1, &["you say that nothing was written"]);
    assert_eq!(site.entries().len() as u64, reached, "a refusal changes nothing");
    // the keys lie in the folder, and stay there
    let restored = site.restore(&backup, &["--replace"]);
    expect(&restored, 0, &["of type incident.reported", "about 1 incidents: inc-", "replaced-"]);
    let entries = site.entries();
    assert_eq!(entries[reached as usize]["body"]["stated"], "replaced-folder");
    assert_eq!(entries[reached as usize]["body"]["read_before"]["incident.reported"], 1);
    assert!(kinds(&entries[..reached as usize]).ends_with(&["log.lost"]));
    let fsck = binary().args(["evidence", "fsck", "--config"]).arg(&site.config).output().expect("runs");
    expect(&fsck, 0, &["the log is whole"]);
    let _daemon = site.start();
    expect(&site.ask(&["incident", "list"]), 0, &["before the backup"]);
}

#[test]
fn what_cannot_be_restored_is_refused_and_leaves_the_folder_empty() {
    let site = Site::new("");
    let (whole, bare) = (site.path("whole.zip"), site.path("bare.zip"));
    let mut daemon = site.start();
    site.report("one");
    let early = site.checkpoint();
    expect(&site.backup(&whole, "--with-keys"), 0, &[]);
    expect(&site.backup(&bare, "--without-keys"), 0, &[]);
    assert!(daemon.terminate(Duration::from_secs(20)).is_some(), "ends");
    let keys = site.path("data/keys");

    // the same log in another history: same key, same name, other entries
    let other = site.empty_twin();
    fs::create_dir_all(other.path("data")).expect("made");
    copy_folder(&keys, &other.path("data/keys"));
    let made =
        binary().args(["token", "create", "--role", "admin", "--config"]).arg(&other.config).output().expect("runs");
    expect(&made, 0, &[]);
    fs::write(other.path("token"), &made.stdout).expect("written");
    let other = Site { token: other.path("token"), ..other };
    let fork = {
        let _daemon = other.start();
        other.checkpoint()
    };
    let files = [
        ("early", early.clone()),
        ("fork", fork),
        ("foreign", early.replace("crash.test", "other.test")),
        ("torn", "x".into()),
    ];
    for (name, note) in files {
        fs::write(site.path(name), note).expect("written");
    }
    let named = |name: &str| site.path(name).to_str().expect("UTF-8").to_string();

    let zip = fs::read(&whole).expect("read");
    fs::write(site.path("cut.zip"), &zip[..zip.len() / 2]).expect("written");
    let mut flipped = zip.clone();
    flipped[zip.len() / 3] ^= 1;
    fs::write(site.path("flipped.zip"), &flipped).expect("written");
    repack(&whole, &site.path("edited.zip"), |name, bytes| match name {
        "checkpoint.txt" => Some(b"something else\n".to_vec()),
        _ => Some(bytes),
    });
    repack(&whole, &site.path("less.zip"), |name, bytes| (name != "breachclock.db").then_some(bytes));
    repack(&whole, &site.path("resigned.zip"), |name, bytes| match name {
        "manifest.json" => Some([bytes.as_slice(), b"\n"].concat()),
        _ => Some(bytes),
    });
    repack(&whole, &site.path("more.zip"), |name, bytes| match name {
        "manifest.json.sig" => None,
        _ => Some(bytes),
    });
    add(&site.path("more.zip"), "rules/extra.json");

    let fork_note = named("fork");
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("bare.zip", &["--nothing-later"], &["is not at hand", "--keys DIR"]),
        ("cut.zip", &["--nothing-later"], &["no usable backup"]),
        ("flipped.zip", &["--nothing-later"], &["backup"]),
        ("edited.zip", &["--nothing-later"], &["checkpoint.txt", "sum"]),
        ("less.zip", &["--nothing-later"], &["`breachclock.db` is missing"]),
        ("more.zip", &["--nothing-later"], &["`rules/extra.json` is not in its list"]),
        ("resigned.zip", &["--nothing-later"], &["not signed by this installation's export key", "--unsigned"]),
        ("whole.zip", &["--last-checkpoint", &fork_note], &["another history", "fork"]),
        ("whole.zip", &["--lost-at-most", "99999999"], &["is the number right"]),
    ];
    for (file, args, words) in cases {
        let twin = site.empty_twin();
        let refused = twin.restore(&site.path(file), args);
        // a fork is seen where the histories differ, or that the other is longer than the backup knows
        let words: &[&str] = if *file == "whole.zip" && args.contains(&fork_note.as_str()) { &["fork"] } else { words };
        expect(&refused, 1, words);
        let left: Vec<_> =
            fs::read_dir(twin.path("data")).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
        assert_eq!(left, ["breachclock.lock"], "{file} {args:?}");
    }
    for (name, words) in [("foreign", "is of log"), ("torn", "not a checkpoint")] {
        let refused = site.empty_twin().restore(&whole, &["--last-checkpoint", &named(name)]);
        expect(&refused, 1, &[words]);
    }
    expect(&site.empty_twin().restore(&site.path("missing.zip"), &[]), 66, &["does not exist"]);

    // and what is right is taken, also the keys from elsewhere
    let twin = site.empty_twin();
    let taken = twin.restore(
        &bare,
        &["--keys", keys.to_str().expect("UTF-8"), "--last-checkpoint", &named("early"), "--lost-at-most", "3"],
    );
    expect(&taken, 0, &["3 entries are lost", "lost-at-most", "tokens revoked"]);
    assert!(twin.path("data/keys/log.pem").exists());

    // a restore that was cut off: no daemon starts beside it, and it can be repeated
    let twin = site.empty_twin();
    fs::create_dir_all(twin.path("data/restore.part")).expect("made");
    let refused = binary().args(["serve", "--config"]).arg(&twin.config).output().expect("runs");
    expect(&refused, 1, &["did not come to its end", "breachclock restore"]);
    expect(&twin.restore(&whole, &["--nothing-later"]), 0, &["no entry is known to be lost"]);
    let _daemon = twin.start();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Writes `from` again, each file as `change` gives it, or without it.
fn repack(from: &Path, to: &Path, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) {
    use std::io::{Read, Write};
    let mut zip = zip::ZipArchive::new(fs::File::open(from).expect("opens")).expect("a ZIP file");
    let mut out = zip::ZipWriter::new(fs::File::create(to).expect("made"));
    for at in 0..zip.len() {
        let mut member = zip.by_index(at).expect("a file");
        let name = member.name().expect("a name").to_string();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).expect("read");
        if let Some(bytes) = change(&name, bytes) {
            out.start_file(name, zip::write::SimpleFileOptions::default()).expect("begun");
            out.write_all(&bytes).expect("written");
        }
    }
    out.finish().expect("finished");
}

fn add(to: &Path, name: &str) {
    use std::io::Write;
    let file = fs::File::options().read(true).write(true).open(to).expect("opens");
    let mut out = zip::ZipWriter::new_append(file).expect("a ZIP file");
    out.start_file(name, zip::write::SimpleFileOptions::default()).expect("begun");
    out.write_all(b"{}").expect("written");
    out.finish().expect("finished");
}

#[test]
fn the_daemon_makes_backups_and_says_when_it_cannot() {
    let site = Site::new(
        "[backup]\ndir = \"copies\"\ncron = \"0 2 * * *\"\nkeys = true\nkeep = 2\nalarm_to = [\"person:lea\"]\n",
    );
    // the folder is missing: evidence, a mail, and the doctor says so
    let daemon = site.start();
    wait_for(|| kinds(&site.entries()).contains(&"backup.failed"));
    wait_for(|| mails(&site).iter().any(|mail| mail.contains("the backup failed") || mail.contains("copies")));
    let doctor = binary().args(["doctor", "--config"]).arg(&site.config).output().expect("runs");
    assert!(text(&doctor).contains("cannot be read"), "{}", text(&doctor));
    drop(daemon);

    let copies = site.path("copies");
    fs::create_dir(&copies).expect("made");
    for old in ["20200101T020000Z", "20200102T020000Z"] {
        fs::write(copies.join(format!("breachclock-crash.test-log-{old}.zip")), "old").expect("written");
    }
    fs::write(copies.join("breachclock-other-20200101T020000Z.zip"), "another log's").expect("written");
    let mut daemon = site.start();
    wait_for(|| kinds(&site.entries()).contains(&"backup.made"));
    let made = site.entries().into_iter().find(|e| e["type"] == "backup.made").expect("an entry");
    assert_eq!(made["body"]["removed"][0], "breachclock-crash.test-log-20200101T020000Z.zip");
    let file = copies.join(made["body"]["file"].as_str().expect("a name"));
    assert!(file.exists() && copies.join("breachclock-other-20200101T020000Z.zip").exists());
    let note =
        fs::read_to_string(copies.join("breachclock-crash.test-log.checkpoint")).expect("the checkpoint beside it");
    assert!(size_of(&note) >= made["body"]["size"].as_u64().expect("a size"));
    let doctor = binary().args(["doctor", "--config"]).arg(&site.config).output().expect("runs");
    assert!(text(&doctor).contains("keys included"), "{}", text(&doctor));
    assert!(daemon.terminate(Duration::from_secs(20)).is_some(), "ends");
    // it restores, and the checkpoint beside it counts by itself
    let twin = site.empty_twin();
    expect(&twin.restore(&file, &["--lost-at-most", "0"]), 0, &["restored"]);
    let said = twin.entries().into_iter().find(|e| e["type"] == "log.restored").expect("an entry");
    assert_eq!(said["body"]["checkpoints"][0]["source"], "beside-the-backup");
}

fn mails(site: &Site) -> Vec<String> {
    let new = site.path("mail/new");
    let Ok(files) = fs::read_dir(new) else { return Vec::new() };
    files.filter_map(|f| fs::read_to_string(f.ok()?.path()).ok()).collect()
}

fn wait_for(mut what: impl FnMut() -> bool) {
    for _ in 0..400 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it does not come");
}

#[test]
fn a_log_edited_by_hand_stops_the_daemon_and_can_be_looked_at() {
    // the last entry fails when the store opens, an earlier one when the root is compared
    for which in ["max(idx)", "max(idx) / 2"] {
        let site = Site::new("");
        let mut daemon = site.start();
        site.report("a tape is missing");
        site.checkpoint();
        assert!(daemon.terminate(Duration::from_secs(20)).is_some(), "ends");
        let sql = rusqlite::Connection::open(site.path("data/breachclock.db")).expect("opens");
        sql.execute_batch(&format!(
            "DROP TRIGGER entry_is_never_changed;
             UPDATE entry SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"v\":1', '\"v\":2') AS BLOB)
             WHERE idx = (SELECT {which} FROM entry);
             PRAGMA wal_checkpoint(TRUNCATE);"
        ))
        .expect("edited");
        drop(sql);
        let refused = binary().args(["serve", "--config"]).arg(&site.config).output().expect("runs");
        expect(&refused, 1, &["evidence"]);
        let before = fs::read(site.path("data/breachclock.db")).expect("read");
        let mut command = binary();
        command.args(["serve", "--read-only", "--config"]).arg(&site.config);
        let mut daemon = spawn(command, site.port);
        wait_for(|| std::net::TcpStream::connect(("127.0.0.1", site.port)).is_ok());
        expect(&site.ask(&["incident", "list"]), 0, &["a tape is missing"]);
        let refused = site.ask(&["incident", "report", "another"]);
        assert!(!refused.status.success() && text(&refused).contains("--read-only"), "{}", text(&refused));
        let (code, body) = reqwest_get(&site, "/readyz");
        assert!(code == 503 && body.contains("only shown"), "{code} {body}");
        assert!(daemon.terminate(Duration::from_secs(20)).is_some(), "ends");
        assert_eq!(fs::read(site.path("data/breachclock.db")).expect("read"), before, "nothing was written");
    }
}
