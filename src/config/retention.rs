//! `[retention]`: how long personal values stay after an incident was closed. Without it they stay.

use super::Checker;
use crate::escalation::duration;
use crate::law::Entity;
use crate::workflow::erase::Retention;
use chrono::Duration;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetention {
    /// For every entity that has no period of its own.
    after_closing: Option<String>,
    /// By the id of the entity.
    #[serde(default)]
    entities: BTreeMap<String, String>,
}

/// A shorter one would erase what the first questions of an authority are about.
const LEAST_DAYS: i64 = 30;

impl Checker<'_> {
    pub(super) fn retention(&mut self, raw: RawRetention, entities: &[Entity]) -> Retention {
        let mut period = |text: &str| match duration(text) {
            Ok(seconds) if seconds < LEAST_DAYS * 86_400 => {
                self.fault(text, format!("`[retention]` has `{text}`; the shortest period is `{LEAST_DAYS}d`"));
                None
            }
            Ok(seconds) => Some(Duration::seconds(seconds)),
            Err(error) => {
                self.fault(text, error);
                None
            }
        };
        let after_closing = raw.after_closing.as_deref().and_then(&mut period);
        let own: BTreeMap<String, Duration> =
            raw.entities.iter().filter_map(|(id, text)| Some((id.clone(), period(text)?))).collect();
        for id in raw.entities.keys().filter(|id| !entities.iter().any(|e| e.id.as_ref() == Some(id))) {
            let near = crate::law::nearest_of(id, entities.iter().filter_map(|e| e.id.as_deref()));
            let hint = crate::rules::did_you_mean(&near);
            self.fault(id, format!("`[retention.entities]` has `{id}`, and no entity has that id{hint}"));
        }
        Retention { after_closing, entities: own }
    }
}
