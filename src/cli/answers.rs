//! A server's answers as lines for a terminal.

use serde_json::Value;

pub(super) fn str_of<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("")
}

pub(super) fn timeline_text(timeline: &Value) -> String {
    let line = |item: &Value| {
        let by = item["by"].as_str().map(|by| format!(" (by {by})")).unwrap_or_default();
        let obligation = item["obligation"].as_str().and_then(|id| id.split_once('~')).map(|(_, local)| local);
        let about = obligation.map(|id| format!(" [{id}]")).unwrap_or_default();
        format!("{:<27} {:<15} {}{by}{about}\n", str_of(item, "at"), str_of(item, "kind"), str_of(item, "text"))
    };
    timeline["items"].as_array().into_iter().flatten().map(line).collect()
}

/// Obligations that may apply, printed one by one: a title alone calls up hundreds.
const MOST_POSSIBLE: usize = 12;

pub(super) fn incident_text(incident: &Value) -> String {
    let mut text = format!("{}  {}\n", str_of(incident, "id"), str_of(incident, "title"));
    let obligations = incident["obligations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut possible, certain): (Vec<&Value>, Vec<&Value>) =
        obligations.iter().partition(|o| str_of(o, "standing") == "possible");
    certain.into_iter().for_each(|o| text.push_str(&obligation_line(o)));
    // RFC 3339 in UTC sorts as text; what has no date comes last
    possible.sort_by_key(|o| o["conservative_due"].as_str().unwrap_or("~").to_string());
    possible.iter().take(MOST_POSSIBLE).for_each(|o| text.push_str(&obligation_line(o)));
    if possible.len() > MOST_POSSIBLE {
        let more = possible.len() - MOST_POSSIBLE;
        text.push_str(&format!("  {more} more may apply: answer what is asked, or see them all with --json\n"));
    }
    if let Some(question) = incident["questions"].as_array().and_then(|q| q.first()) {
        text.push_str(&format!("ask first: {} (`{}`)\n", str_of(question, "text"), str_of(question, "key")));
    }
    text
}

pub(super) fn obligation_line(o: &Value) -> String {
    let when = o["conservative_due"].as_str().map_or_else(
        || if o["promptly"] == true { "promptly".to_string() } else { "no date yet".to_string() },
        |due| format!("before {due}"),
    );
    // what is filed or waived nobody need have
    let open = ["running", "awaiting", "possible"].contains(&str_of(o, "standing"));
    let holder = match o["holder"]["name"].as_str() {
        Some(name) => format!("; {name} has it"),
        None if open => "; nobody has it".to_string(),
        None => String::new(),
    };
    let warnings = o["warnings"].as_array().into_iter().flatten();
    let late = if o["reasons_missing"] == true { "  the reasons for the delay are missing\n" } else { "" };
    let warnings: String = warnings.map(|w| format!("  warning: {}\n", str_of(w, "text"))).collect();
    format!(
        "  {:<10} {:<28} {} to {}{holder}\n             {}\n{late}{warnings}",
        str_of(o, "standing"),
        when,
        str_of(o, "title"),
        str_of(o, "recipient_name"),
        str_of(o, "id")
    )
}

pub(super) fn diff_text(diff: &Value) -> String {
    let mut text = String::new();
    for (word, key) in [("added", "added"), ("moved", "moved"), ("filled", "filled"), ("dropped", "dropped")] {
        for entry in diff[key].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "{word:<8} {} {} -> {}  ({})\n",
                str_of(entry, "id"),
                entry["from"].as_str().unwrap_or("-"),
                entry["to"].as_str().unwrap_or("-"),
                str_of(entry, "because")
            ));
        }
    }
    if diff["reopened"] == true {
        text.push_str("the incident was closed and is open again: an obligation runs\n");
    }
    if text.is_empty() {
        text.push_str("nothing changed\n");
    }
    text
}
