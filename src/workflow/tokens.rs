//! Bearer tokens of the API, and the signed links in messages.

use super::accounts::{SESSION, manages};
use super::{Answered, Caller, House, Right, Role, Trouble};
use crate::detail;
use crate::escalation::Message;
use crate::evidence::{Id, ids};
use crate::law::IncidentId;
use crate::rules::utc;
use crate::store::{Change, Changeset, Store, TokenRecord};
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// Tokens begin so, that scanners of leaked secrets can find them.
const PREFIX: &str = "bck_";
/// A link in a message works this long after the limit it is about, or after the message.
const LINK_LIFE: Duration = Duration::days(14);
/// What the links in messages are signed for.
const LINKS: &str = "acknowledgement links";
/// Truncated HMAC-SHA-256: 128 bits.
const MAC_BYTES: usize = 16;

/// What a link in a message entitles to: one person, these obligations, until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckClaims {
    #[serde(rename = "i")]
    pub incident: String,
    #[serde(rename = "o")]
    pub obligations: Vec<String>,
    #[serde(rename = "p")]
    pub person: String,
    #[serde(rename = "x", with = "chrono::serde::ts_seconds")]
    pub expires: Timestamp,
}

/// Why a token opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Void {
    /// Nobody has it here; a session that ended is told apart from it by nobody either.
    Unknown,
    Expired {
        label: String,
        at: Timestamp,
    },
    Revoked {
        label: String,
        at: Timestamp,
    },
}

impl Void {
    fn of(found: Option<&TokenRecord>, now: Timestamp) -> Void {
        let Some(token) = found.filter(|token| Role::parse(&token.role).is_some()) else { return Void::Unknown };
        let label = token.label.clone();
        match (token.revoked_at, token.expires_at) {
            (Some(at), _) => Void::Revoked { label, at },
            (None, Some(at)) if at <= now => Void::Expired { label, at },
            _ => Void::Unknown,
        }
    }

    /// As whose its use is recorded.
    fn actor(&self) -> String {
        match self {
            Void::Unknown => "nobody".to_string(),
            Void::Expired { label, .. } | Void::Revoked { label, .. } => format!("token:{label}"),
        }
    }
}

impl fmt::Display for Void {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Void::Unknown => f.write_str("the token is unknown, expired or revoked"),
            Void::Expired { label, at } => write!(f, "the token `{label}` expired at {}", utc(*at)),
            Void::Revoked { label, at } => write!(f, "the token `{label}` was revoked at {}", utc(*at)),
        }
    }
}

/// A token to be made.
pub(super) struct Minted<'a> {
    pub prefix: &'static str,
    /// A role's word, or that of something which is no caller.
    pub role: &'static str,
    /// Type of the evidence entry.
    pub kind: &'static str,
    pub label: &'a str,
    pub entities: Vec<String>,
    pub expires_at: Option<Timestamp>,
}

impl<S: Store> House<S> {
    /// Makes a token and answers its text, which is kept nowhere.
    pub async fn create_token(
        &self,
        caller: &Caller,
        role: Role,
        label: &str,
        entities: Vec<String>,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Answered<(TokenRecord, String)> {
        self.permit(caller, Right::Administer)?;
        self.within(caller, &entities)?;
        let role = role.as_str();
        let minted = Minted { prefix: PREFIX, role, kind: "token.created", label, entities, expires_at };
        self.mint(caller, minted, now).await
    }

    /// The caller's right is checked already.
    pub(super) async fn mint(
        &self,
        caller: &Caller,
        minted: Minted<'_>,
        now: Timestamp,
    ) -> Answered<(TokenRecord, String)> {
        let Minted { prefix, role, kind, label, entities, expires_at } = minted;
        let mut secret = [0u8; 32];
        self.entropy.fill(&mut secret);
        let id = self.ulid(now);
        let text = format!("{prefix}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        let detail = detail! { "token": Id::new(&id), "role": role, "entities": ids(&entities) };
        let record = TokenRecord {
            id,
            sha256: Sha256::digest(text.as_bytes()).into(),
            role: role.to_string(),
            label: label.to_string(),
            entities,
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        let first = self.draft_system(kind, &caller.name, detail, now);
        self.commit(Changeset { change: Change::Token(record.clone()), first, more: Vec::new() }).await?;
        self.forget_known();
        Ok((record, text))
    }

    /// The token with this hash, if it is in force.
    pub(super) async fn token_of(&self, digest: &[u8; 32], now: Timestamp) -> Answered<Option<TokenRecord>> {
        let mut known = self.known(now).await?;
        if !known.tokens.iter().any(|t| t.sha256 == *digest) {
            // perhaps it was made a moment ago by somebody else
            known = self.known_again(now).await?;
        }
        let valid = |t: &TokenRecord| t.revoked_at.is_none() && t.expires_at.is_none_or(|at| at > now);
        Ok(known.tokens.iter().find(|t| bool::from(t.sha256.ct_eq(digest)) && valid(t)).cloned())
    }

    pub async fn revoke_token(&self, caller: &Caller, id: &str, now: Timestamp) -> Answered<()> {
        self.permit(caller, Right::Administer)?;
        let mut record = self
            .store
            .tokens()
            .await?
            .into_iter()
            .find(|t| t.id == id && t.role != SESSION && manages(caller, &t.entities))
            .ok_or_else(|| Trouble::NotFound(format!("token `{id}`")))?;
        record.revoked_at = Some(now);
        let first = self.draft_system("token.revoked", &caller.name, detail! { "token": Id::new(id) }, now);
        self.commit(Changeset { change: Change::Token(record), first, more: Vec::new() }).await?;
        self.forget_known();
        Ok(())
    }

    pub async fn tokens(&self, caller: &Caller) -> Answered<Vec<TokenRecord>> {
        self.permit(caller, Right::Administer)?;
        let mut tokens = self.store.tokens().await?;
        tokens.retain(|t| t.role != SESSION && manages(caller, &t.entities));
        Ok(tokens)
    }

    /// Who a token or a session speaks for; `None` when it is unknown, expired or revoked.
    pub async fn authenticate(&self, token: &str, now: Timestamp) -> Answered<Option<Caller>> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let Some(record) = self.token_of(&digest, now).await? else { return Ok(None) };
        if record.role == SESSION {
            return Ok(Self::caller_of(&record, &*self.known(now).await?));
        }
        let named = |role| Caller { name: format!("token:{}", record.label), role, entities: record.entities.clone() };
        Ok(Role::parse(&record.role).map(named))
    }

    /// Why a token that [`authenticate`](House::authenticate) does not take opens nothing. Only who has it is told: it is found
    /// by its whole text.
    pub async fn why_void(&self, token: &str, now: Timestamp) -> Answered<Void> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.known(now).await?;
        Ok(Void::of(known.tokens.iter().find(|t| bool::from(t.sha256.ct_eq(&digest))), now))
    }

    /// Records that somebody came with such a token.
    pub async fn record_void(&self, void: &Void, now: Timestamp) -> Answered<()> {
        self.refused_at("access.refused", &void.actor(), "token", now).await
    }

    /// The token of the link in a message.
    pub(super) fn ack_token(
        &self,
        incident: &IncidentId,
        obligations: Vec<String>,
        person: &str,
        message: &Message,
    ) -> String {
        let until = message.brief.conservative_due.map_or(message.created_at, |due| due.max(message.created_at));
        let claims = AckClaims {
            incident: incident.0.clone(),
            obligations,
            person: person.to_string(),
            expires: until + LINK_LIFE,
        };
        let payload = serde_json::to_vec(&claims).unwrap_or_default();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(self.mac(LINKS, &payload)))
    }

    /// What a link entitles to. One that is ours and has expired answers [`Trouble::NotNow`].
    pub(super) fn read_ack_token(&self, token: &str, now: Timestamp) -> Answered<AckClaims> {
        let claims = self.ack_claims(token)?;
        if claims.expires <= now {
            return Err(Trouble::NotNow("this link has expired; open the obligation on the board".into()));
        }
        Ok(claims)
    }

    /// The claims of a link that is ours, expired or not.
    pub(super) fn ack_claims(&self, token: &str) -> Answered<AckClaims> {
        let invalid = || {
            Trouble::NotFound(
                "such link: it is incomplete or not ours; open the newest message about this obligation".into(),
            )
        };
        let (payload, mac) = token.split_once('.').ok_or_else(invalid)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| invalid())?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| invalid())?;
        if !bool::from(self.mac(LINKS, &payload).ct_eq(mac.as_slice())) {
            return Err(invalid());
        }
        serde_json::from_slice(&payload).map_err(|_| invalid())
    }

    /// Signs what is handed out and comes back. What was signed for one purpose is nothing for another.
    pub(super) fn mac(&self, purpose: &'static str, payload: &[u8]) -> Vec<u8> {
        // a key of its own, derived from the log key (its Ed25519 signature is deterministic and never published)
        let label = format!("breachclock {purpose} v1");
        let key = Sha256::new().chain_update(&label).chain_update(self.log_key.sign(label.as_bytes())).finalize();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        mac.update(payload);
        mac.finalize().into_bytes()[..MAC_BYTES].to_vec()
    }
}
