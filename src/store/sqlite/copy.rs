//! The file without its writer: a consistent copy while a daemon writes, and a look at a file nobody else uses.

use super::super::{Result, StoreError, StoredCheckpoint, StoredEntry};
use super::{backend, lock, read, settings};
use crate::evidence::{Head, Nodes};
use rusqlite::Connection;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// Name of the database in a data folder.
pub const FILE: &str = settings::FILE;

/// Copies the database `from` into the file `to`, as it stands after one commit. A daemon may write meanwhile. Free pages are left
/// behind, and with them what was deleted.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let source = settings::reader(from)?;
    // made before SQLite does: it would let others read it
    settings::make_private(to)?;
    let name = to.to_str().ok_or_else(|| StoreError::Backend(format!("`{}` is no UTF-8 name", to.display())))?;
    source.execute("VACUUM INTO ?1", [name]).map_err(backend)?;
    drop(source);
    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::Backend(format!("`{}` cannot be written to disk: {error}", to.display())))
}

/// Brings what lies beside the file into it, so that the file alone is the database. Nobody may use it.
pub fn gather(file: &Path) -> Result<()> {
    let sql = settings::pacer(file)?;
    // answers a row
    sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(backend)?;
    sql.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(backend)
}

/// Holds the folder `dir` as a daemon does, as long as the answer lives.
pub fn hold(dir: &Path) -> Result<File> {
    lock(dir)
}

/// A database file, opened for reading.
#[derive(Debug)]
pub struct Glance(Connection);

impl Glance {
    pub fn open(file: &Path) -> Result<Glance> {
        settings::reader(file).map(Glance)
    }

    /// Name of the log in it.
    pub fn origin(&self) -> Result<String> {
        self.0.query_row("SELECT origin FROM log", [], |row| row.get(0)).map_err(backend)
    }

    /// How many entries the log has.
    pub fn size(&self) -> Result<u64> {
        let last: Option<i64> =
            self.0.query_row("SELECT max(idx) FROM entry", [], |row| row.get(0)).map_err(backend)?;
        Ok(last.map_or(0, |last| last as u64 + 1))
    }

    /// The tree as its nodes are stored; `None` when some are missing. Entries are not looked at.
    pub fn head(&self) -> Result<Option<Head>> {
        Ok(Head::from_nodes(self.size()?, self))
    }

    pub fn checkpoint(&self) -> Result<Option<StoredCheckpoint>> {
        read::checkpoint(&self.0).map_err(backend)
    }

    pub fn entries(&self, range: Range<u64>) -> Result<Vec<StoredEntry>> {
        read::entries(&self.0, range)
    }
}

impl Nodes for Glance {
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        read::node(&self.0, level, index).ok().flatten()
    }
}
