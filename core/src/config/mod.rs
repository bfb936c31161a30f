//! The configuration file, `cresset.xml`, as one typed value.
//!
//! ```text
//! bytes ─▶ document (elements with places) ─▶ cresset (our words) ─┬─▶ Config + warnings
//!                                              tcp_ip (Hazelcast's) ┘      or every problem found, with its place
//! ```
//!
//! Whoever holds a [`Config`] holds one that is consistent: paths are absolute or relative to the process, addresses
//! are addresses, and the times satisfy the inequality on which "one owner" rests (see [`Timing`]). Nobody further in
//! sees a string of the file. All problems of a file are reported at once, in the order of their places.
//!
//! Not here: whether a certificate can be read or a port is free. Only the one who opens it can know.

mod cresset;
pub mod discovery;
mod document;
mod effective;
mod model;
mod problem;
mod reading;
mod tcp_ip;
mod timing;

pub use cresset::{Checked, read};
pub use discovery::Discovery;
pub use model::{
    Accounts, CertificateFiles, ClientSettings, ClusterSettings, Config, Listener, ListenerTls, NodeSettings,
    PeerAddress, ServerRole,
};
pub use problem::{Fault, Place, Problem, Problems, Warning};
pub use timing::Timing;

/// Bytes of a configuration file. Beyond it: [`Fault::TooLarge`].
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
