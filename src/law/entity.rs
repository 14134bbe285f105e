//! The organisation that has the duties.

use super::{Contract, Place};
use crate::time::Zone;
use serde::{Deserialize, Serialize};

/// An entity as configured or given inline in a report. Empty lists of roles mean that they are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Id in the configuration, when the entity is configured.
    pub id: Option<String>,
    pub name: String,
    pub roles: Vec<String>,
    pub sectors: Vec<String>,
    pub established_in: Vec<Place>,
    pub main_establishment: Option<Place>,
    pub operates_in: Vec<Place>,
    /// The notifier's zone: where its day ends.
    pub zone: Option<Zone>,
    pub contracts: Vec<Contract>,
    /// Insurance policies, by id.
    pub policies: Vec<String>,
    /// Escalation policy that serves this entity.
    pub policy: Option<String>,
}

impl Entity {
    /// Where it is established: the list, and the main establishment even when the list leaves it out.
    pub fn establishments(&self) -> impl Iterator<Item = &str> {
        let main = self.main_establishment.as_deref().filter(|m| !self.established_in.iter().any(|p| p == m));
        self.established_in.iter().map(String::as_str).chain(main)
    }
}
