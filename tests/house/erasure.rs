//! Erasing a person: the name is in no byte of any file, the clocks are the same, the bundle still verifies and says so.

use crate::store_contract::erase::files_with;
use crate::support::{at, caller, house, settings, take_messages};
use breachclock::evidence::{verify_bundle, zipfile};
use breachclock::law::IncidentId;
use breachclock::store::{MemoryStore, SqliteStore, Store};
use breachclock::workflow::attachments::Attach;
use breachclock::workflow::erase::{EraseRequest, Retention};
use breachclock::workflow::{AckRequest, FilingRequest, House, Role, Trouble, WaiverRequest};
use chrono::Duration;
use std::path::Path;
use std::process::Command;

const NOW: &str = "2026-03-02T09:00:00Z";

/// An incident in which Jane Roe stands wherever a text can, and other things beside her.
async fn reported<S: Store>(house: &House<S>) -> String {
    let report = r#"{
        "title": "laptop of Jane Roe stolen", "entity": "acme-fr", "source": "siem", "reference": "jane.roe",
        "facts": {
            "times.aware": { "value": "2026-03-01T10:00:00Z", "by": "Jane Roe", "note": "she called the desk" },
            "personal_data": { "value": true, "note": "JANE ROE's customers" },
            "risk": { "value": "high", "note": "nothing about anybody" }
        }
    }"#;
    let id = house.report(&caller(Role::Admin), report, Some("k-1"), at(NOW)).await.expect("reported").incident.id;
    take_messages(house, &[], at(NOW)).await;
    let obligation = format!("{id}~eu-gdpr-33-authority@FR");
    let filing = FilingRequest {
        by: Some("Jane Roe".into()),
        reference: Some("2026-0412".into()),
        note: Some("sent by Jane Roe on paper".into()),
        proof: Some([0xab; 32]),
        ..FilingRequest::default()
    };
    house.file(&caller(Role::Admin), &obligation, filing, None, at(NOW)).await.expect("filed");
    take_messages(house, &[], at(NOW)).await;
    id
}

fn ask(fields: &[&str], subjects: &[&str]) -> EraseRequest {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    EraseRequest {
        fields: words(fields),
        subjects: words(subjects),
        basis: "Art. 17(1)(a)".into(),
        request: "DSR-12".into(),
        by: Some("ines".into()),
    }
}

async fn limits<S: Store>(house: &House<S>, id: &str) -> Vec<(String, &'static str, Option<String>)> {
    let incident = house.incident(&caller(Role::Admin), id, at(NOW)).await.expect("is there");
    incident.obligations.iter().map(|o| (o.law.id.clone(), o.law.standing, o.law.due.clone())).collect()
}

/// Unpacks a bundle and lets all three verifiers judge it; answers the counts of shown, erased and withheld fields.
fn verified(zip: &[u8]) -> (u64, u64, u64) {
    let files = zipfile::read(zip).expect("a ZIP");
    let report = verify_bundle(&files);
    assert!(report.ok, "{:?}", report.checks.iter().filter(|c| !c.ok).collect::<Vec<_>>());
    let dir = tempfile::tempdir().expect("a folder");
    for (name, bytes) in &files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    let counts = (report.disclosed, report.erased, report.withheld);
    for (program, script) in [("dash", "verify.sh"), ("python3", "verify.py")] {
        let output = Command::new(program).arg(script).current_dir(dir.path()).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {said}{}", String::from_utf8_lossy(&output.stderr));
        for count in [format!("{} erased", counts.1), format!("{} withheld", counts.2)] {
            assert!(said.contains(&count), "{script} does not say `{count}`: {said}");
        }
    }
    counts
}

async fn bundle<S: Store>(house: &House<S>, id: &str, profile: &str) -> Vec<u8> {
    house
        .bundle(&caller(Role::Auditor), id, &breachclock::workflow::export::ExportRequest::of(profile), at(NOW))
        .await
        .expect("exported")
        .1
}

fn backup(dir: &Path, to: &Path) {
    let sql = rusqlite::Connection::open(dir.join("breachclock.db")).expect("opens");
    sql.backup("main", to, None::<fn(rusqlite::backup::Progress)>).expect("backs up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_in_no_file_and_the_bundle_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let house = house(SqliteStore::open(dir.path(), "test.example/log").expect("opens"), settings(Vec::new()));
    let id = reported(&house).await;
    let (limits_before, shown_before) = (limits(&house, &id).await, verified(&bundle(&house, &id, "internal").await));
    for name in ["Jane Roe", "JANE ROE", "jane.roe"] {
        assert!(!files_with(dir.path(), name.as_bytes()).is_empty(), "`{name}` stands nowhere before");
    }
    let erased =
        house.erase(&caller(Role::Approver), &id, ask(&[], &["jane roe"]), None, at(NOW)).await.expect("erased");
    backup(dir.path(), &dir.path().join("backup.db"));
    for name in ["Jane Roe", "JANE ROE", "jane.roe", "jane roe"] {
        assert_eq!(files_with(dir.path(), name.as_bytes()), Vec::<String>::new(), "`{name}`");
    }
    // what is not about her is all there
    for text in ["nothing about anybody", "2026-0412", "Acme SAS"] {
        assert!(!files_with(dir.path(), text.as_bytes()).is_empty(), "`{text}` is gone");
    }
    for field in ["/1/title", "/1/reference", "/1/facts/0/by", "/1/facts/1/note"] {
        assert!(erased.fields.contains(&field.to_string()), "{field} is not in {:?}", erased.fields);
    }
    assert!(!erased.fields.contains(&"/1/facts/2/note".to_string()));
    assert!(erased.messages > 0 && erased.remains.is_empty(), "{erased:?}");
    assert_eq!(limits(&house, &id).await, limits_before, "the clocks are the same");

    let incident = house.incident(&caller(Role::Admin), &id, at(NOW)).await.expect("is there");
    assert_eq!(incident.title, "erased");
    let fact = |key: &str| incident.facts.iter().find(|f| f.key == key).expect("a fact");
    assert_eq!(
        (fact("times.aware").by.as_str(), fact("times.aware").note.as_deref()),
        ("erased", Some("she called the desk"))
    );
    assert_eq!(fact("times.aware").value, serde_json::json!("2026-03-01T10:00:00Z"));
    let counts = verified(&bundle(&house, &id, "internal").await);
    // the export before added no field, the erasure three of its own: basis, request, by
    assert_eq!((counts.0, counts.1), (shown_before.0 - erased.fields.len() as u64 + 3, erased.fields.len() as u64));

    let checked =
        breachclock::workflow::fsck::check(&*house.store, "test.example/log", &house.log_key.public(), None).await;
    let checked = checked.expect("read");
    assert!(checked.is_ok(), "{:?}", checked.faults);

    // the request is known by its key, the reference is not known any more
    let again = house.report(&caller(Role::Admin), r#"{"title":"x"}"#, Some("k-1"), at(NOW)).await.expect("answered");
    assert_eq!((again.created, again.incident.id.as_str()), (false, id.as_str()));
    let told = house.erase(&caller(Role::Approver), &id, ask(&[], &["Jane Roe"]), None, at(NOW)).await;
    assert!(matches!(told, Err(Trouble::NotFound(_))), "nothing is left to erase: {told:?}");
    drop(house);
    assert_eq!(files_with(dir.path(), b"Jane Roe"), Vec::<String>::new(), "after the end");
}

#[tokio::test]
async fn a_field_goes_with_its_value_and_the_rest_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let house = house(SqliteStore::open(dir.path(), "test.example/log").expect("opens"), settings(Vec::new()));
    let id = reported(&house).await;
    let erase = async |fields: &[&str]| house.erase(&caller(Role::Admin), &id, ask(fields, &[]), None, at(NOW)).await;
    let refused = [
        ("/1/facts/0/value", "`times.aware` is a fact that clocks may be counted from"),
        ("/1/facts/9/by", "names no field"),
        ("title", "is no pointer"),
    ];
    for (field, why) in refused {
        let error = erase(&[field]).await.expect_err(field).to_string();
        assert!(error.contains(why), "{field}: {error}");
    }
    let erased = erase(&["/1/title"]).await.expect("erased");
    assert_eq!(erased.fields, ["/1/title"]);
    assert_eq!(files_with(dir.path(), b"laptop of Jane Roe"), Vec::<String>::new(), "also out of the messages");
    assert!(!files_with(dir.path(), b"sent by Jane Roe on paper").is_empty(), "a name alone is not asked for");
    assert!(erase(&["/title"]).await.expect_err("again").to_string().contains("is erased already"));

    // the hash of a known document is a field like another
    let proof = house.personal_fields(&caller(Role::Auditor), &id).await.expect("listed").0;
    let proof = proof.iter().find(|f| f.field.ends_with("/proof_sha256")).expect("a proof").field.clone();
    erase(&[proof.as_str()]).await.expect("erased");
    let dossier = house.store.dossier(&IncidentId(id.clone())).await.expect("is there");
    assert!(dossier.record.acts.values().flat_map(|act| &act.filings).all(|filing| filing.proof.is_none()));
    assert_eq!(files_with(dir.path(), &[0xab; 32]), Vec::<String>::new());

    // and with the hash of a file goes the file
    let letter = Attach { bytes: b"a letter".to_vec(), ..Attach::default() };
    let n = house.attach(&caller(Role::Admin), &id, letter, None, at(NOW)).await.expect("attached").entry;
    let entry = house.store.stream(&id).await.expect("stream").remove(n as usize - 1);
    let entry: serde_json::Value = serde_json::from_slice(&entry.bytes).expect("JSON");
    let name = entry["body"]["sha256"]["$c"].as_str().expect("a commitment");
    assert!(house.attachments.get(&id, name).expect("read").is_some());
    erase(&[&format!("/{n}/sha256")]).await.expect("erased");
    assert!(house.attachments.get(&id, name).expect("read").is_none());
    let listed = house.attachments(&caller(Role::Admin), &id).await.expect("listed");
    assert_eq!((listed.len(), listed[0].state), (1, "erased"));
    verified(&bundle(&house, &id, "internal").await);

    // what deadlines are computed from besides the facts
    assert!(erase(&["/1/profile"]).await.expect_err("kept").to_string().contains("deadlines are computed from"));
}

#[tokio::test]
async fn who_may_not_and_what_is_still_needed_is_refused() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let id = reported(&house).await;
    for role in [Role::Reporter, Role::Responder, Role::Auditor] {
        let refused = house.erase(&caller(role), &id, ask(&[], &["Jane Roe"]), None, at(NOW)).await;
        assert!(matches!(refused, Err(Trouble::NotPermitted(_))), "{role:?}");
    }
    let empty = EraseRequest { subjects: vec!["?".into()], ..EraseRequest::default() };
    let Err(Trouble::Rejected(faults)) = house.erase(&caller(Role::Admin), &id, empty, None, at(NOW)).await else {
        panic!()
    };
    let pointers: Vec<String> = faults.iter().map(|fault| fault.pointer.clone()).collect();
    assert_eq!(pointers, ["/basis", "/request", "/subjects/0"]);

    let obligations = limits(&house, &id).await;
    let open = |place: usize| obligations.iter().filter(|o| o.1 == "running").nth(place).expect("runs").0.clone();
    let take = AckRequest { by: Some("Tom Poe".into()), ..AckRequest::default() };
    house.acknowledge(&caller(Role::Admin), &open(0), take, None, at(NOW)).await.expect("taken");
    let held = house.erase(&caller(Role::Admin), &id, ask(&[], &["Tom Poe"]), None, at(NOW)).await;
    assert!(held.expect_err("holds it").to_string().contains("`Tom Poe` holds obligation"));
    let later = at(NOW) + Duration::days(20);
    house.erase(&caller(Role::Admin), &id, ask(&[], &["Tom Poe"]), None, later).await.expect("the lease has ended");
    let waiver = WaiverRequest {
        reason: "Ines Moreau says it is encrypted".into(),
        second_approver: Some("Ines Moreau".into()),
        ..WaiverRequest::default()
    };
    house.waive(&caller(Role::Approver), &open(0), waiver, None, at(NOW)).await.expect("decided");
    let pending = house.erase(&caller(Role::Admin), &id, ask(&[], &["Ines Moreau"]), None, at(NOW)).await;
    assert!(pending.expect_err("waits").to_string().contains("waits for its second approver"));
}

#[tokio::test]
async fn a_hold_refuses_with_its_ground_until_it_is_lifted() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let id = reported(&house).await;
    let hold =
        async |set: bool, ground: &str| house.hold(&caller(Role::Approver), &id, set, ground, None, at(NOW)).await;
    assert!(hold(false, "none").await.expect_err("not held").to_string().contains("nothing to lift"));
    assert!(hold(true, " ").await.is_err());
    let ground = "claim 3 O 12/26 before the court";
    assert_eq!(hold(true, ground).await.expect("held").hold.expect("held").ground, ground);
    assert!(hold(true, "again").await.expect_err("held already").to_string().contains(ground));
    let refused = house.erase(&caller(Role::Admin), &id, ask(&[], &["Jane Roe"]), None, at(NOW)).await;
    assert!(matches!(&refused, Err(Trouble::NotNow(why)) if why.contains(ground)), "{refused:?}");
    let period = Retention { after_closing: Some(Duration::days(1)), ..Retention::default() };
    let mut dossier = house.store.dossier(&IncidentId(id.clone())).await.expect("is there");
    assert_eq!(dossier.record.incident.title, "laptop of Jane Roe stolen");
    let kinds = |entries: Vec<breachclock::store::StoredEntry>| -> Vec<String> {
        let kind = |e: &breachclock::store::StoredEntry| {
            serde_json::from_slice::<serde_json::Value>(&e.bytes).expect("JSON")["type"]
                .as_str()
                .expect("type")
                .to_string()
        };
        entries.iter().map(kind).collect()
    };
    let told = kinds(house.store.stream(&id).await.expect("stream"));
    assert_eq!(told.iter().filter(|kind| *kind == "erasure.refused").count(), 1);
    // closed and past its period, and still held
    dossier.record.incident.closed_at = Some(at(NOW));
    close(&house, dossier).await;
    let late = at(NOW) + Duration::days(40);
    assert_eq!(house.retain(&period, late).await.expect("looked"), 0);
    assert!(hold(false, "the claim was settled").await.expect("lifted").hold.is_none());
    assert_eq!(house.retain(&period, late).await.expect("looked"), 1);
    assert_eq!(house.retain(&period, late).await.expect("looked"), 0, "once");
    verified(&bundle(&house, &id, "internal").await);
    let timeline = house.timeline(&caller(Role::Admin), &id, late).await.expect("told");
    let words: Vec<&str> = timeline.iter().map(|item| item.text.as_str()).collect();
    for said in [
        "nothing may be erased: claim",
        "an erasure was refused",
        "erasing is allowed again",
        "fields erased (retention",
    ] {
        assert!(words.iter().any(|text| text.contains(said)), "{said}: {words:?}");
    }
}

/// As if everything had been done.
async fn close<S: Store>(house: &House<S>, dossier: breachclock::store::Dossier) {
    use breachclock::store::{Change, Changeset};
    let id = dossier.record.incident.id.0.clone();
    let first = house.draft_system("clock.unknown", "test", breachclock::detail! {}, at(NOW));
    let change = Change::Incident {
        expected: Some(dossier.version),
        record: dossier.record,
        wake_at: None,
        messages: Vec::new(),
        idempotency: None,
    };
    house.store.commit(Changeset { change, first, more: Vec::new() }).await.unwrap_or_else(|e| panic!("{id}: {e}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_period_takes_all_that_is_personal() {
    let dir = tempfile::tempdir().expect("a folder");
    let house = house(SqliteStore::open(dir.path(), "test.example/log").expect("opens"), settings(Vec::new()));
    let (id, open) = (reported(&house).await, {
        let report = r#"{"title": "open for ever", "entity": "acme-fr", "facts": {"personal_data": true}}"#;
        house.report(&caller(Role::Admin), report, None, at(NOW)).await.expect("reported").incident.id
    });
    let mut dossier = house.store.dossier(&IncidentId(id.clone())).await.expect("is there");
    dossier.record.incident.closed_at = Some(at(NOW));
    close(&house, dossier).await;
    take_messages(&house, &[], at(NOW)).await;
    let years = |n: i64| at(NOW) + Duration::days(365 * n);
    let own = Retention { after_closing: None, entities: [("acme-fr".to_string(), Duration::days(365 * 3))].into() };
    assert_eq!(house.retain(&Retention::default(), years(90)).await.expect("looked"), 0, "nothing by default");
    assert_eq!(house.retain(&own, years(2)).await.expect("looked"), 0, "too early");
    assert_eq!(house.retain(&own, years(3)).await.expect("looked"), 1);
    for text in ["Jane Roe", "she called", "2026-0412", "nothing about anybody"] {
        assert_eq!(files_with(dir.path(), text.as_bytes()), Vec::<String>::new(), "`{text}`");
    }
    assert!(!files_with(dir.path(), b"open for ever").is_empty());
    let (fields, hold) = house.personal_fields(&caller(Role::Auditor), &id).await.expect("listed");
    let left: Vec<&str> = fields.iter().filter(|f| f.state == "shown").map(|f| f.entry.as_str()).collect();
    assert_eq!((left, hold), (vec!["disclosure.erased"; 3], None));
    assert_eq!(house.retain(&own, years(4)).await.expect("looked"), 0, "once");
    assert!(!limits(&house, &open).await.is_empty());
    verified(&bundle(&house, &id, "authority").await);
}

#[tokio::test]
async fn what_is_withheld_stays_out_of_exports_and_is_counted() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let id = reported(&house).await;
    let withhold = async |fields: &[&str], reason: &str| {
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        house.withhold(&caller(Role::Approver), &id, &fields, reason, None, at(NOW)).await
    };
    let before = verified(&bundle(&house, &id, "authority").await).2;
    assert!(withhold(&["/1/title"], "told by Jane Roe").await.is_err(), "a reason is one word");
    assert!(withhold(&[], "privileged").await.is_err());
    assert!(withhold(&["/1/nothing"], "privileged").await.is_err());
    assert_eq!(
        withhold(&["/title", "/1/title", "/1/facts/1/note"], "privileged").await.expect("withheld").fields.len(),
        2
    );
    let authority = bundle(&house, &id, "authority").await;
    // the note is kept back by the profile already
    assert_eq!(verified(&authority).2, before + 1);
    let files = zipfile::read(&authority).expect("a ZIP");
    let index = String::from_utf8(files["bundle.json"].clone()).expect("text");
    assert!(index.contains("privileged"), "{index}");
    let shown = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
        files.iter().any(|(name, bytes)| {
            name.starts_with("disclosures/") && String::from_utf8_lossy(bytes).contains("laptop of Jane Roe")
        })
    };
    assert!(!shown(&files));
    let internal = bundle(&house, &id, "internal").await;
    assert_eq!(verified(&internal).2, 0);
    assert!(shown(&zipfile::read(&internal).expect("a ZIP")));
}

/// The keys are kept apart: what a backup from before the erasure brings back has lost them, and the restored log does not
/// know of the erasure. The evidence must go out all the same, and say what is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_from_before_an_erasure_brings_no_value_back_and_exports() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || house(SqliteStore::open(dir.path(), "test.example/log").expect("opens"), settings(Vec::new()));
    let (before, database) = (dir.path().join("before.db"), dir.path().join(breachclock::store::sqlite::FILE));
    let id = {
        let house = open();
        let id = reported(&house).await;
        backup(dir.path(), &before);
        house.erase(&caller(Role::Approver), &id, ask(&[], &["jane roe"]), None, at(NOW)).await.expect("erased");
        id
    };
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", database.display()));
    }
    std::fs::rename(&before, &database).expect("restored");

    let house = open();
    let zip = bundle(&house, &id, "internal").await;
    let (shown, erased, withheld) = verified(&zip);
    assert!(shown > 0 && erased == 0 && withheld > 0, "{shown} shown, {erased} erased, {withheld} withheld");
    let files = zipfile::read(&zip).expect("a ZIP");
    assert!(String::from_utf8_lossy(&files["bundle.json"]).contains("not-at-hand"));
    let told: Vec<&String> = files
        .iter()
        .filter(|(name, bytes)| {
            name.starts_with("disclosures/") && String::from_utf8_lossy(bytes).to_lowercase().contains("jane roe")
        })
        .map(|(name, _)| name)
        .collect();
    assert!(told.is_empty(), "{told:?}");
}
