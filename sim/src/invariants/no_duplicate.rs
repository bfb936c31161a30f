//! P3: within one session nobody gets a message twice, on however many connections it goes on. A later session may get
//! once more what an earlier one did not acknowledge.

use std::collections::BTreeSet;

use super::sessions::Sessions;
use crate::history::{Event, Record};
use crate::report::Violation;

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let sessions = Sessions::of(history);
    let mut seen = BTreeSet::new();
    let mut violations = Vec::new();
    for record in history {
        if let Event::Received { connection, id, .. } = &record.event
            && !seen.insert((sessions.beginning(connection), id))
        {
            let text = format!("{connection} received {id} again");
            violations.push(Violation { invariant: "no_duplicate", at: Some(record.at), text });
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{connection, received, resumed};
    use super::*;

    #[test]
    fn one_more_copy_is_caught_within_a_session_and_not_in_the_next() {
        let (first, second) = (connection("u2", 1), connection("u2", 2));

        let history =
            [received(1, &first, "n1", "a"), received(2, &second, "n1", "a"), received(3, &second, "n1", "a")];

        assert_eq!(check(&history).len(), 1);
    }

    #[test]
    fn one_more_copy_is_caught_when_the_session_was_resumed_meanwhile() {
        let (first, second) = (connection("u2", 1), connection("u2", 2));

        let history = [received(1, &first, "n1", "a"), resumed(2, &second, &first), received(3, &second, "n1", "a")];

        assert_eq!(check(&history).len(), 1);
    }
}
