//! Facts and entities that state a place by its second code are read as if they had stated the first.

use super::places::Places;
use crate::law::{FactBook, Incident, Place};

impl Places {
    /// `incident` with one code for each place; `None` when it states no second one, as almost always.
    pub(super) fn with_one_name(&self, incident: &Incident) -> Option<Incident> {
        let entity = &incident.entity;
        let mut stated = entity
            .establishments()
            .chain(entity.operates_in.iter().map(String::as_str))
            .chain(entity.contracts.iter().filter_map(|contract| contract.place.as_deref()));
        let named = stated.any(|place| self.same_as.contains_key(place));
        if !named && !incident.facts.history().iter().any(|fact| self.renamed(&fact.key, incident).is_some()) {
            return None;
        }
        let mut incident = incident.clone();
        let mut facts = FactBook::default();
        for fact in incident.facts.history() {
            let key = self.renamed(&fact.key, &incident).unwrap_or_else(|| fact.key.clone());
            facts.assert(crate::law::Fact { key, ..fact.clone() });
        }
        incident.facts = facts;
        let rename = |place: &mut Place| {
            if let Some(other) = self.same_as.get(place) {
                place.clone_from(other);
            }
        };
        let entity = &mut incident.entity;
        entity.established_in.iter_mut().chain(&mut entity.operates_in).for_each(rename);
        entity.main_establishment.iter_mut().for_each(rename);
        entity.contracts.iter_mut().filter_map(|contract| contract.place.as_mut()).for_each(rename);
        Some(incident)
    }

    /// `affected.PR` and `times.filed.<duty>@PR` under the other code.
    fn renamed(&self, key: &str, incident: &Incident) -> Option<String> {
        let place = key.strip_prefix("affected.").or_else(|| key.rsplit_once('@').map(|(_, place)| place))?;
        let other = self.same_as.get(place)?;
        // an obligation under a contract carries the contract's id in the same position
        let contract = key.contains('@') && incident.entity.contracts.iter().any(|contract| contract.id == place);
        (!contract).then(|| format!("{}{other}", &key[..key.len() - place.len()]))
    }
}
