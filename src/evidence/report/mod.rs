//! The bundle for people: a model of what the report says, the report as blocks in one of three languages, and
//! `report.html`; the printed form is made of the same blocks.
//!
//! Absent: wording of law. The model's texts come finished from the caller.

pub mod document;
mod html;
mod picture;
mod print;
mod words;

pub use html::html;
pub use print::pdf;
pub use words::Words;

use super::{Checkpoint, Timestamp, utc_micros};
use crate::time::{GridDay, Zone};
use document::{Blocks, Cell, Document, Figure, Line, cell};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the report says besides the entries. Empty parts are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportModel {
    /// Of the frame text; see [`Words::codes`].
    pub words: Words,
    pub title: String,
    /// The incident's number or id.
    pub reference: String,
    /// E.g. `Documentation under Article 33(5) GDPR`.
    pub basis: String,
    /// Who reports, and the contact point.
    pub controller: String,
    pub contact: String,
    /// `authority`, `client` or `internal`.
    pub profile: String,
    pub made_by: String,
    pub made_at: Timestamp,
    /// Local times of what we did are of this zone; limits are of their own.
    pub zone: Zone,
    pub opened_at: Timestamp,
    pub opened_by: String,
    /// Versions of the rule packs and of the zone data.
    pub packs: String,
    pub zones: String,
    /// Words for an entry, by its number in the stream.
    pub timeline: BTreeMap<u64, EntryWords>,
    pub obligations: Vec<ObligationRow>,
    pub facts: Vec<FactRow>,
    pub messages: Vec<EventRow>,
    pub acknowledgements: Vec<EventRow>,
    pub filings: Vec<EventRow>,
}

/// An entry in words: when, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryWords {
    pub at: Timestamp,
    pub what: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObligationRow {
    /// Recipient, and what it is owed.
    pub name: String,
    pub citation: String,
    pub source_url: String,
    /// The interface's word for it, e.g. `running`.
    pub standing: String,
    /// Of the limit.
    pub zone: Zone,
    pub limit: Option<LimitRow>,
    pub filed: Option<Timestamp>,
    pub steps: Vec<StepRow>,
}

/// A limit that could be computed, and how it was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRow {
    pub from: Timestamp,
    /// First instant at which it is too late.
    pub due: Timestamp,
    /// Earliest defensible reading.
    pub conservative_due: Timestamp,
    /// The count by local day; empty when it has no picture.
    pub grid: Vec<GridDay>,
    /// Whether the grid counts hours.
    pub by_hours: bool,
}

/// One step of a derivation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepRow {
    pub text: String,
    pub result: String,
    pub citation: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactRow {
    pub name: String,
    /// `None` for one that is known to be unknown.
    pub value: Option<String>,
    pub certainty: String,
    pub asserted_by: String,
    pub asserted_at: Timestamp,
}

/// A message, an acknowledgement or a filing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    pub at: Timestamp,
    /// To or by whom.
    pub who: String,
    pub what: String,
    /// The step of the policy, of a message.
    pub step: Option<String>,
    pub outcome: Outcome,
}

/// How an event ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Words(String),
    /// An acknowledgement holds until then.
    Until(Timestamp),
}

/// How many personal-data fields the bundle shows and does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub disclosed: usize,
    pub erased: usize,
    pub withheld: usize,
}

/// What others say of the entries.
pub(super) struct Stamped {
    /// Whether there is an outside time stamp.
    pub any: bool,
    pub configured: bool,
    /// One line on them.
    pub summary: String,
    /// Names of those who cosigned the checkpoint, with the time.
    pub witnesses: Vec<String>,
}

pub(super) struct EntryLine<'a> {
    pub n: u64,
    pub idx: u64,
    pub ts: &'a str,
    pub kind: &'a str,
    pub sha256: &'a str,
}

/// What the report says of the bundle itself.
pub(super) struct Frame<'a> {
    pub entries: &'a [EntryLine<'a>],
    /// What `incident.reported` and this export's entry say of the clock.
    pub clock: [&'a Value; 2],
    pub counts: Counts,
    pub stamped: Stamped,
    pub checkpoint: &'a Checkpoint,
    pub exporter: &'a str,
    pub product: &'a str,
}

/// The report as blocks in reading order.
pub(super) fn document(model: &ReportModel, frame: &Frame<'_>) -> Document {
    let w = model.words;
    let mut blocks = Blocks::default();
    blocks.section(w.get("what_happened"));
    blocks.text(w.fill(
        "summary",
        &[
            ("when", &w.moment(model.opened_at, model.zone)),
            ("name", &model.opened_by),
            ("packs", &model.packs),
            ("zones", &model.zones),
        ],
    ));
    timeline(&mut blocks, model, frame);
    obligations(&mut blocks, model);
    derivations(&mut blocks, model);
    let facts = model.facts.iter().map(|fact| {
        let value = fact.value.clone().unwrap_or_else(|| w.get("unknown").to_string());
        let asserted = vec![Line::plain(&fact.asserted_by), faint_moment(model, fact.asserted_at)];
        vec![cell(&fact.name), cell(value), cell(w.word("certainty", &fact.certainty)), asserted]
    });
    let heads = [w.get("fact"), w.get("value"), w.get("certainty"), w.get("who_when")];
    blocks.table(w.get("facts"), &heads, facts.collect());
    events(&mut blocks, model, "messages", "to", &model.messages);
    events(&mut blocks, model, "acknowledgements", "by", &model.acknowledgements);
    events(&mut blocks, model, "filings", "by", &model.filings);
    disclosure(&mut blocks, model, frame);
    entries(&mut blocks, model, frame);
    check(&mut blocks, model, frame);
    let named = |name: &str, value: &str| match value.is_empty() {
        true => None,
        false => Some(w.fill(name, &[("name", value)])),
    };
    let about = [
        Some(model.reference.clone()).filter(|reference| !reference.is_empty()),
        named("reported_by", &model.controller),
        named("contact", &model.contact),
    ];
    let made = [
        named("addressee", &w.fill("profile", &[("profile", &model.profile)])),
        Some(w.fill("made", &[("when", &w.moment(model.made_at, model.zone))])),
        named("made_by", &model.made_by),
    ];
    Document {
        lang: w.code.to_string(),
        title: model.title.clone(),
        basis: model.basis.clone(),
        about: about.into_iter().flatten().collect::<Vec<_>>().join(". "),
        made: made.into_iter().flatten().collect(),
        made_at: instant(model.made_at),
        reference: model.reference.clone(),
        figures: figures(model, frame),
        blocks: blocks.list,
        generator: frame.product.to_string(),
        page_word: w.get("page").to_string(),
        boxes: w.get("boxes").to_string(),
    }
}

fn figures(model: &ReportModel, frame: &Frame<'_>) -> Vec<Figure> {
    let w = model.words;
    let standing = |wanted: &str| model.obligations.iter().filter(|o| o.standing == wanted).count();
    let figure = |name: &str, n: usize| Figure { label: w.get(name).into(), value: n.to_string(), note: String::new() };
    vec![
        figure("running", standing("running")),
        figure("given", standing("discharged")),
        figure("asserted", model.facts.len()),
        figure("messages_count", model.messages.len()),
        Figure {
            label: w.get("hidden").into(),
            value: w.fill("hidden_value", &[("n", &frame.counts.withheld.to_string())]),
            note: w.fill("hidden_note", &[("n", &frame.counts.erased.to_string())]),
        },
    ]
}

fn timeline(blocks: &mut Blocks, model: &ReportModel, frame: &Frame<'_>) {
    let w = model.words;
    let shown = picture::Timeline {
        facts: model.facts.iter().map(|fact| fact.asserted_at).collect(),
        clocks: model.obligations.iter().filter_map(clock).collect(),
        filings: model.filings.iter().map(|event| event.at).collect(),
        messages: model.messages.iter().map(|event| event.at).collect(),
    };
    blocks.section(w.get("timeline"));
    if let Some((svg, alt)) = picture::timeline(&shown, model.made_at, model.zone, &w) {
        blocks.heading(w.get("picture"));
        blocks.list.push(document::Block::Picture { svg, alt });
        blocks.aside(w.get("bend"));
    }
    let rows = frame.entries.iter().map(|entry| {
        let words = model.timeline.get(&entry.n);
        let at = Line { at: Some(entry.ts.to_string()), ..Line::plain(seconds(entry.ts)) };
        let local = words.map(|words| w.moment(words.at, model.zone)).unwrap_or_default();
        let what = words.map(|words| words.what.clone()).unwrap_or_default();
        let what = vec![Line::plain(what), Line::faint(entry.kind)];
        let local = Line { at: Some(entry.ts.to_string()), ..Line::plain(local) };
        vec![vec![at], vec![local], what.into_iter().filter(|line| !line.text.is_empty()).collect()]
    });
    blocks.rows(&[w.get("utc"), w.get("local"), w.get("recorded")], rows.collect(), false);
    blocks.aside(w.fill("zone_note", &[("zone", model.zone.name())]));
}

fn clock(row: &ObligationRow) -> Option<picture::Clock> {
    let limit = row.limit.as_ref()?;
    Some(picture::Clock {
        // a lane is narrow: whom it is owed tells more than what
        name: row.name.split_once(": ").map_or(row.name.as_str(), |(_, recipient)| recipient).to_string(),
        from: limit.from,
        due: limit.due,
        conservative: limit.conservative_due,
        filed: row.filed,
        possible: row.standing == "possible",
    })
}

fn obligations(blocks: &mut Blocks, model: &ReportModel) {
    let w = model.words;
    let rows = model.obligations.iter().map(|row| {
        let limit = match &row.limit {
            None => cell(w.get("without_number")),
            Some(limit) => {
                let early = w.limit(limit.conservative_due, row.zone);
                vec![
                    Line { at: Some(instant(limit.due)), ..Line::plain(w.limit(limit.due, row.zone)) },
                    Line::faint(utc(limit.due)),
                    Line::faint(w.fill("earliest", &[("when", &early)])),
                ]
            }
        };
        let standing = w.word("standing", &row.standing);
        let filed = row.filed.map_or_else(|| cell(standing), |at| moment_in(model, at, row.zone));
        let difference = match (&row.limit, row.filed) {
            (Some(limit), Some(at)) => difference(w, limit.due, at),
            _ => String::new(),
        };
        vec![vec![Line::plain(&row.name), Line::faint(&row.citation)], limit, filed, cell(difference)]
    });
    let heads = [w.get("recipient"), w.get("limit"), w.get("filed"), w.get("difference")];
    blocks.table(w.get("obligations"), &heads, rows.collect());
}

fn derivations(blocks: &mut Blocks, model: &ReportModel) {
    let w = model.words;
    let rows: Vec<&ObligationRow> = model.obligations.iter().filter(|row| !row.steps.is_empty()).collect();
    if rows.is_empty() {
        return;
    }
    blocks.section(w.get("how"));
    for row in rows {
        blocks.heading(&row.name);
        let source = if row.source_url.is_empty() { String::new() } else { format!(", {}", row.source_url) };
        blocks.aside(format!("{}{source}", row.citation));
        let strip = row.limit.as_ref().and_then(|limit| picture::strip(&limit.grid, limit.by_hours, &w));
        if let Some((svg, alt)) = strip {
            blocks.list.push(document::Block::Picture { svg, alt });
        }
        let steps = row.steps.iter().map(|s| vec![cell(&s.text), cell(&s.result), cell(&s.citation)]);
        blocks.rows(&[w.get("step"), w.get("result"), w.get("source")], steps.collect(), false);
    }
}

fn events(blocks: &mut Blocks, model: &ReportModel, title: &str, who: &str, rows: &[EventRow]) {
    let w = model.words;
    let rows = rows.iter().map(|row| {
        let what = match &row.step {
            Some(step) => w.fill("message_step", &[("event", &row.what), ("step", step)]),
            None => row.what.clone(),
        };
        let outcome = match &row.outcome {
            Outcome::Words(words) => words.clone(),
            Outcome::Until(at) => w.fill("until", &[("when", &w.moment(*at, model.zone))]),
        };
        vec![moment_in(model, row.at, model.zone), cell(&row.who), cell(what), cell(outcome)]
    });
    blocks.table(w.get(title), &[w.get("when"), w.get(who), w.get("what"), w.get("outcome")], rows.collect());
}

fn disclosure(blocks: &mut Blocks, model: &ReportModel, frame: &Frame<'_>) {
    let Counts { disclosed, erased, withheld } = frame.counts;
    blocks.section(model.words.get("shown"));
    let [disclosed, erased, withheld] = [disclosed, erased, withheld].map(|n| n.to_string());
    let gaps = [("disclosed", disclosed.as_str()), ("erased", &erased), ("withheld", &withheld)];
    blocks.text(model.words.fill("shown_text", &gaps));
}

fn entries(blocks: &mut Blocks, model: &ReportModel, frame: &Frame<'_>) {
    let w = model.words;
    blocks.section(w.get("entries"));
    blocks.aside(w.fill("entries_text", &[("n", &frame.entries.len().to_string())]));
    if frame.clock.iter().any(|clk| clk.is_object()) {
        let [reported, exported] = frame.clock.map(|clk| clock_words(w, clk));
        blocks.aside(w.fill("clock_text", &[("reported", &reported), ("exported", &exported)]));
    }
    let rows = frame.entries.iter().map(|entry| {
        let numbers = [entry.n, entry.idx].map(|n| cell(n.to_string()));
        let [n, idx] = numbers;
        vec![n, idx, cell(seconds(entry.ts)), cell(entry.kind), vec![Line::hash(entry.sha256)]]
    });
    let heads = [w.get("number"), w.get("in_log"), w.get("utc"), w.get("entry"), w.get("entry_hash")];
    blocks.rows(&heads, rows.collect(), true);
}

/// A `clk` block in words.
fn clock_words(w: Words, clk: &Value) -> String {
    let source = clk["source"].as_str().unwrap_or_default();
    match (clk["sync"].as_str(), clk["error_us"].as_u64()) {
        (Some("synchronised"), Some(micros)) => {
            let error = format!("{} ms", micros.div_ceil(1000));
            w.fill("clock_within", &[("error", &error), ("source", source)])
        }
        (Some("synchronised"), None) => w.fill("clock_synchronised", &[("source", source)]),
        (Some("unsynchronised"), _) => w.fill("clock_unsynchronised", &[("source", source)]),
        (Some(_), _) => w.get("clock_unknown").to_string(),
        (None, _) => w.get("clock_unrecorded").to_string(),
    }
}

fn check(blocks: &mut Blocks, model: &ReportModel, frame: &Frame<'_>) {
    let w = model.words;
    blocks.section(w.get("check"));
    blocks.text(w.get("check_text"));
    blocks.list.push(document::Block::Code {
        text: format!(
            "sha256sum --strict -c SHA256SUMS\n\
             ssh-keygen -Y verify -f ../check/allowed_signers -I {} -n breachclock-export-v1 -s SHA256SUMS.sig < SHA256SUMS\n\
             sh verify.sh ../check/allowed_signers",
            frame.exporter
        ),
    });
    let checkpoint = frame.checkpoint;
    let stamp = if frame.stamped.configured { &frame.stamped.summary } else { w.get("no_stamp") };
    let root = format!("{}, {}", checkpoint.size, checkpoint.root_base64());
    let mut rows = vec![
        (w.get("log").to_string(), vec![Line::hash(&checkpoint.origin)]),
        (w.get("size_root").to_string(), vec![Line::hash(root)]),
        (w.get("stamp").to_string(), cell(stamp)),
    ];
    if !frame.stamped.witnesses.is_empty() {
        let witnesses = frame.stamped.witnesses.iter().map(Line::plain).collect();
        rows.push((w.get("witnesses").to_string(), witnesses));
    }
    blocks.list.push(document::Block::Pairs { rows });
    blocks.heading(w.get("proven"));
    blocks.text(w.get("proven_text"));
    blocks.heading(w.get("not_proven"));
    blocks.text(w.get(if frame.stamped.any { "not_proven_stamped" } else { "not_proven_text" }));
}

fn moment_in(model: &ReportModel, at: Timestamp, zone: Zone) -> Cell {
    vec![Line { at: Some(instant(at)), ..Line::plain(model.words.moment(at, zone)) }, Line::faint(utc(at))]
}

fn faint_moment(model: &ReportModel, at: Timestamp) -> Line {
    Line::faint(format!("{}; {}", model.words.moment(at, model.zone), utc(at)))
}

fn utc(at: Timestamp) -> String {
    format!("{} UTC", seconds(&utc_micros(at)))
}

/// RFC 3339 to the second.
fn instant(at: Timestamp) -> String {
    format!("{}Z", utc_micros(at).get(..19).unwrap_or_default())
}

fn difference(w: Words, due: Timestamp, filed: Timestamp) -> String {
    let minutes = (due - filed).num_minutes().abs();
    let time = format!("{} h {:02} min", minutes / 60, minutes % 60);
    w.fill(if filed < due { "before" } else { "late" }, &[("time", &time)])
}

/// `2026-03-02T09:20:00.000000Z` without `T`, fraction and `Z`.
fn seconds(ts: &str) -> String {
    ts.get(..19).unwrap_or(ts).replace('T', " ")
}
