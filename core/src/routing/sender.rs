//! What one session says: each stanza goes where it is for, in the order in which it was said to that account.
//!
//! Mostly nothing has to be waited for and nothing is kept here. When something has to (a full lane, the store, what is
//! under way on an ended route), what the session says to the same account after it waits in a queue of that account;
//! everything else goes on: what it says to others, its acknowledgements, the end of its stream. So no account can hold
//! up what does not concern it.
//!
//! ```text
//! say ──▶ a queue for the same account? ─ no ─▶ begin ─▶ done, or the first of a queue that waits
//!             └─ yes ─▶ its end                                    │
//! handle ◀── a wait is over: the queue goes on until it has to wait again ◀┘
//! ```
//!
//! Bounds: beyond [`SENDER_WAITING_BYTES_MAX`] or [`SENDER_QUEUES_MAX`] there is [no room](Sender::has_room). Who logs out
//! is waited for only as long as what waits is small ([`ABANDONED_WAITING_BYTES_MAX`]): nobody can fill these queues for
//! somebody else.
//!
//! Once the session ends nothing of it waits for a route or a turn: what would have to is said [later](SenderOutput::Later)
//! by a [`RetryQueue`](crate::routing::RetryQueue). So is what has waited until the life of the node was over. It is said in
//! the next one, but for presence: everybody has been told by then that the sessions of that life are gone, and who held
//! them may be elsewhere. What the session says next to the same account waits behind it, and knows from then on by which
//! ways it went.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::cluster::RouteView;
use crate::ids::RouteId;
use crate::jid::BareJid;
use crate::limits::{
    ABANDONED_WAITING_BYTES_MAX, SENDER_QUEUES_MAX, SENDER_STORING_MAX, SENDER_WAITING_BYTES_MAX, STALE_VIEW_WAIT_MAX,
    STORE_AGAIN_AFTER,
};
use crate::routing::decide::{account_of, may_go_elsewhere};
use crate::routing::errand::{AfterStore, Awaited, Errand, Places, Report, Said, Sight, WaitId};
use crate::routing::outgoing::Outgoing;
use crate::routing::paths::{Paths, Way};
use crate::routing::step::{Asker, Step, next_step};
use crate::{planted, sometimes};

/// What one session says that is for somebody. `T` waits to hear of a stanza.
#[derive(Debug)]
pub struct Sender<T> {
    /// The life of the node in which the session is.
    generation: u64,
    paths: Paths,
    /// Absent while nothing waits.
    waiting: Option<Box<Waiting<T>>>,
    last_wait: u64,
    is_ending: bool,
    /// For whom something it said is said later, which what it says after that must not overtake.
    behind: BTreeSet<BareJid>,
}

/// What a [`Sender`] wants done.
#[derive(PartialEq, Eq, Debug)]
pub enum SenderOutput<T> {
    /// This.
    Errand(Errand<T>),
    /// The [`RetryQueue`](crate::routing::RetryQueue) of the account is to say it: this sender does not wait for it.
    Later(Said<T>),
}

#[derive(Debug)]
struct Waiting<T> {
    queues: BTreeMap<BareJid, Queue<T>>,
    /// Those that may go on.
    ready: VecDeque<BareJid>,
    /// Of everything that waits.
    bytes: usize,
    /// A sender does not take the store for itself alone.
    places: Places,
    outputs: VecDeque<SenderOutput<T>>,
}

/// What waits for one account.
#[derive(Debug)]
struct Queue<T> {
    hold: Option<Hold>,
    stanzas: VecDeque<Outgoing<T>>,
    bytes: usize,
}

/// Why a queue does not go on.
#[derive(Debug)]
enum Hold {
    /// Its first is decided about again after a wait.
    Again {
        wait: u64,
        /// On which something is under way until then.
        ways: Vec<Way>,
        /// Whether the wait may be given up, because order is all that it is for.
        gives_way: bool,
    },
    /// Its first waits for a place at the store.
    ToStore,
    /// Others have what was its first, of so many bytes, and report.
    Begun { wait: u64, bytes: usize },
}

impl<T> Sender<T> {
    /// Of a session that has said nothing yet, in that life of the node.
    pub fn new(generation: u64) -> Sender<T> {
        Sender {
            generation,
            paths: Paths::default(),
            waiting: None,
            last_wait: 0,
            is_ending: false,
            behind: BTreeSet::new(),
        }
    }

    /// Whether the session may say more.
    pub fn has_room(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| {
            waiting.bytes <= SENDER_WAITING_BYTES_MAX
                && waiting.queues.len() <= SENDER_QUEUES_MAX
                && !planted!(OneWaitHoldsAll)
        })
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_none()
    }

    /// The session holds this route.
    pub fn set_own(&mut self, route: RouteId) {
        self.paths.set_own(route);
    }

    /// The session goes on in that life of the node.
    pub fn goes_on_in(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// The session says this. Answers with what is to be done first; [`poll_output`](Sender::poll_output) has the rest, and
    /// is to be asked until there is nothing before the session says something else.
    pub fn say(&mut self, sight: Sight<'_, impl RouteView>, outgoing: Outgoing<T>) -> Option<SenderOutput<T>> {
        if let Some(waiting) = &mut self.waiting
            && let Some(account) = account_of(sight.domain, &outgoing.stanza)
            && let Some(queue) = waiting.queues.get_mut(&account)
        {
            let bytes = outgoing.stanza.weight();
            queue.stanzas.push_back(outgoing);
            queue.bytes += bytes;
            waiting.bytes += bytes;
            let is_much = queue.bytes > ABANDONED_WAITING_BYTES_MAX || waiting.bytes > SENDER_WAITING_BYTES_MAX / 2;
            if is_much && matches!(queue.hold, Some(Hold::Again { gives_way: true, .. })) {
                sometimes!("too_much_waits_for_whoever_logs_out");
                self.resume(&account);
            }
            return None;
        }
        self.begin(sight, outgoing)
    }

    /// Something that was asked for has happened.
    pub fn handle(&mut self, sight: Sight<'_, impl RouteView>, report: Report<T>) {
        match report {
            Report::Missed { wait, outgoing } => self.missed(sight, &wait.account, vec![outgoing]),
            Report::Full { wait, bytes } => self.hold(&wait.account, Hold::Begun { wait: wait.number, bytes }),
            Report::Sent { wait, missed } if self.waits(&wait) => {
                self.resume(&wait.account);
                self.missed(sight, &wait.account, missed);
            }
            Report::Stored { wait, outgoing, answer } if self.waits(&wait) => {
                self.leave_store();
                self.stored(sight, &wait.account, answer.then(outgoing));
            }
            Report::Over { wait, ways } if self.waits(&wait) => {
                self.paths.take_over(&wait.account, &ways);
                if let Some(Hold::Again { ways, gives_way, .. }) = self.resume(&wait.account)
                    && (gives_way || !self.is_of_this_life(sight))
                {
                    // Maybe nobody has waited for these to the end. One that has ended by now is waited for without a limit:
                    // no client keeps anybody waiting by it any more.
                    self.paths.take_over(&wait.account, &ways);
                }
            }
            // The wait was given up.
            Report::Sent { .. } | Report::Stored { .. } | Report::Over { .. } => {}
        }
    }

    /// The session ends: nothing of it waits for its turn any more. It is over when it [is idle](Sender::is_idle).
    pub fn end(&mut self) {
        self.is_ending = true;
        if let Some(waiting) = &mut self.waiting {
            waiting.ready = waiting.queues.keys().cloned().collect();
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self, sight: Sight<'_, impl RouteView>) -> Option<SenderOutput<T>> {
        loop {
            let waiting = self.waiting.as_mut()?;
            if let Some(output) = waiting.outputs.pop_front() {
                return Some(output);
            }
            let Some(account) = waiting.ready.front() else {
                if waiting.queues.is_empty() {
                    self.waiting = None;
                }
                return None;
            };
            let account = account.clone();
            let mut given_up = None;
            match waiting.queues.get_mut(&account).map(|queue| &mut queue.hold) {
                Some(None) => {}
                Some(hold @ Some(Hold::Again { .. })) if self.is_ending => given_up = hold.take(),
                Some(Some(_)) | None => {
                    waiting.ready.pop_front();
                    continue;
                }
            }
            let Some(first) = waiting.take_first(&account) else {
                waiting.queues.remove(&account);
                waiting.ready.pop_front();
                continue;
            };
            let output = match given_up {
                Some(Hold::Again { ways, .. }) => {
                    self.paths.take_over(&account, &ways);
                    self.later(sight, first)
                }
                Some(Hold::ToStore | Hold::Begun { .. }) | None => self.begin(sight, first),
            };
            if output.is_some() {
                return output;
            }
        }
    }

    /// Says what is to be done for it, unless it has to wait.
    fn begin(&mut self, sight: Sight<'_, impl RouteView>, outgoing: Outgoing<T>) -> Option<SenderOutput<T>> {
        if !self.is_of_this_life(sight) {
            return self.later(sight, outgoing);
        }
        if let Some(account) = self.behind_whom(sight, &outgoing) {
            sometimes!(!self.is_ending, "a_session_goes_on_behind_what_it_said_in_another_life");
            let what = Awaited::Turn { ways: Vec::new(), at_most: None, turn: outgoing.turn };
            self.again(sight, &account, vec![outgoing], what);
            return None;
        }
        let came_back = outgoing.attempts;
        match next_step(sight.domain, sight.view, Asker::Sender, &mut self.paths, &outgoing.stanza, came_back) {
            Step::Done => outgoing.ticket.map(handled),
            Step::Await { account, ways, at_most } => {
                let what = Awaited::Turn { ways: ways.into_vec(), at_most, turn: outgoing.turn };
                self.again(sight, &account, vec![outgoing], what);
                None
            }
            Step::AwaitMove { account } => {
                self.again(sight, &account, vec![outgoing], Awaited::View(STALE_VIEW_WAIT_MAX));
                None
            }
            Step::Deliver { account, chosen } => {
                let wait = self.next_wait(account);
                Some(SenderOutput::Errand(Errand::Deliver { wait, chosen, outgoing }))
            }
            Step::Store { account } => self.store(account, outgoing),
            Step::Bounce(error) => self.say(sight, outgoing.answered_by(*error)),
        }
    }

    /// These were not delivered. The view shows it in a moment, or does already.
    fn missed(&mut self, sight: Sight<'_, impl RouteView>, account: &BareJid, missed: Vec<Outgoing<T>>) {
        let missed: Vec<_> = missed.into_iter().map(Outgoing::came_back).collect();
        if !missed.is_empty() {
            self.again(sight, account, missed, Awaited::View(STALE_VIEW_WAIT_MAX));
        }
    }

    /// These are decided about again after a wait; by somebody else, if the session ends.
    fn again(&mut self, sight: Sight<'_, impl RouteView>, account: &BareJid, these: Vec<Outgoing<T>>, what: Awaited) {
        let (ways, gives_way) = match &what {
            Awaited::Clear { ways, at_most } | Awaited::Turn { ways, at_most, .. } => (ways.clone(), at_most.is_some()),
            Awaited::View(_) | Awaited::Time(_) | Awaited::Nudge => (Vec::new(), false),
        };
        if self.is_ending {
            self.paths.take_over(account, &ways);
            for outgoing in these {
                let output = self.later(sight, outgoing);
                self.output(output);
            }
            return;
        }
        let wait = self.next_wait(account.clone());
        self.hold(account, Hold::Again { wait: wait.number, ways, gives_way });
        let waiting = self.waiting.get_or_insert_with(Waiting::none);
        these.into_iter().rev().for_each(|outgoing| waiting.put_first(account, outgoing));
        waiting.outputs.push_back(SenderOutput::Errand(Errand::Await { wait, what }));
    }

    fn store(&mut self, account: BareJid, outgoing: Outgoing<T>) -> Option<SenderOutput<T>> {
        let wait = self.next_wait(account);
        let waiting = self.waiting.get_or_insert_with(Waiting::none);
        if waiting.places.take(&wait.account) {
            let bytes = outgoing.stanza.weight();
            self.hold(&wait.account, Hold::Begun { wait: wait.number, bytes });
            return Some(SenderOutput::Errand(Errand::Store { wait, outgoing }));
        }
        waiting.put_first(&wait.account, outgoing);
        self.hold(&wait.account, Hold::ToStore);
        None
    }

    /// Somebody else may have the place that is free now.
    fn leave_store(&mut self) {
        let Some(waiting) = &mut self.waiting else { return };
        let Some(account) = waiting.places.pass_on() else { return };
        let Some(outgoing) = waiting.take_first(&account) else { return };
        let wait = self.next_wait(account);
        self.hold(&wait.account, Hold::Begun { wait: wait.number, bytes: outgoing.stanza.weight() });
        self.output(Some(SenderOutput::Errand(Errand::Store { wait, outgoing })));
    }

    /// What follows when the store has answered, for what was first of that account.
    fn stored(&mut self, sight: Sight<'_, impl RouteView>, account: &BareJid, then: AfterStore<T>) {
        match then {
            AfterStore::Tell(ticket) => {
                self.output(ticket.map(handled));
                // A resource that has come since it was decided to store does not know of the message.
                let wait = self.next_wait(account.clone());
                self.hold(account, Hold::Begun { wait: wait.number, bytes: 0 });
                self.output(Some(SenderOutput::Errand(Errand::Await { wait, what: Awaited::Nudge })));
            }
            AfterStore::Bounce(error) => {
                self.resume(account);
                let output = self.say(sight, error);
                self.output(output);
            }
            AfterStore::Nothing(ticket) => {
                self.output(ticket.map(handled));
                self.resume(account);
            }
            AfterStore::Later(outgoing) => {
                self.resume(account);
                self.again(sight, account, vec![outgoing], Awaited::Time(STORE_AGAIN_AFTER));
            }
        }
    }

    /// A [`RetryQueue`](crate::routing::RetryQueue) says it.
    fn later(&mut self, sight: Sight<'_, impl RouteView>, outgoing: Outgoing<T>) -> Option<SenderOutput<T>> {
        if !self.is_of_this_life(sight) && !may_go_elsewhere(&outgoing.stanza) {
            sometimes!("presence_of_an_ended_life_is_dropped");
            return outgoing.ticket.map(handled);
        }
        sometimes!("a_session_ends_before_what_it_said_is_decided");
        let account = account_of(sight.domain, &outgoing.stanza);
        let ways = account.as_ref().map(|account| self.paths.hand_over(account)).unwrap_or_default();
        self.behind.extend(account);
        let (generation, own) = (self.generation, self.paths.own());
        Some(SenderOutput::Later(Said { outgoing, generation, own, ways }))
    }

    /// The account for which this is, if something said to it before is said later: what is said next waits behind this.
    fn behind_whom(&mut self, sight: Sight<'_, impl RouteView>, outgoing: &Outgoing<T>) -> Option<BareJid> {
        if self.behind.is_empty() {
            return None;
        }
        self.behind.take(&account_of(sight.domain, &outgoing.stanza)?)
    }

    fn is_of_this_life(&self, sight: Sight<'_, impl RouteView>) -> bool {
        self.generation == sight.generation || planted!(FarewellOfTheExpelled)
    }

    /// Whether that wait is the one that holds its queue.
    fn waits(&self, wait: &WaitId) -> bool {
        let queue = self.waiting.as_ref().and_then(|waiting| waiting.queues.get(&wait.account));
        match queue.and_then(|queue| queue.hold.as_ref()) {
            Some(Hold::Again { wait: number, .. } | Hold::Begun { wait: number, .. }) => *number == wait.number,
            Some(Hold::ToStore) | None => false,
        }
    }

    /// The queue of that account does not go on.
    fn hold(&mut self, account: &BareJid, hold: Hold) {
        let waiting = self.waiting.get_or_insert_with(Waiting::none);
        waiting.bytes += hold.bytes();
        let queue = waiting.queues.entry(account.clone()).or_insert_with(Queue::none);
        let before = queue.hold.replace(hold);
        waiting.bytes -= before.map_or(0, |before| before.bytes());
        sometimes!(waiting.queues.len() > 1, "a_sender_waits_for_several");
    }

    /// The queue of that account goes on.
    fn resume(&mut self, account: &BareJid) -> Option<Hold> {
        let waiting = self.waiting.as_mut()?;
        let hold = waiting.queues.get_mut(account)?.hold.take()?;
        waiting.bytes -= hold.bytes();
        waiting.ready.push_back(account.clone());
        Some(hold)
    }

    fn output(&mut self, output: Option<SenderOutput<T>>) {
        if let Some(output) = output {
            self.waiting.get_or_insert_with(Waiting::none).outputs.push_back(output);
        }
    }

    fn next_wait(&mut self, account: BareJid) -> WaitId {
        self.last_wait += 1;
        WaitId { account, number: self.last_wait }
    }
}

impl<T> Waiting<T> {
    fn none() -> Box<Waiting<T>> {
        Box::new(Waiting {
            queues: BTreeMap::new(),
            ready: VecDeque::new(),
            bytes: 0,
            places: Places::new(SENDER_STORING_MAX),
            outputs: VecDeque::new(),
        })
    }

    /// This goes before all else that waits for that account.
    fn put_first(&mut self, account: &BareJid, outgoing: Outgoing<T>) {
        let bytes = outgoing.stanza.weight();
        let queue = self.queues.entry(account.clone()).or_insert_with(Queue::none);
        queue.stanzas.push_front(outgoing);
        queue.bytes += bytes;
        self.bytes += bytes;
    }

    fn take_first(&mut self, account: &BareJid) -> Option<Outgoing<T>> {
        let queue = self.queues.get_mut(account)?;
        let first = queue.stanzas.pop_front()?;
        queue.bytes -= first.stanza.weight();
        self.bytes -= first.stanza.weight();
        Some(first)
    }
}

impl<T> Queue<T> {
    fn none() -> Queue<T> {
        Queue { hold: None, stanzas: VecDeque::new(), bytes: 0 }
    }
}

impl Hold {
    /// What others have meanwhile.
    fn bytes(&self) -> usize {
        match self {
            Hold::Begun { bytes, .. } => *bytes,
            Hold::Again { .. } | Hold::ToStore => 0,
        }
    }
}

fn handled<T>(ticket: T) -> SenderOutput<T> {
    SenderOutput::Errand(Errand::Handled(ticket))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::cluster::Route;
    use crate::jid::DomainPart;
    use crate::routing::errand::StoreAnswer;
    use crate::routing::row::Turn;
    use crate::routing::tests::shown::{Shown, domain, in_words, route, route_of, said_to};

    const JULIET: &str = "juliet@capulet.example";
    const NURSE: &str = "nurse@capulet.example/house";

    #[test]
    fn what_can_go_goes_at_once_and_nothing_is_kept() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);

        assert_eq!(romeo.says(JULIET, "m1"), ["deliver m1"]);

        assert!(romeo.sender.is_idle());
    }

    #[test]
    fn a_full_lane_holds_up_its_own_account_and_nobody_else() {
        let mut romeo = Romeo::sees([route(1, Some(0)), route_of(NURSE, 2, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.is_full();
        let full = romeo.last_wait.clone();

        assert!(romeo.says(JULIET, "m2").is_empty());
        assert_eq!(romeo.says(NURSE, "m3"), ["deliver m3"]);

        romeo.last_wait = full;
        assert_eq!(romeo.is_sent(), ["deliver m2"]);
        assert!(romeo.sender.is_idle());
    }

    /// P4.
    #[test]
    fn what_was_missed_goes_before_what_was_said_after_it() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        assert_eq!(romeo.is_missed(), ["await View"]);
        assert!(romeo.says(JULIET, "m2").is_empty());
        romeo.view = vec![route(2, Some(0))];

        // The first went by a route that has ended.
        assert_eq!(romeo.is_over(), ["await Turn"]);
        assert_eq!(romeo.is_over(), ["deliver m1", "deliver m2"]);
    }

    #[test]
    fn a_sender_has_the_store_at_work_on_so_many_at_a_time() {
        let mut romeo = Romeo::sees([]);
        let asked: usize =
            (0..SENDER_STORING_MAX + 2).map(|n| romeo.says(&format!("nurse{n}@capulet.example"), "m").len()).sum();
        assert_eq!(asked, SENDER_STORING_MAX);

        let follows = romeo.is_stored(StoreAnswer::Kept);

        assert_eq!(follows, ["store m", "handled", "await Nudge"]);
    }

    #[test]
    fn what_the_store_refuses_comes_back_as_an_error_before_it_counts_as_handled() {
        let own = route_of("romeo@capulet.example/orchard", 3, Some(0));
        let mut romeo = Romeo::sees([own]);
        romeo.says(JULIET, "m1");

        assert_eq!(romeo.is_stored(StoreAnswer::Refused), ["deliver an error"]);
    }

    /// Its sender was told that it is taken care of, and may be gone. When the store is there again somebody may be there
    /// who takes it.
    #[test]
    fn a_message_that_nobody_else_has_is_decided_about_again_while_the_store_is_away() {
        let mut romeo = Romeo::sees([]);
        romeo.says_and_waits_not(JULIET, "m1");
        assert_eq!(romeo.is_stored(StoreAnswer::Away), ["await Time"]);
        assert!(romeo.says(JULIET, "m2").is_empty());

        romeo.view = vec![route(1, Some(0))];

        assert_eq!(romeo.is_over(), ["deliver m1", "deliver m2"]);
    }

    #[test]
    fn a_session_that_ends_waits_for_no_turn_and_for_no_store_that_is_away() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.view = Vec::new();
        assert_eq!(romeo.says(JULIET, "m2"), ["await Turn"]);
        romeo.says(JULIET, "m3");
        romeo.says_and_waits_not(NURSE.split('/').next().unwrap(), "m4");

        romeo.sender.end();

        assert_eq!(romeo.outputs(None), ["later m2", "later m3"]);
        assert_eq!(romeo.is_stored(StoreAnswer::Away), ["later m4"]);
        assert!(romeo.sender.is_idle());
    }

    /// Two sessions that end would wait for each other.
    #[test]
    fn a_session_that_ends_does_not_wait_for_what_it_has_given_up() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.view = Vec::new();
        assert_eq!(romeo.says(JULIET, "m2"), ["await Turn"]);

        romeo.sender.end();
        romeo.outputs(None);

        assert!(romeo.sender.is_idle(), "nobody has reported");
        assert!(romeo.is_over().is_empty());
    }

    #[test]
    fn what_is_said_later_takes_the_ways_along_that_nobody_has_waited_for() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.view = Vec::new();
        romeo.says(JULIET, "m2");
        romeo.sender.end();

        romeo.outputs(None);

        assert_eq!(romeo.later.len(), 1);
        assert_eq!(romeo.later[0].ways.iter().map(|way| way.route).collect::<Vec<_>>(), [route(1, None).id]);
    }

    #[test]
    fn what_another_life_has_said_is_said_later_and_what_follows_waits_behind_it() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.generation = 1;
        assert_eq!(romeo.says(JULIET, "m1"), ["later m1"]);
        romeo.sender.goes_on_in(1);

        assert_eq!(romeo.says(JULIET, "m2"), ["await Turn"]);
        assert_eq!(romeo.is_over(), ["deliver m2"]);
        assert_eq!(romeo.says(JULIET, "m3"), ["deliver m3"]);
    }

    /// O7: nobody can fill these queues for somebody else.
    #[test]
    fn who_logs_out_is_waited_for_only_while_little_waits() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.view = vec![route(1, None), route_of("juliet@capulet.example/garden", 2, Some(0))];
        assert_eq!(romeo.says(JULIET, "m2"), ["await Turn"]);

        let much = "m".repeat(ABANDONED_WAITING_BYTES_MAX);

        assert_eq!(romeo.says(JULIET, &much), ["deliver m2", &format!("deliver {much}")]);
    }

    /// P4. The wait for whoever logs out has a limit because a client could stay as it is. What is under way on a route that
    /// has ended comes back, however long that takes.
    #[test]
    fn who_has_logged_out_when_the_limit_is_over_is_waited_for_to_the_end() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.view = vec![route(1, None)];
        assert_eq!(romeo.says(JULIET, "m2"), ["await Turn"]);

        romeo.view = Vec::new();

        assert_eq!(romeo.is_over(), ["await Turn"]);
        assert_eq!(romeo.is_over(), ["store m2"]);
    }

    /// O7.
    #[test]
    fn whoever_stays_and_is_not_available_is_waited_for_once() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.view = vec![route(1, None)];
        assert_eq!(romeo.says(JULIET, "m2"), ["await Turn"]);

        assert_eq!(romeo.is_over(), ["store m2"]);
    }

    #[test]
    fn a_wait_that_was_given_up_is_not_taken_for_the_next_one() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.is_missed();
        let first = romeo.last_wait.clone().unwrap();
        romeo.is_over();
        romeo.is_missed();

        romeo.sender.handle(sight(&romeo.domain, &Shown(vec![]), 0), Report::Over { wait: first, ways: Vec::new() });

        assert!(romeo.outputs(None).is_empty());
        assert!(!romeo.sender.is_idle());
    }

    #[test]
    fn there_is_no_room_beyond_the_bytes_that_may_wait() {
        let mut romeo = Romeo::sees([route(1, Some(0))]);
        romeo.says(JULIET, "m1");
        romeo.is_full();
        let body = "m".repeat(100_000);
        let said = (1..).find(|_| {
            romeo.says(JULIET, &body);
            !romeo.sender.has_room()
        });

        assert!((8..=11).contains(&said.unwrap()), "{said:?}");
        romeo.is_sent();
        assert!(romeo.sender.has_room());
    }

    /// A sender, and whoever does what it wants done.
    struct Romeo {
        sender: Sender<u64>,
        domain: DomainPart,
        view: Vec<Arc<Route>>,
        generation: u64,
        turn: u64,
        last_wait: Option<WaitId>,
        last: Option<Outgoing<u64>>,
        /// Those that are with the store.
        storing: VecDeque<(WaitId, Outgoing<u64>)>,
        later: Vec<Said<u64>>,
    }

    fn sight<'a>(domain: &'a DomainPart, view: &'a Shown, generation: u64) -> Sight<'a, Shown> {
        Sight { domain, view, generation }
    }

    impl Romeo {
        fn sees(view: impl IntoIterator<Item = Arc<Route>>) -> Romeo {
            Romeo {
                sender: Sender::new(0),
                domain: domain(),
                view: view.into_iter().collect(),
                generation: 0,
                turn: 0,
                last_wait: None,
                last: None,
                storing: VecDeque::new(),
                later: Vec::new(),
            }
        }

        fn says(&mut self, to: &str, body: &str) -> Vec<String> {
            let ticket = Some(self.turn + 1);
            self.says_with(to, body, ticket)
        }

        fn says_and_waits_not(&mut self, to: &str, body: &str) -> Vec<String> {
            self.says_with(to, body, None)
        }

        fn says_with(&mut self, to: &str, body: &str, ticket: Option<u64>) -> Vec<String> {
            self.turn += 1;
            let outgoing = Outgoing::new(Turn(self.turn), said_to(to, body), ticket);
            let view = Shown(self.view.clone());
            let first = self.sender.say(sight(&self.domain, &view, self.generation), outgoing);
            self.outputs(first)
        }

        fn is_full(&mut self) {
            let bytes = self.last.take().unwrap().stanza.weight();
            self.reports(|wait| Report::Full { wait, bytes });
        }

        fn is_sent(&mut self) -> Vec<String> {
            self.reports(|wait| Report::Sent { wait, missed: Vec::new() })
        }

        fn is_missed(&mut self) -> Vec<String> {
            let outgoing = self.last.take().unwrap();
            self.reports(|wait| Report::Missed { wait, outgoing })
        }

        fn is_over(&mut self) -> Vec<String> {
            self.reports(|wait| Report::Over { wait, ways: Vec::new() })
        }

        fn is_stored(&mut self, answer: StoreAnswer) -> Vec<String> {
            let (wait, outgoing) = self.storing.pop_front().unwrap();
            self.last_wait = Some(wait);
            self.reports(|wait| Report::Stored { wait, outgoing, answer })
        }

        fn reports(&mut self, report: impl FnOnce(WaitId) -> Report<u64>) -> Vec<String> {
            let (view, wait) = (Shown(self.view.clone()), self.last_wait.clone().unwrap());
            self.sender.handle(sight(&self.domain, &view, self.generation), report(wait));
            self.outputs(None)
        }

        /// What is wanted, in words.
        fn outputs(&mut self, first: Option<SenderOutput<u64>>) -> Vec<String> {
            let view = Shown(self.view.clone());
            let mut next = first.or_else(|| self.sender.poll_output(sight(&self.domain, &view, self.generation)));
            let mut words = Vec::new();
            while let Some(output) = next {
                match output {
                    SenderOutput::Errand(errand) => {
                        words.push(in_words(&errand));
                        match errand {
                            Errand::Handled(_) => {}
                            Errand::Deliver { wait, outgoing, .. } => {
                                (self.last_wait, self.last) = (Some(wait), Some(outgoing));
                            }
                            Errand::Store { wait, outgoing } => self.storing.push_back((wait, outgoing)),
                            Errand::Await { wait, .. } => self.last_wait = Some(wait),
                        }
                    }
                    SenderOutput::Later(said) => {
                        words.push(format!("later {}", said.outgoing.stanza.body().unwrap()));
                        self.later.push(said);
                    }
                }
                next = self.sender.poll_output(sight(&self.domain, &view, self.generation));
            }
            words
        }
    }
}
