//! The transaction that appends: it locks the head of the log, so that all writers of all nodes stand in one row, and
//! checking before writing is enough.

use super::pool::{Sql, backend, said};
use super::{Result, StoreError};
use crate::evidence::{Head, StreamHead, completed_nodes, seal};
use crate::store::prepared::PreparedDraft;
use deadpool_postgres::{Object, Transaction};
use std::collections::BTreeMap;
use std::future::Future;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

/// A parameter of a statement.
pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// Something to write. `apply` must check everything before it writes anything: an inner error is a refusal, and the
/// transaction is rolled back.
pub(super) trait Work: Sync {
    type Output: Send;
    fn apply(&self, batch: &mut Batch<'_>) -> impl Future<Output = Sql<Result<Self::Output>>> + Send;
}

/// Runs `work` in a transaction of its own, durable on return.
pub(super) async fn write<W: Work>(client: &mut Object, origin: &str, work: &W) -> Result<W::Output> {
    // READ COMMITTED: after the lock is ours, each statement sees all that those before us committed
    let sql =
        client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await.map_err(backend)?;
    let mut batch = Batch::lock(sql, origin).await?;
    let outcome = work.apply(&mut batch).await.map_err(backend)?;
    if outcome.is_ok() {
        batch.commit().await?;
    }
    outcome
}

/// The transaction that is being made. Entries are kept until the end and written by one statement.
pub(super) struct Batch<'t> {
    pub sql: Transaction<'t>,
    origin: &'t str,
    pub head: Head,
    /// Row and end of the streams of this transaction.
    streams: BTreeMap<String, (i64, StreamHead)>,
    entries: Entries,
}

/// New rows of `entry` and `disclosure`, by column.
#[derive(Default)]
struct Entries {
    idx: Vec<i64>,
    stream: Vec<i64>,
    n: Vec<i64>,
    nodes: Vec<Vec<u8>>,
    bytes: Vec<Vec<u8>>,
    disclosed: Vec<i64>,
    disclosures: Vec<Vec<u8>>,
}

impl<'t> Batch<'t> {
    async fn lock(sql: Transaction<'t>, origin: &'t str) -> Result<Batch<'t>> {
        let head = one(&sql, "SELECT head FROM log FOR UPDATE", &[]).await.map_err(backend)?;
        let head = read_head(&head.get::<_, Vec<u8>>(0))?;
        Ok(Batch { sql, origin, head, streams: BTreeMap::new(), entries: Entries::default() })
    }

    /// Reads the rows and ends of these streams; what does not exist is left out. To be called before [`Batch::row`].
    pub async fn learn<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> Sql<()> {
        let mut names: Vec<&str> = names.filter(|name| !self.streams.contains_key(*name)).collect();
        names.sort_unstable();
        names.dedup();
        let known = all(
            &self.sql,
            "SELECT name, id, n, prev FROM stream LEFT JOIN LATERAL
               (SELECT n, sha256(bytes) AS prev FROM entry WHERE stream = stream.id ORDER BY n DESC LIMIT 1) AS last ON true
             WHERE name = ANY($1)",
            &[&names],
        )
        .await?;
        for row in known {
            self.streams.insert(row.try_get(0)?, (row.try_get(1)?, end_of(&row, 2)?));
        }
        Ok(())
    }

    /// Row of a stream, when it exists.
    pub fn row(&self, stream: &str) -> Option<i64> {
        self.streams.get(stream).map(|(row, _)| *row)
    }

    pub async fn make_stream(&mut self, name: &str) -> Sql<i64> {
        let row: i64 =
            one(&self.sql, "INSERT INTO stream (name) VALUES ($1) RETURNING id", &[&name]).await?.try_get(0)?;
        self.streams.insert(name.to_string(), (row, StreamHead::default()));
        Ok(row)
    }

    /// Seals a draft as the next entry of the log. Answers its index and leaf hash.
    pub async fn append(&mut self, (draft, disclosures): &PreparedDraft) -> Sql<(u64, [u8; 32])> {
        if !self.streams.contains_key(&draft.stream) {
            self.make_stream(&draft.stream).await?;
        }
        let (row, end) = self.streams.get_mut(&draft.stream).expect("was made above");
        let idx = self.head.size;
        let entry = seal(draft, self.origin, idx, end);
        *end = StreamHead::after(&entry);
        let mut nodes = Vec::new();
        completed_nodes(idx, entry.leaf, &self.head).iter().for_each(|(_, _, hash)| nodes.extend_from_slice(hash));
        self.entries.idx.push(idx as i64);
        self.entries.stream.push(*row);
        self.entries.n.push(entry.n as i64);
        self.entries.nodes.push(nodes);
        self.entries.bytes.push(entry.bytes);
        if let Some(body) = disclosures {
            self.entries.disclosed.push(idx as i64);
            self.entries.disclosures.push(body.clone());
        }
        self.head.append(entry.leaf);
        Ok((idx, entry.leaf))
    }

    async fn commit(self) -> Result<()> {
        let Batch { sql, head, entries, .. } = self;
        flush(&sql, &head, &entries).await.map_err(backend)?;
        sql.commit().await.map_err(|error| match error.as_db_error() {
            Some(_) => backend(error),
            None => StoreError::Backend(format!(
                "the answer to a commit was lost ({}); repeat it, that is safe",
                said(&error)
            )),
        })
    }
}

async fn flush(sql: &Transaction<'_>, head: &Head, entries: &Entries) -> Sql<()> {
    if !entries.idx.is_empty() {
        run(
            sql,
            "INSERT INTO entry (idx, stream, n, nodes, bytes)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[])",
            &[&entries.idx, &entries.stream, &entries.n, &entries.nodes, &entries.bytes],
        )
        .await?;
        run(sql, "UPDATE log SET head = $1", &[&head.to_bytes()]).await?;
    }
    if !entries.disclosed.is_empty() {
        run(
            sql,
            "INSERT INTO disclosure (idx, body) SELECT * FROM unnest($1::bigint[], $2::bytea[])",
            &[&entries.disclosed, &entries.disclosures],
        )
        .await?;
    }
    // a time-out during COMMIT would end only the wait for a standby, and the answer would promise what is not so
    sql.batch_execute("SET LOCAL statement_timeout = 0").await
}

/// The stored form of the head.
pub(super) fn read_head(bytes: &[u8]) -> Result<Head> {
    Head::from_bytes(bytes).ok_or_else(|| {
        StoreError::Backend(
            "the head of the evidence log is damaged; run `breachclock evidence fsck`, restore a backup".into(),
        )
    })
}

/// Columns `n` and hash of a stream's last entry, from column `at` on; both are null in an empty stream.
pub(super) fn end_of(row: &Row, at: usize) -> Sql<StreamHead> {
    let (n, prev): (Option<i64>, Option<Vec<u8>>) = (row.try_get(at)?, row.try_get(at + 1)?);
    Ok(match (n, prev.as_deref().and_then(|hash| hash.first_chunk())) {
        (Some(n), Some(prev)) => StreamHead { n: n as u64, prev: *prev },
        _ => StreamHead::default(),
    })
}

pub(super) async fn all(sql: &impl deadpool_postgres::GenericClient, text: &str, with: &[Param<'_>]) -> Sql<Vec<Row>> {
    let statement = sql.prepare_cached(text).await?;
    sql.query(&statement, with).await
}

pub(super) async fn one(sql: &impl deadpool_postgres::GenericClient, text: &str, with: &[Param<'_>]) -> Sql<Row> {
    let statement = sql.prepare_cached(text).await?;
    sql.query_one(&statement, with).await
}

pub(super) async fn maybe(
    sql: &impl deadpool_postgres::GenericClient,
    text: &str,
    with: &[Param<'_>],
) -> Sql<Option<Row>> {
    let statement = sql.prepare_cached(text).await?;
    sql.query_opt(&statement, with).await
}

pub(super) async fn run(sql: &impl deadpool_postgres::GenericClient, text: &str, with: &[Param<'_>]) -> Sql<u64> {
    let statement = sql.prepare_cached(text).await?;
    sql.execute(&statement, with).await
}
