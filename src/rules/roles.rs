//! Roles of an entity. A finer role refines a core role: an entity that only states the core leaves the finer unknown.

use super::condition::Truth;
use crate::law::Entity;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct RoleRecord {
    pub text: String,
    pub refines: Option<String>,
    /// Files that declare it: finer roles of one file exclude each other, those of another say nothing about it.
    pub packs: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Roles {
    pub(super) roles: BTreeMap<String, RoleRecord>,
    /// Roles by the wider one that they refine.
    finer: BTreeMap<String, Vec<String>>,
}

impl Roles {
    /// Adds a role, or another file that declares it.
    pub(super) fn declare(&mut self, id: &str, text: &str, refines: Option<&str>, file: &str) {
        let record = self.roles.entry(id.to_string()).or_insert_with(|| RoleRecord {
            text: text.to_string(),
            refines: refines.map(str::to_string),
            packs: Vec::new(),
        });
        record.packs.push(file.to_string());
        if let Some(wider) = refines {
            let finer = self.finer.entry(wider.to_string()).or_default();
            if !finer.iter().any(|known| known == id) {
                finer.push(id.to_string());
            }
        }
    }

    pub fn is_known(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    pub fn text(&self, role: &str) -> Option<&str> {
        self.roles.get(role).map(|r| r.text.as_str())
    }

    /// The wider role that `role` refines.
    pub fn wider(&self, role: &str) -> Option<&str> {
        self.roles.get(role).and_then(|r| r.refines.as_deref())
    }

    /// The answer to `has` for every role whose answer is not "no", computed once for an entity.
    pub fn standing_of(&self, entity: &Entity) -> Standings<'_> {
        if entity.roles.is_empty() {
            return Standings::NoneStated;
        }
        let mut known = BTreeMap::new();
        // only roles stated, implied, or finer than one of those can be other than "no"
        let mut held: Vec<&str> = Vec::new();
        for stated in &entity.roles {
            let mut at = self.roles.get_key_value(stated);
            while let Some((id, record)) = at {
                if !held.contains(&id.as_str()) {
                    held.push(id);
                }
                at = record.refines.as_ref().and_then(|wider| self.roles.get_key_value(wider));
            }
        }
        let finer = held.iter().filter_map(|id| self.finer.get(*id)).flatten().map(String::as_str);
        for id in held.iter().copied().chain(finer) {
            match self.has(entity, id) {
                Truth::No => {}
                truth => drop(known.insert(id, truth)),
            }
        }
        Standings::Stated(known)
    }

    /// Does the entity have `role`? A finer role implies its core; a core alone leaves its finer ones unknown.
    pub fn has(&self, entity: &Entity, role: &str) -> Truth {
        if entity.roles.is_empty() {
            return Truth::Unknown;
        }
        if entity.roles.iter().any(|stated| self.implies(stated, role)) {
            return Truth::Yes;
        }
        let Some(record) = self.roles.get(role) else { return Truth::No };
        let Some(core) = record.refines.as_deref() else { return Truth::No };
        let states_core = entity.roles.iter().any(|stated| self.implies(stated, core));
        let states_sibling = self
            .roles
            .iter()
            .filter(|(_, r)| r.refines.as_deref() == Some(core) && r.packs.iter().any(|p| record.packs.contains(p)))
            .any(|(id, _)| entity.roles.iter().any(|stated| stated == id));
        if states_core && !states_sibling { Truth::Unknown } else { Truth::No }
    }

    fn implies(&self, stated: &str, role: &str) -> bool {
        let mut at = Some(stated);
        while let Some(id) = at {
            if id == role {
                return true;
            }
            at = self.roles.get(id).and_then(|r| r.refines.as_deref());
        }
        false
    }
}

/// Which roles an entity has, or may have.
pub enum Standings<'b> {
    /// The entity states no role: every role is unknown.
    NoneStated,
    /// Roles that are held or may be; every other is not held.
    Stated(BTreeMap<&'b str, Truth>),
}

impl Standings<'_> {
    /// Roles that are held or may be; `None` when every role may be.
    pub fn possible(&self) -> Option<impl Iterator<Item = &str>> {
        match self {
            Standings::NoneStated => None,
            Standings::Stated(known) => Some(known.keys().copied()),
        }
    }

    pub fn get(&self, role: &str) -> Truth {
        match self {
            Standings::NoneStated => Truth::Unknown,
            Standings::Stated(known) => known.get(role).copied().unwrap_or(Truth::No),
        }
    }
}
