//! `/incidents/{id}`: the question worth asking, the timeline, what the last facts changed, obligations and facts.

use super::lanes::Chart;
use super::question::{Asked, Input, Other};
use super::row::Row;
use super::state::State;
use super::typed::Unshown;
use super::words::{When, fact_name, fact_value, instant, person, relative};
use super::{Frame, May, Typed, error_page, frame, page_key, reader_zone, see_other};
use super::{story, timeline};
use crate::rules::{NotCovered, Warning};
use crate::store::Store;
use crate::time::{Timestamp, Zone};
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::{Answer, Problem};
use crate::web::multipart::Fields;
use crate::web::query::{Params, encode};
use crate::web::sent::Sent;
use crate::workflow::{Caller, Changed, Diff, DiffEntry, FactView, IncidentView};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;

/// A line of the strip that says what the last facts changed.
pub struct DiffLine {
    pub class: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
    pub href: String,
    pub title: String,
    pub from: String,
    pub to: String,
    pub because: String,
}

/// A fact with what it took the place of.
pub struct FactRow {
    pub name: String,
    pub key: String,
    pub value: String,
    pub old: Vec<String>,
    pub certainty: &'static str,
    /// Of three dots.
    pub dots: usize,
    pub by: String,
    pub at: When,
    pub note: String,
}

pub struct Unknown {
    pub name: String,
    pub question: String,
}

/// An event of the list under the drawn timeline.
pub struct Event {
    pub at: When,
    pub kind: &'static str,
    pub text: String,
    pub by: String,
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    frame: Frame,
    id: String,
    title: String,
    entity: String,
    opened: When,
    opened_by: String,
    aware: Option<(When, String)>,
    closed: Option<When>,
    asked: Option<Asked>,
    others: Vec<Other>,
    charts: [Chart; 2],
    events: Vec<Event>,
    diff: Option<Vec<DiffLine>>,
    receipt: String,
    rows: Vec<Row>,
    facts: Vec<FactRow>,
    unknown: Vec<Unknown>,
    not_covered: Vec<NotCovered>,
    warnings: Vec<Warning>,
    keys: Vec<(String, String)>,
    zone: String,
    key: String,
    may: May,
    unsigned: Vec<UnsignedRow>,
    /// Id and name to choose from, while the incident's own is not stated.
    entities: Vec<(String, String)>,
    typed: Typed,
    /// Where the form is that was typed into.
    anchor: &'static str,
}

/// What a page shows besides the incident.
#[derive(Default)]
struct Extra {
    skip: Vec<String>,
    changed: Option<Changed>,
    typed: Typed,
}

pub async fn show<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(id): Id,
    params: Params,
) -> Response {
    let skip = params.all("skip").map(str::to_string).collect();
    // a supposition carried over: the form is filled, and nothing is asserted until it is sent
    let typed = match params.get("fact") {
        Some(fact) => Typed::given("facts", &[("key", fact), ("value", params.get("value").unwrap_or_default())]),
        None => Typed::default(),
    };
    let page = render(&web, &caller, &id, Extra { skip, typed, ..Extra::default() }).await;
    page.unwrap_or_else(|unshown| error_page(&unshown.problem, web.now()))
}

/// One fact, from the question or from the form. The page that follows says what it changed.
pub async fn answer<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let key = fields.get("key").unwrap_or_default();
        let kind = web.house.book().catalogue().kind(key);
        let body = super::question::body_of(fields, key, kind);
        Ok(web.house.assert_facts(&sent.caller, &id, &body, None, fields.get("page"), web.now()).await?)
    };
    let result = result.await;
    finish(&web, &id, "facts", result, sent).await
}

pub async fn close<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    match web.house.close(&sent.caller, &id, None, None, web.now()).await {
        Ok(_) => see_other(&format!("/incidents/{}", encode(&id))),
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

pub async fn set_entity<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let entity = fields.get("entity").unwrap_or_default();
        Ok(web.house.set_entity(&sent.caller, &id, entity, None, fields.get("page"), web.now()).await?)
    };
    let result = result.await;
    finish(&web, &id, "entity", result, sent).await
}

pub async fn sign_off<S: Store>(Extract(web): Extract<Shared<S>>, Id(id): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let reason = fields.get("reason").unwrap_or_default();
        let named: Vec<String> = fields.all("obligation").map(str::to_string).collect();
        web.house.sign_off(&sent.caller, &id, &named, reason, None, fields.get("page"), web.now()).await?;
        Answer::Ok(())
    };
    let problem = match result.await {
        Ok(()) if is_from_queue(&sent) => return see_other("/decisions?done=signed-off"),
        Ok(()) => return see_other(&format!("/incidents/{}", encode(&id))),
        Err(problem) => problem,
    };
    finish(&web, &id, "sign-off", Err(problem), sent).await
}

fn is_from_queue(sent: &Sent) -> bool {
    sent.fields.get("back") == Some("decisions")
}

/// Which field a fault is about, for each form.
fn fields_of(form: &str) -> &'static [(&'static str, &'static str)] {
    match form {
        "facts" => {
            &[("/key", "fk"), ("/note", "fn"), ("/facts", "value"), ("/value", "value"), ("/certainty", "fsure")]
        }
        "entity" => &[("/entity", "ent")],
        _ => &[("/reason", "sor")],
    }
}

/// What changed; or the page with what was typed and why not.
async fn finish<S: Store>(web: &Shared<S>, id: &str, form: &str, result: Answer<Changed>, sent: Sent) -> Response {
    let problem = match result {
        Ok(changed) => {
            let page = render(web, &sent.caller, id, Extra { changed: Some(changed), ..Extra::default() }).await;
            return page.unwrap_or_else(|unshown| error_page(&unshown.problem, web.now()));
        }
        Err(problem) => problem,
    };
    let from_queue = is_from_queue(&sent);
    let typed = Typed::refused(form, one_value(sent.fields), &problem, fields_of(form));
    let mut response = finish_typed(web, &sent.caller, id, typed, (&problem, &sent.action, from_queue)).await;
    *response.status_mut() = problem.status();
    response
}

/// Filled again after a login.
pub async fn again<S: Store>(web: &Shared<S>, id: &str, form: &str, sent: Sent) -> Response {
    let (problem, from_queue) = (super::typed::not_here(&sent.caller), is_from_queue(&sent));
    let typed = Typed::again(form, one_value(sent.fields), &sent.caller);
    finish_typed(web, &sent.caller, id, typed, (&problem, &sent.action, from_queue)).await
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

/// An answer to the question goes into the form for any fact, which has one field for all kinds.
fn one_value(mut fields: Fields) -> Fields {
    let words: Vec<&str> = fields.all("words").collect();
    let typed = ["value", "number", "at", "text"].into_iter().find_map(|name| fields.get(name));
    let value = typed.map_or_else(|| words.join(", "), str::to_string);
    fields.set("value", &value);
    fields
}

/// A limit that the rule packs in force would move later.
pub struct UnsignedRow {
    pub href: String,
    pub title: String,
    pub stands: String,
    pub would_be: String,
}

async fn render<S: Store>(web: &Shared<S>, caller: &Caller, id: &str, extra: Extra) -> Result<Response, Unshown> {
    let (now, zone) = (web.now(), reader_zone(web));
    let read = async {
        let incident = web.house.incident(caller, id, now).await?;
        let items = web.house.timeline(caller, id, now).await?;
        Answer::Ok((incident, items))
    };
    let (incident, items) = match read.await {
        Ok(read) => read,
        Err(problem) => return Err(Unshown { problem, typed: extra.typed }),
    };
    let (may, unsigned) = (May::of(caller), unsigned(&incident));
    let entities = match incident.entity.id {
        Some(_) => Vec::new(),
        None => super::entities(web, caller),
    };
    let is_there = match extra.typed.form() {
        "" => true,
        _ if incident.closed_at.is_some() => false,
        "facts" => may.report,
        "entity" => may.report && !entities.is_empty(),
        _ => may.approve && !unsigned.is_empty(),
    };
    if !is_there && (extra.typed.again || !extra.typed.faults.is_empty()) {
        return Err(Unshown { problem: super::typed::not_here(caller), typed: extra.typed });
    }
    let book = web.house.book();
    let (asked, others) = super::question::choose(&incident, book.catalogue(), &extra.skip, zone, now);
    let mut rows: Vec<Row> = incident
        .obligations
        .iter()
        .map(|o| Row::of(o, o.law.missing.first().map(|key| book.catalogue().question(key)).as_deref(), zone, now))
        .filter(|r| r.state != State::Ended)
        .collect();
    rows.sort_by_key(|r| (!r.state.is_open(), r.dates.conservative.is_none(), r.dates.conservative, r.title.clone()));
    let (facts, aware) = facts(&incident.facts, zone);
    let known: Vec<&str> = facts.iter().map(|f| f.key.as_str()).collect();
    let unknown = incident
        .questions
        .iter()
        .filter(|q| !known.contains(&q.key.as_str()))
        .map(|q| Unknown { name: fact_name(&q.key), question: q.text.clone() })
        .collect();
    let events = items
        .iter()
        .rev()
        .map(|t| Event {
            at: When::text(&t.at, zone),
            kind: t.kind,
            text: t.text.clone(),
            by: t.by.as_deref().map(person).unwrap_or_default().to_string(),
        })
        .collect();
    let receipt = extra
        .changed
        .as_ref()
        .and_then(|c| c.evidence.as_ref())
        .map(|e| format!("log entry {}", e.log_index))
        .unwrap_or_default();
    let mut page_frame = frame(web, caller, "incidents").await;
    page_frame.here = format!("/incidents/{}", encode(id));
    let page = IncidentPage {
        frame: page_frame,
        opened: When::text(&incident.opened_at, zone),
        opened_by: person(&incident.opened_by).to_string(),
        aware: aware.map(|at| (When::at(at, zone), relative(at, now))),
        closed: incident.closed_at.as_deref().map(|at| When::text(at, zone)),
        asked,
        others,
        charts: timeline::draw(&story::of(&incident, &items, zone, now), zone, now),
        events,
        diff: extra.changed.map(|c| diff_lines(&c.diff, &incident, &[], zone)),
        receipt,
        rows,
        facts,
        unknown,
        keys: book.catalogue().iter().map(|d| (d.key.clone(), d.question.clone())).collect(),
        zone: super::zone_name(zone),
        key: page_key(id, incident.version, now),
        may,
        unsigned,
        entities,
        anchor: match extra.typed.form() {
            "entity" => "ent",
            "sign-off" => "sign-off",
            _ => "add",
        },
        typed: extra.typed,
        id: incident.id,
        title: incident.title,
        entity: incident.entity.name,
        not_covered: incident.not_covered,
        warnings: incident.warnings,
    };
    Ok(super::show(&page))
}

fn unsigned(incident: &IncidentView) -> Vec<UnsignedRow> {
    let label = |text: &Option<String>, there: Zone| match text.as_deref().and_then(instant) {
        Some(at) => crate::notify::words::before_label(at, there),
        None => "no date".to_string(),
    };
    let row = |kept: &crate::workflow::KeptView| {
        let o = incident.obligations.iter().find(|o| o.law.id == kept.obligation)?;
        let would_be = o.law.awaiting_sign_off.as_ref().and_then(|would_be| would_be.conservative_due.clone());
        Some(UnsignedRow {
            href: format!("/obligations/{}", encode(&o.law.id)),
            title: format!("{}: {}", o.law.title, o.law.recipient_name),
            stands: label(&kept.conservative_due, o.law.zone),
            would_be: if kept.gone { "no longer a duty".to_string() } else { label(&would_be, o.law.zone) },
        })
    };
    incident.awaiting_sign_off.iter().filter_map(row).collect()
}

fn facts(history: &[FactView], zone: Zone) -> (Vec<FactRow>, Option<Timestamp>) {
    let mut rows = Vec::new();
    let mut aware = None;
    for fact in history.iter().filter(|f| !f.superseded && !f.value.is_null()) {
        if fact.key == "times.aware" {
            aware = fact.value.as_str().and_then(instant);
        }
        let old = history.iter().filter(|f| f.superseded && f.key == fact.key && !f.value.is_null());
        rows.push(FactRow {
            name: fact_name(&fact.key),
            key: fact.key.clone(),
            value: fact_value(&fact.value, zone),
            old: old.map(|f| format!("{}, {}", fact_value(&f.value, zone), f.certainty)).collect(),
            certainty: fact.certainty,
            dots: match fact.certainty {
                "suspected" => 1,
                "estimated" => 2,
                _ => 3,
            },
            by: person(&fact.by).to_string(),
            at: When::text(&fact.at, zone),
            note: fact.note.clone().unwrap_or_default(),
        });
    }
    (rows, aware)
}

/// `supposed` are obligations the incident does not have.
pub fn diff_lines(
    diff: &Diff,
    incident: &IncidentView,
    supposed: &[crate::workflow::ObligationView],
    zone: Zone,
) -> Vec<DiffLine> {
    let words = |text: &Option<String>, there: Zone| match text.as_deref() {
        None => String::new(),
        Some(text) => match (instant(text), serde_json::from_str::<serde_json::Value>(text)) {
            (Some(at), _) => crate::notify::words::before_label(at, there),
            // a fact's value arrives as JSON
            (None, Ok(value)) => fact_value(&value, zone),
            (None, Err(_)) => text.to_string(),
        },
    };
    let line = |entry: &DiffEntry, class, icon, word| {
        let own = format!("{}~{}", incident.id, entry.id);
        let known = incident.obligations.iter().find(|o| o.law.id == entry.id || o.law.id == own);
        let there = known.or_else(|| supposed.iter().find(|o| o.law.id == own)).map_or(zone, |o| o.law.zone);
        let title =
            entry.title.clone().or_else(|| known.map(|o| o.law.title.clone())).unwrap_or_else(|| fact_name(&entry.id));
        DiffLine {
            class,
            icon,
            word,
            href: known.map(|o| format!("/obligations/{}", encode(&o.law.id))).unwrap_or_default(),
            title,
            from: words(&entry.from, there),
            to: words(&entry.to, there),
            because: entry.because.strip_prefix("because of ").unwrap_or(&entry.because).replace('`', ""),
        }
    };
    // a date that moved later, and what fell away, want a second look
    let later = |e: &DiffEntry| match (e.from.as_deref().and_then(instant), e.to.as_deref().and_then(instant)) {
        (Some(from), Some(to)) => to > from,
        (from, to) => from.is_some() && to.is_none(),
    };
    let mut lines: Vec<DiffLine> = diff.added.iter().map(|e| line(e, "run", "plus", "Added")).collect();
    lines.extend(diff.moved.iter().map(|e| line(e, if later(e) { "soon" } else { "run" }, "move", "Moved")));
    lines.extend(diff.dropped.iter().map(|e| line(e, "soon", "minus", "Dropped")));
    lines.extend(diff.filled.iter().map(|e| line(e, "run", "check", "Filled")));
    if !diff.unchanged.is_empty() {
        let n = diff.unchanged.len();
        let title = format!("{n} other obligation{}, no date moved", if n == 1 { "" } else { "s" });
        let because =
            diff.unchanged.iter().map(|e| e.because.as_str()).find(|b| !b.is_empty()).unwrap_or_default().to_string();
        let (href, from, to) = Default::default();
        lines.push(DiffLine { class: "run", icon: "same", word: "Unchanged", href, title, from, to, because });
    }
    lines
}
