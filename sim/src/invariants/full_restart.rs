//! After all nodes were down at once, what was agreed before is there again (P8): in the end every node that runs has
//! applied at least what anybody had applied before. That it is the same is checked entry by entry elsewhere.

use super::nodes::Nodes;
use crate::history::{Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut nodes = Nodes::of(plan);
    let mut agreed = 0;
    let mut to_restore = None;
    for record in history {
        nodes.follow(record);
        agreed = agreed.max(nodes.iter().filter_map(|(_, node)| node.applied).max().unwrap_or_default());
        let is_end = matches!(record.event, Event::Crashed { .. } | Event::Stopped { .. } | Event::Failed { .. });
        let known = nodes.iter().count();
        if is_end && known == plan.nodes && nodes.iter().all(|(_, node)| !node.is_up) {
            to_restore = Some((record.at, agreed));
        }
        // Who has lost everything at once has nothing to restore: that is more than one member at a time.
        if matches!(record.event, Event::DiskLost { .. }) {
            to_restore = None;
        }
    }
    let Some((at, agreed)) = to_restore else { return Vec::new() };
    let behind = nodes.iter().filter(|(_, node)| node.is_up && node.applied.unwrap_or_default() < agreed);
    let violation = |(name, node): (&str, &super::nodes::Node<'_>)| Violation {
        invariant: "full_restart",
        at: Some(at),
        text: format!("{name} has applied {:?} and not {agreed}, as before everybody was down", node.applied),
    };
    behind.map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, shows};
    use super::*;

    fn started(node: &str) -> Record {
        at(1, Event::Started { node: node.to_owned() })
    }

    fn crashed(node: &str) -> Record {
        at(2, Event::Crashed { node: node.to_owned() })
    }

    #[test]
    fn what_was_agreed_before_all_were_down_is_there_again() {
        let plan = Plan { nodes: 2, ..Plan::calm(1) };
        let before = [started("n1"), started("n2"), shows("n1", 7), crashed("n1"), crashed("n2"), started("n1")];

        assert_eq!(check(&plan, &[before.as_slice(), &[shows("n1", 8)]].concat()), []);
        assert_eq!(check(&plan, &[before.as_slice(), &[shows("n1", 6)]].concat()).len(), 1);
    }
}
