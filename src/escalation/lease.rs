//! How long somebody may hold an obligation, and silence its reminders.

use crate::time::Timestamp;
use chrono::Duration;

/// A lease ends this much ahead of the conservative limit at the latest: somebody else must still have time.
const MARGIN_SHARE_PERCENT: i64 = 10;
const MARGIN_AT_LEAST: Duration = Duration::minutes(10);
/// Leases past the limit are short: the reminders go on.
const LEASE_PAST_LIMIT: Duration = Duration::minutes(30);
const LEASE_AT_LEAST: Duration = Duration::minutes(5);

/// When a lease of this length ends that is taken at `now`: never so late that nobody else could still act before the
/// conservative limit.
pub fn lease_end(lease: Duration, started: Timestamp, limit: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let Some(limit) = limit else { return now + lease };
    if now >= limit {
        return now + lease.min(LEASE_PAST_LIMIT);
    }
    let window = limit - started;
    let margin = (window * MARGIN_SHARE_PERCENT as i32 / 100).max(MARGIN_AT_LEAST).min(limit - now);
    let latest = (limit - margin).max(now + LEASE_AT_LEAST).min(limit);
    (now + lease).min(latest)
}
