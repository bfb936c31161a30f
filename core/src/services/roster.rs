//! Who may ask for a roster: its owner, and nobody else (RFC 6121 section 2.3.3).

use super::{Answer, Request};
use crate::jid::Jid;
use crate::stanza::ErrorCondition;

pub(super) fn of_owner(request: &Request<'_>) -> Answer {
    Answer::Roster(request.child.open())
}

/// The same for every address without resource, so it tells nothing of who is there. What has a resource is no account.
pub(super) fn of_another(request: &Request<'_>) -> Answer {
    match request.iq.to.as_ref().is_some_and(Jid::is_full) {
        true => Answer::Route,
        false => Answer::Refused(ErrorCondition::Forbidden),
    }
}
