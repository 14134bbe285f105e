//! What is recorded about lateness, and what is missing: the notice of delay before a limit, the reasons after it.

use crate::escalation::Reasons;
use crate::law::{Incident, Obligation, Standing};
use crate::rules::{Plan, Rulebook};
use crate::store::Record;
use crate::time::Timestamp;

/// Whether the reasons for a delay of `o` are owed by somebody.
pub(super) fn reasons(record: &Record, o: &Obligation) -> Reasons {
    let act = record.acts.get(&o.id);
    if act.is_some_and(|act| !act.delays.is_empty()) {
        return Reasons::NotOwed;
    }
    match &o.standing {
        Standing::Running(Some(_)) => Reasons::OnceLate,
        // by the legal limit: what was filed before it is in time, whatever the earliest reading says
        Standing::Discharged { at, deadline: Some(deadline) } if *at >= deadline.due => {
            let filings = act.map(|act| act.filings.as_slice()).unwrap_or_default();
            let recorded = filings.iter().filter(|filing| filing.at == *at).map(|filing| filing.recorded_at).min();
            Reasons::FiledLate(recorded.unwrap_or_else(|| asserted_at(&record.incident, o).unwrap_or(*at)))
        }
        _ => Reasons::NotOwed,
    }
}

/// A filing may also be stated as a fact.
fn asserted_at(incident: &Incident, o: &Obligation) -> Option<Timestamp> {
    let key = format!("times.filed.{}@{}", o.duty, o.jurisdiction);
    incident.facts.assertion(&key).map(|fact| fact.asserted_at)
}

/// `o` is late, or was filed late, and nobody recorded why.
pub(super) fn reasons_missing(record: &Record, o: &Obligation, now: Timestamp) -> bool {
    match reasons(record, o) {
        Reasons::NotOwed => false,
        Reasons::OnceLate => o.standing.deadline().is_some_and(|d| now >= d.conservative_due),
        Reasons::FiledLate(_) => true,
    }
}

/// The citation of the duty to announce a delay of `o` before its limit, while nobody has recorded such a notice.
pub(super) fn notice_to_send(book: &Rulebook, record: &Record, plan: &Plan, o: &Obligation) -> Option<String> {
    let duty = book.delay_notice(&record.incident, o)?;
    let announced = record.acts.get(&o.id).is_some_and(|act| !act.delays.is_empty());
    let filed = plan.obligations.iter().any(|other| {
        other.duty == duty.id
            && other.jurisdiction == o.jurisdiction
            && (matches!(other.standing, Standing::Discharged { .. })
                || record.acts.get(&other.id).is_some_and(|act| !act.filings.is_empty()))
    });
    (!announced && !filed).then(|| duty.citation.clone())
}
