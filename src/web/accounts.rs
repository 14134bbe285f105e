//! `/api/v1/accounts`, `/api/v1/tokens`, `/api/v1/me`: who may come in.

use super::Shared;
use super::answers::{CreatedToken, Invited, Me, Revoked, TokenView};
use super::auth::Api;
use super::body::{Id, Members, Text};
use super::error::Answer;
use super::obligations::required;
use super::query::{Params, listed, page};
use super::repeat::{asker, once};
use crate::store::Store;
use crate::workflow::{AccountChange, NewAccount, Page, Role};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// Who asks, as the server sees it.
pub async fn me<S: Store>(State(_): State<Shared<S>>, Api(caller): Api) -> Answer<Response> {
    Ok(Json(Me::from(caller)).into_response())
}

pub async fn list<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let accounts = web.house.accounts(&caller).await?;
    Ok(page(listed(accounts, &params, |account| account.id.clone())?, &uri, &params))
}

/// `{ login, name, role, entities, person }`; 201 with the account and the address of its invitation, shown once.
pub async fn create<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["login", "name", "role", "entities", "person"])?;
    let new = NewAccount {
        login: required(&mut members, "login", "what the person types to log in"),
        name: required(&mut members, "name", "the person's name"),
        role: required(&mut members, "role", "reporter, responder, approver, auditor or admin"),
        entities: members.words("entities"),
        person: members.text("person"),
    };
    members.finish()?;
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, &text), async move {
        let (account, invitation) = house.create_account(&by, new, now).await?;
        Ok((StatusCode::CREATED, Invited { account, invitation }))
    })
    .await
}

/// `{ name, role, entities, person, disabled }`, each optional; an empty `person` takes it away.
pub async fn change<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(login): Id,
    (headers, uri): (HeaderMap, Uri),
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
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, &text), async move {
        let account = house.change_account(&by, &login, change, now).await?;
        Ok((StatusCode::OK, account))
    })
    .await
}

/// Another invitation, for one that was lost or a password that was forgotten.
pub async fn invite<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(login): Id,
    (headers, uri): (HeaderMap, Uri),
) -> Answer<Response> {
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, ""), async move {
        let (account, invitation) = house.invite(&by, &login, now).await?;
        Ok((StatusCode::OK, Invited { account, invitation }))
    })
    .await
}

pub async fn tokens<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let Page { items, next } = listed(web.house.tokens(&caller).await?, &params, |token| token.id.clone())?;
    Ok(page(Page { items: items.iter().map(TokenView::from).collect(), next }, &uri, &params))
}

/// `{ role, label, entities, expires_at }`; 201 with the token's text, shown once.
pub async fn create_token<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let now = web.now();
    let mut members = Members::read(&text, &["role", "label", "entities", "expires_at"])?;
    let word = required(&mut members, "role", "reporter, responder, approver, auditor or admin");
    let role = Role::parse(&word);
    if role.is_none() && !word.is_empty() {
        members
            .fault("role", format!("`{word}` is no role; it may be reporter, responder, approver, auditor or admin"));
    }
    let label = required(&mut members, "label", "what it is for; it stands in the evidence as the actor");
    let (entities, expires_at) = (members.words("entities"), members.instant("expires_at"));
    if expires_at.is_some_and(|at| at <= now) {
        members.fault("expires_at", "`expires_at` is past; give a later instant or leave it out".to_string());
    }
    members.finish()?;
    let role = role.unwrap_or(Role::Reporter);
    let (house, by) = (web.house.clone(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, &text), async move {
        let (record, token) = house.create_token(&by, role, &label, entities, expires_at, now).await?;
        Ok((StatusCode::CREATED, CreatedToken { record: TokenView::from(&record), token }))
    })
    .await
}

pub async fn revoke_token<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    (headers, uri): (HeaderMap, Uri),
) -> Answer<Response> {
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once(&web, &asker(&caller), &headers, (&uri, ""), async move {
        house.revoke_token(&by, &id, now).await?;
        Ok((StatusCode::OK, Revoked { id, revoked: true }))
    })
    .await
}
