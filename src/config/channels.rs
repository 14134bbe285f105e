//! The `[[channel]]` tables and people's addresses on them. What each kind takes is said by `notify::channel`; here its
//! settings are read, their secrets resolved, and every fault is put at its line.

use super::{Checker, ConfigFault};
use crate::escalation::Person;
use crate::notify::Secret;
use crate::notify::channel::{KINDS, Settings};
use crate::rules::did_you_mean;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::{Spanned, Value};

/// A table as written, with the line of each setting.
pub(super) struct Raw {
    settings: BTreeMap<String, Value>,
    /// Where each setting begins: a byte, and once the file is known, its line.
    spots: BTreeMap<String, usize>,
    file: String,
    line: usize,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        let table = Spanned::<BTreeMap<Spanned<String>, Spanned<Value>>>::deserialize(deserializer)?;
        let mut raw =
            Raw { line: table.span().start, settings: BTreeMap::new(), spots: BTreeMap::new(), file: String::new() };
        for (key, value) in table.into_inner() {
            raw.spots.insert(key.get_ref().clone(), key.span().start);
            raw.settings.insert(key.into_inner(), value.into_inner());
        }
        Ok(raw)
    }
}

impl Raw {
    /// Tells it the file it was read from.
    pub(super) fn place(&mut self, text: &str, file: &str) {
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        self.file = file.to_string();
        self.line = line(self.line);
        self.spots.values_mut().for_each(|at| *at = line(*at));
    }

    fn fault(&self, setting: &str, text: String) -> ConfigFault {
        let line = self.spots.get(setting).copied().unwrap_or(self.line);
        ConfigFault { file: self.file.clone(), line, text }
    }
}

impl Checker<'_> {
    /// The channels, checked as far as that needs no file but secrets.
    pub(super) fn channels(&mut self, raw: Vec<Raw>) -> Vec<Settings> {
        let mut found: Vec<Settings> = Vec::new();
        for one in raw {
            let before = self.faults.len();
            let settings = self.channel(&one);
            if found.iter().any(|other| other.id == settings.id) {
                let text = format!("the channel id `{}` is used twice; give each channel its own", settings.id);
                self.faults.push(one.fault("id", text));
            }
            // what is wrong with the whole shows only when the parts could be read
            if self.faults.len() == before
                && let Err(fault) = settings.check()
            {
                let text = format!("channel `{}`, `{}`: {}", settings.id, fault.key, fault.problem);
                self.faults.push(one.fault(&fault.key, text));
            }
            found.push(settings);
        }
        found
    }

    fn channel(&mut self, raw: &Raw) -> Settings {
        let mut settings = Settings::default();
        let text = |key: &str| raw.settings.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        (settings.id, settings.kind) = (text("id"), text("kind"));
        for key in ["id", "kind"] {
            if !raw.settings.contains_key(key) {
                let form = match key {
                    "id" => "`id = \"ops-room\"`".to_string(),
                    _ => format!("`kind = {}`", KINDS.map(|kind| format!("\"{}\"", kind.name)).join("` or `")),
                };
                self.faults.push(raw.fault(key, format!("a channel needs `{key}`; write {form}")));
            }
        }
        if raw.settings.contains_key("kind") && settings.known_kind().is_none() {
            let near = crate::law::nearest_of(&settings.kind, KINDS.iter().map(|kind| kind.name));
            let names = KINDS.map(|kind| format!("`{}`", kind.name)).join(", ");
            let hint = did_you_mean(&near);
            let text = format!("`{}` is no kind of channel; there are {names}{hint}", settings.kind);
            self.faults.push(raw.fault("kind", text));
        }
        for (key, value) in &raw.settings {
            match (key.as_str(), value) {
                ("id" | "kind", Value::String(_)) => {}
                ("allow_private", Value::Boolean(allow)) => settings.reach.allow_private = *allow,
                ("allow_hosts", Value::Array(hosts)) if hosts.iter().all(Value::is_str) => {
                    settings.reach.allow_hosts = hosts.iter().filter_map(Value::as_str).map(str::to_string).collect();
                }
                ("ca_file", Value::String(file)) => settings.reach.ca_file = Some(self.base.join(PathBuf::from(file))),
                ("headers", Value::Table(headers)) if headers.values().all(Value::is_str) => {
                    for (name, value) in headers {
                        let value = self.channel_secret(raw, key, value.as_str().unwrap_or_default());
                        settings.headers.insert(name.clone(), value);
                    }
                }
                ("allow_private" | "allow_hosts" | "headers", _) => {
                    let form = match key.as_str() {
                        "allow_private" => "true or false",
                        "allow_hosts" => "a list of host names, [\"hooks.example.org\"]",
                        _ => "a table of texts, { Content-Type = \"application/json\" }",
                    };
                    self.faults.push(raw.fault(key, format!("`{key}` is {}; write {form}", shown(value))));
                }
                (_, Value::String(text)) => {
                    let value = self.channel_secret(raw, key, text);
                    settings.values.insert(key.clone(), value);
                }
                _ => self.faults.push(raw.fault(key, format!("`{key}` is {}; write a text", shown(value)))),
            }
        }
        settings
    }

    /// A secret, with its fault at the line of the channel's setting.
    fn channel_secret(&mut self, raw: &Raw, key: &str, value: &str) -> Secret {
        let before = self.faults.len();
        let secret = self.secret(value);
        for fault in &mut self.faults[before..] {
            *fault = raw.fault(key, std::mem::take(&mut fault.text));
        }
        Secret::new(secret.0)
    }

    /// Every address of a person belongs to a channel and has its form.
    pub(super) fn addresses(&mut self, people: &[Person], channels: &[Settings]) {
        for person in people {
            for (id, address) in &person.addresses {
                let written = format!("{id} = \"{address}\"");
                let spot =
                    if self.texts.iter().any(|(_, text)| text.contains(&written)) { written } else { address.clone() };
                let Some(channel) = channels.iter().find(|channel| channel.id == *id) else {
                    let near = crate::law::nearest_of(id, channels.iter().map(|channel| channel.id.as_str()));
                    let hint = did_you_mean(&near);
                    let text = format!(
                        "person `{}` has an address on `{id}`, which no [[channel]] describes{hint}",
                        person.id
                    );
                    self.fault(&spot, text);
                    continue;
                };
                if let Err(problem) = channel.check_address(Some(address)) {
                    self.fault(&spot, format!("person `{}`, address on `{id}`: {problem}", person.id));
                }
            }
        }
    }
}

fn shown(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
