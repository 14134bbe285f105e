//! An incident rebuilt from its entries and the personal values still shown beside them: what `fsck` holds the stored
//! record against, and what `replay` computes deadlines from.
//!
//! Absent, because no entry says it: versions, wake-ups (they follow from the configuration), the text of messages, and who
//! asked for a hold.

use crate::escalation::DeliveryState;
use crate::evidence::{Disclosure, Hash, hex, sha256, unhex32};
use crate::law::{
    Acknowledgement, Act, Certainty, Count, Delay, Entity, Fact, FactBook, Filing, Hold, Incident, IncidentId, Value,
    Waiver,
};
use crate::store::Tracked;
use crate::time::Timestamp;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Stands for a personal value that was erased or is not shown.
pub const HIDDEN: &str = "(not shown)";

/// Personal values by the hexadecimal form of their commitment.
#[derive(Default)]
pub struct Shown(BTreeMap<String, Json>);

impl Shown {
    /// From disclosures by their commitment. Bytes that do not fit it are left out: they prove nothing.
    pub fn new(disclosures: &BTreeMap<Hash, Vec<u8>>) -> Shown {
        let fits = |(hash, bytes): (&Hash, &Vec<u8>)| {
            let (_, value) = Disclosure::from_bytes(bytes.clone()).read()?;
            (sha256(bytes) == *hash).then(|| (hex(hash), value))
        };
        Shown(disclosures.iter().filter_map(fits).collect())
    }

    fn get(&self, value: &Json) -> Option<&Json> {
        self.0.get(value["$c"].as_str()?)
    }

    /// A value as it stands, or as it was disclosed; what is not shown any more is null.
    pub(super) fn value(&self, value: &Json) -> Json {
        match value {
            Json::Object(members) if members.contains_key("$c") => self.get(value).cloned().unwrap_or_default(),
            Json::Object(members) => members.iter().map(|(name, member)| (name.clone(), self.value(member))).collect(),
            Json::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            plain => plain.clone(),
        }
    }

    /// The same as text; empty for what is no text.
    pub(super) fn text(&self, value: &Json) -> String {
        self.value(value).as_str().map(str::to_string).unwrap_or_default()
    }
}

/// An incident as its entries tell it.
pub struct Rebuilt {
    pub incident: Incident,
    /// Whether the entity is known with its roles and places, or by its name alone.
    pub whole_entity: bool,
    pub acts: BTreeMap<String, Act>,
    /// As last computed.
    pub tracked: Vec<Tracked>,
    pub rulebook: Option<[u8; 32]>,
    /// Obligations whose limits of an earlier rulebook stand until somebody signs the change off.
    pub kept: BTreeSet<String>,
    pub messages: BTreeMap<String, DeliveryState>,
    /// Personal values that were met and are not shown.
    pub hidden: u64,
}

/// An entry whose body does not have the members of its type.
pub type Misshapen = String;

impl Rebuilt {
    pub fn new(stream: &str) -> Rebuilt {
        Rebuilt {
            incident: Incident {
                id: IncidentId(stream.to_string()),
                title: String::new(),
                entity: Entity::default(),
                source: None,
                reference: None,
                opened_at: Timestamp::UNIX_EPOCH,
                opened_by: String::new(),
                closed_at: None,
                facts: FactBook::default(),
            },
            whole_entity: false,
            acts: BTreeMap::new(),
            tracked: Vec::new(),
            rulebook: None,
            kept: BTreeSet::new(),
            messages: BTreeMap::new(),
            hidden: 0,
        }
    }

    /// Facts in force whose text is hidden: what depends on them cannot be computed.
    pub fn hidden_facts(&self) -> impl Iterator<Item = &str> {
        let hidden = |fact: &&Fact| matches!(&fact.value, Some(Value::Text(text)) if text == HIDDEN);
        self.incident.facts.current().filter(hidden).map(|fact| fact.key.as_str())
    }

    /// Takes the next entry of the stream.
    ///
    /// # Errors
    /// When the body lacks a member of its type. Types that change nothing here are passed over.
    pub fn apply(&mut self, entry: &Json, shown: &Shown) -> Result<(), Misshapen> {
        let at = instant(&entry["ts"])?;
        let body = &entry["body"];
        match text(&entry["type"])? {
            "incident.reported" => self.reported(body, at, shown)?,
            "entity.named" => self.entity(body, shown)?,
            "facts.asserted" | "awareness.set" => self.facts(body, shown)?,
            "deadline.computed" => self.computed(body)?,
            "acknowledgement.recorded" => {
                let by = self.personal(&body["by"], shown);
                let role = self.maybe(&body["role"], shown);
                let ack = Acknowledgement { by, role, at, until: instant(&body["until"])? };
                self.act(body)?.acknowledgements.push(ack);
            }
            "acknowledgement.declined" => {
                let by = self.personal(&body["by"], shown);
                let act = self.act(body)?;
                // declining ends a lease of one's own
                act.acknowledgements.iter_mut().filter(|a| a.by == by && a.until > at).for_each(|a| a.until = at);
                act.declined.push((by, at));
            }
            "notification.filed" => self.filed(body, at, shown)?,
            "decision.not-to-notify" => self.waived(body, at, shown)?,
            "decision.reopened" => self.taken_up(body, super::review::FACT_CHANGED, at)?,
            "decision.withdrawn" => self.taken_up(body, super::withdraw::TAKEN_BACK, at)?,
            "delay.justified" => {
                let (reason, by) = (self.personal(&body["reason"], shown), self.personal(&body["by"], shown));
                self.act(body)?.delays.push(Delay { reason, by, at });
            }
            "incident.closed" => self.incident.closed_at = Some(at),
            "incident.reopened" => self.incident.closed_at = None,
            "rules.changed" => self.kept = words(&body["kept"])?.into_iter().collect(),
            "rules.signed-off" => {
                let accepted = words(&body["obligations"])?;
                self.kept.retain(|id| !accepted.contains(id));
            }
            "messages.queued" => {
                for message in list(&body["messages"])? {
                    self.messages.entry(text(&message["key"])?.to_string()).or_insert(DeliveryState::Queued);
                }
            }
            "message.attempted" => {
                let state = match text(&body["outcome"])? {
                    "handed-over" => DeliveryState::HandedOver,
                    "withdrawn" => DeliveryState::Withdrawn,
                    "retry" => DeliveryState::Queued,
                    _ => DeliveryState::Failed,
                };
                self.messages.insert(text(&body["key"])?.to_string(), state);
            }
            kind if kind.starts_with("message.") => self.news(body)?,
            _ => {}
        }
        Ok(())
    }

    fn act(&mut self, body: &Json) -> Result<&mut Act, Misshapen> {
        Ok(self.acts.entry(text(&body["obligation"])?.to_string()).or_default())
    }

    fn personal(&mut self, value: &Json, shown: &Shown) -> String {
        match value.as_str().or_else(|| shown.get(value)?.as_str()) {
            Some(text) => text.to_string(),
            None => {
                self.hidden += 1;
                HIDDEN.to_string()
            }
        }
    }

    fn maybe(&mut self, value: &Json, shown: &Shown) -> Option<String> {
        (!value.is_null()).then(|| self.personal(value, shown))
    }

    /// Words, some of them behind commitments.
    fn named(&mut self, value: &Json, shown: &Shown) -> Result<Vec<String>, Misshapen> {
        Ok(list(value)?.iter().map(|word| self.personal(word, shown)).collect())
    }

    fn reported(&mut self, body: &Json, at: Timestamp, shown: &Shown) -> Result<(), Misshapen> {
        self.incident.title = self.personal(&body["title"], shown);
        self.incident.source = self.maybe(&body["source"], shown);
        self.incident.reference = self.maybe(&body["reference"], shown);
        self.incident.opened_at = at;
        self.incident.opened_by = text(&body["by"])?.to_string();
        self.entity(body, shown)?;
        self.facts(body, shown)
    }

    fn entity(&mut self, body: &Json, shown: &Shown) -> Result<(), Misshapen> {
        let whole = shown.get(&body["profile"]).map(|profile| serde_json::from_value::<Entity>(profile.clone()));
        self.whole_entity = whole.is_some();
        self.incident.entity = match whole {
            Some(whole) => whole.map_err(|_| "`profile` is no entity".to_string())?,
            None => Entity {
                id: body["entity_id"].as_str().map(str::to_string),
                name: self.personal(&body["entity"], shown),
                ..Entity::default()
            },
        };
        Ok(())
    }

    fn facts(&mut self, body: &Json, shown: &Shown) -> Result<(), Misshapen> {
        for fact in list(&body["facts"])? {
            let value = self.value(&fact["value"], shown)?;
            let word = text(&fact["certainty"])?;
            let fact = Fact {
                key: text(&fact["key"])?.to_string(),
                value,
                certainty: Certainty::ALL
                    .into_iter()
                    .find(|certainty| certainty.as_str() == word)
                    .ok_or_else(|| format!("`{word}` is no certainty"))?,
                asserted_by: self.personal(&fact["by"], shown),
                asserted_at: instant(&fact["at"])?,
                note: self.maybe(&fact["note"], shown),
            };
            self.incident.facts.assert(fact);
        }
        Ok(())
    }

    /// The value of a fact, whose type shows by its form.
    fn value(&mut self, value: &Json, shown: &Shown) -> Result<Option<Value>, Misshapen> {
        let whole = |value: &Json| value.as_u64().ok_or_else(|| "a count is no whole number".to_string());
        Ok(Some(match value {
            Json::Null => return Ok(None),
            Json::Bool(yes) => Value::YesNo(*yes),
            Json::Number(_) => Value::Count(Count::exactly(whole(value)?)),
            Json::Array(_) => Value::Set(self.named(value, shown)?),
            // no word of a choice reads as an instant
            Json::String(word) => instant(value).map_or_else(|_| Value::Choice(word.clone()), Value::Instant),
            Json::Object(members) if members.contains_key("$c") => Value::Text(self.personal(value, shown)),
            Json::Object(members) if members.contains_key("written") => {
                let maybe = |value: &Json| if value.is_null() { Ok(None) } else { instant(value).map(Some) };
                Value::Hold(Hold {
                    from: maybe(&value["from"])?,
                    until: maybe(&value["until"])?,
                    by: if value["by"].is_null() { HIDDEN.to_string() } else { self.personal(&value["by"], shown) },
                    written: value["written"] == true,
                })
            }
            Json::Object(members) => Value::Count(Count {
                at_least: members.get("at_least").map_or(Ok(0), whole)?,
                at_most: members.get("at_most").map(whole).transpose()?,
            }),
        }))
    }

    fn computed(&mut self, body: &Json) -> Result<(), Misshapen> {
        let now = instant(&body["now"])?;
        let known: BTreeMap<String, Timestamp> = self.tracked.drain(..).map(|t| (t.id, t.known_at)).collect();
        let maybe = |value: &Json| if value.is_null() { Ok(None) } else { instant(value).map(Some) };
        for o in list(&body["obligations"])? {
            let id = text(&o["id"])?.to_string();
            self.tracked.push(Tracked {
                standing: text(&o["standing"])?.to_string(),
                due: maybe(&o["due"])?,
                conservative_due: maybe(&o["conservative_due"])?,
                known_at: known.get(&id).copied().unwrap_or(now),
                id,
            });
        }
        self.rulebook = Some(unhex32(text(&body["rulebook"])?).ok_or("`rulebook` is no SHA-256 value")?);
        Ok(())
    }

    fn filed(&mut self, body: &Json, recorded_at: Timestamp, shown: &Shown) -> Result<(), Misshapen> {
        let (at, obligation) = (instant(&body["at"])?, text(&body["obligation"])?);
        let proof = self.maybe(&body["proof_sha256"], shown);
        let filing = Filing {
            at,
            by: self.personal(&body["by"], shown),
            recorded_at,
            reference: self.maybe(&body["reference"], shown),
            proof: proof.as_deref().and_then(unhex32),
            complete: body["complete"] == true,
            note: self.maybe(&body["note"], shown),
        };
        self.incident.facts.assert(super::correct::assertion(
            format!("times.filed.{obligation}"),
            Value::Instant(at),
            &filing.by,
            recorded_at,
        ));
        self.act(body)?.filings.push(filing);
        Ok(())
    }

    fn waived(&mut self, body: &Json, at: Timestamp, shown: &Shown) -> Result<(), Misshapen> {
        let obligation = text(&body["obligation"])?;
        let (reason, by) = (self.personal(&body["reason"], shown), self.personal(&body["by"], shown));
        let second_approver = self.maybe(&body["second_approver"], shown);
        let reopen_when = self.named(&body["reopen_when"], shown)?;
        let review_on = self.maybe(&body["review_on"], shown);
        let approved = body["state"] == "approved";
        let act = self.act(body)?;
        // one that stands already is decided anew
        let pending = act.waiver.take().filter(|earlier| earlier.approved_at.is_none());
        // the entry names who decided; who agreed afterwards is known by the token alone
        let asserted_by = if pending.is_some() { HIDDEN } else { &by }.to_string();
        act.waiver = Some(Waiver {
            reason: reason.clone(),
            at: pending.as_ref().map_or(at, |pending| pending.at),
            by,
            second_approver,
            approved_at: approved.then_some(at),
            review_on,
            reopen_when,
        });
        if approved {
            let key = format!("waived.{obligation}");
            self.incident.facts.assert(super::correct::assertion(key, Value::Text(reason), &asserted_by, at));
        }
        Ok(())
    }

    /// A decision ended: facts it depended on changed, or somebody took it back.
    fn taken_up(&mut self, body: &Json, why: &str, at: Timestamp) -> Result<(), Misshapen> {
        let key = format!("waived.{}", text(&body["obligation"])?);
        self.act(body)?.waiver = None;
        if self.incident.facts.get(&key).is_some() {
            self.incident.facts.assert(super::review::withdrawal(key, text(&body["actor"])?, why, at));
        }
        Ok(())
    }

    /// News of a message: by what it says it became, or by what a mail that came in did to it.
    fn news(&mut self, body: &Json) -> Result<(), Misshapen> {
        let next = match body["state"].as_str().or_else(|| body["outcome"].as_str()) {
            Some("declined") => Some(DeliveryState::Acknowledged),
            Some(word) => DeliveryState::ALL.into_iter().find(|state| state.as_str() == word),
            None => None,
        };
        if let (Some(next), Some(state)) = (next, self.messages.get_mut(text(&body["key"])?))
            && state.may_become(next)
        {
            *state = next;
        }
        Ok(())
    }
}

pub(super) fn instant(value: &Json) -> Result<Timestamp, Misshapen> {
    let read = value.as_str().and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    read.map(|at| at.with_timezone(&chrono::Utc)).ok_or_else(|| format!("`{value}` is no instant"))
}

pub(super) fn text(value: &Json) -> Result<&str, Misshapen> {
    value.as_str().ok_or_else(|| format!("`{value}` is no text"))
}

pub(super) fn list(value: &Json) -> Result<&Vec<Json>, Misshapen> {
    value.as_array().ok_or_else(|| format!("`{value}` is no list"))
}

fn words(value: &Json) -> Result<Vec<String>, Misshapen> {
    list(value)?.iter().map(|word| text(word).map(str::to_string)).collect()
}
