//! `/calendar/{token}.ics` and `/rota/{id}.ics` for programs that subscribe; `/api/v1/calendar` makes a subscription.

use super::Shared;
use super::auth::Api;
use super::body::{Id, Members, Text};
use super::error::{Answer, Problem};
use super::query::Params;
use super::repeat::{asker, once};
use crate::store::Store;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// `{ label, expires_at }`, both optional.
pub async fn subscribe<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let now = web.now();
    let mut members = Members::read(&text, &["label", "expires_at"])?;
    let (label, expires_at) = (members.text("label").unwrap_or_default(), members.instant("expires_at"));
    if expires_at.is_some_and(|at| at <= now) {
        members.fault("expires_at", "`expires_at` is past; give a later instant or leave it out".to_string());
    }
    members.finish()?;
    let (house, by) = (web.house.clone(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, &text), async move {
        let made = house.create_calendar(&by, &label, expires_at, now).await?;
        Ok((StatusCode::CREATED, made))
    })
    .await
}

/// The deadlines; the address is the key.
pub async fn deadlines<S: Store>(State(web): State<Shared<S>>, Id(name): Id, headers: HeaderMap) -> Answer<Response> {
    let now = web.now();
    let token = name.strip_suffix(".ics").unwrap_or(&name);
    let caller = web.house.subscriber(token, now).await?;
    Ok(calendar(web.house.deadlines_calendar(&caller, now).await?, &headers))
}

/// A rota; with a login, or with `?token=` of a subscription.
pub async fn rota<S: Store>(
    State(web): State<Shared<S>>,
    login: Result<Api, Problem>,
    Id(name): Id,
    params: Params,
    headers: HeaderMap,
) -> Answer<Response> {
    params.only(&["token"])?;
    let now = web.now();
    let id = name.strip_suffix(".ics").unwrap_or(&name);
    let caller = match params.get("token") {
        Some(token) => web.house.subscriber(token, now).await?,
        None => login?.0,
    };
    Ok(calendar(web.house.rota_calendar(&caller, id, now).await?, &headers))
}

/// The calendar, or 304 for a reader who has it already.
fn calendar(text: String, headers: &HeaderMap) -> Response {
    let tag: String = Sha256::digest(text.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let known = known.is_some_and(|list| list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, "text/calendar; charset=utf-8")], text).into_response(),
    };
    // kept by its reader alone, and asked for again every time
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
