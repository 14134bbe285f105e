//! Heartbeats and the check from a second host, against a real receiver and the real binary.

use crate::support::daemon::{BINARY, free_port, start, token, write_config};
use crate::support::{house, settings};
use breachclock::daemon::heartbeat;
use breachclock::store::memory::MemoryStore;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// An HTTP receiver that counts what arrives; `answer` empty means that it never answers.
async fn receiver(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut request = vec![0u8; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                if request[..read].starts_with(b"GET /ping/secret HTTP/1.1\r\n") {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                if answer.is_empty() {
                    return std::future::pending::<()>().await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (format!("http://{address}/ping/secret"), count)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK";
const BROKEN: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

async fn until(count: &AtomicUsize, wanted: usize) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while count.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{} pings, wanted {wanted}", count.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn a_proven_loop_pings_and_a_stopped_one_does_not() {
    let (good, good_seen) = receiver(OK).await;
    let (slow, slow_seen) = receiver("").await;
    let (broken, broken_seen) = receiver(BROKEN).await;
    let house = Arc::new(house(MemoryStore::new("test.example/log"), settings(Vec::new())));
    let (prove, proven) = tokio::sync::watch::channel(None);
    let (end, stop) = tokio::sync::watch::channel(false);
    let every = Duration::from_millis(200);
    let tasks = heartbeat::start(&house, &[slow, broken, good], every, &proven, &stop);

    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(good_seen.load(Ordering::SeqCst), 0, "nothing was proven yet");

    prove.send_replace(Some(Instant::now()));
    until(&good_seen, 3).await;
    until(&broken_seen, 2).await;
    assert_eq!(slow_seen.load(Ordering::SeqCst), 1, "the slow one waits, and delays only itself");
    let status = house.status(breachclock::daemon::clock::now()).await;
    assert_eq!(status.pings.len(), 2, "the slow one has no result yet");
    let of = |n: &str| status.pings.iter().find(|p| p.place.ends_with(&format!("(address {n})"))).expect("known");
    assert!(of("3").last_success.is_some() && of("3").failing_since.is_none());
    assert_eq!(of("2").error.as_deref(), Some("answered 500 Internal Server Error"));
    assert_eq!(status.warnings.iter().filter(|w| w.contains("heartbeat")).count(), 1);
    assert!(!serde_json::to_string(&status).expect("JSON").contains("secret"), "the path of an address is a secret");

    // the last proof is older than the scheduler ever leaves it
    prove.send_replace(Instant::now().checked_sub(Duration::from_secs(60)));
    tokio::time::sleep(every).await;
    let seen = good_seen.load(Ordering::SeqCst);
    tokio::time::sleep(every * 4).await;
    assert_eq!(good_seen.load(Ordering::SeqCst), seen, "a stopped scheduler stops the pings");

    prove.send_replace(Some(Instant::now()));
    until(&good_seen, seen + 1).await;
    end.send_replace(true);
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(5), task).await.expect("ends with the daemon").expect("well");
    }
}

/// Exit code and both outputs.
fn check(url: &str, more: &[&str]) -> (i32, String) {
    let output = Command::new(BINARY)
        .args(["check", "--remote", url])
        .args(more)
        .env_remove("BREACHCLOCK_TOKEN_FILE")
        .output()
        .expect("runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn a_second_host_checks_the_real_daemon() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    // a mail server that nobody runs: the reminder waits
    let dead = free_port();
    let config = write_config(dir.path(), port, "");
    let text = std::fs::read_to_string(&config).expect("reads");
    let maildir = format!("maildir:{}", dir.path().join("mail").display());
    std::fs::write(&config, text.replace(&maildir, &format!("smtp://127.0.0.1:{dead}"))).expect("written");
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, token(&config)).expect("written");
    let token_file = token_file.to_str().expect("UTF-8");

    let (code, text) = check(&format!("http://127.0.0.1:{port}"), &["--token-file", token_file]);
    assert_eq!(code, 69, "{text}");
    assert!(text.contains("cannot be reached"), "{text}");

    let mut daemon = start(&config, port);
    let fine = (0..100).find_map(|_| {
        let answer = check(&daemon.url, &["--token-file", token_file]);
        if answer.0 == 0 {
            return Some(answer.1);
        }
        std::thread::sleep(Duration::from_millis(100));
        None
    });
    assert!(fine.expect("becomes well").contains("ok: "), "says so");
    assert_eq!(check(&daemon.url, &[]).0, 77, "without a token");
    assert_eq!(check(&daemon.url, &["--max-lag", "soon"]).0, 2);

    let report = Command::new(BINARY)
        .args(["incident", "report", "-", "--server", &daemon.url, "--token-file", token_file])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write;
            let facts = "title = \"Tape lost\"\nentity = \"acme-fr\"\n[facts]\npersonal_data = true\nrisk = \"risk\"\n\"times.aware\" = \"2026-03-01T08:00:00Z\"\n";
            child.stdin.take().expect("piped").write_all(facts.as_bytes())?;
            child.wait()
        });
    assert!(report.expect("runs").success());
    std::thread::sleep(Duration::from_secs(2));
    let (code, text) = check(&daemon.url, &["--token-file", token_file, "--max-lag", "1s"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("a message has been waiting for"), "{text}");
    let (code, json) = check(&daemon.url, &["--token-file", token_file, "--max-lag", "1s", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
    assert_eq!((code, &answer["ok"]), (1, &serde_json::json!(false)));
    assert!(answer["faults"][0]["remedy"].is_string() && answer["status"]["clock"]["discipline"].is_string(), "{json}");
    daemon.child.kill().expect("killed");
    daemon.child.wait().expect("waits");
}
