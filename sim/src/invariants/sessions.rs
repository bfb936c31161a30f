//! Which connections carry one session: one on which a session was resumed has that of the connection before.

use std::collections::BTreeMap;

use crate::history::{Connection, Event, Record};

/// The sessions of a history.
pub(super) struct Sessions<'a> {
    before: BTreeMap<&'a Connection, &'a Connection>,
}

impl<'a> Sessions<'a> {
    pub(super) fn of(history: &'a [Record]) -> Self {
        let before = history.iter().filter_map(|record| match &record.event {
            Event::Resumed { connection, before, .. } => Some((connection, before)),
            _ => None,
        });
        Sessions { before: before.collect() }
    }

    /// The connection on which the session began that this one has.
    pub(super) fn beginning(&self, connection: &'a Connection) -> &'a Connection {
        let mut first = connection;
        // Each is younger than the one before, so this ends.
        while let Some(before) = self.before.get(first) {
            first = before;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{connection, resumed};
    use super::*;

    #[test]
    fn a_session_that_was_resumed_twice_is_the_one_that_began() {
        let [first, second, third, other] = [1, 2, 3, 4].map(|number| connection("u1", number));
        let history = [resumed(1, &second, &first), resumed(2, &third, &second)];

        let sessions = Sessions::of(&history);

        assert_eq!(sessions.beginning(&third), &first);
        assert_eq!(sessions.beginning(&other), &other);
    }
}
