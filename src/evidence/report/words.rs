//! The frame text of a report in its language, and dates as that language writes them.
//!
//! The texts are data (`bundle/words.toml`). Absent: the words of the law, which stand as the rule packs give them.

use crate::time::{Timestamp, Zone};
use chrono::Datelike;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static LANGUAGES: LazyLock<BTreeMap<String, BTreeMap<String, String>>> =
    LazyLock::new(|| toml::from_str(include_str!("../bundle/words.toml")).expect("the file of words is well formed"));

/// The words of one language.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Words {
    pub code: &'static str,
    texts: &'static BTreeMap<String, String>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Words({})", self.code)
    }
}

impl Words {
    /// `None` for a language the report does not speak.
    pub fn named(code: &str) -> Option<Words> {
        LANGUAGES.get_key_value(code).map(|(code, texts)| Words { code, texts })
    }

    /// Codes of the languages there are.
    pub fn codes() -> Vec<&'static str> {
        LANGUAGES.keys().map(String::as_str).collect()
    }

    /// A text by its name.
    ///
    /// # Panics
    /// For a name the file lacks: a test asks for every one.
    pub fn get(&self, name: &str) -> &'static str {
        self.texts.get(name).unwrap_or_else(|| panic!("`{name}` stands in bundle/words.toml"))
    }

    /// A text with its gaps filled.
    pub fn fill(&self, name: &str, gaps: &[(&str, &str)]) -> String {
        let mut text = self.get(name).to_string();
        for (gap, value) in gaps {
            text = text.replace(&format!("{{{gap}}}"), value);
        }
        text
    }

    /// A word out of a closed list such as the standings; one the file lacks stays as it is.
    pub fn word(&self, list: &str, word: &str) -> String {
        self.texts.get(&format!("{list}_{word}")).cloned().unwrap_or_else(|| word.to_string())
    }

    /// `Mon 30 Mar 2026`.
    pub fn day(&self, date: chrono::NaiveDate) -> String {
        let at = |list: &str, n: u32| self.get(list).split(' ').nth(n as usize).unwrap_or_default();
        let (weekday, month) = (at("weekdays", date.weekday().num_days_from_monday()), at("months", date.month0()));
        let (day, year) = (date.day().to_string(), date.year().to_string());
        self.fill("day", &[("weekday", weekday), ("day", &day), ("month", month), ("year", &year)])
    }

    /// `Mon 30`, for a narrow place.
    pub fn short_day(&self, date: chrono::NaiveDate) -> String {
        let weekday = self.get("weekdays").split(' ').nth(date.weekday().num_days_from_monday() as usize);
        format!("{} {}", weekday.unwrap_or_default(), date.day())
    }

    /// `Mon 30 Mar 2026, 11:48 CEST`.
    pub fn moment(&self, at: Timestamp, zone: Zone) -> String {
        let local = zone.local(at);
        format!("{}, {} {}", self.day(local.date()), local.format("%H:%M"), zone.abbreviation(at))
    }

    /// A limit at midnight belongs to the day that ends: `end of Sun 29 Mar 2026, CEST`.
    pub fn limit(&self, at: Timestamp, zone: Zone) -> String {
        let local = zone.local(at);
        match local.date().pred_opt().filter(|_| at == zone.day_start(local.date())) {
            Some(day) => {
                let before = zone.abbreviation(at - chrono::TimeDelta::seconds(1));
                format!("{}, {before}", self.fill("end_of", &[("day", &self.day(day))]))
            }
            None => self.moment(at, zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_says_all_of_it_with_the_same_gaps() {
        let gaps = |text: &str| {
            let mut gaps: Vec<String> =
                text.split('{').skip(1).filter_map(|t| t.split_once('}')).map(|(gap, _)| gap.to_string()).collect();
            gaps.sort();
            gaps
        };
        let english = &LANGUAGES["en"];
        assert_eq!(Words::codes(), ["de", "en", "fr"]);
        for (code, texts) in LANGUAGES.iter() {
            assert!(texts.keys().eq(english.keys()), "`{code}` has other names than English");
            for (name, text) in texts {
                assert_eq!(gaps(text), gaps(&english[name]), "{code}.{name}");
            }
            let counts = |list: &str| texts[list].split(' ').count();
            assert_eq!((counts("weekdays"), counts("months")), (7, 12), "{code}");
        }
    }

    #[test]
    fn dates_as_each_language_writes_them() {
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let paris = Zone::named("Europe/Paris").expect("zone");
        let say = |code: &str, t: &str| Words::named(code).expect("a language").limit(at(t), paris);
        assert_eq!(say("en", "2026-03-30T09:48:00Z"), "Mon 30 Mar 2026, 11:48 CEST");
        assert_eq!(say("de", "2026-03-30T09:48:00Z"), "Mo 30. März 2026, 11:48 CEST");
        assert_eq!(say("fr", "2026-03-30T22:00:00Z"), "fin du lun. 30 mars 2026, CEST");
    }
}
