//! Answers that only the HTTP face gives; the others are what the verbs of [`workflow`](crate::workflow) answer.

use super::openapi::Entry;
use crate::evidence::register::Scope;
use crate::evidence::register::statistics::Statistics;
use crate::rules::utc;
use crate::store::TokenRecord;
use crate::time::Timestamp;
use crate::workflow::erase::{FieldView, LegalHold};
use crate::workflow::{AccountView, Caller, Page, Role};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A list that is always whole.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct Items<T> {
    pub items: Vec<T>,
}

/// Evidence entries.
#[derive(Serialize, JsonSchema)]
pub struct Entries {
    #[schemars(with = "Vec<Entry>")]
    pub items: Vec<Value>,
    /// Where to go on; null on the last page.
    pub next: Option<u64>,
}

/// Who asks, as the server sees it.
#[derive(Serialize, JsonSchema)]
pub struct Me {
    /// As which acts are recorded.
    pub name: String,
    #[schemars(with = "Role")]
    pub role: &'static str,
    /// Entities it is limited to; empty means all.
    pub entities: Vec<String>,
}

impl From<Caller> for Me {
    fn from(caller: Caller) -> Me {
        Me { name: caller.name, role: caller.role.as_str(), entities: caller.entities }
    }
}

/// An account with its invitation.
#[derive(Serialize, JsonSchema)]
pub struct Invited {
    pub account: AccountView,
    /// Its address works once, for seven days.
    #[schemars(extend("format" = "uri"))]
    pub invitation: String,
}

/// A token without its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub struct TokenView {
    pub id: String,
    /// Of a caller; `calendar` for a subscription.
    pub role: String,
    pub label: String,
    /// Entities it is limited to; empty means all.
    pub entities: Vec<String>,
    #[schemars(with = "Timestamp")]
    pub created_at: String,
    #[schemars(with = "Option<Timestamp>")]
    pub expires_at: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub revoked_at: Option<String>,
}

impl From<&TokenRecord> for TokenView {
    fn from(token: &TokenRecord) -> TokenView {
        TokenView {
            id: token.id.clone(),
            role: token.role.clone(),
            label: token.label.clone(),
            entities: token.entities.clone(),
            created_at: utc(token.created_at),
            expires_at: token.expires_at.map(utc),
            revoked_at: token.revoked_at.map(utc),
        }
    }
}

/// A token with its text.
#[derive(Serialize, JsonSchema)]
pub struct CreatedToken {
    #[serde(flatten)]
    pub record: TokenView,
    /// Shown once.
    pub token: String,
}

/// A token that was ended.
#[derive(Serialize, JsonSchema)]
pub struct Revoked {
    pub id: String,
    #[schemars(extend("const" = true))]
    pub revoked: bool,
}

/// What is personal about an incident, and the hold on it.
#[derive(Serialize, JsonSchema)]
pub struct PersonalFields {
    #[serde(flatten)]
    pub page: Page<FieldView>,
    pub hold: Option<LegalHold>,
}

/// The numbers of the register.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegisterStatistics")]
pub struct Numbers {
    pub scope: Scope,
    pub statistics: Statistics,
}

/// Whether the daemon is ready.
#[derive(Serialize, JsonSchema)]
pub struct Readiness {
    pub ready: bool,
    /// Why it is not ready.
    pub faults: Vec<String>,
    /// What does not stop it: a time-stamping authority or a watchdog that does not answer.
    pub warnings: Vec<String>,
}
