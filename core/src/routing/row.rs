//! What came back and is to be decided again, in the order in which this node was first asked to decide.
//!
//! A stanza gets its [`Turn`] when the node decides about it for the first time and keeps it wherever it goes: on a lane,
//! in a mailbox, in the hands of another member. What comes back comes back late, by several ways, and sometimes while
//! something later waits already; its turn puts it where it belongs.
//!
//! The rules for whoever decides, one thing after the other for each account:
//!
//! * The earliest turn goes first. Before each step what has arrived meanwhile is taken into the row.
//! * Before a stanza goes to an account whose [`Paths`](super::paths::Paths) name an ended route, it is put back into
//!   the row, and nothing is decided until nothing is under way on that route: what comes back from there may be earlier.
//! * A sender whose own earlier stanzas may be among these stands in the row himself, with the turn of what he wants to
//!   send. He is let past when it is his.
//!
//! Nobody waits in a circle: the row waits for routes that have ended, their holders give back what they have without
//! waiting for a row, and only senders wait for a row.
//!
//! Its length is bounded by what outboxes and mailboxes hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::planted;

/// The place of a stanza among all about which this node has decided: a lower one was there earlier. Never on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Turn(pub u64);

/// Things that wait for their turn.
#[derive(Debug)]
pub(super) struct Row<T> {
    /// What has the same turn (copies of one stanza) goes as it came.
    waiting: BTreeMap<(Turn, u64), T>,
    arrivals: u64,
}

impl<T> Default for Row<T> {
    fn default() -> Self {
        Row { waiting: BTreeMap::new(), arrivals: 0 }
    }
}

impl<T> Row<T> {
    /// Lets something stand in the row.
    pub(super) fn push(&mut self, turn: Turn, thing: T) {
        self.arrivals += 1;
        let turn = if planted!(TurnIgnored) { Turn::default() } else { turn };
        self.waiting.insert((turn, self.arrivals), thing);
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(Turn, T)> {
        let ((turn, _), thing) = self.waiting.pop_first()?;
        Some((turn, thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_late_goes_before_what_is_later() {
        let mut row = Row::default();
        row.push(Turn(4), "sender");
        row.push(Turn(2), "second");
        row.push(Turn(1), "first");

        assert_eq!(row.pop(), Some((Turn(1), "first")));
        row.push(Turn(2), "copy of the second");
        row.push(Turn(1), "first again");

        let order: Vec<_> = std::iter::from_fn(|| row.pop()).map(|(_, thing)| thing).collect();
        assert_eq!(order, ["first again", "second", "copy of the second", "sender"]);
    }
}
