//! The calendars built into the binary, with an operator's own on top. A calendar is decoded when it is first asked for.

use super::Calendar;
use super::text::{Block, Draft, intern};
use crate::time::{TimeError, nearest};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// One generated text: the country files and the statutory overlays of `jurisdictions/calendars`, one after the other.
/// `scripts/gen_calendars.py` writes it; a test proves that it says what the files say.
static BUILT_IN: &str = include_str!("../../../jurisdictions/calendars/all.pack");

/// A file separator in the built-in text, followed by the file's name.
const FILE_MARK: &str = "==> ";

/// A text of an operator's own holidays: new calendars or amendments of known ones.
#[derive(Clone, Debug)]
pub struct CalendarText {
    /// For error messages.
    pub file: String,
    pub text: String,
}

/// All calendars by id. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Calendars(Arc<Index>);

#[derive(Debug, Default)]
struct Index {
    entries: BTreeMap<&'static str, Entry>,
    version: Arc<str>,
}

#[derive(Debug)]
struct Entry {
    name: &'static str,
    based_on: Option<&'static str>,
    /// The defining block, then amendments.
    blocks: Vec<Block>,
    built: OnceLock<Result<Calendar, TimeError>>,
}

/// No calendar is built on a chain longer than this.
const MAX_DEPTH: usize = 8;

impl Calendars {
    /// The calendars in the binary.
    pub fn builtin() -> &'static Calendars {
        static CALENDARS: OnceLock<Calendars> = OnceLock::new();
        CALENDARS.get_or_init(|| {
            let mut index = Index::default();
            index.read_pack(BUILT_IN).expect("the built-in calendars are well-formed: a test reads them all");
            Calendars(Arc::new(index))
        })
    }

    /// The built-in calendars, with texts that add to them or amend them. Everything in the texts is read at once, so that a fault
    /// shows here, with file and line, and not on the day of an incident.
    pub fn with_overlay(texts: &[CalendarText]) -> Result<Calendars, TimeError> {
        let mut index = Index::default();
        index.read_pack(BUILT_IN)?;
        let mut touched = Vec::new();
        for text in texts {
            touched.extend(index.read_file(intern(&text.file), intern(&text.text))?);
        }
        if !texts.is_empty() {
            let files: Vec<&str> = texts.iter().map(|t| t.file.as_str()).collect();
            index.version = format!("{} with {}", index.version, files.join(", ")).into();
        }
        let calendars = Calendars(Arc::new(index));
        for id in touched {
            calendars.get(id)?;
        }
        Ok(calendars)
    }

    /// The calendar with this id. The error names the nearest ids.
    pub fn get(&self, id: &str) -> Result<&Calendar, TimeError> {
        let (id, entry) = self.0.entries.get_key_value(id).ok_or_else(|| self.unknown(id))?;
        entry
            .built
            .get_or_init(|| {
                let draft = self.0.draft(id, 0)?;
                draft.finish(id, entry.name, self.0.version.clone(), &entry.blocks[0])
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Is there a calendar with this id? Cheaper than [`Calendars::get`]: nothing is decoded. The error names the nearest ids.
    pub fn check(&self, id: &str) -> Result<(), TimeError> {
        if self.0.entries.contains_key(id) { Ok(()) } else { Err(self.unknown(id)) }
    }

    fn unknown(&self, id: &str) -> TimeError {
        TimeError::UnknownCalendar { id: id.to_string(), near: nearest(id, self.ids()) }
    }

    /// Every id, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.entries.keys().copied()
    }

    /// Version of the data.
    pub fn version(&self) -> &str {
        &self.0.version
    }
}

impl Index {
    fn draft(&self, id: &str, depth: usize) -> Result<Draft, TimeError> {
        let entry = self.entries.get(id).ok_or_else(|| TimeError::UnknownCalendar {
            id: id.to_string(),
            near: nearest(id, self.entries.keys().copied()),
        })?;
        let mut draft = match entry.based_on {
            None => Draft::default(),
            Some(base) if depth < MAX_DEPTH => self.draft(base, depth + 1)?,
            Some(base) => {
                return Err(TimeError::CalendarText {
                    file: entry.blocks[0].file.to_string(),
                    line: entry.blocks[0].line,
                    text: format!("`{id}` is based on `{base}`, which is based on it in turn"),
                });
            }
        };
        for block in &entry.blocks {
            draft.read(block)?;
        }
        Ok(draft)
    }

    fn read_pack(&mut self, pack: &'static str) -> Result<(), TimeError> {
        let mut rest = pack;
        if let Some((head, tail)) = pack.split_once('\n')
            && let Some(version) = head.strip_prefix("version ")
        {
            self.version = version.into();
            rest = tail;
        }
        for part in rest.split(FILE_MARK).skip(1) {
            let (file, text) = part.split_once('\n').unwrap_or((part, ""));
            self.read_file(file, text)?;
        }
        Ok(())
    }

    /// Splits a file into blocks; returns the ids it speaks of. The lines of a block are read when its calendar is asked for.
    fn read_file(&mut self, file: &'static str, text: &'static str) -> Result<Vec<&'static str>, TimeError> {
        let mut touched = Vec::new();
        let mut country = "";
        let mut preamble_end = text.len();
        // where the header line starts, where the body starts, the body's first line
        let mut starts: Vec<(usize, usize, usize, Header)> = Vec::new();
        let mut at = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if let Some(header) = header(line.trim_end(), country) {
                let header = header.map_err(|text| TimeError::CalendarText {
                    file: file.to_string(),
                    line: number + 1,
                    text,
                })?;
                if !header.amends && header.based_on.is_none() {
                    country = header.id;
                }
                preamble_end = preamble_end.min(at);
                starts.push((at, at + line.len(), number + 2, header));
            }
            at += line.len();
        }
        let preamble = &text[..preamble_end];
        for k in 0..starts.len() {
            let (_, from, line, header) = starts[k];
            let until = starts.get(k + 1).map_or(text.len(), |next| next.0);
            let block = Block { file, line, body: &text[from..until], preamble };
            let based_on = header
                .based_on
                .or_else(|| block.body.lines().find_map(|l| l.strip_prefix("based_on ")).map(str::trim_end));
            touched.push(header.id);
            match self.entries.get_mut(header.id) {
                Some(entry) if header.amends => entry.blocks.push(block),
                Some(_) => {
                    return Err(TimeError::CalendarText {
                        file: file.to_string(),
                        line: line - 1,
                        text: format!("`{0}` is defined already; to correct it write `amend {0}`", header.id),
                    });
                }
                None if header.amends => {
                    let near = nearest(header.id, self.entries.keys().copied());
                    return Err(TimeError::CalendarText {
                        file: file.to_string(),
                        line: line - 1,
                        text: TimeError::UnknownCalendar { id: header.id.to_string(), near }.to_string(),
                    });
                }
                None => {
                    let entry = Entry { name: header.name, based_on, blocks: vec![block], built: OnceLock::new() };
                    self.entries.insert(header.id, entry);
                }
            }
        }
        Ok(touched)
    }
}

#[derive(Clone, Copy)]
struct Header {
    id: &'static str,
    name: &'static str,
    based_on: Option<&'static str>,
    amends: bool,
}

/// `calendar XX Name`, `[YY] Name` for a part of the calendar before it, or `amend XX`.
fn header(line: &'static str, country: &'static str) -> Option<Result<Header, String>> {
    if let Some(rest) = line.strip_prefix("calendar ") {
        let (id, name) = rest.split_once(' ').unwrap_or((rest, rest));
        return Some(Ok(Header { id, name, based_on: None, amends: false }));
    }
    if let Some(id) = line.strip_prefix("amend ") {
        return Some(Ok(Header { id: id.trim(), name: "", based_on: None, amends: true }));
    }
    let rest = line.strip_prefix('[')?;
    let Some((part, name)) = rest.split_once(']') else {
        return Some(Err(format!("`{line}` lacks `]`; write `[YY] Name`")));
    };
    if country.is_empty() {
        return Some(Err(format!("`[{part}]` stands before any `calendar` line")));
    }
    let id = intern(&format!("{country}-{part}"));
    Some(Ok(Header { id, name: name.trim(), based_on: Some(country), amends: false }))
}
