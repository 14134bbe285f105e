//! Attachments as files: `DIR/attachments/<incident>/<commitment>`, sealed, readable by the daemon alone.

use crate::workflow::Shelf;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the folder in the data folder.
pub const FOLDER: &str = "attachments";

pub struct FolderShelf(PathBuf);

impl FolderShelf {
    pub fn of(data: &Path) -> FolderShelf {
        FolderShelf(data.join(FOLDER))
    }
}

impl Shelf for FolderShelf {
    fn put(&self, stream: &str, name: &str, sealed: &[u8]) -> io::Result<()> {
        let folder = self.0.join(stream);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // a half-written file must never stand under its name
        let part = folder.join(format!("{name}.part"));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
        file.write_all(sealed)?;
        file.sync_all()?;
        fs::rename(&part, folder.join(name))?;
        File::open(&folder)?.sync_all()?;
        File::open(&self.0)?.sync_all()
    }

    fn remove(&self, stream: &str, name: &str) -> io::Result<()> {
        let folder = self.0.join(stream);
        match fs::remove_file(folder.join(name)) {
            Ok(()) => File::open(&folder)?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn get(&self, stream: &str, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(stream).join(name)) {
            Ok(sealed) => Ok(Some(sealed)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
