//! Which instant starts a duty's clock, from the facts.

use crate::law::{Certainty, Duty, DutyId, Fact, FactBook, Place, Started, Trigger, Value};
use crate::time::{CivilDate, Timestamp, Zone};

/// Kinds of knowledge, in the order in which they come: a later one unknown, an earlier one still bounds the clock.
pub const KNOWLEDGE: [&str; 3] = ["times.detected", "times.aware", "times.determined"];

/// Those that are there at the latest when somebody is told; a determination may come later.
pub const KNOWN: [&str; 2] = ["times.detected", "times.aware"];

const OCCURRENCE: &str = "times.occurred_from";

/// What the facts say about a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onset {
    Started(Started),
    /// The key is unknown, but an earlier kind of knowledge is known: counted from there, and the key is missing.
    From {
        earlier: Started,
        missing: String,
    },
    /// The key is unknown, but a later instant is known: the clock has surely started, and not after that.
    NotAfter {
        later: Started,
        missing: String,
    },
    /// The act or instant has not happened, or nobody said so; `missing` is the key to ask for, if asking helps.
    NotYet {
        missing: Option<String>,
    },
}

/// `acts` are the duties whose performance counts, for triggers that wait for one.
pub fn onset<C>(duty: &Duty<C>, place: &Place, facts: &FactBook, acts: &[DutyId]) -> Onset {
    let careful = duty.conservative_starts.as_deref();
    let duty_id = &duty.id;
    match &duty.starts {
        Trigger::Fact(key) => carefully(key, careful, facts),
        Trigger::CalendarEnd { fact, .. } => carefully(fact, careful, facts),
        // dated once the other duty is, see `compose`
        Trigger::Due(_) => Onset::NotYet { missing: None },
        Trigger::Filed(_) => match acts.iter().filter_map(|d| filed(facts, &d.0, place)).min_by_key(|s| s.at) {
            Some(started) => Onset::Started(started),
            None => Onset::NotYet { missing: None },
        },
        Trigger::FiledLast(_) => {
            match acts.iter().filter_map(|d| filed_last(facts, &d.0, place)).max_by_key(|s| s.at) {
                Some(started) => Onset::Started(started),
                None => Onset::NotYet { missing: None },
            }
        }
        Trigger::Requested => {
            match find(facts, "times.requested.", &duty_id.0, place).and_then(|fact| started(fact, latest(fact)?)) {
                Some(started) => Onset::Started(started),
                None => Onset::NotYet { missing: None },
            }
        }
        Trigger::Contract => instant("times.aware", facts),
    }
}

/// The last day on which a text of `duty`, which has none today, could still serve: what is known of the incident lies
/// before its end, and since when the clock runs is not known.
pub fn last_day_served<C>(duty: &Duty<C>, facts: &FactBook, zone: Zone, now: Timestamp) -> Option<CivilDate> {
    key(&duty.starts)?;
    // no clock starts before somebody noticed; where nobody said when that was, not before it happened
    let noticed = KNOWLEDGE.iter().find_map(|key| facts.instant(key));
    let begun = zone.local(noticed.or_else(|| facts.instant(OCCURRENCE))?).date();
    let today = zone.local(now).date();
    if duty.has_text(today) {
        return None;
    }
    let over = duty.periods.iter().filter(|text| !text.undated).filter_map(|text| text.until);
    over.filter(|until| begun <= *until && *until < today).max()
}

/// The fact whose instant starts the clock, if one does.
pub fn key(starts: &Trigger) -> Option<&String> {
    match starts {
        Trigger::Fact(key) | Trigger::CalendarEnd { fact: key, .. } => Some(key),
        _ => None,
    }
}

/// The instant stated for `key`.
pub fn stated(key: &str, facts: &FactBook) -> Option<Started> {
    facts.assertion(key).and_then(|fact| started(fact, latest(fact)?))
}

/// First performance of `duty` towards `place`, or towards everybody.
pub fn filed(facts: &FactBook, duty: &str, place: &str) -> Option<Started> {
    let fact = find(facts, "times.filed.", duty, place)?;
    started(fact, facts.first_instant(&fact.key)?)
}

/// Latest performance of `duty`.
pub fn filed_last(facts: &FactBook, duty: &str, place: &str) -> Option<Started> {
    let fact = find(facts, "times.filed.", duty, place)?;
    started(fact, latest(fact)?)
}

/// The limit an authority set with its request.
pub fn limit_set(facts: &FactBook, duty: &str, place: &str) -> Option<Timestamp> {
    latest(find(facts, "times.due.", duty, place)?)
}

fn find<'a>(facts: &'a FactBook, prefix: &str, duty: &str, place: &str) -> Option<&'a Fact> {
    // most incidents have none yet, and every duty is asked
    facts.with_prefix(prefix).next()?;
    let general = format!("{prefix}{duty}");
    let stated = |key: &str| facts.assertion(key).filter(|fact| fact.value.is_some());
    // a state's law may follow an act towards the authority of the whole country
    let country = || place.split_once('-').filter(|(country, _)| is_country(country)).map(|(country, _)| country);
    stated(&format!("{general}@{place}"))
        .or_else(|| stated(&general))
        .or_else(|| stated(&format!("{general}@{}", country()?)))
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
}

fn latest(fact: &Fact) -> Option<Timestamp> {
    match fact.value {
        Some(Value::Instant(at)) => Some(at),
        _ => None,
    }
}

fn started(fact: &Fact, at: Timestamp) -> Option<Started> {
    Some(Started { key: fact.key.clone(), at, certainty: fact.certainty, by: fact.asserted_by.clone() })
}

/// An instant that a pack declares has no place in the order of knowledge. While it is unknown, the second instant that the
/// duty may be counted from bounds it: somebody has to look, and until then that date is the one to keep.
fn carefully(key: &str, careful: Option<&str>, facts: &FactBook) -> Onset {
    match (instant(key, facts), careful) {
        (Onset::NotYet { missing: Some(missing) }, Some(careful)) => match instant(careful, facts) {
            Onset::Started(earlier) | Onset::From { earlier, .. } => {
                Onset::From { earlier: Started { certainty: Certainty::Estimated, ..earlier }, missing }
            }
            Onset::NotAfter { .. } | Onset::NotYet { .. } => Onset::NotYet { missing: Some(missing) },
        },
        (onset, _) => onset,
    }
}

fn instant(key: &str, facts: &FactBook) -> Onset {
    let read = |key: &str| stated(key, facts);
    if let Some(started) = read(key) {
        return Onset::Started(started);
    }
    let rank = KNOWLEDGE.iter().position(|k| *k == key);
    // what came before bounds the clock from below; failing that, what came after bounds it from above: it has surely started
    let before = rank.and_then(|rank| KNOWLEDGE[..rank].iter().rev().find_map(|k| read(k)));
    let after = match (rank, key) {
        (Some(rank), _) => KNOWLEDGE[rank + 1..].iter().find_map(|k| read(k)),
        // an occurrence is never later than the knowledge of it
        (None, OCCURRENCE) => KNOWLEDGE.iter().find_map(|k| read(k)),
        _ => None,
    };
    let estimated = |s: Started| Started { certainty: Certainty::Estimated, ..s };
    let missing = key.to_string();
    match (before, after) {
        (Some(earlier), _) => Onset::From { earlier: estimated(earlier), missing },
        (None, Some(later)) => Onset::NotAfter { later: estimated(later), missing },
        (None, None) => Onset::NotYet { missing: Some(missing) },
    }
}
