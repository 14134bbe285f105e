//! The configuration: read as written, then checked into what the daemon runs on.
//!
//! Unknown keys are errors. Every fault names the file and the line. Each module owns its settings; this file composes.

mod contracts;
mod store;

pub use contracts::Registered;
pub use store::StoreKind;

use crate::escalation::{Directory, EscalationPolicy, Person, Rota, Step, StepAt, Who, duration};
use crate::law::Entity;
use crate::rules::Rulebook;
use crate::time::Zone;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fmt;
use std::path::{Path, PathBuf};

/// A secret that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    pub file: String,
    pub line: usize,
    pub text: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{line}: {}", self.file, self.text),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    include: Vec<String>,
    server: Option<RawServer>,
    data: Option<RawData>,
    log: Option<RawLog>,
    rules: Option<RawRules>,
    smtp: Option<RawSmtp>,
    #[serde(default)]
    webhook: Vec<RawWebhook>,
    #[serde(default)]
    entity: Vec<RawEntity>,
    #[serde(default)]
    person: Vec<Person>,
    #[serde(default)]
    rota: Vec<RawRota>,
    #[serde(default)]
    policy: Vec<RawPolicy>,
    /// Named here because unknown keys are errors; read with their lines, see `contracts`.
    #[serde(default, rename = "contract")]
    _contract: Vec<IgnoredAny>,
    #[serde(skip)]
    register: Vec<Registered>,
    #[serde(default)]
    contracts_csv: Vec<PathBuf>,
    contracts: Option<RawContracts>,
    watchdog: Option<RawWatchdog>,
    store: Option<store::RawStore>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawServer {
    listen: Option<String>,
    public_url: Option<String>,
    #[serde(default)]
    behind_proxy: bool,
    max_body: Option<usize>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawData {
    dir: PathBuf,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawLog {
    origin: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawRules {
    dir: Option<PathBuf>,
    #[serde(default)]
    remind_unverified: bool,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawSmtp {
    url: String,
    from: String,
    username: Option<String>,
    password: Option<String>,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    id: String,
    url: String,
    secret: String,
    #[serde(default = "every_event")]
    events: Vec<String>,
    #[serde(default)]
    allow_private: bool,
}

fn every_event() -> Vec<String> {
    vec!["*".to_string()]
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawEntity {
    id: String,
    name: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    sectors: Vec<String>,
    #[serde(default)]
    established_in: Vec<String>,
    main_establishment: Option<String>,
    #[serde(default)]
    operates_in: Vec<String>,
    zone: Option<String>,
    #[serde(default)]
    contracts: Vec<String>,
    #[serde(default)]
    policies: Vec<String>,
    policy: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawRota {
    id: String,
    zone: String,
    handover: String,
    people: Vec<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    id: String,
    #[serde(default)]
    step: Vec<RawStep>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: String,
    notify: Vec<String>,
    #[serde(default)]
    channels: Vec<String>,
    repeat: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
    lease: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawContracts {
    assume_hours_without_number: Option<u32>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawWatchdog {
    #[serde(default)]
    ping: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct MailSettings {
    pub url: String,
    pub from: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct WebhookSettings {
    pub id: String,
    pub url: String,
    pub secret: Secret,
    pub events: Vec<String>,
    pub allow_private: bool,
}

/// Checked, ready to run on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from, as named.
    pub file: String,
    pub listen: Listen,
    pub public_url: String,
    /// Largest accepted request body, bytes.
    pub max_body: usize,
    pub data_dir: PathBuf,
    pub store: StoreKind,
    pub origin: String,
    pub rules_dir: Option<PathBuf>,
    pub mail: Option<MailSettings>,
    pub webhooks: Vec<WebhookSettings>,
    pub entities: Vec<Entity>,
    /// The contract register; each entity holds what it signed.
    pub contracts: Vec<Registered>,
    pub directory: Directory,
    pub policies: Vec<EscalationPolicy>,
    pub watchdog: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp(std::net::SocketAddr),
    Unix(PathBuf),
}

pub const DEFAULT_LISTEN: &str = "127.0.0.1:7272";
const DEFAULT_MAX_BODY: usize = 1 << 20;
const DEFAULT_LEASE_SECONDS: i64 = 4 * 3600;

/// Reads `path` and what it includes. Secrets are resolved; nothing else is opened.
pub fn load(path: &Path) -> Result<Config, Vec<ConfigFault>> {
    let mut faults = Vec::new();
    let mut raw = read(path, &mut faults);
    let base = path.parent().unwrap_or(Path::new("."));
    for name in std::mem::take(&mut raw.include) {
        let part = read(&base.join(&name), &mut faults);
        merge(&mut raw, part, &name, &mut faults);
    }
    for name in std::mem::take(&mut raw.contracts_csv) {
        raw.register.extend(contracts::csv_file(&name, &mut faults));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut checker = Checker {
        file: path.display().to_string(),
        text: std::fs::read_to_string(path).unwrap_or_default(),
        base,
        faults,
    };
    let config = checker.check(raw);
    if checker.faults.is_empty() { Ok(config) } else { Err(checker.faults) }
}

fn read(path: &Path, faults: &mut Vec<ConfigFault>) -> Raw {
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

fn merge(into: &mut Raw, part: Raw, name: &str, faults: &mut Vec<ConfigFault>) {
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
    once(&mut into.watchdog, part.watchdog, "watchdog", name, faults);
    once(&mut into.contracts, part.contracts, "contracts", name, faults);
    once(&mut into.store, part.store, "store", name, faults);
    if !part.include.is_empty() {
        faults.push(ConfigFault {
            file: name.to_string(),
            line: 0,
            text: "an included file cannot include others".to_string(),
        });
    }
    into.webhook.extend(part.webhook);
    into.entity.extend(part.entity);
    into.person.extend(part.person);
    into.rota.extend(part.rota);
    into.policy.extend(part.policy);
    into.register.extend(part.register);
    into.contracts_csv.extend(part.contracts_csv);
}

struct Checker<'a> {
    file: String,
    text: String,
    base: &'a Path,
    faults: Vec<ConfigFault>,
}

impl Checker<'_> {
    fn fault(&mut self, words: &str, text: impl Into<String>) {
        let line = self.text.lines().position(|l| !words.is_empty() && l.contains(words)).map_or(0, |at| at + 1);
        self.faults.push(ConfigFault { file: self.file.clone(), line, text: text.into() });
    }

    fn secret(&mut self, value: &str) -> Secret {
        let path = match (value.strip_prefix("file:"), value.strip_prefix("credential:")) {
            (Some(path), _) => self.base.join(path),
            (_, Some(name)) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
                Some(dir) => PathBuf::from(dir).join(name),
                None => {
                    self.fault(value, format!("`{value}` needs systemd credentials: start as a service with LoadCredential=, or use `file:PATH`"));
                    return Secret(String::new());
                }
            },
            _ => return Secret(value.to_string()),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Secret(text.trim_end_matches(['\r', '\n']).to_string()),
            Err(error) => {
                self.fault(value, format!("`{}` cannot be read: {error}", path.display()));
                Secret(String::new())
            }
        }
    }

    fn check(&mut self, raw: Raw) -> Config {
        let server =
            raw.server.unwrap_or(RawServer { listen: None, public_url: None, behind_proxy: false, max_body: None });
        let listen_text = server.listen.clone().unwrap_or_else(|| DEFAULT_LISTEN.to_string());
        let listen = self.listen(&listen_text, server.behind_proxy);
        let public_url = server
            .public_url
            .map(|u| u.trim_end_matches('/').to_string())
            .unwrap_or_else(|| format!("http://{listen_text}"));
        let data_dir = raw.data.map(|d| d.dir).unwrap_or_else(|| {
            self.fault(
                "",
                "`[data]` is missing: name the folder for database and keys, `dir = \"/var/lib/breachclock\"`",
            );
            PathBuf::new()
        });
        let origin = raw.log.map(|l| l.origin).unwrap_or_else(|| "breachclock.local/log".to_string());
        if origin.is_empty() || origin.contains(|c: char| c.is_whitespace() || c == '+') {
            self.fault(
                "origin",
                format!("`origin` is `{origin}`; it is the log's name, without spaces and without `+`"),
            );
        }
        let store = self.store(raw.store);
        let mail = raw.smtp.map(|s| {
            if !["smtp://", "smtp+starttls://", "smtps://", "maildir:"].iter().any(|p| s.url.starts_with(p)) {
                self.fault(
                    &s.url,
                    format!(
                        "`[smtp].url` is `{}`; it begins with smtp://, smtp+starttls://, smtps:// or maildir:",
                        s.url
                    ),
                );
            }
            MailSettings {
                password: s.password.as_deref().map(|p| self.secret(p)),
                url: s.url,
                from: s.from,
                username: s.username,
                ca_file: s.ca_file.map(|f| self.base.join(f)),
            }
        });
        let mut webhooks = Vec::new();
        for hook in raw.webhook {
            let encrypted = hook.url.starts_with("https://");
            let plain_inside = hook.allow_private && hook.url.starts_with("http://");
            if !encrypted && !plain_inside {
                self.fault(
                    &hook.url,
                    format!(
                        "webhook `{}` is not https; plain http is for private addresses with `allow_private = true`",
                        hook.id
                    ),
                );
            }
            let secret = self.secret(&hook.secret);
            webhooks.push(WebhookSettings {
                id: hook.id,
                url: hook.url,
                secret,
                events: hook.events,
                allow_private: hook.allow_private,
            });
        }
        let contracts = self.register(raw.register, raw.contracts, &raw.entity);
        let people = raw.person;
        for person in &people {
            if person.email.as_deref().is_none_or(|e| !e.contains('@')) && person.deputy.is_none() {
                self.fault(
                    &person.id,
                    format!("person `{}` has neither `email` nor `deputy`: nobody would be told", person.id),
                );
            }
            if let Some(zone) = &person.zone
                && let Err(error) = Zone::named(zone)
            {
                self.fault(zone, error.to_string());
            }
        }
        let rotas = raw.rota.into_iter().filter_map(|r| self.rota(r, &people)).collect();
        let directory = Directory { people, rotas, webhooks: webhooks.iter().map(|w| w.id.clone()).collect() };
        let unverified = raw.rules.as_ref().is_some_and(|r| r.remind_unverified);
        let mut policies: Vec<EscalationPolicy> =
            raw.policy.into_iter().map(|p| self.policy(p, &directory, unverified)).collect();
        if policies.is_empty() {
            policies.push(default_policy(unverified));
        }
        let mut entities = Vec::new();
        let only = raw.entity.len() == 1;
        for entity in raw.entity {
            entities.push(self.entity(entity, &contracts, only, &policies));
        }
        Config {
            file: self.file.clone(),
            listen,
            public_url,
            max_body: server.max_body.unwrap_or(DEFAULT_MAX_BODY),
            data_dir: self.base.join(data_dir),
            store,
            origin,
            rules_dir: raw.rules.and_then(|r| r.dir).map(|d| self.base.join(d)),
            mail,
            webhooks,
            entities,
            contracts,
            directory,
            policies,
            watchdog: raw.watchdog.map(|w| w.ping).unwrap_or_default(),
        }
    }

    /// The register with the operator's policy in it, checked against the entities.
    fn register(
        &mut self,
        mut register: Vec<Registered>,
        settings: Option<RawContracts>,
        entities: &[RawEntity],
    ) -> Vec<Registered> {
        let assume = settings.and_then(|s| s.assume_hours_without_number);
        if let Some(hours) = assume.filter(|hours| !(1..=8784).contains(hours)) {
            self.fault(
                "assume_hours_without_number",
                format!("`assume_hours_without_number` is `{hours}`; give a whole number of hours from 1 to 8784"),
            );
        }
        for one in &mut register {
            one.contract.assume_hours = one.contract.assume_hours.or(assume);
        }
        let signers: Vec<(&str, &[String])> =
            entities.iter().map(|e| (e.id.as_str(), e.contracts.as_slice())).collect();
        self.faults.extend(contracts::cross_check(&register, &signers));
        register
    }

    fn listen(&mut self, text: &str, behind_proxy: bool) -> Listen {
        if let Some(path) = text.strip_prefix("unix:") {
            return Listen::Unix(PathBuf::from(path));
        }
        match text.parse::<std::net::SocketAddr>() {
            Ok(address) => {
                if !address.ip().is_loopback() && !behind_proxy {
                    self.fault(text, format!("`listen` is the public address `{text}`; put a TLS proxy in front and set `behind_proxy = true`, or listen on 127.0.0.1"));
                }
                Listen::Tcp(address)
            }
            Err(_) => {
                self.fault(
                    text,
                    format!("`listen` is `{text}`; write `127.0.0.1:7272` or `unix:/run/breachclock/api.sock`"),
                );
                Listen::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 0)))
            }
        }
    }

    fn rota(&mut self, raw: RawRota, people: &[Person]) -> Option<Rota> {
        for id in &raw.people {
            if !people.iter().any(|p| p.id == *id) {
                self.fault(id, format!("rota `{}` names `{id}`, whom no [[person]] describes", raw.id));
            }
        }
        if raw.people.is_empty() {
            self.fault(&raw.id, format!("rota `{}` has no people", raw.id));
        }
        let zone = match Zone::named(&raw.zone) {
            Ok(zone) => zone,
            Err(error) => {
                self.fault(&raw.zone, error.to_string());
                return None;
            }
        };
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let handover = raw.handover.split_once(' ').and_then(|(day, time)| {
            let day = DAYS.iter().position(|d| *d == day)? as u8;
            let (hours, minutes) = time.split_once(':')?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some((day, hours * 60 + minutes))
        });
        match handover {
            Some(handover) => Some(Rota { id: raw.id, zone, handover, people: raw.people }),
            None => {
                self.fault(&raw.handover, format!("`handover` is `{}`; write it like `Mon 09:00`", raw.handover));
                None
            }
        }
    }

    fn policy(&mut self, raw: RawPolicy, directory: &Directory, include_unverified: bool) -> EscalationPolicy {
        let mut steps = Vec::new();
        if raw.step.is_empty() {
            self.fault(&raw.id, format!("policy `{}` has no [[policy.step]]: nobody would be told", raw.id));
        }
        for step in raw.step {
            let at = StepAt::parse(&step.at).unwrap_or_else(|error| {
                self.fault(&step.at, error);
                StepAt::Due(0)
            });
            let mut notify = Vec::new();
            for who in &step.notify {
                match Who::parse(who) {
                    Ok(parsed) => {
                        let known = match &parsed {
                            Who::Person(id) => directory.person(id).is_some(),
                            Who::Role(role) => directory.people.iter().any(|p| p.roles.contains(role)),
                            Who::Rota(id) => directory.rotas.iter().any(|r| r.id == *id),
                            Who::Webhook(id) => directory.webhooks.contains(id),
                        };
                        if !known {
                            self.fault(
                                who,
                                format!(
                                    "step `{}` of policy `{}` tells `{who}`, which nothing describes",
                                    step.at, raw.id
                                ),
                            );
                        }
                        notify.push(parsed);
                    }
                    Err(error) => self.fault(who, error),
                }
            }
            if let Some(channel) = step.channels.iter().find(|c| *c != "email") {
                self.fault(
                    channel,
                    format!(
                        "channel `{channel}` is not available; this version has `email` (and webhooks by `webhook:ID`)"
                    ),
                );
            }
            let mut seconds = |text: &Option<String>| {
                text.as_deref().and_then(|t| duration(t).map_err(|error| self.fault(t, error)).ok())
            };
            let repeat_seconds = seconds(&step.repeat);
            let lease_seconds = seconds(&step.lease).unwrap_or(DEFAULT_LEASE_SECONDS);
            if repeat_seconds.is_some_and(|s| s < 60) {
                self.fault(step.repeat.as_deref().unwrap_or(""), "`repeat` is shorter than a minute");
            }
            steps.push(Step {
                name: step.at,
                at,
                notify,
                channels: step.channels,
                repeat_seconds,
                needs: step.needs,
                lease_seconds,
            });
        }
        EscalationPolicy { id: raw.id, steps, include_unverified }
    }

    fn entity(&mut self, raw: RawEntity, register: &[Registered], only: bool, policies: &[EscalationPolicy]) -> Entity {
        let zone = raw.zone.as_deref().and_then(|z| Zone::named(z).map_err(|e| self.fault(z, e.to_string())).ok());
        if let Some(policy) = &raw.policy
            && !policies.iter().any(|p| p.id == *policy)
        {
            self.fault(policy, format!("entity `{}` names policy `{policy}`, which no [[policy]] describes", raw.id));
        }
        for id in raw.contracts.iter().filter(|id| !register.iter().any(|one| one.contract.id == **id)) {
            let near = crate::law::nearest_of(id, register.iter().map(|one| one.contract.id.as_str()));
            let hint = crate::rules::did_you_mean(&near);
            self.fault(id, format!("entity `{}` names contract `{id}`, which no [[contract]] describes{hint}", raw.id));
        }
        let own = contracts::signed_by(register, &raw.id, &raw.contracts, only);
        Entity {
            name: raw.name.unwrap_or_else(|| raw.id.clone()),
            id: Some(raw.id),
            roles: raw.roles,
            sectors: raw.sectors,
            established_in: raw.established_in,
            main_establishment: raw.main_establishment,
            operates_in: raw.operates_in,
            zone,
            contracts: own,
            policies: raw.policies,
            policy: raw.policy,
        }
    }
}

/// Shipped for installations that state none: sensible for windows from an hour to two months.
pub fn default_policy(include_unverified: bool) -> EscalationPolicy {
    let step = |at: &str, repeat: Option<i64>, notify: &[Who]| Step {
        name: at.to_string(),
        at: StepAt::parse(at).expect("the built-in policy is well-formed"),
        notify: notify.to_vec(),
        channels: Vec::new(),
        repeat_seconds: repeat,
        needs: Vec::new(),
        lease_seconds: DEFAULT_LEASE_SECONDS,
    };
    // roles nobody has reach everybody: a default must never be silent
    let team = [Who::Role("security-lead".into())];
    let all = [Who::Role("security-lead".into()), Who::Role("dpo".into()), Who::Role("counsel".into())];
    EscalationPolicy {
        id: "default".to_string(),
        steps: vec![
            step("start", None, &team),
            step("50%", None, &team),
            step("75%", Some(4 * 3600), &all),
            step("90%", Some(1800), &all),
            step("due", Some(1800), &all),
        ],
        include_unverified,
    }
}

/// What the configuration names and the rulebook does not know: roles, places, words of contracts.
pub fn check_against(config: &Config, book: &Rulebook) -> Vec<ConfigFault> {
    let at_entity =
        |fault: crate::rules::EntityFault| ConfigFault { file: config.file.clone(), line: 0, text: fault.text };
    let entities = config.entities.iter().flat_map(|entity| crate::rules::entity_faults(book, entity));
    // a contract is named where it stands in the register, not once for each entity
    let mut faults: Vec<ConfigFault> =
        entities.filter(|fault| !fault.pointer.starts_with("/contracts/")).map(at_entity).collect();
    faults.extend(config.contracts.iter().flat_map(|one| one.unknown_words(book)));
    faults
}
