//! Personal fields of one incident: the list, erasing, holding, withholding.

use super::Shared;
use super::answers::PersonalFields;
use super::auth::Api;
use super::body::{Id, Members, Text, if_match};
use super::error::Answer;
use super::obligations::required;
use super::query::{Params, in_entries, linked, listed};
use super::repeat::{Done, asker, once};
use crate::store::Store;
use crate::workflow::erase::{EraseRequest, FieldView};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

/// What is personal about the incident, by pointers, and the hold on it.
pub async fn fields<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let (items, hold) = web.house.personal_fields(&caller, &id).await?;
    let page = listed(items, &params, in_entries(|field: &FieldView| field.number))?;
    let next = page.next.clone();
    Ok(linked(&PersonalFields { page, hold }, next.as_deref(), &uri, &params))
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
    let version = if_match(&headers)?;
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, &text), async move {
        let erased = house.erase(&by, &id, ask, version, now).await?;
        Ok(Done::at(erased.version, StatusCode::OK, &erased))
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
    let version = if_match(&headers)?;
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, &text), async move {
        let held = house.hold(&by, &id, set, &ground, version, now).await?;
        Ok(Done::at(held.version, StatusCode::OK, &held))
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
    let version = if_match(&headers)?;
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, &text), async move {
        let withheld = house.withhold(&by, &id, &fields, &reason, version, now).await?;
        Ok(Done::at(withheld.version, StatusCode::OK, &withheld))
    })
    .await
}
