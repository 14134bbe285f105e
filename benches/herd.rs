//! A herd of open incidents in the real daemon: how long a start takes until it is ready, the memory it holds, and how late
//! a step is told when many fall due.
//!
//! `cargo bench --bench herd -- [INCIDENTS=100000] [STEPS A MINUTE=1000] [SECONDS=180] [DIR]`; one JSON line per figure. Every
//! incident has five obligations (one report to each of five authorities) and one step ahead; the steps of the first of
//! them fall due evenly during the measured time, those of the others later. Lateness is from the instant of the step to the
//! first byte at the receiver of the webhook; beside it, in the same run, how late a bare timer of tokio rings and how
//! long this disk takes for an fdatasync. The folder must be on the disk that is meant.

use breachclock::daemon::clock::now;
use breachclock::rules::utc;
use breachclock::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BINARY: &str = env!("CARGO_BIN_EXE_breachclock");
const PLACES: [&str; 5] = ["DE", "ES", "FR", "IT", "NL"];
const CLIENTS: usize = 64;

/// First byte of each message about an incident, and how often one came.
type Arrivals = Arc<Mutex<HashMap<String, (Timestamp, u32)>>>;

struct Daemon {
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts it and answers how long it took to listen, and to say that it is ready.
    async fn start(config: &Path, url: &str) -> (Daemon, Duration, Duration) {
        let started = Instant::now();
        let child = Command::new(BINARY).args(["serve", "--config"]).arg(config).env("RUST_LOG", "warn").spawn();
        let mut daemon = Daemon { child: child.expect("the daemon starts") };
        let client = reqwest::Client::new();
        let mut listens = None;
        loop {
            assert!(daemon.child.try_wait().expect("waits").is_none(), "the daemon ended");
            if let Ok(answer) = client.get(format!("{url}/readyz")).send().await {
                let listened = *listens.get_or_insert(started.elapsed());
                if answer.status().is_success() {
                    return (daemon, listened, started.elapsed());
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Resident now and at most, MiB.
    fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line");
            line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).expect("KiB") / 1024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    async fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        while self.child.try_wait().expect("waits").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Takes webhooks and notes the instant of the first byte of each.
async fn receive(listener: tokio::net::TcpListener, arrivals: Arrivals) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let arrivals = arrivals.clone();
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            let mut first = None;
            loop {
                let mut piece = [0; 8192];
                let Ok(n @ 1..) = stream.read(&mut piece).await else { return };
                first.get_or_insert_with(now);
                bytes.extend_from_slice(&piece[..n]);
                let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
                    continue;
                };
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.and_then(|n| n.trim().parse().ok()).expect("a length");
                if bytes.len() < end + length {
                    continue;
                }
                let body: serde_json::Value = serde_json::from_slice(&bytes[end..end + length]).expect("JSON");
                let id = body["data"]["incident"].as_str().expect("an incident").to_string();
                let at = first.take().expect("set");
                arrivals.lock().expect("no panic").entry(id).or_insert((at, 0)).1 += 1;
                bytes.drain(..end + length);
                if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                    return;
                }
            }
        });
    }
}

/// One report whose only step ahead is at `step`: an hour before 72 hours are over.
fn report(n: usize, step: Timestamp) -> serde_json::Value {
    let mut facts = serde_json::Map::new();
    facts.insert("personal_data".into(), true.into());
    facts.insert("risk".into(), "risk".into());
    facts.insert("times.aware".into(), utc(step - chrono::Duration::hours(71)).into());
    for place in PLACES {
        facts.insert(format!("affected.{place}"), (n % 90 + 10).into());
    }
    serde_json::json!({ "title": format!("case {n}"), "entity": "acme", "facts": facts, "source": "herd", "reference": n.to_string() })
}

/// Milliseconds.
fn quantiles(name: &str, mut values: Vec<f64>) -> serde_json::Value {
    values.sort_by(f64::total_cmp);
    let of = |q: f64| (values[((values.len() - 1) as f64 * q) as usize] * 1000.0).round() / 1000.0;
    serde_json::json!({ "figure": name, "n": values.len(), "p50": of(0.5), "p99": of(0.99), "p999": of(0.999), "max": of(1.0) })
}

async fn bare_timers(seconds: u64) -> Vec<f64> {
    let (start, mut late) = (tokio::time::Instant::now(), Vec::new());
    let (mut at, mut random) = (start, 88_172_645_463_325_252u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        at += Duration::from_micros(500 + random % 4000);
        tokio::time::sleep_until(at).await;
        late.push((tokio::time::Instant::now() - at).as_secs_f64() * 1e3);
    }
    late
}

fn fdatasyncs(dir: &Path, times: usize) -> Vec<f64> {
    let mut file = std::fs::File::create(dir.join("sync")).expect("a file");
    let once = |_| {
        file.write_all(&[7; 4096]).expect("writes");
        let asked = Instant::now();
        file.sync_data().expect("syncs");
        asked.elapsed().as_secs_f64() * 1e3
    };
    (0..times).map(once).collect()
}

/// The numbers of `/metrics` by name, without those that have labels.
async fn metrics(url: &str) -> BTreeMap<String, f64> {
    let text = reqwest::get(format!("{url}/metrics")).await.expect("answers").text().await.expect("text");
    text.lines()
        .filter_map(|line| line.split_once(' ').map(|(name, v)| (name.into(), v.parse().ok())))
        .filter_map(|(name, v): (String, Option<f64>)| Some((name, v?)))
        .collect()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |at: usize, default: u64| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    let (incidents, per_minute, seconds) = (number(0, 100_000) as usize, number(1, 1000), number(2, 180));
    let dir = words.get(3).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(measure(incidents, per_minute, seconds, &dir));
}

async fn measure(incidents: usize, per_minute: u64, seconds: u64, dir: &Path) {
    std::fs::create_dir_all(dir).expect("a folder");
    let dir = tempfile::tempdir_in(dir).expect("a folder");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let (port, hook) = (free_port(), listener.local_addr().expect("bound").port());
    let arrivals = Arrivals::default();
    tokio::spawn(receive(listener, arrivals.clone()));
    let url = format!("http://127.0.0.1:{port}");
    let config = dir.path().join("c.toml");
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
[data]
dir = "data"
[log]
origin = "herd.test/log"
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
[[webhook]]
id = "soc"
url = "http://127.0.0.1:{hook}/"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
events = ["reminder.*", "escalation.*"]
allow_private = true
[[policy]]
id = "default"
[[policy.step]]
at = "due-1h"
notify = ["webhook:soc"]
"#,
        dir.path().join("mail").display()
    );
    std::fs::write(&config, text).expect("written");
    let made = Command::new(BINARY)
        .args(["token", "create", "--role", "reporter", "--config"])
        .arg(&config)
        .stderr(Stdio::inherit())
        .output();
    let token = String::from_utf8(made.expect("runs").stdout).expect("UTF-8").trim().to_string();

    // filling takes as long as it takes: the steps begin well after it
    let begin = now() + chrono::Duration::seconds(60 + incidents as i64 / 1500);
    let step = move |n: usize| begin + chrono::Duration::microseconds((60_000_000 / per_minute) as i64 * n as i64);
    let (daemon, _, empty) = Daemon::start(&config, &url).await;
    println!(
        "{}",
        serde_json::json!({ "figure": "start with an empty store", "ready_ms": empty.as_millis() as u64, "resident_mib": daemon.memory().0 })
    );
    let filling = Instant::now();
    let ids = Arc::new(Mutex::new(vec![String::new(); incidents]));
    let fill = |client: usize| {
        let (url, token, ids) = (url.clone(), token.clone(), ids.clone());
        tokio::spawn(async move {
            let http = reqwest::Client::new();
            for n in (client..incidents).step_by(CLIENTS) {
                let asked = http.post(format!("{url}/api/v1/incidents")).bearer_auth(&token).json(&report(n, step(n)));
                let answer: serde_json::Value = asked.send().await.expect("answers").json().await.expect("JSON");
                let obligations = answer["incident"]["obligations"].as_array().unwrap_or_else(|| panic!("{answer}"));
                let running = obligations.iter().filter(|o| o["standing"] == "running" && !o["due"].is_null()).count();
                assert_eq!(running, PLACES.len(), "{answer}");
                ids.lock().expect("no panic")[n] = answer["incident"]["id"].as_str().expect("an id").to_string();
            }
        })
    };
    for client in (0..CLIENTS).map(fill).collect::<Vec<_>>() {
        client.await.expect("ran");
    }
    let took = filling.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({ "figure": "taken in over HTTP", "incidents": incidents, "seconds": took, "per_second": incidents as f64 / took, "resident_mib": daemon.memory().0 })
    );
    assert!(now() < begin, "filling took so long that steps fell due; give fewer incidents");
    daemon.stop().await;

    let (daemon, listens, ready) = Daemon::start(&config, &url).await;
    let (resident, most) = daemon.memory();
    println!(
        "{}",
        serde_json::json!({ "figure": "start with the herd", "incidents": incidents, "obligations": incidents * PLACES.len(), "listens_ms": listens.as_millis() as u64, "ready_ms": ready.as_millis() as u64, "resident_mib": resident, "at_most_mib": most })
    );

    let disk = dir.path().to_path_buf();
    let syncs = tokio::task::spawn_blocking(move || fdatasyncs(&disk, 300)).await.expect("ran");
    println!("{}", quantiles("fdatasync of this disk, ms", syncs));
    println!("{}", quantiles("a bare timer of tokio, late by ms", bare_timers(5).await));
    while now() < begin {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let end = begin + chrono::Duration::seconds(seconds as i64);
    let mut lags = Vec::new();
    while now() < end {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if let Some(lag) = metrics(&url).await.get("breachclock_escalation_lag_seconds") {
            lags.push(lag * 1e3);
        }
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let wanted = (0..incidents).take_while(|n| step(*n) < end).count();
    let (ids, arrivals) = (ids.lock().expect("no panic"), arrivals.lock().expect("no panic"));
    let mut late = Vec::new();
    for n in 0..wanted {
        let (at, times) = arrivals.get(&ids[n]).unwrap_or_else(|| panic!("nobody was told of step {n}"));
        assert_eq!(*times, 1, "step {n} was told {times} times");
        late.push((*at - step(n)).num_microseconds().expect("short") as f64 / 1e3);
    }
    assert!(late.iter().all(|ms| *ms >= 0.0), "a step was told before its time");
    if !lags.is_empty() {
        println!("{}", quantiles("wake-up lag, sampled twice a second, ms", lags));
    }
    println!("{}", quantiles("from due to the first byte of the webhook, ms", late));
    let (resident, most) = daemon.memory();
    println!(
        "{}",
        serde_json::json!({ "figure": "afterwards", "told": wanted, "resident_mib": resident, "at_most_mib": most })
    );
}
