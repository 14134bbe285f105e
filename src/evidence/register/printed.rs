//! The register as a document to print and to keep: one section a breach, its duties in a table, the numbers at the end.

use super::statistics::{OnTime, Spread, Statistics};
use super::{Breach, Owed, Scope};
use crate::evidence::report::document::{Block, Blocks, Cell, Document, Figure, Line, cell};

/// The blocks, in the order of `breaches`. The same arguments give the same document.
pub fn document(scope: &Scope, breaches: &[Breach], statistics: &Statistics) -> Document {
    let period = match (&scope.from, &scope.until) {
        (None, None) => "of all breaches".to_string(),
        (Some(from), None) => format!("of breaches known from {from} on"),
        (None, Some(until)) => format!("of breaches known until {until}"),
        (Some(from), Some(until)) => format!("of breaches known from {from} until {until}"),
    };
    let narrowed = [("entity", &scope.entity), ("status", &scope.status)];
    let narrowed = narrowed.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_deref()?)));
    let about = std::iter::once(period).chain(narrowed).collect::<Vec<_>>().join(", ");
    let mut blocks = Blocks::default();
    if breaches.is_empty() {
        blocks.text("No breach of this period is on record.");
    }
    for breach in breaches {
        blocks.section(&format!("{}: {}", breach.id, breach.title));
        blocks.list.push(Block::Pairs { rows: pairs(breach) });
        if breach.obligations.is_empty() {
            blocks.aside("No notice is owed on what is known.");
        } else {
            let heads = ["Notice", "To", "Due", "Done", "Came out"];
            blocks.rows(&heads, breach.obligations.iter().map(owed).collect(), false);
        }
    }
    blocks.section("In numbers");
    let heads = ["Place", "On time", "Late", "Missed", "Decided against", "To notify: median, nine of ten"];
    let all = numbers("all", &statistics.on_time, statistics.not_notified, &statistics.time_to_notify);
    let places = statistics
        .by_jurisdiction
        .iter()
        .map(|p| numbers(&p.jurisdiction, &p.on_time, p.not_notified, &p.time_to_notify));
    blocks.rows(&heads, std::iter::once(all).chain(places).collect(), false);
    blocks.aside(
        "On time: done before the legal limit. Missed: the limit has passed, and nobody has recorded that it was done. \
         Instants are UTC.",
    );
    Document {
        lang: "en".into(),
        title: "Register of breaches".into(),
        basis: String::new(),
        about,
        made: vec![scope.origin.clone(), format!("made {} by {}", scope.made_at, scope.made_by)],
        made_at: scope.made_at.clone(),
        reference: format!("{} {}", scope.origin, scope.made_at),
        figures: figures(statistics),
        blocks: blocks.list,
        generator: concat!("breachclock ", env!("CARGO_PKG_VERSION")).into(),
        page_word: "page".into(),
        boxes: String::new(),
    }
}

fn figures(of: &Statistics) -> Vec<Figure> {
    let figure = |label: &str, value: String, note: String| Figure { label: label.into(), value, note };
    vec![
        figure("breaches", of.breaches.to_string(), format!("{} open", of.open)),
        figure("on time", rate(&of.on_time), format!("{} of {} notices", of.on_time.on_time, of.on_time.obligations)),
        figure("time to know", median(&of.time_to_know), format!("median of {}", of.time_to_know.n)),
        figure("time to decide", median(&of.time_to_decide), format!("median of {}", of.time_to_decide.n)),
        figure("time to notify", median(&of.time_to_notify), format!("median of {}", of.time_to_notify.n)),
    ]
}

fn pairs(breach: &Breach) -> Vec<(String, Cell)> {
    let (facts, effects) = (&breach.facts, &breach.effects);
    let joined = |parts: &[(&str, &str)]| -> String {
        let said = parts.iter().filter(|(_, text)| !text.is_empty());
        said.map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join("; ")
    };
    let instant = |at: &Option<String>| at.clone().unwrap_or_default();
    let known = format!("{} ({} by the entity's clock)", breach.known_at, breach.known_on);
    let status = joined(&[("", breach.status), ("closed", &instant(&breach.closed_at))]);
    let rows = [
        ("Entity", breach.entity.clone()),
        ("Status", status.trim().to_string()),
        ("Known", known),
        ("Reported", format!("{} by {}", breach.reported_at, breach.reported_by)),
        ("Occurred", joined(&[("from", &instant(&facts.occurred_from)), ("until", &instant(&facts.occurred_until))])),
        ("Facts", facts.description.clone()),
        (
            "Data",
            joined(&[
                ("personal data:", facts.personal_data),
                ("kinds:", &facts.kinds),
                ("data:", &facts.data),
                ("special categories:", facts.special_categories),
                ("encrypted:", facts.encrypted),
            ]),
        ),
        ("Persons", joined(&[("in all", &facts.affected), ("by residence:", &facts.affected_by_place)])),
        ("Effects", effects.description.clone()),
        (
            "Risk",
            joined(&[
                ("to persons:", &effects.risk),
                ("service disrupted:", effects.service_disrupted),
                ("across borders:", effects.cross_border),
            ]),
        ),
        ("Remedial action", breach.remedial_action.clone()),
        ("Contained", instant(&breach.contained_at)),
    ];
    rows.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.to_string(), cell(text))).collect()
}

fn owed(owed: &Owed) -> Vec<Cell> {
    let mut duty = cell(&owed.duty);
    duty.push(Line::faint(&owed.citation));
    let mut to = cell(&owed.recipient);
    to.push(Line::faint(&owed.jurisdiction));
    let due = cell(owed.due.as_deref().unwrap_or("no number in the law"));
    let mut done = Cell::new();
    if let Some(at) = &owed.filed_at {
        done.push(Line::plain(at));
        let by = [owed.filed_by.as_str(), owed.reference.as_str()];
        done.push(Line::faint(by.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")));
    }
    let mut came_out = cell(if owed.outcome.is_empty() { owed.standing } else { owed.outcome });
    if !owed.delay_reasons.is_empty() {
        came_out.push(Line::faint(format!("late because: {}", owed.delay_reasons)));
    }
    if let Some(no) = &owed.not_notified {
        came_out.push(Line::faint(format!("not notified ({}): {}; {}, {}", no.state, no.reason, no.by, no.at)));
        if !no.second_approver.is_empty() {
            let when = no.approved_at.as_deref().unwrap_or("not yet");
            came_out.push(Line::faint(format!("second approver {}: {when}", no.second_approver)));
        }
        if !no.review_on.is_empty() {
            came_out.push(Line::faint(format!("to be looked at again on {}", no.review_on)));
        }
    }
    vec![duty, to, due, done, came_out]
}

fn numbers(place: &str, on_time: &OnTime, against: u64, notify: &Spread) -> Vec<Cell> {
    let mut first = cell(format!("{} of {}", on_time.on_time, on_time.obligations));
    first.push(Line::faint(rate(on_time)));
    let spread = format!("{}, {} (n {})", hours(notify.median_seconds), hours(notify.p90_seconds), notify.n);
    vec![
        cell(place),
        first,
        cell(on_time.late.to_string()),
        cell(on_time.missed.to_string()),
        cell(against.to_string()),
        cell(spread),
    ]
}

fn rate(of: &OnTime) -> String {
    of.rate.map_or_else(|| "–".to_string(), |rate| format!("{:.1} %", rate * 100.0))
}

fn median(of: &Spread) -> String {
    hours(of.median_seconds)
}

fn hours(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "–".to_string(), |seconds| format!("{:.1} h", seconds as f64 / 3600.0))
}
