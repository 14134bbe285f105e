//! Numbered scripts, only ever added; each is run once, in one transaction, and recorded with its SHA-256.

use super::{Result, StoreError, backend};
use crate::evidence::sha256;
use rusqlite::{Connection, params};

/// `BClk`: what `file` and `PRAGMA application_id` show.
const APPLICATION_ID: i64 = 0x4243_6c6b;

/// Name and text, in order; number `n` stands at `n - 1`.
const SCRIPTS: &[(&str, &str)] = &[
    ("0001_first", include_str!("migrations/0001_first.sql")),
    ("0002_anchor", include_str!("migrations/0002_anchor.sql")),
    ("0003_sealed", include_str!("migrations/0003_sealed.sql")),
    ("0004_account", include_str!("migrations/0004_account.sql")),
];

/// Brings the file to the newest form. Refuses files of other programs, of newer versions, and ones whose scripts were
/// changed after they ran.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let number = |pragma: &str| {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0)).map_err(backend)
    };
    let (version, application) = (number("user_version")?, number("application_id")?);
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > SCRIPTS.len() {
        return Err(StoreError::Backend(format!(
            "the database has form {version}, this version knows {}; run a newer one",
            SCRIPTS.len()
        )));
    }
    let tables =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map_err(backend)?;
    if (done > 0 || tables > 0) && application != APPLICATION_ID {
        return Err(StoreError::Backend("the database belongs to another program; choose another [data].dir".into()));
    }
    for (at, (name, script)) in SCRIPTS.iter().enumerate() {
        let (number, sum) = (at as i64 + 1, sha256(script.as_bytes()));
        if at < done {
            let recorded: Vec<u8> = connection
                .query_row("SELECT sha256 FROM migration WHERE number = ?1", [number], |row| row.get(0))
                .map_err(backend)?;
            if recorded != sum {
                return Err(StoreError::Backend(format!(
                    "migration `{name}` ran in another text; run the version that made the database"
                )));
            }
            continue;
        }
        let step = connection.transaction().map_err(backend)?;
        if at == 0 {
            step.execute_batch(
                "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT;",
            )
            .map_err(backend)?;
            step.pragma_update(None, "application_id", APPLICATION_ID).map_err(backend)?;
        }
        step.execute_batch(script).map_err(backend)?;
        step.execute("INSERT INTO migration (number, name, sha256) VALUES (?1, ?2, ?3)", params![number, name, sum])
            .map_err(backend)?;
        step.pragma_update(None, "user_version", number).map_err(backend)?;
        step.commit().map_err(backend)?;
    }
    Ok(())
}
