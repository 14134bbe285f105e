//! Who was let in, refused, given or denied rights, and who took something out: the evidence log, read backwards.

use super::accounts::{actor_of, manages};
use super::{Answered, Caller, House, Right, Role, Trouble};
use crate::law::IncidentId;
use crate::store::{AccountRecord, Store, StoredEntry, TokenRecord};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Entries read per round, and at most for one page.
const BATCH: u64 = 500;
const MOST_READ: u64 = 50_000;
const PAGE: usize = 50;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessKind {
    Session,
    Refused,
    Account,
    Token,
    Export,
}

impl AccessKind {
    pub const ALL: [AccessKind; 5] =
        [AccessKind::Session, AccessKind::Refused, AccessKind::Account, AccessKind::Token, AccessKind::Export];

    pub fn as_str(self) -> &'static str {
        match self {
            AccessKind::Session => "session",
            AccessKind::Refused => "refused",
            AccessKind::Account => "account",
            AccessKind::Token => "token",
            AccessKind::Export => "export",
        }
    }

    pub fn parse(word: &str) -> Option<AccessKind> {
        AccessKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    fn of(kind: &str) -> Option<AccessKind> {
        match kind {
            "session.opened" | "session.closed" => Some(AccessKind::Session),
            "login.failed" | "access.refused" | "acknowledgement.link-refused" | "erasure.refused" => {
                Some(AccessKind::Refused)
            }
            "token.created" | "token.revoked" | "calendar.created" => Some(AccessKind::Token),
            "export.created" | "register.exported" | "statistics.exported" | "attachment.read" => {
                Some(AccessKind::Export)
            }
            _ => kind.starts_with("account.").then_some(AccessKind::Account),
        }
    }
}

/// Which entries, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct AccessFilter {
    /// A part of the name of who did it, or to whom.
    pub who: Option<String>,
    pub kind: Option<AccessKind>,
    /// Only entries with a smaller index.
    pub before: Option<u64>,
}

/// One entry of the log.
#[derive(Clone, Debug, Serialize)]
pub struct AccessView {
    pub log_index: u64,
    pub at: String,
    pub kind: AccessKind,
    /// The type as the log names it.
    pub entry: String,
    pub actor: String,
    /// The account or token it is about, by the name people know.
    pub subject: Option<String>,
    pub incident: Option<String>,
    pub text: String,
    /// Attempts that one entry stands for.
    pub count: u64,
}

/// Newest first. `next` is the index to go on before; there may be more even when the page is short.
pub struct AccessPage {
    pub items: Vec<AccessView>,
    pub next: Option<u64>,
}

impl<S: Store> House<S> {
    /// What the log says of access. Who is limited to entities reads of exports of their incidents, and of accounts and
    /// tokens that are limited to some of these entities.
    pub async fn access_log(&self, caller: &Caller, filter: &AccessFilter) -> Answered<AccessPage> {
        self.permit(caller, Right::Oversee)?;
        let size = self.store.head().await?.size;
        let mut end = filter.before.unwrap_or(size).min(size);
        let (accounts, tokens) = (self.store.accounts().await?, self.store.tokens().await?);
        let known = Known { accounts, tokens };
        let mut seen: BTreeMap<String, bool> = BTreeMap::new();
        let mut page = AccessPage { items: Vec::new(), next: None };
        let (mut read, wanted) = (0, filter.who.as_deref().map(str::to_lowercase));
        while end > 0 {
            let start = end.saturating_sub(BATCH);
            for stored in self.store.entries(start..end).await?.iter().rev() {
                let Some(view) = known.view(stored).filter(|v| filter.kind.is_none_or(|kind| kind == v.kind)) else {
                    continue;
                };
                let named = |word: &String| {
                    let names = [Some(&view.actor), view.subject.as_ref()];
                    names.into_iter().flatten().any(|name| name.to_lowercase().contains(word))
                };
                if !wanted.as_ref().is_none_or(named)
                    || !self.may_read(caller, &known, &view, stored, &mut seen).await?
                {
                    continue;
                }
                page.items.push(view);
                if page.items.len() == PAGE {
                    page.next = (stored.idx > 0).then_some(stored.idx);
                    return Ok(page);
                }
            }
            (end, read) = (start, read + BATCH);
            if read >= MOST_READ {
                page.next = (end > 0).then_some(end);
                return Ok(page);
            }
        }
        Ok(page)
    }

    async fn may_read(
        &self,
        caller: &Caller,
        known: &Known,
        view: &AccessView,
        stored: &StoredEntry,
        seen: &mut BTreeMap<String, bool>,
    ) -> Answered<bool> {
        if caller.entities.is_empty() {
            return Ok(true);
        }
        let Some(incident) = &view.incident else { return Ok(known.is_within(caller, view, stored)) };
        if let Some(may) = seen.get(incident) {
            return Ok(*may);
        }
        let may = match self.store.dossier(&IncidentId(incident.clone())).await {
            Ok(dossier) => caller.may_see(&dossier.record.incident.entity),
            Err(crate::store::StoreError::NotFound) => false,
            Err(error) => return Err(Trouble::from(error)),
        };
        seen.insert(incident.clone(), may);
        Ok(may)
    }
}

/// Accounts and tokens as they are: entries name them by ids.
struct Known {
    accounts: Vec<AccountRecord>,
    tokens: Vec<TokenRecord>,
}

impl Known {
    /// `None` for an entry that is about something else.
    fn view(&self, stored: &StoredEntry) -> Option<AccessView> {
        // most entries are about something else, and reading them all would be slow
        let text = String::from_utf8_lossy(&stored.bytes);
        let likely =
            ["\"session.", "\"login.", "\"access.", "refused\"", "\"token.", "\"calendar.", "exported\"", "\"account."];
        if !likely.iter().chain(&["\"export.created\"", "\"attachment.read\""]).any(|word| text.contains(word)) {
            return None;
        }
        let entry: Value = serde_json::from_slice(&stored.bytes).ok()?;
        let name = entry["type"].as_str()?;
        let kind = AccessKind::of(name)?;
        let body = &entry["body"];
        let plain = |key: &str| body[key].as_str().unwrap_or_default();
        let subject = match kind {
            AccessKind::Account => Some(format!("user:{}", plain("account"))),
            AccessKind::Token => {
                let token = self.tokens.iter().find(|t| t.id == plain("token"));
                Some(token.map_or_else(|| plain("token").to_string(), |t| format!("token:{}", t.label)))
            }
            _ => None,
        };
        let is_own = stored.stream != IncidentId::HOUSE;
        Some(AccessView {
            log_index: stored.idx,
            at: entry["ts"].as_str().unwrap_or_default().to_string(),
            kind,
            entry: name.to_string(),
            actor: [plain("actor"), plain("by")]
                .into_iter()
                .find(|who| !who.is_empty())
                .unwrap_or("nobody")
                .to_string(),
            subject,
            incident: is_own.then(|| stored.stream.clone()),
            text: said(name, body),
            count: body["count"].as_u64().unwrap_or(1),
        })
    }

    /// Is it about an account or token that the caller may manage? What names nobody known is not.
    fn is_within(&self, caller: &Caller, view: &AccessView, stored: &StoredEntry) -> bool {
        let name = view.subject.as_deref().unwrap_or(&view.actor);
        if view.subject.is_none() && name == caller.name {
            return true;
        }
        let account = self.accounts.iter().find(|a| format!("user:{}", a.login) == name || actor_of(a) == name);
        if let Some(account) = account {
            return manages(caller, &account.entities);
        }
        let entry: Value = serde_json::from_slice(&stored.bytes).unwrap_or_default();
        // labels are not unique: a token is known by its id, and what it did by every token of that label
        let id = entry["body"]["token"].as_str();
        let mut tokens = self.tokens.iter().filter(|t| match id {
            Some(id) => t.id == id,
            None => format!("token:{}", t.label) == name && Role::parse(&t.role).is_some(),
        });
        let first = tokens.next();
        first.is_some_and(|t| manages(caller, &t.entities)) && tokens.all(|t| manages(caller, &t.entities))
    }
}

/// What happened, in words.
fn said(name: &str, body: &Value) -> String {
    let plain = |key: &str| body[key].as_str().unwrap_or_default().to_string();
    let scope = || {
        let entities: Vec<&str> = body["entities"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if entities.is_empty() { "all entities".to_string() } else { entities.join(", ") }
    };
    let standing = || {
        let disabled = if body["disabled"] == true { ", disabled" } else { "" };
        format!("{} for {}{disabled}", plain("role"), scope())
    };
    match name {
        "session.opened" => {
            let how = if body["provider"] == true { "at the provider" } else { "with a password" };
            let factor = if body["second_factor"] == true { " and a code" } else { "" };
            format!("logged in {how}{factor}")
        }
        "session.closed" => "logged out".to_string(),
        "login.failed" => "a login failed".to_string(),
        "access.refused" => format!("not permitted: {}", plain("place").replacen(':', " ", 1)),
        "acknowledgement.link-refused" => format!("a link was refused: {}", plain("reason")),
        "erasure.refused" => "an erasure was refused: the incident is held".to_string(),
        "account.created" => format!("account made: {}", standing()),
        "account.changed" => format!("account changed: {}", standing()),
        "account.invited" => "invited".to_string(),
        "account.password-set" => "password set".to_string(),
        "account.factor-set" => "second factor set".to_string(),
        "token.created" => format!("token made: {} for {}", plain("role"), scope()),
        "token.revoked" => "token revoked".to_string(),
        "calendar.created" => format!("calendar subscribed to: {}", scope()),
        "export.created" => format!("evidence exported, profile {}", plain("profile")),
        "register.exported" => format!("register exported as {}", plain("format")),
        "statistics.exported" => "statistics exported".to_string(),
        "attachment.read" => format!("the file of entry {} was read", body["attachment"]),
        other => other.replace(['.', '-'], " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_are_said_in_words() {
        for (name, body, words) in [
            (
                "session.opened",
                json!({ "second_factor": true, "provider": false }),
                "logged in with a password and a code",
            ),
            (
                "account.changed",
                json!({ "role": "admin", "entities": [], "disabled": true }),
                "account changed: admin for all entities, disabled",
            ),
            ("token.created", json!({ "role": "auditor", "entities": ["a", "b"] }), "token made: auditor for a, b"),
            ("access.refused", json!({ "place": "GET:/api/v1/tokens" }), "not permitted: GET /api/v1/tokens"),
        ] {
            assert_eq!(said(name, &body), words);
            assert!(AccessKind::of(name).is_some(), "{name}");
        }
        assert_eq!(AccessKind::of("facts.asserted"), None);
        assert!(AccessKind::ALL.into_iter().all(|kind| AccessKind::parse(kind.as_str()) == Some(kind)));
    }
}
