//! The way back: a mail goes out through a real server, and what comes back about it becomes state and evidence.

use crate::notify_email::{Server, header};
use crate::support::{self, at, caller};
use breachclock::escalation::{DeliveryState, Sent};
use breachclock::law::IncidentId;
use breachclock::notify::Notifiers;
use breachclock::store::Lane;
use breachclock::store::{MemoryStore, Store};
use breachclock::time::Timestamp;
use breachclock::workflow::deliver::Courier;
use breachclock::workflow::inbound::{Outcome, Received};
use breachclock::workflow::{House, Role, Trouble};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn sent_at() -> Timestamp {
    at("2026-03-28T00:55:00Z")
}

/// A house, an incident, and the mails that went out about it, by recipient.
struct Round {
    house: Arc<House<MemoryStore>>,
    incident: IncidentId,
    mails: BTreeMap<String, Value>,
}

impl Round {
    async fn start() -> Round {
        let server = Server::start(&["--dsn", "--pipelining"]);
        let house = Arc::new(support::house(MemoryStore::new("test.example/log"), support::settings(Vec::new())));
        let report = json!({
            "title": "Customer database on a paste site",
            "entity": "acme-fr",
            "facts": { "times.aware": "2026-03-27T16:20:00+01:00", "personal_data": true, "kinds": ["confidentiality"],
                       "affected.FR": 1200, "risk": "risk" },
        });
        let reported =
            house.report(&caller(Role::Reporter), &report.to_string(), None, sent_at()).await.expect("opens");
        let incident = IncidentId(reported.incident.id);
        let notifiers = Notifiers::new(Some(Box::new(server.plain())), BTreeMap::new());
        let mut courier = Courier::new(house.clone(), Arc::new(notifiers), Lane::Mail, sent_at);
        courier.work().await.expect("claims");
        while courier.carries() > 0 {
            courier.attempt_ended().await;
        }
        courier.settle().await.expect("settles");
        let sent = house.store.sent(&incident, 100).await.expect("sent");
        assert!(!sent.is_empty() && sent.iter().all(|s| s.state == DeliveryState::HandedOver), "{sent:?}");
        let mails =
            sent.iter().map(|_| server.mail()).map(|m| (m["to"][0].as_str().expect("one").to_string(), m)).collect();
        Round { house, incident, mails }
    }

    /// The Message-ID of the mail to Lea, without brackets.
    fn id(&self) -> String {
        let mail = self.mails.get("lea@acme.example").expect("a mail to Lea");
        header(mail, "Message-ID").trim_matches(['<', '>']).to_string()
    }

    async fn receive(&self, mail: &str, now: &str) -> Received {
        self.house.receive_mail(&caller(Role::Responder), mail.as_bytes(), at(now)).await.expect("is taken")
    }

    async fn message(&self) -> Sent {
        let sent = self.house.store.sent(&self.incident, 100).await.expect("sent");
        sent.into_iter().find(|s| s.message.target.label() == "email:lea").expect("a message to Lea")
    }

    async fn entries(&self, kind: &str) -> Vec<Value> {
        support::schema::holds(&*self.house.store).await;
        let all = self.house.store.stream(&self.incident.0).await.expect("entries");
        all.iter()
            .map(|entry| serde_json::from_slice::<Value>(&entry.bytes).expect("JSON"))
            .filter(|entry| entry["type"] == kind)
            .collect()
    }

    async fn size(&self) -> u64 {
        self.house.store.head().await.expect("a head").size
    }

    /// Who holds the obligation the message was about.
    async fn holder(&self, now: &str) -> Option<(String, String)> {
        let message = self.message().await.message;
        let id = format!("{}~{}", self.incident, message.obligation.clone().expect("about an obligation"));
        let view = self.house.obligation(&caller(Role::Responder), &id, at(now)).await.expect("a view");
        view.holder.map(|h| (h.name, h.until))
    }
}

fn dsn(id: &str, action: &str, status: &str) -> String {
    format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.acme.example\r\nTo: test@acme.example\r\nSubject: Report\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.acme.example\r\n\r\n\
         Final-Recipient: rfc822; lea@acme.example\r\nAction: {action}\r\nStatus: {status}\r\n\
         Diagnostic-Code: smtp; 550 {status} <lea@acme.example>: as it is\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: test@acme.example\r\nMessage-ID: <{id}>\r\n\r\n--b--\r\n"
    )
}

fn reply(id: &str, from: &str, extra: &str, body: &str) -> String {
    format!(
        "From: {from}\r\nTo: test@acme.example\r\nSubject: Re: it\r\nMessage-ID: <r-{}@acme.example>\r\n\
         In-Reply-To: <{id}>\r\n{extra}Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n",
        body.len()
    )
}

const LEA: &str = "Lea Fontaine <lea@acme.example>";

#[tokio::test]
async fn a_bounce_fails_the_message_and_wakes_the_incident() {
    let round = Round::start().await;
    let received = round.receive(&dsn(&round.id(), "failed", "5.1.1"), "2026-03-28T00:56:00Z").await;
    assert_eq!((received.outcome, received.state), (Outcome::Failed, Some("failed")));
    assert_eq!(
        (received.incident.as_deref(), received.to.as_deref()),
        (Some(round.incident.0.as_str()), Some("email:lea"))
    );
    let message = round.message().await;
    assert_eq!(message.state, DeliveryState::Failed);
    assert_eq!(message.detail.as_deref(), Some("bounced: 550 5.1.1 <lea@acme.example>: as it is"));
    let due = round.house.store.due(at("2026-03-28T00:56:00Z"), 10).await.expect("due");
    assert_eq!(due.incidents, std::slice::from_ref(&round.incident), "the next way is tried at once");

    let entries = round.entries("message.bounced").await;
    assert_eq!(entries.len(), 1);
    let body = &entries[0]["body"];
    assert_eq!(
        (&body["status"], &body["outcome"], &body["to"]),
        (&json!("5.1.1"), &json!("failed"), &json!("email:lea"))
    );
    let text = entries[0].to_string();
    assert!(!text.contains("acme.example>") && !text.contains("as it is"), "words and addresses are personal: {text}");

    // the same mail again, and another one that says the same: nothing to do
    let size = round.size().await;
    let again = round.receive(&dsn(&round.id(), "failed", "5.1.1"), "2026-03-28T00:57:00Z").await;
    let other = round.receive(&dsn(&round.id(), "failed", "5.1.2"), "2026-03-28T00:57:00Z").await;
    assert_eq!((again.outcome, other.outcome), (Outcome::Known, Outcome::Known));
    assert_eq!(round.size().await, size);
}

#[tokio::test]
async fn receipts_move_a_message_up_its_ladder_and_never_down() {
    let round = Round::start().await;
    let id = round.id();
    let relayed = round.receive(&dsn(&id, "relayed", "2.0.0"), "2026-03-28T00:56:00Z").await;
    let delayed = round.receive(&dsn(&id, "delayed", "4.4.1"), "2026-03-28T00:56:00Z").await;
    assert_eq!((relayed.outcome, delayed.outcome), (Outcome::Recorded, Outcome::Recorded));
    assert_eq!((relayed.state, delayed.state), (Some("handed-over"), Some("handed-over")));
    let delivered = round.receive(&dsn(&id, "delivered", "2.1.5"), "2026-03-28T00:56:00Z").await;
    assert_eq!((delivered.outcome, delivered.state), (Outcome::Delivered, Some("delivered")));
    let read = format!(
        "From: {LEA}\r\nSubject: Read\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/disposition-notification\r\n\r\nOriginal-Message-ID: <{id}>\r\n\
         Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n"
    );
    let seen = round.receive(&read, "2026-03-28T01:00:00Z").await;
    assert_eq!((seen.outcome, seen.state), (Outcome::Seen, Some("seen")));
    let late = round.receive(&dsn(&id, "delivered", "2.1.6"), "2026-03-28T01:01:00Z").await;
    assert_eq!((late.outcome, late.state), (Outcome::Known, Some("seen")));
    for (kind, count) in [("message.relayed", 1), ("message.delayed", 1), ("message.delivered", 1), ("message.seen", 1)]
    {
        assert_eq!(round.entries(kind).await.len(), count, "{kind}");
    }
}

#[tokio::test]
async fn a_reply_acknowledges_as_the_link_would_and_once() {
    let round = Round::start().await;
    let mail = reply(&round.id(), LEA, "", "ack 1h");
    let received = round.receive(&mail, "2026-03-28T01:00:00Z").await;
    assert_eq!((received.outcome, received.state), (Outcome::Acknowledged, Some("acknowledged")), "{received:?}");
    let held = Some(("Lea Fontaine".to_string(), "2026-03-28T02:00:00Z".to_string()));
    assert_eq!(round.holder("2026-03-28T01:00:01Z").await, held);
    assert_eq!(round.message().await.state, DeliveryState::Acknowledged);
    let recorded = round.entries("acknowledgement.recorded").await.len();
    assert!(recorded >= 1);
    assert_eq!(round.entries("message.replied").await.len(), 1);

    // handed in twice, it is one acknowledgement: the lease does not grow
    let again = round.receive(&mail, "2026-03-28T01:30:00Z").await;
    assert_eq!(again.outcome, Outcome::Known);
    assert_eq!(round.holder("2026-03-28T01:30:01Z").await, held);
    assert_eq!(round.entries("acknowledgement.recorded").await.len(), recorded);

    // a second reply is a new wish
    let declined = round.receive(&reply(&round.id(), LEA, "", "no, my train is late"), "2026-03-28T01:31:00Z").await;
    assert_eq!(declined.outcome, Outcome::Declined);
    assert_eq!(round.holder("2026-03-28T01:31:01Z").await, None);
    assert_eq!(round.entries("acknowledgement.declined").await.len(), recorded);
}

#[tokio::test]
async fn what_does_not_prove_itself_changes_nothing() {
    let round = Round::start().await;
    let id = round.id();
    let (local, domain) = id.split_once('@').expect("an id");
    let (untagged, tag) = local.rsplit_once('.').expect("a tag");
    let wrong = format!(
        "{untagged}.{}@{domain}",
        if tag.starts_with('0') { tag.replacen('0', "1", 1) } else { format!("0{}", &tag[1..]) }
    );
    let without = format!("{untagged}@{domain}");
    let expired = "2026-04-28T01:00:00Z";
    let soon = "2026-03-28T01:00:00Z";
    let forwarded = format!("References: <{id}> <fwd@x.example>\r\n");
    let cases = [
        (reply(&wrong, LEA, "", "ack"), soon, Outcome::Refused),
        (reply(&without, LEA, "", "ack "), soon, Outcome::Refused),
        (reply(&id, LEA, "", "ack now"), expired, Outcome::Refused),
        (reply("fwd@x.example", "Bob <bob@x.example>", &forwarded, "ack"), soon, Outcome::Refused),
        (dsn(&without, "delivered", "2.1.5"), soon, Outcome::Refused),
        (dsn(&wrong, "delivered", "2.1.5"), soon, Outcome::Refused),
        (dsn(&wrong, "failed", "5.1.1"), soon, Outcome::Refused),
        (reply(&id, LEA, "Auto-Submitted: auto-replied\r\n", "ack"), soon, Outcome::Recorded),
        (reply(&id, LEA, "", "who is on duty?"), soon, Outcome::Recorded),
    ];
    for (mail, now, wanted) in &cases {
        let before = round.size().await;
        let received = round.receive(mail, now).await;
        assert_eq!((received.outcome, received.state), (*wanted, Some("handed-over")), "{received:?}\n{mail}");
        assert!(!received.detail.is_empty());
        assert_eq!(round.holder("2026-03-28T01:00:01Z").await, None, "{mail}");
        assert_eq!(round.size().await, before + 1, "it is recorded, and nothing else: {mail}");
    }
    let absent = round.entries("message.replied").await;
    assert!(absent.iter().any(|e| e["body"]["what"] == "automatic" && e["body"]["outcome"] == "recorded"));

    // strangers' mail leaves no trace
    let before = round.size().await;
    let strange = id.replacen("inc-", "inc-0", 1);
    for mail in
        [reply("x@y.example", LEA, "", "ack"), reply(&strange, LEA, "", "ack"), dsn(&strange, "failed", "5.1.1")]
    {
        let received = round.receive(&mail, soon).await;
        assert_eq!((received.outcome, received.incident), (Outcome::NotOurs, None));
    }
    assert_eq!(round.size().await, before);

    // a bounce that lost the tag on its way is still a bounce
    assert_eq!(round.receive(&dsn(&without, "failed", "5.1.1"), soon).await.outcome, Outcome::Failed);
    // Lea answers a mail of her own in the same thread: her address and the tag are enough
    let own = format!("References: <{id}> <own@acme.example>\r\n");
    let answered = round.receive(&reply("own@acme.example", LEA, &own, "got it"), soon).await;
    assert_eq!(answered.outcome, Outcome::Acknowledged);
}

#[tokio::test]
async fn who_may_not_respond_or_see_gets_nothing() {
    let round = Round::start().await;
    let mail = dsn(&round.id(), "failed", "5.1.1");
    for role in [Role::Reporter, Role::Auditor] {
        let refused = round.house.receive_mail(&caller(role), mail.as_bytes(), sent_at()).await;
        assert!(matches!(refused, Err(Trouble::NotPermitted(_))), "{role:?}");
    }
    let elsewhere = breachclock::workflow::Caller { entities: vec!["other".into()], ..caller(Role::Responder) };
    let received = round.house.receive_mail(&elsewhere, mail.as_bytes(), sent_at()).await.expect("taken");
    assert_eq!(received.outcome, Outcome::NotOurs);
    let garbage = round.house.receive_mail(&caller(Role::Responder), b"not a mail", sent_at()).await;
    assert!(matches!(garbage, Err(Trouble::Rejected(_))));
}

#[tokio::test]
async fn a_message_about_the_house_itself_can_bounce_as_well() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = breachclock::store::SqliteStore::open(dir.path(), "test.example/log").expect("opens");
    let house = support::house(store, support::settings(Vec::new()));
    let about = crate::notify_support::email("lea", "lea@acme.example");
    let mut message = crate::notify_support::message("self-test/1", about);
    (message.incident, message.obligation, message.ack_token) = (IncidentId::house(), None, None);
    let id = format!("{}@acme.example", breachclock::notify::mail_id::MailId::of(&message));
    let first = house.draft_system("clock.unknown", "test", breachclock::detail! {}, sent_at());
    let change = breachclock::store::Change::Messages(vec![message]);
    house.store.commit(breachclock::store::Changeset { change, first, more: Vec::new() }).await.expect("queued");

    let bounce = dsn(&id, "failed", "5.1.1");
    let limited = breachclock::workflow::Caller { entities: vec!["acme-fr".into()], ..caller(Role::Responder) };
    let unseen = house.receive_mail(&limited, bounce.as_bytes(), sent_at()).await.expect("taken");
    assert_eq!(unseen.outcome, Outcome::NotOurs);
    let received = house.receive_mail(&caller(Role::Responder), bounce.as_bytes(), sent_at()).await.expect("taken");
    assert_eq!((received.outcome, received.incident.as_deref()), (Outcome::Failed, Some("_system")));
    let again = house.receive_mail(&caller(Role::Responder), bounce.as_bytes(), sent_at()).await.expect("taken");
    assert_eq!(again.outcome, Outcome::Known);
    let answered = reply(&id, LEA, "", "ack");
    let refused = house.receive_mail(&caller(Role::Responder), answered.as_bytes(), sent_at()).await.expect("taken");
    assert_eq!((refused.outcome, refused.state), (Outcome::Refused, Some("failed")));
}

mod binary {
    use crate::support::daemon::{BINARY, free_port, start, token, write_config};
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};
    use std::time::{Duration, Instant};

    fn receive(url: &str, token: &Path, mail: &[u8]) -> Output {
        let mut child = Command::new(BINARY)
            .args(["mail", "receive", "--json", "--server", url, "--token-file"])
            .arg(token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        child.stdin.take().expect("piped").write_all(mail).expect("read");
        child.wait_with_output().expect("ends")
    }

    fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if let Some(found) = look() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{what} does not happen");
    }

    fn files(dir: &Path) -> Vec<String> {
        let list = fs::read_dir(dir).into_iter().flatten().flatten();
        list.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn mail_comes_in_by_pipe_and_by_maildir() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let config = write_config(dir.path(), port, "[inbound]\nmaildir = \"in\"\n");
        let token_file = dir.path().join("token");
        fs::write(&token_file, token(&config)).expect("written");
        let unreachable =
            receive(&format!("http://127.0.0.1:{port}"), &token_file, b"From: a@b.example\r\n\r\nack\r\n");
        assert_eq!(unreachable.status.code(), Some(69), "the mail server tries again");

        let mut daemon = start(&config, port);
        let report = r#"{"title": "Database", "facts": {"times.aware": "2026-03-27T16:20:00+01:00", "personal_data": true, "risk": "risk"}}"#;
        let file = dir.path().join("report.json");
        fs::write(&file, report).expect("written");
        let reported = Command::new(BINARY)
            .args(["incident", "report", "--json", "--server", &daemon.url, "--token-file"])
            .arg(&token_file)
            .arg(&file)
            .output()
            .expect("runs");
        assert!(reported.status.success(), "{}", String::from_utf8_lossy(&reported.stderr));
        let new = dir.path().join("mail/new");
        let mail =
            until("a mail", || files(&new).first().map(|name| fs::read_to_string(new.join(name)).expect("text")));
        let id = mail.lines().find_map(|l| l.strip_prefix("Message-ID: ")).expect("an id").to_string();
        let reply = |body: &str| format!("From: Lea <lea@acme.example>\nSubject: Re\nIn-Reply-To: {id}\n\n{body}\n");

        let taken = receive(&daemon.url, &token_file, reply("ack").as_bytes());
        let answer: serde_json::Value = serde_json::from_slice(&taken.stdout).expect("JSON");
        assert_eq!((taken.status.code(), &answer["outcome"]), (Some(0), &"acknowledged".into()), "{answer}");
        assert_eq!(receive(&daemon.url, &token_file, b"nonsense").status.code(), Some(65));
        let stranger = receive(&daemon.url, &token_file, b"From: a@b.example\r\nSubject: spam\r\n\r\nack\r\n");
        assert_eq!(stranger.status.code(), Some(0), "nobody gets a bounce for it");

        let inbox = dir.path().join("in");
        for (name, text) in
            [("1.reply", reply("no")), ("2.spam", "From: a@b.example\n\nack\n".into()), ("3.junk", "\u{0}junk".into())]
        {
            fs::write(inbox.join("tmp").join(name), text).expect("written");
            fs::rename(inbox.join("tmp").join(name), inbox.join("new").join(name)).expect("moved");
        }
        let done = until("the maildir", || Some(inbox.join("new")).filter(|new| files(new).is_empty()));
        assert!(done.exists());
        let mut kept = files(&inbox.join("cur"));
        kept.sort();
        assert_eq!(kept, ["1.reply:2,S", "2.spam:2,"]);
        assert_eq!(files(&inbox.join(".unreadable/cur")), ["3.junk:2,"], "lies aside, whole");
        let log = reqwest::Client::new()
            .get(format!("{}/api/v1/log/entries", daemon.url))
            .bearer_auth(fs::read_to_string(&token_file).expect("a token"))
            .send()
            .await
            .expect("answers")
            .text()
            .await
            .expect("text");
        assert!(log.contains("mail.unreadable") && log.contains("acknowledgement.declined"), "{log}");
        daemon.child.kill().expect("ends");
        let _ = daemon.child.wait();
    }
}
