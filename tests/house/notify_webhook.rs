//! Webhooks against a receiver of our own that checks each signature by its own arithmetic; SSRF cases as data.

use crate::notify_receiver::{Hook, Request, serve};
use crate::notify_support::{at, context, exercise, message, webhook};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use breachclock::escalation::{Also, Event, Message, Outcome};
use breachclock::notify::webhook::{Settings, Webhook, check_address};
use breachclock::notify::{Notifier, Notifiers, Secret};
use breachclock::time::Zone;
use ed25519_dalek::{Signature, SigningKey};
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

const KEY: &[u8; 32] = b"thirty-two bytes shared secret !";

fn signed(request: &Request) -> String {
    format!("{}.{}.{}", request.header("webhook-id"), request.header("webhook-timestamp"), request.body)
}

fn hook_settings(receiver: &Hook) -> Settings {
    settings(
        &format!("http://127.0.0.1:{}/hook?team=soc", receiver.port),
        &format!("whsec_{}", BASE64.encode(KEY)),
        true,
    )
}

fn hook(receiver: &Hook) -> Webhook {
    Webhook::from_settings(&hook_settings(receiver)).expect("settings")
}

fn settings(url: &str, secret: &str, allow_private: bool) -> Settings {
    Settings {
        id: "soc".into(),
        url: url.into(),
        secret: Secret::new(secret),
        events: vec!["*".into()],
        allow_private,
        allow_hosts: vec![],
        ca_file: None,
    }
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// HMAC-SHA256 after RFC 2104, by hand: the crate under test must not check itself.
fn hmac(key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let keyed = |pad: u8, rest: &[u8]| {
        let mut hash = Sha256::new();
        hash.update(block.map(|byte| byte ^ pad));
        hash.update(rest);
        hash.finalize().to_vec()
    };
    keyed(0x5c, &keyed(0x36, content))
}

async fn deliver(webhook: &Webhook, message: &Message) -> Outcome {
    webhook.deliver(message, &context()).await
}

#[tokio::test]
async fn keeps_the_contract_of_notifiers() {
    let receiver = Hook::start(OK);
    exercise(&hook(&receiver), webhook("soc")).await;
}

#[tokio::test]
async fn a_request_is_signed_and_its_id_outlives_retries() {
    let receiver = Hook::start(OK);
    let hook = hook(&receiver);
    let sample = message("inc/1/due-4h/webhook:soc/0", webhook("soc"));
    assert_eq!(deliver(&hook, &sample).await, Outcome::HandedOver { answer: "204 No Content".into() });
    let first = receiver.request();
    assert_eq!(first.line, "POST /hook?team=soc HTTP/1.1");
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("webhook-timestamp"), context().now.timestamp().to_string());
    assert!(!first.header("webhook-id").contains('.'));
    assert_eq!(
        first.header("webhook-signature"),
        format!("v1,{}", BASE64.encode(hmac(KEY, signed(&first).as_bytes())))
    );

    let later = breachclock::notify::Context { wall: at("2026-03-28T01:00:00Z"), ..context() };
    hook.deliver(&sample, &later).await;
    let second = receiver.request();
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_ne!(second.header("webhook-timestamp"), first.header("webhook-timestamp"));
    assert_ne!(second.header("webhook-signature"), first.header("webhook-signature"));

    deliver(&hook, &message("another", webhook("soc"))).await;
    assert_ne!(receiver.request().header("webhook-id"), first.header("webhook-id"));
}

#[tokio::test]
async fn ed25519_and_two_secrets_during_a_change() {
    let receiver = Hook::start(OK);
    let key = SigningKey::from_bytes(KEY);
    let (seed, pair) = (BASE64.encode(key.to_bytes()), BASE64.encode(key.to_keypair_bytes()));
    for secret in
        [format!("whsk_{seed} whsec_{}", BASE64.encode(KEY)), format!("whsk_{pair} whsec_{}", BASE64.encode(KEY))]
    {
        let hook = Webhook::from_settings(&Settings { secret: Secret::new(secret), ..hook_settings(&receiver) })
            .expect("settings");
        deliver(&hook, &message("x", webhook("soc"))).await;
        let request = receiver.request();
        let (asymmetric, shared) = request.header("webhook-signature").split_once(' ').expect("two signatures");
        assert_eq!(shared, format!("v1,{}", BASE64.encode(hmac(KEY, signed(&request).as_bytes()))));
        let bytes = BASE64.decode(asymmetric.strip_prefix("v1a,").expect("v1a")).expect("base64");
        let signature = Signature::from_slice(&bytes).expect("64 bytes");
        key.verifying_key().verify_strict(signed(&request).as_bytes(), &signature).expect("verifies");
    }
}

#[tokio::test]
async fn the_body_is_thin_and_names_nobody() {
    let receiver = Hook::start(OK);
    let mut sample = message("x", webhook("soc"));
    let person =
        |name: &str| breachclock::escalation::Told { name: name.into(), what: "told once".into(), at: context().now };
    sample.brief.holder = Some(person("Amara Diallo"));
    sample.brief.told = vec![person("Jonas Weber")];
    deliver(&hook(&receiver), &sample).await;
    let request = receiver.request();
    let body = request.json();
    assert_eq!(body["type"], "escalation.raised");
    assert_eq!(body["timestamp"], "2026-03-28T00:55:00Z");
    let obligation = &body["data"]["obligation"];
    assert_eq!(obligation["id"], "inc-2026-013~de-bsig-32-early@DE");
    assert_eq!(obligation["conservative_due"], "2026-03-28T03:05:00Z");
    assert_eq!(obligation["due_local"], "2026-03-28T04:05:00+01:00");
    assert_eq!(obligation["acknowledged"], true);
    assert_eq!(body["data"]["checkpoint"]["size"], 440);
    assert_eq!(body["data"]["ack_url"], "https://breachclock.ostrel.example/a/7Qm2xV0cRk");
    for name in ["Amara", "Jonas", "Substation"] {
        assert!(!request.body.contains(name), "{}", request.body);
    }

    // whatever is put in, the specification's 20 kB hold; what is left out is counted
    let long = "ä\u{7}\"".repeat(5_000);
    sample.brief.law = long.clone();
    sample.brief.missing = vec![long.clone(); 100];
    sample.brief.also = (0..200)
        .map(|n| Also {
            obligation: format!("us-state-{n}@US"),
            duty_title: long.clone(),
            recipient_name: "Attorney General".into(),
            conservative_due: Some(context().now),
            zone: Zone::UTC,
            standing: "running".into(),
        })
        .collect();
    deliver(&hook(&receiver), &sample).await;
    let request = receiver.request();
    assert!(request.body.len() < 20_000, "{}", request.body.len());
    let also = request.json()["data"]["also"].as_array().unwrap().len();
    assert_eq!(also as u64 + request.json()["data"]["also_left_out"].as_u64().unwrap(), 200);
}

#[tokio::test]
async fn the_answer_decides_the_outcome() {
    let big = format!("HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n{}", "x".repeat(100_000));
    let answers = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "handed-over 200 OK", None),
        ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", "handed-over 202 Accepted", None),
        (big.as_str(), "handed-over 200 OK", None),
        (
            "HTTP/1.1 301 Moved Permanently\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "retry 301",
            None,
        ),
        ("HTTP/1.1 307 Temporary Redirect\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n", "retry 307", None),
        ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "retry 401", None),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", "refused 410", None),
        ("HTTP/1.1 429 Too Many Requests\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n", "retry 429", Some(120)),
        (
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: Sat, 28 Mar 2026 00:56:40 GMT\r\ncontent-length: 0\r\n\r\n",
            "retry 503",
            Some(100),
        ),
        ("HTTP/1.1 502 Bad Gateway\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", "retry 502", None),
        ("", "retry", None),
    ];
    for (answer, wanted, after) in answers {
        let receiver = Hook::start(answer);
        let outcome = deliver(&hook(&receiver), &message("x", webhook("soc"))).await;
        let (got, seconds) = match &outcome {
            Outcome::HandedOver { answer } => (format!("handed-over {answer}"), None),
            Outcome::Refused { error } => (error.replace("webhook `soc` answered", "refused"), None),
            Outcome::Withdrawn { why } => (why.clone(), None),
            Outcome::Retry { error, after_seconds } => {
                (error.replace("webhook `soc` answered", "retry").replace("webhook `soc`:", "retry"), *after_seconds)
            }
        };
        assert!(got.starts_with(wanted), "{answer:.40}: {outcome:?}");
        assert_eq!(seconds, after, "{answer:.40}");
        assert!(!got.contains("/hook"), "the path may be a secret: {got}");
        receiver.request();
        let again = receiver.requests.recv_timeout(Duration::from_millis(50));
        assert!(again.is_err(), "one attempt is one request: {again:?}");
    }
}

#[tokio::test]
async fn events_are_filtered() {
    let receiver = Hook::start(OK);
    let chosen = vec!["obligation.*".to_string(), "evidence.checkpoint".to_string()];
    let one = Settings { events: chosen, ..hook_settings(&receiver) };
    let all = breachclock::notify::Settings { smtp: None, webhooks: vec![one], channels: vec![] };
    let notifiers = Notifiers::from_settings(&all).expect("settings");
    let target = webhook("soc");
    assert!(notifiers.wants(&target, Event::ObligationMoved) && notifiers.wants(&target, Event::EvidenceCheckpoint));
    assert!(
        !notifiers.wants(&target, Event::ReminderDue) && !notifiers.wants(&webhook("other"), Event::ObligationMoved)
    );
    let outcome = notifiers.deliver(&message("x", target), &context()).await;
    assert!(matches!(&outcome, Outcome::Refused { error } if error.contains("`escalation.raised`")), "{outcome:?}");
}

#[test]
fn settings_are_checked_in_the_words_of_the_configuration() {
    let secret = format!("whsec_{}", BASE64.encode(KEY));
    let cases = [
        ("http://hooks.example.org/", secret.as_str(), "webhook.soc.url: `http://hooks.example.org/` is not encrypted"),
        ("ftp://hooks.example.org/", &secret, "`ftp` is not a webhook scheme"),
        ("hooks.example.org", &secret, "is not a URL"),
        ("https://u:p@hooks.example.org/", &secret, "holds a user name"),
        ("https://127.0.0.1/", &secret, "is a loopback address"),
        ("https://hooks.example.org/", "hunter2", "begins with neither `whsec_` nor `whsk_`"),
        ("https://hooks.example.org/", "whsec_c2hvcnQ=", "has 5 bytes"),
        ("https://hooks.example.org/", "whsk_c2hvcnQ=", "has 5 bytes"),
        ("https://hooks.example.org/", "whsec_***", "is not base64"),
        ("https://hooks.example.org/", "", "is empty"),
    ];
    for (url, secret, words) in cases {
        let error = Webhook::from_settings(&settings(url, secret, false)).err().expect(words).to_string();
        assert!(error.contains(words), "{url}: {error}");
        assert!(secret.len() < 6 || !error.contains(secret), "no secret in {error}");
    }
    let mut listed = settings("https://hooks.example.org/", &secret, false);
    listed.allow_hosts = vec!["*.example.com".into()];
    let error = Webhook::from_settings(&listed).err().expect("not on the list").to_string();
    assert!(error.contains("webhook.soc.url: `hooks.example.org` is not among `allow_hosts`"), "{error}");
    let mistyped =
        Settings { events: vec!["obligations.*".into()], ..settings("https://hooks.example.org/", &secret, false) };
    let error = Webhook::from_settings(&mistyped).err().expect("an error").to_string();
    assert!(error.contains("`obligations.*` fits no event") && error.contains("reminder.due"), "{error}");
    let twice = settings("https://hooks.example.org/", &secret, false);
    let twice = breachclock::notify::Settings { smtp: None, webhooks: vec![twice.clone(), twice], channels: vec![] };
    assert!(Notifiers::from_settings(&twice).err().expect("an error").to_string().contains("`soc` is used twice"));
    let parsed: Settings =
        toml::from_str(&format!("id = 'a'\nurl = 'https://x.example'\nsecret = '{secret}'")).expect("parses");
    assert_eq!((parsed.events, parsed.allow_private), (vec!["*".to_string()], false));
    assert!(!format!("{:?}", parsed.secret).contains("whsec"));
    assert!(
        toml::from_str::<Settings>("id = 'a'\nurl = 'x'\nsecret = 's'\nretries = 3").is_err(),
        "unknown keys are errors"
    );
}

#[test]
fn literal_addresses_are_checked_in_every_spelling() {
    let secret = format!("whsec_{}", BASE64.encode(KEY));
    let inside = [
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://0/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/",
        "https://[fd00:ec2::254]/",
        "https://10.1.2.3:8443/",
    ];
    for url in inside {
        let error = Webhook::from_settings(&settings(url, &secret, false))
            .err()
            .unwrap_or_else(|| panic!("{url} was let through"));
        assert!(error.to_string().contains("allow_private"), "{url}: {error}");
        assert!(Webhook::from_settings(&settings(url, &secret, true)).is_ok(), "{url} is allowed when it is meant");
    }
}

#[test]
fn addresses_that_are_not_public() {
    let text = include_str!("notify_addresses.txt");
    let mut seen = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (address, wanted) = line.split_once(' ').expect("address and verdict");
        let got = check_address(address.parse().expect(address)).map_or_else(|fault| fault.kind, |()| "public");
        assert_eq!(got, wanted.trim(), "{address}");
        seen += 1;
    }
    assert!(seen > 40);
}

/// A name that leads inside is refused although its URL looks innocent: `localhost` needs no name server.
#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused_before_connecting() {
    let secret = format!("whsec_{}", BASE64.encode(KEY));
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("nonblocking");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("bound").port());
    let hook = Webhook::from_settings(&settings(&url, &secret, false)).expect("the name alone says nothing");
    let outcome = deliver(&hook, &message("x", webhook("soc"))).await;
    assert!(matches!(&outcome, Outcome::Refused { error } if error.contains("loopback")), "{outcome:?}");
    assert!(listener.accept().is_err(), "nobody connected");
}

#[tokio::test]
async fn https_checks_the_certificate_against_the_given_authority() {
    let dir = tempfile::tempdir().expect("a folder");
    let (authority, certificate, key) = crate::notify_email::certificates(dir.path());
    let chain =
        rustls::pki_types::CertificateDer::pem_file_iter(certificate).expect("PEM").map(Result::unwrap).collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(key).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).expect("certificate"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("bound").port();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = rustls::ServerConnection::new(config.clone()).expect("session");
            serve(rustls::StreamOwned::<_, TcpStream>::new(session, stream), &sender, OK);
        }
    });
    let secret = format!("whsec_{}", BASE64.encode(KEY));
    let plain = settings(&format!("https://localhost:{port}/"), &secret, true);
    let untrusting = Webhook::from_settings(&plain).expect("settings");
    let Outcome::Retry { error, .. } = deliver(&untrusting, &message("x", webhook("soc"))).await else {
        panic!("not trusted")
    };
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    let trusting = Webhook::from_settings(&Settings { ca_file: Some(authority), ..plain }).expect("settings");
    let outcome = deliver(&trusting, &message("x", webhook("soc"))).await;
    assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
    assert_eq!(requests.recv_timeout(Duration::from_secs(5)).expect("a request").line, "POST / HTTP/1.1");
}
