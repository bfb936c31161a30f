//! Nobody is served by a node whose lease has ended by its own clock, whether its tasks know it already or not (P1, P7;
//! architecture, section 4: "the clock of the lease must also count time in which the machine was suspended").

use std::time::Duration;

use super::found;
use super::nodes::Nodes;
use crate::history::{Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

/// Both times are rounded to the milliseconds in which the world moves.
const TOLERANCE: Duration = Duration::from_millis(2);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut nodes = Nodes::of(plan);
    let mut violations = Vec::new();
    for record in history {
        nodes.follow(record);
        let (Event::Holds { node, .. } | Event::Delivers { node, .. }) = &record.event else { continue };
        let lease = nodes.get(node).filter(|node| !node.is_alone).and_then(|node| node.lease_until);
        if let Some(until) = lease.filter(|until| record.at > *until + TOLERANCE) {
            let text = format!("{}, and its lease ended at {:.3} s", record.event, until.as_secs_f64());
            violations.push(found("no_delivery_without_lease", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, delivers};
    use super::*;
    use crate::history::DirectoryFact;

    fn leased(milliseconds: u64, left: u64) -> Record {
        let fact = DirectoryFact::Lease { left: Some(Duration::from_millis(left)) };
        at(milliseconds, Event::Directory { node: "n1".to_owned(), fact })
    }

    #[test]
    fn a_lease_that_is_renewed_in_time_is_enough_and_one_that_has_ended_is_not() {
        let renewed = [leased(0, 3000), leased(2000, 3000), delivers(4900, "n1")];
        let ended = [leased(0, 3000), delivers(3100, "n1")];

        assert_eq!(check(&Plan::calm(1), &renewed), []);
        assert_eq!(check(&Plan::calm(1), &ended).len(), 1);
    }
}
