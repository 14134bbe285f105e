//! Mails a second through one connection, beside a raw client that writes prepared bytes in the same run.
//!
//! Needs `smtp-sink` (Debian: package postfix; it must not run as a service).
//! `cargo bench --bench mail -- [MAILS]`; one JSON line per client.

use breachclock::escalation::{Brief, Event, Message, Outcome, Reason, Target};
use breachclock::law::{DutyId, IncidentId};
use breachclock::notify::email::{Email, Settings};
use breachclock::notify::{Context, LogHead, Notifier};
use breachclock::time::{Timestamp, Zone};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    fn start() -> Sink {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let mut command = Command::new("/usr/sbin/smtp-sink");
        // smtp-sink refuses to run as root without a user to become
        command.args(["-u", "nobody", "-h", "sink.example", &format!("127.0.0.1:{port}"), "200"]);
        let child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("smtp-sink; apt-get install postfix");
        let sink = Sink { child, port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        sink
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() {
    let mails = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let sink = Sink::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("tokio");
    let size = runtime.block_on(mail_size());
    let floor = report("raw pipelined, mail of the floor (1.7 kB)", 1, raw(sink.port, mails, 1_700));
    let floor_same = report(&format!("raw pipelined, mail of our size ({size} B)"), 1, raw(sink.port, mails, size));
    let ours =
        report("breachclock, one connection, one after another", 1, on_worker(&runtime, ours(sink.port, mails, 1)));
    report("rendering alone", 0, rendering(mails));
    report("breachclock, four connections", 4, on_worker(&runtime, ours_at_once(sink.port, mails)));
    println!("{{\"of_floor\":{:.2},\"of_floor_same_size\":{:.2}}}", ours / floor, ours / floor_same);
}

/// As in the daemon: on a worker, not on the thread that waits for the runtime.
fn on_worker<T: Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime.block_on(runtime.spawn(work)).expect("no panic")
}

fn report(client: &str, connections: usize, (elapsed, mut each): (Duration, Vec<f64>)) -> f64 {
    each.sort_by(f64::total_cmp);
    let rate = each.len() as f64 / elapsed.as_secs_f64();
    let (p50, p99) = (each[each.len() / 2], each[(each.len() - 1) * 99 / 100]);
    let n = each.len();
    println!(
        "{{\"client\":\"{client}\",\"connections\":{connections},\"n\":{n},\"mails_per_s\":{rate:.0},\"p50_ms\":{p50:.3},\"p99_ms\":{p99:.3}}}"
    );
    rate
}

/// One synchronous client with TCP_NODELAY: MAIL, RCPT and DATA in one write, the body with its dot in another.
fn raw(port: u16, mails: usize, size: usize) -> (Duration, Vec<f64>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("sink");
    stream.set_nodelay(true).expect("nodelay");
    let mut answers = BufReader::new(stream.try_clone().expect("clone"));
    let mut answer = move || loop {
        let mut line = String::new();
        assert!(answers.read_line(&mut line).expect("answer") > 0, "closed");
        if line.as_bytes().get(3) != Some(&b'-') {
            assert!(line.starts_with(['2', '3']), "{line}");
            return;
        }
    };
    answer();
    stream.write_all(b"EHLO localhost\r\n").expect("write");
    answer();
    let line = "Deadline notice: the obligation falls due in 4 h.\r\n";
    let body = format!(
        "From: <a@localhost>\r\nTo: <b@localhost>\r\nSubject: due\r\n\r\n{}.\r\n",
        line.repeat(size / line.len())
    );
    let (start, mut each) = (Instant::now(), Vec::with_capacity(mails));
    for _ in 0..mails {
        let one = Instant::now();
        stream.write_all(b"MAIL FROM:<a@localhost>\r\nRCPT TO:<b@localhost>\r\nDATA\r\n").expect("write");
        (0..3).for_each(|_| answer());
        stream.write_all(body.as_bytes()).expect("write");
        answer();
        each.push(one.elapsed().as_secs_f64() * 1e3);
    }
    (start.elapsed(), each)
}

fn email(port: u16, connections: usize) -> Email {
    let settings = Settings {
        url: format!("smtp://127.0.0.1:{port}"),
        from: "Breach desk <breach@example.org>".into(),
        username: None,
        password: None,
        ca_file: None,
        hello: Some("localhost".into()),
        receipts: false,
        read_receipts: false,
        connections,
    };
    Email::from_settings(&settings).expect("settings")
}

async fn ours(port: u16, mails: usize, connections: usize) -> (Duration, Vec<f64>) {
    let (email, context) = (email(port, connections), context());
    let (start, mut each) = (Instant::now(), Vec::with_capacity(mails));
    for n in 0..mails {
        let one = Instant::now();
        let outcome = email.deliver(&message(n), &context).await;
        assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
        each.push(one.elapsed().as_secs_f64() * 1e3);
    }
    (start.elapsed(), each)
}

async fn ours_at_once(port: u16, mails: usize) -> (Duration, Vec<f64>) {
    let email = std::sync::Arc::new(email(port, 4));
    let start = Instant::now();
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let email = email.clone();
            tokio::spawn(async move {
                let (context, mut each) = (context(), Vec::new());
                for n in (task..mails).step_by(4) {
                    let one = Instant::now();
                    let outcome = email.deliver(&message(n), &context).await;
                    assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
                    each.push(one.elapsed().as_secs_f64() * 1e3);
                }
                each
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("no panic"));
    }
    (start.elapsed(), all)
}

fn rendering(mails: usize) -> (Duration, Vec<f64>) {
    let (context, start, mut each) = (context(), Instant::now(), Vec::with_capacity(mails));
    for n in 0..mails {
        let one = Instant::now();
        std::hint::black_box(breachclock::notify::render::render(&message(n), &context));
        each.push(one.elapsed().as_secs_f64() * 1e3);
    }
    (start.elapsed(), each)
}

/// Size of one mail on the wire, found by writing it into a maildir.
async fn mail_size() -> usize {
    let dir = std::env::temp_dir().join(format!("breachclock-bench-{}", std::process::id()));
    let settings = Settings {
        url: format!("maildir:{}", dir.display()),
        from: "Breach desk <breach@example.org>".into(),
        username: None,
        password: None,
        ca_file: None,
        hello: None,
        receipts: false,
        read_receipts: false,
        connections: 1,
    };
    let outcome = Email::from_settings(&settings).expect("settings").deliver(&message(0), &context()).await;
    let Outcome::HandedOver { answer } = outcome else { panic!("{outcome:?}") };
    let mail = std::fs::read(dir.join(answer.strip_prefix("maildir ").expect("path"))).expect("written");
    let _ = std::fs::remove_dir_all(dir);
    mail.len() + mail.iter().filter(|byte| **byte == b'\n').count()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("RFC 3339")
}

fn context() -> Context {
    Context {
        now: at("2026-03-28T00:55:00Z"),
        wall: at("2026-03-28T00:55:00Z"),
        public_url: "https://breach.example.org".into(),
        checkpoint: Some(LogHead {
            origin: "breach.example.org/01".into(),
            size: 440,
            root: "lLYi1KYLrH7TnNgMCHQqIaHsrM8JqxoliiIXEga7e2Q=".into(),
        }),
        drill: false,
    }
}

fn message(n: usize) -> Message {
    Message {
        key: format!("inc-01kmxq.eu-x.due-4h.{n}.lea"),
        event: Event::EscalationRaised,
        incident: IncidentId("inc-01kmxq".into()),
        obligation: Some("de-bsig-32@DE".into()),
        target: Target::Email { person: "lea".into(), name: "Lea Fontaine".into(), address: "lea@example.org".into() },
        reason: Reason {
            policy: "default".into(),
            step: "due-4h".into(),
            repeat: 1,
            due_at: at("2026-03-28T00:55:00Z"),
            coalesced: 0,
        },
        created_at: at("2026-03-28T00:55:00Z"),
        urgent_at: at("2026-03-28T03:05:00Z"),
        brief: Brief {
            incident_title: "Substation gateway encrypted".into(),
            entity: "Ostrel Netz GmbH".into(),
            duty_title: "Early warning to BSI".into(),
            duty: Some(DutyId("de-bsig-32".into())),
            jurisdiction: "DE".into(),
            recipient_name: "BSI".into(),
            law: "BSIG".into(),
            citation: "§ 32(1)".into(),
            standing: "running".into(),
            missing: vec![],
            promptly: None,
            due: Some(at("2026-03-28T03:05:00Z")),
            conservative_due: Some(at("2026-03-28T03:05:00Z")),
            zone: Zone::named("Europe/Berlin").expect("zone"),
            started_key: Some("times.aware".into()),
            started_at: Some(at("2026-03-27T03:05:00Z")),
            holder: None,
            told: vec![],
            next: None,
            because: Some("24 hours after becoming aware".into()),
            also: vec![],
        },
        ack_token: Some("7Qm2xV0cRk".into()),
        extra: breachclock::escalation::Extra::default(),
    }
}
