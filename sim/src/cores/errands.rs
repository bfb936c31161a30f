//! The hands of the machines that decide about stanzas: each session has its [`Sender`], and what came back stands in
//! [`RetryQueue`]s. What they want done is done here, without tasks: what has to be waited for is a [`Wait`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{Sequence, SessionId};
use cresset_core::jid::{BareJid, DomainPart};
use cresset_core::limits::RETRY_QUEUES;
use cresset_core::node::{Peer, Service};
use cresset_core::routing::{
    Again, Awaited, Errand, Leftover, Parcel, Redecide, Refused, Report, RetryOutput, RetryQueue, Sender, SenderOutput,
    Share, Sight, StanzaName, StoreAnswer, Turn, WaitId, Way,
};
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;
use cresset_net::accounts::{OfflineStore, store_answer};
use futures_util::FutureExt;

use super::lanes::ToLane;
use super::queue::Moment;
use super::router::{Router, View};
use super::session::ToSession;
use super::{Part, World};

/// Names somebody who waits until nothing is under way on a route, or until it is his turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PassId(u64);

/// Who decides about a stanza.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Decider {
    Sender(SessionId),
    Queue(u64),
}

/// A stanza that somebody has to answer for.
pub(super) type Outgoing = cresset_core::routing::Outgoing<Ticket>;

/// What stands in a queue.
type InQueue = Again<Ticket, PassId>;

/// Queues, and what those who decide wait for.
#[derive(Debug, Default)]
pub(super) struct Deciders {
    queues: BTreeMap<u64, RetryQueue<Ticket, PassId>>,
    /// In the order in which they began.
    waits: Vec<Wait>,
    last_pass: u64,
    last_turn: u64,
    /// Whose turn it is soon.
    due: BTreeSet<Decider>,
}

/// What somebody waits for who decides.
#[derive(Debug)]
struct Wait {
    whose: Decider,
    id: WaitId,
    until: Option<Moment>,
    what: For,
}

#[derive(Debug)]
enum For {
    Time,
    View {
        has_moved: bool,
    },
    /// Until nothing is under way on these routes, and then, for a sender, until it is his turn.
    Pass {
        left: VecDeque<Way>,
        turn: Option<Turn>,
        present: Option<PassId>,
        /// By which ways went what was earlier.
        ways: Vec<Way>,
    },
}

/// Who waits to hear that a stanza is in other hands.
#[derive(Clone, Debug)]
pub(super) enum Ticket {
    Session { session: SessionId, number: Sequence },
    Confirm { peer: Peer, number: Sequence },
    Shared(Rc<RefCell<(usize, Option<Ticket>)>>),
    Both(Box<(Ticket, Ticket)>),
}

impl Ticket {
    fn both(one: Option<Ticket>, other: Option<Ticket>) -> Option<Ticket> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Ticket::Both(Box::new((one, other)))),
            (one, other) => one.or(other),
        }
    }
}

impl Share for Ticket {
    fn share(self, copies: usize) -> Vec<Ticket> {
        vec![Ticket::Shared(Rc::new(RefCell::new((copies, Some(self))))); copies]
    }
}

impl Deciders {
    /// Whether nothing that came back is being decided.
    pub(super) fn have_decided(&self) -> bool {
        self.queues.values().all(RetryQueue::is_empty)
    }

    /// Who has something to decide still.
    pub(super) fn who_waits(&self) -> Option<String> {
        let queue = self.queues.values().find(|queue| !queue.is_empty());
        queue.map(|queue| format!("a queue of what came back: {queue:?}"))
    }

    /// The place of a stanza about which this node decides for the first time.
    pub(super) fn next_turn(&mut self) -> Turn {
        self.last_turn += 1;
        Turn(self.last_turn)
    }

    fn next_pass(&mut self) -> PassId {
        self.last_pass += 1;
        PassId(self.last_pass)
    }
}

impl World {
    // ---- what came back ---------------------------------------------------------------------------------------------

    pub(super) fn decide_again(&mut self, host: usize, peer: Peer, again: Redecide<Ticket>) {
        let Redecide { number, stanza, attempts, origin, confirm, name, turn } = again;
        let confirm = confirm.then_some(Ticket::Confirm { peer, number });
        let ticket = Ticket::both(origin, confirm);
        self.decide_later(host, Again::Returned(Outgoing { stanza, ticket, attempts, name, turn }));
    }

    /// Too much is under way to the account for which this was.
    pub(super) fn refused(&mut self, host: usize, refused: Refused<Ticket>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match refused.answer(process.router.deciders.next_turn()) {
            Ok(error) => self.decide_later(host, Again::Returned(error)),
            Err(origin) => self.ticket_done(host, origin),
        }
    }

    /// What is left of a parcel is decided here.
    pub(super) fn inherit(&mut self, host: usize, parcel: Parcel, name: Option<StanzaName>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let turn = parcel.home.turn().unwrap_or_else(|| process.router.deciders.next_turn());
        self.decide_later(host, Again::Returned(Outgoing { name, ..Outgoing::new(turn, parcel.stanza, None) }));
    }

    /// A session is over, its route is not in the view any more, and it was not done with this.
    pub(super) fn take_back(&mut self, host: usize, session: SessionId, parcel: Parcel) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &process.router;
        let generation = router.sessions.get(&session).map_or(router.generation, |session| session.generation);
        match parcel.leftover(generation == router.generation, router.is_connected) {
            Leftover::Nothing => {}
            Leftover::DecidedHere(name) => {
                if let Some(name) = name {
                    process.mesh.arrivals.came_back(name, parcel.route);
                }
                self.inherit(host, parcel, name);
            }
            Leftover::GivenBack => {
                let index = router.view.applied;
                self.give_back(host, parcel, index);
            }
        }
    }

    /// It stands in the queue of its account.
    fn decide_later(&mut self, host: usize, again: InQueue) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        let sight = Sight { domain: &self.domain, view: &router.view, generation: router.generation };
        let queue = again.queue(sight, RETRY_QUEUES);
        router.deciders.queues.entry(queue).or_default().push(sight, again);
        self.decides_soon(host, Decider::Queue(queue));
    }

    // ---- who decides ------------------------------------------------------------------------------------------------

    /// A session says this.
    pub(super) fn session_says(&mut self, host: usize, id: SessionId, stanza: Stanza, ticket: Option<Ticket>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let turn = process.router.deciders.next_turn();
        let outgoing = Outgoing::new(turn, stanza, ticket);
        let Some((sender, sight)) = process.router.sender(&self.domain, id) else { return };
        if let Some(first) = sender.say(sight, outgoing) {
            self.sender_wants(host, id, first);
        }
        self.drive(host, Decider::Sender(id));
    }

    /// The session is over; answers whether nothing of it waits any more.
    pub(super) fn end_sender(&mut self, host: usize, id: SessionId) -> bool {
        let Some(session) = self.session(host, id) else { return true };
        session.sender.end();
        self.drive(host, Decider::Sender(id));
        self.session(host, id).is_none_or(|session| session.sender.is_idle())
    }

    pub(super) fn decides_soon(&mut self, host: usize, whose: Decider) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.router.deciders.due.insert(whose) {
            self.turn_soon(host, Part::Decider(whose));
        }
    }

    /// The node serves: what came back is decided.
    pub(super) fn queues_soon(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let queues: Vec<u64> = process.router.deciders.queues.keys().copied().collect();
        queues.into_iter().for_each(|queue| self.decides_soon(host, Decider::Queue(queue)));
    }

    /// The view has moved on.
    pub(super) fn view_moved(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let mut whose = Vec::new();
        for wait in &mut process.router.deciders.waits {
            if let For::View { has_moved } = &mut wait.what {
                *has_moved = true;
                whose.push(wait.whose);
            }
        }
        whose.into_iter().for_each(|whose| self.decides_soon(host, whose));
    }

    /// Something happened to who decides, or a wait of his may be over.
    pub(super) fn decider_turn(&mut self, host: usize, whose: Decider) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.deciders.due.remove(&whose);
        self.end_waits(host, whose);
        self.drive(host, whose);
        match whose {
            Decider::Sender(session) => self.session_soon(host, session),
            Decider::Queue(_) => self.leave_if_empty(host),
        }
    }

    fn drive(&mut self, host: usize, whose: Decider) {
        match whose {
            Decider::Sender(id) => loop {
                let Some(process) = &mut self.hosts[host].process else { return };
                let Some((sender, sight)) = process.router.sender(&self.domain, id) else { return };
                let Some(output) = sender.poll_output(sight) else { return };
                self.sender_wants(host, id, output);
            },
            Decider::Queue(number) => loop {
                let Some(process) = &mut self.hosts[host].process else { return };
                let Some((queue, sight)) = process.router.queue(&self.domain, number) else { return };
                let Some(output) = queue.poll_output(sight) else { return };
                match output {
                    RetryOutput::Errand(errand) => self.run_errand(host, whose, errand),
                    RetryOutput::Push(outgoing) => self.decide_later(host, Again::Returned(outgoing)),
                    RetryOutput::Past(pass, ways) => self.past(host, pass, ways),
                }
            },
        }
    }

    fn sender_wants(&mut self, host: usize, id: SessionId, output: SenderOutput<Ticket>) {
        match output {
            SenderOutput::Errand(errand) => self.run_errand(host, Decider::Sender(id), errand),
            SenderOutput::Later(said) => self.decide_later(host, Again::Said(said)),
        }
    }

    fn report(&mut self, host: usize, whose: Decider, report: Report<Ticket>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match whose {
            Decider::Sender(id) => {
                if let Some((sender, sight)) = process.router.sender(&self.domain, id) {
                    sender.handle(sight, report);
                }
            }
            Decider::Queue(number) => {
                if let Some(queue) = process.router.deciders.queues.get_mut(&number) {
                    queue.handle(report);
                }
            }
        }
    }

    fn run_errand(&mut self, host: usize, whose: Decider, errand: Errand<Ticket>) {
        match errand {
            Errand::Handled(ticket) => self.ticket_done(host, ticket),
            Errand::Deliver { wait, chosen, outgoing } => {
                if let Some(outgoing) = self.put_on(host, &chosen, outgoing) {
                    self.report(host, whose, Report::Missed { wait, outgoing });
                }
            }
            Errand::Store { wait, outgoing } => {
                let answer = self.store(&wait.account, &outgoing);
                self.report(host, whose, Report::Stored { wait, outgoing, answer });
            }
            Errand::Await { wait, what: Awaited::Nudge } => {
                self.nudge_account(host, &wait.account);
                self.report(host, whose, Report::Over { wait, ways: Vec::new() });
            }
            Errand::Await { wait, what } => self.begin_waiting(host, whose, wait, what),
        }
    }

    fn store(&mut self, account: &BareJid, outgoing: &Outgoing) -> StoreAnswer {
        let name = account.node().expect("a recipient is an account").to_owned();
        let (message, quota) = (outgoing.stanza.clone(), OfflineQuota::default());
        let stored = self.accounts.store_offline(name, message, UnixMillis(0), quota, outgoing.name).now_or_never();
        store_answer(&stored.expect("the store answers at once"))
    }

    // ---- waiting ----------------------------------------------------------------------------------------------------

    fn begin_waiting(&mut self, host: usize, whose: Decider, id: WaitId, what: Awaited) {
        let pass = |ways: Vec<Way>, turn| For::Pass { left: ways.into(), turn, present: None, ways: Vec::new() };
        let (what, at_most) = match what {
            Awaited::Clear { ways, at_most } => (pass(ways, None), at_most),
            Awaited::Turn { ways, at_most, turn } => (pass(ways, Some(turn)), at_most),
            Awaited::View(at_most) => (For::View { has_moved: false }, Some(at_most)),
            Awaited::Time(time) => (For::Time, Some(time)),
            Awaited::Nudge => unreachable!("nobody waits for it here"),
        };
        let until = at_most.map(|time| self.now.after(time));
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.deciders.waits.push(Wait { whose, id, until, what });
        if let Some(until) = until {
            self.wake(host, until, Part::Decider(whose));
        }
        self.decides_soon(host, whose);
    }

    /// Reports the waits that are over, and goes on with the others.
    fn end_waits(&mut self, host: usize, whose: Decider) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let waits = std::mem::take(&mut process.router.deciders.waits);
        let (mine, others) = waits.into_iter().partition::<Vec<_>, _>(|wait| wait.whose == whose);
        process.router.deciders.waits = others;
        for mut wait in mine {
            if self.has_waited(host, &mut wait) {
                let ways = match wait.what {
                    For::Pass { ways, .. } => ways,
                    For::Time | For::View { .. } => Vec::new(),
                };
                self.report(host, whose, Report::Over { wait: wait.id, ways });
            } else if let Some(process) = &mut self.hosts[host].process {
                process.router.deciders.waits.push(wait);
            }
        }
    }

    /// Whether a wait is over; a wait for several passes goes on with the next one.
    fn has_waited(&mut self, host: usize, wait: &mut Wait) -> bool {
        let is_late = wait.until.is_some_and(|until| self.now >= until);
        let is_life_over = self.is_life_over(host, wait.whose);
        match &mut wait.what {
            For::Time => is_late,
            For::View { has_moved } => *has_moved || is_late,
            For::Pass { .. } if is_life_over => true,
            For::Pass { left, turn, present, .. } => {
                if is_late {
                    // The ways are given up, the turn is not.
                    left.clear();
                    *present = None;
                    wait.until = None;
                }
                while present.is_none() {
                    if let Some(way) = left.pop_front() {
                        *present = self.ask_to_pass(host, way);
                    } else if let Some(turn) = turn.take() {
                        wait.until = None;
                        *present = self.stand_in_row(host, wait.id.account.clone(), turn);
                    } else {
                        return true;
                    }
                }
                false
            }
        }
    }

    /// Whether it is a session in whose life of the node nobody waits any more.
    fn is_life_over(&self, host: usize, whose: Decider) -> bool {
        let Decider::Sender(id) = whose else { return false };
        let Some(process) = &self.hosts[host].process else { return true };
        process.router.sessions.get(&id).is_none_or(|session| session.generation != process.router.generation)
    }

    /// Somebody need not wait for a route any more.
    pub(super) fn passed(&mut self, host: usize, pass: PassId) {
        self.past(host, pass, Vec::new());
    }

    /// Somebody need not wait any more. What was earlier went by these ways.
    fn past(&mut self, host: usize, pass: PassId, gone_by: Vec<Way>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        for wait in &mut process.router.deciders.waits {
            if let For::Pass { present, ways, .. } = &mut wait.what
                && *present == Some(pass)
            {
                *present = None;
                ways.extend(gone_by);
                let whose = wait.whose;
                return self.decides_soon(host, whose);
            }
        }
    }

    /// A sender waits for his turn.
    fn stand_in_row(&mut self, host: usize, account: BareJid, turn: Turn) -> Option<PassId> {
        let pass = self.hosts[host].process.as_mut()?.router.deciders.next_pass();
        self.decide_later(host, Again::Sender { account, sender: pass, turn });
        Some(pass)
    }

    /// Asks whoever has what is under way on a route; nobody may have anything.
    fn ask_to_pass(&mut self, host: usize, way: Way) -> Option<PassId> {
        let Way { life, route } = way;
        let process = self.hosts[host].process.as_mut()?;
        let pass = process.router.deciders.next_pass();
        let router = &process.router;
        let is_asked = if life.member == router.member {
            let session = router.local.session(route).copied();
            session.is_some_and(|session| self.tell(host, session, ToSession::Pass(pass)))
        } else {
            let ended = router.ended.get(&life.member).filter(|key| key.incarnation == life.incarnation).copied();
            let key = ended.or_else(|| process.lane_to(life.member));
            key.is_some_and(|key| self.to_lane(host, key, ToLane::Pass { route, pass }).is_ok())
        };
        is_asked.then_some(pass)
    }
}

impl Router {
    /// What a session says, and what this node sees.
    fn sender<'a>(
        &'a mut self,
        domain: &'a DomainPart,
        id: SessionId,
    ) -> Option<(&'a mut Sender<Ticket>, Sight<'a, View>)> {
        let sight = Sight { domain, view: &self.view, generation: self.generation };
        Some((&mut self.sessions.get_mut(&id)?.sender, sight))
    }

    /// One queue of what came back, and what this node sees.
    fn queue<'a>(
        &'a mut self,
        domain: &'a DomainPart,
        number: u64,
    ) -> Option<(&'a mut RetryQueue<Ticket, PassId>, Sight<'a, View>)> {
        let sight = Sight { domain, view: &self.view, generation: self.generation };
        let queue = self.deciders.queues.get_mut(&number)?;
        queue.set_serves(self.service == Service::Serve);
        Some((queue, sight))
    }
}
