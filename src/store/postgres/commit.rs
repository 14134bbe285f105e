//! A changeset in one transaction: every check first, then every write.

use super::batch::{Batch, Work, all, maybe, run};
use super::pool::Sql;
use super::{Result, StoreError, erase, outbox, read, text};
use crate::evidence::{Head, Nodes};
use crate::law::IncidentId;
use crate::store::prepared::{Commit, Prepared, PreparedAccess, PreparedAccount, PreparedIncident, PreparedMessage};
use crate::store::{Receipt, StoredCheckpoint, pack};
use std::collections::BTreeMap;

impl Work for Commit {
    type Output = Receipt;

    async fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<Receipt>> {
        let incident = match &self.change {
            Prepared::Incident(incident) => Some(incident.id.as_str()),
            Prepared::Messages(house, _) => Some(house.as_str()),
            Prepared::Delivery(news) => Some(news.incident.as_str()),
            Prepared::Erase(erasure) => Some(erasure.incident.id.as_str()),
            Prepared::Token { .. } | Prepared::Access(_) | Prepared::Nothing => None,
        };
        batch.learn(self.drafts.iter().map(|(draft, _)| draft.stream.as_str()).chain(incident)).await?;
        let version = match &self.change {
            Prepared::Incident(incident) => match write_incident(batch, incident).await? {
                Ok(version) => version,
                Err(refused) => return Ok(Err(refused)),
            },
            Prepared::Messages(house, messages) => {
                write_house(batch, house, messages).await?;
                0
            }
            Prepared::Delivery(news) => match outbox::advance(batch, news).await? {
                Ok(()) => 0,
                Err(refused) => return Ok(Err(refused)),
            },
            Prepared::Erase(erasure) => match erase::write(batch, erasure).await? {
                Ok(version) => version,
                Err(refused) => return Ok(Err(refused)),
            },
            Prepared::Token { id, body } => {
                run(
                    &batch.sql,
                    "INSERT INTO token (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                    &[id, body],
                )
                .await?;
                0
            }
            Prepared::Access(access) => match let_in(batch, access).await? {
                Ok(()) => 0,
                Err(refused) => return Ok(Err(refused)),
            },
            Prepared::Nothing => 0,
        };
        let mut entries = Vec::with_capacity(self.drafts.len());
        for draft in &self.drafts {
            entries.push(batch.append(draft).await?);
        }
        Ok(Ok(Receipt { version, entries }))
    }
}

/// Writes an incident and answers its new version.
pub(super) async fn write_incident(batch: &mut Batch<'_>, incident: &PreparedIncident) -> Sql<Result<u64>> {
    if let Some(duplicate) = duplicate(batch, incident).await? {
        return Ok(Err(duplicate));
    }
    let row = batch.row(&incident.id);
    let stored: Option<i64> = match row {
        Some(row) => maybe(&batch.sql, "SELECT version FROM incident WHERE id = $1", &[&row])
            .await?
            .map(|found| found.try_get(0))
            .transpose()?,
        None => None,
    };
    let stored = stored.map(|version| version as u64);
    if incident.expected != stored {
        return Ok(Err(StoreError::Conflict { stored }));
    }
    let row = match row {
        Some(row) => row,
        None => batch.make_stream(&incident.id).await?,
    };
    let version = stored.map_or(1, |version| version + 1);
    let (head, body) = if stored.is_none() {
        (
            "INSERT INTO incident (id, version, wake_at, closed, entity) VALUES ($1, $2, $3, $4, $5)",
            "INSERT INTO record (id, body) VALUES ($1, $2)",
        )
    } else {
        (
            "UPDATE incident SET version = $2, wake_at = $3, closed = $4, entity = $5 WHERE id = $1",
            "UPDATE record SET body = $2 WHERE id = $1",
        )
    };
    let entity = incident.entity.as_deref().map(text);
    run(&batch.sql, head, &[&row, &(version as i64), &incident.wake_at, &incident.closed, &entity]).await?;
    run(&batch.sql, body, &[&row, &incident.body]).await?;
    for (key, request) in incident.keys() {
        run(
            &batch.sql,
            "INSERT INTO accepted (key, incident, request) VALUES ($1, $2, $3)",
            &[&&key[..], &row, &request.as_ref().map(|request| &request[..])],
        )
        .await?;
    }
    queue(batch, row, &incident.messages).await?;
    Ok(Ok(version))
}

/// Queues messages about no incident. The house has a row among the incidents for them, but no record and no alarm.
async fn write_house(batch: &mut Batch<'_>, house: &str, messages: &[PreparedMessage]) -> Sql<()> {
    let row = match batch.row(house) {
        Some(row) => row,
        None => batch.make_stream(house).await?,
    };
    let made = "INSERT INTO incident (id, version, closed) VALUES ($1, 0, true) ON CONFLICT DO NOTHING";
    run(&batch.sql, made, &[&row]).await?;
    queue(batch, row, messages).await
}

async fn duplicate(batch: &Batch<'_>, incident: &PreparedIncident) -> Sql<Option<StoreError>> {
    for (key, request) in incident.keys() {
        if let Some((incident, first)) = read::accepted_by(&batch.sql, &key).await? {
            let same_request = request.is_none_or(|request| first.is_none_or(|first| first == request));
            return Ok(Some(StoreError::Duplicate { incident: IncidentId(incident), same_request }));
        }
    }
    Ok(None)
}

/// Queues the messages that are not known yet, in their order; of two with one key the first.
async fn queue(batch: &Batch<'_>, incident: i64, messages: &[PreparedMessage]) -> Sql<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&PreparedMessage) -> &[u8]| messages.iter().map(of).collect::<Vec<&[u8]>>();
    let (keys, bodies) = (column(|message| &message.key), column(|message| &message.body));
    let added = all(
        &batch.sql,
        "INSERT INTO message (incident, key, body)
         SELECT $1, key, body FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS given (key, body, place)
         ORDER BY place
         ON CONFLICT (incident, key) DO NOTHING RETURNING id, key",
        &[&incident, &keys, &bodies],
    )
    .await?;
    let mut first: BTreeMap<&[u8], &PreparedMessage> = BTreeMap::new();
    for message in messages {
        first.entry(&message.key[..]).or_insert(message);
    }
    let (mut rows, mut lanes, mut urgent_at, mut made_at): (Vec<i64>, Vec<i64>, Vec<i64>, Vec<i64>) =
        Default::default();
    for row in added {
        let message = first[row.try_get::<_, &[u8]>(1)?];
        rows.push(row.try_get(0)?);
        lanes.push(pack::lane_number(message.lane));
        urgent_at.push(message.urgent_at);
        made_at.push(message.made_at);
    }
    run(
        &batch.sql,
        "INSERT INTO outbox (id, lane, state, urgent_at, not_before, set_at, since, attempts)
         SELECT id, lane, 0, urgent_at, 0, 0, made_at, 0
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS given (id, lane, urgent_at, made_at)",
        &[&rows, &lanes, &urgent_at, &made_at],
    )
    .await?;
    Ok(())
}

/// The compare-and-swap of the signed head.
pub(super) struct ReplaceCheckpoint {
    pub old: Option<u64>,
    pub new: StoredCheckpoint,
}

/// The nodes that a head needs, read beforehand.
struct Frontier(BTreeMap<(u8, u64), [u8; 32]>);

impl Nodes for Frontier {
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        self.0.get(&(level, index)).copied()
    }
}

/// The head of the first `size` leaves; `None` when a node is missing.
pub(super) async fn head_at(sql: &impl deadpool_postgres::GenericClient, size: u64) -> Sql<Option<Head>> {
    let (mut wanted, mut start) = (Vec::new(), 0);
    for level in (0..64u8).rev().filter(|level| size >> level & 1 == 1) {
        wanted.push((level, start >> level));
        start += 1u64 << level;
    }
    let nodes = read::nodes(sql, &wanted).await?;
    let found = wanted.into_iter().zip(nodes).filter_map(|(place, node)| Some((place, node?))).collect();
    Ok(Head::from_nodes(size, &Frontier(found)))
}

impl Work for ReplaceCheckpoint {
    type Output = ();

    async fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<()>> {
        let new = &self.new;
        let current = read::checkpoint(&batch.sql).await?;
        if current.as_ref() == Some(new) {
            return Ok(Ok(()));
        }
        let fork = Err(StoreError::Fork { size: new.size });
        let size = current.map(|c| c.size);
        if size != self.old || size.is_some_and(|size| size >= new.size) || new.size > batch.head.size {
            return Ok(fork);
        }
        if head_at(&batch.sql, new.size).await?.map(|head| head.root()) != Some(new.root) {
            return Ok(fork);
        }
        run(
            &batch.sql,
            "INSERT INTO checkpoint (size, root, note) VALUES ($1, $2, $3)",
            &[&(new.size as i64), &&new.root[..], &new.note],
        )
        .await?;
        Ok(Ok(()))
    }
}

/// An account, a session, and tokens that are forgotten. What is refused has written nothing.
async fn let_in(batch: &mut Batch<'_>, access: &PreparedAccess) -> Sql<Result<()>> {
    if let Some(PreparedAccount { id, login, version, body }) = &access.account {
        let changed = match version {
            1 => {
                let text =
                    "INSERT INTO account (id, login, version, body) VALUES ($1, $2, 1, $3) ON CONFLICT DO NOTHING";
                run(&batch.sql, text, &[id, login, body]).await?
            }
            // an account keeps its login
            _ => {
                let text = "UPDATE account SET version = $2::bigint, body = $3::bytea WHERE id = $1::text AND version = $2::bigint - 1";
                run(&batch.sql, text, &[id, version, body]).await?
            }
        };
        if changed != 1 {
            return Ok(Err(StoreError::Conflict { stored: None }));
        }
    }
    for id in &access.ended {
        run(&batch.sql, "DELETE FROM token WHERE id = $1", &[id]).await?;
    }
    if let Some((id, body)) = &access.opened {
        run(&batch.sql, "INSERT INTO token (id, body) VALUES ($1, $2)", &[id, body]).await?;
    }
    Ok(Ok(()))
}
