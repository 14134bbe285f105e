//! Jira Cloud and Data Center webhooks (<https://developer.atlassian.com/cloud/jira/platform/webhooks/>): issues created,
//! updated, deleted, and comments on them. A deleted issue opens nothing.

use super::place::Place;
use super::{Item, Scribe, Severity};

pub(super) fn read(root: &Place<'_>, scribe: &mut Scribe<'_>) -> Option<Item> {
    let kind = root.text("webhookEvent", scribe);
    let Some(issue) = root.at("issue") else {
        return match kind {
            Some(kind) => Some(Item::Other(format!("`{kind}` is about no issue"))),
            // automation rules send an issue as the API shows it
            None if root.at("key").is_some() && root.at("fields").is_some() => about(root, None, scribe),
            None => {
                scribe.faults.push(root.fault("neither `issue` nor `webhookEvent` stands here".into()));
                None
            }
        };
    };
    about(&issue, kind, scribe)
}

fn about(issue: &Place<'_>, kind: Option<&str>, scribe: &mut Scribe<'_>) -> Option<Item> {
    let title = issue.at("fields").and_then(|fields| fields.title("summary", scribe));
    let short = kind.map(|kind| kind.trim_start_matches("jira:").replace('_', " "));
    let mut case = scribe.case(issue, "id", title, String::new())?;
    let key = issue.at("key").and_then(|place| place.word());
    // an issue that moves to another project keeps its id and changes its key
    case.news = format!("{} {}", key.as_deref().unwrap_or("issue"), short.as_deref().unwrap_or("reported"));
    case.may_open = kind.is_none_or(|kind| kind == "jira:issue_created" || kind == "jira:issue_updated");
    let Some(fields) = issue.at("fields") else { return Some(Item::Case(Box::new(case))) };
    let name = |path: &str| fields.at(path).and_then(|place| place.word());
    case.severity = name("priority/name").as_deref().and_then(Severity::of_word);
    case.labels = fields.words("labels");
    case.labels.extend(name("issuetype/name"));
    let components = fields.at("components").map(|list| list.list()).unwrap_or_default();
    case.labels.extend(components.iter().filter_map(|one| one.at("name")?.word()));
    case.entity = name("project/key");
    case.dismissed = name("resolution/name").and_then(|word| match word.to_ascii_lowercase().as_str() {
        "duplicate" => Some("a duplicate".to_string()),
        "false positive" => Some("a false positive".to_string()),
        _ => None,
    });
    let at = fields.instant("created", false, scribe);
    case.facts = scribe.detected(at, "when the issue was written: at the latest then, somebody had detected it");
    Some(Item::Case(Box::new(case)))
}
