//! `[[ingest]]`: other tools whose webhooks are taken, how each proves itself, and what it may do.

use super::{Checker, Config, ConfigFault, RawEntity};
use crate::ingest::Node;
use crate::ingest::tools::{FIELDS, Mapping, Severity, Tool, is_pointer};
use crate::law::nearest_of;
use crate::notify::Secret;
use crate::rules::{Rulebook, did_you_mean};
use crate::workflow::ingest::Source;
use crate::workflow::senders::Proof;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Shorter secrets can be guessed.
const SECRET_BYTES: usize = 16;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIngest {
    id: String,
    format: String,
    proof: Option<String>,
    #[serde(default)]
    secret: Option<OneOrMore>,
    header: Option<String>,
    username: Option<String>,
    entity: Option<String>,
    #[serde(default)]
    entities: BTreeMap<String, String>,
    opens: Option<String>,
    min_severity: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    detected_is_aware: bool,
    #[serde(default)]
    map: BTreeMap<String, String>,
    #[serde(default)]
    assume: BTreeMap<String, Node>,
}

/// Two secrets are in force while one is exchanged for the other.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Checker<'_> {
    pub(super) fn ingest(&mut self, raw: Vec<RawIngest>, entities: &[RawEntity]) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        for one in raw {
            if sources.iter().any(|source| source.id == one.id) {
                self.fault(&one.id, format!("[[ingest]] `{}` is given twice; give each its own id", one.id));
            }
            sources.extend(self.source(one, entities));
        }
        sources
    }

    fn source(&mut self, raw: RawIngest, entities: &[RawEntity]) -> Option<Source> {
        let id = raw.id.clone();
        // it stands in keys, in the evidence and in addresses
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            self.fault(&id, format!("[[ingest]] `{id}`: write an id of letters, digits, `-` and `_`"));
        }
        let tool = Tool::parse(&raw.format);
        if tool.is_none() {
            let hint = did_you_mean(&nearest_of(&raw.format, Tool::ALL.into_iter().map(Tool::as_str)));
            let known: Vec<&str> = Tool::ALL.into_iter().map(Tool::as_str).collect();
            let text = format!("[[ingest]] `{id}` has format `{}`; there are {}{hint}", raw.format, known.join(", "));
            self.fault(&raw.format, text);
        }
        let proof = self.proof(&raw);
        for entity in raw.entity.iter().chain(raw.entities.values()) {
            if !entities.iter().any(|e| e.id == *entity) {
                let hint = did_you_mean(&nearest_of(entity, entities.iter().map(|e| e.id.as_str())));
                let text = format!("[[ingest]] `{id}` names entity `{entity}`, which no [[entity]] describes{hint}");
                self.fault(entity, text);
            }
        }
        let opens = match raw.opens.as_deref() {
            None | Some("incident") => true,
            Some("nothing") => false,
            Some(other) => {
                self.fault(other, format!("[[ingest]] `{id}` opens `{other}`; it may be `incident` or `nothing`"));
                true
            }
        };
        let min_severity = match raw.min_severity.as_deref() {
            None => Severity::Medium,
            Some(word) => Severity::ALL.into_iter().find(|s| s.as_str() == word).unwrap_or_else(|| {
                let known: Vec<&str> = Severity::ALL.into_iter().map(Severity::as_str).collect();
                let text = format!("[[ingest]] `{id}` has min_severity `{word}`; it may be {}", known.join(", "));
                self.fault(word, text);
                Severity::Medium
            }),
        };
        for (name, pointer) in raw.map.iter().filter(|(_, pointer)| !is_pointer(pointer)) {
            let text = format!(
                "[[ingest]] `{id}` maps `{name}` to `{pointer}`, which is no JSON Pointer; write it like `/alert/title`"
            );
            self.fault(pointer, text);
        }
        if let Some(at) = raw.map.get("reference").filter(|_| tool.is_some_and(|tool| tool != Tool::Generic)) {
            let text = format!("[[ingest]] `{id}` maps `reference`; only `generic` takes it, others have their own");
            self.fault(at, text);
        }
        Some(Source {
            id,
            tool: tool?,
            proof,
            entity: raw.entity,
            entities: raw.entities,
            opens,
            min_severity,
            labels: raw.labels,
            aware: raw.detected_is_aware,
            mapping: Mapping { at: raw.map.into_iter().collect(), assume: raw.assume.into_iter().collect() },
        })
    }

    fn proof(&mut self, raw: &RawIngest) -> Proof {
        let id = &raw.id;
        let written = match &raw.secret {
            None => Vec::new(),
            Some(OneOrMore::One(secret)) => vec![secret.clone()],
            Some(OneOrMore::More(several)) => several.clone(),
        };
        let word = raw.proof.as_deref();
        if written.is_empty() {
            if let Some(word) = word {
                self.fault(word, format!("[[ingest]] `{id}` has proof `{word}` and no `secret`; add it"));
            }
            return Proof::Token;
        }
        let own = match Tool::parse(&raw.format) {
            Some(Tool::PagerDuty) => "pagerduty",
            Some(Tool::Jira) => "hub",
            Some(Tool::Alertmanager) if raw.username.is_some() => "basic",
            _ => "header",
        };
        let word = word.unwrap_or(own);
        let mut secrets = Vec::new();
        for one in written {
            let secret = self.secret(&one).0;
            let enough = match word {
                "standard-webhooks" => BASE64
                    .decode(secret.strip_prefix("whsec_").unwrap_or(&secret))
                    .is_ok_and(|key| key.len() >= SECRET_BYTES),
                _ => secret.len() >= SECRET_BYTES,
            };
            // a file that cannot be read is a fault already
            if !enough && !secret.is_empty() {
                let text = match word {
                    "standard-webhooks" => format!(
                        "the secret of [[ingest]] `{id}` is no `whsec_` and base64 of {SECRET_BYTES} bytes or more"
                    ),
                    _ => format!(
                        "the secret of [[ingest]] `{id}` is shorter than {SECRET_BYTES} characters; make a longer one"
                    ),
                };
                self.fault(&one, text);
            }
            secrets.push(Secret::new(secret));
        }
        if raw.header.is_some() && word != "header" {
            self.fault("header", format!("[[ingest]] `{id}` names a `header`, which proof `{word}` does not have"));
        }
        if raw.username.is_some() && word != "basic" {
            self.fault("username", format!("[[ingest]] `{id}` names a `username`, which proof `{word}` does not have"));
        }
        match word {
            "pagerduty" => Proof::PagerDuty(secrets),
            "hub" => Proof::Hub(secrets),
            "standard-webhooks" => Proof::StandardWebhooks(secrets),
            "header" => {
                let name = raw.header.as_deref().unwrap_or("authorization").to_ascii_lowercase();
                Proof::Header { name, secrets }
            }
            "basic" => {
                let username = raw.username.clone().unwrap_or_else(|| {
                    self.fault(id, format!("[[ingest]] `{id}` has proof `basic` and no `username`; add it"));
                    String::new()
                });
                Proof::Basic { username, secrets }
            }
            other => {
                let hint = did_you_mean(&nearest_of(other, Proof::WORDS.into_iter()));
                let text =
                    format!("[[ingest]] `{id}` has proof `{other}`; there are {}{hint}", Proof::WORDS.join(", "));
                self.fault(other, text);
                Proof::Token
            }
        }
    }
}

/// Facts that mappings name and nobody declares.
pub(super) fn unknown_facts<'a>(config: &'a Config, book: &'a Rulebook) -> impl Iterator<Item = ConfigFault> + 'a {
    let keys = config.ingest.iter().flat_map(|source| {
        let mapped = source.mapping.at.iter().map(|(name, _)| name).filter(|name| !FIELDS.contains(&name.as_str()));
        mapped.chain(source.mapping.assume.iter().map(|(key, _)| key)).map(|key| (source.id.as_str(), key))
    });
    keys.filter(|(_, key)| book.catalogue().kind(key).is_none()).map(|(id, key)| {
        let near: Vec<&str> = book.catalogue().nearest(key);
        let text = format!("[[ingest]] `{id}`: no fact has the key `{key}`{}", did_you_mean(&near));
        ConfigFault { file: config.file.clone(), line: 0, text }
    })
}
