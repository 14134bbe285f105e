//! Anchors, and the checkpoints they belong to: one statement each.

use super::batch::{all, maybe};
use super::pool::{Sql, backend};
use super::{Result, StoreError};
use crate::store::{StoredAnchor, StoredCheckpoint, pack};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

/// One more anchor of a checkpoint that exists.
pub(super) async fn add(sql: &impl GenericClient, anchor: &StoredAnchor) -> Result<()> {
    let added = maybe(
        sql,
        "INSERT INTO anchor (size, kind, url, token, requested_at, received_at)
         SELECT size, $2::text, $3::text, $4::bytea, $5::bigint, $6::bigint FROM checkpoint WHERE size = $1 RETURNING id",
        &[
            &(anchor.size as i64),
            &anchor.kind,
            &anchor.url,
            &anchor.token,
            &pack::micros(anchor.requested_at),
            &pack::micros(anchor.received_at),
        ],
    )
    .await
    .map_err(backend)?;
    added.map(|_| ()).ok_or(StoreError::NotFound)
}

/// See `Store::checkpoint_over`.
pub(super) async fn checkpoint_over(sql: &impl GenericClient, size: u64) -> Sql<Option<StoredCheckpoint>> {
    let find = "SELECT size, root, note FROM checkpoint WHERE size >= $1 ORDER BY size LIMIT 1";
    maybe(sql, find, &[&bound(size)]).await?.map(|row| checkpoint_of(&row, 0)).transpose()
}

/// See `Store::anchor_over`.
pub(super) async fn over(
    sql: &impl GenericClient,
    kind: &str,
    size: u64,
) -> Sql<Option<(StoredCheckpoint, StoredAnchor)>> {
    let found = maybe(
        sql,
        "SELECT anchor.size, kind, url, token, requested_at, received_at, checkpoint.size, root, note
         FROM anchor JOIN checkpoint ON checkpoint.size = anchor.size
         WHERE kind = $1 AND anchor.size >= $2 ORDER BY anchor.size, id LIMIT 1",
        &[&kind, &bound(size)],
    )
    .await?;
    found.map(|row| Ok((checkpoint_of(&row, 6)?, anchor_of(&row)?))).transpose()
}

/// See `Store::last_anchor`.
pub(super) async fn last(sql: &impl GenericClient, kind: &str) -> Sql<Option<StoredAnchor>> {
    let find = "SELECT size, kind, url, token, requested_at, received_at FROM anchor WHERE kind = $1
                ORDER BY id DESC LIMIT 1";
    maybe(sql, find, &[&kind]).await?.map(|row| anchor_of(&row)).transpose()
}

/// See `Store::last_anchor_of`.
pub(super) async fn last_of(sql: &impl GenericClient, kind: &str, url: &str) -> Sql<Option<StoredAnchor>> {
    let find = "SELECT size, kind, url, token, requested_at, received_at FROM anchor WHERE kind = $1 AND url = $2
                ORDER BY id DESC LIMIT 1";
    maybe(sql, find, &[&kind, &url]).await?.map(|row| anchor_of(&row)).transpose()
}

/// See `Store::anchors_at`.
pub(super) async fn all_at(sql: &impl GenericClient, kind: &str, size: u64) -> Sql<Vec<StoredAnchor>> {
    let find = "SELECT size, kind, url, token, requested_at, received_at FROM anchor WHERE kind = $1 AND size = $2
                ORDER BY id";
    all(sql, find, &[&kind, &bound(size)]).await?.iter().map(anchor_of).collect()
}

fn bound(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn checkpoint_of(row: &Row, from: usize) -> Sql<StoredCheckpoint> {
    let (size, root): (i64, &[u8]) = (row.try_get(from)?, row.try_get(from + 1)?);
    // a root of another length equals no root
    let root = root.try_into().unwrap_or_default();
    Ok(StoredCheckpoint { size: size as u64, root, note: row.try_get(from + 2)? })
}

fn anchor_of(row: &Row) -> Sql<StoredAnchor> {
    Ok(StoredAnchor {
        size: row.try_get::<_, i64>(0)? as u64,
        kind: row.try_get(1)?,
        url: row.try_get(2)?,
        token: row.try_get(3)?,
        requested_at: pack::instant_of(row.try_get(4)?),
        received_at: pack::instant_of(row.try_get(5)?),
    })
}
