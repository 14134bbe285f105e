//! A parsed document that remembers where things stood, from JSON or TOML.

use serde::de::{self, Deserialize, MapAccess, SeqAccess, Visitor};
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Null,
    Bool(bool),
    Integer(i128),
    /// A number that is not whole; no fact takes one.
    Fraction(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: Kind,
    /// 1-based line, where the format tells.
    pub line: Option<usize>,
}

impl Node {
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Integer(_) => "a number",
            Kind::Fraction(_) => "a fraction",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    pub fn members(&self) -> &[(String, Node)] {
        match &self.kind {
            Kind::Table(members) => members,
            _ => &[],
        }
    }

    pub fn member(&self, key: &str) -> Option<&Node> {
        self.members().iter().find(|(k, _)| k == key).map(|(_, node)| node)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Why a document could not be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub line: usize,
    pub text: String,
}

/// Reads JSON when the first character says so, else TOML.
pub fn parse(text: &str) -> Result<(Node, Format), SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().chars().next() {
        // a TOML document may start with `[table]`, a JSON report never with a list
        Some('{') => json(text).map(|node| (node, Format::Json)),
        _ => toml(text).map(|node| (node, Format::Toml)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Toml,
}

pub fn json(text: &str) -> Result<Node, SyntaxError> {
    serde_json::from_str(text).map_err(|error| {
        let words = error.to_string();
        let text = words.split(" at line ").next().unwrap_or(&words).to_string();
        SyntaxError { line: error.line(), text }
    })
}

pub fn toml(text: &str) -> Result<Node, SyntaxError> {
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let table = toml::de::DeTable::parse(text).map_err(|error| SyntaxError {
        line: error.span().map_or(0, |span| line_of(span.start)),
        text: error.message().to_string(),
    })?;
    Ok(from_toml(&toml::de::DeValue::Table(table.into_inner()), 0, &line_of))
}

fn from_toml(value: &toml::de::DeValue<'_>, at: usize, line_of: &dyn Fn(usize) -> usize) -> Node {
    use toml::de::DeValue;
    let kind = match value {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Boolean(yes) => Kind::Bool(*yes),
        DeValue::Integer(n) => match i128::from_str_radix(&n.as_str().replace('_', ""), n.radix()) {
            Ok(n) => Kind::Integer(n),
            Err(_) => Kind::Text(n.as_str().to_string()),
        },
        DeValue::Float(f) => Kind::Fraction(f.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Datetime(at) => Kind::Text(at.to_string()),
        DeValue::Array(items) => {
            Kind::List(items.iter().map(|i| from_toml(i.get_ref(), i.span().start, line_of)).collect())
        }
        DeValue::Table(table) => Kind::Table(
            table
                .iter()
                .map(|(k, v)| (k.get_ref().to_string(), from_toml(v.get_ref(), k.span().start, line_of)))
                .collect(),
        ),
    };
    Node { kind, line: Some(line_of(at)) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Kind;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind::Null)
            }
            fn visit_bool<E>(self, yes: bool) -> Result<Kind, E> {
                Ok(Kind::Bool(yes))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Kind, E> {
                Ok(Kind::Integer(n.into()))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Kind, E> {
                Ok(Kind::Integer(n.into()))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Kind, E> {
                Ok(Kind::Fraction(n))
            }
            fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
                Ok(Kind::Text(text.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Kind::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
                let mut members: Vec<(String, Node)> = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    // the last of two equal keys would silently win: which one did the sender mean?
                    if members.iter().any(|(k, _)| *k == key) {
                        return Err(de::Error::custom(format!("`{key}` is given twice; keep one")));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Kind::Table(members))
            }
        }
        Ok(Node { kind: deserializer.deserialize_any(Reader)?, line: None })
    }
}
