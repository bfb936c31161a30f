//! The checker that searches: of each JID it looks for an order of all that was asked which explains every look-up.
//!
//! The model has one owner. A bind makes its session the owner, an unbind or the end of a member leaves nobody if the
//! owner is meant. What was answered took effect between its call and its answer; what was not answered took effect at
//! any time after its call, or not at all. A look-up is no register's read: it may show what was, but everything that was
//! answered before it, nothing that was asked after it, and on one node never less than the look-up before it. So the
//! order that is searched for is one of the writes, in which each look-up finds its place (P5).
//!
//! The numbers of holdings only tell holdings apart here; that they grow is not used. The search is bounded: what takes
//! too many steps, or is too long, is unknown, and counted as that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cresset_core::ids::RouteId;

use crate::history::{DirectoryFact, Event, LifeStage, RaftFact, Record};
use crate::report::Violation;

/// Operations of one history that is searched.
const OPERATIONS_MAX: usize = 200;

/// Nodes that ask, look up, or end.
const CLIENTS_MAX: usize = 8;

/// Steps of one search.
const STEPS_MAX: u32 = 20_000;

/// What came of the histories of all JIDs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// For how many an order was found.
    pub explained: u32,
    /// Those for which there is none, with when they were last looked at.
    pub wrong: Vec<(String, Duration)>,
    /// How many were too long, or took too many steps.
    pub unknown: u32,
}

/// Searches the history of every JID.
pub fn tally(history: &[Record]) -> Tally {
    let mut tally = Tally::default();
    for (jid, operations) in operations_of(history) {
        match search(&operations) {
            Verdict::Explained => tally.explained += 1,
            Verdict::Wrong => {
                let end = operations.iter().map(|operation| operation.at).max().unwrap_or_default();
                tally.wrong.push((jid.to_owned(), end));
            }
            Verdict::Unknown => tally.unknown += 1,
        }
    }
    tally
}

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let wrong = tally(history).wrong.into_iter();
    let violation = |(jid, at)| Violation {
        invariant: "linearizable_by_search",
        at: Some(at),
        text: format!("no order of binds and unbinds explains where {jid} was found"),
    };
    wrong.map(violation).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Explained,
    Wrong,
    Unknown,
}

/// One operation on one JID. Positions are those in the history.
#[derive(Clone, Debug)]
struct Operation {
    at: Duration,
    called: usize,
    /// Absent if it was never answered.
    answered: Option<usize>,
    /// The node that asks, or of which it is.
    node: usize,
    action: Action,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// The holding, if it was answered.
    Bind(Option<RouteId>),
    Unbind(RouteId),
    /// Every holding of that node that was asked for before; of any node if it is not known whose life has ended.
    End(Option<usize>),
    /// What was found.
    LookUp(Option<RouteId>),
}

/// The operations on each JID, in the order in which they were called.
fn operations_of(history: &[Record]) -> BTreeMap<&str, Vec<Operation>> {
    let mut all: BTreeMap<&str, Vec<Operation>> = BTreeMap::new();
    let mut asked: BTreeMap<(&str, u64), (&str, usize)> = BTreeMap::new();
    let mut jids: BTreeMap<RouteId, &str> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut members: BTreeMap<u64, usize> = BTreeMap::new();
    let mut ended: BTreeSet<(u64, u64)> = BTreeSet::new();
    for (position, record) in history.iter().enumerate() {
        if let Event::Started { node } = &record.event {
            asked.retain(|(of, _), _| of != node);
        }
        let (Event::Directory { node: name, .. } | Event::Raft { node: name, .. }) = &record.event else { continue };
        let count = nodes.len();
        let node = *nodes.entry(name).or_insert(count);
        if let Event::Raft { fact: RaftFact::Is { member }, .. } = &record.event {
            members.insert(*member, node);
        }
        let Event::Directory { fact, .. } = &record.event else { continue };
        let operation = |action| Operation { at: record.at, called: position, answered: None, node, action };
        match fact {
            DirectoryFact::BindAsked { session, jid } => {
                let operations = all.entry(jid).or_default();
                asked.insert((name, *session), (jid, operations.len()));
                operations.push(operation(Action::Bind(None)));
            }
            DirectoryFact::BindAnswered { session, route } => {
                let Some((jid, number)) = asked.remove(&(name, *session)) else { continue };
                // A bind that was refused may have taken effect all the same, and is taken back then.
                let Some(route) = route else { continue };
                jids.insert(*route, jid);
                let bind = &mut all.entry(jid).or_default()[number];
                (bind.answered, bind.action) = (Some(position), Action::Bind(Some(*route)));
            }
            DirectoryFact::Added { jid, route, .. } => {
                jids.entry(*route).or_insert(jid);
            }
            DirectoryFact::UnbindAsked { route } => {
                if let Some(jid) = jids.get(route) {
                    all.entry(jid).or_default().push(operation(Action::Unbind(*route)));
                }
            }
            DirectoryFact::Life { member, incarnation, stage: LifeStage::Ended, .. }
                if ended.insert((*member, *incarnation)) =>
            {
                for operations in all.values_mut() {
                    operations.push(operation(Action::End(members.get(member).copied())));
                }
            }
            DirectoryFact::LookedUp { jid, route, .. } => {
                let found = Operation { answered: Some(position), ..operation(Action::LookUp(*route)) };
                all.entry(jid).or_default().push(found);
            }
            _ => {}
        }
    }
    all
}

/// The state of a search: what has taken effect, and who owns the JID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct State {
    done: Vec<u64>,
    owner: Option<RouteId>,
}

fn search(operations: &[Operation]) -> Verdict {
    let nodes: BTreeSet<usize> = operations.iter().map(|operation| operation.node).collect();
    let is_known = |found: &RouteId| operations.iter().any(|operation| operation.action == Action::Bind(Some(*found)));
    let looked_up = operations.iter().filter_map(|operation| match operation.action {
        Action::LookUp(found) => found,
        _ => None,
    });
    // A holding whose bind was never answered can be that of any such bind: one of them is enough to be unsure.
    if nodes.len() > CLIENTS_MAX || !looked_up.into_iter().all(|it| is_known(&it)) {
        return Verdict::Unknown;
    }
    if operations.len() > OPERATIONS_MAX {
        return match search(&first(operations, OPERATIONS_MAX)) {
            Verdict::Wrong => Verdict::Wrong,
            Verdict::Explained | Verdict::Unknown => Verdict::Unknown,
        };
    }
    let before: Vec<Vec<u64>> = (0..operations.len()).map(|number| predecessors(operations, number)).collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![State { done: vec![0; operations.len().div_ceil(64)], owner: None }];
    let mut steps = 0;
    while let Some(mut state) = open.pop() {
        steps += 1;
        if steps > STEPS_MAX {
            return Verdict::Unknown;
        }
        look_up_what_can_be(operations, &before, &mut state);
        let is_over =
            |(number, operation): (usize, &Operation)| operation.answered.is_none() || has(&state.done, number);
        if operations.iter().enumerate().all(is_over) {
            return Verdict::Explained;
        }
        if !seen.insert(state.clone()) {
            continue;
        }
        for (number, operation) in operations.iter().enumerate() {
            if !is_enabled(&before, &state.done, number) {
                continue;
            }
            if let Some(owner) = outcome(operations, state.owner, operation) {
                let mut next = State { done: state.done.clone(), owner };
                next.done[number / 64] |= 1 << (number % 64);
                open.push(next);
            }
        }
    }
    Verdict::Wrong
}

/// What must have taken effect before: what was answered before it was called; of look-ups only those of the same node,
/// and they are behind every write that they can have seen.
fn predecessors(operations: &[Operation], number: usize) -> Vec<u64> {
    let this = &operations[number];
    let is_look_up = |operation: &Operation| matches!(operation.action, Action::LookUp(_));
    let mut before = vec![0; operations.len().div_ceil(64)];
    for (other, operation) in operations.iter().enumerate() {
        let is_earlier = operation.answered.is_some_and(|answered| answered < this.called);
        let is_ordered = !(is_look_up(operation) && is_look_up(this)) || operation.node == this.node;
        if is_earlier && is_ordered {
            before[other / 64] |= 1 << (other % 64);
        }
    }
    before
}

fn has(set: &[u64], number: usize) -> bool {
    set[number / 64] & (1 << (number % 64)) != 0
}

fn is_enabled(before: &[Vec<u64>], done: &[u64], number: usize) -> bool {
    !has(done, number) && before[number].iter().zip(done).all(|(before, done)| before & !done == 0)
}

/// Look-ups change nothing, so one that finds what is there now may as well be now.
fn look_up_what_can_be(operations: &[Operation], before: &[Vec<u64>], state: &mut State) {
    loop {
        let can_be = |(number, operation): &(usize, &Operation)| {
            operation.action == Action::LookUp(state.owner) && is_enabled(before, &state.done, *number)
        };
        let Some((number, _)) = operations.iter().enumerate().find(can_be) else { return };
        state.done[number / 64] |= 1 << (number % 64);
    }
}

/// Who owns the JID after an operation; absent if it cannot be that one's turn, or would change nothing.
#[allow(clippy::option_option, reason = "that nobody owns it is an outcome")]
fn outcome(operations: &[Operation], owner: Option<RouteId>, operation: &Operation) -> Option<Option<RouteId>> {
    match operation.action {
        // A bind that was never answered makes an owner that nobody has found.
        Action::Bind(route) => Some(Some(route.unwrap_or_default())),
        Action::Unbind(route) => (owner == Some(route)).then_some(None),
        Action::End(node) => {
            let bound = operations.iter().find(|bind| bind.action == Action::Bind(owner));
            let is_meant =
                |bind: &Operation| bind.called < operation.called && node.is_none_or(|node| node == bind.node);
            (owner.is_some() && bound.is_none_or(is_meant)).then_some(None)
        }
        Action::LookUp(_) => None,
    }
}

/// The same history as it was after its first operations: what was answered later has no answer yet.
fn first(operations: &[Operation], count: usize) -> Vec<Operation> {
    let end = operations.get(count).map_or(usize::MAX, |next| next.called);
    let cut = |operation: &Operation| Operation {
        answered: operation.answered.filter(|answered| *answered < end),
        ..operation.clone()
    };
    operations.iter().take(count).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{answered, asked, at, directory, looked_up, route};
    use super::*;

    fn bound(node: &str, session: u64, number: u64) -> [Record; 2] {
        [asked(node, session, "a"), answered(node, session, Some(number))]
    }

    fn verdict(history: &[Record]) -> (u32, usize, u32) {
        let tally = tally(history);
        (tally.explained, tally.wrong.len(), tally.unknown)
    }

    const EXPLAINED: (u32, usize, u32) = (1, 0, 0);
    const WRONG: (u32, usize, u32) = (0, 1, 0);
    const UNKNOWN: (u32, usize, u32) = (0, 0, 1);

    #[test]
    fn a_look_up_may_show_either_of_two_binds_at_once_but_all_nodes_the_same_order() {
        let both = [asked("n1", 1, "a"), asked("n2", 1, "a")];
        let answers = [answered("n1", 1, Some(7)), answered("n2", 1, Some(5))];
        let same = [looked_up("n1", "a", Some(5), 0), looked_up("n3", "a", Some(5), 0)];
        let different = [looked_up("n1", "a", Some(5), 0), looked_up("n3", "a", Some(7), 0)];

        assert_eq!(verdict(&[both.as_slice(), &answers, &same].concat()), EXPLAINED);
        assert_eq!(verdict(&[both.as_slice(), &answers, &different].concat()), WRONG);
    }

    #[test]
    fn one_node_may_show_what_another_does_not_show_yet_as_long_as_nothing_was_answered() {
        let first = bound("n1", 1, 5);
        let ahead = [asked("n2", 1, "a"), looked_up("n2", "a", Some(7), 0), looked_up("n1", "a", Some(5), 0)];

        let not_answered_yet = [first.as_slice(), &ahead, &[answered("n2", 1, Some(7))]].concat();
        let answered_already = [first.as_slice(), &bound("n2", 1, 7), &ahead[1..]].concat();

        assert_eq!(verdict(&not_answered_yet), EXPLAINED);
        assert_eq!(verdict(&answered_already), WRONG);
    }

    #[test]
    fn one_node_never_goes_back() {
        let binds = [bound("n1", 1, 5).as_slice(), &[asked("n2", 1, "a")]].concat();
        let looks = [looked_up("n3", "a", Some(7), 0), looked_up("n3", "a", Some(5), 0), answered("n2", 1, Some(7))];

        assert_eq!(verdict(&[binds.as_slice(), &looks].concat()), WRONG);
    }

    #[test]
    fn nobody_is_found_only_after_an_unbind_or_the_end_of_a_member() {
        let nobody = [looked_up("n2", "a", None, 0)];
        let unbound = [directory("n1", DirectoryFact::UnbindAsked { route: route(5) })];
        let life = DirectoryFact::Life { member: 1, incarnation: 2, stage: LifeStage::Ended, index: 9 };

        assert_eq!(verdict(&[bound("n1", 1, 5).as_slice(), &nobody].concat()), WRONG);
        assert_eq!(verdict(&[bound("n1", 1, 5).as_slice(), &unbound, &nobody].concat()), EXPLAINED);
        assert_eq!(verdict(&[bound("n1", 1, 5).as_slice(), &[directory("n3", life)], &nobody].concat()), EXPLAINED);
    }

    #[test]
    fn what_is_too_long_or_cannot_be_told_is_unknown() {
        let long: Vec<Record> = (0..101).flat_map(|number| bound("n1", number, number + 1)).collect();
        let long =
            [long.as_slice(), &(0..120).map(|_| looked_up("n1", "a", Some(101), 0)).collect::<Vec<_>>()].concat();
        let foreign = [asked("n1", 1, "a"), looked_up("n1", "a", Some(9), 0), at(1, Event::Healed)];

        assert_eq!(verdict(&long), UNKNOWN);
        assert_eq!(verdict(&foreign), UNKNOWN);
    }
}
