//! How the file is opened: by the writer, by readers, by the pacer.

use super::{Result, StoreError, backend};
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

pub(super) const FILE: &str = "breachclock.db";

/// Milliseconds a connection waits for another one's lock. The writer is alone, so only checkpoints ever wait.
const BUSY: Duration = Duration::from_millis(100);

/// Larger than any caller has statements.
const STATEMENTS: usize = 64;

/// secure_delete: an erased value is overwritten. trusted_schema, cell_size_check: a damaged or crafted file is
/// refused early.
const SAFE: &str = "
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA secure_delete = ON;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
";

/// The file may hold personal data: only its owner reads it. SQLite gives its companions the same mode.
pub(super) fn make_private(file: &Path) -> Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file)
        .map(drop)
        .map_err(|error| StoreError::Backend(format!("`{}` cannot be made: {error}", file.display())))
}

/// The connection that writes. Durable at each COMMIT; the log is copied back by the pacer, not in the commits. Pages of
/// 8 KiB: most records fit one, which costs fewer writes than 4 KiB, and a small random change costs less than with 16.
pub(super) fn writer(file: &Path) -> Result<Connection> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection
        .execute_batch(
            "PRAGMA page_size = 8192;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -65536;",
        )
        .map_err(backend)?;
    Ok(connection)
}

/// The connection of the data keys. It writes seldom, and only whole sheets.
pub(super) fn keys(file: &Path) -> Result<Connection> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -256;")
        .map_err(backend)?;
    Ok(connection)
}

pub(super) fn reader(file: &Path) -> Result<Connection> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA cache_size = -4096;").map_err(backend)?;
    Ok(connection)
}

pub(super) fn pacer(file: &Path) -> Result<Connection> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -256;")
        .map_err(backend)?;
    Ok(connection)
}

fn open(file: &Path, mode: OpenFlags) -> Result<Connection> {
    // each connection stays in one thread at a time: SQLite's own locks are not needed
    let connection = Connection::open_with_flags(file, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(backend)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(BUSY).map_err(backend)?;
    connection.execute_batch(SAFE).map_err(backend)?;
    Ok(connection)
}
