//! How the installation is set up, for those who oversee it. Secrets are not in it, so that no page can show one.

use super::{Answered, Caller, House, Right, Trouble};
use crate::store::Store;

/// Where something stands in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// 1-based.
    pub line: usize,
}

/// One table of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// As it is written there: `[smtp]`, `[[person]]`.
    pub table: String,
    pub title: String,
    /// `None` when the configuration does not have it.
    pub place: Option<Place>,
    /// What is set, or what holds without it.
    pub lines: Vec<(String, String)>,
}

/// The running configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The file it was read from.
    pub file: String,
    pub sections: Vec<Section>,
}

impl<S: Store> House<S> {
    /// The configuration this server runs on.
    ///
    /// # Errors
    /// 403 for who is limited to entities: it names all of them.
    pub fn overview(&self, caller: &Caller) -> Answered<&Overview> {
        self.permit(caller, Right::Oversee)?;
        if !caller.entities.is_empty() {
            return Err(Trouble::NotPermitted("the configuration is for those who are not limited to entities".into()));
        }
        Ok(&self.settings.overview)
    }
}
