//! `/sheet`: the open clocks on paper. One file with its style in it: it must look the same when saved or printed.

use super::{error_page, reader_zone};
use crate::notify::words::date_label;
use crate::store::Store;
use crate::time::{Timestamp, Zone};
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::error::{Answer, Problem};
use crate::web::query::Params;
use crate::workflow::sheet::{Moment, Sheet};
use askama::Template;
use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const CSS: &str = include_str!("../assets/sheet.css");

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPage<'a> {
    sheet: &'a Sheet,
    now: Moment,
    css: &'static str,
}

/// `?incident=ID` limits it to one; asked for as JSON, it answers the same as JSON.
pub async fn show<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    params: Params,
) -> Response {
    let now = web.now();
    let read = async || -> Answer<Sheet> {
        params.only(&["incident"])?;
        Ok(web.house.sheet(&caller, params.get("incident"), now).await?)
    };
    match (read().await, super::ack::wants_json(&headers)) {
        (Ok(sheet), true) => Json(sheet).into_response(),
        (Ok(sheet), false) => page(&sheet, reader_zone(&web), now),
        (Err(problem), true) => problem.into_response(),
        (Err(problem), false) => error_page(&problem, now),
    }
}

fn page(sheet: &Sheet, zone: Zone, now: Timestamp) -> Response {
    let page = SheetPage { sheet, now: Moment { local: date_label(now, zone), utc: sheet.now.clone() }, css: CSS };
    let Ok(html) = page.render() else { return Problem::internal().into_response() };
    let mut response = Html(html).into_response();
    // the style stands inside the page, so it is named by its hash and nothing else may run or load
    let hash = STANDARD.encode(Sha256::digest(CSS.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
