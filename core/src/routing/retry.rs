//! What has to be decided again, and who waits for it: a row for each account.
//!
//! What came back from a member or a session, what sessions that ended had still to say, and senders who wait for their
//! turn stand here. The order for an account is that of [`Row`], whose documentation has the rules. A row that waits holds
//! up its own account and nobody else: what is for people who are there goes on while the store is away.
//!
//! ```text
//! push ──▶ Row of the account ──▶ begin ──▶ an errand ──▶ done
//!               ▲                              │ not delivered, an ended route, the store is away
//!               └──────────── wait ◀───────────┘
//! ```
//!
//! While the node does not serve, nothing is decided: by an old view a message would be stored for somebody who has
//! logged in elsewhere, and whom nobody would tell.
//!
//! At most [`RETRY_STORING_MAX`] ask the store at a time. Nothing else is bounded here: what stands here is bounded by what
//! outboxes, mailboxes and senders hold.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::cluster::RouteView;
use crate::ids::RouteId;
use crate::jid::BareJid;
use crate::limits::{RETRY_STORING_MAX, STALE_VIEW_WAIT_MAX, STORE_AGAIN_AFTER};
use crate::routing::decide::{account_of, may_go_elsewhere};
use crate::routing::errand::{AfterStore, Awaited, Errand, Places, Report, Said, Sight, WaitId};
use crate::routing::outgoing::Outgoing;
use crate::routing::paths::{Paths, Way};
use crate::routing::row::{Row, Turn};
use crate::routing::step::{Asker, Step, next_step};
use crate::{planted, sometimes};

/// Rows of some accounts. `T` waits to hear of a stanza, `S` is a sender who waits for his turn.
#[derive(Debug)]
pub struct RetryQueue<T, S> {
    lines: BTreeMap<Option<BareJid>, Line<T, S>>,
    /// Those that may go on.
    ready: VecDeque<Option<BareJid>>,
    /// Of all that stood here.
    paths: Paths,
    places: Places,
    last_wait: u64,
    serves: bool,
    len: usize,
    outputs: VecDeque<RetryOutput<T, S>>,
}

/// Who stands in a row.
#[derive(PartialEq, Eq, Debug)]
pub enum Again<T, S> {
    /// A stanza that was handed on and was not delivered.
    Returned(Outgoing<T>),
    /// A stanza of a session that does not wait itself.
    Said(Said<T>),
    /// A sender who is let past when nothing that is earlier is under way to the account.
    Sender {
        /// The account.
        account: BareJid,
        /// Who.
        sender: S,
        /// His place.
        turn: Turn,
    },
}

/// What a [`RetryQueue`] wants done.
#[derive(PartialEq, Eq, Debug)]
pub enum RetryOutput<T, S> {
    /// This.
    Errand(Errand<T>),
    /// This stands in the row of its account, which may be in another queue.
    Push(Outgoing<T>),
    /// It is his turn. What went before him took these ways.
    Past(S, Vec<Way>),
}

#[derive(Debug)]
struct Line<T, S> {
    row: Row<Item<T, S>>,
    hold: Hold<T>,
    /// Whose stanza others have.
    said_by: Option<SaidBy>,
}

/// Why a line does not go on.
#[derive(Debug)]
enum Hold<T> {
    None,
    /// Its first is decided about again after a wait.
    Again {
        wait: u64,
    },
    /// This waits for a place at the store.
    ToStore(Outgoing<T>),
    /// Others have what was its first, and report.
    Begun {
        wait: u64,
    },
}

#[derive(Debug)]
enum Item<T, S> {
    Stanza { outgoing: Outgoing<T>, said_by: Option<SaidBy> },
    Sender { account: BareJid, sender: S },
}

/// Of whom a stanza is that its session does not wait for.
#[derive(Clone, Copy, Debug)]
struct SaidBy {
    generation: u64,
    own: Option<RouteId>,
}

impl<T, S> Default for RetryQueue<T, S> {
    fn default() -> Self {
        RetryQueue {
            lines: BTreeMap::new(),
            ready: VecDeque::new(),
            paths: Paths::of_row(),
            places: Places::new(RETRY_STORING_MAX),
            last_wait: 0,
            serves: false,
            len: 0,
            outputs: VecDeque::new(),
        }
    }
}

impl<T, S> Again<T, S> {
    /// In which of so many queues it stands: all that is for one account in the same one, in every run and on every node.
    pub fn queue(&self, sight: Sight<'_, impl RouteView>, of: u64) -> u64 {
        // SipHash with fixed keys.
        let mut hasher = DefaultHasher::new();
        self.account(sight).hash(&mut hasher);
        hasher.finish() % of
    }

    /// The account in whose row it stands; none if it is for none.
    fn account(&self, sight: Sight<'_, impl RouteView>) -> Option<BareJid> {
        match self {
            Again::Returned(outgoing) | Again::Said(Said { outgoing, .. }) => {
                account_of(sight.domain, &outgoing.stanza)
            }
            Again::Sender { account, .. } => Some(account.clone()),
        }
    }
}

impl<T, S> RetryQueue<T, S> {
    /// How many stand here or are in the hands of others on behalf of this queue.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to decide.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the node serves.
    pub fn set_serves(&mut self, serves: bool) {
        self.serves = serves || planted!(DecidedByAnOldView);
    }

    /// Lets somebody stand in his row. Whatever has come is to be pushed before the next output is asked for, because it
    /// may be earlier.
    pub fn push(&mut self, sight: Sight<'_, impl RouteView>, again: Again<T, S>) {
        let account = again.account(sight);
        self.len += 1;
        let (turn, item) = match again {
            Again::Returned(outgoing) => (outgoing.turn, Item::Stanza { outgoing, said_by: None }),
            Again::Said(Said { outgoing, generation, own, ways }) => {
                if let Some(account) = &account {
                    self.paths.take_over(account, &ways);
                }
                (outgoing.turn, Item::Stanza { outgoing, said_by: Some(SaidBy { generation, own }) })
            }
            Again::Sender { account, sender, turn } => (turn, Item::Sender { account, sender }),
        };
        let line = self.lines.entry(account.clone()).or_insert_with(Line::none);
        line.row.push(turn, item);
        if let Hold::None = line.hold {
            self.ready.push_back(account);
        }
    }

    /// Something that was asked for has happened.
    pub fn handle(&mut self, report: Report<T>) {
        match report {
            Report::Missed { wait, outgoing } => self.missed(wait.account, vec![outgoing]),
            Report::Full { wait, .. } => {
                self.len += 1;
                self.hold(wait.account, Hold::Begun { wait: wait.number });
            }
            Report::Sent { wait, missed } if self.waits(&wait) => {
                self.resume(&wait.account);
                self.missed(wait.account, missed);
            }
            Report::Stored { wait, outgoing, answer } if self.waits(&wait) => {
                self.leave_store();
                self.stored(wait.account, answer.then(outgoing));
            }
            Report::Over { wait, .. } if self.waits(&wait) => self.resume(&wait.account),
            Report::Sent { .. } | Report::Stored { .. } | Report::Over { .. } => {}
        }
    }

    /// What is to be done next; nothing while the node does not serve.
    pub fn poll_output(&mut self, sight: Sight<'_, impl RouteView>) -> Option<RetryOutput<T, S>> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            sometimes!(!self.serves && !self.ready.is_empty(), "what_came_back_waits_until_the_node_serves");
            if !self.serves {
                return None;
            }
            let account = self.ready.front()?;
            let Some(line) = self.lines.get_mut(account).filter(|line| matches!(line.hold, Hold::None)) else {
                self.ready.pop_front();
                continue;
            };
            let Some((turn, item)) = line.row.pop() else {
                self.lines.remove(account);
                self.ready.pop_front();
                continue;
            };
            self.len -= 1;
            let output = match item {
                Item::Sender { account, sender } => self.let_past(sight, account, sender, turn),
                Item::Stanza { outgoing, said_by } => self.begin(sight, outgoing, said_by),
            };
            if output.is_some() {
                return output;
            }
        }
    }

    fn let_past(
        &mut self,
        sight: Sight<'_, impl RouteView>,
        account: BareJid,
        sender: S,
        turn: Turn,
    ) -> Option<RetryOutput<T, S>> {
        let routes = sight.view.routes_of(&account);
        let ended = self.paths.ended(&account, routes.as_deref());
        if ended.is_empty() {
            let ways = self.paths.known(&account);
            return Some(RetryOutput::Past(sender, ways));
        }
        self.put_back(account.clone(), turn, Item::Sender { account: account.clone(), sender });
        Some(self.again(account, Awaited::Clear { ways: ended.into_vec(), at_most: None }))
    }

    fn begin(
        &mut self,
        sight: Sight<'_, impl RouteView>,
        outgoing: Outgoing<T>,
        said_by: Option<SaidBy>,
    ) -> Option<RetryOutput<T, S>> {
        let said_in = said_by.map(|said_by| said_by.generation);
        let is_of_this_life = said_in == Some(sight.generation) || planted!(FarewellOfTheExpelled);
        if !may_go_elsewhere(&outgoing.stanza) && !is_of_this_life {
            return outgoing.ticket.map(handled);
        }
        let asker = Asker::Row { own: said_by.and_then(|said_by| said_by.own) };
        let came_back = outgoing.attempts;
        match next_step(sight.domain, sight.view, asker, &mut self.paths, &outgoing.stanza, came_back) {
            Step::Done => outgoing.ticket.map(handled),
            Step::Await { account, ways, at_most } => {
                self.put_back(account.clone(), outgoing.turn, Item::Stanza { outgoing, said_by });
                Some(self.again(account, Awaited::Clear { ways: ways.into_vec(), at_most }))
            }
            Step::AwaitMove { account } => {
                self.put_back(account.clone(), outgoing.turn, Item::Stanza { outgoing, said_by });
                Some(self.again(account, Awaited::View(STALE_VIEW_WAIT_MAX)))
            }
            Step::Deliver { account, chosen } => {
                let wait = self.next_wait(account);
                self.note_whose(&wait.account, said_by);
                Some(RetryOutput::Errand(Errand::Deliver { wait, chosen, outgoing }))
            }
            Step::Store { account } => {
                self.note_whose(&account, said_by);
                self.len += 1;
                if self.places.take(&account) {
                    let wait = self.next_wait(account);
                    self.hold(wait.account.clone(), Hold::Begun { wait: wait.number });
                    return Some(RetryOutput::Errand(Errand::Store { wait, outgoing }));
                }
                self.hold(account, Hold::ToStore(outgoing));
                None
            }
            // It goes to somebody else, by another row.
            Step::Bounce(error) => Some(RetryOutput::Push(outgoing.answered_by(*error))),
        }
    }

    /// These were not delivered. The view shows it in a moment, or does already.
    fn missed(&mut self, account: BareJid, missed: Vec<Outgoing<T>>) {
        let missed: Vec<_> = missed.into_iter().map(Outgoing::came_back).collect();
        if !missed.is_empty() {
            self.again_with(account, missed, Awaited::View(STALE_VIEW_WAIT_MAX));
        }
    }

    /// Puts back what others had of that account, and decides about it after a wait.
    fn again_with(&mut self, account: BareJid, these: Vec<Outgoing<T>>, what: Awaited) {
        let said_by = self.lines.get(&Some(account.clone())).and_then(|line| line.said_by);
        for outgoing in these {
            self.put_back(account.clone(), outgoing.turn, Item::Stanza { outgoing, said_by });
        }
        let output = self.again(account, what);
        self.outputs.push_back(output);
    }

    fn again(&mut self, account: BareJid, what: Awaited) -> RetryOutput<T, S> {
        let wait = self.next_wait(account);
        self.hold(wait.account.clone(), Hold::Again { wait: wait.number });
        RetryOutput::Errand(Errand::Await { wait, what })
    }

    fn put_back(&mut self, account: BareJid, turn: Turn, item: Item<T, S>) {
        self.len += 1;
        self.lines.entry(Some(account)).or_insert_with(Line::none).row.push(turn, item);
    }

    /// Somebody else may have the place that is free now.
    fn leave_store(&mut self) {
        let Some(account) = self.places.pass_on() else { return };
        let wait = self.next_wait(account);
        let Some(line) = self.lines.get_mut(&Some(wait.account.clone())) else { return };
        if let Hold::ToStore(outgoing) = std::mem::replace(&mut line.hold, Hold::Begun { wait: wait.number }) {
            self.outputs.push_back(RetryOutput::Errand(Errand::Store { wait, outgoing }));
        }
    }

    /// What follows when the store has answered, for what was first of that account.
    fn stored(&mut self, account: BareJid, then: AfterStore<T>) {
        match then {
            AfterStore::Tell(ticket) => {
                self.outputs.extend(ticket.map(handled));
                // A resource that has come since it was decided to store does not know of the message.
                let wait = self.next_wait(account);
                self.hold(wait.account.clone(), Hold::Begun { wait: wait.number });
                self.outputs.push_back(RetryOutput::Errand(Errand::Await { wait, what: Awaited::Nudge }));
            }
            AfterStore::Bounce(error) => {
                self.resume(&account);
                self.outputs.push_back(RetryOutput::Push(error));
            }
            AfterStore::Nothing(ticket) => {
                self.outputs.extend(ticket.map(handled));
                self.resume(&account);
            }
            AfterStore::Later(outgoing) => {
                self.resume(&account);
                self.again_with(account, vec![outgoing], Awaited::Time(STORE_AGAIN_AFTER));
            }
        }
    }

    /// The row of that account goes on.
    fn resume(&mut self, account: &BareJid) {
        let account = Some(account.clone());
        let Some(line) = self.lines.get_mut(&account) else { return };
        if let Hold::Begun { .. } = std::mem::replace(&mut line.hold, Hold::None) {
            self.len -= 1;
        }
        self.ready.push_back(account);
    }

    fn hold(&mut self, account: BareJid, hold: Hold<T>) {
        self.lines.entry(Some(account)).or_insert_with(Line::none).hold = hold;
    }

    fn note_whose(&mut self, account: &BareJid, said_by: Option<SaidBy>) {
        if let Some(line) = self.lines.get_mut(&Some(account.clone())) {
            line.said_by = said_by;
        }
    }

    /// Whether that wait is the one that holds its line.
    fn waits(&self, wait: &WaitId) -> bool {
        let line = self.lines.get(&Some(wait.account.clone()));
        match line.map(|line| &line.hold) {
            Some(Hold::Again { wait: number } | Hold::Begun { wait: number }) => *number == wait.number,
            Some(Hold::None | Hold::ToStore(_)) | None => false,
        }
    }

    fn next_wait(&mut self, account: BareJid) -> WaitId {
        self.last_wait += 1;
        WaitId { account, number: self.last_wait }
    }
}

impl<T, S> Line<T, S> {
    fn none() -> Line<T, S> {
        Line { row: Row::default(), hold: Hold::None, said_by: None }
    }
}

fn handled<T, S>(ticket: T) -> RetryOutput<T, S> {
    RetryOutput::Errand(Errand::Handled(ticket))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::cluster::Route;
    use crate::jid::DomainPart;
    use crate::routing::errand::StoreAnswer;
    use crate::routing::tests::shown::{Shown, domain, id, in_words, juliet, route, route_of, said_to};
    use crate::stanza::{Kind, MessageType, PresenceType, Stanza};

    const JULIET: &str = "juliet@capulet.example";
    const NURSE: &str = "nurse@capulet.example";

    #[test]
    fn nothing_is_decided_before_the_node_serves() {
        let mut queue = Queue::sees([]);
        queue.queue.set_serves(false);
        assert!(queue.comes_back(1, JULIET, "m1").is_empty());

        queue.queue.set_serves(true);

        assert_eq!(queue.outputs(), ["store m1"]);
    }

    #[test]
    fn what_came_back_late_goes_before_what_is_later() {
        let mut queue = Queue::sees([]);
        queue.comes_back(2, JULIET, "m2");
        assert!(queue.comes_back(4, JULIET, "m4").is_empty());
        assert!(queue.waits_for_his_turn(5, "romeo").is_empty());
        queue.comes_back(3, JULIET, "m3");

        assert_eq!(queue.is_stored(0, StoreAnswer::Kept), ["handled", "await Nudge"]);
        assert_eq!(queue.is_over(), ["store m3"]);
        queue.is_stored(0, StoreAnswer::Kept);
        assert_eq!(queue.is_over(), ["store m4"]);
        queue.is_stored(0, StoreAnswer::Kept);
        assert_eq!(queue.is_over(), ["past romeo"]);
        assert!(queue.queue.is_empty());
    }

    /// R4.3. What came back for people who are there does not wait for a store that is away.
    #[test]
    fn a_store_that_is_away_holds_up_nobody_who_is_there() {
        let mut queue = Queue::sees([route_of("nurse@capulet.example/house", 2, Some(0))]);
        assert_eq!(queue.comes_back(1, JULIET, "m1"), ["store m1"]);
        assert!(queue.comes_back(2, "friar@capulet.example", "m2").is_empty(), "one asks the store at a time");

        assert_eq!(queue.comes_back(3, NURSE, "m3"), ["deliver m3"]);

        queue.ticket_is_gone();
        assert_eq!(queue.is_stored(0, StoreAnswer::Away), ["store m2", "await Time"]);
        assert_eq!(queue.is_stored(0, StoreAnswer::Away), ["push an error"], "its sender is told");
        assert_eq!(queue.queue.len(), 1);
    }

    #[test]
    fn who_comes_while_the_store_is_away_gets_what_waits_for_it() {
        let mut queue = Queue::sees([]);
        queue.comes_back(1, JULIET, "m1");
        queue.ticket_is_gone();
        queue.is_stored(0, StoreAnswer::Away);

        queue.view = vec![route(1, Some(0))];

        assert_eq!(queue.is_over(), ["deliver m1"]);
        assert!(queue.queue.is_empty());
    }

    #[test]
    fn a_row_waits_for_what_may_be_on_its_way_back_by_an_ended_route() {
        let mut queue = Queue::sees([route(1, Some(0))]);
        assert_eq!(queue.comes_back(2, JULIET, "m2"), ["deliver m2"]);
        queue.view = Vec::new();
        assert_eq!(queue.comes_back(3, JULIET, "m3"), ["await Clear"]);
        queue.comes_back(2, JULIET, "m2");

        assert_eq!(queue.is_over(), ["store m2"]);
    }

    #[test]
    fn a_sender_who_is_let_past_learns_by_which_ways_what_was_earlier_went() {
        let mut queue = Queue::sees([route(1, Some(0))]);
        queue.comes_back(1, JULIET, "m1");

        assert_eq!(queue.waits_for_his_turn(2, "romeo"), ["past romeo"]);

        assert_eq!(queue.ways.iter().map(|way| way.route).collect::<Vec<_>>(), [id(1)]);
    }

    #[test]
    fn what_was_missed_keeps_its_place_and_whose_it_is() {
        let mut queue = Queue::sees([route(1, Some(0))]);
        queue.comes_back(1, JULIET, "m1");
        queue.comes_back(3, JULIET, "m3");
        queue.is_missed();
        queue.comes_back(2, JULIET, "m2");

        assert_eq!(queue.is_over(), ["deliver m2", "deliver m3"]);
    }

    #[test]
    fn a_full_lane_holds_up_its_own_account_and_counts() {
        let mut queue = Queue::sees([route(1, Some(0))]);
        queue.comes_back(1, JULIET, "m1");
        queue.is_full();
        assert!(queue.comes_back(2, JULIET, "m2").is_empty());
        assert_eq!(queue.queue.len(), 2);

        assert_eq!(queue.is_sent(), ["deliver m2"]);
        assert!(queue.queue.is_empty());
    }

    #[test]
    fn presence_of_a_life_that_is_over_is_not_said() {
        let mut queue = Queue::sees([route(1, Some(0))]);
        let farewell = || Stanza { kind: Kind::Presence(PresenceType::Unavailable), ..said_to(JULIET, "bye") };
        let said = |generation| Said {
            outgoing: Outgoing::new(Turn(1), farewell(), Some(1)),
            generation,
            own: None,
            ways: Vec::new(),
        };

        assert_eq!(queue.push(Again::Said(said(1))), ["handled"]);
        assert_eq!(queue.push(Again::Said(said(0))), ["deliver bye"]);
    }

    /// A queue in the life 0 of its node, and whoever does what it wants done.
    struct Queue {
        queue: RetryQueue<u64, &'static str>,
        domain: DomainPart,
        view: Vec<Arc<Route>>,
        last_wait: Option<WaitId>,
        last: Option<Outgoing<u64>>,
        storing: Vec<(WaitId, Outgoing<u64>)>,
        ways: Vec<Way>,
    }

    impl Queue {
        fn sees(view: impl IntoIterator<Item = Arc<Route>>) -> Queue {
            let mut queue = RetryQueue::default();
            queue.set_serves(true);
            Queue {
                queue,
                domain: domain(),
                view: view.into_iter().collect(),
                last_wait: None,
                last: None,
                storing: Vec::new(),
                ways: Vec::new(),
            }
        }

        fn comes_back(&mut self, turn: u64, to: &str, body: &str) -> Vec<String> {
            self.push(Again::Returned(Outgoing::new(Turn(turn), said_to(to, body), Some(turn))))
        }

        fn waits_for_his_turn(&mut self, turn: u64, sender: &'static str) -> Vec<String> {
            self.push(Again::Sender { account: juliet(), sender, turn: Turn(turn) })
        }

        fn push(&mut self, again: Again<u64, &'static str>) -> Vec<String> {
            let view = Shown(self.view.clone());
            self.queue.push(Sight { domain: &self.domain, view: &view, generation: 0 }, again);
            self.outputs()
        }

        /// Who waited for the first that is with the store has heard already.
        fn ticket_is_gone(&mut self) {
            self.storing[0].1.ticket = None;
        }

        fn is_missed(&mut self) -> Vec<String> {
            let outgoing = self.last.take().unwrap();
            self.reports(|wait| Report::Missed { wait, outgoing })
        }

        fn is_full(&mut self) -> Vec<String> {
            self.reports(|wait| Report::Full { wait, bytes: 1 })
        }

        fn is_sent(&mut self) -> Vec<String> {
            self.reports(|wait| Report::Sent { wait, missed: Vec::new() })
        }

        fn is_over(&mut self) -> Vec<String> {
            self.reports(|wait| Report::Over { wait, ways: Vec::new() })
        }

        fn is_stored(&mut self, at: usize, answer: StoreAnswer) -> Vec<String> {
            let (wait, outgoing) = self.storing.remove(at);
            self.queue.handle(Report::Stored { wait, outgoing, answer });
            self.outputs()
        }

        fn reports(&mut self, report: impl FnOnce(WaitId) -> Report<u64>) -> Vec<String> {
            self.queue.handle(report(self.last_wait.clone().unwrap()));
            self.outputs()
        }

        /// What is wanted, in words.
        fn outputs(&mut self) -> Vec<String> {
            let view = Shown(self.view.clone());
            let sight = Sight { domain: &self.domain, view: &view, generation: 0 };
            let mut words = Vec::new();
            while let Some(output) = self.queue.poll_output(sight) {
                match output {
                    RetryOutput::Errand(errand) => {
                        words.push(in_words(&errand));
                        match errand {
                            Errand::Handled(_) => {}
                            Errand::Deliver { wait, outgoing, .. } => {
                                (self.last_wait, self.last) = (Some(wait), Some(outgoing));
                            }
                            Errand::Store { wait, outgoing } => self.storing.push((wait, outgoing)),
                            Errand::Await { wait, .. } => self.last_wait = Some(wait),
                        }
                    }
                    RetryOutput::Push(error) => {
                        assert_eq!(error.stanza.kind, Kind::Message(MessageType::Error));
                        words.push("push an error".to_owned());
                    }
                    RetryOutput::Past(sender, ways) => {
                        self.ways = ways;
                        words.push(format!("past {sender}"));
                    }
                }
            }
            words
        }
    }
}
