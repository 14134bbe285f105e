//! A place in a document: what stands there, and the pointer that says where.

use super::{REFERENCE_CHARS, Scribe, TITLE_CHARS, line};
use crate::ingest::facts::instant;
use crate::ingest::node::{Kind, Node};
use crate::ingest::{Pointer, Rejection};
use crate::time::Timestamp;
use chrono::DateTime;

#[derive(Clone)]
pub(super) struct Place<'a> {
    pub node: &'a Node,
    pub pointer: Pointer,
}

impl<'a> Place<'a> {
    /// What stands at `path`, such as `data/incident/id`. Null and absent are the same: unknown.
    pub fn at(&self, path: &str) -> Option<Place<'a>> {
        path.split('/').try_fold(self.clone(), |place, step| place.step(step))
    }

    /// What an RFC 6901 pointer names, from here.
    pub fn pointed(&self, pointer: &str) -> Option<Place<'a>> {
        let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        steps.into_iter().try_fold(self.clone(), |place, step| place.step(&step))
    }

    fn step(&self, step: &str) -> Option<Place<'a>> {
        let node = match &self.node.kind {
            Kind::Table(_) => self.node.member(step)?,
            Kind::List(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
        (node.kind != Kind::Null).then(|| Place { node, pointer: self.pointer.child(step) })
    }

    /// The items of the list: of this one, of the first member named that is one, or this alone.
    pub fn items(&self, names: &[&str]) -> Vec<Place<'a>> {
        match &self.node.kind {
            Kind::List(_) => self.list(),
            _ => {
                let list = names.iter().find_map(|name| self.at(name));
                let list = list.filter(|list| matches!(list.node.kind, Kind::List(_)));
                list.map_or_else(|| vec![self.clone()], |list| list.list())
            }
        }
    }

    pub fn list(&self) -> Vec<Place<'a>> {
        let Kind::List(items) = &self.node.kind else { return Vec::new() };
        let place = |(at, node)| Place { node, pointer: self.pointer.child(&usize::to_string(&at)) };
        items.iter().enumerate().map(place).collect()
    }

    pub fn fault(&self, text: String) -> Rejection {
        Rejection::at(&self.pointer, self.node, text)
    }

    /// A text; anything else that stands there is a fault.
    pub fn text(&self, path: &str, scribe: &mut Scribe<'_>) -> Option<&'a str> {
        let place = self.at(path)?;
        let text = place.node.text();
        if text.is_none() {
            scribe.faults.push(place.fault(format!("`{path}` is {}; it is a text", place.node.what())));
        }
        text
    }

    /// A text or number that names the case; anything else is a fault.
    pub fn name(&self, scribe: &mut Scribe<'_>) -> Option<String> {
        let name = self.word().and_then(|word| line(&word, REFERENCE_CHARS + 1));
        let name = name.filter(|name| name.chars().count() <= REFERENCE_CHARS);
        if name.is_none() {
            let what = self.node.what();
            let text =
                format!("it is {what}; it names the case: a number, or a text of 1 to {REFERENCE_CHARS} characters");
            scribe.faults.push(self.fault(text));
        }
        name
    }

    /// A text or a whole number, as text.
    pub fn word(&self) -> Option<String> {
        match &self.node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Integer(n) => Some(n.to_string()),
            _ => None,
        }
    }

    /// One line to stand as a title; `None` when the text is empty.
    pub fn title(&self, path: &str, scribe: &mut Scribe<'_>) -> Option<String> {
        self.text(path, scribe).and_then(|text| line(text, TITLE_CHARS))
    }

    /// A whole number; anything else that stands there is a fault.
    pub fn whole(&self, path: &str, scribe: &mut Scribe<'_>) -> Option<i128> {
        let place = self.at(path)?;
        match place.node.kind {
            Kind::Integer(n) => Some(n),
            _ => {
                scribe.faults.push(place.fault(format!("`{path}` is {}; it is a whole number", place.node.what())));
                None
            }
        }
    }

    pub fn flag(&self, path: &str, scribe: &mut Scribe<'_>) -> Option<bool> {
        let place = self.at(path)?;
        match place.node.kind {
            Kind::Bool(yes) => Some(yes),
            _ => {
                scribe.faults.push(place.fault(format!("`{path}` is {}; it is true or false", place.node.what())));
                None
            }
        }
    }

    /// Texts of this list.
    pub fn words_here(&self) -> Vec<String> {
        self.list().iter().filter_map(Place::word).collect()
    }

    /// Texts of a list; one that is no text is left out: labels decide nothing by their absence.
    pub fn words(&self, path: &str) -> Vec<String> {
        self.at(path).map(|place| place.words_here()).unwrap_or_default()
    }

    /// An instant: RFC 3339, `+0000` without colon, or milliseconds since 1970. Without offset only when `utc` says so.
    /// What cannot be read is left out and said.
    pub fn instant(&self, path: &str, utc: bool, scribe: &mut Scribe<'_>) -> Option<(Timestamp, Pointer)> {
        let place = self.at(path)?;
        match place.read_instant(utc) {
            Ok(at) => Some((at, place.pointer)),
            Err(text) => {
                scribe.left_out.push(place.fault(text));
                None
            }
        }
    }

    pub fn read_instant(&self, utc: bool) -> Result<Timestamp, String> {
        match &self.node.kind {
            Kind::Integer(n) => epoch(*n).ok_or_else(|| format!("`{n}` is no instant; give milliseconds since 1970")),
            Kind::Text(text) => {
                let zone = utc.then_some(crate::time::Zone::UTC);
                let colonless = || DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").map(|at| at.to_utc());
                colonless().or_else(|_| instant(text, zone))
            }
            _ => Err(format!("it is {}; give an instant", self.node.what())),
        }
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size: between 1973 and 2286 no
/// number has two readings.
fn epoch(n: i128) -> Option<Timestamp> {
    let n = i64::try_from(n).ok()?;
    match n {
        100_000_000..=9_999_999_999 => DateTime::from_timestamp(n, 0),
        100_000_000_000..=9_999_999_999_999 => DateTime::from_timestamp_millis(n),
        100_000_000_000_000..=9_999_999_999_999_999 => DateTime::from_timestamp_micros(n),
        100_000_000_000_000_000..=9_223_372_036_854_775_807 => Some(DateTime::from_timestamp_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json;

    #[test]
    fn instants_as_tools_write_them() {
        let cases = [
            ("1774624800000", "2026-03-27T15:20:00Z"),
            ("1774624800", "2026-03-27T15:20:00Z"),
            ("1774624800000000", "2026-03-27T15:20:00Z"),
            ("\"2026-03-27T16:20:00.000+0100\"", "2026-03-27T15:20:00Z"),
            ("\"2026-03-27T16:20:00+01:00\"", "2026-03-27T15:20:00Z"),
        ];
        for (written, wanted) in cases {
            let node = json(written).expect("JSON");
            let place = Place { node: &node, pointer: Pointer::root() };
            assert_eq!(place.read_instant(false), instant(wanted, None), "{written}");
        }
        for written in ["17", "-1774624800000", "\"2026-03-27T16:20:00\"", "\"yesterday\"", "true", "1e400", "[]"] {
            let Ok(node) = json(written) else { continue };
            assert!(Place { node: &node, pointer: Pointer::root() }.read_instant(false).is_err(), "{written}");
        }
        let node = json("\"2026-03-27T16:20:00\"").expect("JSON");
        let naive = Place { node: &node, pointer: Pointer::root() }.read_instant(true);
        assert_eq!(naive, instant("2026-03-27T16:20:00Z", None));
    }

    #[test]
    fn pointers_reach_names_with_slashes() {
        let node = json(r#"{"a/b": {"c~d": [1, {"x": "y"}]}}"#).expect("JSON");
        let place = Place { node: &node, pointer: Pointer::root() };
        let found = place.pointed("/a~1b/c~0d/1/x").expect("found");
        assert_eq!((found.node.text(), found.pointer.0.as_str()), (Some("y"), "/a~1b/c~0d/1/x"));
        assert!(place.pointed("/a~1b/c~0d/2").is_none() && place.pointed("/a~1b/c~0d/-").is_none());
    }
}
