//! `/decisions`: what waits for somebody who may decide, with the clock that goes on meanwhile and what a button records.

use super::row::Row;
use super::words::{When, fact_name, fact_value, instant, person, relative};
use super::{Frame, May, Typed, error_page, frame, page_key, reader_zone, show as show_template};
use crate::notify::words::before_label;
use crate::store::Store;
use crate::time::{Timestamp, Zone};
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::query::{Params, encode};
use crate::workflow::{BasisView, Caller, DecisionView, Waiting};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;

/// What a decision rests on, in words.
pub struct Basis {
    pub reason: String,
    pub by: String,
    pub at: When,
    /// Name, value and certainty.
    pub inputs: Vec<(String, String, String)>,
    pub grounds: String,
    pub score: String,
}

/// One entry of the queue.
pub struct Item {
    pub kind: Waiting,
    /// Of the fields of its form.
    pub id: String,
    pub row: Row,
    pub icon: &'static str,
    pub class: &'static str,
    pub word: &'static str,
    pub ask: &'static str,
    pub since: Option<(When, String)>,
    pub basis: Option<Basis>,
    /// Facts that ended the decision.
    pub because: Vec<String>,
    pub own: bool,
    pub second: String,
    pub reopen_when: Vec<String>,
    /// The limit that stands, and what the rule packs say now.
    pub limits: Option<(String, String)>,
    /// Who asked for the hold, and the form in which a new end is asserted.
    pub hold: Option<(String, String)>,
    pub key: String,
}

#[derive(Template)]
#[template(path = "decisions.html")]
struct DecisionsPage {
    frame: Frame,
    items: Vec<Item>,
    done: &'static str,
    may: May,
    people: Vec<String>,
    /// What was typed into the form of the item with the id `w`, and into those of the others.
    typed: Typed,
    nothing: Typed,
}

/// The id of the item into which somebody typed: with what follows it, its fields have the ids of the page of an obligation.
const WRITTEN: &str = "w";

impl DecisionsPage {
    fn of(&self, item: &Item) -> &Typed {
        if item.id == WRITTEN { &self.typed } else { &self.nothing }
    }
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, params: Params) -> Response {
    let found = match web.house.decisions(&caller, web.now()).await {
        Ok(found) => found,
        Err(trouble) => return error_page(&trouble.into(), web.now()),
    };
    let done = match params.get("done") {
        Some("approved") => "The decision not to notify is approved and on record.",
        Some("waiver") => "The decision is recorded. It waits for its second person; clock and reminders go on.",
        Some("withdrawn") => "The decision is taken back, and that is on record. The clock was never stopped.",
        Some("signed-off") => "The later limit is signed off and on record.",
        _ => "",
    };
    page(&web, &caller, found, done, (None, Typed::default())).await
}

/// The queue with what was typed into one of its forms, about an obligation or, of a sign-off, an incident. The text comes back
/// when the form is not there for this reader, or not any more.
pub async fn with<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    id: &str,
    mut typed: Typed,
) -> Result<Response, Box<Typed>> {
    let Ok(found) = web.house.decisions(caller, web.now()).await else { return Err(Box::new(typed)) };
    let named = if typed.is("sign-off") { typed.text("sign-off", "obligation") } else { id };
    let offers = |kind| match typed.form() {
        "sign-off" => kind == Waiting::SignOff,
        "waiver" => matches!(kind, Waiting::Review | Waiting::SecondApproval),
        "withdrawal" => matches!(kind, Waiting::Review | Waiting::SecondApproval),
        _ => false,
    };
    let at = found.iter().position(|d| d.obligation.law.id == named && offers(d.kind));
    let Some(at) = at.filter(|_| May::of(caller).approve) else { return Err(Box::new(typed)) };
    for fault in &mut typed.faults {
        // the fields of this form have the ids it has on the page of its obligation
        fault.field = match fault.field {
            "sor" => "ws",
            other => other,
        };
    }
    Ok(page(web, caller, found, "", (Some(at), typed)).await)
}

async fn page<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    found: Vec<DecisionView>,
    done: &'static str,
    (written, typed): (Option<usize>, Typed),
) -> Response {
    let (now, zone) = (web.now(), reader_zone(web));
    let mut page_frame = frame(web, caller, "decisions").await;
    page_frame.here = "/decisions".to_string();
    let mut items: Vec<Item> = found.into_iter().enumerate().map(|(at, d)| item(at, d, zone, now)).collect();
    if let Some(item) = written.and_then(|at| items.get_mut(at)) {
        item.id = WRITTEN.to_string();
    }
    show_template(&DecisionsPage {
        frame: page_frame,
        items,
        done,
        may: May::of(caller),
        people: web.house.settings.directory.people.iter().map(|p| p.name.clone()).collect(),
        typed,
        nothing: Typed::default(),
    })
}

fn item(at: usize, decision: DecisionView, zone: Zone, now: Timestamp) -> Item {
    let DecisionView { kind, since, basis, because, own, obligation: o } = decision;
    let (class, icon, word, ask) = words(kind);
    let there = o.law.zone;
    let label = |text: Option<&str>| text.and_then(instant).map_or("no date".into(), |at| before_label(at, there));
    let limits = (kind == Waiting::SignOff).then(|| {
        let would_be = o.law.awaiting_sign_off.as_ref().and_then(|u| u.conservative_due.clone());
        let would_be = match would_be {
            Some(text) => label(Some(&text)),
            None => "no limit, or no duty".to_string(),
        };
        (label(o.law.conservative_due.as_deref()), would_be)
    });
    let hold = o.law.held.as_ref().filter(|_| kind == Waiting::HoldEnds).map(|held| {
        let value = serde_json::json!({ "until": held.until, "by": held.by, "written": true }).to_string();
        let address =
            format!("/incidents/{}?fact=hold.law_enforcement&value={}#add", encode(&o.incident), encode(&value));
        (held.by.clone(), address)
    });
    Item {
        kind,
        id: format!("d{at}"),
        row: Row::of(&o, None, zone, now),
        icon,
        class,
        word,
        ask,
        since: since.as_deref().and_then(instant).map(|at| (When::at(at, zone), relative(at, now))),
        basis: basis.map(|basis| in_words(&basis, zone)),
        because: because.iter().map(|key| fact_name(key)).collect(),
        own,
        second: o.waiver.as_ref().and_then(|w| w.second_approver.as_deref()).map(person).unwrap_or_default().into(),
        reopen_when: o.waiver.as_ref().map(|w| w.reopen_when.clone()).unwrap_or_default(),
        limits,
        hold,
        key: page_key(&format!("d{at}"), 0, now),
    }
}

fn in_words(basis: &BasisView, zone: Zone) -> Basis {
    let input = |i: &crate::workflow::InputView| (fact_name(&i.key), fact_value(&i.value, zone), i.certainty.clone());
    Basis {
        reason: basis.reason.clone(),
        by: person(&basis.by).to_string(),
        at: When::text(&basis.at, zone),
        inputs: basis.inputs.iter().map(input).collect(),
        grounds: basis.grounds.join(", "),
        score: basis.score.clone().unwrap_or_default(),
    }
}

/// Class, icon, word and question of a kind.
fn words(kind: Waiting) -> (&'static str, &'static str, &'static str, &'static str) {
    match kind {
        Waiting::SecondApproval => ("maybe", "wait", "Second person", "Agree that this is not notified?"),
        Waiting::Reopened => ("soon", "soon", "Opened again", "A fact ended the decision: notify, or decide again."),
        Waiting::SignOff => ("soon", "move", "Later limit", "Accept what the changed rule packs say?"),
        Waiting::Review => ("maybe", "spring", "Look again", "Is it still right not to notify?"),
        Waiting::HoldEnds => ("wait", "wait", "Hold ends", "Is there a new end, or is it to be notified then?"),
    }
}
