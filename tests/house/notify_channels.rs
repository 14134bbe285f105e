//! Every kind of channel against a receiver of our own. `notify_channels/KIND.txt` holds the requests of each, golden:
//! `BREACHCLOCK_WRITE_GOLDEN=1` writes them anew; read the diff before you keep it.

use crate::notify_receiver::{Hook, Request};
use crate::notify_support::{at, context, exercise, message};
use breachclock::escalation::{Also, Event, Extra, Message, Outcome, Quiet, Target};
use breachclock::law::IncidentId;
use breachclock::notify::channel::{Channel, KINDS, Limits, Reach, Settings};
use breachclock::notify::{Context, Notifier, Notifiers, Secret};
use breachclock::time::Zone;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// How each kind is set up here: its settings with `BASE` for the receiver, its headers, a person's address.
struct Sample {
    kind: &'static str,
    values: &'static [(&'static str, &'static str)],
    headers: &'static [(&'static str, &'static str)],
    address: Option<&'static str>,
}

const SAMPLES: [Sample; 7] = [
    Sample { kind: "slack", values: &[("url", "BASE/services/T000/B000/hook-secret")], headers: &[], address: None },
    Sample { kind: "teams", values: &[("url", "BASE/workflows/1/run?sig=hook-secret")], headers: &[], address: None },
    Sample {
        kind: "mattermost",
        values: &[("url", "BASE/hooks/hook-secret")],
        headers: &[],
        address: Some("@jonas.weber"),
    },
    Sample {
        kind: "pagerduty",
        values: &[("url", "BASE/v2/enqueue"), ("routing_key", "0123456789abcdef0123456789abcdef")],
        headers: &[],
        address: None,
    },
    Sample {
        kind: "opsgenie",
        values: &[("url", "BASE/jsm/ops/integration/v2/alerts"), ("api_key", "eb243592-faa2-4ba2")],
        headers: &[],
        address: Some("j.weber@ostrel.example"),
    },
    Sample {
        kind: "ntfy",
        values: &[("url", "BASE"), ("topic", "breach-desk"), ("token", "tk_secret-token")],
        headers: &[],
        address: Some("jonas-x7Kq2"),
    },
    Sample {
        kind: "sms",
        values: &[
            ("url", "BASE/v1/messages"),
            ("body", r#"{"to": "{to}", "text": "{text}", "reference": "{id}"}"#),
            ("secret", "sms-secret"),
            ("to", "+4930123456"),
        ],
        headers: &[("Authorization", "Bearer {secret}"), ("Content-Type", "application/json")],
        address: Some("+4915112345678"),
    },
];

impl Sample {
    fn settings(&self, base: &str, allow_private: bool) -> Settings {
        let secret = |(name, value): &(&str, &str)| (name.to_string(), Secret::new(value.replace("BASE", base)));
        Settings {
            id: self.kind.into(),
            kind: self.kind.into(),
            values: self.values.iter().map(secret).collect(),
            headers: self.headers.iter().map(secret).collect(),
            reach: Reach { allow_private, ..Reach::default() },
        }
    }

    fn at(&self, receiver: &Hook) -> Channel {
        let settings = self.settings(&format!("http://127.0.0.1:{}", receiver.port), true);
        Channel::from_settings(&settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn room(&self) -> Target {
        Target::Channel { id: self.kind.into(), person: None, name: self.kind.into(), address: None }
    }

    fn person(&self) -> Target {
        Target::Channel {
            id: self.kind.into(),
            person: Some("jonas".into()),
            name: "Jonas Weber".into(),
            address: self.address.map(str::to_string),
        }
    }
}

/// The messages of the golden files.
fn cases(sample: &Sample) -> Vec<(&'static str, Message)> {
    let case = |target: Target, change: fn(&mut Message)| {
        let mut message = message("inc-2026-013/early/due-4h/0", target);
        change(&mut message);
        message
    };
    vec![
        ("room", case(sample.room(), |_| {})),
        ("person, fallen over from mail, in quiet hours", {
            case(sample.person(), |message| {
                message.extra.after = Some("email:jonas was not confirmed within 7 min".into());
                message.extra.quiet = Some(Quiet::Overridden { until: at("2026-03-28T05:00:00Z") });
            })
        }),
        ("hostile words in an exercise", {
            case(sample.room(), |message| {
                message.extra.drill = true;
                message.brief.incident_title = HOSTILE.into();
                message.brief.duty_title = "<@U123> *Early* warning @all & `all`".into();
            })
        }),
        ("late, the third time, with another duty", {
            case(sample.room(), |message| {
                message.event = Event::ObligationOverdue;
                message.brief.due = Some(at("2026-03-28T00:05:00Z"));
                message.brief.conservative_due = message.brief.due;
                message.extra.overdue_count = 3;
                message.reason.repeat = 2;
                message.brief.also = vec![Also {
                    obligation: "eu-gdpr-33-authority@DE".into(),
                    duty_title: "Notification to the supervisory authority".into(),
                    recipient_name: "LfDI".into(),
                    conservative_due: Some(at("2026-03-30T01:05:00Z")),
                    zone: Zone::named("Europe/Berlin").expect("known zone"),
                    standing: "running".into(),
                }];
            })
        }),
        ("a filing is recorded", {
            case(sample.room(), |message| {
                message.event = Event::ObligationDischarged;
                message.brief.standing = "discharged".into();
            })
        }),
        ("the house itself", {
            case(sample.room(), |message| {
                let kept = (message.target.clone(), message.brief.zone, message.reason.clone());
                *message = house(kept.0, message);
                (message.brief.zone, message.reason) = (kept.1, kept.2);
                (message.reason.policy, message.reason.step) = ("house".into(), "self-test".into());
            })
        }),
    ]
}

const HOSTILE: &str =
    "<!channel> @all @channel <at>Lea</at> [pay](https://evil.example) *now* #x ~town {{DATE(x)}} <img src=x>";

/// A message about the house itself, as the daemon makes it: no incident, a note, no facts.
fn house(target: Target, like: &Message) -> Message {
    let mut message = like.clone();
    (message.target, message.key) = (target, "house/self-test/2026-03-28".into());
    (message.event, message.incident, message.obligation) = (Event::DaemonSelfTest, IncidentId::house(), None);
    let brief = &mut message.brief;
    for text in [
        &mut brief.incident_title,
        &mut brief.entity,
        &mut brief.duty_title,
        &mut brief.jurisdiction,
        &mut brief.recipient_name,
        &mut brief.law,
        &mut brief.citation,
        &mut brief.standing,
    ] {
        text.clear();
    }
    (brief.duty, brief.due, brief.conservative_due, brief.started_key, brief.because) = (None, None, None, None, None);
    brief.started_at = None;
    message.extra = Extra {
        note: Some("3 incidents are open.\nThe next step is due Sat 28 Mar, 02:30 CET.".into()),
        ..Extra::default()
    };
    message
}

/// A request as a file shows it: method, path, the headers that matter, the body as JSON with line breaks.
fn shown(request: &Request) -> String {
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "content-type" | "authorization" | "idempotency-key"));
    let headers = headers.map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
    let body = serde_json::to_string_pretty(&request.json()).expect("JSON");
    // what cannot be seen must be seen here
    format!("{}\n{headers}\n{}\n", request.line, body.replace('\u{200b}', "⟨gap⟩"))
}

#[tokio::test]
async fn requests_are_what_their_golden_files_say() {
    let mut wrong = Vec::new();
    for sample in &SAMPLES {
        let receiver = Hook::start(OK);
        let channel = sample.at(&receiver);
        let mut got = String::new();
        for (name, message) in cases(sample) {
            let outcome = channel.deliver(&message, &context()).await;
            assert_eq!(outcome, Outcome::HandedOver { answer: "202 Accepted".into() }, "{}: {name}", sample.kind);
            got.push_str(&format!("== {name}\n{}\n", shown(&receiver.request())));
        }
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/house/notify_channels");
        let golden = PathBuf::from(dir).join(sample.kind).with_extension("txt");
        if std::env::var_os("BREACHCLOCK_WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(dir).expect("writable");
            std::fs::write(&golden, &got).expect("writable");
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        if got != wanted {
            wrong.push(format!("{}:\n--- wanted\n{wanted}\n--- got\n{got}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

const OK: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn every_kind_has_a_sample() {
    for kind in KINDS {
        assert!(SAMPLES.iter().any(|sample| sample.kind == kind.name), "`{}` is not exercised", kind.name);
    }
}

/// What must hold for every channel, whatever the golden files say.
#[tokio::test]
async fn no_room_gets_a_personal_link_nothing_rings_and_exercises_say_so() {
    for sample in &SAMPLES {
        let receiver = Hook::start(OK);
        let channel = sample.at(&receiver);
        for (name, message) in cases(sample) {
            channel.deliver(&message, &context()).await;
            let request = receiver.request();
            let (body, at) = (&request.body, format!("{}: {name}: {}", sample.kind, request.body));
            let personal = message.target.person().is_some();
            assert_eq!(body.contains("/a/7Qm2xV0cRk"), personal, "the link is a person's: {at}");
            let over = message.event == Event::ObligationDischarged;
            let page = body.contains("https://breachclock.ostrel.example/obligations/inc-2026-013~de-bsig-32-early");
            let expected = message.obligation.is_some() && !(over && matches!(sample.kind, "pagerduty" | "opsgenie"));
            // a text message has room for one link
            assert_eq!(page, expected && !(personal && sample.kind == "sms"), "{at}");
            for word in ["<!channel>", "<@U123>", "@all", "@channel", "<at>", "<img", "https://evil", "_system"] {
                assert!(!body.contains(word), "`{word}`: {at}");
            }
            assert_eq!(body.contains("DRILL"), message.extra.drill, "{at}");
            if personal && sample.kind != "sms" {
                assert!(body.contains("was not confirmed within 7 min"), "{at}");
                assert!(body.contains("quiet hours"), "{at}");
            }
        }
        let drill = Context { drill: true, ..context() };
        channel.deliver(&message("x", sample.room()), &drill).await;
        assert!(receiver.request().body.contains("DRILL"), "{}: a drill of the whole house", sample.kind);
    }
}

#[tokio::test]
async fn every_kind_keeps_the_contract_of_notifiers() {
    for sample in &SAMPLES {
        let receiver = Hook::start(OK);
        exercise(&sample.at(&receiver), sample.room()).await;
        exercise(&sample.at(&receiver), sample.person()).await;
    }
}

#[tokio::test]
async fn the_same_message_twice_is_the_same_request_and_repeats_are_one_alert() {
    for sample in &SAMPLES {
        let receiver = Hook::start(OK);
        let channel = sample.at(&receiver);
        let mut requests = Vec::new();
        for key in ["step/0", "step/0", "step/1"] {
            channel.deliver(&message(key, sample.room()), &context()).await;
            requests.push(receiver.request());
        }
        let [first, again, repeat] = &requests[..] else { panic!("three requests") };
        assert_eq!((&first.body, &first.line), (&again.body, &again.line), "{}", sample.kind);
        assert_eq!(first.header("idempotency-key"), again.header("idempotency-key"), "{}", sample.kind);
        assert_ne!(first.header("idempotency-key"), repeat.header("idempotency-key"), "{}", sample.kind);
        for name in ["dedup_key", "alias"] {
            assert_eq!(first.json()[name], repeat.json()[name], "{}: one alert", sample.kind);
        }
    }
}

#[tokio::test]
async fn the_answer_decides_the_outcome() {
    let answers = [
        ("200 OK\r\ncontent-length: 2\r\n\r\nok", "handed over 200 OK", None),
        ("429 Too Many Requests\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n", "retry 429", Some(120)),
        (
            "503 Service Unavailable\r\nretry-after: Sat, 28 Mar 2026 00:56:40 GMT\r\ncontent-length: 0\r\n\r\n",
            "retry 503",
            Some(100),
        ),
        ("500 Internal Server Error\r\ncontent-length: 4\r\n\r\nbusy", "retry 500", None),
        ("408 Request Timeout\r\ncontent-length: 0\r\n\r\n", "retry 408", None),
        ("425 Too Early\r\ncontent-length: 0\r\n\r\n", "retry 425", None),
        ("400 Bad Request\r\ncontent-length: 15\r\n\r\ninvalid_payload", "refused 400", None),
        ("401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "refused 401", None),
        ("403 Forbidden\r\ncontent-length: 0\r\n\r\n", "refused 403", None),
        ("404 Not Found\r\ncontent-length: 0\r\n\r\n", "refused 404", None),
        ("410 Gone\r\ncontent-length: 0\r\n\r\n", "refused 410", None),
        ("422 Unprocessable Entity\r\ncontent-length: 0\r\n\r\n", "refused 422", None),
        ("302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "refused 302", None),
    ];
    for sample in &SAMPLES {
        for (answer, wanted, after) in answers {
            let receiver = Hook::start(&format!("HTTP/1.1 {answer}"));
            let outcome = sample.at(&receiver).deliver(&message("x", sample.room()), &context()).await;
            let said = format!("channel `{}` answered ", sample.kind);
            let (got, seconds) = match &outcome {
                Outcome::HandedOver { answer } => (format!("handed over {answer}"), None),
                Outcome::Refused { error } => (error.replace(&said, "refused "), None),
                Outcome::Withdrawn { why } => (why.clone(), None),
                Outcome::Retry { error, after_seconds } => (error.replace(&said, "retry "), *after_seconds),
            };
            assert!(got.starts_with(wanted), "{}: {answer:.20}: {outcome:?}", sample.kind);
            assert_eq!(seconds, after, "{}: {answer:.20}", sample.kind);
            if wanted.starts_with("refused") {
                assert!(got.contains(": ") && got.len() > 40, "a refusal says what to do: {got}");
            }
            assert_eq!(got.contains("(`invalid_payload`)"), wanted == "refused 400" && sample.kind != "sms", "{got}");
            receiver.request();
            let again = receiver.requests.recv_timeout(Duration::from_millis(30));
            assert!(again.is_err(), "one attempt is one request: {again:?}");
        }
    }
}

/// Whoever answers cannot make us write our secrets, a person's link or their number into errors, which go into evidence.
#[tokio::test]
async fn errors_repeat_no_secret() {
    for sample in &SAMPLES {
        let settings = sample.settings("http://127.0.0.1:9", true);
        let own = settings.values.iter().filter(|(name, _)| !matches!(name.as_str(), "to" | "topic" | "body"));
        let own = own.map(|(_, secret)| secret.expose().replace("http://127.0.0.1:9", ""));
        let own: Vec<String> = own.map(|secret| secret.trim_start_matches('/').to_string()).collect();
        for secret in own.iter().chain([&"https://breachclock.ostrel.example/a/7Qm2xV0cRk".to_string()]) {
            let secret = if secret.is_empty() { "7Qm2xV0cRk" } else { secret };
            let echo = format!("you sent {secret}");
            let receiver = Hook::start(&format!("HTTP/1.1 400 Bad\r\ncontent-length: {}\r\n\r\n{echo}", echo.len()));
            let outcome = sample.at(&receiver).deliver(&message("x", sample.person()), &context()).await;
            let Outcome::Refused { error } = outcome else { panic!("{outcome:?}") };
            assert!(!error.contains(secret), "{}: {error}", sample.kind);
        }
        if let Some(address) = sample.address {
            let receiver =
                Hook::start(&format!("HTTP/1.1 400 Bad\r\ncontent-length: {}\r\n\r\n{address}", address.len()));
            let outcome = sample.at(&receiver).deliver(&message("x", sample.person()), &context()).await;
            assert!(matches!(&outcome, Outcome::Refused { error } if !error.contains(address)), "{outcome:?}");
        }
        assert!(!format!("{settings:?}").contains("secret-token") && !format!("{settings:?}").contains("hook-secret"));
    }
}

#[tokio::test]
async fn private_addresses_are_refused_unless_allowed_and_lists_of_hosts_are_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("nonblocking");
    let port = listener.local_addr().expect("bound").port();
    for sample in &SAMPLES {
        let literal = sample.settings(&format!("https://127.0.0.1:{port}"), false);
        let error = Channel::from_settings(&literal).err().expect("an address inside").to_string();
        assert!(error.contains("loopback") && error.contains(".url: "), "{error}");
        let plain = Channel::from_settings(&sample.settings("http://example.org", false)).err().expect("plain http");
        assert!(plain.to_string().contains("`http://example.org/…` is not encrypted"), "{plain}");

        let name = Channel::from_settings(&sample.settings(&format!("https://localhost:{port}"), false));
        let name = name.unwrap_or_else(|error| panic!("the name alone says nothing: {error}"));
        let outcome = name.deliver(&message("x", sample.room()), &context()).await;
        assert!(matches!(&outcome, Outcome::Refused { error } if error.contains("loopback")), "{outcome:?}");

        let mut listed = sample.settings("https://hooks.example.org", false);
        listed.reach.allow_hosts = vec!["*.example.org".into()];
        assert!(Channel::from_settings(&listed).is_ok(), "{}", sample.kind);
        listed.reach.allow_hosts = vec!["hooks.example.com".into()];
        let error = Channel::from_settings(&listed).err().expect("not on the list").to_string();
        assert!(error.contains("`hooks.example.org` is not among `allow_hosts`"), "{error}");
    }
    assert!(listener.accept().is_err(), "nobody connected");
}

#[tokio::test]
async fn silence_is_worth_a_retry() {
    // the backlog takes the connection, nobody answers
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let base = format!("http://127.0.0.1:{}", listener.local_addr().expect("bound").port());
    let limits = Limits { connect: Duration::from_millis(200), total: Duration::from_millis(200) };
    for sample in &SAMPLES {
        let channel = Channel::with_limits(&sample.settings(&base, true), limits).expect("settings");
        let outcome = channel.deliver(&message("x", sample.room()), &context()).await;
        assert!(matches!(&outcome, Outcome::Retry { error, .. } if error.contains("no answer in time")), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_long_message_fits_every_service() {
    let limits = [("slack", 12_000), ("teams", 24_000), ("mattermost", 20_000), ("ntfy", 8_000), ("sms", 1_500)];
    for sample in &SAMPLES {
        let receiver = Hook::start(OK);
        let mut long = message("x", sample.room());
        let text = "ä\u{7}\"\\*".repeat(5_000);
        long.brief.duty_title = text.clone();
        long.brief.incident_title = text.clone();
        long.brief.because = Some(text.clone());
        long.brief.missing = vec![text.clone(); 100];
        long.extra.note = Some(format!("{text}\n").repeat(80));
        long.brief.also = (0..200)
            .map(|n| Also {
                obligation: format!("us-state-{n}@US"),
                duty_title: text.clone(),
                recipient_name: "Attorney General".into(),
                conservative_due: Some(context().now),
                zone: Zone::UTC,
                standing: "running".into(),
            })
            .collect();
        let outcome = sample.at(&receiver).deliver(&long, &context()).await;
        assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
        let body = receiver.request().body;
        let limit = limits.iter().find(|(kind, _)| *kind == sample.kind).map_or(100_000, |(_, limit)| *limit);
        assert!(body.len() <= limit, "{}: {} bytes", sample.kind, body.len());
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let characters = |at: &str| json.pointer(at).and_then(|v| v.as_str()).map_or(0, |text| text.chars().count());
        for (kind, at, most) in [
            ("slack", "/blocks/0/text/text", 150),
            ("slack", "/blocks/1/text/text", 3000),
            ("pagerduty", "/payload/summary", 1024),
            ("opsgenie", "/message", 130),
            ("opsgenie", "/description", 15_000),
        ] {
            let there = characters(at);
            assert!(kind != sample.kind || (1..=most).contains(&there), "{kind} {at}: {there}");
        }
        assert!(sample.kind != "ntfy" || json["message"].as_str().is_some_and(|text| text.len() <= 4096));
        assert!(sample.kind != "mattermost" || characters("/text") <= 4000);
    }
}

#[tokio::test]
async fn what_one_service_does_its_own_way() {
    let [.., opsgenie, ntfy, sms] = &SAMPLES;
    // nothing to close is as good as closed
    let receiver = Hook::start("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let mut over = message("x", opsgenie.room());
    over.event = Event::ObligationDischarged;
    let outcome = opsgenie.at(&receiver).deliver(&over, &context()).await;
    assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");

    // a gateway that says 200 and means no
    for (answer, handed_over) in [("{\"status\":\"queued\"}", true), ("{\"status\":\"rejected\"}", false)] {
        let receiver = Hook::start(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()));
        let mut settings = sms.settings(&format!("http://127.0.0.1:{}", receiver.port), true);
        settings.values.insert("answer_contains".into(), Secret::new("\"queued\""));
        let channel = Channel::from_settings(&settings).expect("settings");
        let outcome = channel.deliver(&message("x", sms.person()), &context()).await;
        assert_eq!(matches!(outcome, Outcome::HandedOver { .. }), handed_over, "{outcome:?}");
    }

    // a form, and a gateway that is asked by GET
    for (method, body, line, sent) in [
        ("POST", Some("To={to}&Body={text}"), "POST /send HTTP/1.1", "To=%2B4915112345678&Body=%5Bact%20before"),
        ("GET", None, "GET /send?to=%2B4915112345678&message=%5Bact%20before", ""),
    ] {
        let receiver = Hook::start(OK);
        let query = if body.is_none() { "?to={to}&message={text}&id={id}" } else { "" };
        let mut settings = sms.settings("", true);
        settings.headers.insert("Content-Type".into(), Secret::new("application/x-www-form-urlencoded"));
        settings.values.insert("url".into(), Secret::new(format!("http://127.0.0.1:{}/send{query}", receiver.port)));
        settings.values.insert("method".into(), Secret::new(method));
        match body {
            Some(body) => settings.values.insert("body".into(), Secret::new(body)),
            None => settings.values.remove("body"),
        };
        let channel = Channel::from_settings(&settings).unwrap_or_else(|error| panic!("{error}"));
        let outcome = channel.deliver(&message("x", sms.person()), &context()).await;
        assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
        let request = receiver.request();
        assert!(request.line.starts_with(line) && request.body.starts_with(sent), "{request:?}");
    }

    // a person without an address is not written to where others read
    for sample in [ntfy, sms] {
        let receiver = Hook::start(OK);
        let mut message = message("x", sample.person());
        let Target::Channel { address, .. } = &mut message.target else { panic!("a channel") };
        *address = None;
        let outcome = sample.at(&receiver).deliver(&message, &context()).await;
        assert!(matches!(&outcome, Outcome::Refused { error } if error.contains("`addresses`")), "{outcome:?}");
    }
}

#[tokio::test]
async fn channels_are_found_by_their_id() {
    let receiver = Hook::start(OK);
    let slack = SAMPLES[0].settings(&format!("http://127.0.0.1:{}", receiver.port), true);
    let all = |channels| breachclock::notify::Settings { channels, ..Default::default() };
    let notifiers = Notifiers::from_settings(&all(vec![slack.clone()])).expect("settings");
    let outcome = notifiers.deliver(&message("x", SAMPLES[0].room()), &context()).await;
    assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
    let outcome = notifiers.deliver(&message("x", SAMPLES[1].room()), &context()).await;
    assert!(matches!(&outcome, Outcome::Refused { error } if error.contains("`teams`")), "{outcome:?}");
    let twice = Notifiers::from_settings(&all(vec![slack.clone(), slack])).err().expect("an error");
    assert!(twice.to_string().contains("`slack` is used twice"), "{twice}");
}
