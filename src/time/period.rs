//! How long a period is, in the unit the law uses. There is no conversion between units, on purpose: thirty days are not a month,
//! a day is not 24 hours, and three working days are nothing but three working days.

use super::TimeError;
use serde::{Deserialize, Serialize};

/// Makes an enum whose variants are words, with parsing, printing and serde by that word.
macro_rules! worded {
    ($(#[$doc:meta])* $name:ident as $field:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word of the algebra.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::time::TimeError;

            fn from_str(word: &str) -> Result<$name, $crate::time::TimeError> {
                $name::ALL.iter().copied().find(|v| v.as_str() == word).ok_or_else(|| $crate::time::TimeError::UnknownWord {
                    field: $field,
                    word: word.to_string(),
                    allowed: $name::ALL.iter().map(|v| v.as_str().to_string()).collect(),
                })
            }
        }

        $crate::time::period::worded_serde!($name);
    };
}

/// Serde by `Display`-like `as_str`/`FromStr`.
macro_rules! worded_serde {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use {worded, worded_serde};

worded! {
    /// What is counted. Minutes and hours are elapsed time; the others are local days.
    Unit as "unit" {
        Minute = "minute",
        Hour = "hour",
        /// Elapsed hours inside working days, each from its start to its end.
        WorkingHour = "working_hour",
        Day = "day",
        WorkingDay = "working_day",
        Week = "week",
        Month = "month",
        Year = "year",
    }
}

impl Unit {
    /// Elapsed time rather than local days?
    pub fn is_elapsed(self) -> bool {
        matches!(self, Unit::Minute | Unit::Hour | Unit::WorkingHour)
    }

    /// `hour`/`hours`, `working day`/`working days`.
    pub fn words(self, n: u32) -> &'static str {
        match (self, n == 1) {
            (Unit::Minute, true) => "minute",
            (Unit::Minute, false) => "minutes",
            (Unit::Hour, true) => "hour",
            (Unit::Hour, false) => "hours",
            (Unit::WorkingHour, true) => "working hour",
            (Unit::WorkingHour, false) => "working hours",
            (Unit::Day, true) => "day",
            (Unit::Day, false) => "days",
            (Unit::WorkingDay, true) => "working day",
            (Unit::WorkingDay, false) => "working days",
            (Unit::Week, true) => "week",
            (Unit::Week, false) => "weeks",
            (Unit::Month, true) => "month",
            (Unit::Month, false) => "months",
            (Unit::Year, true) => "year",
            (Unit::Year, false) => "years",
        }
    }
}

/// So many of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Period {
    pub unit: Unit,
    pub n: u32,
}

impl Period {
    /// A period of `n` of `unit`; the unit is one of the algebra's words.
    pub fn of(n: u32, unit: &str) -> Result<Period, TimeError> {
        Ok(Period { unit: unit.parse()?, n })
    }
}
