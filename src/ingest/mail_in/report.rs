//! What servers and mail programs say about a mail: delivery status (RFC 3464), disposition (RFC 8098), and the free texts
//! of servers that know neither.

use super::{News, Notice, bare, ids, one_line, raw_header, text_of, text_of_body, type_of};
use mail_parser::{Message, MessagePart};

/// The news, with the names of the mail it is about; `None` when the mail is no report.
pub(super) fn read(mail: &Message<'_>) -> Option<(Vec<String>, News)> {
    let part = |wanted: &str| mail.parts.iter().find(|part| type_of(part) == wanted);
    let either = |a, b| part(a).or_else(|| part(b));
    if let Some(status) = either("message/delivery-status", "message/global-delivery-status") {
        return delivery(mail, &text_of(status));
    }
    if let Some(notice) = either("message/disposition-notification", "message/global-disposition-notification") {
        return Some(disposition(mail, &text_of(notice)));
    }
    free_text(mail)
}

type Group = Vec<(String, String)>;

/// Groups of header-like fields, separated by empty lines; names in lower case, values in one line.
fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![Vec::new()];
    for line in text.lines() {
        let last = groups.last_mut().expect("never empty");
        if line.trim().is_empty() {
            if !last.is_empty() {
                groups.push(Vec::new());
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = last.last_mut() {
                *value = format!("{value} {}", line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last.push((name.trim().to_lowercase(), value.trim().to_string()));
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn field<'g>(group: &'g Group, name: &str) -> Option<&'g str> {
    group.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// `smtp; 550 5.1.1 …` without the type in front; comments stay, they are words as well.
fn untyped(value: &str) -> &str {
    value.split_once(';').map_or(value, |(_, rest)| rest).trim()
}

fn delivery(mail: &Message<'_>, text: &str) -> Option<(Vec<String>, News)> {
    let groups = groups(text);
    // one recipient a mail: with several groups an alias was expanded, and the worst news counts
    let rank = |group: &Group| match field(group, "action").map(str::to_lowercase).as_deref() {
        Some(action) if action.starts_with("failed") => Some(0),
        Some(action) if action.starts_with("delivered") => Some(1),
        Some(action) if action.starts_with("delayed") => Some(2),
        Some(action) if action.starts_with("relayed") || action.starts_with("expanded") => Some(3),
        _ => None,
    };
    let (rank, group) = groups.iter().filter_map(|g| Some((rank(g)?, g))).min_by_key(|(rank, _)| *rank)?;
    let status = field(group, "status").and_then(status_code);
    let words = field(group, "diagnostic-code").map(untyped).or_else(|| field(group, "status"));
    let notice = Notice { words: one_line(words.unwrap_or_default()), status };
    let news = match rank {
        0 => News::Failed(notice),
        1 => News::Delivered(notice),
        2 => News::Delayed(notice),
        _ => News::Relayed(notice),
    };
    let mut names = returned(mail);
    names.extend(groups.iter().filter_map(|g| field(g, "original-envelope-id")).map(|id| bare(untyped_id(id))));
    Some((names, news))
}

/// Some servers write a type in front of the envelope id, which has none.
fn untyped_id(value: &str) -> &str {
    value.rsplit(';').next().unwrap_or(value).trim()
}

fn disposition(mail: &Message<'_>, text: &str) -> (Vec<String>, News) {
    let fields: Group = groups(text).into_iter().flatten().collect();
    let word = field(&fields, "disposition").map(untyped).unwrap_or_default();
    let word = word.split(['/', ',']).next().unwrap_or_default().trim().to_lowercase();
    let mut names: Vec<String> = field(&fields, "original-message-id").map(bare).into_iter().collect();
    names.extend(returned(mail));
    (names, if word == "displayed" { News::Displayed } else { News::Disposed(one_line(&word)) })
}

/// Names in the returned mail or its headers, in whatever form they came back.
fn returned(mail: &Message<'_>) -> Vec<String> {
    mail.parts.iter().flat_map(|part| returned_in(part)).collect()
}

fn returned_in(part: &MessagePart<'_>) -> Vec<String> {
    if let Some(inner) = part.message() {
        let mut names = ids(inner, "Message-ID");
        names.extend(raw_header(inner, "X-Breachclock-Id").map(|id| bare(&id)));
        return names;
    }
    match type_of(part).as_str() {
        "text/rfc822-headers" | "message/global-headers" | "message/rfc822" => names_in(&text_of(part)),
        _ => Vec::new(),
    }
}

/// Names in headers that stand in a text, folded, indented or quoted.
fn names_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches(['>', ' ', '\t', '|'])).collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if !matches!(name.to_ascii_lowercase().as_str(), "message-id" | "x-breachclock-id") {
            continue;
        }
        let value = match value.trim() {
            "" => lines.get(at + 1).map_or("", |next| next.trim()),
            value => value,
        };
        names.extend(value.split_whitespace().next().map(bare).filter(|id| !id.is_empty()));
    }
    names
}

const FAILURE_WORDS: [&str; 14] = [
    "undeliver",
    "not be delivered",
    "couldn't be delivered",
    "wasn't delivered",
    "not delivered",
    "delivery failed",
    "delivery has failed",
    "delivery failure",
    "failure notice",
    "delivery status notification",
    "returned mail",
    "unable to deliver",
    "nondeliverable",
    "delivery to the following",
];
const DELAY_WORDS: [&str; 7] = [
    "delayed",
    "still being retried",
    "will be retried",
    "will keep trying",
    "continue to try",
    "not yet been delivered",
    "temporarily deferred",
];

/// Old Exim, qmail and gateways write a letter, and append the mail.
fn free_text(mail: &Message<'_>) -> Option<(Vec<String>, News)> {
    let author = super::author(mail).unwrap_or_default();
    let machine = ["mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon", "microsoftexchange"];
    let from_machine = machine.iter().any(|name| author.starts_with(name))
        || raw_header(mail, "X-Failed-Recipients").is_some()
        || raw_header(mail, "Return-Path").is_some_and(|value| value == "<>");
    if !from_machine {
        return None;
    }
    let subject = mail.subject().unwrap_or_default();
    let body = text_of_body(mail);
    let letter = letter(&body);
    let said = format!("{subject}\n{letter}").to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let status = status_code(&letter);
    // a letter in any language, with a code that says it all
    let refused = status.as_deref().is_some_and(|code| code.starts_with('5'));
    if !says(&FAILURE_WORDS) && !says(&DELAY_WORDS) && !refused {
        return None;
    }
    let mut names = returned(mail);
    for part in &mail.parts {
        names.extend(names_in(&text_of(part)));
    }
    let telling = |line: &&str| line.split_whitespace().any(is_reply_code);
    let coded = |line: &&str| status_code(line).is_some();
    let words = letter.lines().find(telling).or_else(|| letter.lines().find(coded)).unwrap_or(subject);
    let notice = Notice { status, words: one_line(words) };
    let news = if says(&DELAY_WORDS) { News::Delayed(notice) } else { News::Failed(notice) };
    Some((names, news))
}

/// The letter without the appended mail: that one is ours, and its words say nothing about its delivery.
fn letter(body: &str) -> String {
    let own = |line: &&str| {
        let line = line.trim_start_matches(['>', ' ', '-', '\t']).to_lowercase();
        let header = ["return-path:", "received:", "message-id:", "original message headers"];
        !header.iter().any(|name| line.starts_with(name))
            && !line.starts_with("below this line is a copy of the message")
            && !line.starts_with("this is a copy of")
    };
    body.lines().take_while(own).collect::<Vec<_>>().join("\n")
}

/// `550`, also `550-5.1.1`, `#550`, `(550)`: a negative answer of SMTP.
fn is_reply_code(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_digit());
    let head = word.split(['-', ':', '.']).next().unwrap_or(word);
    head.len() == 3 && head.starts_with(['4', '5']) && head.bytes().all(|b| b.is_ascii_digit())
}

/// The first `5.1.1` in a text.
fn status_code(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|word| word.trim_matches('.'));
    words
        .filter(|word| {
            let parts: Vec<&str> = word.split('.').collect();
            let digits = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts.iter().all(|part| digits(part))
        })
        .map(str::to_string)
        .next()
}
