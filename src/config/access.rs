//! `[access]`, `[tls]`, `[oidc]`: who comes in, and by which door.

use super::{Checker, Secret};
use crate::notify::identity;
use crate::workflow::Role;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccess {
    second_factor: Option<String>,
    second_approver: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    certificate: PathBuf,
    key: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOidc {
    issuer: String,
    client_id: String,
    client_secret: String,
    name: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    role_claim: Option<String>,
    entities_claim: Option<String>,
    /// Value of the claim and the role it gives.
    #[serde(default)]
    roles: BTreeMap<String, String>,
    default_role: Option<String>,
    #[serde(default)]
    allow_private: bool,
    ca_file: Option<PathBuf>,
}

/// Files of the certificate, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The own certificate first, then what leads to its authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A provider of identities, and what its words mean here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    pub provider: identity::Settings,
    pub client_secret: Secret,
    pub meaning: identity::Meaning,
}

impl Checker<'_> {
    /// Whether codes by time, and whether a second approver, are required.
    pub(super) fn access(&mut self, access: Option<RawAccess>) -> (bool, bool) {
        let access = access.unwrap_or_default();
        let factor = self.required("second_factor", access.second_factor.as_deref());
        (factor, self.required("second_approver", access.second_approver.as_deref()))
    }

    fn required(&mut self, key: &str, word: Option<&str>) -> bool {
        match word {
            None | Some("optional") => false,
            Some("required") => true,
            Some(word) => {
                self.fault(word, format!("`{key}` is `{word}`; it may be `optional` or `required`"));
                false
            }
        }
    }

    pub(super) fn tls(&mut self, raw: Option<RawTls>) -> Option<Tls> {
        let raw = raw?;
        let key = match (raw.key.strip_prefix("credential:"), std::env::var_os("CREDENTIALS_DIRECTORY")) {
            (Some(name), Some(dir)) => PathBuf::from(dir).join(name),
            (Some(_), None) => {
                let text = format!(
                    "`{}` needs systemd credentials: start as a service with LoadCredential=, or give a path",
                    raw.key
                );
                self.fault(&raw.key, text);
                return None;
            }
            (None, _) => self.base.join(raw.key.strip_prefix("file:").unwrap_or(&raw.key)),
        };
        Some(Tls { certificate: self.base.join(raw.certificate), key })
    }

    pub(super) fn oidc(&mut self, raw: Option<RawOidc>, public_url: &str) -> Option<Oidc> {
        let raw = raw?;
        let mut roles = Vec::new();
        for (value, word) in raw
            .roles
            .iter()
            .map(|(value, word)| (Some(value), word))
            .chain(raw.default_role.iter().map(|word| (None, word)))
        {
            match Role::parse(word) {
                Some(role) => roles.push((value.cloned(), role)),
                None => self.fault(
                    word,
                    format!("`{word}` is no role; it may be reporter, responder, approver, auditor or admin"),
                ),
            }
        }
        if raw.roles.is_empty() && raw.default_role.is_none() {
            self.fault("oidc", "`[oidc]` gives nobody a role: name some under `[oidc.roles]`, or a `default_role`");
        }
        let provider = identity::Settings {
            issuer: raw.issuer.trim_end_matches('/').to_string(),
            client_id: raw.client_id,
            scopes: if raw.scopes.is_empty() { "openid profile email".into() } else { raw.scopes.join(" ") },
            redirect: format!("{public_url}/login/callback"),
            allow_private: raw.allow_private,
            ca_file: raw.ca_file.map(|file| self.base.join(file)),
        };
        if let Err(fault) = identity::Provider::from_settings(&provider, String::new()) {
            self.fault(&raw.issuer, format!("`[oidc]`: {}", fault.problem));
        }
        let meaning = identity::Meaning {
            label: raw.name.unwrap_or_else(|| "your organisation".into()),
            role_claim: raw.role_claim.unwrap_or_else(|| "roles".into()),
            entities_claim: raw.entities_claim,
            roles: roles.iter().filter_map(|(value, role)| Some((value.clone()?, role.as_str().to_string()))).collect(),
            default_role: roles.iter().find(|(value, _)| value.is_none()).map(|(_, role)| role.as_str().to_string()),
        };
        Some(Oidc { provider, client_secret: self.secret(&raw.client_secret), meaning })
    }
}
