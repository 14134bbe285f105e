//! `/access`: who was let in, refused, given or denied rights, and who took something out. Newest first, by pages.

use super::words::{When, person};
use super::{Frame, error_page, frame, reader_zone, show as show_template};
use crate::store::Store;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::error::{Answer, Problem};
use crate::web::query::{Params, encode};
use crate::workflow::access_log::{AccessFilter, AccessKind, AccessView};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;

/// One line.
pub struct Line {
    pub index: u64,
    pub at: When,
    pub class: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
    pub text: String,
    pub who: String,
    pub subject: String,
    pub incident: String,
    pub count: u64,
    pub entry: String,
}

/// A kind to choose.
pub struct Choice {
    pub address: String,
    pub word: &'static str,
    pub chosen: bool,
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    frame: Frame,
    lines: Vec<Line>,
    who: String,
    kind: String,
    choices: Vec<Choice>,
    next: Option<String>,
    first: bool,
    zone: String,
    is_limited: bool,
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, params: Params) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let filter = match filter(&params) {
        Ok(filter) => filter,
        Err(problem) => return error_page(&problem, now),
    };
    let page = match web.house.access_log(&caller, &filter).await {
        Ok(page) => page,
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    let who = filter.who.clone().unwrap_or_default();
    let kind = filter.kind.map_or("", AccessKind::as_str);
    let address = |kind: &str, before: Option<u64>| {
        let before = before.map(|n| format!("&before={n}")).unwrap_or_default();
        format!("/access?kind={kind}&who={}{before}", encode(&who))
    };
    let choice = |wanted: Option<AccessKind>| Choice {
        address: address(wanted.map_or("", AccessKind::as_str), None),
        word: wanted.map_or("All", |kind| words(kind).2),
        chosen: filter.kind == wanted,
    };
    let kinds = std::iter::once(None).chain(AccessKind::ALL.map(Some));
    show_template(&AccessPage {
        frame: frame(&web, &caller, "access").await,
        lines: page.items.into_iter().map(|view| line(view, zone)).collect(),
        choices: kinds.map(choice).collect(),
        next: page.next.map(|before| address(kind, Some(before))),
        first: filter.before.is_none(),
        zone: super::zone_name(zone),
        is_limited: !caller.entities.is_empty(),
        kind: kind.to_string(),
        who,
    })
}

fn filter(params: &Params) -> Answer<AccessFilter> {
    params.only(&["kind", "who", "before"])?;
    let kind = match params.get("kind") {
        None => None,
        Some(word) => Some(AccessKind::parse(word).ok_or_else(|| {
            let kinds = AccessKind::ALL.map(AccessKind::as_str).join(", ");
            Problem::bad_request(format!("`kind` is `{word}`; it may be {kinds}"))
        })?),
    };
    let who = params.get("who").map(|who| who.chars().take(100).collect());
    Ok(AccessFilter { who, kind, before: params.whole("before")? })
}

/// Class, icon and word.
fn words(kind: AccessKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        AccessKind::Session => ("run", "run", "Session"),
        AccessKind::Refused => ("soon", "soon", "Refused"),
        AccessKind::Account => ("run", "shield", "Account"),
        AccessKind::Token => ("run", "lock", "Token"),
        AccessKind::Export => ("run", "doc", "Taken out"),
    }
}

fn line(view: AccessView, zone: crate::time::Zone) -> Line {
    let (class, icon, word) = words(view.kind);
    Line {
        index: view.log_index,
        at: When::text(&view.at, zone),
        class,
        icon,
        word,
        text: super::words::sentence(&view.text),
        who: person(&view.actor).to_string(),
        subject: view.subject.as_deref().map(person).unwrap_or_default().to_string(),
        incident: view.incident.unwrap_or_default(),
        count: view.count,
        entry: view.entry,
    }
}
