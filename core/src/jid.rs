//! JIDs, parsed and prepared by the crate `jid` (RFC 6122: nodeprep, IDNA, resourceprep; parts of at most 1023 bytes).
//!
//! Past the edge of the system a JID is one of these types, never a string. They are compared, hashed and written in
//! their prepared form.

pub use jid::{BareJid, DomainPart, DomainRef, Error as JidError, FullJid, Jid, NodePart, ResourcePart};
