//! Problems as RFC 9457 writes them, and how a [`Trouble`] becomes one.

use crate::ingest::Rejection;
use crate::store::StoreError;
use crate::workflow::Trouble;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// Stable names of problems. Programs compare these, people read `title` and `detail`.
const TYPE_PREFIX: &str = "urn:breachclock:problem:";
/// Seconds after which a failed store is worth another try.
const RETRY_AFTER_SECONDS: &str = "5";

/// One fault of the request.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Fault {
    /// RFC 6901 pointer into the request body; a parameter or header is named in `detail`.
    pub pointer: String,
    /// Counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "usize", range(min = 1))]
    pub line: Option<usize>,
    pub detail: String,
}

/// The body of every answer that is not a success: RFC 9457 problem details.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// Stable: `urn:breachclock:problem:` and bad-request, unparsable, rejected, unauthorized, not-permitted, not-found,
    /// method-not-allowed, not-now, conflict, stale, too-large, too-slow, too-many, key-reused, internal or store-failed.
    #[serde(rename = "type", serialize_with = "full_name")]
    pub kind: &'static str,
    pub title: &'static str,
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    pub detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// With `stale`: the version to repeat with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub current_version: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            kind: name,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            current_version: None,
        }
    }

    /// A header or parameter that cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", "the request cannot be read", detail)
    }

    pub fn unauthorized(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "who asks is not known", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "not-permitted", "not permitted", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "not found", detail)
    }

    pub fn too_large(limit: usize) -> Problem {
        let detail = format!("the body has more than {limit} bytes; send less, or raise the limit of the server");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large", detail)
    }

    /// A field of a form holds more than is taken.
    pub fn field_too_large(field: &str, limit: usize) -> Problem {
        let shown = if limit >= 1 << 20 { format!("{} MiB", limit >> 20) } else { format!("{} KiB", limit >> 10) };
        let detail = format!("`{field}` holds more than {shown} ({limit} bytes), the most that is taken; give less");
        let mut problem = Problem::too_large(limit);
        problem.errors = vec![Fault { pointer: format!("/{field}"), line: None, detail: detail.clone() }];
        Problem { detail, ..problem }
    }

    pub fn too_slow() -> Problem {
        let detail = "the body came too slowly; send it again over a better line";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body came too slowly", detail)
    }

    pub fn method_not_allowed() -> Problem {
        let detail = "this address does not answer this method; /api/v1/openapi.json lists what it does";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed", detail)
    }

    /// A panic was caught: our fault, and the words of the panic stay in the log.
    pub fn internal() -> Problem {
        let detail = "a fault of ours; nothing was changed by this request unless the log says so";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal fault", detail)
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn rejected(rejections: Vec<Rejection>) -> Problem {
        // a document without a readable inside has one fault, at its root
        let unparsable = matches!(rejections.as_slice(), [only] if only.pointer.is_empty());
        let status = if unparsable { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
        let (name, title) = match unparsable {
            true => ("unparsable", "the body cannot be read"),
            false => ("rejected", "the input was rejected"),
        };
        let detail = Trouble::Rejected(rejections.clone()).to_string();
        let mut problem = Problem::new(status, name, title, detail);
        problem.errors =
            rejections.into_iter().map(|r| Fault { pointer: r.pointer, line: r.line, detail: r.text }).collect();
        problem
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Problem {
        let words = trouble.to_string();
        match trouble {
            Trouble::Rejected(rejections) => Problem::rejected(rejections),
            Trouble::NotFound(_) => Problem::not_found(words),
            Trouble::NotPermitted(_) => Problem::forbidden(words),
            Trouble::Stale { current } => {
                let mut problem =
                    Problem::new(StatusCode::PRECONDITION_FAILED, "stale", "the incident changed meanwhile", words);
                problem.current_version = Some(current);
                problem
            }
            Trouble::KeyReused => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "idempotency key reused", words)
            }
            Trouble::NotNow(_) => Problem::new(StatusCode::CONFLICT, "not-now", "not possible as things stand", words),
            Trouble::Store(StoreError::NotFound) => Problem::not_found(words),
            Trouble::Store(StoreError::Conflict { .. } | StoreError::Duplicate { .. } | StoreError::LeaseLost) => {
                Problem::new(StatusCode::CONFLICT, "conflict", "changed by somebody else", words)
            }
            Trouble::Store(_) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-failed", "the store does not answer", words)
            }
        }
    }
}

fn full_name<S: serde::Serializer>(name: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{TYPE_PREFIX}{name}"))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        let mut set = |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, "application/problem+json");
        match status {
            StatusCode::UNAUTHORIZED => drop(set(header::WWW_AUTHENTICATE, "Bearer realm=\"breachclock\"")),
            StatusCode::SERVICE_UNAVAILABLE => drop(set(header::RETRY_AFTER, RETRY_AFTER_SECONDS)),
            _ => {}
        }
        response
    }
}

pub type Answer<T> = Result<T, Problem>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_has_its_status() {
        let fault = |pointer: &str, line| Rejection { pointer: pointer.into(), line, text: "no".into() };
        let cases = [
            (Trouble::Rejected(vec![fault("/title", Some(1))]), 422, "rejected"),
            (Trouble::Rejected(vec![fault("", Some(3))]), 400, "unparsable"),
            (Trouble::NotFound("incident `x`".into()), 404, "not-found"),
            (Trouble::NotPermitted("no".into()), 403, "not-permitted"),
            (Trouble::Stale { current: 4 }, 412, "stale"),
            (Trouble::KeyReused, 422, "key-reused"),
            (Trouble::NotNow("later".into()), 409, "not-now"),
            (Trouble::Store(StoreError::Conflict { stored: None }), 409, "conflict"),
            (Trouble::Store(StoreError::Backend("disk full".into())), 503, "store-failed"),
        ];
        for (trouble, status, name) in cases {
            let words = trouble.to_string();
            let problem = Problem::from(trouble);
            assert_eq!((problem.status, problem.kind), (status, name), "{words}");
            let response = problem.into_response();
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
        }
    }
}
