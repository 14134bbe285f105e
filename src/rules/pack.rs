//! The shape of a rule pack and its companions as TOML. Unknown keys are errors. Meaning is given in `load`.

use crate::rules::condition::{Atom, Condition};
use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackFile {
    pub instrument: Instrument,
    #[serde(default)]
    pub fact: Vec<FactRow>,
    #[serde(default)]
    pub role: Vec<RoleRow>,
    #[serde(default)]
    pub duty: Vec<DutyRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the reader of the pack; named here because unknown keys are errors")]
pub struct Instrument {
    pub id: String,
    pub title: String,
    pub law: Option<String>,
    pub jurisdiction: String,
    pub reviewed: Option<toml::value::Datetime>,
    pub region: Option<String>,
    pub reach: Option<String>,
    pub regime: Option<String>,
    pub recipients: Option<String>,
    pub binding: Option<String>,
    #[serde(default)]
    pub notes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactRow {
    pub key: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub values: Vec<String>,
    pub question: String,
    #[serde(default)]
    pub may_be_ahead: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRow {
    pub id: String,
    pub refines: Option<String>,
    pub question: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DutyRow {
    pub id: String,
    pub title: String,
    pub law: Option<String>,
    pub jurisdiction: Option<String>,
    pub region: Option<String>,
    pub reach: Option<String>,
    pub regime: Option<String>,
    #[serde(default)]
    pub roles: Vec<String>,
    pub recipient: String,
    pub recipient_name: String,
    pub recipients: Option<String>,
    pub stage: String,
    pub starts: Option<String>,
    pub year_of: Option<String>,
    pub conservative_starts: Option<String>,
    #[serde(default)]
    pub when: Clause,
    #[serde(default)]
    pub unless: Clause,
    #[serde(default)]
    pub min_affected: u64,
    #[serde(default)]
    pub open_while: Clause,
    #[serde(default)]
    pub period: Vec<PeriodRow>,
    pub combine: Option<String>,
    pub relative: Option<RelativeRow>,
    pub replaces: Option<String>,
    #[serde(default)]
    pub baseline: bool,
    pub citation: String,
    #[serde(default)]
    pub source_url: String,
    #[serde(default)]
    pub no_url: String,
    pub status: String,
    pub confidence: String,
    pub binding: Option<String>,
    #[serde(default)]
    pub basis: String,
    #[serde(default)]
    pub notes: String,
    #[serde(default)]
    pub delay: String,
    pub delay_notice: Option<String>,
    pub hold: Option<String>,
    pub oral_hold_days: Option<u32>,
    pub written_hold_days: Option<u32>,
    pub after_hold: Option<PeriodRow>,
    #[serde(default)]
    pub after_hold_only_past: bool,
    #[serde(default)]
    pub content: Vec<ContentRow>,
    pub reviewed: Option<toml::value::Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelativeRow {
    pub order: String,
    pub to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeriodRow {
    pub from: Option<toml::value::Datetime>,
    pub until: Option<toml::value::Datetime>,
    #[serde(default)]
    pub undated: bool,
    pub when: Option<Clause>,
    pub minutes: Option<u32>,
    pub hours: Option<u32>,
    pub working_hours: Option<u32>,
    pub days: Option<u32>,
    pub working_days: Option<u32>,
    pub weeks: Option<u32>,
    pub months: Option<u32>,
    pub years: Option<u32>,
    pub target: Option<u32>,
    pub convention: Option<String>,
    pub promptly: Option<String>,
}

pub enum ContentRow {
    Plain(String),
    Mapped { item: String, from: Vec<String>, may_follow: bool },
}

impl<'de> Deserialize<'de> for ContentRow {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = ContentRow;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or { item, from, may_follow }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ContentRow, E> {
                Ok(ContentRow::Plain(text.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ContentRow, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Mapped {
                    item: String,
                    #[serde(default)]
                    from: Vec<String>,
                    #[serde(default)]
                    may_follow: bool,
                }
                let m = Mapped::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ContentRow::Mapped { item: m.item, from: m.from, may_follow: m.may_follow })
            }
        }
        deserializer.deserialize_any(Row)
    }
}

/// `when` and `unless` as written: a line, a list (all of them), or a table of `all`, `any`, `none`.
#[derive(Clone, Debug)]
pub struct Clause(pub Condition);

impl Default for Clause {
    fn default() -> Self {
        Clause(Condition::All(Vec::new()))
    }
}

impl<'de> Deserialize<'de> for Clause {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Clause;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a condition line, a list of conditions, or { all/any/none = [...] }")
            }
            fn visit_str<E: de::Error>(self, line: &str) -> Result<Clause, E> {
                Atom::parse(line).map(|atom| Clause(Condition::Atom(atom))).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Clause, A::Error> {
                let mut parts = Vec::new();
                while let Some(Clause(part)) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Clause(Condition::All(parts)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Clause, A::Error> {
                let mut groups = Vec::new();
                while let Some((word, parts)) = map.next_entry::<String, Vec<Clause>>()? {
                    let parts = parts.into_iter().map(|Clause(part)| part).collect();
                    groups.push(match word.as_str() {
                        "all" => Condition::All(parts),
                        "any" => Condition::Any(parts),
                        "none" => Condition::None(parts),
                        other => return Err(de::Error::custom(format!("`{other}` is none of all, any, none"))),
                    });
                }
                Ok(Clause(match groups.len() {
                    1 => groups.remove(0),
                    _ => Condition::All(groups),
                }))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsFile {
    pub fact: Vec<FactRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolesFile {
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
    #[serde(default)]
    pub role: Vec<RoleRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacesFile {
    #[serde(default)]
    pub place: Vec<PlaceRow>,
    #[serde(default)]
    pub region: Vec<RegionRow>,
}

#[derive(Deserialize)]
pub struct PlaceRow {
    pub id: String,
    pub name: String,
    pub zone: String,
    pub calendar: Option<String>,
    pub parent: Option<String>,
    pub same_as: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "for the reader of the pack; named here because unknown keys are errors")]
pub struct RegionRow {
    pub id: String,
    pub name: String,
    pub members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthoritiesFile {
    #[serde(default)]
    pub authority: Vec<AuthorityRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the reader of the pack; named here because unknown keys are errors")]
pub struct AuthorityRow {
    pub place: String,
    pub regime: String,
    pub name: String,
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub email: String,
    pub zone: Option<String>,
    #[serde(default)]
    pub languages: Vec<String>,
    #[serde(default)]
    pub confidence: String,
    #[serde(default)]
    pub notes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConventionsFile {
    #[serde(default)]
    pub convention: Vec<ConventionRow>,
    #[serde(default)]
    pub dispute: Vec<DisputeRow>,
}

/// Parameters of the algebra, all optional; `min_wd = "none"` clears.
#[derive(Deserialize, Clone, Default)]
pub struct Parameters {
    pub start: Option<String>,
    pub anchor: Option<String>,
    pub shift: Option<String>,
    pub month: Option<String>,
    pub close: Option<String>,
    pub roll: Option<String>,
    pub roll_days: Option<String>,
    pub min_wd: Option<toml::Value>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "for the reader of the pack; named here because unknown keys are errors")]
pub struct ConventionRow {
    pub id: String,
    pub title: String,
    #[serde(flatten)]
    pub parameters: Parameters,
    pub calendar: Option<toml::Value>,
    pub zone: Option<String>,
    pub citation: String,
    #[serde(default)]
    pub disputes: Vec<String>,
    pub notes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeRow {
    pub id: String,
    pub text: String,
    pub basis: String,
    pub reading: Parameters,
}
