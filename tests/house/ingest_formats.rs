//! Deliveries of other tools as they send them, `tests/vectors/ingest/<format>/*.json`, and beside each what we read in it.
//! `mapping.toml` is what the operator of that tool mapped. `BREACHCLOCK_BLESS=1` writes what is read.

use crate::support::at;
use breachclock::ingest::tools::{Delivered, Item, Mapping, Tool, part, read};
use breachclock::ingest::{Node, Reading};
use breachclock::rules::{Rulebook, builtin, utc};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NOW: &str = "2026-03-28T01:13:30Z";

#[derive(serde::Deserialize, Default)]
struct Written {
    #[serde(default)]
    map: BTreeMap<String, String>,
    #[serde(default)]
    assume: BTreeMap<String, Node>,
}

fn mapping(folder: &Path) -> Mapping {
    let text = std::fs::read_to_string(folder.join("mapping.toml")).unwrap_or_default();
    let written: Written = toml::from_str(&text).expect("a mapping");
    Mapping { at: written.map.into_iter().collect(), assume: written.assume.into_iter().collect() }
}

fn written(case: &Delivered) -> String {
    let mut lines = vec![format!("case: {}", case.reference), format!("title: {}", case.title)];
    lines.push(format!("news: {}", case.news));
    lines.extend(case.event.iter().map(|event| format!("event: {event}")));
    lines.extend((!case.may_open).then(|| "opens nothing by itself".to_string()));
    lines.extend(case.dismissed.iter().map(|what| format!("dismissed: {what}")));
    lines.extend(case.severity.map(|severity| format!("severity: {}", severity.as_str())));
    lines.extend(case.breach.map(|breach| format!("suspected breach: {breach}")));
    lines.extend((!case.labels.is_empty()).then(|| format!("labels: {}", case.labels.join(" | "))));
    lines.extend(case.entity.iter().map(|entity| format!("entity: {entity}")));
    lines.extend(case.began.map(|began| format!("began: {}", utc(began))));
    for fact in &case.facts {
        let value = fact.value.as_ref().map(|value| format!("{value:?}")).unwrap_or_default();
        let note = fact.note.as_deref().unwrap_or_default();
        lines.push(format!("fact: {} = {value}, {}, {note}", fact.key, fact.certainty.as_str()));
    }
    lines.extend(case.left_out.iter().map(|one| format!("left out: {}: {}", one.pointer, one.text)));
    lines.join("\n") + "\n"
}

fn shown(tool: Tool, bytes: &[u8], mapping: &Mapping, book: &Rulebook) -> String {
    let reading = Reading { catalogue: book.catalogue(), now: at(NOW), by: "a source" };
    match read(tool, bytes, mapping, &reading) {
        Ok(items) => {
            let one = |item: &Item| match item {
                Item::Case(case) => written(case),
                Item::Other(why) => format!("other: {why}\n"),
            };
            items.iter().map(one).collect::<Vec<_>>().join("\n")
        }
        Err(faults) => faults.iter().map(|fault| format!("rejected: {fault}\n")).collect(),
    }
}

fn samples(tool: Tool) -> (PathBuf, Vec<PathBuf>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ingest").join(tool.as_str());
    let found = std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = found.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    paths.sort();
    (folder, paths)
}

#[test]
fn every_delivery_is_read_as_wanted() {
    let book = builtin().expect("the built-in packs load");
    let mut faults = Vec::new();
    for tool in Tool::ALL {
        let (folder, paths) = samples(tool);
        assert!(paths.len() >= 6, "{}: {} samples", tool.as_str(), paths.len());
        let mapping = mapping(&folder);
        for path in paths {
            let got = shown(tool, &std::fs::read(&path).expect("readable"), &mapping, &book);
            let want = path.with_extension("want");
            if std::env::var_os("BREACHCLOCK_BLESS").is_some() {
                std::fs::write(&want, &got).expect("written");
            }
            let want = std::fs::read_to_string(want).unwrap_or_default();
            if got != want {
                faults.push(format!("{}:\n--- wanted\n{want}--- read\n{got}", path.display()));
            }
            let hostile = path.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("hostile"));
            assert!(hostile || !got.starts_with("rejected"), "{}: {got}", path.display());
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whatever a tool says: its facts are its own, unsure, and no clock of ours starts but from a detection.
#[test]
fn no_tool_starts_a_clock_by_itself() {
    let book = builtin().expect("the built-in packs load");
    let reading = Reading { catalogue: book.catalogue(), now: at(NOW), by: "a source" };
    let mut cases = 0;
    for tool in Tool::ALL {
        for path in samples(tool).1 {
            let bytes = std::fs::read(&path).expect("readable");
            for item in read(tool, &bytes, &Mapping::default(), &reading).unwrap_or_default() {
                let Item::Case(case) = item else { continue };
                cases += 1;
                for fact in &case.facts {
                    let times = fact.key.starts_with("times.");
                    assert!(!times || fact.key == "times.detected", "{}: {fact:?}", path.display());
                    assert_ne!(fact.certainty, breachclock::law::Certainty::Confirmed, "{}: {fact:?}", path.display());
                    assert_eq!(fact.asserted_by, "a source");
                }
            }
        }
    }
    assert!(cases >= 30, "{cases} cases");
}

#[test]
fn each_case_of_a_list_keeps_its_own_bytes() {
    let bytes = br#"{"alerts": [ {"a":1}, {"b" : [2 , 3]} ], "x/y": {"z": 1.50}}"#;
    assert_eq!(part(bytes, "/alerts/1"), Some(&br#"{"b" : [2 , 3]}"#[..]));
    assert_eq!(part(bytes, "/x~1y/z"), Some(&b"1.50"[..]));
    assert_eq!(part(bytes, ""), Some(&bytes[..]));
    assert_eq!((part(bytes, "/alerts/2"), part(b"[", "/0")), (None, None));
}
