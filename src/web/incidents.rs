//! `/api/v1/incidents`: report, read, assert facts, follow the timeline, close.

use super::Shared;
use super::auth::Api;
use super::body::{Id, Members, Text, idempotency, if_match};
use super::error::Answer;
use super::obligations::required;
use super::query::{Params, page};
use crate::store::Store;
use crate::workflow::Page;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// 201 with `Location` the first time, 200 with the first result afterwards.
pub async fn report<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let reported = web.house.report(&caller, &text, idempotency(&headers)?, web.now()).await?;
    let (id, version, created) = (reported.incident.id.clone(), reported.incident.version, reported.created);
    let mut response = Json(reported).into_response();
    tag(&mut response, version);
    if created {
        *response.status_mut() = StatusCode::CREATED;
        if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/incidents/{id}")) {
            response.headers_mut().insert(header::LOCATION, place);
        }
    }
    Ok(response)
}

pub async fn list<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let incidents = web.house.incidents(&caller, params.filter()?, web.now()).await?;
    Ok(page(incidents, &uri, &params))
}

pub async fn show<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Id(id): Id) -> Answer<Response> {
    let incident = web.house.incident(&caller, &id, web.now()).await?;
    let version = incident.version;
    let mut response = Json(incident).into_response();
    tag(&mut response, version);
    Ok(response)
}

/// Asserts facts and answers what they changed.
pub async fn assert_facts<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?);
    let changed = web.house.assert_facts(&caller, &id, &text, version, key, web.now()).await?;
    let version = changed.version;
    let mut response = Json(changed).into_response();
    tag(&mut response, version);
    Ok(response)
}

pub async fn timeline<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Id(id): Id) -> Answer<Response> {
    let items = web.house.timeline(&caller, &id, web.now()).await?;
    Ok(Json(Page { items, next: None }).into_response())
}

/// Says which configured entity the incident is about. `{ entity }`; answers what that changed.
pub async fn set_entity<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["entity"])?;
    let entity = required(&mut members, "entity", "the id of an entity of the configuration");
    members.finish()?;
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?);
    let changed = web.house.set_entity(&caller, &id, &entity, version, key, web.now()).await?;
    let version = changed.version;
    let mut response = Json(changed).into_response();
    tag(&mut response, version);
    Ok(response)
}

/// Accepts limits that the rule packs in force move later. `{ reason, obligations }`; all that wait when none is named.
pub async fn sign_off<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["reason", "obligations"])?;
    let reason = required(&mut members, "reason", "why the later limit is right");
    let obligations = members.words("obligations");
    members.finish()?;
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?);
    let incident = web.house.sign_off(&caller, &id, &obligations, &reason, version, key, web.now()).await?;
    let version = incident.version;
    let mut response = Json(incident).into_response();
    tag(&mut response, version);
    Ok(response)
}

pub async fn close<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
) -> Answer<Response> {
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?);
    let incident = web.house.close(&caller, &id, version, key, web.now()).await?;
    let version = incident.version;
    let mut response = Json(incident).into_response();
    tag(&mut response, version);
    Ok(response)
}

/// The version as a strong entity tag, to be sent back in `If-Match`.
pub(super) fn tag(response: &mut Response, version: u64) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
}
