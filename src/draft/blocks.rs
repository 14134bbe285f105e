//! A draft as blocks in reading order, which text, page and DOCX draw alike; and the text.
//!
//! Absent: escaping, which is each renderer's.

use super::forms::{Form, Forms, Kind};
use super::notice::{Notice, NoticeField, Part, State};
use super::words::Words;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// What every reader must see first: it is a draft, of when.
    Mark(String),
    Title(String),
    /// Name and value of the head.
    About(String, String),
    Heading(String),
    /// A sentence of the frame, or of a letter.
    Paragraph(Vec<Run>),
    /// A field: what it asks, its answer, and where the answer is from.
    Field {
        head: String,
        question: String,
        answer: Vec<Vec<Run>>,
        notes: Vec<String>,
    },
    /// Begins what is for whoever completes the draft, and no part of the notice.
    Aside(String),
    Note(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    Text(String),
    /// What is missing.
    Gap(String),
}

/// The whole draft.
pub fn blocks(forms: &Forms, form: &Form, notice: &Notice) -> Vec<Block> {
    let words = forms.words(form);
    let mut list = vec![Block::Mark(words.draft.with(&notice.made_at)), Block::Title(notice.title.clone())];
    match notice.form.kind {
        Kind::Form => {
            list.push(Block::About(words.to.clone(), notice.to.clone()));
            list.push(Block::About(words.by.clone(), notice.by.clone()));
            list.push(Block::About(words.under.clone(), notice.law.clone()));
            if let Some(follows) = &notice.follows {
                let reference = follows.reference.as_ref().map(|r| format!(", {r}")).unwrap_or_default();
                let said = format!("{}, {}{reference}", follows.title, follows.at);
                list.push(Block::About(words.compared.clone(), said));
            }
        }
        Kind::Prose => list.push(Block::About(words.by.clone(), notice.by.clone())),
    }
    for (at, section) in notice.sections.iter().enumerate() {
        let fields: Vec<&NoticeField> = notice.fields.iter().filter(|field| field.section == at).collect();
        if fields.is_empty() && section.text.is_empty() {
            continue;
        }
        if !section.title.is_empty() {
            list.push(Block::Heading(section.title.clone()));
        }
        if !section.text.is_empty() {
            list.push(Block::Paragraph(vec![Run::Text(section.text.clone())]));
        }
        for field in fields {
            list.push(match notice.form.kind {
                Kind::Form => asked(field, words, notice.follows.is_some()),
                Kind::Prose => Block::Paragraph(said(field, words)),
            });
        }
    }
    aside(&mut list, notice, words);
    list
}

/// A field of a form.
fn asked(field: &NoticeField, words: &Words, follows: bool) -> Block {
    let head = match field.number.is_empty() {
        true => field.label.clone(),
        false => format!("{} {}", field.number, field.label),
    };
    let mut answer: Vec<Vec<Run>> = field.parts.iter().map(answered).collect();
    if answer.is_empty() {
        answer.push(vec![Run::Gap(words.to_write.clone())]);
    }
    let mut notes = Vec::new();
    match (field.state, &field.previous) {
        (_, Some(before)) => notes.push(words.was.with(before)),
        (State::Unchanged, None) => notes.push(words.unchanged.clone()),
        (State::Filled, None) if follows => notes.push(words.new.clone()),
        _ => {}
    }
    if field.state == State::MayFollow {
        notes.push(words.may_follow.clone());
    }
    if let (Some(more), Some(most)) = (field.too_long_by, field.max_length) {
        notes.push(format!("{} ({most} + {more})", words.too_long));
    }
    if !field.from.is_empty() {
        notes.push(format!("{}: {}", words.sources, field.from.join(", ")));
    }
    Block::Field { head, question: field.question.clone(), answer, notes }
}

fn answered(part: &Part) -> Vec<Run> {
    match (&part.value, &part.gap) {
        (Some(value), _) if part.label.is_empty() => vec![Run::Text(value.clone())],
        (Some(value), _) => vec![Run::Text(format!("{}: {value}", part.label))],
        (None, gap) => vec![Run::Gap(gap.clone().unwrap_or_default())],
    }
}

/// A sentence of a letter: its value, and a gap for each part that is not known.
fn said(field: &NoticeField, words: &Words) -> Vec<Run> {
    let (before, after) = field.around.clone().unwrap_or_else(|| {
        // an item without a sentence of its own: what it asks for leads
        (format!("{}: ", capital(&field.label)), String::new())
    });
    let mut runs = vec![Run::Text(before)];
    if field.parts.is_empty() {
        runs.push(Run::Gap(words.to_write.clone()));
    }
    for (at, part) in field.parts.iter().enumerate() {
        if at > 0 {
            runs.push(Run::Text("; ".to_string()));
        }
        runs.extend(answered(part));
    }
    // a value that ends its own sentence needs no second full stop
    let ended = matches!(runs.last(), Some(Run::Text(text)) if text.ends_with(['.', '!', '?']));
    let after = if ended { after.strip_prefix('.').unwrap_or(&after).to_string() } else { after };
    runs.push(Run::Text(after));
    runs.retain(|run| !matches!(run, Run::Text(text) if text.is_empty()));
    runs
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// For whoever completes it: remarks, gaps of a letter with their sources, the source of the form.
fn aside(list: &mut Vec<Block>, notice: &Notice, words: &Words) {
    let mut notes: Vec<String> = notice.remarks.clone();
    if !notice.form.note.is_empty() {
        notes.push(notice.form.note.clone());
    }
    if notice.form.kind == Kind::Prose {
        for field in &notice.fields {
            let from = if field.from.is_empty() { words.to_write.clone() } else { field.from.join(", ") };
            notes.push(format!("{}: {from}", field.label));
        }
    }
    if !notice.form.source.is_empty() {
        let checked = notice.form.checked.as_ref().unwrap_or(&words.not_compared);
        notes.push(format!("{} ({}; {checked})", notice.form.source, notice.form.source_url));
    }
    if !notes.is_empty() {
        list.push(Block::Aside(words.aside.clone()));
        list.extend(notes.into_iter().map(Block::Note));
    }
}

/// The draft as plain text; gaps stand in double brackets.
pub fn text(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        match block {
            Block::Mark(mark) => text.push_str(&format!("*** {mark} ***\n\n")),
            Block::Title(title) => text.push_str(&format!("{title}\n{}\n\n", "=".repeat(title.chars().count()))),
            Block::About(name, value) => text.push_str(&format!("{name}: {}\n", indented(value, "  "))),
            Block::Heading(heading) => {
                text.push_str(&format!("\n{heading}\n{}\n\n", "-".repeat(heading.chars().count())));
            }
            Block::Paragraph(runs) => text.push_str(&format!("{}\n\n", line(runs))),
            Block::Field { head, question, answer, notes } => {
                text.push_str(&format!("{head}\n"));
                if !question.is_empty() {
                    text.push_str(&format!("    ({question})\n"));
                }
                for runs in answer {
                    text.push_str(&format!("  {}\n", indented(&line(runs), "  ")));
                }
                for note in notes {
                    text.push_str(&format!("    - {}\n", indented(note, "      ")));
                }
                text.push('\n');
            }
            Block::Aside(head) => text.push_str(&format!("\n{}\n{head}\n\n", "~".repeat(60))),
            Block::Note(note) => text.push_str(&format!("- {}\n", indented(note, "  "))),
        }
    }
    text
}

fn line(runs: &[Run]) -> String {
    runs.iter()
        .map(|run| match run {
            Run::Text(text) => text.clone(),
            Run::Gap(gap) => format!("[[{gap}]]"),
        })
        .collect()
}

fn indented(text: &str, by: &str) -> String {
    text.replace('\n', &format!("\n{by}"))
}
