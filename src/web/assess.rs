//! `POST /api/v1/assess`: what if. Saves nothing, tells nobody.

use super::Shared;
use super::auth::Api;
use super::body::{Text, idempotency};
use super::error::Answer;
use crate::store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

pub async fn assess<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    // nothing is saved, so repeating is harmless; a bad key is still the sender's mistake
    idempotency(&headers)?;
    Ok(Json(web.house.assess(&caller, &text, web.now()).await?).into_response())
}
