//! Messages on their way out: leased, attempted, settled. The order of urgency is kept in memory, see `queue.rs`.

use super::super::prepared::{Lease, Leased, PreparedDelivery, Settling};
use super::super::{Result, StoreError, pack};
use super::writer::{Batch, Sql, Work};
use crate::escalation::DeliveryState;
use rusqlite::{OptionalExtension, params};

impl Work for Lease {
    type Output = Vec<Leased>;

    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<Vec<Leased>>> {
        let mut leased = Vec::new();
        let mut take = batch.sql.prepare_cached(
            "UPDATE outbox SET attempts = attempts + 1, not_before = ?2 WHERE id = ?1 RETURNING attempts",
        )?;
        let mut read = batch.sql.prepare_cached("SELECT body FROM message WHERE id = ?1")?;
        for row in batch.queue.claimable(self.lane, self.now, self.limit as usize) {
            let attempts = take.query_row(params![row, self.until], |row| row.get(0))?;
            let body = read.query_row([row], |row| row.get(0))?;
            batch.queue.wait(row, self.until, self.now);
            leased.push(Leased { row, body, attempts, until: self.until });
        }
        Ok(Ok(leased))
    }
}

/// What became of claimed messages, all in one transaction.
pub(super) struct Settle(pub Vec<Settling>);

impl Settling {
    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<()>> {
        let Some(incident) = batch.find_stream(&self.incident)? else { return Ok(Err(StoreError::LeaseLost)) };
        let held: Option<(i64, i64, i64)> = batch
            .sql
            .prepare_cached(
                "SELECT outbox.id, state, attempts FROM message JOIN outbox ON outbox.id = message.id WHERE incident = ?1 AND key = ?2",
            )?
            .query_row(params![incident, self.key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        // a later claim counted on; a settled message has no lease
        let row = match held {
            Some((row, 0, attempts)) if attempts as u64 == self.lease => row,
            _ => return Ok(Err(StoreError::LeaseLost)),
        };
        batch
            .sql
            .prepare_cached(
                "UPDATE outbox SET state = ?2, not_before = ?3, settled_at = ?4, detail = ?5 WHERE id = ?1",
            )?
            .execute(params![
                row,
                pack::state_number(self.settled.state),
                self.settled.not_before,
                self.at,
                self.settled.detail
            ])?;
        match self.settled.state {
            DeliveryState::Queued => batch.queue.wait(row, self.settled.not_before, self.at),
            _ => batch.queue.remove(row),
        }
        if self.settled.state.is_lost() {
            wake(batch, incident, self.at)?;
        }
        let (draft, disclosures) = &self.draft;
        batch.append(draft, disclosures.as_deref())?;
        Ok(Ok(()))
    }
}

/// Rings an incident's alarm at `at`, if it has one that is later: its next decision takes another way.
fn wake(batch: &mut Batch<'_>, incident: i64, at: i64) -> Sql<()> {
    let before: Option<i64> = batch
        .sql
        .prepare_cached("SELECT wake_at FROM incident WHERE id = ?1 AND closed = 0")?
        .query_row([incident], |row| row.get(0))
        .optional()?
        .flatten();
    if before.is_some_and(|before| before > at) {
        batch.sql.prepare_cached("UPDATE incident SET wake_at = ?2 WHERE id = ?1")?.execute(params![incident, at])?;
        batch.effects.wakes.push((incident, before, Some(at)));
    }
    Ok(())
}

/// News of a message that had left the queue.
pub(super) fn advance(batch: &mut Batch<'_>, news: &PreparedDelivery) -> Sql<Result<()>> {
    let Some(incident) = batch.find_stream(&news.incident)? else { return Ok(Err(StoreError::NotFound)) };
    let known: Option<(i64, i64)> = batch
        .sql
        .prepare_cached(
            "SELECT outbox.id, state FROM message JOIN outbox ON outbox.id = message.id WHERE incident = ?1 AND key = ?2",
        )?
        .query_row(params![incident, news.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((row, state)) = known else { return Ok(Err(StoreError::NotFound)) };
    if !pack::state_of(state).may_become(news.state) {
        return Ok(Err(StoreError::OldNews));
    }
    batch
        .sql
        .prepare_cached("UPDATE outbox SET state = ?2, settled_at = ?3, detail = ?4 WHERE id = ?1")?
        .execute(params![row, pack::state_number(news.state), news.at, news.detail])?;
    batch.queue.remove(row);
    wake(batch, incident, news.at)?;
    Ok(Ok(()))
}

impl Work for Settle {
    type Output = Vec<Result<()>>;

    fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<Self::Output>> {
        self.0.iter().map(|settling| settling.apply(batch)).collect::<Sql<Vec<_>>>().map(Ok)
    }
}
