//! The only place that reads a clock.

use crate::time::Timestamp;

/// The wall clock, UTC.
#[expect(clippy::disallowed_methods, reason = "the one place where the present enters")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    chrono::DateTime::from_timestamp(since.as_secs() as i64, since.subsec_micros() * 1000).unwrap_or_default()
}
