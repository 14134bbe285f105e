//! The web face of the real daemon under load: the board with thousands of open obligations, one obligation by the API, and
//! event streams; each beside `/healthz`, which does nothing, in the same run on the same connections.
//!
//! `cargo bench --bench face -- [INCIDENTS=2000] [CLIENTS=32] [SECONDS=10] [STREAMS=500] [DIR]`; one JSON line per figure.
//! Every incident has five obligations. The clients share the machine with the daemon: what is told is less than it can.

use breachclock::daemon::clock::now;
use breachclock::rules::utc;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BINARY: &str = env!("CARGO_BIN_EXE_breachclock");
const PLACES: [&str; 5] = ["DE", "ES", "FR", "IT", "NL"];

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the line");
        line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).expect("KiB") / 1024.0
    }
}

/// One connection that stays open.
struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
}

/// What came back, when its first byte did, and when its last.
struct Answer {
    status: u16,
    body: Vec<u8>,
    first: Duration,
}

impl Client {
    async fn new(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
        stream.set_nodelay(true).expect("a socket");
        Client { stream, bytes: Vec::with_capacity(64 << 10) }
    }

    async fn ask(&mut self, request: &[u8]) -> Answer {
        let asked = Instant::now();
        self.stream.write_all(request).await.expect("sends");
        self.bytes.clear();
        let mut first = None;
        loop {
            assert!(self.stream.read_buf(&mut self.bytes).await.expect("reads") > 0, "the connection ended");
            let first = *first.get_or_insert_with(|| asked.elapsed());
            let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
                continue;
            };
            let head = std::str::from_utf8(&self.bytes[..end]).expect("text");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            let length: usize = length.trim().parse().expect("a number");
            let status = head[9..12].parse().expect("a status");
            while self.bytes.len() < end + length {
                assert!(self.stream.read_buf(&mut self.bytes).await.expect("reads") > 0, "the connection ended");
            }
            return Answer { status, body: self.bytes[end..end + length].to_vec(), first };
        }
    }
}

fn get(path: &str, token: &str) -> Vec<u8> {
    let cookie = format!("authorization: Bearer {token}\r\ncookie: breachclock={token}\r\n");
    format!("GET {path} HTTP/1.1\r\nhost: face.test\r\n{cookie}\r\n").into_bytes()
}

/// Each client asks for the next of `requests` again and again. Prints a figure.
async fn load(name: &str, port: u16, requests: Arc<Vec<Vec<u8>>>, clients: usize, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let began = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|n| {
            let requests = requests.clone();
            tokio::spawn(async move {
                let mut client = Client::new(port).await;
                let (mut first, mut largest, mut at) = (Vec::new(), 0, n);
                while Instant::now() < end {
                    let answer = client.ask(&requests[at % requests.len()]).await;
                    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                    first.push(answer.first.as_secs_f64() * 1e3);
                    largest = largest.max(answer.body.len());
                    at += clients;
                }
                (first, largest)
            })
        })
        .collect();
    let (mut first, mut largest) = (Vec::new(), 0);
    for task in tasks {
        let (some, size) = task.await.expect("ran");
        first.extend(some);
        largest = largest.max(size);
    }
    let spent = began.elapsed().as_secs_f64();
    first.sort_by(f64::total_cmp);
    let of = |q: f64| (first[((first.len() - 1) as f64 * q) as usize] * 1000.0).round() / 1000.0;
    println!(
        "{}",
        json!({
            "figure": name, "clients": clients, "requests": first.len(), "per_second": (first.len() as f64 / spent).round(),
            "first_byte_ms": { "p50": of(0.5), "p95": of(0.95), "p99": of(0.99), "max": of(1.0) }, "largest_kib": largest as f64 / 1024.0,
        })
    );
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |at: usize, default: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    let sizes = [number(0, 2000), number(1, 32), number(2, 10), number(3, 500)];
    let dir = words.get(4).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(measure(sizes, &dir));
}

fn configured(dir: &Path, port: u16) -> PathBuf {
    let config = dir.join("c.toml");
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
[data]
dir = "data"
[log]
origin = "face.test/log"
[smtp]
url = "maildir:{}"
from = "Test <test@acme.example>"
[[entity]]
id = "acme"
name = "Acme"
roles = ["controller"]
established_in = ["AQ"]
operates_in = ["DE", "ES", "FR", "IT", "NL"]
zone = "Europe/Paris"
[[person]]
id = "lea"
name = "Lea Fontaine"
email = "lea@acme.example"
[[policy]]
id = "default"
[[policy.step]]
at = "due-1h"
notify = ["person:lea"]
"#,
        dir.join("mail").display()
    );
    std::fs::write(&config, text).expect("written");
    config
}

/// An incident of which Acme became aware some hours ago: limits lie on both sides of the present, most of them ahead.
fn report(n: usize) -> Vec<u8> {
    let mut facts = serde_json::Map::new();
    facts.insert("personal_data".into(), true.into());
    facts.insert("risk".into(), "risk".into());
    facts.insert("times.aware".into(), utc(now() - chrono::Duration::minutes((n % 3600) as i64 + 1)).into());
    for place in PLACES {
        facts.insert(format!("affected.{place}"), (n % 90 + 10).into());
    }
    json!({ "title": format!("case {n}"), "entity": "acme", "facts": facts }).to_string().into_bytes()
}

fn post(path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: face.test\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn measure([incidents, clients, seconds, streams]: [usize; 4], dir: &Path) {
    std::fs::create_dir_all(dir).expect("a folder");
    let dir = tempfile::tempdir_in(dir).expect("a folder");
    let port = free_port();
    let config = configured(dir.path(), port);
    let made = Command::new(BINARY)
        .args(["token", "create", "--role", "admin", "--config"])
        .arg(&config)
        .stderr(Stdio::inherit())
        .output();
    let token = String::from_utf8(made.expect("runs").stdout).expect("UTF-8").trim().to_string();
    let child = Command::new(BINARY).args(["serve", "--config"]).arg(&config).env("RUST_LOG", "warn").spawn();
    let daemon = Daemon(child.expect("the daemon starts"));
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let fill = |worker: usize| {
        let token = token.clone();
        tokio::spawn(async move {
            let mut client = Client::new(port).await;
            let mut ids = Vec::new();
            for n in (worker..incidents).step_by(16) {
                let answer = client.ask(&post("/api/v1/incidents", &token, &report(n))).await;
                let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
                let obligations = told["incident"]["obligations"].as_array().unwrap_or_else(|| panic!("{told}"));
                ids.extend(
                    obligations
                        .iter()
                        .filter(|o| o["standing"] == "running")
                        .map(|o| o["id"].as_str().expect("an id").to_string()),
                );
            }
            ids
        })
    };
    let mut ids = Vec::new();
    for worker in (0..16).map(fill).collect::<Vec<_>>() {
        ids.extend(worker.await.expect("ran"));
    }
    println!(
        "{}",
        json!({ "figure": "filled", "incidents": incidents, "open_obligations": ids.len(), "resident_mib": daemon.resident_mib() })
    );
    let path = |id: &String| format!("/api/v1/obligations/{}", id.replace('@', "%40"));
    let one = |path: &str| Arc::new(vec![get(path, &token)]);
    let asked = Instant::now();
    Client::new(port).await.ask(&get("/", &token)).await;
    println!(
        "{}",
        json!({ "figure": "the first board after everything changed, ms", "ms": asked.elapsed().as_millis() as u64 })
    );
    load("floor: /healthz", port, one("/healthz"), clients, seconds as u64).await;
    load("board", port, one("/"), clients, seconds as u64).await;
    load("one obligation", port, one(&path(&ids[0])), clients, seconds as u64).await;
    let all = Arc::new(ids.iter().map(|id| get(&path(id), &token)).collect::<Vec<_>>());
    load("all obligations in turn", port, all, clients, seconds as u64).await;
    load("first page of the list", port, one("/api/v1/obligations?limit=100"), clients, seconds as u64).await;

    // somebody reports meanwhile, once a second
    let (reporter, token_of) = (token.clone(), token.clone());
    let reports = tokio::spawn(async move {
        let mut client = Client::new(port).await;
        for n in 0..seconds {
            client.ask(&post("/api/v1/incidents", &reporter, &report(n))).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    load("board while incidents are reported", port, Arc::new(vec![get("/", &token_of)]), clients, seconds as u64)
        .await;
    reports.await.expect("ran");

    let before = daemon.resident_mib();
    let mut open = Vec::new();
    for _ in 0..streams {
        let mut client = Client::new(port).await;
        client.stream.write_all(&get("/api/v1/stream", &token)).await.expect("sends");
        let mut piece = [0; 64];
        client.stream.read_exact(&mut piece).await.expect("begins");
        open.push(client);
    }
    let mut client = Client::new(port).await;
    for n in 0..5 {
        client.ask(&post("/api/v1/incidents", &token, &report(n))).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let after = daemon.resident_mib();
    println!(
        "{}",
        json!({ "figure": "event streams", "streams": streams, "resident_mib_before": before, "after": after, "extra_mib": after - before })
    );
}
