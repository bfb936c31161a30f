//! Steps of the negotiation, asked for by a client that is through with it.

use super::{Answer, Request};
use crate::stanza::ErrorCondition;

/// What is left of RFC 3921: a session begins with the bind, and some clients ask for it to begin nevertheless.
pub(super) fn session(_: &Request<'_>) -> Answer {
    Answer::Result(None)
}

/// A session has one JID (RFC 6120 section 7.1).
pub(super) fn bind(_: &Request<'_>) -> Answer {
    Answer::Refused(ErrorCondition::NotAllowed)
}
