//! Content lines: unfolded, split into name, parameters and value.

use super::CalendarFault;

pub(super) struct Line {
    /// Of its first physical line, 1-based.
    pub number: usize,
    /// In upper case, without a group.
    pub name: String,
    parameters: Vec<(String, String)>,
    pub value: String,
}

impl Line {
    /// A parameter by its name in upper case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn fault(&self, text: String) -> CalendarFault {
        CalendarFault { line: self.number, text }
    }
}

/// Every content line; empty ones are dropped.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Line, CalendarFault>> {
    let mut unfolded: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        match (line.strip_prefix([' ', '\t']), unfolded.last_mut()) {
            (Some(rest), Some((_, whole))) => whole.push_str(rest),
            _ => unfolded.push((at + 1, line.to_string())),
        }
    }
    unfolded.into_iter().filter(|(_, line)| !line.trim().is_empty()).map(|(number, line)| split(number, &line))
}

fn split(number: usize, line: &str) -> Result<Line, CalendarFault> {
    let fault = || CalendarFault { line: number, text: format!("`{}` is no line of a calendar", short(line)) };
    // colons and semicolons inside quotation marks separate nothing
    let mut quoted = false;
    let mut cuts = Vec::new();
    let mut colon = None;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => cuts.push(at),
            ':' if !quoted => {
                colon = Some(at);
                break;
            }
            _ => {}
        }
    }
    let colon = colon.ok_or_else(fault)?;
    let mut pieces = Vec::new();
    let mut from = 0;
    for cut in cuts.into_iter().chain([colon]) {
        pieces.push(&line[from..cut]);
        from = cut + 1;
    }
    let name = pieces[0].rsplit('.').next().unwrap_or(pieces[0]).to_ascii_uppercase();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(fault());
    }
    let mut parameters = Vec::new();
    for piece in &pieces[1..] {
        let (name, value) = piece.split_once('=').ok_or_else(fault)?;
        parameters.push((name.to_ascii_uppercase(), value.trim_matches('"').to_string()));
    }
    Ok(Line { number, name, parameters, value: line[colon + 1..].to_string() })
}

fn short(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(40).collect()
}
