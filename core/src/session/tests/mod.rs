//! Conversations: what the client says and hears, what the session orders and is told.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod ack;
mod bind;
mod chaos;
mod client;
mod closing;
mod login;
mod messages;
mod moving;
mod offline;
mod presence;
mod recipients;
mod resumption;
mod roster;
mod services;
mod silence;
mod stanzas;
mod stream;
