//! `[[witness]]`: who outside sees every state of the log, and would notice a second one.

use super::Checker;
use crate::evidence::Cosigner;
use crate::evidence::cosign::MOST_LINES;
use crate::notify::witness::{Settings, Witness};
use serde::Deserialize;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitness {
    url: String,
    key: String,
    #[serde(default)]
    allow_private: bool,
}

/// A note has sixteen lines that everybody reads; two are the log's when its key changes.
const MOST: usize = MOST_LINES - 2;

impl Checker<'_> {
    pub(super) fn witnesses(&mut self, raw: Vec<RawWitness>, origin: &str) -> Vec<Settings> {
        let mut found: Vec<Settings> = Vec::new();
        for one in raw {
            let Some(settings) = self.witness(&one, origin) else { continue };
            if found.iter().any(|other| other.url == settings.url) {
                self.fault(&one.url, format!("`{}` is the `url` of two witnesses; ask each witness once", one.url));
            } else if found.iter().any(|other| other.key.name == settings.key.name) {
                self.fault(&one.key, format!("two witnesses have a key of the name `{}`; keep one", settings.key.name));
            } else {
                found.push(settings);
            }
        }
        if found.len() > MOST {
            self.fault("witness", format!("there are {} witnesses; name {MOST} at most", found.len()));
        }
        found
    }

    fn witness(&mut self, raw: &RawWitness, origin: &str) -> Option<Settings> {
        let key = match Cosigner::from_vkey(raw.key.trim()) {
            Ok(key) => key,
            Err(error) => {
                self.fault(&raw.key, format!("`key` of the witness `{}`: {error}", raw.url));
                return None;
            }
        };
        if key.name == origin {
            self.fault(&raw.key, format!("the witness has the name of the log, `{origin}`; it must be somebody else"));
            return None;
        }
        let encrypted = raw.url.starts_with("https://");
        let plain_inside = raw.allow_private && raw.url.starts_with("http://");
        if !encrypted && !plain_inside {
            let text = format!(
                "the witness `{}` has the `url` `{}`; write the https address of its submission prefix, or add \
                 `allow_private = true` for one inside your network",
                key.name, raw.url
            );
            self.fault(&raw.url, text);
            return None;
        }
        let url = raw.url.trim_end_matches('/').to_string();
        let settings = Settings { url, key, allow_private: raw.allow_private };
        if let Err(fault) = Witness::from_settings(&settings) {
            let text = format!("`{}` of the witness `{}`: {}", fault.key, settings.key.name, fault.problem);
            self.fault(&raw.url, text);
            return None;
        }
        Some(settings)
    }
}
