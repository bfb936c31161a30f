//! The operator's commands: they look at files or ask a running node, and say what they found.

pub(crate) mod cluster;
pub(crate) mod config;
mod drain;
pub(crate) mod property;
mod recover;
mod store;
pub(crate) mod user;
