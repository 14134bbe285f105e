//! Who asks: a bearer token, or for pages a session cookie that holds one. A form posted with a cookie must come from
//! one of our own pages.

use super::Shared;
use super::error::{Answer, Problem};
use crate::store::Store;
use crate::workflow::Caller;
use crate::workflow::accounts::SESSION_HOURS;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;

/// A browser drops a `__Host-` cookie that is not `Secure`, so the name follows the option.
const COOKIE: &str = "breachclock";
const SECURE_COOKIE: &str = "__Host-breachclock";
const HOW: &str = "send `Authorization: Bearer <token>`; `breachclock token create` makes one";

/// The caller of an API request.
pub struct Api(pub Caller);

/// The caller of a page; somebody unknown is sent to the login.
pub struct Visitor(pub Caller);

impl<S: Store> FromRequestParts<Shared<S>> for Api {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Shared<S>) -> Result<Api, Problem> {
        let (token, from_cookie) = match bearer(&parts.headers)? {
            Some(token) => (token, false),
            None => match session_cookie(&parts.headers, web.options.secure_cookies) {
                Some(token) => (token, true),
                None => return Err(Problem::unauthorized(format!("no token; {HOW}"))),
            },
        };
        if from_cookie && changes(&parts.method) {
            same_origin(&parts.headers)?;
        }
        match web.house.authenticate(token, web.now()).await? {
            Some(caller) => Ok(Api(caller)),
            None => {
                let void = web.house.why_void(token, web.now()).await?;
                Err(Problem::unauthorized(format!("{void}; {HOW}")))
            }
        }
    }
}

impl<S: Store> FromRequestParts<Shared<S>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Shared<S>) -> Result<Visitor, Response> {
        match Api::from_request_parts(parts, web).await {
            Ok(Api(caller)) => Ok(Visitor(caller)),
            Err(problem) if problem.status == 401 => {
                // what was typed into a form is kept by `Sent`; this one had nothing but passwords
                let wanted = parts.uri.path_and_query().map_or("/", |p| p.as_str());
                let next = if changes(&parts.method) { "/" } else { wanted };
                Err(super::dashboard::login::first(next))
            }
            Err(problem) => Err(super::dashboard::error_page(&problem, web.now())),
        }
    }
}

/// For readings that the log records: a page of somebody else's makes no entry in the name of who looks at it. Answers 403
/// when another site asks.
pub struct FromHere;

impl<S: Send + Sync> FromRequestParts<S> for FromHere {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<FromHere, Problem> {
        if came_from_elsewhere(&parts.headers) {
            let detail = "another site asked for this, and the log records who took it; open it from here";
            return Err(Problem::forbidden(detail));
        }
        Ok(FromHere)
    }
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn bearer(headers: &HeaderMap) -> Answer<Option<&str>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let unreadable = || Problem::unauthorized(format!("the `Authorization` header cannot be read; {HOW}"));
    let (scheme, token) = value.to_str().map_err(|_| unreadable())?.trim().split_once(' ').ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(unreadable());
    }
    Ok(Some(token.trim()))
}

/// What stands after `Bearer`, if it can be read.
pub fn credential(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).ok().flatten()
}

/// The token in the session's cookie.
pub fn session_cookie(headers: &HeaderMap, secure: bool) -> Option<&str> {
    cookie_named(headers, if secure { SECURE_COOKIE } else { COOKIE })
}

fn cookie_named<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == wanted && !value.is_empty())
        .map(|(_, value)| value)
}

/// The `Set-Cookie` value that opens a session, or with an empty token ends it.
pub fn cookie(token: &str, secure: bool) -> String {
    let (name, flag) = if secure { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let age = if token.is_empty() { 0 } else { SESSION_HOURS * 3600 };
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{flag}")
}

/// The cookie that waits for somebody who was sent to a provider of identities. `Lax`: coming back is a link followed.
const ERRAND: &str = "breachclock-errand";
const SECURE_ERRAND: &str = "__Host-breachclock-errand";
const ERRAND_SECONDS: i64 = 600;

/// The ticket of the login that this browser began at a provider.
pub fn errand(headers: &HeaderMap, secure: bool) -> Option<&str> {
    cookie_named(headers, if secure { SECURE_ERRAND } else { ERRAND })
}

/// The `Set-Cookie` value that keeps a ticket, or with an empty one forgets it.
pub fn errand_cookie(ticket: &str, secure: bool) -> String {
    let (name, flag) = if secure { (SECURE_ERRAND, "; Secure") } else { (ERRAND, "") };
    let age = if ticket.is_empty() { 0 } else { ERRAND_SECONDS };
    format!("{name}={ticket}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{flag}")
}

/// Does the request come from one of our own pages? Browsers say so in `Sec-Fetch-Site`, older ones in `Origin`.
///
/// # Errors
/// 403 when the request comes from elsewhere, or does not say where it comes from.
pub fn same_origin(headers: &HeaderMap) -> Answer<()> {
    if came_from_elsewhere(headers) {
        return Err(Problem::forbidden("this form was sent from another site; open the page here and send it again"));
    }
    if headers.get("sec-fetch-site").is_none() && origin(headers).is_none() {
        let detail =
            "the browser did not say which page this form came from; use https or localhost, or a bearer token";
        return Err(Problem::forbidden(detail));
    }
    Ok(())
}

/// Only what is certainly foreign; for the forms that work without a session.
pub fn came_from_elsewhere(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    origin(headers).is_some_and(|origin| !origin.eq_ignore_ascii_case(host))
}

/// Host and port of `Origin`; `None` also for the opaque origin `null`, which names nobody.
fn origin(headers: &HeaderMap) -> Option<&str> {
    let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
    Some(origin.split_once("://")?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().expect("name"), v.parse().expect("value"))).collect()
    }

    #[test]
    fn forms_from_elsewhere_are_refused() {
        let cases: [(&[(&str, &str)], bool); 8] = [
            (&[("host", "a:1"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "a:1"), ("sec-fetch-site", "none")], true),
            (&[("host", "a:1"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "same-site"), ("origin", "http://a:1")], false),
            (&[("host", "a:1"), ("origin", "http://a:1")], true),
            (&[("host", "a:1"), ("origin", "http://a:2")], false),
            (&[("host", "a:1"), ("origin", "null")], false),
            (&[("host", "a:1")], false),
        ];
        for (pairs, allowed) in cases {
            assert_eq!(same_origin(&headers(pairs)).is_ok(), allowed, "{pairs:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let jar = headers(&[("cookie", "a=b; breachclock=bck_x_y; c=d")]);
        assert_eq!(session_cookie(&jar, false), Some("bck_x_y"));
        assert_eq!(session_cookie(&jar, true), None);
        assert!(cookie("t", true).starts_with("__Host-breachclock=t; Path=/; HttpOnly; SameSite=Lax"));
        assert!(cookie("", false).ends_with("Max-Age=0"));
    }

    #[test]
    fn bearer_is_read_or_refused() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer  abc ")])).expect("read"), Some("abc"));
        assert_eq!(bearer(&HeaderMap::new()).expect("read"), None);
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])).expect_err("refused").status, 401);
    }
}
