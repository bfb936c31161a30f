//! The means by which a node does what `cresset-core` decides: sockets, tasks, files, databases.
//!
//! # What crosses threads
//!
//! A node has threads for its control plane and others for its clients and data lanes. On the way of a stanza this is all
//! that is shared; its interleavings are tested in `interleavings`.
//!
//! | what | owned by | how others reach it |
//! |---|---|---|
//! | a session, what it has said, its transport | the task of its connection | not at all |
//! | what waits for a session | its [mailbox](router::SessionHandle), behind a lock | all put in; its own task takes, and closes it |
//! | which session holds which route | the control plane's task | lanes read it, and leave in it what comes before its route: a lock, which is held until that is in the mailbox |
//! | where everybody is | the control plane's task | [all read it](router::View), an account at a time, without a lock |
//! | whether the node serves, until when, in which life | the control plane's task | [all read it](router::Gate): each is one number |
//! | which sessions there are | each enters and leaves by itself | a table; the control plane's task tells all that are in it what the gate is, and a session that enters reads the gate afterwards |
//! | what is under way to a life of another member | the task of its lane | all put into [its queue](links::DataLane); its own task takes, and ends it |
//! | what a life of another member has sent | the task of its inbox | sessions tell it what has become of a parcel, by a channel |
//! | the lanes and inboxes by life | the control plane's task makes and ends them | all look them up, without a lock |
//! | what is decided again | the task of its row | all put into a channel, whose only end it has |
//!
//! What else the router keeps behind locks (where clients are sent, the door, quotas, who may be resumed) is one value each,
//! from which nothing else follows. No lock is held over a wait. A mailbox is locked under the lock of the routes and under that
//! of what waits for an account; no other two are held at once.

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
#[cfg(all(test, feature = "interleavings"))]
mod interleavings;
pub mod links;
pub mod router;
pub mod run;
pub mod runtime;
mod sync;
pub mod transport;
pub mod witness;
