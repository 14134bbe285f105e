//! People who log in at a provider of identities: an account of their own by issuer and subject, made at the first time, whose
//! role is the provider's word at each.

use super::sessions::LoggedIn;
use super::{AccountRecord, Doors, LONGEST_NAME, NewAccount, actor_of};
use crate::notify::identity::{Errand, Identity, Meaning, Provider};
use crate::store::{Access, Store};
use crate::time::Timestamp;
use crate::workflow::{Answered, House, Role, Trouble};
use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// Whoever is sent to the provider comes back within this.
const ERRAND: Duration = Duration::minutes(10);
const PURPOSE: &str = "provider logins";
/// Tickets remembered; of more those go first that end first.
const MOST: usize = 10_000;

/// The provider, and what its words mean.
#[derive(Debug)]
pub struct Federation {
    pub provider: Provider,
    pub meaning: Meaning,
}

#[derive(Serialize, Deserialize)]
struct Ticket {
    #[serde(rename = "s")]
    state: String,
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "v")]
    verifier: String,
    #[serde(rename = "p")]
    next: String,
    #[serde(rename = "x", with = "chrono::serde::ts_seconds")]
    expires: Timestamp,
}

/// Tickets that were used, by their state, until they would have ended: a provider that takes a code twice opens no second
/// session here.
#[derive(Debug, Default)]
pub(super) struct Used(BTreeMap<String, Timestamp>);

impl Used {
    /// Whether the ticket is used for the first time.
    fn is_first(&mut self, state: &str, expires: Timestamp, now: Timestamp) -> bool {
        self.0.retain(|_, expires| *expires > now);
        if self.0.contains_key(state) {
            return false;
        }
        if self.0.len() >= MOST
            && let Some(first) = self.0.iter().min_by_key(|(_, expires)| **expires).map(|(state, _)| state.clone())
        {
            self.0.remove(&first);
        }
        self.0.insert(state.to_string(), expires);
        true
    }
}

impl Doors {
    fn is_first_use(&self, state: &str, expires: Timestamp, now: Timestamp) -> bool {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).is_first(state, expires, now)
    }
}

impl<S: Store> House<S> {
    /// What the provider is called; `None` when there is none.
    pub fn provider(&self) -> Option<&str> {
        self.doors.federation.as_ref().map(|federation| federation.meaning.label.as_str())
    }

    /// Where to send somebody who wants to log in there, and the ticket for the cookie that brings them back to `next`.
    pub async fn begin_provider_login(&self, next: &str, now: Timestamp) -> Answered<(String, String)> {
        let federation = self.federation()?;
        let errand = Errand { state: self.secret(), nonce: self.secret(), verifier: self.secret() };
        let address = federation.provider.address(&errand, now).await.map_err(Trouble::NotNow)?;
        let Errand { state, nonce, verifier } = errand;
        let ticket = Ticket { state, nonce, verifier, next: next.into(), expires: now + ERRAND };
        Ok((address, self.signed_text(PURPOSE, &ticket)))
    }

    /// Somebody came back with a code. Answers the session and where to go on.
    pub async fn finish_provider_login(
        &self,
        ticket: &str,
        state: &str,
        code: &str,
        now: Timestamp,
    ) -> Answered<(LoggedIn, String)> {
        let federation = self.federation()?;
        let lost = || {
            let why = "this login took too long, was used already, or was begun in another browser; begin again";
            Trouble::NotNow(why.into())
        };
        let ticket: Ticket = self.read_signed(PURPOSE, ticket).ok_or_else(lost)?;
        if ticket.expires <= now {
            return Err(lost());
        }
        if ticket.state != state || !self.doors.is_first_use(&ticket.state, ticket.expires, now) {
            self.refused_at("login.failed", "nobody", "/login/callback", now).await?;
            return Err(lost());
        }
        let errand = Errand { state: ticket.state, nonce: ticket.nonce, verifier: ticket.verifier };
        let identity = federation.provider.identity(code, &errand, now).await.map_err(Trouble::NotNow)?;
        let account = self.known_to_provider(&identity, &federation.meaning, now).await?;
        Ok((self.admit(account, now).await?, ticket.next))
    }

    fn federation(&self) -> Answered<&Federation> {
        let none = || Trouble::NotFound("provider of identities; the configuration has no `[oidc]`".into());
        self.doors.federation.as_deref().ok_or_else(none)
    }

    /// The account of an identity, as the provider sees it today; made when it is new.
    async fn known_to_provider(
        &self,
        identity: &Identity,
        meaning: &Meaning,
        now: Timestamp,
    ) -> Answered<AccountRecord> {
        let accounts = self.store.accounts().await?;
        let key = Some((identity.issuer.clone(), identity.subject.clone()));
        let Some(role) = role_of(meaning, &identity.claims) else {
            self.refused_at("login.failed", "nobody", "/login/callback", now).await?;
            let text = format!("{} gives you no role here; ask whoever administers it", meaning.label);
            return Err(Trouble::NotPermitted(text));
        };
        let known = |id: &String| self.settings.entities.iter().any(|entity| entity.id.as_ref() == Some(id));
        let claimed = meaning.entities_claim.as_deref().map(|claim| words(&identity.claims, claim));
        let limited = claimed.is_some();
        let entities: Vec<String> = claimed.unwrap_or_default().into_iter().filter(known).collect();
        if limited && entities.is_empty() {
            self.refused_at("login.failed", "nobody", "/login/callback", now).await?;
            let text = format!("{} names no entity that is known here; ask whoever administers it", meaning.label);
            return Err(Trouble::NotPermitted(text));
        }
        let name = name_of(&identity.claims);
        let Some(account) = accounts.iter().find(|account| account.federated == key) else {
            let login = free_login(&identity.claims, &accounts);
            let name = name.unwrap_or_else(|| login.clone());
            let new = NewAccount { login, name, role: role.as_str().into(), entities, person: None };
            let account = AccountRecord { federated: key, ..self.fresh(new, now) };
            self.keep("account.created", &actor_of(&account), &account, Access::default(), now).await?;
            return Ok(account);
        };
        if account.disabled_at.is_some() {
            self.refused_at("login.failed", &actor_of(account), "/login/callback", now).await?;
            return Err(Trouble::NotPermitted("this account is disabled; ask an administrator".into()));
        }
        let present = AccountRecord {
            role: role.as_str().into(),
            entities,
            name: name.unwrap_or_else(|| account.name.clone()),
            ..account.clone()
        };
        if present == *account {
            return Ok(present);
        }
        let present = AccountRecord { version: present.version + 1, ..present };
        self.keep("account.changed", &actor_of(&present), &present, Access::default(), now).await?;
        Ok(present)
    }
}

/// The strongest role that the claim gives.
fn role_of(meaning: &Meaning, claims: &Value) -> Option<Role> {
    let said = words(claims, &meaning.role_claim);
    let given =
        meaning.roles.iter().filter(|(value, _)| said.contains(value)).filter_map(|(_, role)| Role::parse(role));
    given.max().or_else(|| Role::parse(meaning.default_role.as_deref()?))
}

/// A word or a list of words; dots lead inside: `realm_access.roles`. A claim with dots in its name is found whole first.
fn words(claims: &Value, path: &str) -> Vec<String> {
    let inside = || path.split('.').try_fold(claims, |value, part| value.get(part));
    match claims.get(path).or_else(inside) {
        Some(Value::String(word)) => vec![word.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(|word| word.as_str().map(str::to_string)).collect(),
        _ => Vec::new(),
    }
}

fn name_of(claims: &Value) -> Option<String> {
    let name: String = claims["name"].as_str()?.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    Some(name.trim().to_string()).filter(|name| !name.is_empty())
}

/// What the provider calls the person, as a login that nobody has: never one of an account that exists.
fn free_login(claims: &Value, accounts: &[AccountRecord]) -> String {
    let said =
        ["preferred_username", "email", "sub"].iter().find_map(|claim| claims[*claim].as_str()).unwrap_or("user");
    let local = said.split('@').next().unwrap_or(said).to_lowercase();
    let plain: String = local
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c) { c } else { '-' })
        .collect();
    let base: String = plain.trim_matches(['-', '.']).chars().take(48).collect();
    let base = if base.is_empty() { "user".to_string() } else { base };
    let taken = |login: &str| accounts.iter().any(|account| account.login == login);
    if !taken(&base) {
        return base;
    }
    (2..).map(|n| format!("{base}-{n}")).find(|login| !taken(login)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meaning() -> Meaning {
        Meaning {
            role_claim: "realm_access.roles".into(),
            roles: vec![("soc".into(), "responder".into()), ("legal".into(), "approver".into())],
            ..Meaning::default()
        }
    }

    #[test]
    fn a_ticket_is_used_once() {
        let at = |second: i64| Timestamp::from_timestamp(1_774_700_000 + second, 0).expect("in range");
        let mut used = Used::default();
        let first: Vec<bool> = [("a", 0), ("a", 1), ("b", 1), ("a", 599), ("a", 600)]
            .iter()
            .map(|(state, second)| used.is_first(state, at(600), at(*second)))
            .collect();
        // one that has ended is refused before it comes here
        assert_eq!(first, [true, false, true, false, true]);
        (0..2 * MOST).for_each(|n| _ = used.is_first(&n.to_string(), at(1200), at(700)));
        assert!(used.0.len() <= MOST);
    }

    #[test]
    fn the_strongest_role_counts_and_none_is_none() {
        let cases = [
            (json!({ "realm_access": { "roles": ["soc", "other"] } }), Some(Role::Responder)),
            (json!({ "realm_access": { "roles": ["soc", "legal"] } }), Some(Role::Approver)),
            (json!({ "realm_access.roles": "legal" }), Some(Role::Approver)),
            (json!({ "realm_access": { "roles": ["SOC", 7] } }), None),
            (json!({ "realm_access": "x" }), None),
            (json!({}), None),
        ];
        for (claims, role) in cases {
            assert_eq!(role_of(&meaning(), &claims), role, "{claims}");
        }
        let all = Meaning { default_role: Some("reporter".into()), ..meaning() };
        assert_eq!(role_of(&all, &json!({})), Some(Role::Reporter));
    }

    #[test]
    fn a_login_is_made_of_what_the_provider_says() {
        for (claims, login) in [
            (json!({ "preferred_username": "Lea.F", "sub": "1" }), "lea.f"),
            (json!({ "email": "kim.ode@acme.example" }), "kim.ode"),
            (json!({ "preferred_username": "Zoë Ö" }), "zo"),
            (json!({ "sub": "|||" }), "user"),
        ] {
            assert_eq!(free_login(&claims, &[]), login, "{claims}");
        }
    }
}
