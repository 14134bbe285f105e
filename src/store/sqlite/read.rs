//! Reading, in threads with read-only connections of their own; each read sees one committed state.

use super::super::sealed::{self, Sealed};
use super::super::{Dossier, Query, Record, Result, StoreError, StoredCheckpoint, StoredEntry, pack};
use super::keys::FileKeys;
use super::writer::{Sql, end_from};
use super::{backend, settings, spawn};
use crate::escalation::Sent;
use crate::evidence::StreamHead;
use crate::law::IncidentId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Reads that may run at once.
const READERS: usize = 3;

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// The reader threads. Idle ones wait in the queue's receiver and cost nothing.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: Option<mpsc::Sender<ReadJob>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub fn start(file: &Path) -> Result<Readers> {
        let (jobs, waiting) = mpsc::channel::<ReadJob>();
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |_| {
            let (connection, waiting) = (settings::reader(file)?, waiting.clone());
            spawn("store-reader", move || {
                loop {
                    let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    job(&connection);
                }
            })
        };
        Ok(Readers { jobs: Some(jobs), threads: (0..READERS).map(start).collect::<Result<_>>()? })
    }

    /// Runs `work` on one committed state.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let stopped = || StoreError::Backend("the readers have stopped; restart breachclock".into());
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |sql| {
            let _ = reply.send(in_snapshot(sql, work));
        });
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    pub fn stop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn in_snapshot<T>(sql: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    sql.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(backend)?;
    let answer = work(sql);
    sql.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(backend)?;
    answer
}

pub(super) fn dossier(sql: &Connection, id: &IncidentId) -> Result<Dossier> {
    let row: Option<i64> = sql
        .prepare_cached("SELECT id FROM stream WHERE name = ?1")
        .and_then(|mut find| find.query_row([&id.0], |row| row.get(0)).optional())
        .map_err(backend)?;
    dossier_of(sql, row.ok_or(StoreError::NotFound)?)?.ok_or(StoreError::NotFound)
}

/// `None` when the stream is not an incident's.
fn dossier_of(sql: &Connection, row: i64) -> Result<Option<Dossier>> {
    let found: Option<(i64, Option<i64>, Vec<u8>)> = sql
        .prepare_cached(
            "SELECT version, wake_at, body FROM incident JOIN record ON record.id = incident.id WHERE incident.id = ?1",
        )
        .and_then(|mut find| find.query_row([row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional())
        .map_err(backend)?;
    let Some((version, wake_at, body)) = found else { return Ok(None) };
    let record: Record = pack::unpack_record(&body, &format!("the record of incident {row}"))?;
    let sent = sent(sql, row, u32::MAX)?;
    Ok(Some(Dossier { version: version as u64, record, wake_at: wake_at.map(pack::instant_of), sent }))
}

/// The last `limit` messages of a stream, oldest first.
fn sent(sql: &Connection, incident: i64, limit: u32) -> Result<Vec<Sent>> {
    let mut find = sql
        .prepare_cached(
            "SELECT message.id, body, state, attempts, settled_at, detail FROM message JOIN outbox ON outbox.id = message.id
             WHERE incident = ?1 ORDER BY message.id DESC LIMIT ?2",
        )
        .map_err(backend)?;
    let mut rows = find.query(params![incident, limit]).map_err(backend)?;
    let mut sent = Vec::new();
    while let Some(row) = rows.next().map_err(backend)? {
        sent.push(sent_of(row)?);
    }
    sent.reverse();
    Ok(sent)
}

/// See `Store::sent`.
pub(super) fn sent_about(sql: &Connection, id: &IncidentId, limit: u32) -> Result<Vec<Sent>> {
    let row: Option<i64> = sql
        .prepare_cached("SELECT id FROM stream WHERE name = ?1")
        .and_then(|mut find| find.query_row([&id.0], |row| row.get(0)).optional())
        .map_err(backend)?;
    row.map_or_else(|| Ok(Vec::new()), |row| sent(sql, row, limit))
}

fn sent_of(row: &Row<'_>) -> Result<Sent> {
    let id: i64 = row.get(0).map_err(backend)?;
    let body = row.get_ref(1).map_err(backend)?.as_blob().map_err(|error| StoreError::Backend(error.to_string()))?;
    Ok(Sent {
        message: pack::unpack_message(body, &format!("message {id}"))?.into(),
        state: pack::state_of(row.get(2).map_err(backend)?),
        attempts: row.get(3).map_err(backend)?,
        settled_at: row.get::<_, Option<i64>>(4).map_err(backend)?.map(pack::instant_of),
        detail: row.get(5).map_err(backend)?,
    })
}

pub(super) fn list(sql: &Connection, query: &Query) -> Result<Vec<Dossier>> {
    let before = match &query.after {
        None => i64::MAX,
        Some(id) => sql
            .prepare_cached("SELECT id FROM stream WHERE name = ?1")
            .and_then(|mut find| find.query_row([&id.0], |row| row.get(0)).optional())
            .map_err(backend)?
            .ok_or(StoreError::NotFound)?,
    };
    let rows = match &query.planned_otherwise {
        Some(rulebook) => planned_otherwise(sql, query, before, rulebook)?,
        None => sql
            .prepare_cached(
                "SELECT incident.id FROM incident JOIN record ON record.id = incident.id
                 WHERE incident.id < ?1 AND (closed = 0 OR NOT ?2) AND (?3 IS NULL OR entity = ?3)
                 ORDER BY incident.id DESC LIMIT ?4",
            )
            .and_then(|mut find| {
                find.query_map(params![before, query.open_only, query.entity, query.limit], |row| row.get(0))?
                    .collect::<Sql<Vec<i64>>>()
            })
            .map_err(backend)?,
    };
    rows.into_iter().filter_map(|row| dossier_of(sql, row).transpose()).collect()
}

/// Rows of [`list`] whose record another rulebook planned. Asked at every start, when there are many records and hardly one
/// of these: nothing but the records is read.
fn planned_otherwise(sql: &Connection, query: &Query, before: i64, rulebook: &[u8; 32]) -> Result<Vec<i64>> {
    let mut find = sql
        .prepare_cached(
            "SELECT incident.id, body FROM incident JOIN record ON record.id = incident.id
             WHERE incident.id < ?1 AND (closed = 0 OR NOT ?2) AND (?3 IS NULL OR entity = ?3)
             ORDER BY incident.id DESC",
        )
        .map_err(backend)?;
    let mut rows = find.query(params![before, query.open_only, query.entity]).map_err(backend)?;
    let mut found = Vec::new();
    while found.len() < query.limit as usize
        && let Some(row) = rows.next().map_err(backend)?
    {
        let id: i64 = row.get(0).map_err(backend)?;
        let body = row.get_ref(1).and_then(|body| Ok(body.as_blob()?)).map_err(backend)?;
        if pack::unpack_record(body, &format!("the record of incident {id}"))?.rulebook != *rulebook {
            found.push(id);
        }
    }
    Ok(found)
}

/// The incident a request was accepted as, and whether it was the same request.
pub(super) fn accepted_by(sql: &Connection, key: &[u8; 32], request: &[u8; 32]) -> Sql<Option<(IncidentId, bool)>> {
    sql.prepare_cached(
        "SELECT name, request FROM accepted JOIN stream ON stream.id = accepted.incident WHERE key = ?1",
    )?
    .query_row([key], |row| {
        // after an erasure a request is known by its key alone
        Ok((IncidentId(row.get(0)?), row.get::<_, Option<Vec<u8>>>(1)?.is_none_or(|first| first == request)))
    })
    .optional()
}

pub(super) fn accepted(sql: &Connection, key: &[u8; 32], request: &[u8; 32]) -> Result<Option<(IncidentId, bool)>> {
    accepted_by(sql, key, request).map_err(backend)
}

/// Names of incidents, in the order of `rows`.
pub(super) fn names(sql: &Connection, rows: &[i64]) -> Result<Vec<IncidentId>> {
    let name = |row: &i64| {
        sql.prepare_cached("SELECT name FROM stream WHERE id = ?1")?.query_row([row], |row| row.get(0).map(IncidentId))
    };
    rows.iter().map(name).collect::<Sql<_>>().map_err(backend)
}

fn entry_of(row: &Row<'_>) -> Sql<StoredEntry> {
    Ok(StoredEntry {
        idx: row.get::<_, i64>(0)? as u64,
        stream: row.get(1)?,
        n: row.get::<_, i64>(2)? as u64,
        bytes: row.get(3)?,
    })
}

/// Bounds of a range of entries as SQLite's integers.
fn bound(idx: u64) -> i64 {
    i64::try_from(idx).unwrap_or(i64::MAX)
}

pub(super) fn entries(sql: &Connection, range: Range<u64>) -> Result<Vec<StoredEntry>> {
    sql.prepare_cached(
        "SELECT idx, name, n, bytes FROM entry JOIN stream ON stream.id = entry.stream WHERE idx >= ?1 AND idx < ?2 ORDER BY idx",
    )
    .and_then(|mut find| find.query_map([bound(range.start), bound(range.end)], entry_of)?.collect())
    .map_err(backend)
}

pub(super) fn stream(sql: &Connection, name: &str) -> Result<Vec<StoredEntry>> {
    sql.prepare_cached(
        "SELECT idx, name, n, bytes FROM entry JOIN stream ON stream.id = entry.stream
         WHERE entry.stream = (SELECT id FROM stream WHERE name = ?1) ORDER BY n",
    )
    .and_then(|mut find| find.query_map([name], entry_of)?.collect())
    .map_err(backend)
}

pub(super) fn disclosures(sql: &Connection, name: &str, keys: &FileKeys) -> Result<BTreeMap<[u8; 32], Vec<u8>>> {
    let bodies: Vec<Vec<u8>> = sql
        .prepare_cached(
            "SELECT body FROM entry JOIN disclosure ON disclosure.idx = entry.idx
             WHERE stream = (SELECT id FROM stream WHERE name = ?1) ORDER BY n",
        )
        .and_then(|mut find| find.query_map([name], |row| row.get(0))?.collect())
        .map_err(backend)?;
    let mut stored = Vec::new();
    for body in bodies {
        stored.extend(sealed::read(&body)?);
    }
    let keys = keys.find(stored.iter().map(|one| one.key))?;
    let opened = |one: Sealed| keys.get(&one.key).map(|key| Ok((one.commitment, one.open(key)?)));
    stored.into_iter().filter_map(opened).collect()
}

/// A complete subtree's root: kept by the entry that completed it.
pub(super) fn node(sql: &Connection, level: u8, index: u64) -> Sql<Option<[u8; 32]>> {
    let last = index
        .checked_add(1)
        .and_then(|after| after.checked_mul(1u64.checked_shl(u32::from(level))?))
        .and_then(|end| i64::try_from(end - 1).ok());
    let Some(last) = last else { return Ok(None) };
    sql.prepare_cached("SELECT substr(nodes, ?2, 32) FROM entry WHERE idx = ?1")?
        .query_row(params![last, i64::from(level) * 32 + 1], |row| {
            row.get_ref(0)?.as_blob().map(|hash| hash.try_into().ok()).map_err(Into::into)
        })
        .optional()
        .map(Option::flatten)
}

/// The end of the stream in row `stream`.
pub(super) fn end_of_stream(sql: &Connection, stream: i64) -> Sql<StreamHead> {
    let last = sql
        .prepare_cached("SELECT n, bytes FROM entry WHERE stream = ?1 ORDER BY n DESC LIMIT 1")?
        .query_row([stream], |row| Ok(end_from(row.get(0)?, row.get_ref(1)?.as_blob()?)))
        .optional()?;
    Ok(last.unwrap_or_default())
}

pub(super) fn stream_head(sql: &Connection, name: &str) -> Result<StreamHead> {
    let row = sql
        .prepare_cached("SELECT id FROM stream WHERE name = ?1")
        .and_then(|mut find| find.query_row([name], |row| row.get(0)).optional())
        .map_err(backend)?;
    row.map_or(Ok(StreamHead::default()), |row| end_of_stream(sql, row).map_err(backend))
}

/// The newest checkpoint.
pub(super) fn checkpoint(sql: &Connection) -> Sql<Option<StoredCheckpoint>> {
    sql.prepare_cached("SELECT size, root, note FROM checkpoint ORDER BY size DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(StoredCheckpoint { size: row.get::<_, i64>(0)? as u64, root: row.get(1)?, note: row.get(2)? })
        })
        .optional()
}

/// Number of the last proof that was written.
pub(super) fn serial(sql: &Connection) -> Result<i64> {
    sql.prepare_cached("SELECT serial FROM log")
        .and_then(|mut find| find.query_row([], |row| row.get(0)))
        .map_err(backend)
}
