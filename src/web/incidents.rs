//! `/api/v1/incidents`: report, read, assert facts, follow the timeline, close.

use super::Shared;
use super::auth::Api;
use super::body::{Id, Members, Text, idempotency, if_match};
use super::error::Answer;
use super::obligations::required;
use super::query::{Params, in_entries, listed, page};
use super::repeat::{Done, asker, once_on_incident};
use crate::store::Store;
use crate::workflow::TimelineItem;
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
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?.map(str::to_string));
    let (house, now, by, facts) = (web.house.clone(), web.now(), caller.clone(), text.clone());
    once_on_incident(&web, &asker(&caller), &headers, (&uri, text.as_bytes()), async move {
        let changed = house.assert_facts(&by, &id, &facts, version, key.as_deref(), now).await?;
        Ok(Done::at(changed.version, StatusCode::OK, &changed))
    })
    .await
}

pub async fn timeline<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let items = web.house.timeline(&caller, &id, web.now()).await?;
    Ok(page(listed(items, &params, in_entries(|item: &TimelineItem| item.entry))?, &uri, &params))
}

/// Says which configured entity the incident is about. `{ entity }`; answers what that changed.
pub async fn set_entity<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["entity"])?;
    let entity = required(&mut members, "entity", "the id of an entity of the configuration");
    members.finish()?;
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?.map(str::to_string));
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once_on_incident(&web, &asker(&caller), &headers, (&uri, text.as_bytes()), async move {
        let changed = house.set_entity(&by, &id, &entity, version, key.as_deref(), now).await?;
        Ok(Done::at(changed.version, StatusCode::OK, &changed))
    })
    .await
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
