//! Dates: the legal reading, the conservative one, and every disputed one.

use super::book::{ConventionRecord, Rulebook, Whose};
use super::condition::Condition;
use crate::law::{Deadline, DisputedReading, Duty, Entity, Recipients};
use crate::time::{self, Calendar, Period, TimeError, Timestamp, Zone};

/// Whose zones and calendars may decide, resolved once per plan.
pub struct Parties {
    /// The notifier's zone: where its day ends.
    pub notifier_zone: Option<Zone>,
    /// Place of the notifier: main establishment, else the first one stated.
    pub notifier_place: Option<String>,
}

impl Parties {
    pub fn of(book: &Rulebook, entity: &Entity) -> Parties {
        let place = entity.main_establishment.clone().or_else(|| entity.establishments().next().map(str::to_string));
        let zone = entity.zone.or_else(|| place.as_deref().and_then(|p| book.places.get(p)).map(|p| p.zone));
        Parties { notifier_zone: zone, notifier_place: place }
    }
}

/// Where an obligation's day ends.
pub struct Clock {
    pub zone: Zone,
}

/// The zone of an obligation: the receiving authority's, or the notifier's for private recipients; a convention may fix one.
pub fn of(book: &Rulebook, duty: &Duty<Condition>, place: &str, parties: &Parties) -> Clock {
    let record = duty.periods.iter().find_map(|p| p.convention).map(|at| book.convention(at));
    Clock { zone: zone(book, record, duty, place, parties) }
}

fn zone(
    book: &Rulebook,
    record: Option<&ConventionRecord>,
    duty: &Duty<Condition>,
    place: &str,
    parties: &Parties,
) -> Zone {
    let recipient = recipient_zone(book, duty, place, parties);
    let notifier = parties.notifier_zone.unwrap_or(recipient);
    match record.map(|r| &r.zone) {
        Some(Whose::Fixed(zone)) => *zone,
        Some(Whose::Notifier | Whose::EntityState) => notifier,
        Some(Whose::Recipient) | None if duty.recipient.is_public_body() || agreed_place(book, duty, place) => {
            recipient
        }
        Some(Whose::Recipient) | None => notifier,
    }
}

/// Has a contract said where its days are counted? Then they end there, as its holidays are those of that place.
fn agreed_place(book: &Rulebook, duty: &Duty<Condition>, place: &str) -> bool {
    duty.recipients == Recipients::EachContract && book.places.get(place).is_some()
}

fn recipient_zone(book: &Rulebook, duty: &Duty<Condition>, place: &str, parties: &Parties) -> Zone {
    let authority = duty.regime.as_deref().and_then(|regime| book.authority(place, regime)).and_then(|a| a.zone);
    authority.or_else(|| book.places.get(place).map(|p| p.zone)).or(parties.notifier_zone).unwrap_or(Zone::UTC)
}

fn calendar<'b>(
    book: &'b Rulebook,
    record: &'b ConventionRecord,
    place: &str,
    parties: &Parties,
) -> Result<&'b Calendar, TimeError> {
    let of_place = |place: &str| -> &'b str {
        let mut at = place;
        loop {
            if let Some(id) = record.calendar_of.get(at) {
                return id;
            }
            match at.split_once('-') {
                Some((country, _)) => at = country,
                None => break,
            }
        }
        book.places.get(place).map_or("WEEKEND", |p| &p.calendar)
    };
    let notifier = parties.notifier_place.as_deref().unwrap_or(place);
    let id = match &record.calendar {
        Whose::Fixed(id) => return book.calendars.get(id),
        Whose::Recipient => of_place(place),
        Whose::Notifier | Whose::EntityState => of_place(notifier),
    };
    book.calendars.get(id)
}

/// Counts a period under a convention from `from`: legal, conservative and contested instants.
pub fn count(
    book: &Rulebook,
    record: &ConventionRecord,
    period: Period,
    from: Timestamp,
    duty: &Duty<Condition>,
    place: &str,
    parties: &Parties,
) -> Result<Deadline, TimeError> {
    let zone = zone(book, Some(record), duty, place, parties);
    let calendar = calendar(book, record, place, parties)?;
    let legal = time::count(from, period, &record.convention, zone, calendar.legal())?;

    // the earliest defensible reading: no rounding, no roll, firm holidays, the earlier of both parties' zones
    let careful = record.convention.conservative(period.unit);
    let mut conservative_due = legal.due;
    let fixed = matches!(record.zone, Whose::Fixed(_));
    let others = [parties.notifier_zone, Some(recipient_zone(book, duty, place, parties))];
    let zones = std::iter::once(zone).chain(others.into_iter().flatten().filter(|z| !fixed && *z != zone));
    for z in zones {
        conservative_due = conservative_due.min(time::count(from, period, &careful, z, calendar.firm())?.due);
    }

    let mut contested = Vec::new();
    for dispute in &record.disputes {
        let reading = time::count(from, period, &dispute.convention, zone, calendar.legal())?;
        if reading.due != legal.due {
            contested.push(DisputedReading { id: dispute.id.clone(), text: dispute.text.clone(), due: reading.due });
            conservative_due = conservative_due.min(reading.due);
        }
    }
    Ok(Deadline {
        due: legal.due,
        conservative_due,
        counting_from: legal.counting_from,
        steps: legal.steps,
        contested,
        uncertain: legal.uncertain,
    })
}

/// The count of an obligation as a picture, one row per local day.
pub fn grid(
    book: &Rulebook,
    record: &ConventionRecord,
    period: Period,
    from: Timestamp,
    duty: &Duty<Condition>,
    place: &str,
    entity: &Entity,
) -> Result<Vec<time::GridDay>, TimeError> {
    let parties = Parties::of(book, entity);
    let zone = zone(book, Some(record), duty, place, &parties);
    time::grid(from, period, &record.convention, zone, calendar(book, record, place, &parties)?.legal())
}
