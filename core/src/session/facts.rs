//! What a session is told.

use crate::cluster::ExpelReason;
use crate::ids::{Life, RouteId};
use crate::jid::FullJid;
use crate::sasl::{KeyShape, ScramKeys};
use crate::stanza::Stanza;
use crate::time::UnixMillis;

/// The TLS handshake on the transport is complete; from here on bytes are those within TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlsEstablished;

/// What the accounts know of somebody who wants to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialsAnswer {
    /// There is such an account: its keys, at most one set for each hash.
    Known(Vec<ScramKeys>),
    /// There is none: how the keys look of the account that was drawn, if there is any account.
    Unknown(Vec<KeyShape>),
    /// The accounts cannot be reached.
    Unavailable,
    /// Too many passwords are tried: nothing was looked up.
    TooManyTries,
}

/// The session holds its JID and every active member knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bound {
    /// What was asked for by [`Order::Bind`](crate::session::Order::Bind).
    pub(super) jid: FullJid,
    /// The holding.
    pub(super) route: RouteId,
}

/// The accounts cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the accounts cannot be reached")]
pub struct StoreUnavailable;

/// A message that waited for the account, and goes on waiting under its key until it is settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfflineMessage {
    /// Greater for a message that was stored later.
    pub key: i64,
    /// The message as it was stored.
    pub message: Stanza,
    /// When it was stored, for the delay stamp (XEP-0203).
    pub at: UnixMillis,
}

/// Whose sessions ended without a word of theirs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// Those of a member that was expelled.
    Life(Life),
    /// Those of a member that left. Who ended there has said so; who did not goes on at that node, which is alone now.
    Left(Life),
    /// Those of all other members: the node leaves the cluster, or comes into it.
    AllElsewhere,
}

impl Lost {
    /// Those of a life that ended so.
    #[must_use]
    pub fn with(life: Life, expelled: Option<ExpelReason>) -> Lost {
        match expelled {
            Some(_) => Lost::Life(life),
            None => Lost::Left(life),
        }
    }
}
