//! The register of breaches and its numbers.

use super::Shared;
use super::answers::Numbers;
use super::auth::{Api, FromHere};
use super::error::{Answer, Problem};
use super::query::Params;
use crate::store::Store;
use crate::workflow::{BreachStatus, RegisterFormat, RegisterRequest};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

const SCOPE: [&str; 4] = ["from", "until", "status", "entity"];

/// `?from=2026-01-01&until=2026-12-31&status=open|closed|overdue&entity=ID&format=json|csv|xlsx|html|pdf`
pub async fn register<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    _: FromHere,
    params: Params,
) -> Answer<Response> {
    params.only(&[SCOPE.as_slice(), &["format"]].concat())?;
    let word = params.get("format").unwrap_or("json");
    let format = RegisterFormat::ALL.into_iter().find(|f| f.as_str() == word).ok_or_else(|| {
        let known: Vec<&str> = RegisterFormat::ALL.iter().map(|f| f.as_str()).collect();
        Problem::bad_request(format!("`format` is `{word}`; it may be {}", known.join(", ")))
    })?;
    let file = web.house.register(&caller, &scope(&params)?, format, web.now()).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    if let Ok(named) = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", file.name)) {
        headers.insert(header::CONTENT_DISPOSITION, named);
    }
    Ok((headers, file.bytes).into_response())
}

pub async fn statistics<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, params: Params) -> Answer<Response> {
    params.only(&SCOPE)?;
    let (scope, statistics) = web.house.statistics(&caller, &scope(&params)?, web.now()).await?;
    Ok(Json(Numbers { scope, statistics }).into_response())
}

fn scope(params: &Params) -> Answer<RegisterRequest> {
    let day = |name: &str| {
        let Some(text) = params.get(name) else { return Ok(None) };
        let wrong = |_| Problem::bad_request(format!("`{name}` is `{text}`; give a day such as `2026-04-27`"));
        text.parse().map(Some).map_err(wrong)
    };
    let status = match params.get("status") {
        None | Some("all") => None,
        Some(word) => Some(BreachStatus::ALL.into_iter().find(|s| s.as_str() == word).ok_or_else(|| {
            let known: Vec<&str> = BreachStatus::ALL.iter().map(|s| s.as_str()).collect();
            Problem::bad_request(format!("`status` is `{word}`; it may be {} or all", known.join(", ")))
        })?),
    };
    let entity = params.get("entity").map(str::to_string);
    Ok(RegisterRequest { from: day("from")?, until: day("until")?, status, entity })
}
