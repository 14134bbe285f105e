//! What may stand in an entry in clear. The log is kept for ever and is shown to others: a field that holds what somebody
//! typed must be a [`Personal`] commitment, and the compiler asks about every field.
//!
//! The body of an entry is [`Public`]. Numbers, yes and no, words of this program's own text (`&'static str`), commitments
//! and lists of them are; `String` and `&str` are not. Whoever has a text that is not personal says which kind it is:
//! [`Id`], the name of a thing, or [`Made`], a text that this program made or the operator configured.
//!
//! ```
//! use breachclock::evidence::{Id, Personal, Sealer};
//! breachclock::entry_body! {
//!     struct Reported<'a> {
//!         entity_id: Id<'a>,
//!         title: Personal<String>,
//!         persons: u64,
//!     }
//! }
//! let mut sealer = Sealer::new(|| [1; 32]);
//! let title = sealer.seal("/title", "laptop of J. Roe".to_string());
//! let body = Reported { entity_id: Id::new("acme-fr"), title, persons: 3 };
//! let draft = breachclock::evidence::Draft::new("inc-1", "incident.reported", Default::default(), [0; 16], &body);
//! assert!(!draft.body.contains("Roe"));
//! ```
//! A field that nobody marked does not compile:
//! ```compile_fail,E0277
//! breachclock::entry_body! {
//!     struct Reported {
//!         title: String,
//!     }
//! }
//! ```
//! Neither does one behind a list, an option or a reference,
//! ```compile_fail,E0277
//! breachclock::entry_body! {
//!     struct Reported {
//!         notes: Vec<Option<String>>,
//!     }
//! }
//! ```
//! ```compile_fail
//! breachclock::entry_body! {
//!     struct Reported<'a> {
//!         title: &'a str,
//!     }
//! }
//! ```
//! nor a type that another macro serialises, nor a type that declares itself public.
//! ```compile_fail,E0277
//! #[derive(serde::Serialize)]
//! struct Reported {
//!     title: String,
//! }
//! let body = Reported { title: "laptop of J. Roe".to_string() };
//! breachclock::evidence::Draft::new("inc-1", "incident.reported", Default::default(), [0; 16], &body);
//! ```
//! ```compile_fail,E0277
//! #[derive(serde::Serialize)]
//! struct Reported {
//!     title: String,
//! }
//! impl breachclock::evidence::Public for Reported {}
//! ```

use super::export::{ExportCreated, Withheld};
use super::{Clk, Personal};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A value that says nothing about a person. Only this module and [`entry_body!`](crate::entry_body) make types public.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not stand in an entry in clear",
    label = "is this personal?",
    note = "what a person typed is `Personal<{Self}>`, made by `Sealer::seal`; the name of a thing is an `Id`, a text of this program's making is `Made`"
)]
pub trait Public: Serialize + sealed::Sealed {}

/// For [`entry_body!`](crate::entry_body) alone.
#[doc(hidden)]
pub mod sealed {
    pub trait Sealed {}

    pub const fn is_public<T: super::Public + ?Sized>(_: &T) {}
}

macro_rules! public {
    ($($type:ty),+ $(,)?) => {
        $(impl sealed::Sealed for $type {}
        impl Public for $type {})+
    };
}

public!(bool, u8, u16, u32, u64, usize, i32, i64, &'static str, Id<'_>, Made, Detail);
// their texts are names and hashes
public!(ExportCreated, Withheld, Clk);

impl<T> sealed::Sealed for Personal<T> {}
impl<T> Public for Personal<T> {}
impl<T: Public> sealed::Sealed for Option<T> {}
impl<T: Public> Public for Option<T> {}
impl<T: Public> sealed::Sealed for [T] {}
impl<T: Public> Public for [T] {}
impl<T: Public> sealed::Sealed for Vec<T> {}
impl<T: Public> Public for Vec<T> {}

/// The name of a thing: an obligation, a policy, a channel, a token, a fact. Never free text: what an identifier cannot
/// hold becomes `-`, so that a name typed where an id belongs is at least no sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Id<'a>(Cow<'a, str>);

impl<'a> Id<'a> {
    /// Longest name, in characters.
    const MOST: usize = 300;

    pub fn new(text: impl Into<Cow<'a, str>>) -> Id<'a> {
        let text = text.into();
        if Id::fits(&text) {
            return Id(text);
        }
        let plain = |c: char| if Id::may_hold(c) { c } else { '-' };
        Id(text.chars().take(Id::MOST).map(plain).collect::<String>().into())
    }

    /// A name that was looked up: of an obligation, a fact, an entity. It stays as it is.
    pub fn known(text: impl Into<Cow<'a, str>>) -> Id<'a> {
        Id(text.into())
    }

    /// Whether `text` is a name as it stands.
    pub fn fits(text: &str) -> bool {
        text.len() <= Id::MOST && text.chars().all(Id::may_hold)
    }

    fn may_hold(c: char) -> bool {
        c.is_ascii_alphanumeric() || "._:@/~+%,=-".contains(c)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Id<'static> {
    fn from(name: &'static str) -> Id<'static> {
        Id::new(name)
    }
}

impl From<String> for Id<'static> {
    fn from(name: String) -> Id<'static> {
        Id::new(name)
    }
}

/// Names that were looked up, in their order.
pub fn ids<'a, T: AsRef<str> + 'a>(names: impl IntoIterator<Item = &'a T>) -> Vec<Id<'a>> {
    names.into_iter().map(|name| Id::known(name.as_ref())).collect()
}

/// A text that this program made, or that stands in the operator's configuration: an instant, a hash, a version, a
/// schedule. Whoever wraps a text says that nobody typed it about a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made(String);

impl Made {
    pub fn of(text: impl Into<String>) -> Made {
        Made(text.into())
    }
}

/// A body, or a part of one, that is not worth a type: members in their order, each of them public. See
/// [`detail!`](crate::detail).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detail(Map<String, Value>);

impl Detail {
    pub fn new() -> Detail {
        Detail::default()
    }

    /// # Panics
    /// When `value` has no JSON form.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &(impl Public + ?Sized)) -> Detail {
        self.0.insert(name.to_string(), serde_json::to_value(value).expect("plain data has a JSON form"));
        self
    }

    /// Members of this program's making, from an object: whoever wraps it says that nobody typed any of it about a person.
    pub fn made(object: Value) -> Detail {
        match object {
            Value::Object(members) => Detail(members),
            _ => Detail::default(),
        }
    }

    /// These members after those of `first`.
    #[must_use]
    pub fn after(self, mut first: Detail) -> Detail {
        first.0.extend(self.0);
        first
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Declares the body of an entry, or a part of one: a struct, or an untagged choice. Each field must be
/// [`Public`](crate::evidence::Public).
#[macro_export]
macro_rules! entry_body {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident $(<$life:lifetime>)? {
        $($(#[$about:meta])* $of:vis $field:ident: $type:ty),* $(,)?
    })*) => {
        $($(#[$meta])*
        #[derive(::serde::Serialize)]
        $vis struct $name $(<$life>)? {
            $($(#[$about])* $of $field: $type),*
        }

        const _: () = {
            #[allow(dead_code)]
            fn check $(<$life>)? (body: &$name $(<$life>)?) {
                let _ = body;
                $($crate::evidence::sealed::is_public(&body.$field);)*
            }

            impl $(<$life>)? $crate::evidence::sealed::Sealed for $name $(<$life>)? {}
            impl $(<$life>)? $crate::evidence::Public for $name $(<$life>)? {}
        };)*
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($variant:ident($type:ty)),* $(,)? }) => {
        $(#[$meta])*
        #[derive(::serde::Serialize)]
        #[serde(untagged)]
        $vis enum $name {
            $($variant($type)),*
        }

        const _: () = {
            #[allow(dead_code)]
            fn check(body: &$name) {
                match body {
                    $($name::$variant(value) => $crate::evidence::sealed::is_public(value)),*
                }
            }

            impl $crate::evidence::sealed::Sealed for $name {}
            impl $crate::evidence::Public for $name {}
        };
    };
}

/// A [`Detail`](crate::evidence::Detail): `detail! { "name": value, … }`, each value [`Public`](crate::evidence::Public).
#[macro_export]
macro_rules! detail {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::evidence::Detail::new()$(.with($name, &$value))*
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_and_a_sentence_does_not() {
        for name in ["eu-gdpr-33-authority@FR", "inc-01/x@XX/75%/email:lea", "token:ci", "due-4h", ""] {
            assert_eq!(Id::new(name).as_str(), name);
        }
        assert_eq!(Id::new("Jane Roe, 3 Elm Row").as_str(), "Jane-Roe,-3-Elm-Row");
        assert_eq!(Id::new("Léa\n").as_str(), "L-a-");
        assert_eq!(Id::new("é".repeat(500)).as_str().len(), Id::MOST);
    }

    #[test]
    fn details_keep_their_order() {
        let list = vec![crate::detail! { "n": 1u64 }];
        let detail = crate::detail! { "z": "word", "a": Made::of("x y"), "list": list, "none": None::<u64> };
        let after = detail.after(crate::detail! { "actor": Id::new("tok") });
        let text = serde_json::to_string(&after).expect("JSON");
        assert_eq!(text, r#"{"actor":"tok","z":"word","a":"x y","list":[{"n":1}],"none":null}"#);
    }
}
