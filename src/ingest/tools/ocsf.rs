//! OCSF findings (<https://schema.ocsf.io>, 1.1 and later): Incident Finding 2005 with `is_suspected_breach`, Detection
//! Finding 2004, Data Security Finding 2006. One event, a list, or `{ "events": [ … ] }`. Times are milliseconds since 1970.

use super::place::Place;
use super::{Delivered, Item, Scribe, Severity};
use crate::law::{Certainty, Value};

const DETECTION: i128 = 2004;
const INCIDENT: i128 = 2005;
const DATA_SECURITY: i128 = 2006;
/// `data_classification.category_id` of personal data; 2 and 3 are identifiers and account data of persons as well as of
/// enterprises, so they say nothing.
const PERSONAL: i128 = 1;
/// `data_security.data_lifecycle_state_id`: data on their way out.
const IN_TRANSIT: i128 = 2;
/// `verdict_id` of the profile "incident" for a false positive.
const FALSE_POSITIVE: i128 = 1;
/// Captions of `verdict` by which a finding is no incident.
const DISMISSALS: [(&str, &str); 5] = [
    ("false positive", "a false positive"),
    ("disregard", "to be disregarded"),
    ("benign", "benign"),
    ("test", "a test"),
    ("duplicate", "a duplicate"),
];

pub(super) fn read(event: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<Item> {
    let Some(class) = event.whole("class_uid", scribe) else {
        if event.at("class_uid").is_none() {
            scribe.faults.push(event.fault("`class_uid` is missing; it says what an OCSF event is".into()));
        }
        return None;
    };
    if ![DETECTION, INCIDENT, DATA_SECURITY].contains(&class) {
        return Some(Item::Other(format!(
            "class {class} is no finding that may be a breach; {INCIDENT}, {DETECTION} and {DATA_SECURITY} are"
        )));
    }
    let finding = match class {
        INCIDENT => event.at("finding_info_list/0"),
        _ => event.at("finding_info"),
    };
    let title = event.title("message", scribe);
    let of_finding = finding.as_ref().and_then(|finding| finding.title("title", scribe));
    // an incident's own description is better than the title of one of its findings
    let desc = event.title("desc", scribe);
    let title = if class == INCIDENT { desc.or(of_finding).or(title) } else { of_finding.or(title).or(desc) };
    let news = format!("finding {}", activity(event.whole("activity_id", scribe)));
    let mut case = reference(event, class, title, news, scribe)?;
    case.severity = event.whole("severity_id", scribe).and_then(severity);
    case.breach = event.flag("is_suspected_breach", scribe);
    case.dismissed = dismissed(event, scribe);
    case.labels = event.words("metadata/labels");
    let types = finding.as_ref().map(|finding| finding.words("types")).unwrap_or_default();
    case.labels.extend(types);
    case.entity = ["metadata/tenant_uid", "cloud/account/uid"].iter().find_map(|path| event.at(path)?.word());
    // `first_seen_time` is when it began to be seen in data, which may have been looked at much later
    let created = finding.as_ref().and_then(|finding| finding.instant("created_time", false, scribe));
    let at = created.or_else(|| event.instant("time", false, scribe));
    case.facts = scribe.detected(at, "when the finding was made, as OCSF states it");
    if class == DATA_SECURITY || class == INCIDENT {
        what_data(event, &mut case, scribe);
    }
    Some(Item::Case(Box::new(case)))
}

fn dismissed(event: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<String> {
    if event.whole("verdict_id", scribe) == Some(FALSE_POSITIVE) {
        return Some(DISMISSALS[0].1.to_string());
    }
    let verdict = event.text("verdict", scribe)?.to_ascii_lowercase();
    DISMISSALS.iter().find(|(caption, _)| *caption == verdict).map(|(_, words)| words.to_string())
}

/// An incident is known by its own id, a finding by its `finding_info.uid`, which updates keep.
fn reference(
    event: &Place<'_>,
    class: i128,
    title: Option<String>,
    news: String,
    scribe: &mut Scribe<'_>,
) -> Option<Delivered> {
    let paths: &[&str] = match class {
        // `metadata.uid` names one event: only where nothing names the incident
        INCIDENT => &["metadata/correlation_uid", "finding_info_list/0/uid", "metadata/uid"],
        _ => &["finding_info/uid", "metadata/uid"],
    };
    let path = paths.iter().find(|path| event.at(path).is_some()).unwrap_or(&paths[paths.len() - 2]);
    scribe.case(event, path, title, news)
}

fn activity(id: Option<i128>) -> &'static str {
    match id {
        Some(1) => "created",
        Some(2) => "updated",
        Some(3) => "closed",
        _ => "reported",
    }
}

fn severity(id: i128) -> Option<Severity> {
    Some(match id {
        1 => Severity::Informational,
        2 => Severity::Low,
        3 => Severity::Medium,
        4 => Severity::High,
        // 6 is "fatal"
        5 | 6 => Severity::Critical,
        _ => return None,
    })
}

/// What a data security tool says of the data: that some are personal, and that they were leaving.
fn what_data(event: &Place<'_>, case: &mut Delivered, scribe: &mut Scribe<'_>) {
    let single = event.at("data_classification").into_iter();
    let several = event.at("data_classifications").map(|list| list.list()).unwrap_or_default();
    let files = ["file", "database", "databucket", "table"]
        .into_iter()
        .filter_map(|what| event.at(&format!("{what}/data_classification")));
    let classes: Vec<Place<'_>> = single.chain(several).chain(files).collect();
    let personal = classes.iter().filter_map(|class| class.whole("category_id", scribe)).any(|id| id == PERSONAL);
    if personal {
        let note = "OCSF classifies the data as personal";
        case.facts.push(scribe.fact("personal_data", Value::YesNo(true), Certainty::Suspected, note));
        if event.whole("data_security/data_lifecycle_state_id", scribe) == Some(IN_TRANSIT) {
            let kinds = Value::Set(vec!["confidentiality".into()]);
            let note = "OCSF: personal data in transit when the tool found them";
            case.facts.push(scribe.fact("kinds", kinds, Certainty::Suspected, note));
        }
    }
}
