//! Personal fields of one incident: the list, erasing, holding, withholding.

use super::Shared;
use super::answers::{Held, PersonalFields, Withheld};
use super::auth::Api;
use super::body::{Id, Members, Text};
use super::error::Answer;
use super::obligations::required;
use super::repeat::once;
use crate::store::Store;
use crate::workflow::erase::EraseRequest;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// What is personal about the incident, by pointers, and the hold on it.
pub async fn fields<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Id(id): Id) -> Answer<Response> {
    let (items, hold) = web.house.personal_fields(&caller, &id).await?;
    Ok(Json(PersonalFields { items, next: None, hold }).into_response())
}

/// Erases values. `{ fields, subjects, basis, request, by }`; 409 when the incident is held.
pub async fn erase<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["fields", "subjects", "basis", "request", "by"])?;
    let ask = EraseRequest {
        fields: members.words("fields"),
        subjects: members.words("subjects"),
        basis: required(&mut members, "basis", "the legal basis of the erasure"),
        request: required(&mut members, "request", "what the person's request is known by"),
        by: members.text("by"),
    };
    members.finish()?;
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &caller.name, &headers, (&uri, &text), async move {
        let erased = house.erase(&by, &id, ask, now).await?;
        Ok((StatusCode::OK, erased))
    })
    .await
}

/// Forbids to erase anything of the incident. `{ ground }`.
pub async fn hold<S: Store>(
    state: State<Shared<S>>,
    caller: Api,
    id: Id,
    place: (HeaderMap, Uri),
    text: Text,
) -> Answer<Response> {
    set_hold(state, caller, id, place, text, true).await
}

/// Allows it again. `{ ground }`.
pub async fn lift<S: Store>(
    state: State<Shared<S>>,
    caller: Api,
    id: Id,
    place: (HeaderMap, Uri),
    text: Text,
) -> Answer<Response> {
    set_hold(state, caller, id, place, text, false).await
}

async fn set_hold<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
    set: bool,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["ground"])?;
    let ground = required(&mut members, "ground", "why, e.g. the proceedings it is kept for");
    members.finish()?;
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &caller.name, &headers, (&uri, &text), async move {
        let hold = house.hold(&by, &id, set, &ground, now).await?;
        Ok((StatusCode::OK, Held { incident: id, hold }))
    })
    .await
}

/// Keeps fields out of exports. `{ fields, reason }`.
pub async fn withhold<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["fields", "reason"])?;
    let fields = members.words("fields");
    let reason = required(&mut members, "reason", "one word such as `privileged`");
    members.finish()?;
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &caller.name, &headers, (&uri, &text), async move {
        let withheld = house.withhold(&by, &id, &fields, &reason, now).await?;
        Ok((StatusCode::OK, Withheld { incident: id, reason, fields: withheld }))
    })
    .await
}
