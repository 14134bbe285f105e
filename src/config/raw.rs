//! The configuration as it is written: the tables of one file, and an included file laid over the first.

use super::people::{RawGroup, RawRota};
use super::policies::{RawPolicy, RawRoute};
use super::{ConfigFault, Registered, contracts};
use crate::escalation::Person;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::{Path, PathBuf};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    #[serde(default)]
    pub include: Vec<String>,
    pub server: Option<RawServer>,
    pub data: Option<RawData>,
    pub log: Option<RawLog>,
    pub rules: Option<RawRules>,
    pub smtp: Option<RawSmtp>,
    pub inbound: Option<RawInbound>,
    #[serde(default)]
    pub webhook: Vec<RawWebhook>,
    #[serde(default)]
    pub channel: Vec<super::channels::Raw>,
    #[serde(default)]
    pub entity: Vec<RawEntity>,
    #[serde(default)]
    pub person: Vec<Person>,
    #[serde(default)]
    pub rota: Vec<RawRota>,
    #[serde(default)]
    pub group: Vec<RawGroup>,
    #[serde(default)]
    pub policy: Vec<RawPolicy>,
    #[serde(default)]
    pub route: Vec<RawRoute>,
    /// Named here because unknown keys are errors; read with their lines, see `contracts`.
    #[serde(default, rename = "contract")]
    pub _contract: Vec<IgnoredAny>,
    #[serde(skip)]
    pub register: Vec<Registered>,
    #[serde(default)]
    pub contracts_csv: Vec<PathBuf>,
    pub contracts: Option<RawContracts>,
    pub watchdog: Option<super::watchdog::RawWatchdog>,
    pub backup: Option<super::backup::RawBackup>,
    #[serde(default)]
    pub digest: Vec<super::digests::RawDigest>,
    #[serde(default)]
    pub ingest: Vec<super::ingest::RawIngest>,
    pub timestamp: Option<super::timestamp::RawTimestamp>,
    #[serde(default)]
    pub witness: Vec<super::witness::RawWitness>,
    pub store: Option<super::store::RawStore>,
    pub retention: Option<super::retention::RawRetention>,
    pub access: Option<super::access::RawAccess>,
    pub tls: Option<super::access::RawTls>,
    pub oidc: Option<super::access::RawOidc>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawServer {
    pub listen: Option<String>,
    pub public_url: Option<String>,
    #[serde(default)]
    pub behind_proxy: bool,
    pub max_body: Option<usize>,
    pub patience: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawData {
    pub dir: PathBuf,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawLog {
    pub origin: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawRules {
    pub dir: Option<PathBuf>,
    #[serde(default)]
    pub whole: bool,
    #[serde(default)]
    pub remind_unverified: bool,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawSmtp {
    pub url: String,
    pub from: String,
    pub username: Option<String>,
    pub password: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub receipts: Option<bool>,
    #[serde(default)]
    pub read_receipts: bool,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawInbound {
    pub maildir: PathBuf,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawWebhook {
    pub id: String,
    pub url: String,
    pub secret: String,
    #[serde(default = "every_event")]
    pub events: Vec<String>,
    #[serde(default)]
    pub allow_private: bool,
    #[serde(default)]
    pub allow_hosts: Vec<String>,
}

fn every_event() -> Vec<String> {
    vec!["*".to_string()]
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawEntity {
    pub id: String,
    pub name: Option<String>,
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub sectors: Vec<String>,
    #[serde(default)]
    pub established_in: Vec<String>,
    pub main_establishment: Option<String>,
    #[serde(default)]
    pub operates_in: Vec<String>,
    pub zone: Option<String>,
    #[serde(default)]
    pub contracts: Vec<String>,
    #[serde(default)]
    pub policies: Vec<String>,
    pub policy: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct RawContracts {
    pub assume_hours_without_number: Option<u32>,
}

/// One file. What is wrong with it is added to `faults`.
pub fn read(path: &Path, faults: &mut Vec<ConfigFault>) -> Raw {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            faults.push(ConfigFault { file, line: 0, text: format!("cannot be read: {error}") });
            return Raw::default();
        }
    };
    match toml::from_str::<Raw>(&text) {
        Ok(mut raw) => {
            raw.register = contracts::tables(&text, &file, faults);
            raw.channel.iter_mut().for_each(|channel| channel.place(&text, &file));
            // a register of several files stays together wherever it is included from
            let folder = path.parent().unwrap_or(Path::new("."));
            for name in &mut raw.contracts_csv {
                *name = folder.join(&*name);
            }
            raw
        }
        Err(error) => {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            faults.push(ConfigFault { file, line, text: error.message().to_string() });
            Raw::default()
        }
    }
}

/// Adds an included file; a table that may stand once is refused where it stands twice.
pub fn merge(into: &mut Raw, part: Raw, name: &str, faults: &mut Vec<ConfigFault>) {
    fn once<T>(into: &mut Option<T>, part: Option<T>, table: &str, name: &str, faults: &mut Vec<ConfigFault>) {
        match (into.is_some(), part) {
            (true, Some(_)) => faults.push(ConfigFault {
                file: name.to_string(),
                line: 0,
                text: format!("`[{table}]` is given twice; keep one"),
            }),
            (false, part @ Some(_)) => *into = part,
            (_, None) => {}
        }
    }
    once(&mut into.server, part.server, "server", name, faults);
    once(&mut into.data, part.data, "data", name, faults);
    once(&mut into.log, part.log, "log", name, faults);
    once(&mut into.rules, part.rules, "rules", name, faults);
    once(&mut into.smtp, part.smtp, "smtp", name, faults);
    once(&mut into.inbound, part.inbound, "inbound", name, faults);
    once(&mut into.backup, part.backup, "backup", name, faults);
    once(&mut into.watchdog, part.watchdog, "watchdog", name, faults);
    once(&mut into.timestamp, part.timestamp, "timestamp", name, faults);
    once(&mut into.contracts, part.contracts, "contracts", name, faults);
    once(&mut into.store, part.store, "store", name, faults);
    once(&mut into.retention, part.retention, "retention", name, faults);
    once(&mut into.access, part.access, "access", name, faults);
    once(&mut into.tls, part.tls, "tls", name, faults);
    once(&mut into.oidc, part.oidc, "oidc", name, faults);
    if !part.include.is_empty() {
        faults.push(ConfigFault {
            file: name.to_string(),
            line: 0,
            text: "an included file cannot include others".to_string(),
        });
    }
    into.webhook.extend(part.webhook);
    into.channel.extend(part.channel);
    into.witness.extend(part.witness);
    into.entity.extend(part.entity);
    into.person.extend(part.person);
    into.rota.extend(part.rota);
    into.group.extend(part.group);
    into.policy.extend(part.policy);
    into.digest.extend(part.digest);
    into.ingest.extend(part.ingest);
    into.route.extend(part.route);
    into.register.extend(part.register);
    into.contracts_csv.extend(part.contracts_csv);
}
