//! A maildir as the way out: every message becomes a file that any mail reader opens (https://cr.yp.to/proto/maildir.html).

use super::mail_id::MailId;
use crate::law::IncidentId;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Headers of a mail that went through many servers still fit.
const HEAD_BYTES: u64 = 64 * 1024;

/// A directory with `tmp`, `new` and `cur`.
#[derive(Clone, Debug)]
pub struct Maildir {
    dir: PathBuf,
}

impl Maildir {
    pub fn new(dir: impl Into<PathBuf>) -> Maildir {
        Maildir { dir: dir.into() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes its folders where they are missing.
    pub fn prepare(&self) -> io::Result<()> {
        ["tmp", "new", "cur"].iter().try_for_each(|part| fs::create_dir_all(self.dir.join(part)))
    }

    /// Writes one message durably and answers with its path below the directory. `name` must be unique per attempt and
    /// free of `/`, `:` and a leading dot; the same name again replaces the same message. Lines end with LF, as maildir
    /// readers expect. Blocks on the disk.
    pub fn store(&self, name: &str, mail: &[u8]) -> io::Result<String> {
        self.prepare()?;
        let draft = self.dir.join("tmp").join(name);
        let mut file = File::create(&draft)?;
        file.write_all(&without_carriage_returns(mail))?;
        file.sync_all()?;
        fs::rename(&draft, self.dir.join("new").join(name))?;
        // the rename is durable only when the directory is
        File::open(self.dir.join("new"))?.sync_all()?;
        Ok(format!("new/{name}"))
    }
}

/// Ids of our own messages in `dir`, as [`id_in_mail`] gives them, of files written since `since`. A bounce quotes the header of what it returns further
/// down, and does not count. Blocks on the disk; what cannot be read has not arrived.
pub fn arrived(dir: &Path, since: SystemTime) -> BTreeSet<String> {
    let files = ["new", "cur"].into_iter().filter_map(|part| fs::read_dir(dir.join(part)).ok()).flatten().flatten();
    // a mailbox may hold years of mail
    let recent = |file: &fs::DirEntry| file.metadata().and_then(|m| m.modified()).is_ok_and(|at| at >= since);
    files.filter(recent).filter_map(|file| id_of(&file.path())).collect()
}

/// How a message with this key is named in its mail.
pub fn id_in_mail(key: &str) -> String {
    MailId::of_key(IncidentId::house(), key).to_string()
}

fn id_of(file: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    String::from_utf8_lossy(&head).lines().take_while(|line| !line.trim_end().is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("X-Breachclock-Id").then(|| value.trim().to_string())
    })
}

fn without_carriage_returns(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len());
    for (at, byte) in mail.iter().enumerate() {
        if *byte != b'\r' || mail.get(at + 1) != Some(&b'\n') {
            out.push(*byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounce_is_no_arrival() {
        let dir = tempfile::tempdir().expect("a folder");
        let maildir = Maildir::new(dir.path());
        let mail = "Received: from a\r\nx-breachclock-id: one \r\nSubject: x\r\n\r\nX-Breachclock-Id: two\r\n";
        maildir.store("1", mail.as_bytes()).expect("stored");
        maildir.store("2", b"From: MAILER-DAEMON\n\nX-Breachclock-Id: three\n").expect("stored");
        let long_ago = SystemTime::UNIX_EPOCH;
        assert_eq!(arrived(dir.path(), long_ago), BTreeSet::from(["one".to_string()]));
        let later = fs::metadata(dir.path().join("new/1")).and_then(|m| m.modified()).expect("a time");
        assert_eq!(arrived(dir.path(), later + std::time::Duration::from_secs(60)), BTreeSet::new());
        assert_eq!(arrived(&dir.path().join("none"), long_ago), BTreeSet::new());
    }

    #[test]
    fn only_line_ends_lose_their_carriage_return() {
        assert_eq!(without_carriage_returns(b"a\r\nb\rc\r\n"), b"a\nb\rc\n");
    }
}
