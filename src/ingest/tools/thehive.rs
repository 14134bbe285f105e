//! TheHive 4 and 5: what its webhook notifier sends about cases and alerts, in the forms of versions 0 and 1
//! (<https://docs.strangebee.com/thehive/>). Times are milliseconds since 1970.

use super::place::Place;
use super::{Item, Scribe, Severity};

pub(super) fn read(audit: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<Item> {
    let kind = audit.text("objectType", scribe).map(str::to_ascii_lowercase);
    let Some(kind) = kind else {
        if audit.at("objectType").is_none() {
            scribe.faults.push(audit.fault("`objectType` is missing; it says what TheHive tells about".into()));
        }
        return None;
    };
    if kind != "case" && kind != "alert" {
        return Some(Item::Other(format!("it is about an object of type `{kind}`; cases and alerts are followed")));
    }
    let action = audit.text("action", scribe).or_else(|| audit.text("operation", scribe)).unwrap_or("reported");
    let action = match action.to_ascii_lowercase().as_str() {
        "create" | "creation" => "created",
        "update" => "updated",
        "delete" => "deleted",
        "merge" => "merged",
        _ => "reported",
    };
    let Some(object) = audit.at("object") else {
        // what is deleted has no object any more
        let title = audit.title("details/title", scribe);
        let mut case = scribe.case(audit, "objectId", title, format!("{kind} {action}"))?;
        case.may_open = false;
        case.event = event(audit);
        return Some(Item::Case(Box::new(case)));
    };
    let title = object.title("title", scribe).or_else(|| audit.title("details/title", scribe));
    // an alert that was imported goes on as its case
    let imported = ["case", "caseId"].into_iter().find(|name| {
        kind == "alert" && object.at(name).and_then(|place| place.word()).is_some_and(|id| id.starts_with('~'))
    });
    let mut case = match (imported, object.at("_id").is_some()) {
        (Some(name), _) => scribe.case(&object, name, title, format!("alert {action}"))?,
        (None, true) => scribe.case(&object, "_id", title, format!("{kind} {action}"))?,
        (None, false) => scribe.case(audit, "objectId", title, format!("{kind} {action}"))?,
    };
    let number = object.at("number").or_else(|| object.at("caseId")).and_then(|place| place.word());
    if let Some(number) = number.filter(|_| kind == "case") {
        case.news = format!("{kind} #{number} {action}");
    }
    case.may_open = action != "deleted";
    case.event = event(audit);
    case.severity = object.whole("severity", scribe).and_then(|severity| match severity {
        1 => Some(Severity::Low),
        2 => Some(Severity::Medium),
        3 => Some(Severity::High),
        4 => Some(Severity::Critical),
        _ => None,
    });
    case.labels = object.words("tags");
    let words = ["status", "resolutionStatus"].into_iter().filter_map(|name| object.text(name, scribe));
    let dismissal = |word: &str| match word.to_ascii_lowercase().as_str() {
        "falsepositive" => Some("a false positive".to_string()),
        "duplicated" | "duplicate" => Some("a duplicate".to_string()),
        _ => None,
    };
    case.dismissed = words.collect::<Vec<_>>().into_iter().find_map(dismissal);
    case.entity =
        ["organisationId", "organisation"].iter().find_map(|name| audit.at(name).or_else(|| object.at(name))?.word());
    // an alert says when its source raised it; a case, when TheHive made it
    let place = ["date", "_createdAt", "createdAt"].into_iter().find(|name| object.at(name).is_some());
    let at = place.and_then(|name| object.instant(name, false, scribe));
    case.facts = scribe.detected(at, &format!("when the {kind} was raised, as TheHive states it"));
    Some(Item::Case(Box::new(case)))
}

/// One request may change several objects, and one object several times.
fn event(audit: &Place<'_>) -> Option<String> {
    let request = audit.at("requestId")?.word()?;
    let word = |name: &str| audit.at(name).and_then(|place| place.word()).unwrap_or_default();
    Some(format!("{request} {} {} {}", word("objectId"), word("startDate"), word("_createdAt")))
}
