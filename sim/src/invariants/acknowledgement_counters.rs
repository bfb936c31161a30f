//! Both sides agree on what has arrived when a session is resumed: the node has handled no more than the client has
//! written, and no less than it had acknowledged before (XEP-0198, section 5: "the 'h' attribute").

use super::found;
use crate::history::{Event, Record};
use crate::report::Violation;

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for record in history {
        let Event::Resumed { counters, .. } = &record.event else { continue };
        let written_since = counters.sent.wrapping_sub(counters.acknowledged);
        let handled_since = counters.answered.wrapping_sub(counters.acknowledged);
        if handled_since > written_since {
            violations.push(found("acknowledgement_counters", record, record.event.to_string()));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection};
    use super::*;
    use crate::history::Counters;

    fn resumed(sent: u32, acknowledged: u32, answered: u32) -> Record {
        let (connection, before) = (connection("u1", 2), connection("u1", 1));
        let counters = Counters { sent, acknowledged, answered, told: 0 };
        at(1, Event::Resumed { connection, node: "n1".to_owned(), before, counters })
    }

    #[test]
    fn what_was_handled_lies_between_what_was_acknowledged_and_what_was_written() {
        assert_eq!(check(&[resumed(9, 5, 5), resumed(9, 5, 9), resumed(3, u32::MAX, 2)]), []);
    }

    #[test]
    fn more_than_was_written_and_less_than_was_acknowledged_are_caught() {
        assert_eq!(check(&[resumed(9, 5, 10)]).len(), 1);
        assert_eq!(check(&[resumed(9, 5, 4)]).len(), 1);
    }
}
