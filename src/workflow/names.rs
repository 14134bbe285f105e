//! Whom a name means: people of the configuration by id or name, tokens by label. Anybody else is free text.

use super::{Answered, House, Right, Role};
use crate::law::nearest_of;
use crate::rules::did_you_mean;
use crate::store::Store;
use crate::time::Timestamp;

/// How callers with a token are named.
const TOKEN: &str = "token:";

/// Everybody who can be meant at one instant.
pub(super) struct Names {
    /// Id and name.
    people: Vec<(String, String)>,
    /// Label and role of each token in force.
    tokens: Vec<(String, Option<Role>)>,
}

impl<S: Store> House<S> {
    pub(super) async fn names(&self, now: Timestamp) -> Answered<Names> {
        let tokens = self.known_tokens(now).await?;
        let in_force = tokens.iter().filter(|t| t.revoked_at.is_none() && t.expires_at.is_none_or(|at| at > now));
        Ok(Names {
            people: self.settings.directory.people.iter().map(|p| (p.id.clone(), p.name.clone())).collect(),
            tokens: in_force.map(|t| (t.label.clone(), Role::parse(&t.role))).collect(),
        })
    }
}

impl Names {
    /// Nobody of the configuration, and no token.
    pub fn is_unknown(&self, name: &str) -> bool {
        self.meant_by(name).is_empty()
    }

    /// Do both names mean the same person or token?
    pub fn same(&self, a: &str, b: &str) -> bool {
        let theirs = self.meant_by(b);
        a == b || self.meant_by(a).iter().any(|who| theirs.contains(who))
    }

    /// # Errors
    /// Why nobody of that name could ever give a second approval.
    pub fn may_approve(&self, name: &str) -> Result<(), String> {
        let label = name.strip_prefix(TOKEN).unwrap_or(name);
        let roles: Vec<Option<Role>> = self.tokens.iter().filter(|(l, _)| l == label).map(|(_, role)| *role).collect();
        if self.is_unknown(name) {
            let known = self.people.iter().flat_map(|(id, name)| [id.as_str(), name.as_str()]);
            return Err(format!(
                "`{name}` is neither a person of the configuration nor the label of a token{}; the decision would wait for \
                 ever",
                did_you_mean(&nearest_of(name, known))
            ));
        }
        let is_person = self.people.iter().any(|(id, known)| id == name || known == name);
        if !is_person && !roles.iter().flatten().any(|role| role.may(Right::Approve)) {
            return Err(format!("the token `{label}` may not approve; name an approver"));
        }
        Ok(())
    }

    fn meant_by(&self, name: &str) -> Vec<String> {
        let people = self.people.iter().filter(|(id, known)| id == name || known == name);
        let label = name.strip_prefix(TOKEN).unwrap_or(name);
        let tokens = self.tokens.iter().filter(|(known, _)| known == label);
        people.map(|(id, _)| format!("person:{id}")).chain(tokens.map(|(label, _)| format!("{TOKEN}{label}"))).collect()
    }
}
