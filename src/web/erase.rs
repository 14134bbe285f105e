//! Personal fields of one incident: the list, erasing, holding, withholding.

use super::Shared;
use super::auth::Api;
use super::body::{Id, Members, Text};
use super::error::Answer;
use super::obligations::required;
use crate::store::Store;
use crate::workflow::erase::EraseRequest;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What is personal about the incident, by pointers, and the hold on it.
pub async fn fields<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Id(id): Id) -> Answer<Response> {
    let (items, hold) = web.house.personal_fields(&caller, &id).await?;
    Ok(Json(json!({ "items": items, "next": null, "hold": hold })).into_response())
}

/// Erases values. `{ fields, subjects, basis, request, by }`; 409 when the incident is held.
pub async fn erase<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
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
    Ok(Json(web.house.erase(&caller, &id, ask, web.now()).await?).into_response())
}

/// Forbids to erase anything of the incident. `{ ground }`.
pub async fn hold<S: Store>(state: State<Shared<S>>, caller: Api, id: Id, text: Text) -> Answer<Response> {
    set_hold(state, caller, id, text, true).await
}

/// Allows it again. `{ ground }`.
pub async fn lift<S: Store>(state: State<Shared<S>>, caller: Api, id: Id, text: Text) -> Answer<Response> {
    set_hold(state, caller, id, text, false).await
}

async fn set_hold<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    Text(text): Text,
    set: bool,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["ground"])?;
    let ground = required(&mut members, "ground", "why, e.g. the proceedings it is kept for");
    members.finish()?;
    let hold = web.house.hold(&caller, &id, set, &ground, web.now()).await?;
    Ok(Json(json!({ "incident": id, "hold": hold })).into_response())
}

/// Keeps fields out of exports. `{ fields, reason }`.
pub async fn withhold<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["fields", "reason"])?;
    let fields = members.words("fields");
    let reason = required(&mut members, "reason", "one word such as `privileged`");
    members.finish()?;
    let withheld = web.house.withhold(&caller, &id, &fields, &reason, web.now()).await?;
    Ok(Json(json!({ "incident": id, "reason": reason, "fields": withheld })).into_response())
}
