//! A drain touches nobody but those who are drained, and does all that it is for: while a node is drained and nothing else
//! breaks, no client of another node loses its connection but by its own will; and once the order is done nobody is at the
//! node for longer than it takes to send him on, and it does not lead. That nobody loses a message by it is said
//! elsewhere: `no_silent_loss` excuses nothing by a drain.
//!
//! Only drains are looked at before and during which nothing else was broken or ordered: whoever has just lost a member
//! sends clients about, or has none to lead but the drained one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cresset_core::node::Order;

use super::found;
use super::windows::{Window, windows};
use crate::history::{Connection, Event, LEFT, Record, UNWANTED, WITHOUT_A_WORD};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// How long before a drain nothing else may have been there: as long as a cluster takes to become whole (P6).
const QUIET_BEFORE: Duration = Duration::from_secs(5);

/// How long an order to a whole cluster takes, and how long after it the last client and the lead are gone: some are sent
/// away every quarter of a second, and as many users as a plan can have are eight times as many.
const TAKES_AT_MOST: Duration = Duration::from_secs(3);

/// How clients end connections by themselves.
const OWN_WILL: [&str; 3] = [LEFT, WITHOUT_A_WORD, UNWANTED];

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let windows = windows(plan, history);
    let mut violations = Vec::new();
    for (number, window) in windows.iter().enumerate() {
        let (Fault::Drain { .. }, [drained]) = (window.fault, window.nodes) else { continue };
        let mut others = windows.iter().enumerate().filter(|(other, _)| *other != number);
        if others.any(|(_, other)| other.touches(window.from.saturating_sub(QUIET_BEFORE), window.to)) {
            continue;
        }
        let drain = Drain { window, drained, done: None, orders: BTreeSet::new(), at_node: BTreeMap::new() };
        violations.extend(drain.check(plan, history));
    }
    violations
}

struct Drain<'a> {
    window: &'a Window<'a>,
    drained: &'a str,
    /// When the order was first answered as done.
    done: Option<Duration>,
    orders: BTreeSet<u64>,
    /// The sessions at the drained node, and since when they are there.
    at_node: BTreeMap<&'a Connection, Duration>,
}

impl<'a> Drain<'a> {
    fn check(mut self, plan: &Plan, history: &'a [Record]) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut leaders: BTreeMap<&str, bool> = BTreeMap::new();
        let mut was_told_of_the_leader = false;
        for record in history.iter().take_while(|record| record.at <= self.window.to) {
            let is_drained = self.done.is_some_and(|done| record.at > done + TAKES_AT_MOST);
            if is_drained {
                violations.extend(self.stayed(record));
                if !was_told_of_the_leader && leaders.values().any(|leads| *leads) {
                    was_told_of_the_leader = true;
                    let text = format!("{} is drained and leads", self.drained);
                    violations.push(found("drain_is_local", record, text));
                }
            }
            match &record.event {
                Event::Sees { node, view } => {
                    leaders.insert(node, view.leader.as_deref() == Some(self.drained));
                }
                Event::Disconnected { connection, node, reason }
                    if *node != self.drained && record.at >= self.window.from && !is_own_will(reason) =>
                {
                    let text = format!("{connection} lost {node} while {} was drained: {reason}", self.drained);
                    violations.push(found("drain_is_local", record, text));
                }
                event => self.follow(event, record.at),
            }
        }
        let lasted = self.window.to.saturating_sub(self.window.from) > TAKES_AT_MOST;
        if self.done.is_none() && lasted && plan.nodes > 1 {
            let text = format!(
                "{} was to be drained from {:.3} s on, and is not",
                self.drained,
                self.window.from.as_secs_f64()
            );
            violations.push(Violation { invariant: "drain_is_local", at: Some(self.window.to), text });
        }
        violations
    }

    /// Who was at the drained node for too long; each is told once.
    fn stayed(&mut self, record: &Record) -> Vec<Violation> {
        let Some(done) = self.done else { return Vec::new() };
        let late = self.at_node.extract_if(.., |_, since| record.at > done.max(*since) + TAKES_AT_MOST);
        let text = |connection: &Connection| format!("{connection} is still at {}, which is drained", self.drained);
        late.map(|(connection, _)| found("drain_is_local", record, text(connection))).collect()
    }

    fn follow(&mut self, event: &'a Event, at: Duration) {
        match event {
            Event::LoggedIn { connection, node, .. } | Event::Resumed { connection, node, .. }
                if node == self.drained =>
            {
                self.at_node.insert(connection, at);
            }
            Event::LoggedOut { connection, .. } | Event::Disconnected { connection, .. } => {
                self.at_node.remove(connection);
            }
            Event::Ordered { number, order: Order::Drain { name }, .. }
                if name == self.drained && at >= self.window.from =>
            {
                self.orders.insert(*number);
            }
            Event::OrderAnswered { number, refusal: None, .. } if self.orders.contains(number) => {
                self.done = self.done.or(Some(at));
            }
            _ => {}
        }
    }
}

fn is_own_will(reason: &str) -> bool {
    OWN_WILL.contains(&reason)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection};
    use super::*;
    use crate::history::ClusterView;
    use crate::plan::Target;

    /// n1 is drained from 10 to 20 s, which is done at once.
    fn plan() -> Plan {
        let second = Duration::from_secs(1);
        Plan::calm(1).with(10 * second, 10 * second, Fault::Drain { node: Target::Node(0) }).healing_at(20 * second)
    }

    fn drained(meanwhile: &[Record]) -> Vec<Record> {
        let (node, name) = ("n2".to_owned(), "n1".to_owned());
        let mut history = vec![
            at(10_000, Event::Began { episode: 0, nodes: vec![name.clone()] }),
            at(10_010, Event::Ordered { number: 1, node: node.clone(), order: Order::Drain { name } }),
            at(10_020, Event::OrderAnswered { number: 1, node, refusal: None }),
            at(19_999, Event::Healed),
            at(20_000, Event::Ended { episode: 0 }),
        ];
        history.extend(meanwhile.iter().cloned());
        history.sort_by_key(|record| record.at);
        history
    }

    fn on(milliseconds: u64, node: &str) -> Record {
        let (node, jid) = (node.to_owned(), "u1@d/sim".to_owned());
        at(milliseconds, Event::LoggedIn { connection: connection("u1", 1), node, jid })
    }

    fn off(milliseconds: u64, node: &str, reason: &str) -> Record {
        let (node, reason) = (node.to_owned(), reason.to_owned());
        at(milliseconds, Event::Disconnected { connection: connection("u1", 1), node, reason })
    }

    fn led_by(milliseconds: u64, leader: &str) -> Record {
        let view = ClusterView { leader: Some(leader.to_owned()), ..ClusterView::default() };
        at(milliseconds, Event::Sees { node: "n3".to_owned(), view })
    }

    #[test]
    fn who_is_drained_is_sent_on_and_others_go_by_themselves() {
        let sent_on = drained(&[
            on(7000, "n1"),
            off(10_300, "n1", "stream error see-other-host"),
            led_by(9000, "n1"),
            led_by(10_500, "n2"),
        ]);
        assert_eq!(check(&plan(), &sent_on), []);
        assert_eq!(check(&plan(), &drained(&[on(7000, "n2"), off(12_000, "n2", "left")])), []);
    }

    #[test]
    fn a_client_of_another_node_that_is_sent_away_is_caught() {
        let history = drained(&[on(7000, "n2"), off(12_000, "n2", "stream error see-other-host")]);
        assert_eq!(check(&plan(), &history).len(), 1);
    }

    #[test]
    fn a_client_that_stays_and_a_lead_that_is_kept_are_caught() {
        assert_eq!(check(&plan(), &drained(&[on(7000, "n1")])).len(), 1);
        assert_eq!(check(&plan(), &drained(&[led_by(9000, "n1")])).len(), 1);
        assert_eq!(check(&plan(), &drained(&[on(15_000, "n1"), off(15_400, "n1", "closed")])), []);
    }

    #[test]
    fn what_else_breaks_excuses_it() {
        let second = Duration::from_secs(1);
        let plan = plan().with(8 * second, second, Fault::Crash { node: Target::Node(2) });
        let mut history = drained(&[on(7000, "n2"), off(12_000, "n2", "stream error see-other-host")]);
        for record in &mut history {
            if let Event::Began { episode, .. } | Event::Ended { episode } = &mut record.event {
                *episode = 1;
            }
        }
        let crash = |milliseconds, event| at(milliseconds, event);
        history.insert(0, crash(8000, Event::Began { episode: 0, nodes: vec!["n3".to_owned()] }));
        history.insert(1, crash(9000, Event::Ended { episode: 0 }));
        assert_eq!(check(&plan, &history), []);
    }

    #[test]
    fn an_order_that_is_never_done_is_caught() {
        let history: Vec<Record> =
            drained(&[]).into_iter().filter(|record| !matches!(record.event, Event::OrderAnswered { .. })).collect();
        assert_eq!(check(&plan(), &history).len(), 1);
    }
}
