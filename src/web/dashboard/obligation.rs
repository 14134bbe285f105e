//! `/obligations/{id}`: the receipt of a date, who has it, and the forms that record what was done.

use super::hours::{self, Hours};
use super::receipt::{self, Dated, Reading, Rung, Step};
use super::row::Row;
use super::state::State;
use super::words::{Limit, When, instant, person};
use super::{FormFault, Frame, May, error_page, form_faults, frame, page_key, reader_zone, see_other};
use crate::draft::{Block, NoticeField, Run, State as FieldState};
use crate::ingest;
use crate::store::Store;
use crate::time::Zone;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::Problem;
use crate::web::multipart::Fields;
use crate::web::obligations::is_date;
use crate::web::query::{Params, encode};
use crate::workflow::{AckRequest, Caller, Drafted, FilingRequest, Trouble, WaiverRequest};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;
use sha2::{Digest, Sha256};

/// A filing on record.
pub struct Filed {
    pub at: When,
    pub by: String,
    pub reference: String,
    pub proof: String,
    pub part: &'static str,
    pub note: String,
}

/// A decision not to notify.
pub struct Waived {
    pub is_pending: bool,
    pub reason: String,
    pub by: String,
    pub at: When,
    pub second: String,
    pub review_on: String,
}

/// Fields of a draft that is shown at once.
const MOST_OPEN: usize = 12;

/// One line of what the notice needs.
struct Check {
    item: String,
    is_present: bool,
    note: String,
}

#[derive(Template)]
#[template(path = "obligation.html")]
struct ObligationPage {
    frame: Frame,
    row: Row,
    law: String,
    source_url: String,
    portal: String,
    recipient: String,
    norm: String,
    dated: Dated,
    hours: Option<Hours>,
    steps: Vec<Step>,
    readings: Vec<Reading>,
    because: Vec<String>,
    details: Vec<(&'static str, String)>,
    notes: String,
    ladder: Vec<Rung>,
    next_reminder: String,
    checks: Vec<Check>,
    present: usize,
    draft: Option<Drafted>,
    /// A long one is closed until somebody asks for it.
    draft_open: bool,
    filings: Vec<Filed>,
    waived: Option<Waived>,
    delays: Vec<(String, String, When)>,
    /// The law wants to hear of a delay before this limit: until when, and which provision says so.
    notice: Option<(Limit, String)>,
    people: Vec<String>,
    leases: Vec<(i64, String)>,
    zone: String,
    civil_now: String,
    key: String,
    may: May,
    is_open: bool,
    done: &'static str,
    faults: Vec<FormFault>,
    kept: Kept,
}

/// What was typed, so that a refused form loses nothing.
#[derive(Default)]
struct Kept {
    at: String,
    reference: String,
    note: String,
    why: String,
    delay: String,
}

#[derive(Default)]
struct Extra {
    done: &'static str,
    faults: Vec<FormFault>,
    kept: Kept,
    /// Of the draft; the closest when empty or unknown.
    form: String,
}

pub async fn show<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    params: Params,
) -> Response {
    let done = match params.get("done") {
        Some("filing") => "The filing is recorded. Clocks that depend on it have started.",
        Some("taken") => "It is recorded that somebody has it. The clock runs until the filing is recorded.",
        Some("declined") => "It is recorded. The next person is told now.",
        Some("waiver") => "The decision is recorded. The clock and the reminders go on until a second person approves.",
        Some("withdrawn") => "The decision is taken back, and that is on record. The clock was never stopped.",
        Some("approved") => "The decision not to notify is approved and on record.",
        Some("delay") => "The reasons are recorded. What is not filed is still due.",
        _ => "",
    };
    let form = params.get("form").unwrap_or_default().to_string();
    render(&web, &caller, &id, Extra { done, form, ..Extra::default() }).await
}

pub async fn acknowledge<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    let decline = fields.get("act") == Some("decline");
    let ask = AckRequest {
        lease_seconds: fields.get("lease").and_then(|s| s.parse().ok()).filter(|s| *s > 0),
        by: fields.get("by").map(str::to_string),
        role: None,
        decline,
    };
    let done = if decline { "declined" } else { "taken" };
    let result = web.house.acknowledge(&caller, &id, ask, fields.get("page"), now).await;
    finish(&web, &caller, &id, result.map(|_| done), &fields).await
}

pub async fn file<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    let ask = match filing(&fields, reader_zone(&web)) {
        Ok(ask) => ask,
        Err(trouble) => return finish(&web, &caller, &id, Err(trouble), &fields).await,
    };
    let result = web.house.file(&caller, &id, ask, fields.get("page"), now).await;
    finish(&web, &caller, &id, result.map(|_| "filing"), &fields).await
}

fn filing(fields: &Fields, zone: Zone) -> Result<FilingRequest, Trouble> {
    let text = |name: &str| fields.get(name).map(str::to_string);
    let at = match fields.get("at") {
        None => None,
        Some(typed) => Some(ingest::instant(typed, Some(zone)).map_err(|text| fault("/at", text))?),
    };
    Ok(FilingRequest {
        at,
        by: text("by"),
        reference: text("reference"),
        proof: fields.file("proof").map(|bytes| Sha256::digest(bytes).into()),
        complete: fields.get("part").map(|p| p == "complete"),
        note: text("note"),
        proof_bytes: fields.file("proof").map(<[u8]>::to_vec),
        documents: Vec::new(),
    })
}

pub async fn waive<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    let text = |name: &str| fields.get(name).map(str::to_string);
    let review_on = text("review");
    if review_on.as_ref().is_some_and(|d| !is_date(d)) {
        let trouble = fault("/review_on", "the day to look again is not a date".to_string());
        return finish(&web, &caller, &id, Err(trouble), &fields).await;
    }
    let ask = WaiverRequest {
        reason: text("why").unwrap_or_default(),
        by: text("by"),
        second_approver: text("second"),
        review_on,
        reopen_when: fields.all("reopen").map(str::to_string).collect(),
        ..WaiverRequest::default()
    };
    let result = web.house.waive(&caller, &id, ask, fields.get("page"), now).await;
    let result = result.map(|view| match view.waiver {
        Some(waiver) if waiver.state == "approved" => "approved",
        _ => "waiver",
    });
    finish(&web, &caller, &id, result, &fields).await
}

/// A decision not to notify is withdrawn, refused, or taken back; from this page or from the queue of decisions.
pub async fn withdraw<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    let reason = fields.get("why").unwrap_or_default();
    let result = web.house.withdraw_decision(&caller, &id, reason, fields.get("page"), now).await;
    finish(&web, &caller, &id, result.map(|_| "withdrawn"), &fields).await
}

pub async fn delay<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    let reason = fields.get("delay").unwrap_or_default();
    let result = web.house.delay(&caller, &id, reason, fields.get("page"), now).await;
    finish(&web, &caller, &id, result.map(|_| "delay"), &fields).await
}

fn fault(pointer: &str, text: String) -> Trouble {
    Trouble::Rejected(vec![ingest::Rejection { pointer: pointer.into(), line: None, text }])
}

/// Back to the page: by a redirect when it is done, with what was typed and why not when it is not.
async fn finish<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    id: &str,
    result: Result<&'static str, Trouble>,
    fields: &Fields,
) -> Response {
    let problem = match result {
        Ok(done) if fields.get("back") == Some("decisions") => return see_other(&format!("/decisions?done={done}")),
        Ok(done) => return see_other(&format!("/obligations/{}?done={done}", encode(id))),
        Err(trouble) => Problem::from(trouble),
    };
    if !matches!(problem.status, 409 | 422) {
        return error_page(&problem, web.now());
    }
    let reason = if fields.get("delay").is_some() { "dl" } else { "wr" };
    let lead = [
        ("/at", "fa"),
        ("/reference", "fr"),
        ("/proof", "fp"),
        ("/review_on", "wd"),
        ("/second_approver", "w2"),
        ("/reason", reason),
    ];
    let text = |name: &str| fields.get(name).unwrap_or_default().to_string();
    let kept = Kept {
        at: text("at"),
        reference: text("reference"),
        note: text("note"),
        why: text("why"),
        delay: text("delay"),
    };
    let mut response =
        render(web, caller, id, Extra { faults: form_faults(&problem, &lead), kept, ..Extra::default() }).await;
    *response.status_mut() = problem.status();
    response
}

async fn render<S: Store>(web: &Shared<S>, caller: &Caller, id: &str, extra: Extra) -> Response {
    let (now, zone) = (web.now(), reader_zone(web));
    let o = match web.house.obligation(caller, id, now).await {
        Ok(o) => o,
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    let draft = draft_of(web, caller, id, &extra.form).await;
    let checks: Vec<Check> = draft.iter().flat_map(|d| &d.checklist).map(check).collect();
    let book = web.house.book();
    let question = o.law.missing.first().map(|key| book.catalogue().question(key));
    let row = Row::of(&o, question.as_deref(), zone, now);
    let grid: Vec<serde_json::Value> = o.law.grid.iter().filter_map(|day| serde_json::to_value(day).ok()).collect();
    let drawn = row.dates.due.zip(row.dates.conservative).and_then(|(due, conservative)| {
        let counting_from = o.law.counting_from.as_deref().and_then(instant).or(row.dates.started)?;
        hours::draw(&grid, hours::Limits { now, counting_from, due, conservative, zone: o.law.zone })
    });
    let filings = o.filings.iter().map(|f| Filed {
        at: When::text(&f.at, zone),
        by: person(&f.by).to_string(),
        reference: f.reference.clone().unwrap_or_default(),
        proof: f.proof_sha256.clone().unwrap_or_default(),
        part: if f.complete { "complete" } else { "the first part" },
        note: f.note.clone().unwrap_or_default(),
    });
    let waived = o.waiver.as_ref().map(|w| Waived {
        is_pending: w.state == "pending",
        reason: w.reason.clone(),
        by: person(&w.by).to_string(),
        at: When::text(&w.at, zone),
        second: w.second_approver.as_deref().map(person).unwrap_or_default().to_string(),
        review_on: w.review_on.clone().unwrap_or_default(),
    });
    let mut page_frame = frame(web, caller, "board").await;
    page_frame.here = format!("/obligations/{}", encode(id));
    let page = ObligationPage {
        frame: page_frame,
        dated: receipt::dated(&o, row.state, row.dates, zone, now),
        hours: drawn,
        steps: receipt::steps(&o, zone),
        readings: receipt::readings(&o),
        because: receipt::reasons(&o),
        details: receipt::details(&o),
        ladder: receipt::ladder(&o, zone, now),
        next_reminder: receipt::next(&o, zone, now),
        filings: filings.collect(),
        waived,
        delays: o
            .delays
            .iter()
            .map(|d| (d.reason.clone(), person(&d.by).to_string(), When::text(&d.at, zone)))
            .collect(),
        notice: o
            .law
            .delay_notice
            .as_ref()
            .filter(|_| row.state.is_open() && o.delays.is_empty())
            .and_then(|notice| Some((notice.before.as_deref().and_then(instant)?, notice.citation.clone())))
            .filter(|(before, _)| now < *before)
            .map(|(before, citation)| (Limit::at(before, o.law.zone), citation)),
        people: web.house.settings.directory.people.iter().map(|p| p.name.clone()).collect(),
        leases: receipt::leases(row.dates, now),
        zone: super::zone_name(zone),
        civil_now: zone.local(now).format("%Y-%m-%dT%H:%M").to_string(),
        key: page_key("o", 0, now),
        may: May::of(caller),
        is_open: row.state.is_open() || row.state == State::Ended,
        law: o.law.law.clone(),
        source_url: web_address(&o.law.source_url),
        portal: o.law.channel.as_ref().and_then(|c| c.url.as_deref()).map(web_address).unwrap_or_default(),
        recipient: o.law.recipient_name.clone(),
        norm: o.law.norm.clone().unwrap_or_default(),
        notes: o.law.notes.clone(),
        present: checks.iter().filter(|c| c.is_present).count(),
        checks,
        draft_open: !extra.form.is_empty() || draft.as_ref().is_some_and(|d| d.notice.of <= MOST_OPEN),
        draft,
        row,
        done: extra.done,
        faults: extra.faults,
        kept: extra.kept,
    };
    super::show(&page)
}

fn check(field: &NoticeField) -> Check {
    let gaps: Vec<&str> = field.parts.iter().filter_map(|p| p.gap.as_deref()).collect();
    let from = if field.from.is_empty() { String::new() } else { format!(" From: {}", field.from.join(", ")) };
    let known = field.value.as_deref().map(|value| value.replace('\n', "; ")).unwrap_or_default();
    let note = match (field.state.is_gap(), field.parts.is_empty()) {
        (false, _) => format!("{known}.{from}"),
        (true, true) => "Missing. Write it in the draft".to_string(),
        (true, false) if known.is_empty() => format!("Missing: {}", field.from.join(", ")),
        (true, false) => format!("{known}; {}.{from}", gaps.join("; ")),
    };
    let follow = if field.state == FieldState::MayFollow { ". You may file without it and add it later" } else { "" };
    Check { item: field.label.clone(), is_present: !field.state.is_gap(), note: format!("{note}{follow}") }
}

/// The draft in the form asked for, else in the closest; none where no form is left.
async fn draft_of<S: Store>(web: &Shared<S>, caller: &Caller, id: &str, form: &str) -> Option<Drafted> {
    let (now, house) = (web.now(), &web.house);
    if !form.is_empty()
        && let Ok(draft) = house.draft_notice(caller, id, Some(form), now).await
    {
        return Some(draft);
    }
    house.draft_notice(caller, id, None, now).await.ok()
}

/// Only addresses a browser opens as a page: a pack may be somebody else's.
pub fn web_address(url: &str) -> String {
    if url.starts_with("https://") || url.starts_with("http://") { url.to_string() } else { String::new() }
}
