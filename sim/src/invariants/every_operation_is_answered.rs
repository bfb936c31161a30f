//! Every operation gets an answer, or the end of its stream, in bounded time (architecture, section 1: nothing waits for
//! ever; P11). A login ends well or not; a message that was sent is acknowledged or comes back, and a request is answered,
//! unless the connection ends.
//!
//! While something is broken a client waits as long as its patience lasts. Once everything is whole, and the cluster has
//! had its time to converge, it waits no longer than a moment.
//!
//! Who does not read hears no answer and gives none for as long as that lasts, and while the store does not answer nothing
//! is stored; with full disks nothing is agreed on. A request or an answer that was on its way when a connection ended may
//! be lost with it, and so may one that was on its way when clustering was switched.
//!
//! An operator's order is answered whatever is broken, by a node that goes on: with a refusal, if need be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::found;
use super::sessions::Sessions;
use super::switch_is_followed::FOLLOWED_WITHIN;
use crate::history::{Connection, Event, Record};
use crate::plan::{Episode, Fault, Plan};
use crate::report::Violation;

/// Longer than any client waits for a login or an answer.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// An answer when nothing is broken.
const MOMENT: Duration = Duration::from_secs(2);

/// How long an operator may wait: a node gives an order up after four seconds of its clock, which may be slow.
const ORDER_TIME_MAX: Duration = Duration::from_secs(5);

/// What waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Waiting<'a> {
    Login,
    Message(&'a str),
    Request(&'a str),
}

struct Operations<'a> {
    waiting: BTreeMap<(&'a Connection, Waiting<'a>), Duration>,
    /// The requests that reached a client, and on which connection.
    reached: BTreeMap<&'a str, &'a Connection>,
    /// The connections that are up, and as whom each client logs in.
    up: BTreeSet<&'a Connection>,
    jids: BTreeMap<&'a str, &'a str>,
    sessions: Sessions<'a>,
}

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut operations = Operations {
        waiting: BTreeMap::new(),
        reached: BTreeMap::new(),
        up: BTreeSet::new(),
        jids: BTreeMap::new(),
        sessions: Sessions::of(history),
    };
    let mut violations = Vec::new();
    for record in history {
        for ((connection, what), begun) in operations.take(&record.event, record.at) {
            if is_late(plan, connection, begun, record.at) && !is_switched(plan, what, begun) {
                let text = format!("{connection} waited since {:.3} s for {what:?}", begun.as_secs_f64());
                violations.push(found("every_operation_is_answered", record, text));
            }
        }
    }
    violations.extend(orders(history));
    let Some(end) = history.last() else { return violations };
    for ((connection, what), begun) in operations.waiting {
        if is_late(plan, connection, begun, end.at) && !is_switched(plan, what, begun) {
            let text = format!("{connection} still waits for {what:?}, since {:.3} s", begun.as_secs_f64());
            violations.push(found("every_operation_is_answered", end, text));
        }
    }
    violations
}

/// Orders that are answered late or never, by nodes that neither ended nor stood still meanwhile.
fn orders(history: &[Record]) -> Vec<Violation> {
    let mut waiting: BTreeMap<u64, (&str, Duration)> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        let late = waiting.extract_if(.., |_, (_, given)| record.at > *given + ORDER_TIME_MAX);
        let text = |number, node| format!("{node} has not answered order {number} in {} s", ORDER_TIME_MAX.as_secs());
        violations
            .extend(late.map(|(number, (node, _))| found("every_operation_is_answered", record, text(number, node))));
        match &record.event {
            Event::Ordered { number, node, .. } => drop(waiting.insert(*number, (node, record.at))),
            Event::OrderAnswered { number, .. } => drop(waiting.remove(number)),
            Event::Crashed { node } | Event::Stopped { node } | Event::Failed { node, .. } | Event::Paused { node } => {
                waiting.retain(|_, (of, _)| of != node)
            }
            _ => {}
        }
    }
    violations
}

/// Whether an answer at that time to something that was asked then comes too late. Nearly all come at once.
fn is_late(plan: &Plan, connection: &Connection, asked: Duration, answered: Duration) -> bool {
    answered > asked + MOMENT && answered > due(plan, connection, asked)
}

/// Whether clustering was switched while a request that was asked then was on its way.
fn is_switched(plan: &Plan, what: Waiting<'_>, asked: Duration) -> bool {
    let is_then = |moment: Duration| moment <= asked + PATIENCE_MAX && asked <= moment + FOLLOWED_WITHIN;
    let switches = plan.episodes.iter().filter(|episode| episode.fault == Fault::SwitchedOff);
    matches!(what, Waiting::Request(_)) && switches.flat_map(|off| [off.at, off.ends()]).any(is_then)
}

/// When the answer to something that was asked then is due.
fn due(plan: &Plan, connection: &Connection, asked: Duration) -> Duration {
    if asked >= plan.settled_at() {
        return asked + MOMENT;
    }
    let due = asked + PATIENCE_MAX;
    let number = plan.user_names().iter().position(|name| name == connection.account());
    let peer = number.map(|number| plan.users[number].peer);
    let holds_up = |fault: &Fault| match fault {
        Fault::SlowReader { user } => Some(*user) == number || Some(*user) == peer,
        // Who hears something between two pauses of his node keeps his patience.
        Fault::Pause { .. } => true,
        // Without room on the disks of a quorum nothing is agreed on, and nobody is expelled.
        Fault::StoreStalls | Fault::DiskFull { .. } | Fault::SwitchedOff => true,
        _ => false,
    };
    let until = |episode: &Episode| match &episode.fault {
        // Whoever had it is missed for a while before it is decided anew.
        Fault::PowerLoss { .. } => Some(episode.at),
        fault => holds_up(fault).then(|| episode.ends()),
    };
    // One may follow the other, so in the order in which they begin.
    plan.episodes.iter().fold(due, |due, episode| match until(episode) {
        Some(until) if episode.at <= due && episode.ends() >= asked => due.max(until + PATIENCE_MAX),
        _ => due,
    })
}

type Answered<'a> = Vec<((&'a Connection, Waiting<'a>), Duration)>;

impl<'a> Operations<'a> {
    /// Takes an event, and says what has been answered by it.
    fn take(&mut self, event: &'a Event, at: Duration) -> Answered<'a> {
        let mut answered = Vec::new();
        match event {
            Event::Dialled { connection, .. } => self.begin(connection, Waiting::Login, at),
            Event::Sent { connection, id, .. } | Event::SentAgain { connection, id } => {
                self.begin(connection, Waiting::Message(id), at);
            }
            Event::Asked { connection, id, .. } => self.begin(connection, Waiting::Request(id), at),
            Event::LoggedIn { connection, jid, .. } => {
                self.up.insert(connection);
                self.jids.insert(&connection.user, jid);
                answered.extend(self.end(connection, Waiting::Login));
            }
            Event::Resumed { connection, .. } => {
                self.up.insert(connection);
                answered.extend(self.end(connection, Waiting::Login));
            }
            Event::BindRefused { connection, .. } | Event::ResumptionRefused { connection, .. } => {
                answered.extend(self.end(connection, Waiting::Login));
            }
            Event::Acknowledged { connection, id } | Event::Bounced { connection, id } => {
                answered.extend(self.end(connection, Waiting::Message(id)));
            }
            Event::Answered { connection, id, .. } => answered.extend(self.end(connection, Waiting::Request(id))),
            Event::WasAsked { connection, id } => {
                self.reached.insert(id, connection);
            }
            // To a client that has gone already, and has not asked for acknowledgements yet.
            Event::Delivers { jid, id, .. } if !self.is_up(jid) => {
                self.waiting.retain(|(_, what), _| *what != Waiting::Request(id));
            }
            Event::Disconnected { connection, .. } | Event::LoggedOut { connection, .. } => {
                self.up.remove(connection);
                let reached = &self.reached;
                self.waiting.retain(|(_, what), _| match what {
                    Waiting::Request(id) => reached.get(id) != Some(&connection),
                    Waiting::Login | Waiting::Message(_) => true,
                });
                let first = (connection, Waiting::Login);
                let all: Vec<_> = self.waiting.range(first..).take_while(|((of, _), _)| *of == connection).collect();
                let keys: Vec<_> = all.into_iter().map(|(key, _)| *key).collect();
                answered.extend(keys.into_iter().filter_map(|key| self.waiting.remove_entry(&key)));
            }
            _ => {}
        }
        answered
    }

    fn is_up(&self, jid: &str) -> bool {
        self.up.iter().any(|connection| self.jids.get(connection.user.as_str()) == Some(&jid))
    }

    fn begin(&mut self, connection: &'a Connection, what: Waiting<'a>, at: Duration) {
        self.waiting.insert((connection, what), at);
    }

    /// What was asked on one connection may be answered on a later one of the same session.
    fn end(
        &mut self,
        connection: &'a Connection,
        what: Waiting<'a>,
    ) -> Option<((&'a Connection, Waiting<'a>), Duration)> {
        if let Some(answered) = self.waiting.remove_entry(&(connection, what)) {
            return Some(answered);
        }
        let first = self.sessions.beginning(connection);
        let mut of_session = self.waiting.keys().filter(|(on, asked)| *asked == what && on.user == connection.user);
        let key = *of_session.find(|(on, _)| *on == connection || self.sessions.beginning(on) == first)?;
        self.waiting.remove_entry(&key)
    }
}

#[cfg(test)]
mod tests {
    use cresset_core::node::Order;

    use super::super::testing::{acknowledged, at, connection, sent};
    use super::*;
    use crate::plan::Target;

    fn dialled(milliseconds: u64) -> Record {
        at(milliseconds, Event::Dialled { connection: connection("u1", 1), node: "n1".to_owned() })
    }

    fn off(milliseconds: u64) -> Record {
        let (connection, node, reason) = (connection("u1", 1), "n1".to_owned(), "reset".to_owned());
        at(milliseconds, Event::Disconnected { connection, node, reason })
    }

    #[test]
    fn an_answer_or_the_end_of_the_connection_in_time_is_right() {
        let u1 = connection("u1", 1);

        let history = [dialled(1), off(6000), sent(7000, &u1, "n1", "a"), acknowledged(7100, &u1, "a"), off(9000)];

        assert_eq!(check(&Plan::calm(1), &history), []);
    }

    #[test]
    fn an_answer_that_was_lost_with_its_connection_and_a_deaf_client_are_excused() {
        let (u1, u2) = (connection("u1", 1), connection("u2", 1));
        let asked = |milliseconds, id: &str| {
            let (connection, node, to) = (u1.clone(), "n1".to_owned(), "u2@d/sim".to_owned());
            at(milliseconds, Event::Asked { connection, node, to, id: id.to_owned() })
        };
        let was_asked = at(2, Event::WasAsked { connection: u2.clone(), id: "a".to_owned() });
        let gone = at(3, Event::Disconnected { connection: u2, node: "n1".to_owned(), reason: "cut".to_owned() });
        let deaf = Plan::calm(1).with(Duration::from_secs(1), Duration::from_secs(20), Fault::SlowReader { user: 1 });
        let end = at(22_000, Event::Healed);

        assert_eq!(check(&Plan::calm(1), &[asked(1, "a"), was_asked, gone, end.clone()]), []);
        assert_eq!(check(&deaf, &[asked(1, "b"), end.clone()]), []);
        assert_eq!(check(&Plan::calm(1), &[asked(1, "b"), end]).len(), 1);
    }

    #[test]
    fn an_order_is_answered_by_whoever_goes_on() {
        let (node, order) = ("n1".to_owned(), Order::TransferLeader { to: "n2".to_owned() });
        let given = at(1000, Event::Ordered { number: 1, node: node.clone(), order });
        let answered =
            |milliseconds| at(milliseconds, Event::OrderAnswered { number: 1, node: node.clone(), refusal: None });
        let crashed = at(3000, Event::Crashed { node: node.clone() });

        assert_eq!(check(&Plan::calm(1), &[given.clone(), answered(5100)]), []);
        assert_eq!(check(&Plan::calm(1), &[given.clone(), crashed, at(9000, Event::Healed)]), []);
        assert_eq!(check(&Plan::calm(1), &[given.clone(), answered(7000)]).len(), 1);
        assert_eq!(check(&Plan::calm(1), &[given, at(9000, Event::Healed)]).len(), 1);
    }

    #[test]
    fn no_answer_and_a_late_one_are_caught() {
        let u1 = connection("u1", 1);
        let whole = u64::try_from(Plan::calm(1).settled_at().as_millis()).expect("it is not long");

        assert_eq!(check(&Plan::calm(1), &[dialled(1), off(12_000)]).len(), 1);
        assert_eq!(check(&Plan::calm(1), &[sent(1, &u1, "n1", "a"), at(20_000, Event::Healed)]).len(), 1);
        let late = [sent(whole, &u1, "n1", "a"), acknowledged(whole + 3000, &u1, "a")];
        assert_eq!(check(&Plan::calm(1), &late).len(), 1);
    }

    #[test]
    fn what_was_said_before_a_machine_lost_its_power_is_answered_when_it_is_missed() {
        let u1 = connection("u1", 1);
        let (fault, lasts) = (Fault::PowerLoss { node: Target::Node(2) }, Duration::from_secs(1));
        let plan = Plan::calm(1).with(Duration::from_secs(13), lasts, fault).healing_at(Duration::from_secs(30));
        let run = |after: u64| check(&plan, &[sent(9000, &u1, "n1", "a"), acknowledged(9000 + after, &u1, "a")]);

        assert_eq!(run(11_000), []);
        assert_eq!(run(15_000).len(), 1);
    }
}
