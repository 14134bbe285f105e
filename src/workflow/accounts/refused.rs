//! Who was refused, as entries: one for each caller and place in a minute, with how many there were, so that nobody fills
//! the log by asking.

use super::super::{Answered, Caller, House};
use crate::detail;
use crate::evidence::Id;
use crate::store::Store;
use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;

const APART: Duration = Duration::minutes(1);
/// Callers and places remembered.
const MOST: usize = 1000;

/// When each was last recorded, and how many came since.
#[derive(Debug, Default)]
pub struct Refused(BTreeMap<(String, String), (Timestamp, u64)>);

impl Refused {
    /// How many to record now; `None` when one of this minute stands in the log already.
    fn count(&mut self, who: &str, place: &str, now: Timestamp) -> Option<u64> {
        if self.0.len() >= MOST {
            self.0.retain(|_, (last, _)| now - *last < APART);
        }
        if self.0.len() >= MOST {
            return None;
        }
        match self.0.get_mut(&(who.to_string(), place.to_string())) {
            Some((last, more)) if (Duration::zero()..APART).contains(&(now - *last)) => {
                *more += 1;
                None
            }
            Some((last, more)) => {
                *last = now;
                Some(std::mem::take(more) + 1)
            }
            None => {
                self.0.insert((who.to_string(), place.to_string()), (now, 0));
                Some(1)
            }
        }
    }
}

impl<S: Store> House<S> {
    /// Records that somebody known was not allowed to do something. `place` is a route, never what was asked of it.
    pub async fn record_refused(&self, caller: &Caller, place: &str, now: Timestamp) -> Answered<()> {
        self.refused_at("access.refused", &caller.name, place, now).await
    }

    pub(in crate::workflow) async fn refused_at(
        &self,
        kind: &'static str,
        who: &str,
        place: &str,
        now: Timestamp,
    ) -> Answered<()> {
        let count = {
            let mut refused = self.doors.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            refused.count(who, place, now)
        };
        match count {
            None => Ok(()),
            Some(count) => {
                // a route has braces, which a name has not
                let place = place.replace(['{', '}'], ":");
                self.record_system_by(kind, who, detail! { "place": Id::new(place), "count": count }, now).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_one_entry_and_counts_the_others() {
        let at = |second: i64| Timestamp::from_timestamp(1_774_700_000 + second, 0).expect("in range");
        let mut refused = Refused::default();
        let counts: Vec<Option<u64>> =
            [0, 1, 59, 60, 61, 200].iter().map(|s| refused.count("a", "/x", at(*s))).collect();
        assert_eq!(counts, [Some(1), None, None, Some(3), None, Some(2)]);
        assert_eq!((refused.count("b", "/x", at(1)), refused.count("a", "/y", at(1))), (Some(1), Some(1)));
        // a clock that was set back does not silence for long
        assert_eq!(refused.count("a", "/x", at(-500)), Some(1));
        (0..2 * MOST).for_each(|n| _ = refused.count(&n.to_string(), "/x", at(300)));
        assert!(refused.0.len() <= MOST);
    }
}
