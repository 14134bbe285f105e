//! All integration tests in one binary: one link step. Each module says what it proves.

mod architecture;
mod binary;
mod calendar_props;
mod crash;
mod entity;
mod evidence_vectors;
mod jurisdictions;
mod nodes;
mod notify_email;
mod notify_render;
mod notify_support;
mod notify_webhook;
mod reload;
mod rulebook;
mod scenarios;
mod store_contract;
mod support;
mod time_vectors;
mod web;
mod zones;
