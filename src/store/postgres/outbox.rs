//! Messages on their way out: leased, attempted, settled.
//!
//! A claim locks only the rows it takes and skips those that another node is taking: it never waits, so it may run while
//! a commit holds the log, and no two nodes get one message. A settlement holds the log first and then its rows.

use super::batch::{Batch, Work, all, maybe, run};
use super::pool::Sql;
use super::{Result, StoreError, text};
use crate::store::prepared::{Lease, Leased, PreparedDelivery, Settling};
use crate::store::{pack, queue};
use deadpool_postgres::GenericClient;
use std::collections::BTreeMap;

/// Leases the most urgent messages that wait; durable on return.
pub(super) async fn claim(sql: &impl GenericClient, lease: &Lease) -> Sql<Vec<Leased>> {
    // MATERIALIZED: another plan must not pick rows twice
    let rows = all(
        sql,
        "WITH picked AS MATERIALIZED
           (SELECT id FROM outbox WHERE state = 0 AND lane = $3 AND (not_before <= $1 OR set_at > $4)
            ORDER BY urgent_at, id LIMIT $5 FOR UPDATE SKIP LOCKED),
         taken AS
           (UPDATE outbox SET attempts = attempts + 1, not_before = $2, set_at = $1, since = $2 FROM picked WHERE outbox.id = picked.id
            RETURNING outbox.id, attempts, urgent_at)
         SELECT taken.id, body, attempts FROM taken JOIN message ON message.id = taken.id ORDER BY urgent_at, taken.id",
        &[
            &lease.now,
            &lease.until,
            &pack::lane_number(lease.lane),
            // a wait that was set later than this was set on a clock that was ahead
            &lease.now.saturating_add(queue::SET_BACK),
            &i64::from(lease.limit),
        ],
    )
    .await?;
    let leased = |row: tokio_postgres::Row| {
        Ok(Leased { row: row.try_get(0)?, body: row.try_get(1)?, attempts: row.try_get(2)?, until: lease.until })
    };
    rows.into_iter().map(leased).collect()
}

/// What became of claimed messages, all in one transaction.
pub(super) struct Settle(pub Vec<Settling>);

/// A message as stored when the settlement began.
struct Held {
    row: i64,
    state: i64,
    attempts: i64,
}

impl Work for Settle {
    type Output = Vec<Result<()>>;

    async fn apply(&self, batch: &mut Batch<'_>) -> Sql<Result<Self::Output>> {
        batch.learn(self.0.iter().flat_map(|one| [one.incident.as_str(), one.draft.0.stream.as_str()])).await?;
        let mut held = self.held(batch).await?;
        let mut settled: BTreeMap<i64, &Settling> = BTreeMap::new();
        let mut lost: BTreeMap<i64, i64> = BTreeMap::new();
        let mut outcomes = Vec::with_capacity(self.0.len());
        for one in &self.0 {
            let place = batch.row(&one.incident).map(|incident| (incident, one.key));
            // a later claim counted on; a settled message has no lease
            let ours = place
                .and_then(|place| Some((place.0, held.get_mut(&place)?)))
                .filter(|(_, held)| held.state == 0 && held.attempts as u64 == one.lease);
            let Some((incident, ours)) = ours else {
                outcomes.push(Err(StoreError::LeaseLost));
                continue;
            };
            ours.state = pack::state_number(one.settled.state);
            settled.insert(ours.row, one);
            if one.settled.state.is_lost() {
                let at = lost.entry(incident).or_insert(one.at);
                *at = one.at.min(*at);
            }
            batch.append(&one.draft).await?;
            outcomes.push(Ok(()));
        }
        write(batch, &settled).await?;
        wake(batch, &lost).await?;
        Ok(Ok(outcomes))
    }
}

impl Settle {
    /// The claimed messages by incident and key, locked: a claim under way ends first.
    async fn held(&self, batch: &Batch<'_>) -> Sql<BTreeMap<(i64, [u8; 16]), Held>> {
        let known = self.0.iter().filter_map(|one| Some((batch.row(&one.incident)?, &one.key[..])));
        let (incidents, keys): (Vec<i64>, Vec<&[u8]>) = known.unzip();
        let rows = all(
            &batch.sql,
            "SELECT incident, key, outbox.id, state, attempts FROM message JOIN outbox ON outbox.id = message.id
             WHERE (incident, key) IN (SELECT * FROM unnest($1::bigint[], $2::bytea[]))
             ORDER BY outbox.id FOR UPDATE OF outbox",
            &[&incidents, &keys],
        )
        .await?;
        let mut held = BTreeMap::new();
        for row in rows {
            let key: &[u8] = row.try_get(1)?;
            let one = Held { row: row.try_get(2)?, state: row.try_get(3)?, attempts: row.try_get(4)? };
            held.insert((row.try_get(0)?, key.try_into().unwrap_or_default()), one);
        }
        Ok(held)
    }
}

/// Writes the outcomes, by row.
async fn write(batch: &Batch<'_>, settled: &BTreeMap<i64, &Settling>) -> Sql<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let rows: Vec<i64> = settled.keys().copied().collect();
    let states: Vec<i64> = settled.values().map(|one| pack::state_number(one.settled.state)).collect();
    let not_before: Vec<i64> = settled.values().map(|one| one.settled.not_before).collect();
    let at: Vec<i64> = settled.values().map(|one| one.at).collect();
    let details: Vec<_> = settled.values().map(|one| text(&one.settled.detail)).collect();
    run(
        &batch.sql,
        "UPDATE outbox
         SET state = given.state, not_before = given.not_before, set_at = given.at, since = given.not_before,
             settled_at = given.at, detail = given.detail
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
              AS given (id, state, not_before, at, detail)
         WHERE outbox.id = given.id",
        &[&rows, &states, &not_before, &at, &details],
    )
    .await?;
    Ok(())
}

/// Rings the alarms of incidents at these instants, of those that have one that is later: their next decisions take
/// another way.
async fn wake(batch: &Batch<'_>, at: &BTreeMap<i64, i64>) -> Sql<()> {
    if at.is_empty() {
        return Ok(());
    }
    let (incidents, at): (Vec<i64>, Vec<i64>) = at.iter().unzip();
    run(
        &batch.sql,
        "UPDATE incident SET wake_at = given.at FROM unnest($1::bigint[], $2::bigint[]) AS given (id, at)
         WHERE incident.id = given.id AND NOT closed AND wake_at > given.at",
        &[&incidents, &at],
    )
    .await?;
    Ok(())
}

/// News of a message that had left the queue.
pub(super) async fn advance(batch: &Batch<'_>, news: &PreparedDelivery) -> Sql<Result<()>> {
    let Some(incident) = batch.row(&news.incident) else { return Ok(Err(StoreError::NotFound)) };
    let known = maybe(
        &batch.sql,
        "SELECT outbox.id, state FROM message JOIN outbox ON outbox.id = message.id WHERE incident = $1 AND key = $2
         FOR UPDATE OF outbox",
        &[&incident, &&news.key[..]],
    )
    .await?;
    let Some(known) = known else { return Ok(Err(StoreError::NotFound)) };
    let (row, state): (i64, i64) = (known.try_get(0)?, known.try_get(1)?);
    if !pack::state_of(state).may_become(news.state) {
        return Ok(Err(StoreError::OldNews));
    }
    run(
        &batch.sql,
        "UPDATE outbox SET state = $2, settled_at = $3, detail = $4 WHERE id = $1",
        &[&row, &pack::state_number(news.state), &news.at, &text(&news.detail)],
    )
    .await?;
    wake(batch, &BTreeMap::from([(incident, news.at)])).await?;
    Ok(Ok(()))
}
