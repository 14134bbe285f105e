//! `/api/v1/accounts`, `/api/v1/tokens`, `/api/v1/me`: who may come in.

use super::Shared;
use super::auth::Api;
use super::body::{Id, Members, Text};
use super::error::Answer;
use super::obligations::required;
use crate::rules::utc;
use crate::store::{Store, TokenRecord};
use crate::workflow::{AccountChange, NewAccount, Role};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Who asks, as the server sees it.
pub async fn me<S: Store>(State(_): State<Shared<S>>, Api(caller): Api) -> Answer<Response> {
    Ok(Json(json!({ "name": caller.name, "role": caller.role.as_str(), "entities": caller.entities })).into_response())
}

pub async fn list<S: Store>(State(web): State<Shared<S>>, Api(caller): Api) -> Answer<Response> {
    Ok(Json(json!({ "items": web.house.accounts(&caller).await?, "next": null })).into_response())
}

/// `{ login, name, role, entities, person }`; 201 with the account and the address of its invitation, shown once.
pub async fn create<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Text(text): Text) -> Answer<Response> {
    let mut members = Members::read(&text, &["login", "name", "role", "entities", "person"])?;
    let new = NewAccount {
        login: required(&mut members, "login", "what the person types to log in"),
        name: required(&mut members, "name", "the person's name"),
        role: required(&mut members, "role", "reporter, responder, approver, auditor or admin"),
        entities: members.words("entities"),
        person: members.text("person"),
    };
    members.finish()?;
    let (account, invitation) = web.house.create_account(&caller, new, web.now()).await?;
    Ok((StatusCode::CREATED, Json(json!({ "account": account, "invitation": invitation }))).into_response())
}

/// `{ name, role, entities, person, disabled }`, each optional; an empty `person` takes it away.
pub async fn change<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(login): Id,
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["name", "role", "entities", "person", "disabled"])?;
    let change = AccountChange {
        name: members.text("name"),
        role: members.text("role"),
        entities: members.has("entities").then(|| members.words("entities")),
        person: members.any_text("person"),
        disabled: members.flag("disabled"),
    };
    members.finish()?;
    Ok(Json(web.house.change_account(&caller, &login, change, web.now()).await?).into_response())
}

/// Another invitation, for one that was lost or a password that was forgotten.
pub async fn invite<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Id(login): Id) -> Answer<Response> {
    let (account, invitation) = web.house.invite(&caller, &login, web.now()).await?;
    Ok(Json(json!({ "account": account, "invitation": invitation })).into_response())
}

pub async fn tokens<S: Store>(State(web): State<Shared<S>>, Api(caller): Api) -> Answer<Response> {
    let items: Vec<Value> = web.house.tokens(&caller).await?.iter().map(shown).collect();
    Ok(Json(json!({ "items": items, "next": null })).into_response())
}

/// `{ role, label, entities, expires_at }`; 201 with the token's text, shown once.
pub async fn create_token<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["role", "label", "entities", "expires_at"])?;
    let word = required(&mut members, "role", "reporter, responder, approver, auditor or admin");
    let role = Role::parse(&word);
    if role.is_none() && !word.is_empty() {
        members
            .fault("role", format!("`{word}` is no role; it may be reporter, responder, approver, auditor or admin"));
    }
    let label = required(&mut members, "label", "what it is for; it stands in the evidence as the actor");
    let (entities, expires_at) = (members.words("entities"), members.instant("expires_at"));
    members.finish()?;
    let role = role.unwrap_or(Role::Reporter);
    let (record, token) = web.house.create_token(&caller, role, &label, entities, expires_at, web.now()).await?;
    let mut answer = shown(&record);
    answer["token"] = token.into();
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub async fn revoke_token<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Id(id): Id) -> Answer<Response> {
    web.house.revoke_token(&caller, &id, web.now()).await?;
    Ok(Json(json!({ "id": id, "revoked": true })).into_response())
}

fn shown(token: &TokenRecord) -> Value {
    json!({
        "id": token.id, "role": token.role, "label": token.label, "entities": token.entities,
        "created_at": utc(token.created_at), "expires_at": token.expires_at.map(utc), "revoked_at": token.revoked_at.map(utc),
    })
}
