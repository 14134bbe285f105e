//! Evidence drafts for each decision: typed bodies, with personal data only as commitments.
//!
//! Free text and names are personal, always; instants, counts, ids of duties, roles and tokens are not.

use super::rulebook::Ruled;
use super::tokens::AckClaims;
use super::{Caller, House};
use crate::evidence::{Draft, Personal, Sealer};
use crate::law::{Entity, Fact, Incident, Obligation, Standing, Value};
use crate::rules::{Plan, Rulebook, hex, utc};
use crate::store::Store;
use crate::time::{self, Timestamp};
use serde::Serialize;

/// Stream of everything that is not about one incident.
pub const SYSTEM: &str = crate::law::IncidentId::HOUSE;

#[derive(Serialize)]
struct Reported {
    title: Personal<String>,
    entity_id: Option<String>,
    entity: Personal<String>,
    /// Roles, places and contracts: what deadlines follow from besides the facts.
    profile: Personal<Entity>,
    source: Option<String>,
    reference: Option<Personal<String>>,
    by: String,
    facts: Vec<FactBody>,
}

#[derive(Serialize)]
struct EntityNamed {
    by: String,
    entity_id: Option<String>,
    entity: Personal<String>,
    profile: Personal<Entity>,
}

#[derive(Serialize)]
struct FactsAsserted {
    by: String,
    facts: Vec<FactBody>,
}

#[derive(Serialize)]
struct SignedOff {
    by: String,
    obligations: Vec<String>,
    reason: Personal<String>,
}

#[derive(Serialize)]
struct FactBody {
    key: String,
    value: Option<FactValue>,
    certainty: &'static str,
    by: Personal<String>,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Personal<String>>,
}

/// Text is personal; everything else is typed and says nothing about a person.
#[derive(Serialize)]
#[serde(untagged)]
enum FactValue {
    Plain(serde_json::Value),
    Text(Personal<String>),
}

#[derive(Serialize)]
struct Computed<'a> {
    now: String,
    rulebook: String,
    rulebook_version: &'a str,
    tzdb: &'static str,
    calendars: &'a str,
    obligations: Vec<ComputedObligation<'a>>,
}

#[derive(Serialize)]
pub(super) struct ComputedObligation<'a> {
    id: &'a str,
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<StartedBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counting_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conservative_due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convention: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    missing: &'a [String],
}

#[derive(Serialize)]
struct StartedBody<'a> {
    key: &'a str,
    at: String,
}

#[derive(Serialize)]
struct Acknowledged<'a> {
    obligation: &'a str,
    by: Personal<String>,
    role: Option<&'a str>,
    actor: &'a str,
    until: String,
}

#[derive(Serialize)]
struct Filed<'a> {
    obligation: &'a str,
    at: String,
    by: Personal<String>,
    actor: &'a str,
    reference: Option<Personal<String>>,
    proof_sha256: Option<Personal<String>>,
    complete: bool,
    note: Option<Personal<String>>,
    /// Entries that name the files which show it.
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    documents: &'a [u64],
}

#[derive(Serialize)]
struct Decided<'a> {
    obligation: &'a str,
    reason: Personal<String>,
    by: Personal<String>,
    actor: &'a str,
    second_approver: Option<Personal<String>>,
    review_on: Option<&'a str>,
    reopen_when: &'a [String],
    state: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    grounds: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<ScoreBody<'a>>,
    /// What was known when it was decided, as far as it was named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    facts: Vec<FactBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_at: Option<String>,
}

#[derive(Serialize)]
struct ScoreBody<'a> {
    method: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<&'a str>,
}

#[derive(Serialize)]
struct Messages<'a> {
    messages: Vec<MessageBody<'a>>,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    key: &'a str,
    event: &'static str,
    obligation: Option<&'a str>,
    to: String,
    policy: &'a str,
    step: &'a str,
    repeat: u32,
    due_at: String,
    coalesced: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<QuietBody>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drill: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    asks: Vec<AskBody<'a>>,
}

#[derive(Serialize)]
struct AskBody<'a> {
    obligation: &'a str,
    what: &'static str,
}

#[derive(Serialize)]
struct QuietBody {
    outcome: &'static str,
    until: String,
}

impl QuietBody {
    fn of(quiet: &crate::escalation::Quiet) -> QuietBody {
        use crate::escalation::Quiet;
        match quiet {
            Quiet::Deferred { until, .. } => QuietBody { outcome: "deferred", until: utc(*until) },
            Quiet::Overridden { until } => QuietBody { outcome: "overridden", until: utc(*until) },
        }
    }
}

#[derive(Serialize)]
struct Advanced<'a> {
    key: &'a str,
    to: String,
    state: &'a str,
    /// May carry an address or the words of a person.
    detail: Personal<String>,
}

#[derive(Serialize)]
struct LinkRefused<'a> {
    obligations: &'a [String],
    by: Personal<String>,
    reason: &'a str,
}

#[derive(Serialize)]
struct Attempt<'a> {
    key: &'a str,
    to: String,
    attempt: u32,
    outcome: &'static str,
    /// The peer's answer or the error; may carry an address.
    answer: Personal<String>,
    next_attempt: Option<String>,
}

/// What a mail that came in says about a message of ours.
pub(super) struct MailNews<'a> {
    pub kind: &'static str,
    /// What the mail says happened.
    pub what: &'static str,
    /// What we did about it.
    pub outcome: super::inbound::Outcome,
    pub status: Option<&'a str>,
    pub words: &'a str,
    pub from: Option<&'a str>,
    /// Why it was refused; else empty.
    pub why: &'a str,
    /// SHA-256 of the raw mail, hexadecimal.
    pub digest: &'a str,
}

#[derive(Serialize)]
struct MailReceived<'a> {
    key: &'a str,
    to: String,
    actor: &'a str,
    what: &'static str,
    outcome: super::inbound::Outcome,
    status: Option<&'a str>,
    answer: Personal<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Personal<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Personal<String>>,
    mail_sha256: Personal<String>,
}

#[derive(Serialize)]
struct System<'a, T> {
    actor: &'a str,
    #[serde(flatten)]
    detail: T,
}

impl<S: Store> House<S> {
    fn sealer(&self) -> Sealer<'_> {
        Sealer::new(|| {
            let mut salt = [0u8; 32];
            self.entropy.fill(&mut salt);
            salt
        })
    }

    fn draft(
        &self,
        stream: &str,
        kind: &'static str,
        at: Timestamp,
        body: &impl Serialize,
        sealer: Sealer<'_>,
    ) -> Draft {
        Draft::new(stream.to_string(), kind, at, self.nonce(), body).with_disclosures(sealer.into_disclosures())
    }

    pub(super) fn draft_reported(&self, incident: &Incident, caller: &Caller, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let body = Reported {
            title: sealer.seal("/title", incident.title.clone()),
            entity_id: incident.entity.id.clone(),
            entity: sealer.seal("/entity", incident.entity.name.clone()),
            profile: sealer.seal("/profile", incident.entity.clone()),
            source: incident.source.clone(),
            reference: incident.reference.clone().map(|r| sealer.seal("/reference", r)),
            by: caller.name.clone(),
            facts: fact_bodies(incident.facts.history(), &mut sealer),
        };
        self.draft(&incident.id.0, "incident.reported", now, &body, sealer)
    }

    pub(super) fn draft_entity(&self, incident: &Incident, caller: &Caller, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let body = EntityNamed {
            by: caller.name.clone(),
            entity_id: incident.entity.id.clone(),
            entity: sealer.seal("/entity", incident.entity.name.clone()),
            profile: sealer.seal("/profile", incident.entity.clone()),
        };
        self.draft(&incident.id.0, "entity.named", now, &body, sealer)
    }

    pub(super) fn draft_facts(&self, incident: &Incident, facts: &[Fact], caller: &Caller, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let body = FactsAsserted { by: caller.name.clone(), facts: fact_bodies(facts, &mut sealer) };
        let kind = if facts.iter().any(|f| f.key == "times.aware") { "awareness.set" } else { "facts.asserted" };
        self.draft(&incident.id.0, kind, now, &body, sealer)
    }

    pub(super) fn draft_computed(&self, incident: &Incident, book: &Rulebook, plan: &Plan, now: Timestamp) -> Draft {
        let name = book.name();
        let body = Computed {
            now: utc(now),
            rulebook: hex(&book.sha256),
            rulebook_version: &book.version,
            tzdb: time::tzdb_version(),
            calendars: &name.calendars,
            obligations: plan.obligations.iter().map(computed).collect(),
        };
        self.draft(&incident.id.0, "deadline.computed", now, &body, self.sealer())
    }

    pub(super) fn draft_acknowledged(
        &self,
        incident: &Incident,
        obligation: &str,
        ack: &crate::law::Acknowledgement,
        caller: &Caller,
        declined: bool,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = Acknowledged {
            obligation,
            by: sealer.seal("/by", ack.by.clone()),
            role: ack.role.as_deref(),
            actor: &caller.name,
            until: utc(ack.until),
        };
        let kind = if declined { "acknowledgement.declined" } else { "acknowledgement.recorded" };
        self.draft(&incident.id.0, kind, now, &body, sealer)
    }

    pub(super) fn draft_filed(
        &self,
        incident: &Incident,
        obligation: &str,
        filing: &crate::law::Filing,
        documents: &[u64],
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = Filed {
            obligation,
            at: utc(filing.at),
            by: sealer.seal("/by", filing.by.clone()),
            actor: &caller.name,
            reference: filing.reference.clone().map(|r| sealer.seal("/reference", r)),
            // a hash of a known document can be looked up for ever: it stands inside a disclosure
            proof_sha256: filing.proof.map(|p| sealer.seal("/proof_sha256", hex(&p))),
            complete: filing.complete,
            note: filing.note.clone().map(|n| sealer.seal("/note", n)),
            documents,
        };
        self.draft(&incident.id.0, "notification.filed", now, &body, sealer)
    }

    pub(super) fn draft_waived(
        &self,
        incident: &Incident,
        obligation: &str,
        waiver: &crate::law::Waiver,
        ask: &super::WaiverRequest,
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let facts = &incident.facts;
        let inputs: Vec<Fact> = ask.inputs.iter().filter_map(|key| facts.assertion(key)).cloned().collect();
        let body = Decided {
            obligation,
            reason: sealer.seal("/reason", waiver.reason.clone()),
            by: sealer.seal("/by", waiver.by.clone()),
            actor: &caller.name,
            second_approver: waiver.second_approver.clone().map(|s| sealer.seal("/second_approver", s)),
            review_on: waiver.review_on.as_deref(),
            reopen_when: &waiver.reopen_when,
            state: if waiver.approved_at.is_some() { "approved" } else { "pending" },
            grounds: &ask.grounds,
            score: ask.score.as_ref().map(|s| ScoreBody {
                method: &s.method,
                value: &s.value,
                band: s.band.as_deref(),
            }),
            facts: fact_bodies(&inputs, &mut sealer),
            approved_at: waiver.approved_at.map(utc),
        };
        self.draft(&incident.id.0, "decision.not-to-notify", now, &body, sealer)
    }

    pub(super) fn draft_delay(
        &self,
        incident: &Incident,
        obligation: &str,
        delay: &crate::law::Delay,
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        #[derive(Serialize)]
        struct Delayed<'a> {
            obligation: &'a str,
            reason: Personal<String>,
            by: Personal<String>,
            actor: &'a str,
        }
        let mut sealer = self.sealer();
        let body = Delayed {
            obligation,
            reason: sealer.seal("/reason", delay.reason.clone()),
            by: sealer.seal("/by", delay.by.clone()),
            actor: &caller.name,
        };
        self.draft(&incident.id.0, "delay.justified", now, &body, sealer)
    }

    pub(super) fn draft_messages(
        &self,
        incident: &Incident,
        messages: &[crate::escalation::Message],
        now: Timestamp,
    ) -> Draft {
        let body = Messages {
            messages: messages
                .iter()
                .map(|m| MessageBody {
                    key: &m.key,
                    event: m.event.as_str(),
                    obligation: m.obligation.as_deref(),
                    to: m.target.label(),
                    policy: &m.reason.policy,
                    step: &m.reason.step,
                    repeat: m.reason.repeat,
                    due_at: utc(m.reason.due_at),
                    coalesced: m.reason.coalesced,
                    after: m.extra.after.as_deref(),
                    quiet_hours: m.extra.quiet.as_ref().map(QuietBody::of),
                    drill: m.extra.drill,
                    asks: m
                        .extra
                        .asks
                        .iter()
                        .map(|ask| AskBody { obligation: &ask.obligation, what: ask.what.as_str() })
                        .collect(),
                })
                .collect(),
        };
        self.draft(&incident.id.0, "messages.queued", now, &body, self.sealer())
    }

    pub(super) fn draft_attempt(
        &self,
        message: &crate::escalation::Message,
        attempt: u32,
        settlement: &crate::store::Settlement,
        now: Timestamp,
    ) -> Draft {
        use crate::escalation::Outcome;
        let (outcome, answer) = match &settlement.outcome {
            Outcome::HandedOver { answer } => ("handed-over", answer),
            Outcome::Retry { error, .. } if settlement.retry_at.is_some() => ("retry", error),
            Outcome::Retry { error, .. } => ("gave-up", error),
            Outcome::Refused { error } => ("refused", error),
            Outcome::Withdrawn { why } => ("withdrawn", why),
        };
        let mut sealer = self.sealer();
        let body = Attempt {
            key: &message.key,
            to: message.target.label(),
            attempt,
            outcome,
            answer: sealer.seal("/answer", answer.clone()),
            next_attempt: settlement.retry_at.map(utc),
        };
        self.draft(&message.incident.0, "message.attempted", now, &body, sealer)
    }

    /// News of a message that had left the queue.
    pub(super) fn draft_delivery(
        &self,
        message: &crate::escalation::Message,
        kind: &'static str,
        news: &crate::store::Delivery,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = Advanced {
            key: &message.key,
            to: message.target.label(),
            state: news.state.as_str(),
            detail: sealer.seal("/detail", news.detail.clone()),
        };
        self.draft(&message.incident.0, kind, now, &body, sealer)
    }

    /// A link in a message was used and nothing came of it.
    pub(super) fn draft_link_refused(&self, claims: &AckClaims, reason: &str, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let by = sealer.seal("/by", claims.person.clone());
        let body = LinkRefused { obligations: &claims.obligations, by, reason };
        self.draft(&claims.incident, "acknowledgement.link-refused", now, &body, sealer)
    }

    /// News of a message by mail. The author's address is what the mail claims.
    pub(super) fn draft_mail(
        &self,
        message: &crate::escalation::Message,
        news: &MailNews<'_>,
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = MailReceived {
            key: &message.key,
            to: message.target.label(),
            actor: &caller.name,
            what: news.what,
            outcome: news.outcome,
            status: news.status,
            answer: sealer.seal("/answer", news.words.to_string()),
            by: news.from.map(|from| sealer.seal("/by", from.to_string())),
            note: Some(news.why).filter(|why| !why.is_empty()).map(|why| sealer.seal("/note", why.to_string())),
            mail_sha256: sealer.seal("/mail_sha256", news.digest.to_string()),
        };
        self.draft(&message.incident.0, news.kind, now, &body, sealer)
    }

    pub(super) fn draft_closed(&self, incident: &Incident, caller: &Caller, now: Timestamp) -> Draft {
        let body = System { actor: &caller.name, detail: serde_json::json!({}) };
        self.draft(&incident.id.0, "incident.closed", now, &body, self.sealer())
    }

    /// A closed incident is open again, because these obligations run or may run now.
    pub(super) fn draft_reopened(
        &self,
        incident: &Incident,
        obligations: &[String],
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let detail =
            serde_json::json!({ "why": "obligations run, or may run, that did not", "obligations": obligations });
        let body = System { actor: &caller.name, detail };
        self.draft(&incident.id.0, "incident.reopened", now, &body, self.sealer())
    }

    /// An entry of the system's own stream. `detail` must hold nothing personal.
    pub fn draft_system(&self, kind: &'static str, actor: &str, detail: serde_json::Value, now: Timestamp) -> Draft {
        self.draft(SYSTEM, kind, now, &System { actor, detail }, self.sealer())
    }
}

fn fact_bodies(facts: &[Fact], sealer: &mut Sealer<'_>) -> Vec<FactBody> {
    facts
        .iter()
        .enumerate()
        .map(|(at, fact)| FactBody {
            key: fact.key.clone(),
            value: fact.value.as_ref().map(|value| match value {
                Value::Text(text) => FactValue::Text(sealer.seal(&format!("/facts/{at}/value"), text.clone())),
                Value::Hold(hold) => FactValue::Plain(serde_json::json!({
                    "from": hold.from.map(utc), "until": hold.until.map(utc), "written": hold.written,
                    "by": sealer.seal(&format!("/facts/{at}/value/by"), hold.by.clone()),
                })),
                other => FactValue::Plain(super::read::value_json(other)),
            }),
            certainty: fact.certainty.as_str(),
            by: sealer.seal(&format!("/facts/{at}/by"), fact.asserted_by.clone()),
            at: utc(fact.asserted_at),
            note: fact.note.clone().map(|note| sealer.seal(&format!("/facts/{at}/note"), note)),
        })
        .collect()
}

/// An obligation as a `deadline.computed` entry tells it.
pub(super) fn computed(o: &Obligation) -> ComputedObligation<'_> {
    let deadline = o.standing.deadline();
    ComputedObligation {
        id: &o.id,
        standing: o.standing.as_str(),
        started: o.started_by.as_ref().map(|s| StartedBody { key: &s.key, at: utc(s.at) }),
        counting_from: deadline.map(|d| utc(d.counting_from)),
        due: deadline.map(|d| utc(d.due)),
        conservative_due: deadline.map(|d| utc(d.conservative_due)),
        convention: o.convention.as_deref(),
        missing: if matches!(o.standing, Standing::Discharged { .. }) { &[] } else { &o.missing },
    }
}

impl<S: Store> House<S> {
    /// What another rulebook made of the dates, and which of the older ones stand until they are signed off.
    pub(super) fn draft_rules_changed(&self, incident: &Incident, ruled: &Ruled, now: Timestamp) -> Draft {
        let detail = serde_json::json!({
            "from": hex(&ruled.from), "to": hex(&ruled.to), "changes": ruled.shifts, "kept": ruled.kept,
        });
        let body = System { actor: "breachclock", detail };
        self.draft(&incident.id.0, "rules.changed", now, &body, self.sealer())
    }

    /// Somebody accepted that a new rulebook moves limits later.
    pub(super) fn draft_signed_off(
        &self,
        incident: &Incident,
        accepted: &[String],
        reason: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = SignedOff {
            by: caller.name.clone(),
            obligations: accepted.to_vec(),
            reason: sealer.seal("/reason", reason.to_string()),
        };
        self.draft(&incident.id.0, "rules.signed-off", now, &body, sealer)
    }

    /// A wake-up that found nothing to send: the alarm and the next one.
    pub(super) fn draft_evaluated(
        &self,
        incident: &Incident,
        wake_at: Timestamp,
        next: Option<String>,
        now: Timestamp,
    ) -> Draft {
        let body =
            System { actor: "breachclock", detail: serde_json::json!({ "wake_at": utc(wake_at), "next": next }) };
        self.draft(&incident.id.0, "timer.evaluated", now, &body, self.sealer())
    }
}
