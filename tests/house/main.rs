//! All integration tests in one binary: one link step. Each module says what it proves.

mod architecture;
mod binary;
mod calendar_props;
mod crash;
mod default_policy;
mod depend;
mod entity;
mod evidence_vectors;
mod jurisdictions;
mod notify_email;
mod notify_render;
mod notify_support;
mod notify_webhook;
mod overlay;
mod reload;
mod reopen;
mod rulebook;
mod scenarios;
mod simulation;
mod store_contract;
mod strangers;
mod support;
mod time_vectors;
mod web;
mod zones;
