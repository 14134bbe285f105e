//! A house on a manual clock: memory store, seeded randomness, an outbox that is read instead of sent.

pub mod daemon;
pub mod desks;
pub mod faketime;
pub mod postgres;
pub mod schema;
pub mod site;
pub mod tsa;
pub mod witness;

use breachclock::config::default_policy;
use breachclock::escalation::{Directory, EscalationPolicy, Message, Outcome, Person};
use breachclock::evidence::SigningKey;
use breachclock::law::Entity;
use breachclock::rules::builtin;
use breachclock::store::{Lane, Settlement, Store};
use breachclock::time::Timestamp;
use breachclock::workflow::fsck;
use breachclock::workflow::replay::Books;
use breachclock::workflow::{Caller, Entropy, House, Role, Settings, Stats};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

/// xorshift with a fixed start: the same run gives the same ids, nonces and salts.
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    pub fn new(seed: u64) -> SeededEntropy {
        SeededEntropy(AtomicU64::new(seed | 1))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut x = self.0.load(Ordering::Relaxed);
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            self.0.store(x, Ordering::Relaxed);
            chunk.copy_from_slice(&x.to_le_bytes()[..chunk.len()]);
        }
    }
}

pub fn at(text: &str) -> Timestamp {
    breachclock::ingest::instant(text, None).unwrap_or_else(|e| panic!("{e}"))
}

pub fn person(id: &str, name: &str, role: &str) -> Person {
    Person {
        id: id.into(),
        name: name.into(),
        roles: vec![role.into()],
        email: Some(format!("{id}@acme.example")),
        ..Person::default()
    }
}

pub fn settings(policies: Vec<EscalationPolicy>) -> Settings {
    Settings {
        origin: "test.example/log".into(),
        public_url: "https://breach.example".into(),
        entities: vec![Entity {
            id: Some("acme-fr".into()),
            name: "Acme SAS".into(),
            roles: vec!["controller".into()],
            established_in: vec!["FR".into()],
            main_establishment: Some("FR".into()),
            operates_in: vec!["FR".into()],
            zone: Some(breachclock::time::Zone::named("Europe/Paris").expect("a zone")),
            ..Entity::default()
        }],
        directory: Directory {
            people: vec![person("lea", "Lea Fontaine", "security-lead"), person("ines", "Ines Moreau", "dpo")],
            ..Directory::default()
        },
        policies: if policies.is_empty() { vec![default_policy(false)] } else { policies },
        routes: Vec::new(),
        webhooks: Vec::new(),
        ingest: Vec::new(),
        drill: None,
        overview: Default::default(),
    }
}

pub fn house<S: Store>(store: S, settings: Settings) -> House<S> {
    static BOOK: OnceLock<Arc<breachclock::rules::Rulebook>> = OnceLock::new();
    let book = BOOK.get_or_init(|| Arc::new(builtin().expect("the built-in packs load"))).clone();
    static FORMS: OnceLock<Arc<breachclock::draft::Forms>> = OnceLock::new();
    let forms = || breachclock::daemon::packs::forms(&book, &[]).expect("the built-in forms are read");
    let forms = FORMS.get_or_init(|| Arc::new(forms())).clone();
    House {
        store: Arc::new(store),
        book: RwLock::new(book),
        forms: RwLock::new(forms),
        settings,
        entropy: Box::new(SeededEntropy::new(42)),
        log_key: SigningKey::from_seed(&[7; 32]),
        export_key: SigningKey::from_seed(&[9; 32]),
        archive: archive(),
        attachments: Arc::new(breachclock::workflow::MemoryShelf::default()),
        earlier: Default::default(),
        changed: tokio::sync::watch::channel(0).0,
        stats: Stats::default(),
        anchors: Default::default(),
        witnesses: Default::default(),
        key_changes: Vec::new(),
        doors: Default::default(),
    }
}

pub fn caller(role: Role) -> Caller {
    Caller { name: format!("test-{}", role.as_str()), role, entities: Vec::new() }
}

/// Takes everything out of the outbox as if it had been delivered at `now`.
/// Targets in `refusing` (by their label) refuse every message.
pub async fn take_messages<S: Store>(house: &House<S>, refusing: &[String], now: Timestamp) -> Vec<Message> {
    let mut taken = Vec::new();
    for lane in Lane::ALL {
        loop {
            let claims = house.store.claim_outbox(lane, now, 60, 100).await.expect("claims");
            if claims.is_empty() {
                break;
            }
            let mut settlements = Vec::new();
            for claim in claims {
                taken.push(claim.message.clone());
                let outcome = match refusing.contains(&claim.message.target.label()) {
                    true => Outcome::Refused { error: "550 no such user".into() },
                    false => Outcome::HandedOver { answer: "250 ok".into() },
                };
                let (stream, key) = (claim.message.incident.0.clone(), &claim.message.key);
                let word = if matches!(outcome, Outcome::HandedOver { .. }) { "handed-over" } else { "refused" };
                let body = serde_json::json!({ "key": key, "to": claim.message.target.label(), "outcome": word });
                let draft = breachclock::evidence::Draft::unchecked(stream, "message.attempted", now, [0; 16], &body);
                let settlement = Settlement { outcome, at: now, retry_at: None };
                settlements.push((claim, settlement, draft));
            }
            for settled in house.store.settle(settlements).await.expect("settles") {
                settled.expect("the lease is ours");
            }
        }
    }
    taken
}

/// Runs the scheduler from alarm to alarm until `until`, the way the daemon does. Answers what was sent, with its instant.
pub async fn run_until<S: Store>(house: &House<S>, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, Message)> {
    run_refusing(house, &[], from, until).await
}

/// As [`run_until`], with targets that refuse every message.
pub async fn run_refusing<S: Store>(
    house: &House<S>,
    refusing: &[String],
    from: Timestamp,
    until: Timestamp,
) -> Vec<(Timestamp, Message)> {
    let mut sent: Vec<(Timestamp, Message)> =
        take_messages(house, refusing, from).await.into_iter().map(|m| (from, m)).collect();
    let mut now = from;
    for _ in 0..10_000 {
        let next = house.store.due(now, 1).await.expect("due");
        let alarm = if next.incidents.is_empty() { next.next_wake } else { Some(now) };
        match alarm {
            Some(at) if at <= until => now = at.max(now),
            _ => return sent,
        }
        house.wake_due(now).await.expect("wakes");
        sent.extend(take_messages(house, refusing, now).await.into_iter().map(|m| (now, m)));
    }
    panic!("the alarm clock does not advance past {now}");
}

/// The store agrees with its own entries, and every deadline in them follows again from facts and packs.
pub async fn whole<S: Store>(store: &S, books: &mut Books<'_>) -> Result<(), String> {
    let key = SigningKey::from_seed(&[7; 32]).public();
    let report = fsck::check(store, "test.example/log", &key, Some(books)).await.map_err(|e| e.to_string())?;
    let faults = [report.log.faults.iter().map(|f| f.what.clone()).collect(), report.faults.clone()].concat();
    let undone = report.replay.iter().flatten().flat_map(|(_, replay)| &replay.not_replayed).count();
    let replays = report.replay.iter().flatten().map(|(_, replay)| &replay.differences).collect::<Vec<_>>();
    let misshapen = schema::faults_of_log(store).await;
    if !misshapen.is_empty() {
        return Err(format!("entries are not as docs/schemas/entry.json says: {misshapen:#?}"));
    }
    if report.is_ok() && undone == 0 { Ok(()) } else { Err(format!("{faults:#?} {replays:#?}, {undone} not replayed")) }
}

/// The built-in rule texts by hash.
fn archive() -> breachclock::workflow::RuleArchive {
    let texts: std::collections::BTreeMap<[u8; 32], String> =
        breachclock::rules::archive(&breachclock::rules::builtin_files()).into_iter().collect();
    Box::new(move |hash| texts.get(hash).map(|text| text.clone().into_bytes()))
}
