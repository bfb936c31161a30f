//! What a node has handed to others and keeps until it is settled is bounded (P10, `core::limits`), and settles: when
//! nobody says anything any more, nothing remains under way. So is what waits for one session: beyond its bound the
//! session is told to end.

use std::collections::BTreeMap;
use std::time::Duration;

use cresset_core::limits::OUTBOX_PARCELS_MAX;

use super::found;
use crate::history::{DirectoryFact, Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

/// Parcels of one user that can be under way: what a client writes before it waits for an acknowledgement, to each
/// client of its peer, and the presence of all.
const PARCELS_OF_A_USER_MAX: u64 = 1024;

/// Within so long before the end everything was settled once: pings and presence go on.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let most = (PARCELS_OF_A_USER_MAX * plan.users.len().max(1) as u64).min(OUTBOX_PARCELS_MAX as u64);
    let mut violations = Vec::new();
    // Since when each node has something under way.
    let mut busy: BTreeMap<&str, (Duration, u64)> = BTreeMap::new();
    for record in history {
        match &record.event {
            Event::Directory { node, fact: DirectoryFact::UnderWay { parcels: 0 } } | Event::Started { node } => {
                busy.remove(node.as_str());
            }
            Event::Directory { node, fact: DirectoryFact::UnderWay { parcels } } => {
                busy.entry(node).or_insert((record.at, *parcels)).1 = *parcels;
                if *parcels > most {
                    let text = format!("{node} keeps {parcels} parcels of {} users", plan.users.len());
                    violations.push(found("queues_bounded", record, text));
                }
            }
            Event::Directory { node, fact: DirectoryFact::Overfull { session } } => {
                let text = format!("{node} keeps more for session {session} than may wait, and lets it go on");
                violations.push(found("queues_bounded", record, text));
            }
            _ => {}
        }
    }
    let Some(end) = history.last().filter(|end| end.at >= plan.silent_from + SETTLES_WITHIN) else { return violations };
    for (node, (since, parcels)) in busy {
        if since + SETTLES_WITHIN < end.at {
            let text = format!("{node} keeps up to {parcels} parcels since {:.3} s", since.as_secs_f64());
            violations.push(found("queues_bounded", end, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    fn under_way(milliseconds: u64, parcels: u64) -> Record {
        let (node, fact) = ("n1".to_owned(), DirectoryFact::UnderWay { parcels });
        at(milliseconds, Event::Directory { node, fact })
    }

    fn end(plan: &Plan) -> Record {
        Record { at: plan.ends_at, event: Event::Healed }
    }

    #[test]
    fn what_settles_is_right() {
        let plan = Plan::calm(1);

        assert_eq!(check(&plan, &[under_way(1, 8), under_way(2, 0), end(&plan)]), []);
    }

    #[test]
    fn a_session_for_which_too_much_waits_is_caught() {
        let overfull = DirectoryFact::Overfull { session: 3 };

        let history = [at(1, Event::Directory { node: "n1".to_owned(), fact: overfull })];

        assert_eq!(check(&Plan::calm(1), &history).len(), 1);
    }

    #[test]
    fn what_never_settles_and_what_grows_without_bound_are_caught() {
        let plan = Plan::calm(1);

        assert_eq!(check(&plan, &[under_way(1, 8), end(&plan)]).len(), 1);
        assert_eq!(check(&plan, &[under_way(1, 1 << 40), under_way(2, 0), end(&plan)]).len(), 1);
    }
}
