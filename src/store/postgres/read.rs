//! Reading: one statement each, so that each read sees one committed state without a transaction.

use super::batch::{all, end_of, maybe, one};
use super::pool::{Sql, backend};
use super::{Result, StoreError, text};
use crate::escalation::Sent;
use crate::evidence::StreamHead;
use crate::law::IncidentId;
use crate::store::sealed::{self, Sealed};
use crate::store::{Dossier, Due, Lane, Query, StoredCheckpoint, StoredEntry, pack};
use deadpool_postgres::GenericClient;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::ops::Range;
use tokio_postgres::Row;

/// Columns of a dossier; the messages as one array per column, in the order in which they were queued.
macro_rules! dossiers {
    ($incidents:literal) => {
        concat!(
            "SELECT incident.id, version, wake_at, record.body, ids, bodies, states, attempts, settled, details
             FROM ",
            $incidents,
            " AS incident JOIN record ON record.id = incident.id CROSS JOIN LATERAL
               (SELECT coalesce(array_agg(message.id ORDER BY message.id), '{}') AS ids,
                       coalesce(array_agg(body ORDER BY message.id), '{}') AS bodies,
                       coalesce(array_agg(state ORDER BY message.id), '{}') AS states,
                       coalesce(array_agg(attempts ORDER BY message.id), '{}') AS attempts,
                       coalesce(array_agg(settled_at ORDER BY message.id), '{}') AS settled,
                       coalesce(array_agg(detail ORDER BY message.id), '{}') AS details
                FROM message JOIN outbox ON outbox.id = message.id WHERE message.incident = incident.id) AS sent
             ORDER BY incident.id DESC"
        )
    };
}

pub(super) async fn dossier(sql: &impl GenericClient, id: &IncidentId) -> Result<Dossier> {
    let found = maybe(
        sql,
        dossiers!("(SELECT incident.* FROM incident JOIN stream ON stream.id = incident.id WHERE name = $1)"),
        &[&id.0],
    )
    .await
    .map_err(backend)?;
    dossier_of(&found.ok_or(StoreError::NotFound)?)
}

/// The last `limit` messages of a stream, oldest first.
pub(super) async fn sent(sql: &impl GenericClient, id: &IncidentId, limit: u32) -> Result<Vec<Sent>> {
    let rows = all(
        sql,
        "SELECT * FROM
           (SELECT message.id, body, state, attempts, settled_at, detail
            FROM message JOIN outbox ON outbox.id = message.id
            WHERE incident = (SELECT id FROM stream WHERE name = $1) ORDER BY message.id DESC LIMIT $2) AS last
         ORDER BY id",
        &[&id.0, &i64::from(limit)],
    )
    .await
    .map_err(backend)?;
    rows.iter().map(|row| Stored::read(row).map_err(backend)?.unpack()).collect()
}

fn dossier_of(row: &Row) -> Result<Dossier> {
    let id: i64 = row.try_get(0).map_err(backend)?;
    let (version, wake_at): (i64, Option<i64>) = (row.try_get(1).map_err(backend)?, row.try_get(2).map_err(backend)?);
    let body: &[u8] = row.try_get(3).map_err(backend)?;
    let record = pack::unpack_record(body, &format!("the record of incident {id}"))?;
    Ok(Dossier { version: version as u64, record, wake_at: wake_at.map(pack::instant_of), sent: sent_in(row)? })
}

fn sent_in(row: &Row) -> Result<Vec<Sent>> {
    let (ids, bodies): (Vec<i64>, Vec<&[u8]>) = (row.try_get(4).map_err(backend)?, row.try_get(5).map_err(backend)?);
    let (states, attempts): (Vec<i64>, Vec<i64>) = (row.try_get(6).map_err(backend)?, row.try_get(7).map_err(backend)?);
    let (settled, details): (Vec<Option<i64>>, Vec<Option<String>>) =
        (row.try_get(8).map_err(backend)?, row.try_get(9).map_err(backend)?);
    let mut sent = Vec::with_capacity(ids.len());
    let outcomes = states.into_iter().zip(attempts).zip(settled).zip(details);
    for ((id, body), (((state, attempts), settled_at), detail)) in ids.into_iter().zip(bodies).zip(outcomes) {
        sent.push(Stored { id, body, state, attempts, settled_at, detail }.unpack()?);
    }
    Ok(sent)
}

/// A message as stored.
struct Stored<'a> {
    id: i64,
    body: &'a [u8],
    state: i64,
    attempts: i64,
    settled_at: Option<i64>,
    detail: Option<String>,
}

impl<'r> Stored<'r> {
    fn read(row: &'r Row) -> Sql<Stored<'r>> {
        Ok(Stored {
            id: row.try_get(0)?,
            body: row.try_get(1)?,
            state: row.try_get(2)?,
            attempts: row.try_get(3)?,
            settled_at: row.try_get(4)?,
            detail: row.try_get(5)?,
        })
    }

    fn unpack(self) -> Result<Sent> {
        Ok(Sent {
            message: pack::unpack_message(self.body, &format!("message {}", self.id))?.into(),
            state: pack::state_of(self.state),
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            settled_at: self.settled_at.map(pack::instant_of),
            detail: self.detail,
        })
    }
}

pub(super) async fn list(sql: &impl GenericClient, query: &Query) -> Result<Vec<Dossier>> {
    let before = match &query.after {
        None => i64::MAX,
        // a row keeps its number: reading it before the list is no race
        Some(id) => row_of(sql, &id.0).await.map_err(backend)?.ok_or(StoreError::NotFound)?,
    };
    let entity = query.entity.as_deref().map(text);
    if let Some(rulebook) = &query.planned_otherwise {
        let found = planned_otherwise(sql, query, before, &entity, rulebook).await?;
        let rows =
            all(sql, dossiers!("(SELECT * FROM incident WHERE id = ANY ($1))"), &[&found]).await.map_err(backend)?;
        return rows.iter().map(dossier_of).collect();
    }
    let rows = all(
        sql,
        dossiers!(
            "(SELECT * FROM incident
              WHERE id < $1 AND version > 0 AND NOT (closed AND $2) AND ($3::text IS NULL OR entity = $3)
              ORDER BY id DESC LIMIT $4)"
        ),
        &[&before, &query.open_only, &entity, &i64::from(query.limit)],
    )
    .await
    .map_err(backend)?;
    rows.iter().map(dossier_of).collect()
}

/// Rows of [`list`] whose record another rulebook planned. Asked at every start, when there are many records and hardly one
/// of these: nothing but the records is read, a page at a time.
async fn planned_otherwise(
    sql: &impl GenericClient,
    query: &Query,
    mut before: i64,
    entity: &Option<Cow<'_, str>>,
    rulebook: &[u8; 32],
) -> Result<Vec<i64>> {
    const PAGE: usize = 1000;
    let mut found = Vec::new();
    loop {
        let page = all(
            sql,
            "SELECT incident.id, body FROM incident JOIN record ON record.id = incident.id
             WHERE incident.id < $1 AND version > 0 AND NOT (closed AND $2) AND ($3::text IS NULL OR entity = $3)
             ORDER BY incident.id DESC LIMIT $4",
            &[&before, &query.open_only, entity, &(PAGE as i64)],
        )
        .await
        .map_err(backend)?;
        for row in &page {
            before = row.try_get(0).map_err(backend)?;
            let body: &[u8] = row.try_get(1).map_err(backend)?;
            if pack::unpack_record(body, &format!("the record of incident {before}"))?.rulebook != *rulebook {
                found.push(before);
                if found.len() >= query.limit as usize {
                    return Ok(found);
                }
            }
        }
        if page.len() < PAGE {
            return Ok(found);
        }
    }
}

async fn row_of(sql: &impl GenericClient, stream: &str) -> Sql<Option<i64>> {
    maybe(sql, "SELECT id FROM stream WHERE name = $1", &[&stream]).await?.map(|row| row.try_get(0)).transpose()
}

/// The incident a request was accepted as, and the hash of that request, when it had one.
pub(super) async fn accepted_by(sql: &impl GenericClient, key: &[u8; 32]) -> Sql<Option<(String, Option<Vec<u8>>)>> {
    let found = maybe(
        sql,
        "SELECT name, request FROM accepted JOIN stream ON stream.id = accepted.incident WHERE key = $1",
        &[&&key[..]],
    )
    .await?;
    found.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The first ones up to `limit` and the wake-up after them, all from one statement.
pub(super) async fn due(sql: &impl GenericClient, now: i64, limit: u32) -> Sql<Due> {
    let rows = all(
        sql,
        "(SELECT name, wake_at, true FROM incident JOIN stream ON stream.id = incident.id WHERE wake_at <= $1
          ORDER BY wake_at, incident.id LIMIT $2)
         UNION ALL
         (SELECT '', wake_at, false FROM incident WHERE wake_at > $1 ORDER BY wake_at, id LIMIT 1)",
        &[&now, &(i64::from(limit) + 1)],
    )
    .await?;
    let mut alarms: Vec<(String, i64, bool)> = Vec::with_capacity(rows.len());
    for row in rows {
        alarms.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    // the server may answer the two halves in any order
    alarms.sort_by_key(|(_, wake_at, _)| *wake_at);
    let ringing = alarms.iter().take(limit as usize).take_while(|(_, _, is_due)| *is_due).count();
    let next_wake = alarms.get(ringing).map(|(_, wake_at, _)| pack::instant_of(*wake_at));
    let incidents = alarms.into_iter().take(ringing).map(|(name, ..)| IncidentId(name)).collect();
    Ok(Due { incidents, next_wake })
}

/// Bounds of a range of entries as the database's integers.
fn bound(idx: u64) -> i64 {
    i64::try_from(idx).unwrap_or(i64::MAX)
}

fn entry_of(row: &Row) -> Sql<StoredEntry> {
    Ok(StoredEntry {
        idx: row.try_get::<_, i64>(0)? as u64,
        stream: row.try_get(1)?,
        n: row.try_get::<_, i64>(2)? as u64,
        bytes: row.try_get(3)?,
    })
}

pub(super) async fn entries(sql: &impl GenericClient, range: Range<u64>) -> Sql<Vec<StoredEntry>> {
    let rows = all(
        sql,
        "SELECT idx, name, n, bytes FROM entry JOIN stream ON stream.id = entry.stream
         WHERE idx >= $1 AND idx < $2 ORDER BY idx",
        &[&bound(range.start), &bound(range.end)],
    )
    .await?;
    rows.iter().map(entry_of).collect()
}

pub(super) async fn stream(sql: &impl GenericClient, name: &str) -> Sql<Vec<StoredEntry>> {
    let rows = all(
        sql,
        "SELECT idx, name, n, bytes FROM entry JOIN stream ON stream.id = entry.stream WHERE name = $1 ORDER BY n",
        &[&name],
    )
    .await?;
    rows.iter().map(entry_of).collect()
}

/// Sealed, in the order in which they were made.
pub(super) async fn disclosures(sql: &impl GenericClient, name: &str) -> Result<Vec<Sealed>> {
    let rows = all(
        sql,
        "SELECT body FROM entry JOIN disclosure ON disclosure.idx = entry.idx JOIN stream ON stream.id = entry.stream
         WHERE name = $1 ORDER BY n",
        &[&name],
    )
    .await
    .map_err(backend)?;
    let mut found = Vec::new();
    for row in rows {
        found.extend(sealed::read(row.try_get(0).map_err(backend)?)?);
    }
    Ok(found)
}

/// Complete subtrees' roots, in the order of `wanted`: each is kept by the entry that completed it.
pub(super) async fn nodes(sql: &impl GenericClient, wanted: &[(u8, u64)]) -> Sql<Vec<Option<[u8; 32]>>> {
    let place = |&(level, index): &(u8, u64)| {
        let last = index
            .checked_add(1)
            .and_then(|after| after.checked_mul(1u64.checked_shl(u32::from(level))?))
            .and_then(|end| i64::try_from(end - 1).ok());
        // no entry has a negative index
        (last.unwrap_or(-1), i32::from(level) * 32 + 1)
    };
    let (idx, from): (Vec<i64>, Vec<i32>) = wanted.iter().map(place).unzip();
    let rows = all(
        sql,
        "SELECT substring(nodes FROM wanted.start FOR 32)
         FROM unnest($1::bigint[], $2::integer[]) WITH ORDINALITY AS wanted (idx, start, place)
         LEFT JOIN entry ON entry.idx = wanted.idx ORDER BY place",
        &[&idx, &from],
    )
    .await?;
    let hash = |row: Row| Ok(row.try_get::<_, Option<&[u8]>>(0)?.and_then(|hash| hash.try_into().ok()));
    rows.into_iter().map(hash).collect()
}

pub(super) async fn stream_head(sql: &impl GenericClient, name: &str) -> Sql<StreamHead> {
    let last = maybe(
        sql,
        "SELECT n, sha256(bytes) FROM entry WHERE stream = (SELECT id FROM stream WHERE name = $1)
         ORDER BY n DESC LIMIT 1",
        &[&name],
    )
    .await?;
    last.map_or(Ok(StreamHead::default()), |row| end_of(&row, 0))
}

/// The newest checkpoint.
pub(super) async fn checkpoint(sql: &impl GenericClient) -> Sql<Option<StoredCheckpoint>> {
    let newest = maybe(sql, "SELECT size, root, note FROM checkpoint ORDER BY size DESC LIMIT 1", &[]).await?;
    let read = |row: Row| {
        let (size, root): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        // a root of another length equals no root
        let root = root.try_into().unwrap_or_default();
        Ok(StoredCheckpoint { size: size as u64, root, note: row.try_get(2)? })
    };
    newest.map(read).transpose()
}

/// Every row of a table of packed bodies, by id.
pub(super) async fn packed<T: DeserializeOwned>(sql: &impl GenericClient, table: &'static str) -> Result<Vec<T>> {
    let rows = all(sql, &format!("SELECT id, body FROM {table} ORDER BY id"), &[]).await.map_err(backend)?;
    let read = |row: Row| {
        let (id, body): (&str, &[u8]) = (row.try_get(0).map_err(backend)?, row.try_get(1).map_err(backend)?);
        pack::unpack(body, &format!("{table} `{id}`"))
    };
    rows.into_iter().map(read).collect()
}

/// Microseconds of the earliest instant at which an unsettled message of a lane may be claimed.
pub(super) async fn next_outbox(sql: &impl GenericClient, lane: Lane) -> Sql<Option<i64>> {
    let next = "SELECT min(since) FROM outbox WHERE state = 0 AND lane = $1";
    one(sql, next, &[&pack::lane_number(lane)]).await?.try_get(0)
}

/// Number of the last proof that was written.
pub(super) async fn serial(sql: &impl GenericClient) -> Sql<i64> {
    one(sql, "SELECT serial FROM log", &[]).await?.try_get(0)
}
