//! Whether the server is there (XEP-0199).

use super::{Answer, Request};

pub(super) fn pong(_: &Request<'_>) -> Answer {
    Answer::Result(None)
}
