//! Once a bind has answered, every node that serves routes to the session, or to a later holder of its JID (P5; "answered
//! means known everywhere", architecture section 3).

use std::collections::{BTreeMap, BTreeSet};

use super::found;
use super::nodes::Nodes;
use crate::history::{DirectoryFact, Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut nodes = Nodes::of(plan);
    let mut asked: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    let mut violations = Vec::new();
    for record in history {
        nodes.follow(record);
        let Event::Directory { node, fact } = &record.event else { continue };
        match fact {
            DirectoryFact::BindAsked { session, jid } => {
                asked.insert((node, *session), jid);
            }
            DirectoryFact::Removed { route, .. } => {
                ended.insert(*route);
            }
            DirectoryFact::BindAnswered { session, route: Some(route) } => {
                let Some(jid) = asked.remove(&(node.as_str(), *session)) else { continue };
                for (other, state) in nodes.iter() {
                    let has_lease = state.lease_until.is_none_or(|until| until > record.at);
                    let found_there = state.routes.get(jid).map(|(route, _)| *route);
                    if state.serves() && has_lease && found_there < Some(*route) && !ended.contains(route) {
                        let found_there = found_there.map_or("nobody".to_owned(), |found| found.to_string());
                        let text = format!("{node} answered {route} for {jid}, and {other} routes it to {found_there}");
                        violations.push(found("bound_is_visible", record, text));
                    }
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{added, answered, asked, serves};
    use super::*;

    #[test]
    fn who_serves_must_know_and_who_does_not_serve_need_not() {
        let known = [asked("n1", 1, "a"), added("n1", "a", 5, 1), added("n2", "a", 5, 1), answered("n1", 1, Some(5))];
        let serving = [serves("n1"), serves("n2")].concat();

        let good = [serving.as_slice(), &known].concat();
        let ignorant = [serving.as_slice(), &known[..2], &known[3..]].concat();
        let not_serving = [&serving[..2], &known[..2], &known[3..]].concat();

        assert_eq!(check(&Plan::calm(1), &good), []);
        assert_eq!(check(&Plan::calm(1), &ignorant).len(), 1);
        assert_eq!(check(&Plan::calm(1), &not_serving), []);
    }
}
