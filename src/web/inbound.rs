//! `/api/v1/inbound/mail`: a raw mail that came to the sender's address.

use super::Shared;
use super::auth::Api;
use super::body::{Raw, idempotency};
use super::error::Answer;
use crate::store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

pub async fn mail<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    headers: HeaderMap,
    Raw(bytes): Raw,
) -> Answer<Response> {
    // the same mail again changes nothing; a bad key is still the sender's mistake
    idempotency(&headers)?;
    Ok(Json(web.house.receive_mail(&caller, &bytes, web.now()).await?).into_response())
}
