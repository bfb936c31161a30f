//! What a client keeps of its session when the connection breaks (XEP-0198).
//!
//! The invariant: everything that was written and not acknowledged is kept, in order, so that it can be written again.

use std::collections::VecDeque;

use cresset_core::xml::Element;

use crate::history::{Connection, Counters, Event};

/// A client's side of a session.
pub(super) struct Session {
    /// The connection on which it is, or was last.
    pub(super) connection: Connection,
    /// By what it is resumed, if it can be.
    pub(super) resumption: Option<String>,
    /// What the node has not acknowledged.
    unacknowledged: VecDeque<Written>,
    /// How many the node has acknowledged.
    acknowledged: u32,
    /// Stanzas that came.
    handled: u32,
}

/// A stanza of the client.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) stanza: Element,
    /// Its id, if the history knows it.
    pub(super) id: Option<Known>,
}

/// The id of a stanza of which the history knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Known {
    Message(String),
    Request(String),
}

/// The node has acknowledged what it cannot have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("acknowledged {count}, of {sent} sent and {acknowledged} acknowledged before")]
pub(super) struct WrongCount {
    count: u32,
    sent: u32,
    acknowledged: u32,
}

impl Known {
    /// That the node has acknowledged it.
    pub(super) fn acknowledged(self, connection: Connection) -> Event {
        match self {
            Known::Message(id) => Event::Acknowledged { connection, id },
            Known::Request(id) => Event::AcknowledgedAsking { connection, id },
        }
    }
}

impl Session {
    pub(super) fn new(connection: Connection, resumption: Option<String>) -> Self {
        Session { connection, resumption, unacknowledged: VecDeque::new(), acknowledged: 0, handled: 0 }
    }

    /// A stanza is to be written.
    pub(super) fn write(&mut self, stanza: Element, id: Option<Known>) {
        self.unacknowledged.push_back(Written { stanza, id });
    }

    /// A stanza came.
    pub(super) fn handle(&mut self) {
        self.handled = self.handled.wrapping_add(1);
    }

    /// How many stanzas came.
    pub(super) fn handled(&self) -> u32 {
        self.handled
    }

    /// The node says how many it has handled: gives what is known of those that are new.
    pub(super) fn acknowledge(&mut self, count: u32) -> Result<Vec<Known>, WrongCount> {
        let more = count.wrapping_sub(self.acknowledged) as usize;
        if more > self.unacknowledged.len() {
            return Err(WrongCount { count, sent: self.sent(), acknowledged: self.acknowledged });
        }
        self.acknowledged = count;
        Ok(self.unacknowledged.drain(..more).filter_map(|written| written.id).collect())
    }

    /// What the node has not acknowledged, the oldest first.
    pub(super) fn unacknowledged(&self) -> impl ExactSizeIterator<Item = &Written> {
        self.unacknowledged.iter()
    }

    /// What both sides say when the session is resumed and the node has handled so many.
    pub(super) fn counters(&self, answered: u32) -> Counters {
        Counters { sent: self.sent(), acknowledged: self.acknowledged, answered, told: self.handled }
    }

    fn sent(&self) -> u32 {
        self.acknowledged.wrapping_add(u32::try_from(self.unacknowledged.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Known {
        Known::Message(id.to_owned())
    }

    fn session() -> Session {
        let mut session = Session::new(Connection { user: "u1".to_owned(), number: 1 }, None);
        for id in ["a", "b"] {
            session.write(Element::new("message", "jabber:client"), Some(message(id)));
        }
        session
    }

    #[test]
    fn what_is_acknowledged_is_not_written_again() {
        let mut session = session();

        assert_eq!(session.acknowledge(1), Ok(vec![message("a")]));
        assert_eq!(
            session.unacknowledged().map(|written| written.id.clone()).collect::<Vec<_>>(),
            [Some(message("b"))]
        );
        assert_eq!(session.counters(1), Counters { sent: 2, acknowledged: 1, answered: 1, told: 0 });
    }

    #[test]
    fn a_count_that_is_too_high_or_goes_back_is_wrong() {
        let mut session = session();

        assert!(session.acknowledge(3).is_err());
        assert!(session.acknowledge(2).is_ok());
        assert!(session.acknowledge(1).is_err());
    }
}
