//! A member that has lost its lease is fenced: while it says that it does not serve it answers no bind and writes no
//! stanza to a client (P1, P7; architecture, section 4).

use std::collections::BTreeMap;
use std::time::Duration;

use super::found;
use super::nodes::Nodes;
use crate::history::{DirectoryFact, Event, Record, Service};
use crate::plan::Plan;
use crate::report::Violation;

/// What was under way to a socket when the service ended may still be written.
const TOLERANCE: Duration = Duration::from_millis(2);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut nodes = Nodes::of(plan);
    let mut since: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        nodes.follow(record);
        let node = match &record.event {
            Event::Directory { node, fact: DirectoryFact::Service(Service::Serve) } | Event::Started { node } => {
                since.remove(node.as_str());
                continue;
            }
            Event::Directory { node, fact: DirectoryFact::Service(Service::Pause | Service::Close) } => {
                since.entry(node).or_insert(record.at);
                continue;
            }
            Event::Directory { node, fact: DirectoryFact::BindAnswered { route: Some(_), .. } } => {
                if !nodes.get(node).is_none_or(|node| node.service.is_none() || node.serves()) {
                    violations.push(found("fencing", record, format!("{node} answers a bind and does not serve")));
                }
                continue;
            }
            Event::Holds { node, .. } | Event::Delivers { node, .. } => node,
            _ => continue,
        };
        if nodes.get(node).is_some_and(|node| node.is_alone) {
            continue;
        }
        if let Some(since) = since.get(node.as_str()).filter(|since| record.at > **since + TOLERANCE) {
            let text = format!("{}, which it does not serve since {:.3} s", record.event, since.as_secs_f64());
            violations.push(found("fencing", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answered, at, delivers};
    use super::*;

    fn service(milliseconds: u64, service: Service) -> Record {
        at(milliseconds, Event::Directory { node: "n1".to_owned(), fact: DirectoryFact::Service(service) })
    }

    #[test]
    fn whoever_serves_again_may_deliver_again() {
        let started = at(0, Event::Started { node: "n1".to_owned() });
        let history = [started, service(1, Service::Serve), delivers(2, "n1"), service(3, Service::Pause)];
        let later = [service(9, Service::Serve), delivers(10, "n1"), answered("n1", 1, Some(5))];

        assert_eq!(check(&Plan::calm(1), &[history.as_slice(), &later].concat()), []);
    }

    #[test]
    fn delivering_and_binding_without_serving_are_caught() {
        let history = [at(0, Event::Started { node: "n1".to_owned() }), service(3, Service::Pause), delivers(9, "n1")];

        let found = check(&Plan::calm(1), &[history.as_slice(), &[answered("n1", 1, Some(5))]].concat());

        assert_eq!(found.len(), 2, "{found:?}");
    }
}
