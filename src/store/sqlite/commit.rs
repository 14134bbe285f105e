//! A changeset in the writer's transaction: every check first, then every write.

use super::super::{
    Change, Changeset, Delivery, Idempotency, Lane, Receipt, Record, Result, StoreError, StoredCheckpoint, TokenRecord,
    pack,
};
use super::writer::{Batch, Sql, Work};
use super::{outbox, read};
use crate::escalation::Message;
use crate::evidence::{Draft, Nodes, merkle};
use crate::law::IncidentId;
use crate::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// A changeset in the form in which it is stored. Packing and hashing happen here, in the caller's thread.
pub(super) struct Commit {
    change: Prepared,
    drafts: Vec<(Draft, Option<Vec<u8>>)>,
}

enum Prepared {
    Incident(Box<PreparedIncident>),
    /// Stream of the house, and the messages about no incident.
    Messages(String, Vec<PreparedMessage>),
    Delivery(Delivery),
    Token {
        id: String,
        body: Vec<u8>,
    },
    Nothing,
}

struct PreparedIncident {
    id: String,
    expected: Option<u64>,
    body: Vec<u8>,
    entity: Option<String>,
    closed: bool,
    wake_at: Option<i64>,
    messages: Vec<PreparedMessage>,
    /// Hash of source and reference, for a new incident that has both.
    reference: Option<[u8; 32]>,
    /// Hash of principal and key, and that of the request.
    idempotency: Option<([u8; 32], [u8; 32])>,
}

struct PreparedMessage {
    lane: Lane,
    key: [u8; 16],
    urgent_at: i64,
    made_at: i64,
    body: Vec<u8>,
}

impl Commit {
    pub fn prepare(changeset: Changeset) -> Result<Commit> {
        let change = match changeset.change {
            Change::Incident { expected, record, wake_at, messages, idempotency } => Prepared::Incident(Box::new(
                PreparedIncident::prepare(expected, &record, wake_at, &messages, idempotency)?,
            )),
            Change::Messages(messages) => Prepared::Messages(
                IncidentId::house().0,
                messages.iter().map(PreparedMessage::prepare).collect::<Result<_>>()?,
            ),
            Change::Delivery(news) => Prepared::Delivery(news),
            Change::Token(token) => Prepared::token(&token)?,
            Change::Nothing => Prepared::Nothing,
        };
        let packed = |draft: Draft| {
            let disclosures = pack::pack_disclosures(&draft.disclosures);
            (draft, disclosures)
        };
        Ok(Commit { change, drafts: std::iter::once(changeset.first).chain(changeset.more).map(packed).collect() })
    }
}

impl Prepared {
    fn token(token: &TokenRecord) -> Result<Prepared> {
        Ok(Prepared::Token { id: token.id.clone(), body: pack::pack(token)? })
    }
}

impl PreparedIncident {
    fn prepare(
        expected: Option<u64>,
        record: &Record,
        wake_at: Option<Timestamp>,
        messages: &[Message],
        idempotency: Option<Idempotency>,
    ) -> Result<PreparedIncident> {
        let incident = &record.incident;
        let reference = match (&incident.source, &incident.reference, expected) {
            (Some(source), Some(reference), None) => Some(pack::request_key(pack::REFERENCE, source, reference)),
            _ => None,
        };
        Ok(PreparedIncident {
            id: incident.id.0.clone(),
            expected,
            body: pack::pack_record(record)?,
            entity: incident.entity.id.clone(),
            closed: incident.closed_at.is_some(),
            wake_at: wake_at.map(pack::micros_up),
            messages: messages.iter().map(PreparedMessage::prepare).collect::<Result<_>>()?,
            reference,
            idempotency: idempotency.map(|i| (pack::request_key(pack::IDEMPOTENCY, &i.principal, &i.key), i.request)),
        })
    }

    /// The incident's new version.
    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<u64>> {
        if let Some(duplicate) = self.duplicate(batch.sql)? {
            return Ok(Err(duplicate));
        }
        let row = batch.find_stream(&self.id)?;
        let stored = match row {
            Some(row) => stored_version(batch.sql, row)?,
            None => None,
        };
        if self.expected != stored.map(|(version, _)| version) {
            return Ok(Err(StoreError::Conflict { stored: stored.map(|(version, _)| version) }));
        }
        let row = match row {
            Some(row) => row,
            None => batch.make_stream(&self.id)?,
        };
        let version = stored.map_or(1, |(version, _)| version + 1);
        if stored.is_none() {
            batch
                .sql
                .prepare_cached(
                    "INSERT INTO incident (id, version, wake_at, closed, entity) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![row, version as i64, self.wake_at, self.closed, self.entity])?;
            batch
                .sql
                .prepare_cached("INSERT INTO record (id, body) VALUES (?1, ?2)")?
                .execute(params![row, self.body])?;
        } else {
            batch
                .sql
                .prepare_cached(
                    "UPDATE incident SET version = ?2, wake_at = ?3, closed = ?4, entity = ?5 WHERE id = ?1",
                )?
                .execute(params![row, version as i64, self.wake_at, self.closed, self.entity])?;
            batch.sql.prepare_cached("UPDATE record SET body = ?2 WHERE id = ?1")?.execute(params![row, self.body])?;
        }
        let asked = self.idempotency.map(|(key, request)| (key, Some(request)));
        for (key, request) in asked.into_iter().chain(self.reference.map(|key| (key, None))) {
            batch
                .sql
                .prepare_cached("INSERT INTO accepted (key, incident, request) VALUES (?1, ?2, ?3)")?
                .execute(params![key, row, request])?;
        }
        for message in &self.messages {
            message.queue(batch, row)?;
        }
        batch.effects.wakes.push((row, stored.and_then(|(_, wake_at)| wake_at), self.wake_at));
        Ok(Ok(version))
    }

    fn duplicate(&self, sql: &Connection) -> Sql<Option<StoreError>> {
        if let Some((key, request)) = &self.idempotency
            && let Some((incident, same_request)) = read::accepted_by(sql, key, request)?
        {
            return Ok(Some(StoreError::Duplicate { incident, same_request }));
        }
        if let Some(key) = &self.reference
            && let Some((incident, _)) = read::accepted_by(sql, key, &[0; 32])?
        {
            return Ok(Some(StoreError::Duplicate { incident, same_request: true }));
        }
        Ok(None)
    }
}

impl PreparedMessage {
    fn prepare(message: &Message) -> Result<PreparedMessage> {
        Ok(PreparedMessage {
            lane: Lane::of(&message.target),
            key: pack::message_key(message),
            urgent_at: pack::micros(message.urgent_at),
            made_at: pack::micros(message.created_at),
            body: pack::pack_message(message)?,
        })
    }

    fn queue(&self, batch: &mut Batch<'_>, incident: i64) -> Sql<()> {
        let added = batch
            .sql
            .prepare_cached("INSERT INTO message (incident, key, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![incident, self.key, self.body])?;
        if added == 0 {
            return Ok(());
        }
        let row = batch.sql.last_insert_rowid();
        batch
            .sql
            .prepare_cached("INSERT INTO outbox (id, state, urgent_at, not_before, attempts) VALUES (?1, 0, ?2, 0, 0)")?
            .execute(params![row, self.urgent_at])?;
        batch.queue.insert(self.lane, row, self.urgent_at, self.made_at);
        Ok(())
    }
}

/// Version and alarm of an incident.
fn stored_version(sql: &Connection, row: i64) -> Sql<Option<(u64, Option<i64>)>> {
    sql.prepare_cached("SELECT version, wake_at FROM incident WHERE id = ?1")?
        .query_row([row], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))
        .optional()
}

impl Work for Commit {
    type Output = Receipt;

    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<Receipt>> {
        let version = match &self.change {
            Prepared::Incident(incident) => match incident.apply(batch)? {
                Ok(version) => version,
                Err(refused) => return Ok(Err(refused)),
            },
            Prepared::Messages(house, messages) => {
                let row = match batch.find_stream(house)? {
                    Some(row) => row,
                    None => batch.make_stream(house)?,
                };
                // the house has a row among the incidents for its messages, but no record and no alarm
                batch
                    .sql
                    .prepare_cached(
                        "INSERT INTO incident (id, version, closed) VALUES (?1, 0, 1) ON CONFLICT DO NOTHING",
                    )?
                    .execute([row])?;
                for message in messages {
                    message.queue(batch, row)?;
                }
                0
            }
            Prepared::Delivery(news) => match outbox::advance(batch, news)? {
                Ok(()) => 0,
                Err(refused) => return Ok(Err(refused)),
            },
            Prepared::Token { id, body } => {
                batch
                    .sql
                    .prepare_cached("INSERT INTO token (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body")?
                    .execute(params![id, body])?;
                batch.effects.tokens_changed = true;
                0
            }
            Prepared::Nothing => 0,
        };
        let mut entries = Vec::with_capacity(self.drafts.len());
        for (draft, disclosures) in &self.drafts {
            entries.push(batch.append(draft, disclosures.as_deref())?);
        }
        Ok(Ok(Receipt { version, entries }))
    }
}

/// The compare-and-swap of the signed head.
pub(super) struct ReplaceCheckpoint {
    pub old: Option<u64>,
    pub new: StoredCheckpoint,
}

struct Stored<'c>(&'c Connection);

impl Nodes for Stored<'_> {
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        read::node(self.0, level, index).ok().flatten()
    }
}

impl Work for ReplaceCheckpoint {
    type Output = ();

    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<()>> {
        let new = &self.new;
        let current = read::checkpoint(batch.sql)?;
        if current.as_ref() == Some(new) {
            return Ok(Ok(()));
        }
        let size = current.map(|c| c.size);
        let grows = size.is_none_or(|size| size < new.size) && new.size <= batch.head.size;
        if size != self.old || !grows || merkle::root_at(&Stored(batch.sql), new.size) != Some(new.root) {
            return Ok(Err(StoreError::Fork { size: new.size }));
        }
        batch.sql.prepare_cached("INSERT INTO checkpoint (size, root, note) VALUES (?1, ?2, ?3)")?.execute(params![
            new.size as i64,
            new.root,
            new.note
        ])?;
        batch.effects.checkpoint = Some(new.clone());
        Ok(Ok(()))
    }
}

/// A write that can be read back; `now` in microseconds. Answers its serial number.
pub(super) struct Prove(pub i64);

impl Work for Prove {
    type Output = i64;

    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<i64>> {
        let mut update =
            batch.sql.prepare_cached("UPDATE log SET serial = serial + 1, proven_at = ?1 RETURNING serial")?;
        update.query_row([self.0], |row| row.get(0)).map(Ok)
    }
}
