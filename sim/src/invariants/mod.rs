//! What must hold in every run, a file for each, checked against the history when the run is over.
//!
//! A checker compares what was seen with what was promised; it does not compute what the product should have done.

#![allow(clippy::wildcard_enum_match_arm, reason = "a checker picks the few events that concern it")]

mod convergence;
mod no_duplicate;
mod no_silent_loss;
mod one_holder;
mod order;
mod sessions;
mod sound_nodes;

use crate::history::Record;
use crate::plan::Plan;
use crate::report::Violation;

/// Everything that did not hold.
pub fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut violations = sound_nodes::check(history);
    violations.extend(one_holder::check(history));
    violations.extend(no_silent_loss::check(history));
    violations.extend(no_duplicate::check(history));
    violations.extend(order::check(history));
    violations.extend(convergence::check(plan, history));
    violations
}

#[cfg(test)]
mod testing {
    //! Histories written by hand.

    use std::time::Duration;

    use crate::history::{Connection, Counters, Event, Record};

    pub(super) fn at(milliseconds: u64, event: Event) -> Record {
        Record { at: Duration::from_millis(milliseconds), event }
    }

    pub(super) fn connection(user: &str, number: u32) -> Connection {
        Connection { user: user.to_owned(), number }
    }

    pub(super) fn sent(milliseconds: u64, by: &Connection, node: &str, id: &str) -> Record {
        let event =
            Event::Sent { connection: by.clone(), node: node.to_owned(), to: "u2".to_owned(), id: id.to_owned() };
        at(milliseconds, event)
    }

    pub(super) fn resumed(milliseconds: u64, by: &Connection, before: &Connection) -> Record {
        let (connection, before) = (by.clone(), before.clone());
        let counters = Counters::default();
        at(milliseconds, Event::Resumed { connection, node: "n1".to_owned(), before, counters })
    }

    pub(super) fn acknowledged(milliseconds: u64, by: &Connection, id: &str) -> Record {
        at(milliseconds, Event::Acknowledged { connection: by.clone(), id: id.to_owned() })
    }

    pub(super) fn received(milliseconds: u64, by: &Connection, node: &str, id: &str) -> Record {
        at(milliseconds, Event::Received { connection: by.clone(), node: node.to_owned(), id: id.to_owned() })
    }
}
