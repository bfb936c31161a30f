//! The means by which a node does what `cresset-core` decides: sockets, tasks, files, databases.

pub mod accounts;
pub mod transport;
