//! A daemon's folder, its address, and what a client of it does and sees.

use super::daemon::{Daemon, binary, free_port, serve, start_by, token, write_config_with};
use super::faketime::Clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use breachclock::evidence::Head;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The obligation that the reports below make.
pub const DUTY: &str = "eu-gdpr-33-authority@FR";

pub struct Site {
    pub dir: PathBuf,
    pub config: PathBuf,
    pub port: u16,
    pub token: String,
    client: reqwest::Client,
    _own: Option<tempfile::TempDir>,
}

impl Site {
    /// A folder of its own; `rest` ends the configuration.
    pub fn new(smtp: &str, rest: &str) -> Site {
        let own = tempfile::tempdir().expect("a folder");
        let mut site = Site::within(own.path(), smtp, rest);
        site._own = Some(own);
        site
    }

    pub fn within(dir: &Path, smtp: &str, rest: &str) -> Site {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = free_port();
        let config = write_config_with(dir, port, smtp, rest);
        let token = token(&config);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        Site { dir: dir.to_path_buf(), config, port, token, client, _own: None }
    }

    pub fn start(&self) -> Daemon {
        start_by(serve(&self.config, None), self.port)
    }

    pub fn start_on(&self, clock: &Clock) -> Daemon {
        start_by(serve(&self.config, Some(clock)), self.port)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Status and JSON of an answer; an error when there was none.
    pub async fn get(&self, path: &str) -> Result<(u16, Value), reqwest::Error> {
        let response = self.client.get(self.url(path)).bearer_auth(&self.token).send().await?;
        Ok((response.status().as_u16(), response.json().await.unwrap_or_default()))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), reqwest::Error> {
        let response = self.client.post(self.url(path)).bearer_auth(&self.token).json(body).send().await?;
        let status = response.status().as_u16();
        // an answer that was cut off is none
        Ok((status, response.json().await?))
    }

    pub async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await.expect("answers");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// A breach of which Acme became aware at `aware`. Answers its id.
    pub async fn report(&self, reference: &str, aware: &str) -> String {
        let (status, body) = self.post("/api/v1/incidents", &report(reference, aware)).await.expect("answers");
        assert_eq!(status, 201, "{body}");
        incident_id(&body)
    }

    /// The whole log.
    pub async fn log(&self) -> Log {
        let mut entries = Vec::new();
        loop {
            let page = self.ok(&format!("/api/v1/log/entries?from={}", entries.len())).await;
            let items = page["items"].as_array().expect("a list").clone();
            if items.is_empty() {
                return Log(entries);
            }
            entries.extend(items);
        }
    }

    /// `breachclock evidence verify` of an export of the incident.
    pub async fn verify_export(&self, incident: &str) {
        let url = self.url(&format!("/api/v1/incidents/{incident}/bundle?profile=authority"));
        let response = self.client.get(url).bearer_auth(&self.token).send().await.expect("answers");
        assert!(response.status().is_success(), "{}", response.status());
        let file = self.dir.join(format!("{incident}.zip"));
        std::fs::write(&file, response.bytes().await.expect("a bundle")).expect("written");
        let output = binary().args(["evidence", "verify"]).arg(&file).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// `breachclock evidence fsck`; the daemon must have ended.
    pub fn fsck(&self) {
        let output = binary().args(["evidence", "fsck", "--config"]).arg(&self.config).output().expect("runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

pub fn report(reference: &str, aware: &str) -> Value {
    json!({
        "title": format!("incident {reference}"),
        "entity": "acme-fr",
        "source": "fault-test",
        "reference": reference,
        "facts": { "personal_data": true, "risk": "risk", "times.aware": aware },
    })
}

pub fn incident_id(answer: &Value) -> String {
    answer["incident"]["id"].as_str().expect("an id").to_string()
}

/// The entries of an evidence log, as the daemon shows them.
pub struct Log(pub Vec<Value>);

/// A message as the log tells of it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub incident: String,
    pub obligation: String,
    pub step: String,
    pub repeat: u64,
    /// When it was decided to send this.
    pub decided_at: String,
    pub coalesced: u64,
    pub to: String,
    /// Attempts by outcome.
    pub outcomes: Vec<String>,
}

impl Log {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |entry| entry["type"] == kind)
    }

    /// Messages by the word that stands for them in a mail: `X-Breachclock-Id`, the left side of the Message-ID.
    pub fn messages(&self) -> BTreeMap<String, Told> {
        let text = |value: &Value| value.as_str().expect("text").to_string();
        let mut told = BTreeMap::new();
        for entry in self.of("messages.queued") {
            for message in entry["body"]["messages"].as_array().expect("a list") {
                let one = Told {
                    incident: text(&entry["stream"]),
                    obligation: message["obligation"].as_str().unwrap_or_default().to_string(),
                    step: text(&message["step"]),
                    repeat: message["repeat"].as_u64().expect("a number"),
                    decided_at: text(&entry["ts"]),
                    coalesced: message["coalesced"].as_u64().expect("a number"),
                    to: text(&message["to"]),
                    outcomes: Vec::new(),
                };
                assert!(told.insert(mail_id(&text(&message["key"])), one).is_none(), "queued twice: {message}");
            }
        }
        for entry in self.of("message.attempted") {
            let known = told.get_mut(&mail_id(&text(&entry["body"]["key"]))).expect("attempted, never queued");
            known.outcomes.push(text(&entry["body"]["outcome"]));
        }
        told
    }

    /// The root of the log at each size, in base64.
    pub fn roots(&self) -> Vec<String> {
        let mut head = Head::default();
        let mut roots = vec![STANDARD.encode(head.root())];
        for entry in &self.0 {
            head.append(hash(&entry["leaf_hash"]));
            roots.push(STANDARD.encode(head.root()));
        }
        roots
    }
}

/// What the foot of a mail says of the log, against the log itself.
pub fn check_foot(roots: &[String], text: &str) {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("Evidence log "));
    let Some(size) = lines.next().and_then(|line| line.rsplit_once("size ")) else { return };
    let size: usize = size.1.trim().parse().expect("a size");
    assert_eq!(lines.next().map(str::trim), roots.get(size).map(String::as_str), "a mail witnessed {size} entries");
}

fn hash(hex: &Value) -> [u8; 32] {
    let hex = hex.as_str().expect("text");
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
}

/// The word for a message's key in a mail, which does not hold the key's own characters.
fn mail_id(key: &str) -> String {
    Sha256::digest(key.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ids of the list that stand more than once.
pub fn repeated<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    ids.filter(|id| !seen.insert(*id)).collect()
}

/// Waits until `holds` answers `Some`, at most for `limit`; `what` says what is waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = holds().await {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
