//! The configuration: read as written, then checked into what the daemon runs on.
//!
//! Unknown keys are errors. Every fault names the file and the line. Each module owns its settings; this file composes.

mod access;
mod backup;
mod channels;
mod contracts;
mod digests;
mod ingest;
mod overview;
mod people;
mod policies;
mod raw;
mod retention;
mod store;
mod timestamp;
mod watchdog;
mod witness;

pub use access::{Oidc, Tls};
pub use contracts::Registered;
pub use overview::overview;
pub use policies::default_policy;
pub use store::StoreKind;
pub use timestamp::Timestamps;
pub use watchdog::Watchdog;

use crate::escalation::{Directory, EscalationPolicy, Route};
use crate::law::Entity;
use crate::rules::Rulebook;
use crate::time::Zone;
use raw::{Raw, RawContracts, RawEntity, RawServer, merge, read};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

#[derive(Clone, Debug)]
pub struct MailSettings {
    pub url: String,
    pub from: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca_file: Option<PathBuf>,
    /// Ask for confirmations of delivery. Unless stated: when something reads them, see [`Config::inbound`].
    pub receipts: bool,
    pub read_receipts: bool,
}

#[derive(Clone, Debug)]
pub struct WebhookSettings {
    pub id: String,
    pub url: String,
    pub secret: Secret,
    pub events: Vec<String>,
    pub allow_private: bool,
    pub allow_hosts: Vec<String>,
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
    /// How long a sender may take for the head of a request, or say nothing on an open connection.
    pub patience: Duration,
    /// Every request comes from a proxy, which says in `X-Forwarded-For` whom it serves.
    pub behind_proxy: bool,
    /// Nobody comes in with a password alone.
    pub require_factor: bool,
    /// Two people decide not to notify, each by their own account or token.
    pub require_second_approver: bool,
    /// TLS at our own door.
    pub tls: Option<Tls>,
    pub oidc: Option<Oidc>,
    pub data_dir: PathBuf,
    pub store: StoreKind,
    pub origin: String,
    pub rules_dir: Option<PathBuf>,
    /// The folder is a whole set of rule packs, instead of an addition to the built-in ones.
    pub rules_whole: bool,
    pub mail: Option<MailSettings>,
    /// The maildir into which mail to the sender address is delivered.
    pub inbound: Option<PathBuf>,
    pub webhooks: Vec<WebhookSettings>,
    /// Chat rooms, paging services, push and text messages; as `notify` reads them.
    pub channels: Vec<crate::notify::channel::Settings>,
    pub entities: Vec<Entity>,
    /// The contract register; each entity holds what it signed.
    pub contracts: Vec<Registered>,
    pub directory: Directory,
    pub policies: Vec<EscalationPolicy>,
    /// Which policy serves what; the first that fits.
    pub routes: Vec<Route>,
    pub watchdog: Watchdog,
    /// Copies of the data folder, made by the daemon.
    pub backup: Option<crate::workflow::BackupPlan>,
    /// What is told at fixed times.
    pub digests: Vec<crate::workflow::DigestPlan>,
    /// Other tools whose webhooks are taken.
    pub ingest: Vec<crate::workflow::ingest::Source>,
    /// How long personal values stay after closing.
    pub retention: crate::workflow::erase::Retention,
    /// Time-stamping authorities (RFC 3161), and how often.
    pub timestamp: Timestamps,
    /// Witnesses (C2SP tlog-witness) that cosign the log.
    pub witnesses: Vec<crate::notify::witness::Settings>,
    /// Where each table begins.
    pub places: Vec<(String, crate::workflow::overview::Place)>,
    /// An exercise: set by `drill`, never by a file.
    pub drill: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp(std::net::SocketAddr),
    Unix(PathBuf),
}

pub const DEFAULT_LISTEN: &str = "127.0.0.1:7272";
const DEFAULT_MAX_BODY: usize = 1 << 20;
const PATIENCE_SECONDS: i64 = 30;
const DAY_SECONDS: i64 = 86_400;

/// Reads `path` and what it includes. Secrets are resolved; nothing else is opened.
pub fn load(path: &Path) -> Result<Config, Vec<ConfigFault>> {
    let mut faults = Vec::new();
    let mut raw = read(path, &mut faults);
    let base = path.parent().unwrap_or(Path::new("."));
    let text_of = |path: &Path| (path.display().to_string(), std::fs::read_to_string(path).unwrap_or_default());
    let mut texts = vec![text_of(path)];
    for name in std::mem::take(&mut raw.include) {
        let part = read(&base.join(&name), &mut faults);
        merge(&mut raw, part, &name, &mut faults);
        texts.push(text_of(&base.join(&name)));
    }
    for name in std::mem::take(&mut raw.contracts_csv) {
        raw.register.extend(contracts::csv_file(&name, &mut faults));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut checker = Checker { file: path.display().to_string(), texts, base, faults };
    let config = checker.check(raw);
    if checker.faults.is_empty() { Ok(config) } else { Err(checker.faults) }
}

struct Checker<'a> {
    file: String,
    /// The file and what it includes, each with its text: to name the line of a fault.
    texts: Vec<(String, String)>,
    base: &'a Path,
    faults: Vec<ConfigFault>,
}

impl Checker<'_> {
    /// A fault at the first line that holds `words`, in whichever file.
    fn fault(&mut self, words: &str, text: impl Into<String>) {
        let place = self.texts.iter().filter(|_| !words.is_empty()).find_map(|(file, text)| {
            // a whole quoted word before a part of another one
            let quoted = format!("\"{words}\"");
            let at =
                text.lines().position(|l| l.contains(&quoted)).or_else(|| text.lines().position(|l| l.contains(words)));
            at.map(|at| (file.clone(), at + 1))
        });
        let (file, line) = place.unwrap_or_else(|| (self.file.clone(), 0));
        self.faults.push(ConfigFault { file, line, text: text.into() });
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
        let server = raw.server.unwrap_or(RawServer {
            listen: None,
            public_url: None,
            behind_proxy: false,
            max_body: None,
            patience: None,
        });
        let listen_text = server.listen.clone().unwrap_or_else(|| DEFAULT_LISTEN.to_string());
        let listen = self.listen(&listen_text, server.behind_proxy || raw.tls.is_some());
        let (require_factor, require_second_approver) = self.access(raw.access);
        let tls = self.tls(raw.tls);
        let public_url = server
            .public_url
            .map(|u| u.trim_end_matches('/').to_string())
            .unwrap_or_else(|| format!("{}://{listen_text}", if tls.is_some() { "https" } else { "http" }));
        let oidc = self.oidc(raw.oidc, &public_url);
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
        let inbound = raw.inbound.map(|i| self.base.join(i.maildir));
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
                receipts: s.receipts.unwrap_or(inbound.is_some()),
                read_receipts: s.read_receipts,
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
                allow_hosts: hook.allow_hosts,
            });
        }
        let channels = self.channels(raw.channel);
        let contracts = self.register(raw.register, raw.contracts, &raw.entity);
        self.addresses(&raw.person, &channels);
        let unverified = raw.rules.as_ref().is_some_and(|r| r.remind_unverified);
        let channel_ids = channels.iter().map(|c| c.id.clone()).collect();
        let directory = self.directory(raw.person, raw.rota, raw.group, &webhooks, channel_ids);
        let watchdog = self.watchdog(raw.watchdog.unwrap_or_default(), &directory);
        let alive_to = watchdog.life.as_ref().map(|life| life.alive_to.as_slice()).unwrap_or_default();
        let backup = self.backup(raw.backup, &store, &directory, alive_to);
        let digests = self.digests(raw.digest, &directory, &raw.entity);
        let ingest = self.ingest(raw.ingest, &raw.entity);
        let (policies, routes) = self.policies(raw.policy, raw.route, &directory, &raw.entity, unverified);
        let witnesses = self.witnesses(raw.witness, &origin);
        let rules_whole = raw.rules.as_ref().is_some_and(|r| r.whole);
        if rules_whole && raw.rules.as_ref().is_some_and(|r| r.dir.is_none()) {
            self.fault("whole", "`[rules].whole` is true and no `dir` is named; add the folder, or leave `whole` out");
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
            patience: self.patience(server.patience.as_deref()),
            behind_proxy: server.behind_proxy,
            require_factor,
            require_second_approver,
            tls,
            oidc,
            data_dir: self.base.join(data_dir),
            store,
            origin,
            rules_whole,
            rules_dir: raw.rules.and_then(|r| r.dir).map(|d| self.base.join(d)),
            mail,
            inbound,
            webhooks,
            channels,
            retention: self.retention(raw.retention.unwrap_or_default(), &entities),
            entities,
            contracts,
            directory,
            policies,
            routes,
            watchdog,
            backup,
            digests,
            ingest,
            timestamp: self.timestamp(raw.timestamp),
            witnesses,
            places: overview::places(&self.texts),
            drill: false,
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

    /// Of the server with those who send slowly.
    fn patience(&mut self, text: Option<&str>) -> Duration {
        let seconds = text.map_or(Ok(PATIENCE_SECONDS), crate::escalation::duration).unwrap_or_else(|error| {
            self.fault("patience", error);
            PATIENCE_SECONDS
        });
        if !(1..=DAY_SECONDS).contains(&seconds) {
            self.fault("patience", "`[server].patience` is from `1s` to `1d`");
        }
        Duration::from_secs(seconds.unsigned_abs())
    }

    fn listen(&mut self, text: &str, behind_proxy: bool) -> Listen {
        if let Some(path) = text.strip_prefix("unix:") {
            return Listen::Unix(PathBuf::from(path));
        }
        match text.parse::<std::net::SocketAddr>() {
            Ok(address) => {
                if !address.ip().is_loopback() && !behind_proxy {
                    self.fault(text, format!("`listen` is the public address `{text}`; name a certificate under `[tls]`, or put a TLS proxy in front and set `behind_proxy = true`, or listen on 127.0.0.1"));
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

/// What the configuration names and the rulebook does not know: roles, places, words of contracts.
pub fn check_against(config: &Config, book: &Rulebook) -> Vec<ConfigFault> {
    let at_entity =
        |fault: crate::rules::EntityFault| ConfigFault { file: config.file.clone(), line: 0, text: fault.text };
    let entities = config.entities.iter().flat_map(|entity| crate::rules::entity_faults(book, entity));
    // a contract is named where it stands in the register, not once for each entity
    let mut faults: Vec<ConfigFault> =
        entities.filter(|fault| !fault.pointer.starts_with("/contracts/")).map(at_entity).collect();
    faults.extend(config.contracts.iter().flat_map(|one| one.unknown_words(book)));
    faults.extend(ingest::unknown_facts(config, book));
    faults
}
