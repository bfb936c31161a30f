//! Conversations: what the client says and hears, what the session orders and is told.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod client;
mod messages;
