//! Every text about an incident that a person typed, or that names one, wherever it stands besides the log.
//!
//! Each struct is taken apart whole: a new member does not compile until somebody has said here whether it is such a text.

use crate::escalation::{Also, Ask, Brief, Extra, Message, Reason, Target, Told};
use crate::evidence::Id;
use crate::law::{Acknowledgement, Act, Contract, Delay, Entity, Fact, Filing, Hold, Incident, Value, Waiver};
use crate::store::Record;

/// Where a text, or the hash of a file, stands.
pub(super) enum Place<'a> {
    Text(&'a mut String),
    Proof(&'a mut Option<[u8; 32]>),
}

/// Calls `visit` with each place of a record.
pub(super) fn of_record(record: &mut Record, visit: &mut impl FnMut(Place<'_>)) {
    let Record { incident, tracked: _, acts, rulebook: _, kept: _ } = record;
    // `opened_by` stands in the log as an identifier
    let Incident { id: _, title, entity, source, reference, opened_at: _, opened_by: _, closed_at: _, facts } =
        incident;
    text(title, visit);
    of_entity(entity, visit);
    typed(source, visit);
    optional(reference, visit);
    facts.erase(|fact| of_fact(fact, visit));
    acts.values_mut().for_each(|act| of_act(act, visit));
}

fn of_entity(entity: &mut Entity, visit: &mut impl FnMut(Place<'_>)) {
    let Entity {
        id: _,
        name,
        roles: _,
        sectors: _,
        established_in: _,
        main_establishment: _,
        operates_in: _,
        zone: _,
        contracts,
        policies: _,
        policy: _,
    } = entity;
    text(name, visit);
    for contract in contracts {
        let Contract {
            id: _,
            name,
            direction: _,
            duty: _,
            starts: _,
            // one of the words that are read, or a number
            period: _,
            convention: _,
            place: _,
            address,
            form,
            clause,
            citation,
            ends: _,
            notice_days_after_end: _,
            assume_hours: _,
        } = contract;
        text(name, visit);
        [address, form, clause, citation].into_iter().for_each(|one| optional(one, visit));
    }
}

fn of_fact(fact: &mut Fact, visit: &mut impl FnMut(Place<'_>)) {
    let Fact { key: _, value, certainty: _, asserted_by, asserted_at: _, note } = fact;
    match value {
        Some(Value::Text(said)) => text(said, visit),
        Some(Value::Choice(word)) if !Id::fits(word) => text(word, visit),
        Some(Value::Hold(Hold { from: _, until: _, by, written: _ })) => text(by, visit),
        Some(Value::Set(words)) => words.iter_mut().filter(|word| !Id::fits(word)).for_each(|word| text(word, visit)),
        Some(Value::YesNo(_) | Value::Choice(_) | Value::Count(_) | Value::Instant(_)) | None => {}
    }
    text(asserted_by, visit);
    optional(note, visit);
}

fn of_act(act: &mut Act, visit: &mut impl FnMut(Place<'_>)) {
    let Act { acknowledgements, declined, filings, waiver, delays } = act;
    for Acknowledgement { by, role, at: _, until: _ } in acknowledgements {
        text(by, visit);
        typed(role, visit);
    }
    declined.iter_mut().for_each(|(by, _)| text(by, visit));
    for Filing { at: _, by, recorded_at: _, reference, proof, complete: _, note } in filings {
        text(by, visit);
        optional(reference, visit);
        visit(Place::Proof(proof));
        optional(note, visit);
    }
    if let Some(Waiver { reason, by, at: _, second_approver, approved_at: _, review_on, reopen_when }) = waiver {
        text(reason, visit);
        typed(review_on, visit);
        reopen_when.iter_mut().filter(|key| !Id::fits(key)).for_each(|key| text(key, visit));
        text(by, visit);
        optional(second_approver, visit);
    }
    for Delay { reason, by, at: _ } in delays {
        text(reason, visit);
        text(by, visit);
    }
}

/// Calls `visit` with each text of a message, and of where it goes.
pub(super) fn of_message(message: &mut Message, visit: &mut impl FnMut(Place<'_>)) {
    let Message {
        key: _,
        event: _,
        incident: _,
        obligation: _,
        target,
        reason: Reason { policy: _, step: _, repeat: _, due_at: _, coalesced: _ },
        created_at: _,
        urgent_at: _,
        brief,
        // names people by their ids
        ack_token: _,
        extra,
    } = message;
    of_target(target, visit);
    let Brief {
        incident_title,
        entity,
        duty_title: _,
        duty: _,
        jurisdiction: _,
        recipient_name,
        law: _,
        citation: _,
        standing: _,
        missing: _,
        promptly: _,
        due: _,
        conservative_due: _,
        zone: _,
        started_key: _,
        started_at: _,
        holder,
        told,
        next,
        because,
        also,
    } = brief;
    [incident_title, entity, recipient_name].into_iter().for_each(|one| text(one, visit));
    optional(because, visit);
    for Told { name, what, at: _ } in holder.iter_mut().chain(told).chain(next) {
        text(name, visit);
        text(what, visit);
    }
    for Also { obligation: _, duty_title: _, recipient_name, conservative_due: _, zone: _, standing: _ } in also {
        text(recipient_name, visit);
    }
    let Extra { after, quiet: _, internal_target: _, overdue_count: _, copy: _, drill: _, note, asks } = extra;
    optional(after, visit);
    optional(note, visit);
    for Ask { obligation: _, duty_title: _, recipient_name, zone: _, what: _ } in asks {
        text(recipient_name, visit);
    }
}

fn of_target(target: &mut Target, visit: &mut impl FnMut(Place<'_>)) {
    match target {
        Target::Email { person: _, name, address } => {
            text(name, visit);
            text(address, visit);
        }
        Target::Webhook { id: _ } => {}
        Target::Channel { id: _, person: _, name, address } => {
            text(name, visit);
            optional(address, visit);
        }
    }
}

/// As in the log: what is no word is what somebody typed.
fn typed(place: &mut Option<String>, visit: &mut impl FnMut(Place<'_>)) {
    if let Some(place) = place.as_mut().filter(|place| !Id::fits(place)) {
        visit(Place::Text(place));
    }
}

fn text(place: &mut String, visit: &mut impl FnMut(Place<'_>)) {
    visit(Place::Text(place));
}

fn optional(place: &mut Option<String>, visit: &mut impl FnMut(Place<'_>)) {
    if let Some(place) = place {
        visit(Place::Text(place));
    }
}
