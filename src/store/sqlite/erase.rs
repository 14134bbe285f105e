//! Erasure in the file: the rows without the values, then everything in which a copy of them may be left.

use super::super::prepared::{PreparedErasure, PreparedText};
use super::super::{Result, StoreError, sealed};
use super::backend;
use super::keys::FileKeys;
use super::writer::{Batch, Sql};
use crate::store::keys::KeyId;
use rusqlite::{Connection, params};
use std::time::Duration;

/// Entries whose disclosures are sealed in one transaction, when they are sealed afterwards.
const STEP: i64 = 1000;
/// A file of more bytes is not written anew after an erasure: it would hold up the writer for too long, and fill the memory.
const MOST_REWRITTEN: i64 = 256 << 20;
/// Tries to empty the write-ahead log: a reader may hold it for a moment.
const TRIES: u32 = 50;

/// No key: it says that files are to be cleared, also when no disclosure was among the erased values.
const TO_BE_CLEARED: KeyId = KeyId { sheet: 0, place: 0 };

impl PreparedErasure {
    /// The incident's new version.
    pub(super) fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<u64>> {
        let Some(row) = batch.find_stream(&self.incident.id)? else { return Ok(Err(StoreError::NotFound)) };
        let rows = disclosures(batch.sql, row)?;
        let mut changed = Vec::new();
        for (idx, body) in rows {
            match sealed::without(&body, &self.commitments) {
                Ok((_, keys)) if keys.is_empty() => {}
                Ok((rest, keys)) => changed.push((idx, rest, keys)),
                Err(error) => return Ok(Err(error)),
            }
        }
        let version = match self.incident.apply(batch)? {
            Ok(version) => version,
            Err(refused) => return Ok(Err(refused)),
        };
        let sql = batch.sql;
        let mut doomed = vec![TO_BE_CLEARED];
        for (idx, rest, keys) in changed {
            match rest {
                Some(body) => sql.execute("UPDATE disclosure SET body = ?2 WHERE idx = ?1", params![idx, body])?,
                None => sql.execute("DELETE FROM disclosure WHERE idx = ?1", [idx])?,
            };
            doomed.extend(keys);
        }
        for KeyId { sheet, place } in doomed {
            sql.execute("INSERT OR IGNORE INTO key_to_destroy (sheet, place) VALUES (?1, ?2)", (sheet, place))?;
        }
        for PreparedText { stream, key, body, detail } in &self.messages {
            let Some(row) = batch.find_stream(stream)? else { continue };
            sql.execute("UPDATE message SET body = ?3 WHERE incident = ?1 AND key = ?2", params![row, key, body])?;
            sql.execute(
                "UPDATE outbox SET detail = ?3 WHERE id = (SELECT id FROM message WHERE incident = ?1 AND key = ?2)",
                params![row, key, detail],
            )?;
        }
        sql.execute("UPDATE accepted SET request = NULL WHERE incident = ?1", [row])?;
        if let Some(key) = &self.reference {
            sql.execute("DELETE FROM accepted WHERE key = ?1 AND incident = ?2", params![key, row])?;
        }
        batch.effects.erased = true;
        Ok(Ok(version))
    }
}

fn disclosures(sql: &Connection, stream: i64) -> Sql<Vec<(i64, Vec<u8>)>> {
    sql.prepare_cached(
        "SELECT disclosure.idx, body FROM entry JOIN disclosure ON disclosure.idx = entry.idx WHERE stream = ?1",
    )?
    .query_map([stream], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// After an erasure was committed: destroys the keys, then clears the file and the write-ahead log. May be repeated.
pub(super) fn clear(sql: &Connection, keys: &FileKeys) -> Result<()> {
    let doomed: Vec<KeyId> = sql
        .prepare_cached("SELECT sheet, place FROM key_to_destroy")
        .and_then(|mut find| find.query_map([], |row| Ok(KeyId { sheet: row.get(0)?, place: row.get(1)? }))?.collect())
        .map_err(backend)?;
    if !doomed.is_empty() {
        keys.destroy(&doomed)?;
        rewrite(sql)?;
        sql.execute("DELETE FROM key_to_destroy", []).map_err(backend)?;
    }
    truncate(sql)
}

/// Finishes, at the start, an erasure that was cut short.
pub(super) fn finish(sql: &Connection, keys: &FileKeys) -> Result<()> {
    let cut_short = sql
        .query_row("SELECT EXISTS (SELECT 1 FROM key_to_destroy)", [], |row| row.get::<_, bool>(0))
        .map_err(backend)?;
    if cut_short { clear(sql, keys) } else { Ok(()) }
}

/// Writes the file anew. What SQLite frees it overwrites (`secure_delete`), but moving rows between pages leaves copies in
/// pages that are in use.
fn rewrite(sql: &Connection) -> Result<()> {
    let number = |pragma: &str| sql.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let bytes = number("page_count").and_then(|pages| Ok(pages * number("page_size")?)).map_err(backend)?;
    if bytes > MOST_REWRITTEN {
        tracing::warn!(
            megabytes = bytes >> 20,
            "the database is too large to be written anew while it is used: stop the daemon when it suits, and run \
             `sqlite3 breachclock.db VACUUM`; until then a free page may hold a copy of an erased text"
        );
        return Ok(());
    }
    sql.execute_batch("VACUUM").map_err(backend)
}

/// Copies the write-ahead log back and empties it.
fn truncate(sql: &Connection) -> Result<()> {
    for _ in 0..TRIES {
        let busy: i64 = sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(backend)?;
        if busy == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(StoreError::Backend("a reader holds the write-ahead log".into()))
}

/// Seals what an earlier version stored in clear.
pub(super) fn seal_plain(sql: &mut Connection, keys: &FileKeys) -> Result<()> {
    let mut sealed_some = false;
    loop {
        let step = sql.transaction().map_err(backend)?;
        let plain: Vec<(i64, Vec<u8>)> = step
            .prepare_cached("SELECT idx, body FROM disclosure_plain ORDER BY idx LIMIT ?1")
            .and_then(|mut find| find.query_map([STEP], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .map_err(backend)?;
        let Some((last, _)) = plain.last() else { break };
        for (idx, body) in &plain {
            let disclosures = sealed::read_plain(body)?;
            let mut taken = keys.take(disclosures.len())?.into_iter();
            step.prepare_cached("INSERT INTO disclosure (idx, body) VALUES (?1, ?2)")
                .and_then(|mut insert| insert.execute(params![idx, sealed::seal(&disclosures, &mut taken)]))
                .map_err(backend)?;
        }
        step.execute("DELETE FROM disclosure_plain WHERE idx <= ?1", [last]).map_err(backend)?;
        step.commit().map_err(backend)?;
        sealed_some = true;
    }
    if sealed_some {
        tracing::info!("the disclosures that were stored in clear are sealed now");
        rewrite(sql)?;
        truncate(sql)?;
    }
    Ok(())
}
