//! A provider of identities (OpenID Connect Core 1.0): authorisation code with PKCE (RFC 7636), behind the same guard as every
//! other address.
//!
//! Absent here: what its words mean (`workflow::accounts::federated`), clocks, randomness.

use super::http::{Client, Fault, Limits, Reach, Url, check_url};
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PATIENCE: Limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(10) };
/// Longest answer that is read.
const LONGEST: usize = 256 * 1024;
/// Clocks differ.
const LEEWAY_SECONDS: i64 = 60;
/// What is known of the provider is asked for again after this.
const KNOWN_SECONDS: i64 = 3600;
/// Signatures that are believed: of a public key of the provider's, never of a shared secret, never none.
const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384];

/// How the provider is reached, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// As it names itself; its description is at `/.well-known/openid-configuration` under it.
    pub issuer: String,
    pub client_id: String,
    pub scopes: String,
    /// Where it sends people back to.
    pub redirect: String,
    pub allow_private: bool,
    pub ca_file: Option<PathBuf>,
}

/// What the words of a provider mean here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// How people call it.
    pub label: String,
    /// Claim with the person's groups or roles: a word or a list; dots lead inside.
    pub role_claim: String,
    /// Claim with ids of entities the person is limited to.
    pub entities_claim: Option<String>,
    /// Value of the claim and the role it gives; the strongest counts.
    pub roles: Vec<(String, String)>,
    pub default_role: Option<String>,
}

/// Who somebody is, by the provider's signed word.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    pub claims: Value,
}

/// What goes along with somebody to the provider and comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    pub state: String,
    pub nonce: String,
    /// Secret of PKCE: its hash goes with the person, itself with the code.
    pub verifier: String,
}

pub struct Provider {
    settings: Settings,
    secret: String,
    client: Client,
    description: Url,
    reach: Reach,
    known: Mutex<Option<(Timestamp, Arc<Known>)>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.settings.issuer)
    }
}

struct Known {
    authorization: Url,
    token: Url,
    keys: JwkSet,
}

#[derive(Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    /// Connects to nobody.
    ///
    /// # Errors
    /// When the issuer is no address that may be called.
    pub fn from_settings(settings: &Settings, secret: String) -> Result<Provider, Fault> {
        let reach = Reach {
            allow_private: settings.allow_private,
            allow_plain: settings.allow_private,
            ca_file: settings.ca_file.clone(),
            ..Reach::default()
        };
        let address = format!("{}/.well-known/openid-configuration", settings.issuer);
        let description = check_url(&address, &settings.issuer, &reach)?;
        let client = Client::new(format!("provider `{}`", settings.issuer), &reach, PATIENCE)?;
        Ok(Provider { settings: settings.clone(), secret, client, description, reach, known: Mutex::default() })
    }

    /// Where to send somebody who wants to log in.
    ///
    /// # Errors
    /// When the provider does not answer, in words.
    pub async fn address(&self, errand: &Errand, now: Timestamp) -> Result<String, String> {
        let mut address = self.known(now).await?.authorization.clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(errand.verifier.as_bytes()));
        address.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.settings.redirect),
            ("scope", &self.settings.scopes),
            ("state", &errand.state),
            ("nonce", &errand.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(address.into())
    }

    /// Exchanges the code for the provider's word on who came back.
    ///
    /// # Errors
    /// When the provider refuses the code, or its word cannot be believed.
    pub async fn identity(&self, code: &str, errand: &Errand, now: Timestamp) -> Result<Identity, String> {
        let known = self.known(now).await?;
        let mut form = self.description.clone();
        form.set_query(None);
        form.query_pairs_mut().extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.settings.redirect),
            ("code_verifier", &errand.verifier),
        ]);
        let body = form.query().unwrap_or_default().as_bytes().to_vec();
        // RFC 6749 section 2.3.1: both parts are form-encoded before they are joined
        let pair = format!("{}:{}", encoded(&self.settings.client_id), encoded(&self.secret));
        let basic = format!("Basic {}", STANDARD.encode(pair));
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "application/json"),
            ("authorization", basic.as_str()),
        ];
        let (status, _, answer) = self.client.exchange(known.token.clone(), &headers, body, LONGEST).await?;
        if !status.is_success() {
            return Err(format!("provider `{}` does not take the code: {status}", self.settings.issuer));
        }
        let tokens: Tokens = self.read(&answer, "its answer")?;
        self.believed(&tokens.id_token, &known.keys, &errand.nonce, now)
    }

    /// OpenID Connect Core section 3.1.3.7.
    fn believed(&self, token: &str, keys: &JwkSet, nonce: &str, now: Timestamp) -> Result<Identity, String> {
        let wrong = |why: &str| format!("the word of provider `{}` cannot be believed: {why}", self.settings.issuer);
        let header = jsonwebtoken::decode_header(token).map_err(|error| wrong(&error.to_string()))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(wrong(&format!("it is signed by {:?}", header.alg)));
        }
        let key = match &header.kid {
            Some(id) => keys.find(id),
            // a provider with one key need not name it
            None if keys.keys.len() == 1 => keys.keys.first(),
            None => None,
        };
        let key = key.ok_or_else(|| wrong("the key that signed it is not among those it publishes"))?;
        let key = DecodingKey::from_jwk(key).map_err(|error| wrong(&error.to_string()))?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&self.settings.client_id]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // times are compared with the present that is an argument
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let data =
            jsonwebtoken::decode::<Value>(token, &key, &validation).map_err(|error| wrong(&error.to_string()))?;
        let claims = data.claims;
        let (second, number) = (now.timestamp(), |name: &str| claims[name].as_i64());
        if number("exp").is_none_or(|exp| exp + LEEWAY_SECONDS <= second) {
            return Err(wrong("it has expired"));
        }
        if number("iat").is_some_and(|iat| iat - LEEWAY_SECONDS > second)
            || number("nbf").is_some_and(|nbf| nbf - LEEWAY_SECONDS > second)
        {
            return Err(wrong("it is from the future; compare the clocks"));
        }
        if claims["nonce"].as_str() != Some(nonce) {
            return Err(wrong("it is an answer to somebody else"));
        }
        let several = claims["aud"].as_array().is_some_and(|list| list.len() > 1);
        if several && claims["azp"].as_str() != Some(&self.settings.client_id) {
            return Err(wrong("it was made for another client"));
        }
        let subject = claims["sub"].as_str().unwrap_or_default().to_string();
        Ok(Identity { issuer: self.settings.issuer.clone(), subject, claims })
    }

    async fn known(&self, now: Timestamp) -> Result<Arc<Known>, String> {
        if let Some((at, known)) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && (0..KNOWN_SECONDS).contains(&(now - *at).num_seconds())
        {
            return Ok(known.clone());
        }
        let description: Description = self.get(self.description.clone(), "its description").await?;
        if description.issuer.trim_end_matches('/') != self.settings.issuer {
            return Err(format!(
                "provider `{}` calls itself `{}`; write that as `issuer`",
                self.settings.issuer, description.issuer
            ));
        }
        let url = |text: &str| check_url(text, text, &self.reach).map_err(|fault| fault.problem);
        let keys: JwkSet = self.get(url(&description.jwks_uri)?, "its keys").await?;
        let known = Arc::new(Known {
            authorization: url(&description.authorization_endpoint)?,
            token: url(&description.token_endpoint)?,
            keys,
        });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, known.clone()));
        Ok(known)
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, url: Url, what: &str) -> Result<T, String> {
        let (status, _, answer) = self.client.fetch(url, LONGEST).await?;
        if !status.is_success() {
            return Err(format!("provider `{}` answers {status} to {what}", self.settings.issuer));
        }
        self.read(&answer, what)
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, bytes: &[u8], what: &str) -> Result<T, String> {
        serde_json::from_slice(bytes)
            .map_err(|error| format!("provider `{}`: {what} cannot be read: {error}", self.settings.issuer))
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}
