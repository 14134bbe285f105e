//! Coming in and going out: the first administrator, invitations, passwords, codes, sessions.

use super::{INVITATION, Known, NewAccount, actor_of, factor, fault, password};
use crate::detail;
use crate::evidence::Id;
use crate::store::{Access, AccountRecord, Change, Changeset, SecondFactor, Store, TokenRecord};
use crate::time::Timestamp;
use crate::workflow::{Answered, Caller, House, Role, Trouble};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::{Arc, PoisonError};
use subtle::ConstantTimeEq;

/// One working day and the night after it.
pub const SESSION_HOURS: i64 = 16;
/// The word that stands for the role of a session among the tokens: what it may, its account says.
pub(in crate::workflow) const SESSION: &str = "session";
const PREFIX: &str = "bcs_";
/// Whoever begins to set up codes has so long.
const PENDING: Duration = Duration::minutes(15);
/// What signed texts are for: one of these never counts as another.
const INVITATIONS: &str = "invitations";
const ENROLMENT: &str = "second factors";
/// Tokens and accounts are read again after this: another node may have changed one.
const KNOWN_LIFE: Duration = Duration::seconds(5);
/// What whoever cannot be told from others comes from.
pub const UNKNOWN: &str = "local";
const WRONG: &str = "login, password or code is wrong";

/// What came of an attempt to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedIn {
    /// The session's token, for the cookie.
    Open(String),
    /// The password was right; the code is missing.
    NeedsCode,
    /// The password was right, and here nobody comes in without codes: these are to be set up first.
    MustEnrol(Pending),
}

/// A second factor that is being set up; nothing is kept until a first code is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Goes with the form and comes back with the code.
    pub ticket: String,
    /// For authenticators that read pictures, and for those that do not.
    pub address: String,
    pub spelled: String,
}

#[derive(Serialize, Deserialize)]
struct Invitation {
    #[serde(rename = "a")]
    account: String,
    /// Microseconds of the account's `valid_from`: taken once, it counts no more.
    #[serde(rename = "v")]
    valid_from: i64,
    #[serde(rename = "x", with = "chrono::serde::ts_seconds")]
    expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Enrolment {
    #[serde(rename = "a")]
    account: String,
    /// The account's version: a ticket is good once, and not after the account was changed in any way.
    #[serde(rename = "v")]
    version: u64,
    #[serde(rename = "s")]
    sealed: Vec<u8>,
    #[serde(rename = "x", with = "chrono::serde::ts_seconds")]
    expires: Timestamp,
}

impl<S: Store> House<S> {
    // ------------------------------------------------------------ the first administrator

    /// Whether nobody could administer this installation: no account and no token that may.
    pub async fn needs_setup(&self, now: Timestamp) -> Answered<bool> {
        // read here, and not remembered: a token that is made a moment later by another process must be known at once
        let known = Known { tokens: self.store.tokens().await?, accounts: self.store.accounts().await? };
        let admin = Role::Admin.as_str();
        let account = |a: &AccountRecord| a.role == admin && a.disabled_at.is_none();
        let token =
            |t: &TokenRecord| t.role == admin && t.revoked_at.is_none() && t.expires_at.is_none_or(|at| at > now);
        Ok(!known.accounts.iter().any(account) && !known.tokens.iter().any(token))
    }

    /// The address at which the first administrator makes an account; works once, and in this process alone.
    pub fn offer_setup(&self) -> String {
        let secret = self.secret();
        *self.known_setup() = Some(Sha256::digest(secret.as_bytes()).into());
        format!("{}/setup/{secret}", self.settings.public_url)
    }

    /// Whether the address is the one that was offered.
    ///
    /// # Errors
    /// When it is not, or was used.
    pub fn check_setup(&self, secret: &str) -> Answered<()> {
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        match *self.known_setup() {
            Some(offered) if bool::from(offered.ct_eq(&digest)) => Ok(()),
            _ => Err(Trouble::NotFound(
                "such link: it was used, or the daemon was started again and printed another".into(),
            )),
        }
    }

    /// Makes the first administrator, and a session.
    pub async fn set_up(
        &self,
        secret: &str,
        login: &str,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Answered<LoggedIn> {
        self.check_setup(secret)?;
        let mut faults = Vec::new();
        self.judge_login(login, &mut faults);
        if let Err(why) = password::judge(password, login) {
            faults.push(fault("/password", why));
        }
        if !faults.is_empty() {
            return Err(Trouble::Rejected(faults));
        }
        if !self.needs_setup(now).await? {
            *self.known_setup() = None;
            return Err(Trouble::NotNow("there is an administrator already; ask for an invitation".into()));
        }
        let name = if name.trim().is_empty() { login } else { name.trim() };
        let new = NewAccount {
            login: login.into(),
            name: name.into(),
            role: Role::Admin.as_str().into(),
            ..NewAccount::default()
        };
        let mut account = self.fresh(new, now);
        account.password = Some(self.hashed(password).await);
        self.keep("account.created", "setup", &account, Access::default(), now).await?;
        *self.known_setup() = None;
        self.admit(account, now).await
    }

    // ------------------------------------------------------------ invitations

    pub(super) fn invitation_address(&self, account: &AccountRecord, now: Timestamp) -> String {
        let invitation = Invitation {
            account: account.id.clone(),
            valid_from: account.valid_from.timestamp_micros(),
            expires: now + INVITATION,
        };
        format!("{}/invitation/{}", self.settings.public_url, self.signed_text(INVITATIONS, &invitation))
    }

    /// The account an invitation is for.
    ///
    /// # Errors
    /// When it is none of ours, has ended, or was taken.
    pub async fn invited(&self, token: &str, now: Timestamp) -> Answered<AccountRecord> {
        let unknown =
            || Trouble::NotFound("such invitation: it was taken, has ended, or is incomplete; ask for another".into());
        let invitation: Invitation = self.read_signed(INVITATIONS, token).ok_or_else(unknown)?;
        let account =
            self.store.accounts().await?.into_iter().find(|a| a.id == invitation.account).ok_or_else(unknown)?;
        let valid = account.valid_from.timestamp_micros() == invitation.valid_from && account.disabled_at.is_none();
        if !valid || invitation.expires <= now { Err(unknown()) } else { Ok(account) }
    }

    /// Takes an invitation: the password is set, codes by time are forgotten, other sessions end.
    pub async fn take_invitation(&self, token: &str, password: &str, now: Timestamp) -> Answered<LoggedIn> {
        let account = self.invited(token, now).await?;
        let account = self.with_password(account, password, now).await?;
        let ended = self.sessions_of(&account.id).await?;
        let account = AccountRecord { factor: None, ..account };
        let access = Access { ended, ..Access::default() };
        self.keep("account.password-set", &actor_of(&account), &account, access, now).await?;
        self.admit(account, now).await
    }

    async fn with_password(&self, account: AccountRecord, password: &str, now: Timestamp) -> Answered<AccountRecord> {
        password::judge(password, &account.login).map_err(|why| Trouble::Rejected(vec![fault("/password", why)]))?;
        let kept = self.hashed(password).await;
        // never the same instant twice: an invitation names it
        let valid_from = now.max(account.valid_from + Duration::microseconds(1));
        Ok(AccountRecord { version: account.version + 1, password: Some(kept), valid_from, ..account })
    }

    // ------------------------------------------------------------ logging in and out

    /// `client` is where the attempt comes from, as far as is known: attempts are counted for each account and place.
    ///
    /// # Errors
    /// [`Trouble::NotPermitted`] when login, password or code is wrong, whichever; [`Trouble::NotNow`] when there were too
    /// many attempts.
    pub async fn log_in(
        &self,
        login: &str,
        password: &str,
        code: Option<&str>,
        client: &str,
        now: Timestamp,
    ) -> Answered<LoggedIn> {
        let login = login.trim().to_lowercase();
        let mut keys = vec![format!("{login} {client}")];
        // where nobody can be told from anybody, one who guesses must not slow down all
        if client != UNKNOWN {
            keys.push(format!("from {client}"));
        }
        if let Some(seconds) = keys.iter().filter_map(|key| self.throttled(key, now)).max() {
            return Err(Trouble::NotNow(format!("too many attempts; try again in {seconds} s")));
        }
        let account = self.store.accounts().await?.into_iter().find(|a| a.login == login);
        let kept = account.as_ref().filter(|a| a.disabled_at.is_none()).and_then(|a| a.password.clone());
        let right = self.verified(password, kept).await;
        let Some(mut account) = account.filter(|_| right) else {
            return self.wrong(&keys, &login, now).await;
        };
        let factor = match (account.factor.as_ref(), code) {
            (None, _) => None,
            (Some(_), None) => return Ok(LoggedIn::NeedsCode),
            (Some(factor), Some(code)) => match self.taken(&account.id, factor, code, now) {
                Some(factor) => Some(factor),
                None => return self.wrong(&keys, &login, now).await,
            },
        };
        keys.iter().for_each(|key| self.throttle().succeeded(key));
        if factor.is_some() {
            account.version += 1;
            account.factor = factor;
            return self.open_session(account, true, now).await;
        }
        self.admit(account, now).await
    }

    /// Ends a session. One that is unknown has ended already.
    pub async fn log_out(&self, token: &str, now: Timestamp) -> Answered<()> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let Some(record) = self.token_of(&digest, now).await?.filter(|record| record.role == SESSION) else {
            return Ok(());
        };
        let who = self.authenticate(token, now).await?.map_or_else(|| SESSION.to_string(), |caller| caller.name);
        let first = self.draft_system("session.closed", &who, detail! { "session": Id::new(record.id.as_str()) }, now);
        let access = Access { ended: vec![record.id], ..Access::default() };
        let kept = self.commit(Changeset { change: Change::Access(Box::new(access)), first, more: Vec::new() }).await;
        self.forget_known();
        Ok(kept.map(|_| ())?)
    }

    /// Changes the own password, which ends the other sessions.
    pub async fn change_password(
        &self,
        token: &str,
        old: &str,
        new: &str,
        client: &str,
        now: Timestamp,
    ) -> Answered<LoggedIn> {
        let account = self.account_of(token, now).await?;
        let key = format!("{} {client}", account.login);
        if let Some(seconds) = self.throttled(&key, now) {
            return Err(Trouble::NotNow(format!("too many attempts; try again in {seconds} s")));
        }
        if !self.verified(old, account.password.clone()).await {
            self.throttle().failed(&key, now);
            return Err(Trouble::Rejected(vec![fault("/old", "this is not the present password".into())]));
        }
        let account = self.with_password(account, new, now).await?;
        let access = Access { ended: self.sessions_of(&account.id).await?, ..Access::default() };
        self.keep("account.password-set", &actor_of(&account), &account, access, now).await?;
        self.open_session(account, false, now).await
    }

    // ------------------------------------------------------------ codes by time

    /// Begins to set up codes for the account of a session. The password is asked for again, and a code where there are
    /// codes: whoever finds an open session does not make the account their own.
    ///
    /// # Errors
    /// [`Trouble::Rejected`] at `/present` or `/present-code` for what is wrong, [`Trouble::NotNow`] after too many attempts.
    pub async fn begin_factor(
        &self,
        token: &str,
        password: &str,
        code: Option<&str>,
        client: &str,
        now: Timestamp,
    ) -> Answered<Pending> {
        let mut account = self.account_of(token, now).await?;
        let key = format!("{} {client}", account.login);
        if let Some(seconds) = self.throttled(&key, now) {
            return Err(Trouble::NotNow(format!("too many attempts; try again in {seconds} s")));
        }
        let wrong = |pointer, text: &str| {
            self.throttle().failed(&key, now);
            Err(Trouble::Rejected(vec![fault(pointer, text.into())]))
        };
        if !self.verified(password, account.password.clone()).await {
            return wrong("/present", "this is not the present password");
        }
        if let Some(kept) = &account.factor {
            let Some(factor) = self.taken(&account.id, kept, code.unwrap_or_default(), now) else {
                return wrong(
                    "/present-code",
                    "this code does not fit or was used; wait for the next one and type that",
                );
            };
            (account.version, account.factor) = (account.version + 1, Some(factor));
            // none is taken twice, here as little as at the login
            self.keep("account.confirmed", &actor_of(&account), &account, Access::default(), now).await?;
        }
        self.throttle().succeeded(&key);
        Ok(self.pending(&account, now))
    }

    /// The first code was typed: from now on one is asked for. Answers the session and the recovery codes, which are kept
    /// nowhere.
    pub async fn confirm_factor(&self, ticket: &str, code: &str, now: Timestamp) -> Answered<(LoggedIn, Vec<String>)> {
        let ended = || Trouble::NotNow("this took too long; begin again".into());
        let enrolment: Enrolment = self.read_signed(ENROLMENT, ticket).ok_or_else(ended)?;
        if enrolment.expires <= now {
            return Err(ended());
        }
        let accounts = self.store.accounts().await?;
        let asked = |a: &AccountRecord| a.id == enrolment.account && a.version == enrolment.version;
        let account = accounts.into_iter().find(|a| asked(a) && a.disabled_at.is_none()).ok_or_else(ended)?;
        let secret = factor::open(&enrolment.sealed, &account.id, &self.factor_key()).ok_or_else(ended)?;
        let wrong = || {
            let text = "this code does not fit; look at the clock of your telephone, and type the one shown now";
            Trouble::Rejected(vec![fault("/code", text.into())])
        };
        let last_step = factor::step_of(&secret, code, now, 0).ok_or_else(wrong)?;
        let codes: Vec<String> = (0..factor::RECOVERY_CODES)
            .map(|_| {
                let mut bytes = [0; factor::RECOVERY_BYTES];
                self.entropy.fill(&mut bytes);
                factor::recovery_code(&bytes)
            })
            .collect();
        let recovery = codes.iter().map(|code| factor::recovery_hash(code)).collect();
        let factor = Some(SecondFactor { sealed: enrolment.sealed, last_step, recovery });
        let account = AccountRecord { version: account.version + 1, factor, ..account };
        self.keep("account.factor-set", &actor_of(&account), &account, Access::default(), now).await?;
        Ok((self.open_session(account, false, now).await?, codes))
    }

    fn pending(&self, account: &AccountRecord, now: Timestamp) -> Pending {
        let (mut secret, mut nonce) = ([0; factor::SECRET], [0; 24]);
        self.entropy.fill(&mut secret);
        self.entropy.fill(&mut nonce);
        let sealed = factor::seal(&secret, &account.id, &self.factor_key(), nonce);
        let (id, version) = (account.id.clone(), account.version);
        let enrolment = Enrolment { account: id, version, sealed, expires: now + PENDING };
        let url = &self.settings.public_url;
        let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host).split('/').next().unwrap_or_default();
        Pending {
            ticket: self.signed_text(ENROLMENT, &enrolment),
            address: factor::address(&secret, &account.login, host),
            spelled: factor::spelled(&secret),
        }
    }

    /// The factor as it is after this code; `None` when the code does not fit or was used.
    fn taken(&self, account: &str, kept: &SecondFactor, code: &str, now: Timestamp) -> Option<SecondFactor> {
        let secret = factor::open(&kept.sealed, account, &self.factor_key())?;
        if let Some(step) = factor::step_of(&secret, code, now, kept.last_step) {
            return Some(SecondFactor { last_step: step, ..kept.clone() });
        }
        let hash = factor::recovery_hash(code);
        let place = kept.recovery.iter().position(|known| bool::from(known.ct_eq(&hash)))?;
        let mut left = kept.clone();
        left.recovery.remove(place);
        Some(left)
    }

    // ------------------------------------------------------------ sessions

    /// Opens a session, unless codes are to be set up first.
    pub(super) async fn admit(&self, account: AccountRecord, now: Timestamp) -> Answered<LoggedIn> {
        if self.doors.require_factor && account.factor.is_none() && account.federated.is_none() {
            return Ok(LoggedIn::MustEnrol(self.pending(&account, now)));
        }
        self.open_session(account, false, now).await
    }

    /// `changed` writes the account too. Sessions that ended by themselves are forgotten meanwhile.
    async fn open_session(&self, account: AccountRecord, changed: bool, now: Timestamp) -> Answered<LoggedIn> {
        let id = self.ulid(now);
        let text = format!("{PREFIX}{id}_{}", self.secret());
        let opened = TokenRecord {
            id: id.clone(),
            sha256: Sha256::digest(text.as_bytes()).into(),
            role: SESSION.into(),
            label: account.id.clone(),
            entities: Vec::new(),
            // a password that was set in the same instant does not void it
            created_at: now.max(account.valid_from),
            expires_at: Some(now + Duration::hours(SESSION_HOURS)),
            revoked_at: None,
        };
        let over = |t: &TokenRecord| t.role == SESSION && t.expires_at.is_some_and(|at| at <= now);
        let ended = self.store.tokens().await?.iter().filter(|t| over(t)).map(|t| t.id.clone()).collect();
        let detail = detail! {
            "session": Id::new(id), "role": Id::new(account.role.as_str()), "second_factor": account.factor.is_some(),
            "provider": account.federated.is_some(),
        };
        let first = self.draft_system("session.opened", &actor_of(&account), detail, now);
        let access = Access { account: changed.then_some(account), opened: Some(opened), ended };
        let kept = self.commit(Changeset { change: Change::Access(Box::new(access)), first, more: Vec::new() }).await;
        self.forget_known();
        match kept {
            // the same code, twice at once
            Err(crate::store::StoreError::Conflict { .. }) => Err(Trouble::NotPermitted(WRONG.into())),
            other => Ok(other.map(|_| LoggedIn::Open(text))?),
        }
    }

    /// The account of a session.
    pub async fn account_of(&self, token: &str, now: Timestamp) -> Answered<AccountRecord> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.known(now).await?;
        let record = self.token_of(&digest, now).await?.filter(|record| record.role == SESSION);
        let account = record.and_then(|r| known.accounts.iter().find(|a| speaks_for(&r, a)).cloned());
        account.ok_or_else(|| Trouble::NotNow("this is for accounts; you came in with a token".into()))
    }

    /// Who a session speaks for, as the account is now.
    pub(in crate::workflow) fn caller_of(record: &TokenRecord, known: &Known) -> Option<Caller> {
        let account = known.accounts.iter().find(|account| speaks_for(record, account))?;
        let role = Role::parse(&account.role)?;
        Some(Caller { name: actor_of(account), role, entities: account.entities.clone() })
    }

    pub(super) async fn sessions_of(&self, account: &str) -> Answered<Vec<String>> {
        let tokens = self.store.tokens().await?;
        Ok(tokens.into_iter().filter(|t| t.role == SESSION && t.label == account).map(|t| t.id).collect())
    }

    /// Tokens and accounts, read again after a while.
    pub(in crate::workflow) async fn known(&self, now: Timestamp) -> Answered<Arc<Known>> {
        if let Some((read_at, known)) = &*self.doors.known.read().unwrap_or_else(PoisonError::into_inner)
            && (Duration::zero()..KNOWN_LIFE).contains(&(now - *read_at))
        {
            return Ok(known.clone());
        }
        let known = Arc::new(Known { tokens: self.store.tokens().await?, accounts: self.store.accounts().await? });
        *self.doors.known.write().unwrap_or_else(PoisonError::into_inner) = Some((now, known.clone()));
        Ok(known)
    }

    /// The same, read again unless that was done within this second: whoever guesses tokens does not keep the store busy.
    pub(in crate::workflow) async fn known_again(&self, now: Timestamp) -> Answered<Arc<Known>> {
        let stale = match &*self.doors.known.read().unwrap_or_else(PoisonError::into_inner) {
            Some((read_at, _)) => now - *read_at >= Duration::seconds(1),
            None => true,
        };
        if stale {
            self.forget_known();
        }
        self.known(now).await
    }

    pub(in crate::workflow) fn forget_known(&self) {
        *self.doors.known.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    // ------------------------------------------------------------ small things

    async fn wrong(&self, keys: &[String], login: &str, now: Timestamp) -> Answered<LoggedIn> {
        keys.iter().for_each(|key| _ = self.throttle().failed(key, now));
        // what was typed as a login may be a password: only a login that exists is named
        let known = self.known(now).await?.accounts.iter().any(|a| a.login == login);
        let who = if known { format!("user:{login}") } else { "nobody".to_string() };
        self.refused_at("login.failed", &who, "/login", now).await?;
        Err(Trouble::NotPermitted(WRONG.into()))
    }

    fn throttled(&self, key: &str, now: Timestamp) -> Option<i64> {
        self.throttle().wait(key, now)
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, super::Throttle> {
        self.doors.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hashed(&self, password: &str) -> String {
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt);
        let password = password.to_string();
        let _turn = self.doors.hashers.acquire().await;
        tokio::task::spawn_blocking(move || password::hash(&password, &salt)).await.expect("hashing does not panic")
    }

    async fn verified(&self, password: &str, kept: Option<String>) -> bool {
        let password = password.to_string();
        let _turn = self.doors.hashers.acquire().await;
        let checked = tokio::task::spawn_blocking(move || password::verify(&password, kept.as_deref()));
        checked.await.unwrap_or(false)
    }

    pub(super) fn secret(&self) -> String {
        let mut secret = [0u8; 32];
        self.entropy.fill(&mut secret);
        URL_SAFE_NO_PAD.encode(secret)
    }

    /// Seals the secrets of second factors: derived from the export key, whose signatures are deterministic, by one that is
    /// never published.
    fn factor_key(&self) -> [u8; 32] {
        let label: &[u8] = b"breachclock second factors v1";
        Sha256::new().chain_update(label).chain_update(self.export_key.sign(label)).finalize().into()
    }

    pub(super) fn signed_text(&self, purpose: &'static str, claims: &impl Serialize) -> String {
        let payload = serde_json::to_vec(claims).unwrap_or_default();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(self.mac(purpose, &payload)))
    }

    pub(super) fn read_signed<T: for<'de> Deserialize<'de>>(&self, purpose: &'static str, text: &str) -> Option<T> {
        let (payload, mac) = text.split_once('.')?;
        let (payload, mac) = (URL_SAFE_NO_PAD.decode(payload).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
        let good = bool::from(self.mac(purpose, &payload).ct_eq(mac.as_slice()));
        good.then(|| serde_json::from_slice(&payload).ok()).flatten()
    }
}

fn speaks_for(record: &TokenRecord, account: &AccountRecord) -> bool {
    record.label == account.id && account.disabled_at.is_none() && record.created_at >= account.valid_from
}
