//! A form of a page as it was sent: by whom, where to, and what was typed. Whoever is not logged in any more gets the login with
//! all of it, so that nothing is lost because a session ended meanwhile.
//!
//! Absent here: sending it again by itself. Somebody looks it over and presses the button.

use super::Shared;
use super::attachments::MAX_FILE;
use super::auth::{Api, same_origin};
use super::dashboard::{error_page, login, unsent};
use super::error::{Answer, Problem};
use super::multipart::{Fields, Room};
use crate::store::Store;
use crate::workflow::Caller;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;

/// Bytes a form may have to be carried through a login; it stands in the page of the login, and is sent with it.
const MOST_CARRIED: usize = 256 << 10;
/// What the login itself sends beside it.
const LOGIN: usize = 8 << 10;

/// A form somebody sent.
pub struct Sent {
    pub caller: Caller,
    /// The path it was sent to.
    pub action: String,
    pub fields: Fields,
}

/// A form on its way through a login.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// Where it is to be sent; empty when there is none.
    pub action: String,
    /// What was typed, as [`Fields::encoded`] writes it; empty when it is too long.
    pub text: String,
    /// How long it may be, when it is longer.
    pub too_long: Option<usize>,
}

impl Sent {
    /// All that was sent.
    ///
    /// # Errors
    /// 413 when a field holds more than is taken, with its name.
    pub fn whole(&self) -> Answer<&Fields> {
        match self.fields.over() {
            Some((field, limit)) => Err(Problem::field_too_large(field, limit)),
            None => Ok(&self.fields),
        }
    }
}

impl Carried {
    fn of<S>(web: &Shared<S>, action: String, fields: &Fields) -> Carried {
        let (text, limit) = (fields.encoded(), MOST_CARRIED.min(web.options.max_body.saturating_sub(LOGIN)));
        // of a file the name is there, and that is all that could be carried
        let lost = fields.over().is_some_and(|(name, _)| fields.get(name).is_none());
        match lost || text.len() > limit {
            true => Carried { action, text: String::new(), too_long: Some(limit) },
            false => Carried { action, text, too_long: None },
        }
    }

    /// What a page of ours sent along with a login; nothing of what another site did.
    pub fn from(fields: &Fields, headers: &axum::http::HeaderMap) -> Carried {
        let word = |name: &str| fields.exact(name).to_string();
        match same_origin(headers) {
            Ok(()) => Carried { action: word("form"), text: word("kept"), too_long: None },
            Err(_) => Carried::default(),
        }
    }

    /// Whether nothing waits for a login.
    pub fn is_none(&self) -> bool {
        self.action.is_empty() || self.too_long.is_some()
    }
}

impl<S: Store> FromRequest<Shared<S>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Shared<S>) -> Result<Sent, Response> {
        let (mut parts, body) = request.into_parts();
        let found = Api::from_request_parts(&mut parts, web).await;
        // what another site sent is not ours to keep: it would be typed by somebody else
        let is_ours = same_origin(&parts.headers).is_ok();
        let action = parts.uri.path().to_string();
        let request = Request::from_parts(parts, body);
        let text = web.options.max_body;
        let problem = match found {
            Ok(Api(caller)) => {
                let fields =
                    Fields::within(request, Room { text, file: MAX_FILE.max(text) }, web.options.patience).await;
                return match fields {
                    Ok(fields) => Ok(Sent { caller, action, fields }),
                    Err(problem) => Err(error_page(&problem, web.now())),
                };
            }
            Err(problem) if !is_ours && problem.status == 401 => return Err(login::first("/")),
            Err(problem) if !is_ours => return Err(error_page(&problem, web.now())),
            Err(problem) => problem,
        };
        // a stranger's files are not worth the memory; a browser has to ask for them again anyway
        let fields = Fields::within(request, Room { text, file: 0 }, web.options.patience).await;
        let fields = match fields {
            Ok(fields) => fields,
            Err(problem) => return Err(error_page(&problem, web.now())),
        };
        match problem.status {
            401 => Err(login::ended(web, Carried::of(web, action, &fields)).await),
            _ => Err(unsent(web, &problem, &action, &fields)),
        }
    }
}
