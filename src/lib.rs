//! breachclock: the legal clock, escalation until acknowledged, and evidence a regulator can check.
//!
//! # The path of data
//! ```text
//! bytes ─► ingest ─► Report ─► workflow::intake ──► law::Incident (facts, each asserted by someone at a time)
//!                                                     │  rules::plan            pure
//!                                                     ▼
//!                                    Plan: obligations with two dates and a derivation, open questions
//!                                                     │  escalation::decide     pure, `now` is an argument
//!                                                     ▼
//!                                    Decision: messages with reasons, and the next alarm
//!                                                     │
//!              store::commit(Changeset) ◄─────────────┘   the only door for writes; evidence in the same transaction
//!                        │
//!        ┌───────────────┼──────────────────────┐
//!        ▼ due(now)      ▼ claim_outbox(now)    ▼ entries, checkpoint
//!  workflow::wake   workflow::deliver      workflow::attest, workflow::export
//!                        │
//!                        ▼ bounces, receipts, replies come back by mail
//!                   workflow::inbound: ingest::mail_in finds the news, `notify::mail_id` the message
//! ```
//!
//! # Layers
//! A module imports only from lines above its own; `tests/house/architecture.rs` holds this table and checks it.
//!
//! | layer | modules | what |
//! |---|---|---|
//! | 0 | [`time`] | calendar arithmetic, no idea of law |
//! | 1 | [`law`] | the nouns: incident, fact, duty, obligation, deadline |
//! | 2 | [`rules`] [`escalation`] [`evidence`] [`ingest`] [`draft`] | pure functions over the nouns; siblings never import each other |
//! | 3 | [`store`] [`notify`] | doors to the world: traits and adapters |
//! | 4 | [`workflow`] | one file per verb, where pure and impure meet |
//! | 5 | [`web`] | the HTTP face |
//! | 6 | [`config`] [`daemon`] | settings, tasks, clock, signals |
//! | 7 | [`cli`] | the command-line face |
//!
//! # What is absent
//! * `time`, `law`, `rules`, `escalation`, `evidence`, `ingest`, `draft` never read a clock, a file, an environment variable or a
//!   random number, and never log; they return.
//! * Nothing below `daemon` calls `now()`; whoever needs the present has a parameter of that name.
//! * No row stores a status that depends on the present moment; there are no timer rows, one alarm per incident.
//! * No write without evidence; the evidence table refuses updates and deletions.
//! * No text in an entry that nobody called public: the compiler asks about every field of a body.
//! * No duty without citation, no deadline without derivation, no message without reason.
//! * No jurisdiction's name in code: the law is data under `jurisdictions/`.
//! * No personal text that erasing does not reach, in SQLite down to the bytes of the files; `tests/house/erasure.rs`.
//! * The daemon never notifies an authority by itself; it records that people did.
//!
//! # Where to add things
//! | to add | touch | proof |
//! |---|---|---|
//! | a jurisdiction | `jurisdictions/README.md` says how; no Rust | `breachclock law check` |
//! | a form of a notice, a letter | `jurisdictions/forms`, one file; no Rust | `tests/house/draft.rs`, a case in `tests/vectors/draft` |
//! | what fills a content item of a duty | `jurisdictions/forms/items.toml` | `tests/house/draft.rs` |
//! | a line a condition may say | `src/rules/condition.rs`, one `Atom`; what `law vary` makes of it: `src/rules/vary.rs`; `jurisdictions/README.md` | `tests/house/packs/texts.toml` |
//! | a fact whose silence removes a duty | ask for it in the pack, or `breachclock law silences > jurisdictions/SILENCES.txt` | `tests/house/jurisdictions.rs` |
//! | a holiday calendar | `jurisdictions/calendars` | `tests/house/time_vectors.rs` |
//! | a way of counting | `jurisdictions/conventions.toml`; `src/time/convention.rs` if the algebra lacks it | `tests/vectors` |
//! | a channel that is one HTTP request | `src/notify/channel` one file, one line in `src/notify/channel.rs` | a sample and a golden file in `tests/house/notify_channels.rs` |
//! | another notifier | `src/notify` one file, one line in `src/notify/mod.rs` | the shared exercise in its tests |
//! | an ingest format | `src/ingest/tools` one file, one variant of `Tool`; how a sender proves itself is `src/workflow/senders.rs` | samples in `tests/vectors/ingest`, `tests/house/ingest_formats.rs`, `tests/house/ingest_web.rs` |
//! | a kind of mail that comes back | `src/ingest/mail_in/report.rs`; a case in `tests/vectors/mail_in` | `tests/house/mail_in.rs` |
//! | a form of calendar entry | `src/ingest/ical`; a case in `tests/vectors/ical` | `tests/house/ical.rs` |
//! | a duty whose delay is announced before the limit | `delay_notice` in its pack; the step is `src/escalation/delay.rs` | `tests/scenarios/delay-notice.toml` |
//! | a part of a digest | `src/workflow/digests.rs`, one variant | `tests/house/digests.rs`, `tests/vectors/digests.toml` |
//! | a kind of entry | `src/workflow/evidence_of.rs`, one `entry_body!`; see `src/evidence/public.rs`; its type in `src/evidence/kinds.rs`, its schema in `docs/schemas/entry.json` | the compiler, `tests/house/entry_types.rs` |
//! | a text about an incident, besides the log | `src/workflow/erase/texts.rs`: erasing must reach it | the compiler |
//! | a language of the report | `src/evidence/bundle/words.toml`, one table | its tests, `tests/house/export.rs` |
//! | a part of the report | `src/evidence/report/mod.rs`; both renderers draw blocks | `tests/house/export.rs`, `report-pdf/tests` |
//! | a kind of entry in the timeline | `src/evidence/timeline.rs`, one arm | its cases |
//! | a kind of entry that changes an incident | `src/workflow/rebuild.rs`, one arm | the scenarios: each ends with a comparison of store and entries |
//! | a manipulation of evidence | `tests/vectors/evidence`, one file; one of the database in `tests/house/fsck.rs`, of a ZIP file in `tests/house/hostile_bundles.rs` | all verifiers name the file |
//! | a reader of outside bytes | `fuzz/targets.rs`, one function; `fuzz/corpus` | `tests/house/fuzz.rs` |
//! | something outside that vouches for the log | a kind of `StoredAnchor`; `src/workflow/anchor.rs` and `src/workflow/witness.rs` ask, `src/evidence/stamps.rs` ships | `tests/house/anchors.rs`, `tests/house/witnesses.rs`, `tests/house/stamped_bundle.rs` |
//! | something to look at before it fails | `src/daemon/doctor.rs`, one line; a probe beside it; people in `src/escalation/readiness.rs` | `tests/house/doctor.rs`, `tests/vectors` |
//! | a scenario of an exercise | `src/daemon/drill/default.toml` explains the form; no Rust | `tests/house/drill.rs` |
//! | a column of the register | `src/evidence/register.rs`; `src/workflow/register.rs` fills it | `tests/house/register.rs` |
//! | a number about the register | `src/evidence/register/statistics.rs` | `tests/vectors/statistics.toml` |
//! | a kind of file | `src/workflow/attachments.rs`, one variant | `tests/house/custody.rs` |
//! | a folder that backups must hold | `src/daemon/backup/archive.rs`, one word | `tests/house/backup.rs` |
//! | a route | `src/web/router.rs`, one line; the handler calls one workflow function; who may in `tests/vectors/access.toml`; what it takes and may answer in `src/web/openapi/operations.json`, the shape of an answer is that of its type in `src/web/openapi/shapes.rs` | `tests/house/access.rs`, `tests/house/contract.rs`, `tests/house/repeated.rs`; `docs/schemas/openapi.json` is written by the test in `src/web/openapi.rs` |
//! | a POST that changes no incident | answer by `web::repeat::once`: its key is kept there | `tests/house/repeated.rs` |
//! | a POST that answers what it changed of an incident | `web::repeat::once_on_incident`: what it said is said again | `tests/house/repeated.rs` |
//! | a list | `web::query::listed` cuts its pages | `tests/house/repeated.rs` |
//! | a request that was answered wrongly | `tests/vectors/requests`, one file | `tests/house/mutated.rs` |
//! | a way to come in | `src/workflow/accounts`; a page in `src/web/dashboard/login.rs`, `src/web/dashboard/account.rs` | `tests/house/accounts.rs`, `tests/browser/provider.test.mjs` |
//! | a kind of decision that waits | `src/workflow/decisions.rs`, one `Waiting`; its words in `src/web/dashboard/decisions.rs` | `tests/house/pages.rs` |
//! | a table of the configuration | `src/config`, and its words in `src/config/overview.rs`, without secrets | `tests/house/pages.rs` |
//! | a kind of access in the audit | `src/workflow/access_log.rs`, one `AccessKind` | `tests/house/pages.rs` |
//! | where the coverage map draws a place | `src/web/assets/regions.txt`; no Rust | its tests |
//! | a page | `src/web/dashboard`, one file and one template; every page is looked at by axe-core | `tests/browser` |
//! | a form of a page | its handler takes `Sent`, its page `Typed`; the way back in `src/web/dashboard/typed.rs` | a row of `tests/house/forms.toml` |
//! | a command, route, metric or fact | its page in `docs/src` | `scripts/check-docs.py` |
//! | a store | `src/store` one folder; `src/config/store.rs` and `src/daemon/open.rs` name it | `tests/house/store_contract.rs` |
//! | a fault to survive | the layer that meets it | `tests/house/crash.rs` and the files named `fault_` beside it; heavier: `scripts/faults.sh` |
//!
//! # Glossary
//! * *fact*: asserted by someone at a time, superseded, never edited. Absent means unknown.
//! * *duty*: a rule in a pack; *obligation*: its instance for one incident and one recipient.
//! * *due*: the legal instant, exclusive; *conservative due*: the earliest defensible reading; reminders run on it.
//! * *standing*: running, awaiting, possible, discharged, waived, withdrawn, not applicable.
//! * *notification*: the statutory act towards a recipient; *message*: what we send to our own people.
//! * *acknowledgement*: a lease; it silences for a while and ends nothing.
//! * *exercise*, *drill*: real people and channels on synthetic time; `clock::now` is synthetic then, `Context::wall` real.
//! * *disclosure*: a personal value beside the log, behind a commitment in it; *hold*: nothing of an incident is erased.
//! * *account*, *session*: somebody who logs in, and one time of it; a *token* is for programs. Each acts by a role.
//! * *entry*, *checkpoint*: a leaf of the evidence log, and its signed head.
//! * *anchor*: what somebody outside says about a checkpoint: a *time stamp* of an *authority* (RFC 3161), a *cosignature*
//!   of a *witness* (C2SP tlog-witness).

pub mod cli;
pub mod config;
pub mod daemon;
pub mod draft;
pub mod escalation;
pub mod evidence;
pub mod ingest;
pub mod law;
pub mod notify;
pub mod rules;
pub mod store;
pub mod time;
pub mod web;
pub mod workflow;
