//! Evidence drafts for each decision: typed bodies, with personal data only as commitments.
//!
//! Free text and names are personal, always; instants, counts, ids of duties, roles and tokens are not. The compiler asks:
//! see [`Public`].

mod messages;

pub(super) use messages::MailNews;

use super::rulebook::Ruled;
use super::{Caller, House};
use crate::evidence::{Clk, Detail, Draft, Id, Made, Personal, Public, Sealer, ids};
use crate::law::{Entity, Fact, Incident, Obligation, Standing, Value};
use crate::rules::{Dates, Plan, Rulebook, Shift, hex, utc};
use crate::store::Store;
use crate::time::{self, Timestamp};
use crate::{detail, entry_body};

/// Stream of everything that is not about one incident.
pub const SYSTEM: &str = crate::law::IncidentId::HOUSE;

entry_body! {
    struct Reported {
        title: Personal<String>,
        entity_id: Option<Id<'static>>,
        entity: Personal<String>,
        /// Roles, places and contracts: what deadlines follow from besides the facts.
        profile: Personal<Entity>,
        source: Option<Named>,
        reference: Option<Personal<String>>,
        by: Id<'static>,
        facts: Vec<FactBody>,
        clk: Clk,
    }
}

entry_body! {
    struct EntityNamed {
        by: Id<'static>,
        entity_id: Option<Id<'static>>,
        entity: Personal<String>,
        profile: Personal<Entity>,
    }
}

entry_body! {
    struct FactsAsserted {
        by: Id<'static>,
        facts: Vec<FactBody>,
        /// Of an `awareness.set`.
        #[serde(skip_serializing_if = "Option::is_none")]
        clk: Option<Clk>,
    }
}

entry_body! {
    struct SignedOff<'a> {
        by: Id<'static>,
        obligations: Vec<Id<'a>>,
        reason: Personal<String>,
    }
}

entry_body! {
    struct FactBody {
        key: Id<'static>,
        value: Option<FactValue>,
        certainty: &'static str,
        by: Personal<String>,
        at: Made,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Personal<String>>,
    }
}

entry_body! {
    /// Text is personal; everything else is typed and says nothing about a person.
    enum FactValue {
        YesNo(bool),
        Number(u64),
        Word(Id<'static>),
        Words(Vec<Named>),
        Instant(Made),
        Parts(Detail),
        Text(Personal<String>),
    }
}

entry_body! {
    /// A word of a machine, or what somebody typed in its place.
    enum Named {
        Word(Id<'static>),
        Text(Personal<String>),
    }
}

entry_body! {
    struct Computed<'a> {
        now: Made,
        rulebook: Made,
        rulebook_version: Made,
        tzdb: &'static str,
        calendars: Made,
        obligations: Vec<ComputedObligation<'a>>,
    }
}

entry_body! {
    pub(super) struct ComputedObligation<'a> {
        id: Id<'a>,
        standing: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        started: Option<StartedBody<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        counting_from: Option<Made>,
        #[serde(skip_serializing_if = "Option::is_none")]
        due: Option<Made>,
        #[serde(skip_serializing_if = "Option::is_none")]
        conservative_due: Option<Made>,
        #[serde(skip_serializing_if = "Option::is_none")]
        convention: Option<Id<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<Id<'a>>,
    }
}

entry_body! {
    struct StartedBody<'a> {
        key: Id<'a>,
        at: Made,
    }
}

entry_body! {
    struct Acknowledged<'a> {
        obligation: Id<'a>,
        by: Personal<String>,
        role: Option<Named>,
        actor: Id<'a>,
        until: Made,
    }
}

entry_body! {
    struct Filed<'a> {
        obligation: Id<'a>,
        at: Made,
        by: Personal<String>,
        actor: Id<'a>,
        reference: Option<Personal<String>>,
        proof_sha256: Option<Personal<String>>,
        complete: bool,
        note: Option<Personal<String>>,
        /// Entries that name the files which show it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        documents: Vec<u64>,
        clk: Clk,
    }
}

entry_body! {
    struct Decided<'a> {
        obligation: Id<'a>,
        reason: Personal<String>,
        by: Personal<String>,
        actor: Id<'a>,
        second_approver: Option<Personal<String>>,
        review_on: Option<Named>,
        reopen_when: Vec<Named>,
        state: &'static str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        grounds: Vec<Id<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        score: Option<ScoreBody<'a>>,
        /// What was known when it was decided, as far as it was named.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        facts: Vec<FactBody>,
        #[serde(skip_serializing_if = "Option::is_none")]
        approved_at: Option<Made>,
    }

    struct ScoreBody<'a> {
        method: Id<'a>,
        value: Id<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        band: Option<Id<'a>>,
    }
}

entry_body! {
    pub(super) struct Erased {
        pub commitments: Vec<Made>,
        pub basis: Personal<String>,
        pub request: Personal<String>,
        pub by: Personal<String>,
        pub actor: Id<'static>,
    }

    pub(super) struct Refused {
        pub ground: Personal<String>,
        pub basis: Personal<String>,
        pub request: Personal<String>,
        pub actor: Id<'static>,
    }

    pub(super) struct HoldChanged {
        pub ground: Personal<String>,
        pub by: Personal<String>,
        pub actor: Id<'static>,
    }

    pub(super) struct WithheldBody {
        pub reason: Id<'static>,
        pub commitments: Vec<Made>,
        pub actor: Id<'static>,
    }
}

/// An instant as entries write it.
fn at(instant: Timestamp) -> Made {
    Made::of(utc(instant))
}

fn actor(caller: &Caller) -> Id<'static> {
    Id::new(caller.name.clone())
}

impl<S: Store> House<S> {
    fn sealer(&self) -> Sealer<'_> {
        Sealer::new(|| {
            let mut salt = [0u8; 32];
            self.entropy.fill(&mut salt);
            salt
        })
    }

    fn draft(&self, stream: &str, kind: &'static str, at: Timestamp, body: &impl Public, sealer: Sealer<'_>) -> Draft {
        Draft::new(stream.to_string(), kind, at, self.nonce(), body).with_disclosures(sealer.into_disclosures())
    }

    /// An entry whose body `make` builds with a sealer for its personal fields.
    pub(super) fn draft_sealed<B: Public>(
        &self,
        stream: &str,
        kind: &'static str,
        at: Timestamp,
        make: impl FnOnce(&mut Sealer<'_>) -> B,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = make(&mut sealer);
        self.draft(stream, kind, at, &body, sealer)
    }

    pub(super) fn draft_reported(&self, incident: &Incident, caller: &Caller, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let body = Reported {
            title: sealer.seal("/title", incident.title.clone()),
            entity_id: incident.entity.id.clone().map(Id::known),
            entity: sealer.seal("/entity", incident.entity.name.clone()),
            profile: sealer.seal("/profile", incident.entity.clone()),
            source: incident.source.clone().map(|source| named(source, "/source", &mut sealer)),
            reference: incident.reference.clone().map(|r| sealer.seal("/reference", r)),
            by: actor(caller),
            facts: fact_bodies(incident.facts.history(), &mut sealer),
            clk: self.stats.health.clk(),
        };
        self.draft(&incident.id.0, "incident.reported", now, &body, sealer)
    }

    pub(super) fn draft_entity(&self, incident: &Incident, caller: &Caller, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let body = EntityNamed {
            by: actor(caller),
            entity_id: incident.entity.id.clone().map(Id::known),
            entity: sealer.seal("/entity", incident.entity.name.clone()),
            profile: sealer.seal("/profile", incident.entity.clone()),
        };
        self.draft(&incident.id.0, "entity.named", now, &body, sealer)
    }

    pub(super) fn draft_facts(&self, incident: &Incident, facts: &[Fact], caller: &Caller, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let aware = facts.iter().any(|f| f.key == "times.aware");
        let clk = aware.then(|| self.stats.health.clk());
        let body = FactsAsserted { by: actor(caller), facts: fact_bodies(facts, &mut sealer), clk };
        let kind = if aware { "awareness.set" } else { "facts.asserted" };
        self.draft(&incident.id.0, kind, now, &body, sealer)
    }

    pub(super) fn draft_computed(&self, incident: &Incident, book: &Rulebook, plan: &Plan, now: Timestamp) -> Draft {
        let name = book.name();
        let body = Computed {
            now: at(now),
            rulebook: Made::of(hex(&book.sha256)),
            rulebook_version: Made::of(book.version.clone()),
            tzdb: time::tzdb_version(),
            calendars: Made::of(name.calendars.clone()),
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
            obligation: Id::known(obligation),
            by: sealer.seal("/by", ack.by.clone()),
            role: ack.role.clone().map(|role| named(role, "/role", &mut sealer)),
            actor: actor(caller),
            until: at(ack.until),
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
            obligation: Id::known(obligation),
            at: at(filing.at),
            by: sealer.seal("/by", filing.by.clone()),
            actor: actor(caller),
            reference: filing.reference.clone().map(|r| sealer.seal("/reference", r)),
            // a hash of a known document can be looked up for ever: it stands inside a disclosure
            proof_sha256: filing.proof.map(|p| sealer.seal("/proof_sha256", hex(&p))),
            complete: filing.complete,
            note: filing.note.clone().map(|n| sealer.seal("/note", n)),
            documents: documents.to_vec(),
            clk: self.stats.health.clk(),
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
            obligation: Id::known(obligation),
            reason: sealer.seal("/reason", waiver.reason.clone()),
            by: sealer.seal("/by", waiver.by.clone()),
            actor: actor(caller),
            second_approver: waiver.second_approver.clone().map(|s| sealer.seal("/second_approver", s)),
            review_on: waiver.review_on.clone().map(|day| named(day, "/review_on", &mut sealer)),
            reopen_when: list(&waiver.reopen_when, "/reopen_when", &mut sealer),
            state: if waiver.approved_at.is_some() { "approved" } else { "pending" },
            grounds: ids(&ask.grounds),
            score: ask.score.as_ref().map(|s| ScoreBody {
                method: Id::known(&s.method),
                value: Id::known(&s.value),
                band: s.band.as_deref().map(Id::known),
            }),
            facts: fact_bodies(&inputs, &mut sealer),
            approved_at: waiver.approved_at.map(at),
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
        entry_body! {
            struct Delayed<'a> {
                obligation: Id<'a>,
                reason: Personal<String>,
                by: Personal<String>,
                actor: Id<'a>,
            }
        }
        let mut sealer = self.sealer();
        let body = Delayed {
            obligation: Id::known(obligation),
            reason: sealer.seal("/reason", delay.reason.clone()),
            by: sealer.seal("/by", delay.by.clone()),
            actor: actor(caller),
        };
        self.draft(&incident.id.0, "delay.justified", now, &body, sealer)
    }

    pub(super) fn draft_closed(&self, incident: &Incident, caller: &Caller, now: Timestamp) -> Draft {
        self.draft(&incident.id.0, "incident.closed", now, &detail! { "actor": actor(caller) }, self.sealer())
    }

    /// A closed incident is open again, because these obligations run or may run now.
    pub(super) fn draft_reopened(
        &self,
        incident: &Incident,
        obligations: &[String],
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let body = detail! {
            "actor": actor(caller), "why": "obligations run, or may run, that did not", "obligations": ids(obligations),
        };
        self.draft(&incident.id.0, "incident.reopened", now, &body, self.sealer())
    }

    /// An entry of the system's own stream.
    pub fn draft_system(&self, kind: &'static str, actor: &str, detail: Detail, now: Timestamp) -> Draft {
        let body = detail.after(detail! { "actor": Id::known(actor) });
        self.draft(SYSTEM, kind, now, &body, self.sealer())
    }
}

fn fact_bodies(facts: &[Fact], sealer: &mut Sealer<'_>) -> Vec<FactBody> {
    facts
        .iter()
        .enumerate()
        .map(|(place, fact)| FactBody {
            key: Id::known(fact.key.clone()),
            value: fact.value.as_ref().map(|value| fact_value(value, &format!("/facts/{place}/value"), sealer)),
            certainty: fact.certainty.as_str(),
            by: sealer.seal(&format!("/facts/{place}/by"), fact.asserted_by.clone()),
            at: at(fact.asserted_at),
            note: fact.note.clone().map(|note| sealer.seal(&format!("/facts/{place}/note"), note)),
        })
        .collect()
}

/// A word as it stands; anything else is what somebody typed.
fn named(text: String, pointer: &str, sealer: &mut Sealer<'_>) -> Named {
    if Id::fits(&text) { Named::Word(text.into()) } else { Named::Text(sealer.seal(pointer, text)) }
}

fn list(words: &[String], pointer: &str, sealer: &mut Sealer<'_>) -> Vec<Named> {
    words.iter().enumerate().map(|(at, word)| named(word.clone(), &format!("{pointer}/{at}"), sealer)).collect()
}

/// As a report would state it. A choice that is no word is what somebody typed.
fn fact_value(value: &Value, pointer: &str, sealer: &mut Sealer<'_>) -> FactValue {
    match value {
        Value::YesNo(yes) => FactValue::YesNo(*yes),
        Value::Choice(word) if Id::fits(word) => FactValue::Word(word.clone().into()),
        Value::Choice(text) | Value::Text(text) => FactValue::Text(sealer.seal(pointer, text.clone())),
        Value::Set(words) => FactValue::Words(list(words, pointer, sealer)),
        Value::Count(count) if count.at_most == Some(count.at_least) => FactValue::Number(count.at_least),
        Value::Count(count) => FactValue::Parts(match count.at_most {
            Some(most) => detail! { "at_least": count.at_least, "at_most": most },
            None => detail! { "at_least": count.at_least },
        }),
        Value::Instant(instant) => FactValue::Instant(at(*instant)),
        Value::Hold(hold) => FactValue::Parts(detail! {
            "from": hold.from.map(at), "until": hold.until.map(at), "written": hold.written,
            "by": sealer.seal(&format!("{pointer}/by"), hold.by.clone()),
        }),
    }
}

/// An obligation as a `deadline.computed` entry tells it.
pub(super) fn computed(o: &Obligation) -> ComputedObligation<'_> {
    let deadline = o.standing.deadline();
    ComputedObligation {
        id: Id::known(&o.id),
        standing: o.standing.as_str(),
        started: o.started_by.as_ref().map(|s| StartedBody { key: Id::known(&s.key), at: at(s.at) }),
        counting_from: deadline.map(|d| at(d.counting_from)),
        due: deadline.map(|d| at(d.due)),
        conservative_due: deadline.map(|d| at(d.conservative_due)),
        convention: o.convention.as_deref().map(Id::known),
        missing: if matches!(o.standing, Standing::Discharged { .. }) { Vec::new() } else { ids(&o.missing) },
    }
}

impl<S: Store> House<S> {
    /// What another rulebook made of the dates, and which of the older ones stand until they are signed off.
    pub(super) fn draft_rules_changed(&self, incident: &Incident, ruled: &Ruled, now: Timestamp) -> Draft {
        let body = detail! {
            "actor": "breachclock", "from": Made::of(hex(&ruled.from)), "to": Made::of(hex(&ruled.to)),
            "changes": ruled.shifts.iter().map(shift).collect::<Vec<_>>(), "kept": ids(&ruled.kept),
        };
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
            by: actor(caller),
            obligations: ids(accepted),
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
        let body = detail! { "actor": "breachclock", "wake_at": at(wake_at), "next": next.map(Made::of) };
        self.draft(&incident.id.0, "timer.evaluated", now, &body, self.sealer())
    }
}

fn shift(shift: &Shift) -> Detail {
    let dates = |dates: &Dates| {
        let made = |text: &Option<String>| text.clone().map(Made::of);
        detail! {
            "standing": Id::known(&dates.standing), "due": made(&dates.due),
            "conservative_due": made(&dates.conservative_due),
        }
    };
    detail! {
        "obligation": Id::known(&shift.obligation), "direction": shift.direction.as_str(),
        "from": shift.from.as_ref().map(dates), "to": shift.to.as_ref().map(dates),
    }
}
