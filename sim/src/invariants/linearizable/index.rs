//! The checker by positions in the log: the number of a holding is where in the log it was agreed on.
//!
//! A bind was agreed on after it was asked for: behind everything that its node had applied by then, and behind
//! everything that any node had answered by then. When it is answered its node has applied it. A look-up finds, of its
//! JID, nothing older than what was answered before, and nothing older than the same node found before.

use std::collections::{BTreeMap, BTreeSet};

use cresset_core::ids::RouteId;

use super::super::found;
use super::super::nodes::Nodes;
use crate::history::{DirectoryFact, Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

struct Asked<'a> {
    jid: &'a str,
    /// How far its node was.
    applied: u64,
    /// The latest holding that any node had answered.
    answered: Option<RouteId>,
}

#[derive(Default)]
struct Known<'a> {
    asked: BTreeMap<(&'a str, u64), Asked<'a>>,
    /// The latest holding that was answered: at all, and of each JID.
    last: Option<RouteId>,
    last_of: BTreeMap<&'a str, RouteId>,
    /// Holdings that have ended on some node.
    ended: BTreeSet<RouteId>,
    /// Of each node and JID the latest holding that was found, and of each node how far it was shown.
    found: BTreeMap<(&'a str, &'a str), RouteId>,
    shown: BTreeMap<&'a str, u64>,
}

pub(in super::super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut nodes = Nodes::of(plan);
    let mut known = Known::default();
    let mut violations = Vec::new();
    for record in history {
        nodes.follow(record);
        if let Event::Started { node } = &record.event {
            known.asked.retain(|(of, _), _| of != node);
        }
        let Event::Directory { node, fact } = &record.event else { continue };
        let applied = nodes.get(node).and_then(|node| node.applied).unwrap_or_default();
        let wrong = match fact {
            DirectoryFact::BindAsked { session, jid } => {
                known.asked.insert((node, *session), Asked { jid, applied, answered: known.last });
                None
            }
            DirectoryFact::BindAnswered { session, route } => known.answered(node, *session, *route, applied),
            DirectoryFact::Removed { route, .. } => {
                known.ended.insert(*route);
                None
            }
            DirectoryFact::LookedUp { jid, route, index } => known.looked_up(node, jid, *route, *index),
            _ => None,
        };
        violations.extend(wrong.map(|text| found("linearizable", record, text)));
    }
    violations
}

impl<'a> Known<'a> {
    fn answered(&mut self, node: &'a str, session: u64, route: Option<RouteId>, applied: u64) -> Option<String> {
        let asked = self.asked.remove(&(node, session))?;
        let route = route?;
        self.last = self.last.max(Some(route));
        let last = self.last_of.entry(asked.jid).or_insert(route);
        *last = route.max(*last);
        let jid = asked.jid;
        if route.index.0 <= asked.applied {
            return Some(format!("{node} answered {route} for {jid}, asked for when it had applied {}", asked.applied));
        }
        if route.index.0 > applied {
            return Some(format!("{node} answered {route} for {jid} and had applied no more than {applied}"));
        }
        let earlier = asked.answered.filter(|earlier| *earlier >= route)?;
        Some(format!("{node} answered {route} for {jid}, asked for after {earlier} had been answered"))
    }

    fn looked_up(&mut self, node: &'a str, jid: &'a str, route: Option<RouteId>, index: u64) -> Option<String> {
        let shown = self.shown.insert(node, index).unwrap_or_default();
        let before = self.found.get(&(node, jid)).copied();
        if let Some(route) = route {
            self.found.insert((node, jid), route);
        }
        if index < shown {
            return Some(format!("{node} shows the log up to {index}, after {shown}"));
        }
        if let (Some(route), Some(before)) = (route, before)
            && route < before
        {
            return Some(format!("{node} routes {jid} to {route}, after {before}"));
        }
        let answered = *self.last_of.get(jid)?;
        let is_older = route.is_none_or(|route| route < answered);
        // Who holds nothing any more is found no more, once that has happened somewhere.
        let is_over = route.is_none() && self.ended.contains(&answered);
        (is_older && !is_over).then(|| {
            let route = route.map_or("nobody".to_owned(), |route| route.to_string());
            format!("{node} routes {jid} to {route}, but {answered} was answered")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{answered, asked, directory, looked_up, shows};
    use super::*;

    fn plan() -> Plan {
        Plan::calm(1)
    }

    fn bind(index: u64) -> [Record; 3] {
        [asked("n1", 1, "a"), shows("n1", index), answered("n1", 1, Some(index))]
    }

    #[test]
    fn binds_in_the_order_of_the_log_and_look_ups_behind_them_are_right() {
        let mut history = bind(5).to_vec();
        history.extend([looked_up("n2", "a", Some(5), 5), asked("n2", 1, "a"), shows("n2", 8)]);
        history.extend([answered("n2", 1, Some(8)), looked_up("n1", "a", Some(8), 8)]);
        let removed = DirectoryFact::Removed { jid: "a".to_owned(), route: route(8), index: 9 };
        history.extend([directory("n1", removed), looked_up("n1", "a", None, 9)]);

        assert_eq!(check(&plan(), &history), []);
    }

    fn route(index: u64) -> RouteId {
        super::super::super::testing::route(index)
    }

    #[test]
    fn a_bind_that_was_agreed_on_before_it_was_asked_for_is_caught() {
        let on_one_node = [shows("n1", 5), asked("n1", 1, "a"), answered("n1", 1, Some(5))];
        let elsewhere = [asked("n2", 1, "b"), shows("n2", 9), answered("n2", 1, Some(4))];

        assert_eq!(check(&plan(), &on_one_node).len(), 1);
        assert_eq!(check(&plan(), &[bind(5).as_slice(), &elsewhere].concat()).len(), 1);
    }

    #[test]
    fn a_bind_that_its_own_node_has_not_applied_is_caught() {
        assert_eq!(check(&plan(), &[asked("n1", 1, "a"), shows("n1", 4), answered("n1", 1, Some(5))]).len(), 1);
    }

    #[test]
    fn a_look_up_that_misses_an_answer_or_goes_back_is_caught() {
        let missed = [bind(5).as_slice(), &[looked_up("n2", "a", None, 4)]].concat();
        let back = [looked_up("n2", "a", Some(5), 5), looked_up("n2", "a", Some(4), 5)];
        let index = [looked_up("n2", "a", Some(5), 5), looked_up("n2", "a", Some(5), 4)];

        assert_eq!(check(&plan(), &missed).len(), 1);
        assert_eq!(check(&plan(), &back).len(), 1);
        assert_eq!(check(&plan(), &index).len(), 1);
    }
}
