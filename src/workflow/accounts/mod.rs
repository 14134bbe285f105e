//! People who log in: who they are, what they may, and how they prove it.
//!
//! ```text
//! first start ──► one-time link on the console ──► an admin
//! an admin ─────► account ──► invitation (a link) ──► the person chooses a password, and maybe codes by time
//! a provider of identities ──► account of its own, by issuer and subject
//!                                   └─► session: a token among the others, which speaks for the account as it is now
//! ```
//! Every change is an entry; so is every session, and who was refused. Nobody chooses a password for somebody else, and
//! there is no default one. An account is disabled, never deleted: the log names it.
//!
//! Absent: HTTP, cookies, and the addresses people come from, which are arguments.

pub mod factor;
mod federated;
pub mod password;
mod refused;
mod sessions;
mod throttle;

pub use federated::Federation;
pub(super) use sessions::SESSION;
pub use sessions::{LoggedIn, Pending, SESSION_HOURS, UNKNOWN};

use super::{Answered, Caller, House, Right, Role, Trouble};
use crate::detail;
use crate::evidence::{Id, ids};
use crate::ingest::Rejection;
use crate::store::{Access, AccountRecord, Change, Changeset, Store, StoreError, TokenRecord};
use crate::time::Timestamp;
use chrono::Duration;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::{Arc, Mutex, RwLock};
use throttle::Throttle;

/// Longest login and name, in characters.
const LONGEST_LOGIN: usize = 64;
const LONGEST_NAME: usize = 200;
/// An invitation ends after this.
const INVITATION: Duration = Duration::days(7);
/// Passwords are hashed by so many at once: each takes 19 MiB.
const HASHERS: usize = 2;

/// What the house knows of who may come in, besides the store.
pub struct Doors {
    /// Whether a password alone is not enough.
    pub require_factor: bool,
    /// Whether a decision not to notify needs a second person, and each acts in person.
    pub second_approver: bool,
    pub federation: Option<Arc<Federation>>,
    /// Tokens and accounts as last read, and when: asked with every request. Emptied by whoever changes one.
    pub(super) known: RwLock<Option<(Timestamp, Arc<Known>)>>,
    throttle: Mutex<Throttle>,
    used: Mutex<federated::Used>,
    /// SHA-256 of the link on the console.
    setup: Mutex<Option<[u8; 32]>>,
    hashers: tokio::sync::Semaphore,
    refused: Mutex<refused::Refused>,
}

/// Everybody who can be authenticated.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub tokens: Vec<TokenRecord>,
    pub accounts: Vec<AccountRecord>,
}

impl Default for Doors {
    fn default() -> Doors {
        Doors::new(false)
    }
}

impl Doors {
    pub fn new(require_factor: bool) -> Doors {
        Doors {
            require_factor,
            second_approver: false,
            federation: None,
            known: RwLock::default(),
            throttle: Mutex::default(),
            used: Mutex::default(),
            setup: Mutex::default(),
            hashers: tokio::sync::Semaphore::new(HASHERS),
            refused: Mutex::default(),
        }
    }
}

/// An account to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAccount {
    pub login: String,
    pub name: String,
    /// Id of the person in the configuration whose acts these are.
    pub person: Option<String>,
    pub role: String,
    pub entities: Vec<String>,
}

/// What becomes different; `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    pub name: Option<String>,
    /// An empty one takes the person away.
    pub person: Option<String>,
    pub role: Option<String>,
    pub entities: Option<Vec<String>>,
    pub disabled: Option<bool>,
}

/// An account as it is shown.
#[derive(Clone, Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[schemars(rename = "Account")]
pub struct AccountView {
    pub id: String,
    pub login: String,
    pub name: String,
    /// Id of the person of the configuration whose acts these are.
    pub person: Option<String>,
    #[schemars(with = "Role")]
    pub role: String,
    /// Entities it is limited to; empty means all.
    pub entities: Vec<String>,
    /// `invited` until a password was chosen, `active`, `disabled`.
    #[schemars(extend("enum" = ["invited", "active", "disabled"]))]
    pub state: &'static str,
    /// A code is asked for after the password.
    pub second_factor: bool,
    /// Issuer of the provider it logs in at.
    pub provider: Option<String>,
    #[schemars(with = "Timestamp")]
    pub created_at: String,
}

impl AccountView {
    pub fn of(account: &AccountRecord) -> AccountView {
        let state = match (&account.disabled_at, &account.password, &account.federated) {
            (Some(_), _, _) => "disabled",
            (None, None, None) => "invited",
            _ => "active",
        };
        AccountView {
            id: account.id.clone(),
            login: account.login.clone(),
            name: account.name.clone(),
            person: account.person.clone(),
            role: account.role.clone(),
            entities: account.entities.clone(),
            state,
            second_factor: account.factor.is_some(),
            provider: account.federated.as_ref().map(|(issuer, _)| issuer.clone()),
            created_at: crate::rules::utc(account.created_at),
        }
    }
}

/// How the acts of an account are signed: as the person of the configuration, or by its login.
pub(super) fn actor_of(account: &AccountRecord) -> String {
    account.person.clone().unwrap_or_else(|| format!("user:{}", account.login))
}

impl<S: Store> House<S> {
    /// Every account the caller may manage.
    pub async fn accounts(&self, caller: &Caller) -> Answered<Vec<AccountView>> {
        self.permit(caller, Right::Administer)?;
        let accounts = self.store.accounts().await?;
        Ok(accounts.iter().filter(|a| manages(caller, &a.entities)).map(AccountView::of).collect())
    }

    /// Makes an account and answers it with the address of its invitation, which is kept nowhere.
    pub async fn create_account(
        &self,
        caller: &Caller,
        new: NewAccount,
        now: Timestamp,
    ) -> Answered<(AccountView, String)> {
        self.permit(caller, Right::Administer)?;
        let mut faults = Vec::new();
        self.judge_login(&new.login, &mut faults);
        let change = AccountChange {
            name: Some(new.name.clone()),
            person: new.person.clone(),
            role: Some(new.role.clone()),
            entities: Some(new.entities.clone()),
            disabled: None,
        };
        self.judge(caller, &change, &mut faults);
        let known = self.store.accounts().await?;
        if known.iter().any(|a| a.login == new.login) {
            faults.push(fault("/login", format!("the login `{}` is taken; choose another", new.login)));
        }
        if !faults.is_empty() {
            return Err(Trouble::Rejected(faults));
        }
        let account = self.fresh(new, now);
        self.keep("account.created", &caller.name, &account, Access::default(), now).await?;
        Ok((AccountView::of(&account), self.invitation_address(&account, now)))
    }

    /// A new invitation: for one that was lost, or for somebody who forgot the password. Nothing changes until it is taken.
    pub async fn invite(&self, caller: &Caller, login: &str, now: Timestamp) -> Answered<(AccountView, String)> {
        self.permit(caller, Right::Administer)?;
        let account = self.managed(caller, login).await?;
        if account.disabled_at.is_some() {
            return Err(Trouble::NotNow(format!("`{login}` is disabled; enable the account first")));
        }
        if account.federated.is_some() {
            return Err(Trouble::NotNow(format!(
                "`{login}` logs in at a provider of identities and has no password here"
            )));
        }
        let detail = detail! { "account": Id::new(login) };
        self.record_system_by("account.invited", &caller.name, detail, now).await?;
        Ok((AccountView::of(&account), self.invitation_address(&account, now)))
    }

    /// Changes role, entities, name or person; disables or enables. Sessions of a disabled account end at once.
    pub async fn change_account(
        &self,
        caller: &Caller,
        login: &str,
        change: AccountChange,
        now: Timestamp,
    ) -> Answered<AccountView> {
        self.permit(caller, Right::Administer)?;
        let mut account = self.managed(caller, login).await?;
        let mut faults = Vec::new();
        self.judge(caller, &change, &mut faults);
        let weaker = change.role.as_deref().is_some_and(|role| role != account.role) || change.disabled == Some(true);
        if actor_of(&account) == caller.name && weaker {
            faults.push(fault("/role", "nobody takes the own right away; have another administrator do it".into()));
        }
        if !faults.is_empty() {
            return Err(Trouble::Rejected(faults));
        }
        let mut access = Access::default();
        account.version += 1;
        if let Some(name) = change.name {
            account.name = name;
        }
        if let Some(person) = change.person {
            account.person = Some(person).filter(|person| !person.is_empty());
        }
        if let Some(role) = change.role {
            account.role = role;
        }
        if let Some(entities) = change.entities {
            account.entities = entities;
        }
        match change.disabled {
            Some(true) => {
                account.disabled_at = account.disabled_at.or(Some(now));
                account.valid_from = now;
                access.ended = self.sessions_of(&account.id).await?;
            }
            Some(false) => account.disabled_at = None,
            None => {}
        }
        self.keep("account.changed", &caller.name, &account, access, now).await?;
        Ok(AccountView::of(&account))
    }

    /// Whether anybody has an account at all.
    pub async fn has_accounts(&self, now: Timestamp) -> bool {
        self.known(now).await.is_ok_and(|known| !known.accounts.is_empty())
    }

    fn fresh(&self, new: NewAccount, now: Timestamp) -> AccountRecord {
        AccountRecord {
            id: self.ulid(now),
            version: 1,
            login: new.login,
            name: new.name,
            person: new.person.filter(|person| !person.is_empty()),
            role: new.role,
            entities: new.entities,
            password: None,
            factor: None,
            federated: None,
            created_at: now,
            valid_from: now,
            disabled_at: None,
        }
    }

    /// Writes an account with its entry, and whatever else goes with it.
    async fn keep(
        &self,
        kind: &'static str,
        actor: &str,
        account: &AccountRecord,
        access: Access,
        now: Timestamp,
    ) -> Answered<()> {
        let detail = detail! {
            "account": Id::new(account.login.as_str()), "role": Id::new(account.role.as_str()),
            "entities": ids(&account.entities), "disabled": account.disabled_at.is_some(),
            "second_factor": account.factor.is_some(),
            // as whom the account signs from now on
            "person": account.person.as_deref().map(Id::new),
        };
        let first = self.draft_system(kind, actor, detail, now);
        let change = Change::Access(Box::new(Access { account: Some(account.clone()), ..access }));
        let kept = self.commit(Changeset { change, first, more: Vec::new() }).await;
        self.forget_known();
        match kept {
            Err(StoreError::Conflict { .. }) => {
                Err(Trouble::NotNow(format!("`{}` was changed meanwhile; read it again and repeat", account.login)))
            }
            other => Ok(other.map(|_| ())?),
        }
    }

    async fn record_system_by(
        &self,
        kind: &'static str,
        actor: &str,
        detail: crate::evidence::Detail,
        now: Timestamp,
    ) -> Answered<()> {
        let first = self.draft_system(kind, actor, detail, now);
        self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        Ok(())
    }

    /// The account with this login, if the caller may manage it.
    async fn managed(&self, caller: &Caller, login: &str) -> Answered<AccountRecord> {
        let accounts = self.store.accounts().await?;
        let found = accounts.into_iter().find(|a| a.login == login && manages(caller, &a.entities));
        found.ok_or_else(|| Trouble::NotFound(format!("account `{login}`")))
    }

    fn judge_login(&self, login: &str, faults: &mut Vec<Rejection>) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if login.is_empty() || login.len() > LONGEST_LOGIN || !login.chars().all(plain) {
            let text = format!(
                "`{login}` is no login: it has 1 to {LONGEST_LOGIN} of a-z, 0-9, `.`, `_` and `-`; it stands in the \
                 evidence for ever, so better no address"
            );
            faults.push(fault("/login", text));
        }
    }

    fn judge(&self, caller: &Caller, change: &AccountChange, faults: &mut Vec<Rejection>) {
        if let Some(name) = &change.name
            && (name.trim().is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control))
        {
            faults.push(fault("/name", format!("a name has 1 to {LONGEST_NAME} characters")));
        }
        if let Some(role) = &change.role
            && Role::parse(role).is_none()
        {
            let roles: Vec<String> = Role::ALL.iter().map(|role| format!("`{}`", role.as_str())).collect();
            faults.push(fault("/role", format!("`{role}` is no role; it may be {}", roles.join(", "))));
        }
        if let Some(person) = change.person.as_deref().filter(|person| !person.is_empty())
            && !self.settings.directory.people.iter().any(|known| known.id == person)
        {
            let known = self.settings.directory.people.iter().map(|known| known.id.as_str());
            let near = crate::rules::did_you_mean(&crate::law::nearest_of(person, known));
            faults.push(fault("/person", format!("no [[person]] of the configuration has the id `{person}`{near}")));
        }
        for (at, entity) in change.entities.iter().flatten().enumerate() {
            let known = self.settings.entities.iter().filter_map(|known| known.id.as_deref());
            if !known.clone().any(|known| known == entity) {
                let near = crate::rules::did_you_mean(&crate::law::nearest_of(entity, known));
                let text = format!("no [[entity]] of the configuration has the id `{entity}`{near}");
                faults.push(fault(&format!("/entities/{at}"), text));
            }
        }
        if let Some(entities) = &change.entities
            && !manages(caller, entities)
        {
            let text = format!("your own account is limited to {}; name some of these", caller.entities.join(", "));
            faults.push(fault("/entities", text));
        }
    }

    /// # Errors
    /// When the caller gives more than it has, or entities nobody knows.
    pub(super) fn within(&self, caller: &Caller, entities: &[String]) -> Answered<()> {
        let mut faults = Vec::new();
        let change = AccountChange { entities: Some(entities.to_vec()), ..AccountChange::default() };
        self.judge(caller, &change, &mut faults);
        if faults.is_empty() { Ok(()) } else { Err(Trouble::Rejected(faults)) }
    }

    fn known_setup(&self) -> std::sync::MutexGuard<'_, Option<[u8; 32]>> {
        self.doors.setup.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Who is limited to entities manages accounts that are limited to some of these.
pub(super) fn manages(caller: &Caller, entities: &[String]) -> bool {
    caller.entities.is_empty() || !entities.is_empty() && entities.iter().all(|entity| caller.entities.contains(entity))
}

fn fault(pointer: &str, text: String) -> Rejection {
    Rejection { pointer: pointer.into(), line: None, text }
}
