//! Mail against a real server (aiosmtpd, see `support/smtp_server.py`) and into a maildir.

use crate::notify_support::{at, context, email, exercise, message};
use breachclock::escalation::Outcome;
use breachclock::notify::email::{Email, Settings, Timeouts};
use breachclock::notify::mail_id::{Fit, MailId};
use breachclock::notify::{Notifier, Notifiers, Secret};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The mail server as a child process; ends with the test because its standard input closes.
pub struct Server {
    child: Child,
    _stdin: ChildStdin,
    pub port: u16,
    pub mails: Receiver<Value>,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
        let python = std::env::var("BREACHCLOCK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/house/support/smtp_server.py");
        let mut child = Command::new(&python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{python}` does not start: {error}"));
        let stdin = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let port = first.strip_prefix("listening ").and_then(|port| port.parse().ok()).unwrap_or_else(|| {
            panic!("the mail server did not start; `{python} -m pip install aiosmtpd`, or run scripts/test.sh")
        });
        let (sender, mails) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Server { child, _stdin: stdin, port, mails }
    }

    fn mail(&self) -> Value {
        self.mails.recv_timeout(Duration::from_secs(10)).expect("a mail arrives")
    }

    fn none(&self) -> bool {
        self.mails.recv_timeout(Duration::from_millis(200)).is_err()
    }

    fn settings(&self, scheme: &str, host: &str) -> Settings {
        Settings {
            url: format!("{scheme}://{host}:{}", self.port),
            from: "breachclock, Ostrel <breachclock@ostrel.example>".replace(',', ""),
            username: None,
            password: None,
            ca_file: None,
            hello: Some("test.client".into()),
            connections: 1,
            receipts: false,
            read_receipts: false,
        }
    }

    fn plain(&self) -> Email {
        Email::with_timeouts(&self.settings("smtp", "127.0.0.1"), quick()).expect("settings")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quick() -> Timeouts {
    let seconds = Duration::from_secs;
    Timeouts { connect: seconds(5), command: seconds(1), accept: seconds(5) }
}

pub fn header<'a>(mail: &'a Value, name: &str) -> &'a str {
    let all = mail["headers"].as_array().expect("a list");
    let mut found = all.iter().filter(|pair| pair[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let value = found.next().unwrap_or_else(|| panic!("no header `{name}`"))[1].as_str().expect("text");
    assert!(found.next().is_none(), "`{name}` stands once");
    value
}

async fn send(email: &Email, address: &str) -> Outcome {
    email.deliver(&message(&format!("to/{address}"), crate::notify_support::email("jonas", address)), &context()).await
}

#[tokio::test]
async fn keeps_the_contract_of_notifiers() {
    for arguments in [&[][..], &["--pipelining"]] {
        let server = Server::start(arguments);
        exercise(&server.plain(), email("jonas", "j.weber@ostrel.example")).await;
        let ports: Vec<Value> = (0..22).map(|_| server.mail()["port"].clone()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "one connection carries all of them: {ports:?}");
    }
}

#[tokio::test]
async fn a_mail_has_the_headers_and_parts_it_should_have() {
    let server = Server::start(&["--pipelining"]);
    let mut sample =
        message("inc-2026-013/de-bsig-32-early@DE/due-4h/email:jonas/0", email("jonas", "j.weber@ostrel.example"));
    sample.brief.incident_title = "Überfall 漢字\r\nBcc: all@example.org\r\n\r\nhello".into();
    sample.brief.duty_title = "Früh\u{202e}warnung\nX-Evil: 1".into();
    let email = server.plain();
    let outcome = email.deliver(&sample, &context()).await;
    assert_eq!(outcome, Outcome::HandedOver { answer: "250 2.0.0 queued as 4F1B2C".into() });
    let mail = server.mail();
    assert_eq!(mail["defects"], serde_json::json!([]));
    assert_eq!(mail["parts"], serde_json::json!(["multipart/alternative", "text/plain", "text/html"]));
    assert_eq!(mail["from"], "breachclock@ostrel.example");
    assert_eq!(mail["to"], serde_json::json!(["j.weber@ostrel.example"]));
    assert_eq!(header(&mail, "Subject"), "[act before 04:05 CET] Früh warnung X-Evil: 1: nobody has it");
    assert_eq!(header(&mail, "To"), "Jonas Weber <j.weber@ostrel.example>");
    assert_eq!(header(&mail, "Date"), "Sat, 28 Mar 2026 00:55:00 +0000");
    assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&mail, "X-Auto-Response-Suppress"), "All");
    assert_eq!(header(&mail, "Importance"), "high");
    assert_eq!(header(&mail, "In-Reply-To"), "<incident-inc-2026-013@ostrel.example>");
    assert_eq!(header(&mail, "References"), header(&mail, "In-Reply-To"));
    let id = header(&mail, "Message-ID").to_string();
    assert_eq!(id, format!("<{}@ostrel.example>", header(&mail, "X-Breachclock-Id")));
    let parsed = MailId::parse(&id).expect("a name of ours");
    assert_eq!((parsed.incident.0.as_str(), parsed.fit(&sample)), ("inc-2026-013", Fit::Exact));
    // neither the key nor the token can be read from it; another token makes another name
    assert!(!id.contains("due-4h") && !id.contains("7Qm2xV0cRk"), "{id}");
    let other = breachclock::escalation::Message { ack_token: Some("7Qm2xV0cRl".into()), ..sample.clone() };
    assert_eq!(parsed.fit(&other), Fit::WrongTag);
    let names: Vec<&str> = mail["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    assert!(!names.iter().any(|name| ["Bcc", "X-Evil"].contains(name)), "{names:?}");
    assert!(mail["text"].as_str().unwrap().contains("Überfall 漢字 Bcc: all@example.org hello"), "{}", mail["text"]);
    assert!(mail["text"].as_str().unwrap().contains("lLYi1KYLrH7TnNgMCHQqIaHsrM8JqxoliiIXEga7e2Q="));
    assert!(mail["html"].as_str().unwrap().contains("https://breachclock.ostrel.example/a/7Qm2xV0cRk"));

    let rendered = breachclock::notify::render::render(&sample, &context());
    let lines = |text: &str| text.trim_end().replace("\r\n", "\n");
    assert_eq!(lines(mail["text"].as_str().unwrap()), lines(&rendered.text), "another program decodes what we meant");
    assert_eq!(lines(mail["html"].as_str().unwrap()), lines(&rendered.html));

    // a retry an hour later: another date, the same identity
    let later = breachclock::notify::Context { wall: at("2026-03-28T01:55:00Z"), ..context() };
    email.deliver(&sample, &later).await;
    let retried = server.mail();
    assert_eq!(header(&retried, "Message-ID"), id);
    assert_eq!(header(&retried, "Date"), "Sat, 28 Mar 2026 01:55:00 +0000");
}

#[tokio::test]
async fn notices_of_failure_are_asked_for_where_the_server_passes_that_on() {
    for pipelining in [&["--dsn"][..], &["--dsn", "--pipelining"]] {
        let server = Server::start(pipelining);
        send(&server.plain(), "good@x.example").await;
        let mail = server.mail();
        let id = header(&mail, "X-Breachclock-Id");
        assert_eq!(mail["dsn"], serde_json::json!({ "RET": "HDRS", "ENVID": id, "NOTIFY": "FAILURE,DELAY" }));
        let mut settings = server.settings("smtp", "127.0.0.1");
        (settings.receipts, settings.read_receipts) = (true, true);
        let email = Email::with_timeouts(&settings, quick()).expect("settings");
        send(&email, "good@x.example").await;
        let mail = server.mail();
        assert_eq!(mail["dsn"]["NOTIFY"], "SUCCESS,FAILURE,DELAY");
        assert_eq!(header(&mail, "Disposition-Notification-To"), "breachclock@ostrel.example");
    }
    // a server that announces it and refuses it gets the mail without
    for pipelining in [&["--dsn-only-announced"][..], &["--dsn-only-announced", "--pipelining"]] {
        let server = Server::start(pipelining);
        let email = server.plain();
        for _ in 0..2 {
            let outcome = send(&email, "good@x.example").await;
            assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
            assert_eq!(server.mail()["dsn"], serde_json::json!({}));
        }
        let refused = send(&email, "gone@x.example").await;
        assert!(matches!(refused, Outcome::Refused { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn what_the_server_says_decides_the_outcome() {
    for arguments in [&[][..], &["--pipelining"]] {
        let server = Server::start(arguments);
        let email = server.plain();
        let cases = [
            ("busy@x.example", "retry", "451 4.3.0 try again later"),
            ("gone@x.example", "refused", "550 5.1.1 no such user here"),
            ("later@x.example", "retry", "452 4.2.2 mailbox full"),
            ("never@x.example", "refused", "554 5.7.1 not wanted"),
            ("slow@x.example", "retry", "no answer to a command in time"),
            ("hangup@x.example", "retry", ""),
            ("closing@x.example", "retry", "421 4.3.2 closing"),
        ];
        for (address, wanted, words) in cases {
            let (got, error) = match send(&email, address).await {
                Outcome::Refused { error } => ("refused", error),
                Outcome::Retry { error, .. } => ("retry", error),
                handed_over => panic!("{address}: {handed_over:?}"),
            };
            assert_eq!(got, wanted, "{address}: {error}");
            assert!(error.contains(words) && error.contains("127.0.0.1"), "{address}: {error}");
            assert!(matches!(send(&email, "good@x.example").await, Outcome::HandedOver { .. }), "after {address}");
            assert_eq!(server.mail()["to"][0], "good@x.example", "nobody pays for {address}");
        }
        assert!(server.none());
    }
}

#[tokio::test]
async fn a_connection_closed_meanwhile_is_replaced_without_a_failure() {
    let server = Server::start(&[]);
    let email = server.plain();
    // taken, but the answer is lost: it must be tried again, under the same Message-ID
    assert!(matches!(send(&email, "vanish@x.example").await, Outcome::Retry { .. }));
    let first = server.mail();
    assert!(matches!(send(&email, "good@x.example").await, Outcome::HandedOver { .. }));
    assert_ne!(server.mail()["port"], first["port"]);

    // the server closes an idle connection that we hold: `hangup` at RCPT on the old one is tried anew, on a fresh one
    let retried = send(&email, "hangup@x.example").await;
    assert!(matches!(retried, Outcome::Retry { .. }), "{retried:?}");

    // half a minute of silence is enough to distrust a connection
    assert!(matches!(send(&email, "good@x.example").await, Outcome::HandedOver { .. }));
    let before = server.mail()["port"].clone();
    let later = breachclock::notify::Context { wall: at("2026-03-28T00:55:31Z"), ..context() };
    email.deliver(&message("later", crate::notify_support::email("jonas", "good@x.example")), &later).await;
    assert_ne!(server.mail()["port"], before);
}

#[tokio::test]
async fn nobody_listening_is_worth_a_retry() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").port();
    let settings = Settings {
        url: format!("smtp://127.0.0.1:{port}"),
        from: "a@x.example".into(),
        username: None,
        password: None,
        ca_file: None,
        hello: None,
        connections: 2,
        receipts: false,
        read_receipts: false,
    };
    let email = Email::with_timeouts(&settings, quick()).expect("settings");
    let Outcome::Retry { error, .. } = send(&email, "good@x.example").await else { panic!("retry expected") };
    assert!(error.contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_showing_it() {
    let server = Server::start(&[]);
    let Outcome::Refused { error } = send(&server.plain(), "not an address").await else { panic!("refused expected") };
    assert!(error.contains("`jonas`") && !error.contains("not an address"), "{error}");
    let Outcome::Refused { error } = send(&server.plain(), "jürgen@x.example").await else {
        panic!("refused expected")
    };
    assert!(error.contains("SMTPUTF8"), "{error}");
    let injected = send(&server.plain(), "a@x.example>\r\nRCPT TO:<b@x.example").await;
    assert!(matches!(injected, Outcome::Refused { .. }), "{injected:?}");
    assert!(server.none());
}

/// In a script: read no line, or all lines of a mail with its dot.
const NOTHING: usize = 0;
const MAIL: usize = usize::MAX;
const GREETING: [(usize, &str); 1] = [(NOTHING, "220 test\r\n")];

/// A server that follows a script, for what aiosmtpd does not do: each connection is a list of (lines to read, answer).
fn scripted(connections: Vec<Vec<(usize, &'static str)>>) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for script in connections {
            let (stream, _) = listener.accept().expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("clone")).lines();
            let mut answers = &stream;
            for (count, answer) in script {
                match count {
                    NOTHING => {}
                    MAIL => while lines.next().expect("open").expect("text") != "." {},
                    _ => (0..count).for_each(|_| drop(lines.next().expect("open").expect("text"))),
                }
                std::io::Write::write_all(&mut answers, answer.as_bytes()).expect("open");
            }
        }
    });
    port
}

fn scripted_email(port: u16) -> Email {
    let text = format!("url = 'smtp://127.0.0.1:{port}'\nfrom = 'a@x.example'\nhello = 'me'\nconnections = 1");
    Email::with_timeouts(&toml::from_str(&text).expect("settings"), quick()).expect("settings")
}

const HELLO: [(usize, &str); 2] =
    [(1, "250-test\r\n250 PIPELINING\r\n"), (1, "250-test\r\n250-8BITMIME\r\n250 PIPELINING\r\n")];

#[tokio::test]
async fn a_server_that_wants_a_mail_for_nobody_gets_an_empty_one() {
    // RCPT refused, DATA accepted nevertheless: a lone dot, RSET, and the connection goes on
    let refused =
        [(3, "250 ok\r\n550 5.1.1 unknown\r\n354 go on\r\n"), (1, "554 no recipients\r\n"), (1, "250 reset\r\n")];
    let taken = [(3, "250 ok\r\n250 ok\r\n354 go on\r\n"), (MAIL, "250 queued\r\n")];
    let port = scripted(vec![[&GREETING[..], &HELLO, &refused, &taken].concat()]);
    let email = scripted_email(port);
    let Outcome::Refused { error } = send(&email, "gone@x.example").await else { panic!("refused expected") };
    assert!(error.contains("550 5.1.1 unknown"), "{error}");
    assert_eq!(send(&email, "good@x.example").await, Outcome::HandedOver { answer: "250 queued".into() });
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_costs_nothing() {
    let taken = [(3, "250 ok\r\n250 ok\r\n354 go on\r\n"), (MAIL, "250 queued\r\n")];
    let once = [&GREETING[..], &HELLO, &taken].concat();
    // the second one says goodbye before it closes, as servers do on a timeout
    let goodbye = [&once[..], &[(NOTHING, "421 4.4.2 timeout\r\n")]].concat();
    let port = scripted(vec![once.clone(), goodbye, once]);
    let email = scripted_email(port);
    for n in 0..3 {
        let outcome = send(&email, "good@x.example").await;
        assert_eq!(outcome, Outcome::HandedOver { answer: "250 queued".into() }, "mail {n}");
    }
}

/// A certificate authority of our own and a certificate for `localhost`, made by openssl.
pub fn certificates(dir: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let run = |arguments: &str| {
        let status = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).stderr(Stdio::null()).status();
        assert!(status.expect("openssl is installed").success(), "openssl {arguments}");
    };
    std::fs::write(dir.join("san"), "subjectAltName=DNS:localhost\n").expect("writable");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority"));
    run(&format!("req -new {key} -keyout key.pem -out request.pem -subj /CN=localhost"));
    run("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile san");
    (dir.join("ca.pem"), dir.join("cert.pem"), dir.join("key.pem"))
}

#[tokio::test]
async fn tls_is_required_where_it_is_written_and_the_certificate_is_checked() {
    let dir = tempfile::tempdir().expect("a folder");
    let (authority, certificate, key) = certificates(dir.path());
    let (certificate, key) = (certificate.to_str().expect("path"), key.to_str().expect("path"));
    for (scheme, mode) in [("smtp+starttls", "--starttls"), ("smtps", "--tls")] {
        let server =
            Server::start(&["--cert", certificate, "--key", key, mode, "--auth", "breach:secret word", "--pipelining"]);
        let mut settings = server.settings(scheme, "localhost");
        settings.ca_file = Some(authority.clone());
        settings.username = Some("breach".into());
        settings.password = Some(Secret::new("secret word"));
        let email = Email::with_timeouts(&settings, quick()).expect("settings");
        exercise(&email, crate::notify_support::email("jonas", "good@x.example")).await;
        let mail = server.mail();
        assert!(mail["user"] == true, "logged in: {mail}");
        while !server.none() {}

        settings.password = Some(Secret::new("wrong"));
        let email = Email::with_timeouts(&settings, quick()).expect("settings");
        let Outcome::Retry { error, .. } = send(&email, "good@x.example").await else {
            panic!("a password can be repaired")
        };
        assert!(error.contains("log-in: 535") && !error.contains("wrong"), "{scheme}: {error}");

        settings.ca_file = None;
        let email = Email::with_timeouts(&settings, quick()).expect("settings");
        let Outcome::Retry { error, .. } = send(&email, "good@x.example").await else { panic!("not trusted") };
        assert!(error.to_lowercase().contains("certificate"), "{scheme}: {error}");
        assert!(server.none());
    }
    // a server without STARTTLS gets nothing, not even the password
    let server = Server::start(&[]);
    let email = Email::with_timeouts(&server.settings("smtp+starttls", "localhost"), quick()).expect("settings");
    let Outcome::Retry { error, .. } = send(&email, "good@x.example").await else {
        panic!("required, not opportunistic")
    };
    assert!(error.contains("STARTTLS"), "{error}");
    assert!(server.none());
}

#[tokio::test]
async fn a_maildir_gets_real_messages() {
    let dir = tempfile::tempdir().expect("a folder");
    let url = format!("maildir:{}", dir.path().join("mail").display());
    let text = format!("url = {url:?}\nfrom = \"Breach desk <breach@example.org>\"");
    let settings: Settings = toml::from_str(&text).expect("settings");
    let email = Email::from_settings(&settings).expect("settings");
    exercise(&email, crate::notify_support::email("jonas", "j.weber@ostrel.example")).await;
    let files = |part: &str| std::fs::read_dir(dir.path().join("mail").join(part)).expect("readable").count();
    assert_eq!(
        (files("tmp"), files("new"), files("cur")),
        (0, 21, 0),
        "the same message at the same instant is one file"
    );
    let any = std::fs::read_dir(dir.path().join("mail/new")).unwrap().next().unwrap().unwrap().path();
    let mail = std::fs::read_to_string(any).expect("text");
    assert!(mail.starts_with("From: ") && !mail.contains('\r') && mail.is_ascii(), "{mail}");
}

#[test]
fn settings_are_checked_in_the_words_of_the_configuration() {
    let cases = [
        ("url = 'http://x'\nfrom = 'a@x.example'", "smtp.url: `http` is not a scheme for mail"),
        ("url = 'maildir:'\nfrom = 'a@x.example'", "smtp.url: `maildir:` names no directory"),
        ("url = 'smtp://x'\nfrom = 'nobody'", "smtp.from: `nobody` is not a mail address"),
        ("url = 'smtps://x'\nfrom = 'a@x.example'\nusername = 'u'", "smtp.password: is missing"),
        (
            "url = 'smtp://x'\nfrom = 'a@x.example'\nusername = 'u'\npassword = 'p'",
            "would send the password unencrypted",
        ),
        ("url = 'smtp://x'\nfrom = 'a@x.example'\nconnections = 0", "smtp.connections: `0`"),
        (
            "url = 'smtps://x'\nfrom = 'a@x.example'\nca_file = '/nonexistent'",
            "smtp.ca_file: `/nonexistent` cannot be read",
        ),
    ];
    for (text, words) in cases {
        let settings: Settings = toml::from_str(text).expect("parses");
        let error = Email::from_settings(&settings).err().expect(words).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(
        toml::from_str::<Settings>("url = 'smtp://x'\nfrom = 'a@x.example'\nport = 25").is_err(),
        "unknown keys are errors"
    );
}

#[tokio::test]
async fn a_channel_that_is_not_configured_refuses() {
    let notifiers = Notifiers::from_settings(&breachclock::notify::Settings::default()).expect("nothing to check");
    let to = crate::notify_support::email("jonas", "good@x.example");
    let Outcome::Refused { error } = notifiers.deliver(&message("none", to), &context()).await else {
        panic!("refused")
    };
    assert!(error.contains("[smtp]"), "{error}");
    let Outcome::Refused { error } =
        notifiers.deliver(&message("none", crate::notify_support::webhook("soc")), &context()).await
    else {
        panic!("refused")
    };
    assert!(error.contains("`soc`"), "{error}");
}
