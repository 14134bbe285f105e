//! The first line of a reply: does it take, decline, or only say something?
//!
//! Taking silences reminders, so whatever is not plain counts as saying something.

use super::Answer;

const TAKE: [&str; 8] = ["acknowledged", "ack", "okay", "ok", "got it", "i have it", "i've got it", "i have got it"];
const DECLINE: [&str; 8] = ["declined", "decline", "no", "cannot", "can not", "can't", "i cannot", "i can't"];
/// In a line that begins as if to take, these turn it round, or might.
const DOUBT: [&str; 9] = ["not", "no", "cannot", "can't", "won't", "don't", "but", "unable", "unless"];
/// `ack for 2 hours`: longer numbers are no time a person means.
const MOST_DIGITS: usize = 4;

/// The first line that the author wrote: not empty, not quoted, not the sentence that introduces a quotation.
pub(super) fn first_line(body: &str) -> String {
    let lines: Vec<&str> =
        body.lines().map(|line| line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')).collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if line.is_empty() || line.starts_with('>') {
            at += 1;
        } else if let Some(after) = introduction(&lines[at..]) {
            at += after;
        } else {
            return line.to_string();
        }
    }
    String::new()
}

/// `On Saturday … wrote:` in any language: up to three lines that end in a colon, then a quotation. Answers their number.
fn introduction(lines: &[&str]) -> Option<usize> {
    if read(lines[0]) != Answer::Other {
        return None;
    }
    let length = lines.iter().take(3).take_while(|line| !line.is_empty()).position(|line| line.ends_with(':'))? + 1;
    let next = lines[length..].iter().find(|line| !line.is_empty())?;
    next.starts_with('>').then_some(length)
}

pub(super) fn read(line: &str) -> Answer {
    let line = line.to_lowercase().replace(['\u{2019}', '\u{2018}'], "'");
    let line = line.trim_start_matches(|c: char| !c.is_alphanumeric());
    if line.trim_end().ends_with('?') {
        return Answer::Other;
    }
    if after_phrase(line, &DECLINE).is_some() {
        return Answer::Decline;
    }
    let Some(rest) = after_phrase(line, &TAKE) else { return Answer::Other };
    let mut words = rest.split(|c: char| !c.is_alphanumeric() && c != '\'');
    if words.any(|word| DOUBT.contains(&word)) {
        return Answer::Other;
    }
    Answer::Take { lease_seconds: duration(rest) }
}

/// What follows the first phrase that the line begins with, as whole words.
fn after_phrase<'l>(line: &'l str, phrases: &[&str]) -> Option<&'l str> {
    phrases.iter().find_map(|phrase| {
        let rest = line.strip_prefix(phrase)?;
        let whole = rest.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '\'' && c != '-');
        whole.then_some(rest)
    })
}

/// The first time in the words: `2h`, `30 min`, `for 2 hours`. In seconds.
fn duration(words: &str) -> Option<i64> {
    let start = words.find(|c: char| c.is_ascii_digit())?;
    let digits: String = words[start..].chars().take_while(char::is_ascii_digit).collect();
    let unit: String = words[start + digits.len()..].trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    if digits.len() > MOST_DIGITS {
        return None;
    }
    let seconds = match unit.as_str() {
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    let count: i64 = digits.parse().ok()?;
    (count > 0).then_some(count * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let take = |seconds| Answer::Take { lease_seconds: seconds };
        let cases = [
            ("ack", take(None)),
            ("ACK 2h", take(Some(7200))),
            ("ack for 2 hours please", take(Some(7200))),
            ("*Got it*, 30 min.", take(Some(1800))),
            ("I have it", take(None)),
            ("I’ve got it - 1 day", take(Some(86_400))),
            ("ok", take(None)),
            ("Ok, on my way", take(None)),
            ("ack until 18:00", take(None)),
            ("ack 99999h", take(None)),
            ("ack 0h", take(None)),
            ("no", Answer::Decline),
            ("No, I am on a plane", Answer::Decline),
            ("cannot today", Answer::Decline),
            ("I can’t", Answer::Decline),
            ("decline", Answer::Decline),
            ("ok?", Answer::Other),
            ("ok but I cannot take it", Answer::Other),
            ("Got it, but not me", Answer::Other),
            ("ackward", Answer::Other),
            ("okra", Answer::Other),
            ("ok-ish", Answer::Other),
            ("not me", Answer::Other),
            ("nobody told me", Answer::Other),
            ("no-one is here", Answer::Other),
            ("who has it?", Answer::Other),
            ("please ack", Answer::Other),
            ("", Answer::Other),
            ("…", Answer::Other),
        ];
        for (line, wanted) in cases {
            assert_eq!(read(line), wanted, "{line}");
        }
    }

    #[test]
    fn first_lines() {
        let cases = [
            ("\n\n  ack 2h \n> old", "ack 2h"),
            ("> old\n> older\n\nack", "ack"),
            ("On Sat, 28 Mar 2026, Breach desk\n<breach@x.example> wrote:\n\n> limit\n> ok\n\nack", "ack"),
            ("Am 28.03.26 schrieb Breach desk:\n> limit\nno", "no"),
            ("ack:\n> limit", "ack:"),
            ("Three things:\none", "Three things:"),
            ("> only quoted", ""),
            ("", ""),
        ];
        for (body, wanted) in cases {
            assert_eq!(first_line(body), wanted, "{body:?}");
        }
    }
}
