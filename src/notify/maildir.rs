//! A maildir as the way out: every message becomes a file that any mail reader opens (https://cr.yp.to/proto/maildir.html).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    fn only_line_ends_lose_their_carriage_return() {
        assert_eq!(without_carriage_returns(b"a\r\nb\rc\r\n"), b"a\nb\rc\n");
    }
}
