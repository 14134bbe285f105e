//! `kill -9` at random instants of a loaded daemon, as often as `BREACHCLOCK_KILLS` says (50). What was answered with
//! 2xx is there afterwards, every reminder that was due went out to a real mail server, and the log hangs together.

use crate::notify_email::{Server, header};
use crate::support::daemon::{serve, spawn};
use crate::support::faketime::Clock;
use crate::support::site::{DUTY, Log, Site, Told, check_foot, eventually, incident_id, report};
use breachclock::daemon::clock::now;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const POLICY: &str = r#"
[[policy]]
id = "default"
[[policy.step]]
at = "start"
notify = ["person:lea"]
[[policy.step]]
at = "start+1h"
notify = ["person:lea"]
"#;

/// What a client knows of a report that was accepted.
struct Accepted {
    id: String,
    reference: String,
    /// Asked for, and answered with 2xx.
    ack: (bool, bool),
    filing: (bool, bool),
}

/// Reports, acknowledges and files until the daemon dies.
async fn load(site: Arc<Site>, round: usize, worker: usize, pace: Duration) -> Vec<Accepted> {
    let mut accepted: Vec<Accepted> = Vec::new();
    for n in 0.. {
        let reference = format!("{round}-{worker}-{n}");
        // the second step is due in some seconds: in this round, in a later one, or while nobody is there
        let aware = now() - TimeDelta::seconds(3600) + TimeDelta::seconds(1 + (round + worker + n) as i64 % 9);
        let answer = site.post("/api/v1/incidents", &report(&reference, &aware.to_rfc3339())).await;
        // killed under our hands: this one was not accepted, as far as we know
        let Ok((status, body)) = answer else { return accepted };
        assert_eq!(status, 201, "{body}");
        let id = incident_id(&body);
        accepted.push(Accepted { id: id.clone(), reference, ack: (false, false), filing: (false, false) });
        let this = accepted.last_mut().expect("pushed");
        let (verb, body, done) = match (round + worker + n) % 4 {
            1 => ("ack", json!({ "by": "lea", "lease_seconds": 14_400 }), &mut this.ack),
            2 => ("filing", json!({ "by": "lea", "reference": format!("receipt of {id}") }), &mut this.filing),
            _ => {
                tokio::time::sleep(pace).await;
                continue;
            }
        };
        done.0 = true;
        let Ok((status, body)) = site.post(&format!("/api/v1/obligations/{id}~{DUTY}/{verb}"), &body).await else {
            return accepted;
        };
        assert_eq!(status, 200, "{verb}: {body}");
        done.1 = true;
        tokio::time::sleep(pace).await;
    }
    accepted
}

/// Signed heads of the log, as a witness keeps them: until the daemon dies.
async fn witness(site: Arc<Site>, alive: Arc<AtomicBool>) -> Vec<String> {
    let client = reqwest::Client::new();
    let mut seen = Vec::new();
    while alive.load(Ordering::Relaxed) {
        let url = format!("http://127.0.0.1:{}/api/v1/log/checkpoint", site.port);
        if let Ok(response) = client.get(url).send().await
            && response.status().is_success()
            && let Ok(note) = response.text().await
        {
            seen.push(note);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_loses_nothing() {
    let kills: usize = std::env::var("BREACHCLOCK_KILLS").map_or(50, |n| n.parse().expect("a number of kills"));
    let pace = Duration::from_millis(10 + kills as u64 / 4);
    let mails = Server::start(&["--pipelining"]);
    let site = Arc::new(Site::new(&format!("smtp://127.0.0.1:{}", mails.port), POLICY));
    let began = Instant::now();
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut below = |end: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % end
    };
    let (mut accepted, mut notes, mut early) = (Vec::new(), Vec::new(), 0);
    for round in 0..kills {
        if below(5) == 0 {
            // before it listens, or just then
            let mut daemon = spawn(serve(&site.config, None), site.port);
            tokio::time::sleep(Duration::from_millis(below(400))).await;
            daemon.kill();
            early += 1;
            continue;
        }
        let mut daemon = site.start();
        let alive = Arc::new(AtomicBool::new(true));
        let workers: Vec<_> = (0..4).map(|w| tokio::spawn(load(site.clone(), round, w, pace))).collect();
        let witness = tokio::spawn(witness(site.clone(), alive.clone()));
        tokio::time::sleep(Duration::from_millis(20 + below(900))).await;
        daemon.kill();
        alive.store(false, Ordering::Relaxed);
        for worker in workers {
            accepted.extend(worker.await.expect("the worker ended"));
        }
        notes.extend(witness.await.expect("the witness ended"));
    }
    let killing = began.elapsed();
    assert!(accepted.len() >= 2 * kills, "only {} reports were accepted: the test proves nothing", accepted.len());

    // a quarter of an hour later every lease has ended and every step is due
    let clock = Clock::moved(site.dir.join("clock"));
    clock.set(900);
    let mut daemon = site.start_on(&clock);
    eventually(Duration::from_secs(120), "everything is sent", || async {
        let status = site.ok("/api/v1/status").await;
        let next = status["next_wake"].as_str().unwrap_or("9999");
        let quiet = status["outbox_next"].is_null() && next > status["now"].as_str().expect("a time");
        quiet.then_some(())
    })
    .await;

    let log = site.log().await;
    let told = log.messages();
    let copies = check_mails(&mails, &log, &told);
    check_incidents(&site, &accepted, &told).await;
    check_heads(&log, &notes);
    for one in accepted.iter().step_by(1 + accepted.len() / 7) {
        site.verify_export(&one.id).await;
    }
    daemon.terminate(Duration::from_secs(20)).expect("it ends");
    site.fsck();

    let answered = |which: fn(&Accepted) -> (bool, bool)| accepted.iter().filter(|one| which(one).1).count();
    println!(
        "figure: kill -9: {kills} kills ({early} during start-up) in {:.0} s; accepted: {} reports, {} acknowledgements, {} filings, \
         lost: 0; reminders: {} due, {} handed over, {} mails sent again under the same Message-ID; {} log entries, {} \
         witnessed heads",
        killing.as_secs_f64(),
        accepted.len(),
        answered(|one| one.ack),
        answered(|one| one.filing),
        told.len(),
        told.len(),
        copies,
        log.0.len(),
        notes.len()
    );
}

/// Every message of the log arrived, nothing else did, and the log is the one each mail witnessed. Answers how many came
/// more than once.
fn check_mails(mails: &Server, log: &Log, told: &BTreeMap<String, Told>) -> usize {
    let (roots, mut seen, mut copies) = (log.roots(), BTreeSet::new(), 0);
    while let Ok(mail) = mails.mails.recv_timeout(Duration::from_secs(2)) {
        let id = header(&mail, "Message-ID").trim_matches(['<', '>']).split('@').next().unwrap_or_default().to_string();
        let message = told.get(&id).unwrap_or_else(|| panic!("a mail without an entry in the log: {mail}"));
        let text = mail["text"].as_str().expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&message.incident), "{id} is about {message:?}: {text}");
        assert!(text.contains(&format!("as step “{}”", message.step)), "{id} is about {message:?}: {text}");
        check_foot(&roots, mail["text"].as_str().expect("text"));
        assert_eq!(header(&mail, "X-Breachclock-Id"), id);
        copies += usize::from(!seen.insert(id));
    }
    let missing: Vec<_> = told.iter().filter(|(id, _)| !seen.contains(*id)).collect();
    assert!(missing.is_empty(), "{} messages never arrived: {missing:?}", missing.len());
    for (id, message) in told {
        assert_eq!(message.outcomes.last().map(String::as_str), Some("handed-over"), "{id}: {message:?}");
    }
    // one step is one message, however often it was decided
    let mut steps = BTreeMap::new();
    for message in told.values() {
        let step = (&message.incident, &message.obligation, &message.step, message.repeat, &message.to);
        if let Some(other) = steps.insert(step, message) {
            panic!("one step was told as two messages: {other:?} and {message:?}");
        }
    }
    copies
}

/// Each accepted report is there once, with what was done about it, and its steps were told.
async fn check_incidents(site: &Arc<Site>, accepted: &[Accepted], told: &BTreeMap<String, Told>) {
    let mut by_reference: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut page = "/api/v1/incidents?limit=500".to_string();
    loop {
        let body = site.ok(&page).await;
        let items = body["items"].as_array().expect("a list");
        for item in items {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_string();
            let title = text("title");
            by_reference.entry(title.trim_start_matches("incident ").to_string()).or_default().push(text("id"));
        }
        match (items.last(), items.len()) {
            (Some(last), 500) => {
                page = format!("/api/v1/incidents?limit=500&after={}", last["id"].as_str().expect("an id"))
            }
            _ => break,
        }
    }
    let mut steps: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for message in told.values() {
        let told = steps.entry(&message.incident).or_default();
        told.insert(&message.step);
        if message.coalesced > 0 {
            told.insert("start");
        }
    }
    let mut asked = Vec::new();
    for one in accepted {
        assert_eq!(by_reference.get(&one.reference), Some(&vec![one.id.clone()]), "{}", one.reference);
        let told = steps.get(one.id.as_str()).unwrap_or_else(|| panic!("nobody was told of {}", one.id));
        assert!(told.contains("start"), "{}: {told:?}", one.id);
        if !one.ack.0 && !one.filing.0 {
            assert!(told.contains("start+1h"), "{}: {told:?}", one.id);
        }
        if !one.ack.1 && !one.filing.1 {
            continue;
        }
        let (site, id, ack) = (site.clone(), one.id.clone(), one.ack.1);
        asked.push(async move {
            let view = site.ok(&format!("/api/v1/obligations/{id}~{DUTY}")).await;
            if ack {
                assert_eq!(view["holder"]["name"], "Lea Fontaine", "{id}");
            } else {
                let receipts: Vec<&Value> =
                    view["filings"].as_array().into_iter().flatten().map(|f| &f["reference"]).collect();
                assert_eq!(
                    (&view["standing"], receipts),
                    (&json!("discharged"), vec![&json!(format!("receipt of {id}"))])
                );
            }
        });
    }
    futures_util::future::join_all(asked).await;
}

/// The log has grown from each head a witness saw.
fn check_heads(log: &Log, notes: &[String]) {
    let (roots, mut kept) = (log.roots(), BTreeSet::new());
    for note in notes {
        let mut lines = note.lines().skip(1);
        let size: usize = lines.next().and_then(|line| line.parse().ok()).expect("a size");
        assert!(size <= log.0.len(), "{size} entries were signed, {} are there", log.0.len());
        if kept.insert(size) {
            check_foot(&roots, &format!("Evidence log x, size {size}\n{}\n", lines.next().expect("a root")));
        }
    }
    assert!(kept.len() > 1, "the witness saw {} heads", kept.len());
}
