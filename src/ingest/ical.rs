//! iCalendar (RFC 5545) to shifts: who has it from when until when, from the calendar people keep anyway.
//!
//! Read are single events and the plain repetitions calendars write for rotas: daily and weekly, with exceptions and moved
//! occurrences. What cannot be read exactly is a fault with its line, never a guess: a wrong shift wakes the wrong person.
//! Zones are those of the IANA database; a file's own VTIMEZONE definitions are not read. Absent here: who a name means.

mod line;
mod repeat;
mod value;

use crate::time::{Timestamp, Zone};
use line::Line;
use repeat::Repeat;
use std::collections::BTreeMap;
use std::fmt;
use value::{Length, Start};

/// More shifts than this in one file are a mistake.
const MOST_SHIFTS: usize = 20_000;

/// From, until (exclusive), and the name or address of the person as the event has it.
pub type Shift = (Timestamp, Timestamp, String);

/// One fault of a calendar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarFault {
    /// 1-based.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for CalendarFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// A VEVENT as written.
struct Event {
    /// Line of its BEGIN.
    line: usize,
    uid: String,
    start: Start,
    length: Length,
    repeat: Option<Repeat>,
    except: Vec<Start>,
    /// The occurrence of the series of the same UID that it stands for.
    instead_of: Option<Start>,
    cancelled: bool,
    who: String,
}

/// The shifts that overlap `from..until`, in order of their start; repetitions are expanded within that window. `zone` is
/// that of days and of times without a zone. Days are whole local days.
///
/// # Errors
/// Every fault of the file, by line.
pub fn shifts(text: &str, zone: Zone, from: Timestamp, until: Timestamp) -> Result<Vec<Shift>, Vec<CalendarFault>> {
    let mut faults = Vec::new();
    let events = events(text, zone, &mut faults);
    // an event with a RECURRENCE-ID takes the place of one occurrence, moved or cancelled
    let mut replaced: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for event in &events {
        if let Some(original) = &event.instead_of {
            replaced.entry(&event.uid).or_default().push(original.instant(zone));
        }
    }
    let mut found: Vec<Shift> = Vec::new();
    for event in events.iter().filter(|event| !event.cancelled) {
        let empty = Vec::new();
        let moved =
            if event.instead_of.is_none() { replaced.get(event.uid.as_str()).unwrap_or(&empty) } else { &empty };
        let starts = match &event.repeat {
            None => vec![event.start],
            Some(repeat) => repeat.starts(event.start, zone, until),
        };
        for start in starts {
            let (begin, end) = (start.instant(zone), event.length.end(start, zone));
            let excepted = event.except.iter().any(|except| except.is(start, zone)) || moved.contains(&begin);
            // a shift that falls into the hour a change of clocks skips has no length
            if !excepted && begin < end && begin < until && end > from {
                found.push((begin, end, event.who.clone()));
            }
        }
        if found.len() > MOST_SHIFTS {
            let text = format!("more than {MOST_SHIFTS} shifts up to here; leave out what is no rota");
            faults.push(CalendarFault { line: event.line, text });
            break;
        }
    }
    if !faults.is_empty() {
        faults.sort_by_key(|fault| fault.line);
        return Err(faults);
    }
    found.sort();
    Ok(found)
}

fn events(text: &str, zone: Zone, faults: &mut Vec<CalendarFault>) -> Vec<Event> {
    let mut events = Vec::new();
    // names of the components that are open, outermost first
    let mut open: Vec<String> = Vec::new();
    let mut begun = (0, Vec::new());
    let mut last = 1;
    for line in line::lines(text) {
        let line = match line {
            Ok(line) => line,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        last = line.number;
        let component = line.value.trim().to_ascii_uppercase();
        match line.name.as_str() {
            "BEGIN" => {
                if open.is_empty() && component != "VCALENDAR" {
                    faults.push(line.fault(format!("`{component}` stands outside VCALENDAR")));
                }
                if open.len() == 1 && component == "VEVENT" {
                    begun = (line.number, Vec::new());
                }
                open.push(component);
            }
            "END" => {
                if open.last() != Some(&component) {
                    faults.push(line.fault(format!("`END:{component}` closes what is not open")));
                    return events;
                }
                open.pop();
                if open.len() == 1 && component == "VEVENT" {
                    events.extend(event(begun.0, std::mem::take(&mut begun.1), zone, faults));
                }
            }
            // what stands in an alarm inside the event is none of its properties
            _ if open.len() == 2 && open[1] == "VEVENT" => begun.1.push(line),
            _ if open.is_empty() => {
                faults.push(line.fault("this is no calendar; it begins with `BEGIN:VCALENDAR`".into()));
                return events;
            }
            _ => {}
        }
    }
    if let Some(component) = open.last() {
        faults.push(CalendarFault { line: last, text: format!("the file ends inside `{component}`; it is cut off") });
    } else if last == 1 && events.is_empty() && text.trim().is_empty() {
        faults.push(CalendarFault { line: 1, text: "the file is empty; it begins with `BEGIN:VCALENDAR`".into() });
    }
    events
}

fn event(number: usize, lines: Vec<Line>, zone: Zone, faults: &mut Vec<CalendarFault>) -> Option<Event> {
    let before = faults.len();
    let mut fault = |line: &Line, text: String| faults.push(line.fault(text));
    let mut start = None;
    let (mut end, mut duration, mut rule) = (None, None, None);
    let (mut except, mut instead_of) = (Vec::new(), None);
    let (mut uid, mut summary, mut attendees, mut cancelled) = (String::new(), String::new(), Vec::new(), false);
    for line in &lines {
        match line.name.as_str() {
            "DTSTART" => match value::start(line, zone) {
                Ok(read) => start = Some(read),
                Err(text) => fault(line, text),
            },
            "DTEND" => match value::start(line, zone) {
                Ok(read) => end = Some((line, read)),
                Err(text) => fault(line, text),
            },
            "DURATION" => match value::duration(&line.value) {
                Ok(read) => duration = Some((line, read)),
                Err(text) => fault(line, text),
            },
            "RRULE" if rule.is_some() => fault(line, "a second RRULE; write two events".into()),
            "RRULE" => rule = Some(line),
            "EXDATE" => match value::starts(line, zone) {
                Ok(read) => except.extend(read),
                Err(text) => fault(line, text),
            },
            "RECURRENCE-ID" if line.parameter("RANGE").is_some() => {
                fault(line, "RECURRENCE-ID with RANGE is not read; write a second series".into());
            }
            "RECURRENCE-ID" => match value::start(line, zone) {
                Ok(read) => instead_of = Some(read),
                Err(text) => fault(line, text),
            },
            "RDATE" | "EXRULE" => fault(line, format!("{} is not read; write single events", line.name)),
            "UID" => uid = line.value.clone(),
            "SUMMARY" => summary = value::text(&line.value).trim().to_string(),
            "ATTENDEE" => attendees.push(value::attendee(line)),
            "STATUS" => cancelled = line.value.eq_ignore_ascii_case("CANCELLED"),
            _ => {}
        }
    }
    let mut missing = |text: &str| faults.push(CalendarFault { line: number, text: text.to_string() });
    // a person invited to the event is plainer than its title; several are a meeting
    let who = match attendees.as_slice() {
        [only] => only.clone(),
        _ => summary,
    };
    if who.is_empty() && !cancelled {
        missing("the event names nobody; put a person's id, name or address into SUMMARY, or invite one");
    }
    let Some(start) = start else {
        if faults.len() == before {
            faults.push(CalendarFault { line: number, text: "the event has no DTSTART".into() });
        }
        return None;
    };
    let length = match (end, duration) {
        (Some((line, end)), _) => Length::between(start, end, zone).map_err(|text| faults.push(line.fault(text))).ok(),
        (None, Some((line, length))) => length.fits(start).map_err(|text| faults.push(line.fault(text))).ok(),
        (None, None) if matches!(start, Start::Day(_)) => Some(Length::DAY),
        (None, None) if cancelled => Some(Length::DAY),
        (None, None) => {
            let text = "the event has neither DTEND nor DURATION: the shift would end at once".to_string();
            faults.push(CalendarFault { line: number, text });
            None
        }
    };
    let repeat = match rule {
        None => None,
        Some(line) if instead_of.is_some() => {
            faults.push(line.fault("RRULE beside RECURRENCE-ID: one occurrence does not repeat".into()));
            None
        }
        Some(line) => Repeat::read(&line.value, start, zone).map_err(|text| faults.push(line.fault(text))).ok(),
    };
    let read = Event { line: number, uid, start, length: length?, repeat, except, instead_of, cancelled, who };
    (faults.len() == before).then_some(read)
}
