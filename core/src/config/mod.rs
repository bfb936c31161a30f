//! The configuration of a node as one typed value.
//!
//! ```text
//! cresset.xml ─┐               ┌▶ cresset (our words) ────────┐
//! imports ─────┤ assembly ─────┤                              ├─▶ Config, warnings, what was ignored, origins
//! variables ───┘ (one tree)    └▶ hazelcast (Hazelcast's) ────┘   or every problem found, with its file and place
//! ```
//!
//! Whoever holds a [`Config`] holds one that is consistent: paths are absolute or relative to the process, addresses
//! are addresses, and the times satisfy the inequality on which "one owner" rests (see [`crate::fencing`]). Nobody further
//! in sees a string of the file. All problems are reported at once, in the order of their places.
//!
//! Reading is a function: other files, variables and the addresses of the machine are asked of [`Surroundings`]. Not
//! here: whether a certificate can be read or a port is free. Only the one who opens it can know.

pub mod alike;
mod assembly;
mod cresset;
mod database_url;
pub mod discovery;
mod document;
mod effective;
mod files;
mod hazelcast;
mod load;
mod model;
mod origins;
mod problem;
pub mod properties;
mod reading;
mod timing;

pub use database_url::DatabaseUrl;
pub use discovery::Discovery;
pub use files::{Content, Dialect, Files, Nowhere, Surroundings, Variable};
pub use load::{Checked, CheckedCluster, CheckedFile, Given, Main, load, load_file, read};
pub use model::{
    Accounts, CertificateFiles, ClientSettings, ClusterSettings, Config, Listener, ListenerTls, NodeSettings,
    PeerAddress, PostgresSettings, ServerRole,
};
pub use origins::{Ignored, Origins};
pub use problem::{Fault, Place, Problem, Problems, Warning};
pub use timing::Timing;

/// Bytes of a configuration file. Beyond it: [`Fault::TooLarge`].
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
