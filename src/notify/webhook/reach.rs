//! Can a place be reached, without telling it anything? Look-up, guard, connection and TLS are those of a delivery.

use crate::escalation::Outcome;
use crate::notify::http::{Client, Limits, Method, Reach, Request, check_url};
use crate::time::Timestamp;

/// Asks for the root of the address's server and answers the status it gave. Any status will do: the path of `url`, which
/// may be a secret and act, is not called.
///
/// # Errors
/// What went wrong, in words that do not show the path.
pub async fn reach(url: &str, reach: &Reach, now: Timestamp) -> Result<String, String> {
    let mut url = check_url(url, "its address", reach).map_err(|fault| fault.problem)?;
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    let place = url.authority().to_string();
    let client = Client::new(format!("`{place}`"), reach, Limits::default()).map_err(|fault| fault.problem)?;
    match client.send(Request { method: Method::HEAD, url, headers: Vec::new(), body: None }, now).await {
        Ok(answer) => Ok(format!("`{place}` answers {}", answer.status)),
        Err(Outcome::Refused { error } | Outcome::Retry { error, .. }) => Err(error),
        Err(_) => Err(format!("`{place}` gave no answer")),
    }
}
