//! `/obligations/{id}`: the receipt of a date, who has it, and the forms that record what was done.

use super::hours::{self, Hours};
use super::receipt::{self, Dated, Reading, Rung, Step};
use super::row::Row;
use super::state::State;
use super::typed::Unshown;
use super::words::{Limit, When, instant, person};
use super::{Frame, May, Typed, error_page, frame, page_key, reader_zone, see_other};
use crate::draft::{Block, NoticeField, Run, State as FieldState};
use crate::ingest;
use crate::store::Store;
use crate::time::Zone;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::{Answer, Problem};
use crate::web::multipart::Fields;
use crate::web::obligations::is_date;
use crate::web::query::{Params, encode};
use crate::web::sent::Sent;
use crate::workflow::{AckRequest, Caller, Drafted, FilingRequest, Score, Trouble, WaiverRequest};
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
    /// It waits for whoever looks.
    pub may_agree: bool,
    pub reason: String,
    pub by: String,
    pub at: When,
    pub second: String,
    pub review_on: String,
}

/// A proposal not to notify that somebody did not agree to.
pub struct Refused {
    pub reason: String,
    pub by: String,
    pub at: When,
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
    refused: Option<Refused>,
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
    typed: Typed,
    /// A decision not to notify needs a second person here.
    two_decide: bool,
    /// Where the form is that was typed into.
    anchor: &'static str,
    /// Of a proof.
    largest_mib: usize,
}

#[derive(Default)]
struct Extra {
    done: &'static str,
    typed: Typed,
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
    let page = render(&web, &caller, &id, Extra { done, form, ..Extra::default() }).await;
    page.unwrap_or_else(|unshown| error_page(&unshown.problem, web.now()))
}

pub async fn acknowledge<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let decline = fields.get("act") == Some("decline");
        let ask = AckRequest {
            lease_seconds: fields.get("lease").and_then(|s| s.parse().ok()).filter(|s| *s > 0),
            by: fields.get("by").map(str::to_string),
            role: None,
            decline,
        };
        web.house.acknowledge(&sent.caller, &id, ask, fields.get("page"), web.now()).await?;
        Answer::Ok(if decline { "declined" } else { "taken" })
    };
    let result = result.await;
    finish(&web, &id, "ack", result, sent).await
}

pub async fn file<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let ask = filing(fields, reader_zone(&web))?;
        web.house.file(&sent.caller, &id, ask, fields.get("page"), web.now()).await?;
        Answer::Ok("filing")
    };
    let result = result.await;
    finish(&web, &id, "filing", result, sent).await
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

pub async fn waive<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let text = |name: &str| fields.get(name).map(str::to_string);
        let words = |name: &str| -> Vec<String> {
            let typed = fields.get(name).unwrap_or_default();
            typed.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_string).collect()
        };
        let score = match (text("score_method"), text("score")) {
            (Some(method), Some(value)) => Some(Score { method, value, band: None }),
            (None, None) => None,
            _ => return Err(fault("/score", "a score and its method belong together; give both".to_string()).into()),
        };
        let review_on = text("review");
        if let Some(day) = review_on.as_ref().filter(|day| !is_date(day)) {
            let text = format!("the day to look again is `{day}`, no date; give one such as `2026-09-30`");
            return Err(fault("/review_on", text).into());
        }
        let ask = WaiverRequest {
            reason: text("why").unwrap_or_default(),
            by: text("by"),
            second_approver: text("second"),
            review_on,
            reopen_when: fields.all("reopen").map(str::to_string).collect(),
            grounds: words("grounds"),
            inputs: words("inputs"),
            score,
        };
        let view = web.house.waive(&sent.caller, &id, ask, fields.get("page"), web.now()).await?;
        Answer::Ok(match view.waiver {
            Some(waiver) if waiver.state == "approved" => "approved",
            _ => "waiver",
        })
    };
    let result = result.await;
    finish(&web, &id, "waiver", result, sent).await
}

/// A decision not to notify is withdrawn, refused, or taken back; from this page or from the queue of decisions.
pub async fn withdraw<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let reason = fields.get("why").unwrap_or_default();
        web.house.withdraw_decision(&sent.caller, &id, reason, fields.get("page"), web.now()).await?;
        Answer::Ok("withdrawn")
    };
    let result = result.await;
    finish(&web, &id, "withdrawal", result, sent).await
}

pub async fn delay<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let reason = fields.get("delay").unwrap_or_default();
        web.house.delay(&sent.caller, &id, reason, fields.get("page"), web.now()).await?;
        Answer::Ok("delay")
    };
    let result = result.await;
    finish(&web, &id, "delay", result, sent).await
}

fn fault(pointer: &str, text: String) -> Trouble {
    Trouble::Rejected(vec![ingest::Rejection { pointer: pointer.into(), line: None, text }])
}

/// Which field a fault is about, for each form.
fn fields_of(form: &str) -> &'static [(&'static str, &'static str)] {
    match form {
        "filing" => &[("/at", "fa"), ("/reference", "fr"), ("/proof", "fp"), ("/part", "fc"), ("/note", "fnote")],
        "waiver" => &[
            ("/reason", "wr"),
            ("/why", "wr"),
            ("/second", "w2"),
            // of an overlong field the name in the form, else the member of the request
            ("/review", "wd"),
            ("/reopen", "wo"),
            ("/grounds", "wg"),
            ("/inputs", "wi"),
            ("/score", "wsc"),
        ],
        "withdrawal" => &[("/reason", "ww"), ("/why", "ww")],
        "delay" => &[("/reason", "dl"), ("/delay", "dl")],
        "ack" => &[("/by", "by"), ("/lease", "ls")],
        _ => &[],
    }
}

/// Where a form begins.
fn anchor_of(form: &str) -> &'static str {
    match form {
        "filing" => "file",
        "waiver" => "waive",
        "withdrawal" => "decision",
        "delay" => "late",
        _ => "take",
    }
}

/// Filled again after a login.
pub async fn again<S: Store>(web: &Shared<S>, id: &str, form: &str, sent: Sent) -> Response {
    let (caller, problem) = (sent.caller.clone(), super::typed::not_here(&sent.caller));
    let from_queue = sent.fields.get("back") == Some("decisions");
    let (action, typed) = (sent.action, Typed::again(form, sent.fields, &sent.caller));
    finish_typed(web, &caller, id, typed, (&problem, &action, from_queue)).await
}

/// Back to the page: by a redirect when it is done, with what was typed and why not when it is not.
async fn finish<S: Store>(
    web: &Shared<S>,
    id: &str,
    form: &str,
    result: Result<&'static str, Problem>,
    sent: Sent,
) -> Response {
    let from_queue = sent.fields.get("back") == Some("decisions");
    let problem = match result {
        Ok(done) if from_queue => return see_other(&format!("/decisions?done={done}")),
        Ok(done) => return see_other(&format!("/obligations/{}?done={done}", encode(id))),
        Err(problem) => problem,
    };
    let typed = Typed::refused(form, sent.fields, &problem, fields_of(form));
    let mut response = finish_typed(web, &sent.caller, id, typed, (&problem, &sent.action, from_queue)).await;
    *response.status_mut() = problem.status();
    response
}

async fn finish_typed<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    id: &str,
    typed: Typed,
    refused: (&Problem, &str, bool),
) -> Response {
    let page = |typed| render(web, caller, id, Extra { typed, ..Extra::default() });
    super::typed::finish(web, caller, id, typed, refused, page).await
}

async fn render<S: Store>(web: &Shared<S>, caller: &Caller, id: &str, extra: Extra) -> Result<Response, Unshown> {
    let (now, zone) = (web.now(), reader_zone(web));
    let o = match web.house.obligation(caller, id, now).await {
        Ok(o) => o,
        Err(trouble) => return Err(Unshown { problem: trouble.into(), typed: extra.typed }),
    };
    let draft = draft_of(web, caller, id, &extra.form).await;
    let checks: Vec<Check> = draft.iter().flat_map(|d| &d.checklist).map(check).collect();
    let book = web.house.book();
    let question = o.law.missing.first().map(|key| book.catalogue().question(key));
    let row = Row::of(&o, question.as_deref(), zone, now);
    let (may, is_open) = (May::of(caller), row.state.is_open() || row.state == State::Ended);
    let is_there = match extra.typed.form() {
        "filing" | "ack" => may.respond && is_open,
        "waiver" => match &o.waiver {
            Some(waiver) => may.approve && extra.typed.text("waiver", "why") == waiver.reason,
            None => may.approve && may.respond && is_open,
        },
        "withdrawal" => may.approve && o.waiver.is_some(),
        "delay" => may.respond && (is_open || row.may_explain),
        _ => true,
    };
    if !is_there {
        return Err(Unshown { problem: super::typed::not_here(caller), typed: extra.typed });
    }
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
    let may_agree = match &o.waiver {
        // a store that cannot be read offers nothing
        Some(waiver) => web.house.may_agree(caller, waiver, now).await.unwrap_or_default(),
        None => false,
    };
    let waived = o.waiver.as_ref().map(|w| Waived {
        is_pending: w.state == "pending",
        may_agree,
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
        refused: o.refusal.as_ref().map(|refusal| Refused {
            reason: refusal.reason.clone(),
            by: person(&refusal.by).to_string(),
            at: When::text(&refusal.at, zone),
        }),
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
        may,
        is_open,
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
        largest_mib: crate::web::attachments::MAX_FILE.max(web.options.max_body) >> 20,
        two_decide: web.house.doors.second_approver,
        anchor: anchor_of(extra.typed.form()),
        typed: extra.typed,
    };
    Ok(super::show(&page))
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
