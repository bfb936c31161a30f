//! Agreement: openraft with a log of our own on disk, the links as its network, and the control task as its state.

pub mod log;
pub mod types;
