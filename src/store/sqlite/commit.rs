//! A changeset in the writer's transaction: every check first, then every write.

use super::super::prepared::{Commit, Prepared, PreparedAccess, PreparedAccount, PreparedIncident, PreparedMessage};
use super::super::{Receipt, Result, StoreError, StoredCheckpoint};
use super::writer::{Batch, Sql, Work};
use super::{outbox, read};
use crate::evidence::{Nodes, merkle};
use rusqlite::{Connection, OptionalExtension, params};

impl PreparedIncident {
    /// The incident's new version.
    pub(super) fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<u64>> {
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
        for (key, request) in self.keys() {
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
            Prepared::Erase(erasure) => match erasure.apply(batch)? {
                Ok(version) => version,
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
            Prepared::Access(access) => match let_in(batch, access)? {
                Ok(()) => 0,
                Err(refused) => return Ok(Err(refused)),
            },
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

/// An account, a session, and tokens that are forgotten. What is refused has written nothing.
fn let_in(batch: &mut Batch<'_>, access: &PreparedAccess) -> Sql<Result<()>> {
    if let Some(PreparedAccount { id, login, version, body }) = &access.account {
        let text = match version {
            1 => "INSERT INTO account (id, login, version, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            _ => "UPDATE OR IGNORE account SET login = ?2, version = ?3, body = ?4 WHERE id = ?1 AND version = ?3 - 1",
        };
        if batch.sql.prepare_cached(text)?.execute(params![id, login, version, body])? != 1 {
            return Ok(Err(StoreError::Conflict { stored: None }));
        }
        batch.effects.accounts_changed = true;
    }
    for id in &access.ended {
        batch.sql.prepare_cached("DELETE FROM token WHERE id = ?1")?.execute([id])?;
        batch.effects.tokens_changed = true;
    }
    if let Some((id, body)) = &access.opened {
        batch.sql.prepare_cached("INSERT INTO token (id, body) VALUES (?1, ?2)")?.execute(params![id, body])?;
        batch.effects.tokens_changed = true;
    }
    Ok(Ok(()))
}
