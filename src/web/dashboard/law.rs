//! `/law`: what the rule packs in force cover, and one duty with its text, its periods and worked cases.

use super::law_map::{self, Cover, Region};
use super::words::fact_value;
use super::{Frame, error_page, frame, reader_zone, show as show_template};
use crate::rules::{DutyListing, PeriodListing, Rulebook, RulebookName};
use crate::store::Store;
use crate::time::Zone;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::Problem;
use crate::web::query::{Params, encode};
use crate::workflow::worked::{WorkedCase, worked};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;

/// Duties a page shows at most.
const MOST: usize = 200;
/// Worked cases of one duty.
const CASES: usize = 12;

/// A duty in a list.
pub struct DutyLine {
    pub id: String,
    pub title: String,
    pub place: String,
    pub citation: String,
    pub law: String,
    pub period: String,
    pub status: &'static str,
    pub confidence: &'static str,
}

#[derive(Default)]
struct Asked {
    text: String,
    place: String,
    role: String,
    instrument: String,
}

impl Asked {
    fn is_empty(&self) -> bool {
        [&self.text, &self.place, &self.role, &self.instrument].iter().all(|part| part.is_empty())
    }

    fn takes(&self, duty: &DutyListing, places: &[&str]) -> bool {
        let words = self.text.to_lowercase();
        let text = [&duty.id, &duty.title, &duty.law, &duty.citation, &duty.recipient_name];
        let says = |word: &str| text.iter().any(|part| part.to_lowercase().contains(word));
        words.split_whitespace().all(says)
            && (self.place.is_empty() || places.contains(&duty.jurisdiction.as_str()))
            && (self.role.is_empty() || duty.roles.is_empty() || duty.roles.contains(&self.role))
            && (self.instrument.is_empty() || pack_of(duty) == self.instrument)
    }
}

/// `eu/gdpr` of `eu/gdpr@2026-11-23`.
fn pack_of(duty: &DutyListing) -> &str {
    duty.pack.split('@').next().unwrap_or(&duty.pack)
}

#[derive(Template)]
#[template(path = "law.html")]
struct LawPage {
    frame: Frame,
    rulebook: RulebookName,
    regions: Vec<Region>,
    covers: Vec<Cover>,
    asked: Asked,
    /// `None` when nothing is looked for.
    found: Option<Vec<DutyLine>>,
    /// Of what the place lies in, and which these are.
    wider: Vec<DutyLine>,
    unions: Vec<String>,
    is_cut: bool,
    heading: String,
    cover: Option<Cover>,
    duties: usize,
    places: Vec<(String, String)>,
    roles: Vec<String>,
    instruments: Vec<(String, String)>,
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, params: Params) -> Response {
    let book = web.house.book();
    let text = |name: &str| params.get(name).unwrap_or_default().chars().take(100).collect::<String>();
    let asked = Asked { text: text("q"), place: text("place"), role: text("role"), instrument: text("instrument") };
    let all = book.listing(|d| d.status != crate::law::DutyStatus::NoDuty).duties;
    let around: Vec<&str> = std::iter::once(asked.place.as_str()).chain(book.places().around(&asked.place)).collect();
    let mut matching: Vec<&DutyListing> = all.iter().filter(|duty| asked.takes(duty, &around)).collect();
    // its own law first, then that of the unions it is in
    matching.sort_by_key(|d| (d.jurisdiction != asked.place, d.jurisdiction.clone(), d.citation.clone()));
    let is_own = |d: &DutyListing| asked.place.is_empty() || d.jurisdiction == asked.place;
    let is_cut = matching.iter().filter(|d| is_own(d)).count() > MOST;
    let lines =
        |own: bool| matching.iter().filter(|d| is_own(d) == own).take(MOST).map(|d| line(d)).collect::<Vec<_>>();
    let found = (!asked.is_empty()).then(|| lines(true));
    let wider = if asked.is_empty() { Vec::new() } else { lines(false) };
    let mut unions: Vec<String> = wider.iter().map(|d: &DutyLine| d.place.clone()).collect();
    unions.dedup();
    let regions = law_map::draw(&book);
    let all_lines = || regions.iter().flat_map(|r| &r.lines);
    let mut places: Vec<(String, String)> = all_lines().map(|l| (l.code.clone(), l.name.clone())).collect();
    places.sort_by(|a, b| a.1.cmp(&b.1));
    let mut roles: Vec<String> = all.iter().flat_map(|d| d.roles.iter().cloned()).collect();
    roles.sort();
    roles.dedup();
    let mut instruments: Vec<(String, String)> =
        book.packs().iter().map(|p| (p.id.clone(), format!("{}, {}", p.jurisdiction, p.title))).collect();
    instruments.sort_by(|a, b| a.1.cmp(&b.1));
    let here = all_lines().find(|l| l.code == asked.place);
    let page = LawPage {
        frame: frame(&web, &caller, "law").await,
        rulebook: book.name(),
        covers: Cover::ALL.to_vec(),
        heading: here.map_or("Duties".to_string(), |l| l.name.clone()),
        cover: here.map(|l| l.cover),
        found,
        wider,
        unions,
        is_cut,
        duties: all.len(),
        places,
        roles,
        instruments,
        asked,
        regions,
    };
    show_template(&page)
}

fn line(duty: &DutyListing) -> DutyLine {
    DutyLine {
        id: duty.id.clone(),
        title: duty.title.clone(),
        place: duty.jurisdiction.clone(),
        citation: duty.citation.clone(),
        law: duty.law.clone(),
        period: now_in_words(duty),
        status: duty.status,
        confidence: confidence(duty.confidence),
    }
}

/// Low confidence is said as what it means.
fn confidence(word: &'static str) -> &'static str {
    if word == "low" { "not verified" } else { word }
}

/// The period of the last text that has no end.
fn now_in_words(duty: &DutyListing) -> String {
    let open: Vec<&PeriodListing> = duty.periods.iter().filter(|p| p.until.is_none()).collect();
    let mut words: Vec<String> = open.iter().map(|p| in_words(p)).collect();
    words.dedup();
    if words.is_empty() { "no period in force".to_string() } else { words.join(" or ") }
}

fn in_words(period: &PeriodListing) -> String {
    let amount = match (period.n, period.unit) {
        (Some(n), Some(unit)) => format!("{n} {}{}", unit.replace('_', " "), if n == 1 { "" } else { "s" }),
        _ => String::new(),
    };
    match (amount.is_empty(), period.promptly.as_deref()) {
        (true, Some(norm)) => norm.to_string(),
        (true, None) => "no number".to_string(),
        (false, _) => amount,
    }
}

/// One dated text of a duty.
pub struct TextLine {
    pub from: String,
    pub until: String,
    pub period: String,
    pub norm: String,
    /// How it is counted, and the provision that says so.
    pub counted: String,
    pub when: String,
}

/// A worked case, as the rulebook in force computes it.
pub struct CaseLine {
    pub name: String,
    pub why: String,
    pub now: String,
    pub facts: Vec<(String, String)>,
    pub result: String,
    pub place: String,
}

#[derive(Template)]
#[template(path = "duty.html")]
struct DutyPage {
    frame: Frame,
    rulebook: RulebookName,
    duty: DutyListing,
    source_url: String,
    place: String,
    confidence: &'static str,
    period: String,
    texts: Vec<TextLine>,
    /// Name, text; a duty's id where it leads to one.
    details: Vec<(&'static str, String)>,
    links: Vec<(&'static str, Vec<String>)>,
    /// The questions of the facts it asks for.
    asks: Vec<(String, String)>,
    cases: Vec<CaseLine>,
    pack_title: String,
}

pub async fn duty<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, Id(id): Id) -> Response {
    let book = web.house.book();
    let found = book.listing(|d| d.id.0 == id).duties.into_iter().next();
    let Some(duty) = found else {
        let hint = crate::rules::did_you_mean(&book.nearest_duties(&id));
        let problem = Problem::not_found(format!("no rule pack has the duty `{id}`{hint}"));
        return error_page(&problem, web.now());
    };
    let zone = reader_zone(&web);
    let cases = worked(&book, &id, CASES).into_iter().map(|case| case_line(case, zone)).collect();
    let pack_title = book.packs().iter().find(|p| p.id == pack_of(&duty)).map_or("", |p| p.title.as_str()).to_string();
    show_template(&DutyPage {
        frame: frame(&web, &caller, "law").await,
        rulebook: book.name(),
        source_url: super::obligation::web_address(&duty.source_url),
        place: book.places().get(&duty.jurisdiction).map_or(duty.jurisdiction.clone(), |p| p.name.clone()),
        confidence: confidence(duty.confidence),
        period: now_in_words(&duty),
        texts: duty.periods.iter().map(|p| text_line(&book, p)).collect(),
        details: details(&duty),
        links: links(&duty),
        asks: asks(&book, &duty),
        cases,
        pack_title,
        duty,
    })
}

fn text_line(book: &Rulebook, period: &PeriodListing) -> TextLine {
    let record = period.convention.as_deref().and_then(|id| book.conventions().iter().find(|c| c.id == id));
    let until = match (&period.until, period.undated) {
        (Some(day), _) => day.clone(),
        (None, true) => "no date fixed".to_string(),
        (None, false) => "in force".to_string(),
    };
    TextLine {
        from: period.from.clone().unwrap_or_else(|| "the beginning".to_string()),
        until,
        period: in_words(period),
        norm: period.promptly.clone().filter(|_| period.n.is_some()).unwrap_or_default(),
        counted: record.map_or(String::new(), |c| format!("{} ({})", c.title, c.citation)),
        when: period.when.clone().unwrap_or_default(),
    }
}

fn details(duty: &DutyListing) -> Vec<(&'static str, String)> {
    let days = |days: Option<u32>| days.map(|days| format!("{days} days")).unwrap_or_default();
    let least = if duty.min_affected > 0 { format!("{} people", duty.min_affected) } else { String::new() };
    let starts = duty.starts.clone();
    [
        ("Who", duty.roles.join(", ")),
        ("Recipient", format!("{} ({})", duty.recipient_name, duty.recipient)),
        ("Stage", duty.stage.to_string()),
        ("Starts", starts),
        ("Earliest reading starts", duty.conservative_starts.clone().unwrap_or_default()),
        ("Stays open while", duty.open_while.clone().unwrap_or_default()),
        ("From how many people", least),
        ("Whom it reaches", duty.reach.to_string()),
        ("Order", duty.relative.clone().unwrap_or_default()),
        ("Delay", duty.delay.clone()),
        ("Hold", duty.hold.to_string()),
        ("Oral hold at most", days(duty.oral_hold_days)),
        ("Written hold at most", days(duty.written_hold_days)),
        ("After a hold", duty.after_hold.clone().unwrap_or_default()),
        ("Binding", duty.binding.to_string()),
        ("Basis", duty.basis.clone()),
        ("Reviewed", duty.reviewed.clone().unwrap_or_else(|| "never".into())),
        ("No address because", duty.no_url.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

fn links(duty: &DutyListing) -> Vec<(&'static str, Vec<String>)> {
    let ids = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        text.split('|').map(str::trim).filter(|id| !id.is_empty()).map(str::to_string).collect::<Vec<_>>()
    };
    let others = duty.combines.iter().filter(|id| **id != duty.id).cloned().collect::<Vec<_>>();
    [
        ("Follows", ids(&duty.depends_on)),
        ("One filing with", others),
        ("Stands in place of", ids(&duty.replaces)),
        ("A delay is told by", ids(&duty.delay_notice)),
    ]
    .into_iter()
    .filter(|(_, ids)| !ids.is_empty())
    .collect()
}

/// The facts whose keys stand in the condition, with their questions.
fn asks(book: &Rulebook, duty: &DutyListing) -> Vec<(String, String)> {
    let text = format!("{} {} {}", duty.when, duty.unless, duty.starts);
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut keys: Vec<&str> =
        text.split(|c: char| !is_part(c)).filter(|word| book.catalogue().get(word).is_some()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(|key| (key.to_string(), book.catalogue().question(key))).collect()
}

fn case_line(case: WorkedCase, zone: Zone) -> CaseLine {
    let when = |text: &Option<String>| text.as_deref().map(|t| super::words::When::text(t, zone).label);
    let result = match (when(&case.conservative_due), when(&case.due)) {
        (Some(careful), Some(due)) if careful != due => {
            format!("{}: act before {careful}, legal limit {due}", case.standing)
        }
        (Some(careful), _) => format!("{}: before {careful}", case.standing),
        _ => case.standing.to_string(),
    };
    CaseLine {
        name: case.name,
        why: case.why,
        now: super::words::When::text(&case.now, zone).label,
        facts: case.facts.iter().map(|(key, value)| (key.clone(), fact_value(value, zone))).collect(),
        result,
        place: case.place,
    }
}

/// Address of a duty's page.
pub fn duty_address(id: &str) -> String {
    format!("/law/{}", encode(id))
}
