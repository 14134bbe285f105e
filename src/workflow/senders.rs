//! How another tool proves that a delivery is its own, when it has no token: its signature or the secret we share.

use crate::notify::Secret;
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// A signed time may differ from ours by so much: older deliveries are somebody's recording.
const TOLERANCE_SECONDS: i64 = 300;

/// How a sender proves itself. Each holds the secrets in force: two while one is exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Only by a token of ours.
    Token,
    /// PagerDuty V3: `X-PagerDuty-Signature: v1=<hex>,…` over the body.
    PagerDuty(Vec<Secret>),
    /// WebSub, as Jira and many others: `X-Hub-Signature: sha256=<hex>` over the body, also `X-Hub-Signature-256`.
    Hub(Vec<Secret>),
    /// Standard Webhooks 1.0.0 with `whsec_` secrets.
    StandardWebhooks(Vec<Secret>),
    /// The secret itself in a header, in lower case; after `Bearer ` as well.
    Header { name: String, secrets: Vec<Secret> },
    /// `Authorization: Basic`.
    Basic { username: String, secrets: Vec<Secret> },
}

impl Proof {
    /// As in the configuration.
    pub const WORDS: [&str; 5] = ["pagerduty", "hub", "standard-webhooks", "header", "basic"];

    /// Did whoever holds the secret send this? `headers` by their names in lower case; several of one name joined by commas.
    pub fn holds(&self, headers: &BTreeMap<String, String>, body: &[u8], now: Timestamp) -> bool {
        let header = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
        match self {
            Proof::Token => false,
            Proof::PagerDuty(secrets) => {
                let given = header("x-pagerduty-signature").split(',').filter_map(|one| one.trim().strip_prefix("v1="));
                any(secrets, given.filter_map(unhex), |secret| hmac(secret.as_bytes(), &[body]))
            }
            Proof::Hub(secrets) => {
                let given = ["x-hub-signature-256", "x-hub-signature"];
                let given = given.iter().flat_map(|name| header(name).split(','));
                let given = given.filter_map(|one| unhex(one.trim().strip_prefix("sha256=")?));
                any(secrets, given, |secret| hmac(secret.as_bytes(), &[body]))
            }
            Proof::StandardWebhooks(secrets) => {
                let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
                let fresh = at.parse::<i64>().is_ok_and(|at| (now.timestamp() - at).abs() <= TOLERANCE_SECONDS);
                let given = header("webhook-signature").split(' ').filter_map(|one| one.trim().strip_prefix("v1,"));
                let sign = |secret: &str| {
                    let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).unwrap_or_default();
                    hmac(&key, &[id.as_bytes(), b".", at.as_bytes(), b".", body])
                };
                fresh && !id.is_empty() && any(secrets, given.filter_map(|one| BASE64.decode(one).ok()), sign)
            }
            Proof::Header { name, secrets } => {
                let given = header(name).trim();
                let given = [Some(given), given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("bearer "))];
                let given =
                    given.into_iter().flatten().filter(|one| !one.is_empty()).map(|one| one.as_bytes().to_vec());
                any(secrets, given, |secret| secret.as_bytes().to_vec())
            }
            Proof::Basic { username, secrets } => {
                let (scheme, encoded) = header("authorization").trim().split_once(' ').unwrap_or_default();
                let decoded =
                    scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(encoded.trim()).ok()).flatten();
                any(secrets, decoded.into_iter(), |secret| format!("{username}:{secret}").into_bytes())
            }
        }
    }
}

/// Does one of the given proofs equal what one of the secrets makes? Compared in constant time.
fn any(secrets: &[Secret], given: impl Iterator<Item = Vec<u8>>, made: impl Fn(&str) -> Vec<u8>) -> bool {
    let wanted: Vec<Vec<u8>> =
        secrets.iter().filter(|secret| !secret.expose().is_empty()).map(|secret| made(secret.expose())).collect();
    // a handful: a header of a thousand signatures is a search
    given.take(8).any(|given| wanted.iter().any(|wanted| bool::from(given.ct_eq(wanted.as_slice()))))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    crate::evidence::unhex32(&text.to_ascii_lowercase()).map(|bytes| bytes.to_vec())
}
