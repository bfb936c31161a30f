//! The means by which a node does what `cresset-core` decides: sockets, tasks, files, databases.

pub mod accounts;
pub mod addresses;
pub mod admin;
mod attendance;
pub mod certificate;
pub mod clients;
pub mod clock;
pub mod consensus;
mod control;
pub mod descriptors;
mod discovery;
pub mod disk;
#[cfg(test)]
mod formats;
pub mod health;
#[cfg(test)]
mod hostile_bytes;
pub mod links;
pub mod router;
pub mod run;
pub mod runtime;
pub mod transport;
pub mod witness;
