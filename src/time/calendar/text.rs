//! Reads calendar texts. See `jurisdictions/calendars/README.md` for the format; every fault carries file and line.

use super::days::{Day, DaySet};
use super::{Calendar, CalendarData, Doubt, Holiday, Weekend, weekday};
use crate::time::{CivilDate, TimeError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// A block of lines about one calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub file: &'static str,
    /// Line number of `body`'s first line.
    pub line: usize,
    pub body: &'static str,
    /// Lines of the file before its first block: names used by every block, and the source.
    pub preamble: &'static str,
}

/// A calendar while its blocks are read, one after the other.
#[derive(Clone, Default)]
pub(super) struct Draft {
    years: Option<(i32, i32)>,
    known_until: Option<Day>,
    weekends: Vec<Weekend>,
    holidays: BTreeMap<Day, (&'static str, Doubt)>,
    make_up: BTreeSet<Day>,
    citations: Vec<&'static str>,
}

/// Keeps one copy of a text for the life of the process: names of holidays and zones are few and repeated.
pub(in crate::time) fn intern(text: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(known) = kept.get(text) {
        return known;
    }
    let leaked: &'static str = Box::leak(text.to_string().into_boxed_str());
    kept.insert(leaked);
    leaked
}

impl Draft {
    pub(super) fn read(&mut self, block: &Block) -> Result<(), TimeError> {
        let mut names: BTreeMap<&str, &'static str> = BTreeMap::new();
        for line in block.preamble.lines().chain(block.body.lines()) {
            if let Some(("name", rest)) = line.split_once(' ')
                && let Some((key, name)) = rest.split_once(' ')
            {
                names.insert(key, name);
            }
        }
        for line in block.preamble.lines() {
            if let Some(source) = line.strip_prefix("source ") {
                self.citations.push(source);
            }
        }
        // a block that states its weekend replaces the one it inherits
        let mut own_weekend = false;
        for (number, line) in block.body.lines().enumerate() {
            let fail = |text: String| TimeError::CalendarText {
                file: block.file.to_string(),
                line: block.line + number,
                text,
            };
            let line = line.trim_end();
            let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
            match head {
                "" | "#" | "name" | "based_on" => {}
                "cite" | "source" => self.citations.push(rest),
                "years" => {
                    let parsed = rest.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                    self.years =
                        Some(parsed.filter(|(a, b)| a <= b).ok_or_else(|| {
                            fail(format!("`{rest}` is not a span of years; write `years 1970-2045`"))
                        })?);
                }
                "known_until" => self.known_until = Some(read_date(rest).map_err(fail)?),
                "weekend" => {
                    if !own_weekend {
                        self.weekends.clear();
                        own_weekend = true;
                    }
                    self.weekends.push(read_weekend(rest).map_err(fail)?);
                }
                "fixed" => {
                    let mut words = rest.split(' ');
                    let entry = words.next().unwrap_or_default();
                    for span in words {
                        let (a, b) = span.split_once('-').unwrap_or((span, span));
                        let (Ok(a), Ok(b)) = (a.parse::<i32>(), b.parse::<i32>()) else {
                            return Err(fail(format!(
                                "`{span}` is not a year or a span of years; write `1990` or `1990-2045`"
                            )));
                        };
                        for year in a..=b {
                            self.entry(year, entry, &names).map_err(fail)?;
                        }
                    }
                }
                _ if head.len() == 4 && head.bytes().all(|b| b.is_ascii_digit()) => {
                    let year = head.parse().expect("four digits");
                    for entry in rest.split(' ').filter(|e| !e.is_empty()) {
                        self.entry(year, entry, &names).map_err(fail)?;
                    }
                }
                _ => {
                    return Err(fail(format!(
                        "`{head}` is not known here; a line starts with a year, `fixed`, `name`, `weekend`, `years`, `known_until`, `based_on`, `cite` or `#`"
                    )));
                }
            }
        }
        Ok(())
    }

    /// `0101a`: a holiday; `~` estimated, `?` optional; `-0101`: none after all; `+0101`: a make-up working day.
    fn entry(&mut self, year: i32, entry: &str, names: &BTreeMap<&str, &'static str>) -> Result<(), String> {
        let wrong = || {
            format!(
                "`{entry}` is not an entry; write month, day and name as `0101a`, or `-0101`, `+0101`, `~0101a`, `?0101a`"
            )
        };
        let (mark, rest) = match entry.as_bytes().first() {
            Some(mark @ (b'~' | b'?' | b'-' | b'+')) => (*mark, &entry[1..]),
            _ => (b' ', entry),
        };
        if rest.len() < 4 || !rest.is_char_boundary(4) {
            return Err(wrong());
        }
        let (month_day, key) = rest.split_at(4);
        let month_day: u32 = month_day.parse().map_err(|_| wrong())?;
        let Some(date) = CivilDate::from_ymd_opt(year, month_day / 100, month_day % 100) else {
            // 29 February in a span of years exists in leap years only
            return if month_day == 229 { Ok(()) } else { Err(format!("{year} has no day `{entry}`")) };
        };
        let day = date.to_epoch_days();
        if mark == b'-' {
            self.holidays.remove(&day);
            self.make_up.remove(&day);
            return Ok(());
        }
        if mark == b'+' {
            self.make_up.insert(day);
            return Ok(());
        }
        let name = *names.get(key).ok_or_else(|| format!("`{key}` has no name; add a line `name {key} …`"))?;
        let doubt = match mark {
            b'~' => Doubt::Estimated,
            b'?' => Doubt::Optional,
            _ => Doubt::None,
        };
        self.holidays.insert(day, (name, doubt));
        Ok(())
    }

    /// The finished calendar; `fallback` says where it was defined, for faults that have no line of their own.
    pub(super) fn finish(
        self,
        id: &'static str,
        name: &'static str,
        version: Arc<str>,
        fallback: &Block,
    ) -> Result<Calendar, TimeError> {
        let missing = |what: &str| TimeError::CalendarText {
            file: fallback.file.to_string(),
            line: fallback.line,
            text: format!("calendar `{id}` has no `{what}` line"),
        };
        let (first_year, last_year) = self.years.ok_or_else(|| missing("years"))?;
        let day = |year, month, day| CivilDate::from_ymd_opt(year, month, day).map(|d| d.to_epoch_days());
        let first = day(first_year, 1, 1).ok_or_else(|| missing("years"))?;
        let last = day(last_year, 12, 31).ok_or_else(|| missing("years"))?;
        if last - first > 200_000 {
            return Err(missing("years (at most 500 of them)"));
        }
        let mut weekends = self.weekends;
        if weekends.is_empty() {
            return Err(missing("weekend"));
        }
        weekends.sort_by_key(|w| w.from);
        let mut names: Vec<&'static str> = Vec::new();
        let mut index = BTreeMap::new();
        let mut holidays = Vec::with_capacity(self.holidays.len());
        for (day, (name, doubt)) in self.holidays.into_iter().filter(|(day, _)| (first..=last).contains(day)) {
            let name = *index.entry(name).or_insert_with(|| {
                names.push(name);
                (names.len() - 1) as u16
            });
            holidays.push(Holiday { day, name, doubt });
        }
        if names.len() > usize::from(u16::MAX) {
            return Err(missing("name (at most 65535 of them)"));
        }
        let make_up: Vec<Day> = self.make_up.into_iter().collect();
        let working = |firm: bool| {
            let mut at = 0;
            let works = |day| {
                while weekends.get(at + 1).is_some_and(|next| next.from <= day) {
                    at += 1;
                }
                let mask = if firm { weekends[at].firm } else { weekends[at].legal };
                weekends[at].from > day || mask >> weekday(day) & 1 == 0
            };
            let out = holidays.iter().filter(|h| !firm || h.doubt == Doubt::None).map(|h| h.day);
            DaySet::build(first, last, works, out, make_up.iter().copied())
        };
        let (legal, firm) = (working(false), working(true));
        let estimated = holidays.iter().filter(|h| h.doubt == Doubt::Estimated).map(|h| h.day).collect();
        let data = CalendarData {
            id,
            name,
            version,
            citations: self.citations,
            first,
            last,
            known_until: self.known_until.unwrap_or(last).min(last),
            names,
            holidays,
            make_up,
            weekends,
            legal,
            firm,
            estimated,
        };
        Ok(Calendar(Arc::new(data)))
    }
}

fn read_date(text: &str) -> Result<Day, String> {
    text.parse::<CivilDate>()
        .map(|d| d.to_epoch_days())
        .map_err(|_| format!("`{text}` is not a date; write `2026-12-31`"))
}

/// `fri sat`, `sat? sun`, `none`, each with an optional `from 2022-01-01`.
fn read_weekend(text: &str) -> Result<Weekend, String> {
    let (days, from) = match text.split_once(" from ") {
        Some((days, from)) => (days, read_date(from)?),
        None => (text, Day::MIN / 2),
    };
    let mut weekend = Weekend { from, legal: 0, firm: 0 };
    for word in days.split(' ').filter(|&w| w != "none") {
        let (name, firm) = word.strip_suffix('?').map_or((word, true), |name| (name, false));
        let at =
            ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|&d| d == name).ok_or_else(|| {
                format!("`{word}` is not a day of the week; write `sat sun`, `fri sat from 2013-06-29` or `none`")
            })?;
        weekend.legal |= 1 << at;
        if firm {
            weekend.firm |= 1 << at;
        }
    }
    Ok(weekend)
}
