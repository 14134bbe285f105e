//! Whom a name means: people of the configuration by id or name, accounts by login, tokens by label. Anybody else is free
//! text.

use super::{Answered, Caller, House, Right, Role, WaiverView};
use crate::law::nearest_of;
use crate::rules::did_you_mean;
use crate::store::Store;
use crate::time::Timestamp;

/// How callers with a token, and with an account that is nobody's of the configuration, are named.
const TOKEN: &str = "token:";
const USER: &str = "user:";

/// Everybody who can be meant at one instant.
pub(super) struct Names {
    /// Id and name.
    people: Vec<(String, String)>,
    /// Login, person and role of each account that is not disabled.
    accounts: Vec<(String, Option<String>, Option<Role>)>,
    /// Label and role of each token in force.
    tokens: Vec<(String, Option<Role>)>,
}

impl<S: Store> House<S> {
    /// Whether a decision that waits could be agreed to by the caller, as [`House::waive`] judges it.
    pub async fn may_agree(&self, caller: &Caller, waiver: &WaiverView, now: Timestamp) -> Answered<bool> {
        let names = self.names(now).await?;
        let in_person = self.doors.second_approver || names.is_account(&caller.name);
        let waits = waiver.state == "pending" && !names.same(&waiver.by, &caller.name);
        Ok(waits && (!in_person || waiver.second_approver.as_ref().is_none_or(|who| names.same(who, &caller.name))))
    }

    pub(super) async fn names(&self, now: Timestamp) -> Answered<Names> {
        let known = self.known(now).await?;
        let in_force = known.tokens.iter().filter(|t| t.revoked_at.is_none() && t.expires_at.is_none_or(|at| at > now));
        Ok(Names {
            people: self.settings.directory.people.iter().map(|p| (p.id.clone(), p.name.clone())).collect(),
            accounts: known
                .accounts
                .iter()
                .filter(|a| a.disabled_at.is_none())
                .map(|a| (a.login.clone(), a.person.clone(), Role::parse(&a.role)))
                .collect(),
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
        let (label, login) = (name.strip_prefix(TOKEN).unwrap_or(name), name.strip_prefix(USER).unwrap_or(name));
        let tokens = self.tokens.iter().filter(|(known, _)| known == label).map(|(_, role)| *role);
        let accounts = self.accounts.iter().filter(|(known, _, _)| known == login).map(|(_, _, role)| *role);
        let roles: Vec<Option<Role>> = tokens.chain(accounts).collect();
        if self.is_unknown(name) {
            let known = self.people.iter().flat_map(|(id, name)| [id.as_str(), name.as_str()]);
            return Err(format!(
                "`{name}` is neither a person of the configuration, nor an account, nor the label of a token{}; the decision \
                 would wait for ever",
                did_you_mean(&nearest_of(name, known))
            ));
        }
        let is_person = self.people.iter().any(|(id, known)| id == name || known == name);
        if !is_person && !roles.iter().flatten().any(|role| role.may(Right::Approve)) {
            return Err(format!("the token or account `{label}` may not approve; name an approver"));
        }
        Ok(())
    }

    /// Has whoever acts under this name an account?
    pub fn is_account(&self, name: &str) -> bool {
        self.accounts.iter().any(|(login, person, _)| {
            name.strip_prefix(USER) == Some(login) || person.as_deref().is_some_and(|person| self.same(person, name))
        })
    }

    /// # Errors
    /// Nobody of that name has an account or a token with which to approve.
    pub fn can_come_in(&self, name: &str) -> Result<(), String> {
        let approves = |role: &Option<Role>| role.is_some_and(|role| role.may(Right::Approve));
        let account = self.accounts.iter().any(|(login, person, role)| {
            approves(role) && self.same(name, person.as_deref().unwrap_or(&format!("{USER}{login}")))
        });
        let token =
            self.tokens.iter().any(|(label, role)| approves(role) && self.same(name, &format!("{TOKEN}{label}")));
        if account || token {
            return Ok(());
        }
        Err(format!(
            "`{name}` has no account that may approve, and two people decide not to notify here; invite them \
             (`breachclock user invite`), or name somebody else"
        ))
    }

    fn meant_by(&self, name: &str) -> Vec<String> {
        let people = self.people.iter().filter(|(id, known)| id == name || known == name);
        let label = name.strip_prefix(TOKEN).unwrap_or(name);
        let tokens = self.tokens.iter().filter(|(known, _)| known == label);
        let login = name.strip_prefix(USER).unwrap_or(name);
        let accounts =
            self.accounts.iter().filter(|(known, _, _)| known == login).map(|(login, person, _)| match person {
                Some(id) => format!("person:{id}"),
                None => format!("{USER}{login}"),
            });
        let tokens = tokens.map(|(label, _)| format!("{TOKEN}{label}"));
        people.map(|(id, _)| format!("person:{id}")).chain(tokens).chain(accounts).collect()
    }
}
