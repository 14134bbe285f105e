//! Anchors, and the checkpoints they belong to.

use super::super::{Result, StoreError, StoredAnchor, StoredCheckpoint, pack};
use super::backend;
use super::writer::{Batch, Sql, Work};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// One more anchor of a checkpoint that exists.
pub(super) struct Add(pub StoredAnchor);

impl Work for Add {
    type Output = ();

    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<()>> {
        let anchor = &self.0;
        let added = batch
            .sql
            .prepare_cached(
                "INSERT INTO anchor (size, kind, url, token, requested_at, received_at)
                 SELECT size, ?2, ?3, ?4, ?5, ?6 FROM checkpoint WHERE size = ?1",
            )?
            .execute(params![
                anchor.size as i64,
                anchor.kind,
                anchor.url,
                anchor.token,
                pack::micros(anchor.requested_at),
                pack::micros(anchor.received_at)
            ])?;
        Ok(if added == 1 { Ok(()) } else { Err(StoreError::NotFound) })
    }
}

/// See `Store::checkpoint_over`.
pub(super) fn checkpoint_over(sql: &Connection, size: u64) -> Result<Option<StoredCheckpoint>> {
    sql.prepare_cached("SELECT size, root, note FROM checkpoint WHERE size >= ?1 ORDER BY size LIMIT 1")
        .and_then(|mut find| find.query_row([bound(size)], |row| checkpoint_of(row, 0)).optional())
        .map_err(backend)
}

/// See `Store::anchor_over`.
pub(super) fn over(sql: &Connection, kind: &str, size: u64) -> Result<Option<(StoredCheckpoint, StoredAnchor)>> {
    sql.prepare_cached(
        "SELECT anchor.size, kind, url, token, requested_at, received_at, checkpoint.size, root, note
         FROM anchor JOIN checkpoint ON checkpoint.size = anchor.size
         WHERE kind = ?1 AND anchor.size >= ?2 ORDER BY anchor.size, id LIMIT 1",
    )
    .and_then(|mut find| {
        find.query_row(params![kind, bound(size)], |row| Ok((checkpoint_of(row, 6)?, anchor_of(row)?))).optional()
    })
    .map_err(backend)
}

/// See `Store::last_anchor`.
pub(super) fn last(sql: &Connection, kind: &str) -> Result<Option<StoredAnchor>> {
    sql.prepare_cached(
        "SELECT size, kind, url, token, requested_at, received_at FROM anchor WHERE kind = ?1 ORDER BY id DESC LIMIT 1",
    )
    .and_then(|mut find| find.query_row([kind], anchor_of).optional())
    .map_err(backend)
}

/// See `Store::last_anchor_of`.
pub(super) fn last_of(sql: &Connection, kind: &str, url: &str) -> Result<Option<StoredAnchor>> {
    sql.prepare_cached(
        "SELECT size, kind, url, token, requested_at, received_at FROM anchor WHERE kind = ?1 AND url = ?2
         ORDER BY id DESC LIMIT 1",
    )
    .and_then(|mut find| find.query_row([kind, url], anchor_of).optional())
    .map_err(backend)
}

/// See `Store::anchors_at`.
pub(super) fn all_at(sql: &Connection, kind: &str, size: u64) -> Result<Vec<StoredAnchor>> {
    sql.prepare_cached(
        "SELECT size, kind, url, token, requested_at, received_at FROM anchor WHERE kind = ?1 AND size = ?2 ORDER BY id",
    )
    .and_then(|mut find| find.query_map(params![kind, bound(size)], anchor_of)?.collect())
    .map_err(backend)
}

fn bound(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn checkpoint_of(row: &Row<'_>, from: usize) -> Sql<StoredCheckpoint> {
    Ok(StoredCheckpoint { size: row.get::<_, i64>(from)? as u64, root: row.get(from + 1)?, note: row.get(from + 2)? })
}

fn anchor_of(row: &Row<'_>) -> Sql<StoredAnchor> {
    Ok(StoredAnchor {
        size: row.get::<_, i64>(0)? as u64,
        kind: row.get(1)?,
        url: row.get(2)?,
        token: row.get(3)?,
        requested_at: pack::instant_of(row.get(4)?),
        received_at: pack::instant_of(row.get(5)?),
    })
}
