//! What a bundle shows to whom: nothing that is withheld stands in any of its files, in every language.

use crate::support::{at, caller, house, run_until, settings};
use breachclock::evidence::{hex, sha256, verify_bundle, zipfile};
use breachclock::store::{MemoryStore, Store};
use breachclock::workflow::export::ExportRequest;
use breachclock::workflow::{FilingRequest, House, Machine, Role};
use std::collections::BTreeMap;

const DUTY: &str = "eu-gdpr-33-authority@FR";

/// An incident with a name, a note, free words and a reason in it.
pub(super) async fn lived() -> (House<MemoryStore>, String) {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let report = r#"{"title": "x", "entity": "acme-fr", "facts": {
        "personal_data": {"value": true, "by": "Nadia Namesake", "note": "counsel says NOTEWORTHY"},
        "risk": "risk", "times.aware": "2026-03-27T15:20:00Z"}}"#;
    let (responder, now) = (caller(Role::Responder), at("2026-03-28T01:00:00Z"));
    let id = house.report(&responder, report, None, now).await.expect("opens").incident.id;
    let filing = FilingRequest { note: Some("filed by NOTEWORTHY".into()), ..FilingRequest::default() };
    house.file(&responder, &format!("{id}~{DUTY}"), filing, None, now).await.expect("files");
    run_until(&house, now, at("2026-03-28T02:00:00Z")).await;
    (house, id)
}

async fn bundle(house: &House<MemoryStore>, id: &str, wanted: &ExportRequest) -> BTreeMap<String, Vec<u8>> {
    let (_, zip) = house.bundle(&caller(Role::Auditor), id, wanted, at("2026-03-28T03:00:00Z")).await.expect("exports");
    let files = zipfile::read(&zip).expect("a ZIP");
    let report = verify_bundle(&files);
    assert!(report.ok, "{:?}", report.checks.iter().filter(|check| !check.ok).collect::<Vec<_>>());
    files
}

fn request(profile: &str, withhold: &[&str], language: &str, zone: Option<&str>) -> ExportRequest {
    ExportRequest {
        profile: profile.into(),
        withhold: withhold.iter().map(|kind| kind.to_string()).collect(),
        language: language.into(),
        zone: zone.map(str::to_string),
    }
}

#[tokio::test]
async fn what_is_withheld_stands_in_no_file() {
    let (house, id) = lived().await;
    /// A word, and whether the bundle shows it.
    type Shows = (&'static str, bool);
    let cases: [(&str, &[&str], [Shows; 2]); 4] = [
        ("internal", &[], [("Nadia Namesake", true), ("NOTEWORTHY", true)]),
        ("authority", &[], [("Nadia Namesake", true), ("NOTEWORTHY", false)]),
        ("client", &[], [("Nadia Namesake", false), ("NOTEWORTHY", false)]),
        ("internal", &["people"], [("Nadia Namesake", false), ("NOTEWORTHY", true)]),
    ];
    for (profile, withhold, wanted) in cases {
        let files = bundle(&house, &id, &request(profile, withhold, "en", None)).await;
        for (word, shown) in wanted {
            let holds: Vec<&String> = files
                .iter()
                .filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(word))
                .map(|(name, _)| name)
                .collect();
            assert_eq!(!holds.is_empty(), shown, "{profile} {withhold:?}: `{word}` in {holds:?}");
        }
    }
}

#[tokio::test]
async fn the_report_speaks_the_language_and_the_zone_of_its_reader() {
    let (house, id) = lived().await;
    let cases = [
        ("en", None, "Obligations and their limits", "Mon 30 Mar 2026, 18:00 CEST"),
        ("de", Some("Asia/Tokyo"), "Pflichten und ihre Fristen", "Ortszeiten sind die von Asia/Tokyo"),
        ("fr", None, "Obligations et échéances", "lun. 30 mars 2026, 18:00 CEST"),
    ];
    for (language, zone, heading, words) in cases {
        let files = bundle(&house, &id, &request("authority", &[], language, zone)).await;
        let page = String::from_utf8(files["report.html"].clone()).expect("text");
        assert!(page.contains(&format!("<html lang=\"{language}\">")));
        assert!(page.contains(heading) && page.contains(words), "{language}: {page}");
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(page.matches("<svg").count() >= 2, "a timeline and a strip of days");
    }
}

#[tokio::test]
async fn the_statement_is_filled_with_what_the_log_knows_and_left_open_for_its_signer() {
    let (house, id) = lived().await;
    let cases = [("en", "Signature "), ("de", "Unterschrift "), ("fr", "Signature ")];
    for (language, blank) in cases {
        let files = bundle(&house, &id, &request("client", &[], language, None)).await;
        let text = String::from_utf8(files["certification.txt"].clone()).expect("text");
        let note = String::from_utf8(files["checkpoint.txt"].clone()).expect("text");
        let known: Vec<String> = ["checkpoint.txt", "bundle.json", "report.html"]
            .iter()
            .map(|name| hex(&sha256(&files[*name])))
            .chain(note.lines().take(3).map(str::to_string))
            .chain([
                id.clone(),
                format!("breachclock {}", env!("CARGO_PKG_VERSION")),
                "902(13)".into(),
                "902(14)".into(),
                "28 U.S.C. 1746".into(),
                house.log_key.public().fingerprint(),
                house.export_key.public().fingerprint(),
            ])
            .collect();
        for word in known {
            assert!(text.contains(&word), "{language}: `{word}` is missing: {text}");
        }
        let signed = |line: &str| line.trim_start().starts_with(blank) && line.ends_with("____");
        assert!(text.lines().any(signed), "{language}: no place to sign: {text}");
        assert!(!text.contains(['{', '}', '<']), "{language}: a gap was left: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120 && line.trim_end() == line), "{language}: {text}");
    }
}

/// Of synthetic time nothing is known; of the machine's, what its time service says and by which run of it the time is.
#[tokio::test]
async fn entries_and_report_say_what_was_known_of_the_clock() {
    use breachclock::workflow::Discipline::{Synchronised, Unsynchronised};
    let (house, id) = lived().await;
    let now = at("2026-03-28T02:30:00Z");
    let machine = |up_micros| Machine { boot: Some("0f".repeat(16)), up_micros };
    let cases = [
        ("en", "nothing on the machine said whether", r#""clk":{"sync":"unknown"}}}"#),
        (
            "en",
            "at this export, it was synchronised to within 2 ms, said chronyc",
            r#""clk":{"sync":"synchronised","source":"chronyc","error_us":1012,"boot":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","up_us":1}}}"#,
        ),
        (
            "de",
            "bei diesem Export war sie laut chronyc nicht synchronisiert",
            r#""clk":{"sync":"unsynchronised","source":"chronyc","boot":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","up_us":2}}}"#,
        ),
        (
            "fr",
            "elle était synchronisée, selon chronyc",
            r#""clk":{"sync":"synchronised","source":"chronyc","boot":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","up_us":3}}}"#,
        ),
    ];
    for (step, (language, sentence, block)) in cases.into_iter().enumerate() {
        let ups: [fn() -> u64; 4] = [|| 0, || 1, || 2, || 3];
        let health = &house.stats.health;
        match step {
            0 => {}
            1 => {
                house.clock_disciplined(Synchronised, "chronyc", now).await.expect("recorded");
                health.estimated(Some(1012));
            }
            2 => house.clock_disciplined(Unsynchronised, "chronyc", now).await.expect("recorded"),
            _ => {
                house.clock_disciplined(Synchronised, "chronyc", now).await.expect("recorded");
                health.estimated(None);
            }
        }
        if step > 0 {
            health.runs_on(machine(ups[step]));
        }
        let files = bundle(&house, &id, &request("authority", &[], language, None)).await;
        let page = String::from_utf8(files["report.html"].clone()).expect("text");
        assert!(page.contains(sentence), "{language}: `{sentence}` is missing");
        let last = files.iter().rfind(|(name, _)| name.starts_with("entries/")).expect("an entry").1;
        let last = String::from_utf8_lossy(last);
        assert!(last.trim_end().ends_with(block), "{last}");
    }
    let entries = house.store.stream(&id).await.expect("reads");
    for kind in ["incident.reported", "notification.filed"] {
        let named = format!("\"type\":\"{kind}\"");
        let said = entries.iter().filter_map(|e| std::str::from_utf8(&e.bytes).ok()).find(|text| text.contains(&named));
        assert!(
            said.is_some_and(|text| text.trim_end().ends_with(r#""clk":{"sync":"unknown"}}}"#)),
            "{kind}: {said:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_exported_is_refused_in_words() {
    let (house, id) = lived().await;
    let cases = [
        (request("press", &[], "en", None), "press"),
        (request("client", &["everything"], "en", None), "everything"),
        (request("client", &[], "tlh", None), "tlh"),
        (request("client", &[], "en", Some("Mars/Olympus")), "Mars/Olympus"),
    ];
    for (wanted, word) in cases {
        let refused = house.bundle(&caller(Role::Auditor), &id, &wanted, at("2026-03-28T03:00:00Z")).await;
        assert!(refused.is_err_and(|why| format!("{why:?}").contains(&format!("`{word}`"))), "{word}");
    }
}
