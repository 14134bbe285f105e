//! `[timestamp]`: who outside witnesses the log, and how often.

use super::Checker;
use crate::escalation::duration;
use crate::notify::authority::{Authority, Settings};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimestamp {
    /// Each a URL, or a table with more about it.
    #[serde(default)]
    authorities: Vec<toml::Value>,
    interval: Option<String>,
}

/// Checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// In the order in which they are asked.
    pub authorities: Vec<Settings>,
    /// Longest time between an entry and a time stamp over it; what matters is stamped at once.
    pub interval_seconds: i64,
}

const INTERVAL_SECONDS: i64 = 3600;
/// Authorities that cost nothing ask not to be called more often.
const SHORTEST_SECONDS: i64 = 60;
const LONGEST_SECONDS: i64 = 86_400;
const KEYS: [&str; 5] = ["url", "name", "ca_file", "allow_private", "plain_http"];

impl Checker<'_> {
    pub(super) fn timestamp(&mut self, raw: Option<RawTimestamp>) -> Timestamps {
        let raw = raw.unwrap_or_default();
        let interval_seconds = raw.interval.as_deref().map_or(Ok(INTERVAL_SECONDS), duration).unwrap_or_else(|error| {
            self.fault("interval", error);
            INTERVAL_SECONDS
        });
        if !(SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&interval_seconds) {
            self.fault("interval", "`[timestamp].interval` is from `1m` to `1d`");
        }
        let mut names = BTreeSet::new();
        let mut authorities = Vec::new();
        for value in raw.authorities {
            let Some(mut settings) = self.authority(&value) else { continue };
            let (base, mut n) = (settings.name.clone(), 1);
            while !names.insert(settings.name.clone()) {
                n += 1;
                settings.name = format!("{base}-{n}");
            }
            authorities.push(settings);
        }
        Timestamps { authorities, interval_seconds }
    }

    fn authority(&mut self, value: &toml::Value) -> Option<Settings> {
        let table = match value {
            toml::Value::String(url) => toml::Table::from_iter([("url".to_string(), url.clone().into())]),
            toml::Value::Table(table) => table.clone(),
            other => {
                let text = format!(
                    "`[timestamp].authorities` has `{other}`; write an address, or a table `{{ url = \"https://…\" }}`"
                );
                self.fault("authorities", text);
                return None;
            }
        };
        if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let text =
                format!("an authority has no `{unknown}`; it has {}", KEYS.map(|key| format!("`{key}`")).join(", "));
            self.fault(unknown, text);
            return None;
        }
        let words = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_string);
        let flag = |key: &str| table.get(key).and_then(toml::Value::as_bool);
        let Some(url) = words("url") else {
            self.fault("authorities", "an authority of `[timestamp]` has no `url`; write its address");
            return None;
        };
        for key in table.keys() {
            let (good, kind) = match key.as_str() {
                "allow_private" | "plain_http" => (flag(key).is_some(), "true or false"),
                _ => (words(key).is_some(), "a text in quotes"),
            };
            if !good {
                self.fault(key, format!("`{key}` of the authority `{url}` is {kind}"));
                return None;
            }
        }
        let (allow_private, plain_http) = (flag("allow_private").unwrap_or(false), flag("plain_http").unwrap_or(false));
        if !url.starts_with("https://") && !(url.starts_with("http://") && (plain_http || allow_private)) {
            let text = format!(
                "`[timestamp].authorities` has `{url}`; write the https address of a time-stamping authority, or add \
                 `plain_http = true` for one that has none: its answers are signed"
            );
            self.fault(&url, text);
            return None;
        }
        let name = words("name").unwrap_or_else(|| host(&url));
        if name.is_empty()
            || name.starts_with(['.', '-'])
            || !name.bytes().all(|c| c.is_ascii_alphanumeric() || b".-".contains(&c))
            || name.len() > 100
        {
            self.fault(&name, format!("`{name}` cannot name an authority: use letters, digits, `.` and `-`"));
            return None;
        }
        let settings = Settings {
            name,
            ca_file: words("ca_file").map(|file| self.base.join(file)),
            allow_private,
            plain_http,
            url,
        };
        if let Err(fault) = Authority::from_settings(&settings) {
            let (named, text) = match fault.key.as_str() {
                "ca_file" => (words("ca_file").unwrap_or_default(), fault.problem),
                key => (settings.url.clone(), format!("`{key}` of the authority {}", fault.problem)),
            };
            self.fault(&named, text);
            return None;
        }
        Some(settings)
    }
}

/// The host of an address, as a name.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}
