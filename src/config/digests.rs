//! `[[digest]]`: what is open, told at fixed times.

use super::watchdog::too_often;
use super::{Checker, RawEntity};
use crate::escalation::Directory;
use crate::law::nearest_of;
use crate::rules::did_you_mean;
use crate::time::{Recurrence, Zone};
use crate::workflow::{DigestPart, DigestPlan};
use serde::Deserialize;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDigest {
    id: String,
    cron: String,
    zone: Option<String>,
    to: Vec<String>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    entities: Vec<String>,
    what: Option<Vec<String>>,
}

impl Checker<'_> {
    pub(super) fn digests(
        &mut self,
        raw: Vec<RawDigest>,
        directory: &Directory,
        entities: &[RawEntity],
    ) -> Vec<DigestPlan> {
        let mut plans: Vec<DigestPlan> = Vec::new();
        for digest in raw {
            if plans.iter().any(|plan| plan.id == digest.id) {
                self.fault(&digest.id, format!("[[digest]] `{}` is given twice; give each its own id", digest.id));
            }
            plans.extend(self.digest(digest, directory, entities));
        }
        plans
    }

    fn digest(&mut self, raw: RawDigest, directory: &Directory, entities: &[RawEntity]) -> Option<DigestPlan> {
        let id = raw.id;
        // it stands in keys of messages
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            self.fault(&id, format!("[[digest]] `{id}`: write an id of letters, digits, `-` and `_`"));
        }
        let zone = raw.zone.as_deref().map_or(Ok(Zone::UTC), Zone::named);
        let zone = zone.map_err(|error| self.fault(raw.zone.as_deref().unwrap_or_default(), error.to_string())).ok();
        let when = match Recurrence::parse(&raw.cron, zone.unwrap_or(Zone::UTC)) {
            Ok(when) if too_often(&when) => {
                let text = format!(
                    "`cron` of digest `{id}` is `{}`, more often than every 15 minutes; nobody would read it",
                    raw.cron
                );
                self.fault(&raw.cron, text);
                None
            }
            Ok(when) if when.next_after(chrono::DateTime::UNIX_EPOCH).is_none() => {
                let text = format!("`cron` of digest `{id}` is `{}`, a day that never comes", raw.cron);
                self.fault(&raw.cron, text);
                None
            }
            Ok(when) => Some(when),
            Err(error) => {
                self.fault(&raw.cron, error.to_string());
                None
            }
        };
        if raw.to.is_empty() {
            self.fault(&id, format!("digest `{id}` tells nobody; fill `to`, as in `to = [\"role:dpo\"]`"));
        }
        let to = self.who("to", &raw.to, directory);
        for channel in raw.channels.iter().filter(|c| *c != "email" && !directory.channels.contains(*c)) {
            let known = directory.channels.iter().map(String::as_str).chain(["email"]);
            let hint = did_you_mean(&nearest_of(channel, known));
            let text = format!(
                "digest `{id}` uses channel `{channel}`, which has no settings; add a [[channel]] with this id, or use `email`{hint}"
            );
            self.fault(channel, text);
        }
        for entity in raw.entities.iter().filter(|id| !entities.iter().any(|e| e.id == **id)) {
            let hint = did_you_mean(&nearest_of(entity, entities.iter().map(|e| e.id.as_str())));
            self.fault(entity, format!("digest `{id}` names entity `{entity}`, which no [[entity]] describes{hint}"));
        }
        let mut parts = Vec::new();
        for word in raw.what.iter().flatten() {
            match DigestPart::ALL.into_iter().find(|part| part.as_str() == word) {
                Some(part) => parts.push(part),
                None => {
                    let known: Vec<String> = DigestPart::ALL.iter().map(|p| format!("`{}`", p.as_str())).collect();
                    let text =
                        format!("digest `{id}` tells `{word}`, which it does not know; use {}", known.join(", "));
                    self.fault(word, text);
                }
            }
        }
        if raw.what.as_ref().is_some_and(Vec::is_empty) {
            self.fault("what", format!("digest `{id}` tells nothing; fill `what`, or leave it out for everything"));
        }
        if raw.what.is_none() {
            parts = DigestPart::ALL.to_vec();
        }
        Some(DigestPlan { id, when: when?, to, channels: raw.channels, entities: raw.entities, parts })
    }
}
