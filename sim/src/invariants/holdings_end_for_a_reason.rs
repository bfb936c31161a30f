//! A holding ends because its own session gave it back, a later bind took its JID over, or the life of its member ended,
//! and for no other reason: the end of one session never takes the JID from another one (the error of the original that
//! `peers.md` describes; architecture, section 3).

use std::collections::{BTreeMap, BTreeSet};

use cresset_core::ids::RouteId;

use super::found;
use crate::history::{DirectoryFact, Event, LifeStage, Record};
use crate::report::Violation;

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut holdings: BTreeMap<&str, BTreeSet<RouteId>> = BTreeMap::new();
    let mut holders: BTreeMap<RouteId, u64> = BTreeMap::new();
    let mut lives: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for record in history {
        match &record.event {
            Event::Directory { fact: DirectoryFact::Added { jid, route, member, .. }, .. } => {
                holdings.entry(jid).or_default().insert(*route);
                holders.insert(*route, *member);
            }
            Event::Directory {
                fact: DirectoryFact::Life { member, incarnation, stage: LifeStage::Ended, .. }, ..
            } => {
                lives.entry(*member).or_default().insert(*incarnation);
            }
            _ => {}
        }
    }
    let mut given_back = BTreeSet::new();
    let mut violations = Vec::new();
    for record in history {
        let Event::Directory { node, fact } = &record.event else { continue };
        match fact {
            DirectoryFact::UnbindAsked { route } => {
                given_back.insert(*route);
            }
            DirectoryFact::Removed { jid, route, index } => {
                let later = holdings.get(jid.as_str()).and_then(|all| all.range(*route..).nth(1));
                let is_replaced = later.is_some_and(|later| later.index.0 <= *index);
                let life = holders.get(route).and_then(|member| lives.get(member));
                let has_ended = life.is_some_and(|lives| lives.range(..route.index.0).next().is_some());
                if !is_replaced && !has_ended && !given_back.contains(route) {
                    let text = format!("{node} took {jid} from {route} for no reason");
                    violations.push(found("holdings_end_for_a_reason", record, text));
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{added, directory, removed, route};
    use super::*;

    #[test]
    fn each_reason_is_one() {
        let life = DirectoryFact::Life { member: 1, incarnation: 2, stage: LifeStage::Ended, index: 9 };
        let unbind = directory("n1", DirectoryFact::UnbindAsked { route: route(5) });
        let added_first = added("n1", "a", 5, 1);

        assert_eq!(check(&[added_first.clone(), unbind, removed("n1", "a", 5)]), []);
        assert_eq!(check(&[added_first.clone(), removed("n1", "a", 5), directory("n1", life)]), []);
        let replaced = DirectoryFact::Removed { jid: "a".to_owned(), route: route(5), index: 7 };
        assert_eq!(check(&[added_first, directory("n1", replaced), added("n1", "a", 7, 2)]), []);
    }

    #[test]
    fn the_end_of_an_earlier_session_that_ends_a_later_one_is_caught() {
        let unbind = directory("n1", DirectoryFact::UnbindAsked { route: route(5) });
        let history = [added("n1", "a", 5, 1), added("n1", "a", 7, 2), unbind, removed("n1", "a", 7)];

        assert_eq!(check(&history).len(), 1);
    }
}
