//! Who does one thing after the other and waits where the node's router waits: a [`Courier`] for each session, and one
//! for each row of what came back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use cresset_core::cluster::RouteView;
use cresset_core::ids::{Sequence, SessionId};
use cresset_core::jid::BareJid;
use cresset_core::node::{Peer, Request, Service};
use cresset_core::planted;
use cresset_core::routing::{
    Asker, Leftover, Parcel, Paths, Redecide, Refused, Row, StanzaName, Turn, Way, may_go_elsewhere, recipient,
};
use cresset_core::stanza::{ErrorCondition, Stanza};

use super::lanes::ToLane;
use super::queue::Moment;
use super::session::ToSession;
use super::{Part, World};

/// How long to wait for the view to move on: as the nodes have it.
const MOVE_TIME_MAX: Duration = Duration::from_millis(100);

/// Rows of what came back.
const ROWS: u64 = 32;

/// Names somebody who waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PassId(u64);

/// Whose courier it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum CourierId {
    Session(SessionId),
    Row(u64),
}

/// Does one thing after the other.
#[derive(Debug, Default)]
pub(super) struct Courier {
    pub(super) paths: Paths,
    /// For a session they all have the same turn: as they came.
    jobs: Row<Job>,
    busy: Option<Box<Busy>>,
    is_due: bool,
    /// The session is over: nothing of it waits here any more.
    is_ending: bool,
    /// Something of the session stands in a row, and what follows must not overtake it.
    is_behind: bool,
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Job {
    Request(Request),
    Stanza(Outgoing),
    /// A stanza of a session that does not wait itself, said in that life of the node.
    Said(Outgoing, u64),
    /// Lets a sender past when nothing that is earlier is under way to the account.
    Sender(BareJid, PassId),
}

/// What a courier waits for before it goes on with a job.
#[derive(Debug)]
struct Busy {
    turn: Turn,
    job: Job,
    until: Option<Moment>,
    wait: Wait,
}

#[derive(Debug)]
pub(super) enum Wait {
    View {
        moved: bool,
    },
    /// Until nothing is under way on these routes, and then, for a sender, until it is his turn.
    Pass {
        left: VecDeque<Way>,
        /// For so long; after that only for his turn.
        at_most: Option<Duration>,
        turn: Option<(BareJid, Turn)>,
        present: Option<PassId>,
    },
}

/// A stanza that somebody has to answer for.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) stanza: Stanza,
    pub(super) ticket: Option<Ticket>,
    pub(super) attempts: u8,
    /// By which name a member may have it already.
    pub(super) name: Option<StanzaName>,
    /// Its place among what comes back; none before it is decided about for the first time.
    pub(super) turn: Option<Turn>,
    /// By which ways earlier ones of its sender went that its row does not know yet.
    pub(super) ways: Vec<Way>,
}

/// Who waits to hear that a stanza is in other hands.
#[derive(Clone, Debug)]
pub(super) enum Ticket {
    Session { session: SessionId, number: Sequence },
    Confirm { peer: Peer, number: Sequence },
    Shared(Rc<RefCell<(usize, Option<Ticket>)>>),
    Both(Box<(Ticket, Ticket)>),
}

pub(super) enum Routed {
    Done,
    Again(Wait, Box<Outgoing>),
}

impl Ticket {
    fn both(one: Option<Ticket>, other: Option<Ticket>) -> Option<Ticket> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Ticket::Both(Box::new((one, other)))),
            (one, other) => one.or(other),
        }
    }

    pub(super) fn split(ticket: Option<Ticket>, copies: usize) -> Vec<Option<Ticket>> {
        match ticket {
            Some(ticket) if copies > 1 => {
                let shared = Ticket::Shared(Rc::new(RefCell::new((copies, Some(ticket)))));
                vec![Some(shared); copies]
            }
            Some(ticket) => vec![Some(ticket)],
            None => vec![None; copies],
        }
    }
}

impl Outgoing {
    pub(super) fn new(stanza: Stanza, ticket: Option<Ticket>) -> Outgoing {
        Outgoing { stanza, ticket, attempts: 0, name: None, turn: None, ways: Vec::new() }
    }
}

impl Courier {
    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_none() && self.jobs.is_empty()
    }

    /// The view has moved on; answers whether it was waited for.
    pub(super) fn view_moved(&mut self) -> bool {
        let Some(Wait::View { moved }) = self.busy.as_mut().map(|busy| &mut busy.wait) else { return false };
        *moved = true;
        true
    }
}

impl World {
    // ---- what came back ---------------------------------------------------------------------------------------------

    pub(super) fn decide_again(&mut self, host: usize, peer: Peer, again: Redecide<Ticket>) {
        let Redecide { number, stanza, attempts, origin, confirm, name, turn } = again;
        let confirm = confirm.then_some(Ticket::Confirm { peer, number });
        let ticket = Ticket::both(origin, confirm);
        self.push_returned(host, Outgoing { ticket, attempts, name, turn: Some(turn), ..Outgoing::new(stanza, None) });
    }

    /// Too much is under way to the account for which this was.
    pub(super) fn refused(&mut self, host: usize, refused: Refused<Ticket>) {
        match refused.stanza.bounce(ErrorCondition::ResourceConstraint, None) {
            Some(error) => self.push_returned(host, Outgoing::new(error, Some(refused.origin))),
            None => self.ticket_done(host, refused.origin),
        }
    }

    /// What is left of a parcel is decided here.
    pub(super) fn inherit(&mut self, host: usize, parcel: Parcel, name: Option<StanzaName>) {
        let turn = parcel.home.turn();
        self.push_returned(host, Outgoing { name, turn, ..Outgoing::new(parcel.stanza, None) });
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

    fn push_returned(&mut self, host: usize, mut outgoing: Outgoing) {
        let Some(turn) = self.turn_of(host, &mut outgoing) else { return };
        self.push_in_row(host, self.row_of(&outgoing.stanza), turn, Job::Stanza(outgoing));
    }

    /// A session has said this and does not wait until it is decided.
    fn say_later(&mut self, host: usize, id: SessionId, mut outgoing: Outgoing) {
        let account = recipient(&self.domain, &outgoing.stanza);
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        session.courier.is_behind = true;
        if let Some(account) = account {
            outgoing.ways.extend(session.courier.paths.hand_over(&account));
        }
        let generation = session.generation;
        self.push_said(host, outgoing, generation);
    }

    fn push_said(&mut self, host: usize, mut outgoing: Outgoing, generation: u64) {
        let Some(turn) = self.turn_of(host, &mut outgoing) else { return };
        self.push_in_row(host, self.row_of(&outgoing.stanza), turn, Job::Said(outgoing, generation));
    }

    /// The place of a stanza about which this node decides.
    pub(super) fn turn_of(&mut self, host: usize, outgoing: &mut Outgoing) -> Option<Turn> {
        let router = &mut self.hosts[host].process.as_mut()?.router;
        Some(*outgoing.turn.get_or_insert_with(|| {
            router.last_turn += 1;
            Turn(router.last_turn)
        }))
    }

    fn push_in_row(&mut self, host: usize, row: u64, turn: Turn, job: Job) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.rows.entry(row).or_insert_with(Courier::of_row).jobs.push(turn, job);
        self.courier_soon(host, CourierId::Row(row));
    }

    fn row_of(&self, stanza: &Stanza) -> u64 {
        row_of(recipient(&self.domain, stanza).as_ref())
    }

    // ---- couriers ---------------------------------------------------------------------------------------------------

    /// Gives the courier of a session something to do.
    pub(super) fn give(&mut self, host: usize, session: SessionId, job: Job) {
        let id = CourierId::Session(session);
        let Some(courier) = self.courier(host, id) else { return };
        courier.jobs.push(Turn::default(), job);
        if courier.busy.is_none() {
            self.run_courier(host, id);
        }
    }

    /// The session is over; answers whether nothing of it waits any more.
    pub(super) fn end_courier(&mut self, host: usize, session: SessionId) -> bool {
        let id = CourierId::Session(session);
        let Some(courier) = self.courier(host, id) else { return true };
        courier.is_ending = true;
        self.run_courier(host, id);
        self.courier(host, id).is_none_or(|courier| courier.is_idle())
    }

    pub(super) fn courier_soon(&mut self, host: usize, id: CourierId) {
        let Some(courier) = self.courier(host, id) else { return };
        if !std::mem::replace(&mut courier.is_due, true) {
            self.turn_soon(host, Part::Courier(id));
        }
    }

    /// The task of a courier, or the time is up for which it waited.
    pub(super) fn courier_turn(&mut self, host: usize, id: CourierId) {
        let Some(courier) = self.courier(host, id) else { return };
        courier.is_due = false;
        self.run_courier(host, id);
        match id {
            CourierId::Session(session) => self.session_soon(host, session),
            CourierId::Row(_) => self.leave_if_empty(host),
        }
    }

    fn courier(&mut self, host: usize, id: CourierId) -> Option<&mut Courier> {
        self.hosts[host].process.as_mut()?.router.courier(id)
    }

    fn run_courier(&mut self, host: usize, id: CourierId) {
        loop {
            let Some(courier) = self.courier(host, id) else { return };
            if let Some(mut busy) = courier.busy.take() {
                if self.has_waited(host, id, &mut busy) {
                    if !self.waits_no_more(host, id)
                        && let Job::Stanza(outgoing) | Job::Said(outgoing, _) = &mut busy.job
                    {
                        outgoing.ways.clear();
                    }
                    self.waited(host, id, busy.turn, busy.job);
                    continue;
                }
                if let Some(courier) = self.courier(host, id) {
                    courier.busy = Some(busy);
                }
                return;
            }
            let Some(process) = &mut self.hosts[host].process else { return };
            // By an old view a message would be stored for somebody who has logged in elsewhere.
            let waits = matches!(id, CourierId::Row(_)) && process.router.service != Service::Serve;
            if waits && !planted!(DecidedByAnOldView) {
                return;
            }
            let Some(courier) = process.router.courier(id) else { return };
            let Some((turn, job)) = courier.jobs.pop() else { return };
            match id {
                CourierId::Session(session) => self.do_for_session(host, session, job),
                CourierId::Row(row) => self.do_in_row(host, row, turn, job),
            }
        }
    }

    /// The wait is over. In a row something earlier may have come back meanwhile.
    fn waited(&mut self, host: usize, id: CourierId, turn: Turn, job: Job) {
        match (id, job) {
            (CourierId::Session(session), Job::Stanza(outgoing)) => self.session_says(host, session, outgoing),
            (CourierId::Row(_), Job::Stanza(outgoing)) => self.push_returned(host, outgoing),
            (CourierId::Row(_), Job::Said(outgoing, generation)) => self.push_said(host, outgoing, generation),
            (CourierId::Row(row), job @ Job::Sender(..)) => self.push_in_row(host, row, turn, job),
            (CourierId::Session(_), Job::Said(..) | Job::Sender(..) | Job::Request(_))
            | (CourierId::Row(_), Job::Request(_)) => unreachable!("no wait is begun for it"),
        }
    }

    fn do_for_session(&mut self, host: usize, session: SessionId, job: Job) {
        match job {
            Job::Request(request) => self.request(host, request),
            Job::Stanza(outgoing) => self.session_says(host, session, outgoing),
            Job::Said(..) | Job::Sender(..) => unreachable!("it stands in a row"),
        }
    }

    /// Routes what a session has said, or lets it stand in its row if the session does not wait any more.
    fn session_says(&mut self, host: usize, id: SessionId, outgoing: Outgoing) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let present = process.router.generation;
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        let generation = session.generation;
        let is_of_this_life = generation == present || planted!(FarewellOfTheExpelled);
        if !is_of_this_life && !may_go_elsewhere(&outgoing.stanza) {
            return outgoing.ticket.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
        }
        if session.courier.is_behind || !is_of_this_life {
            return self.say_later(host, id, outgoing);
        }
        let mut paths = std::mem::take(&mut session.courier.paths);
        let routed = self.route(host, Asker::Sender, &mut paths, outgoing);
        let Some(courier) = self.courier(host, CourierId::Session(id)) else { return };
        courier.paths = paths;
        match routed {
            Routed::Done => {}
            Routed::Again(_, outgoing) if courier.is_ending => self.say_later(host, id, *outgoing),
            Routed::Again(wait, outgoing) => {
                let turn = outgoing.turn.unwrap_or_default();
                self.begin_waiting(host, CourierId::Session(id), turn, wait, Job::Stanza(*outgoing));
            }
        }
    }

    fn do_in_row(&mut self, host: usize, row: u64, turn: Turn, job: Job) {
        let id = CourierId::Row(row);
        let Some(process) = &mut self.hosts[host].process else { return };
        let (outgoing, said_in) = match job {
            Job::Sender(account, pass) => {
                let routes = process.router.view.routes_of(&account);
                let Some(courier) = process.router.courier(id) else { return };
                let ended = courier.paths.ended(&account, routes.as_deref());
                if ended.is_empty() {
                    return self.passed(host, pass);
                }
                let wait = Wait::Pass { left: ended.into_iter().collect(), at_most: None, turn: None, present: None };
                return self.begin_waiting(host, id, turn, wait, Job::Sender(account, pass));
            }
            Job::Stanza(outgoing) => (outgoing, None),
            Job::Said(outgoing, generation) => (outgoing, Some(generation)),
            Job::Request(_) => unreachable!("only sessions ask"),
        };
        if !may_go_elsewhere(&outgoing.stanza) && said_in != Some(process.router.generation) {
            return outgoing.ticket.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
        }
        let Some(courier) = process.router.courier(id) else { return };
        let mut paths = std::mem::take(&mut courier.paths);
        let mut outgoing = outgoing;
        if let Some(account) = recipient(&self.domain, &outgoing.stanza) {
            paths.take_over(&account, &std::mem::take(&mut outgoing.ways));
        }
        let routed = self.route(host, Asker::Row { own: None }, &mut paths, outgoing);
        let Some(courier) = self.courier(host, id) else { return };
        courier.paths = paths;
        if let Routed::Again(wait, outgoing) = routed {
            let job = match said_in {
                Some(generation) => Job::Said(*outgoing, generation),
                None => Job::Stanza(*outgoing),
            };
            self.begin_waiting(host, id, turn, wait, job);
        }
    }

    // ---- waiting ----------------------------------------------------------------------------------------------------

    fn begin_waiting(&mut self, host: usize, id: CourierId, turn: Turn, wait: Wait, job: Job) {
        let at_most = match wait {
            Wait::View { .. } => Some(MOVE_TIME_MAX),
            Wait::Pass { at_most, .. } => at_most,
        };
        let until = at_most.map(|time| self.now.after(time));
        let Some(process) = &mut self.hosts[host].process else { return };
        if matches!(wait, Wait::View { .. }) {
            process.router.wait_for_view.push(id);
        }
        let Some(courier) = process.router.courier(id) else { return };
        courier.busy = Some(Box::new(Busy { turn, job, until, wait }));
        if let Some(until) = until {
            self.wake(host, until, Part::Courier(id));
        }
    }

    /// Whether a wait is over; a wait for several passes goes on with the next one.
    fn has_waited(&mut self, host: usize, id: CourierId, busy: &mut Busy) -> bool {
        let now = self.now;
        if self.waits_no_more(host, id) {
            if let Some(courier) = self.courier(host, id) {
                courier.is_behind = true;
            }
            return true;
        }
        let mut is_late = busy.until.is_some_and(|until| now >= until);
        loop {
            match &mut busy.wait {
                Wait::View { moved } => return *moved || is_late,
                // The ways are given up, the turn is not.
                Wait::Pass { left, turn: Some(_), present, .. } if is_late => {
                    left.clear();
                    *present = None;
                    busy.until = None;
                    is_late = false;
                }
                Wait::Pass { present: Some(_), .. } => return false,
                Wait::Pass { left, turn, .. } => {
                    let asked = match (left.pop_front(), turn.take()) {
                        (Some(path), after) => {
                            *turn = after;
                            self.ask_to_pass(host, id, path)
                        }
                        (None, Some((account, turn))) => self.stand_in_row(host, id, account, turn),
                        (None, None) => return true,
                    };
                    if let Wait::Pass { present, .. } = &mut busy.wait {
                        *present = asked;
                    }
                }
            }
        }
    }

    /// Whether the session of a courier is over, or its life of the node.
    fn waits_no_more(&mut self, host: usize, id: CourierId) -> bool {
        let CourierId::Session(id) = id else { return false };
        let Some(process) = &self.hosts[host].process else { return true };
        let Some(session) = process.router.sessions.get(&id) else { return true };
        session.courier.is_ending || session.generation != process.router.generation
    }

    /// Somebody need not wait any more.
    pub(super) fn passed(&mut self, host: usize, pass: PassId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(id) = process.router.waiting.remove(&pass) else { return };
        let Some(courier) = process.router.courier(id) else { return };
        if let Some(Wait::Pass { present, .. }) = courier.busy.as_mut().map(|busy| &mut busy.wait)
            && *present == Some(pass)
        {
            *present = None;
            self.courier_soon(host, id);
        }
    }

    fn next_pass(&mut self, host: usize, id: CourierId) -> Option<PassId> {
        let router = &mut self.hosts[host].process.as_mut()?.router;
        router.last_pass += 1;
        let pass = PassId(router.last_pass);
        router.waiting.insert(pass, id);
        Some(pass)
    }

    /// A sender waits for his turn.
    fn stand_in_row(&mut self, host: usize, id: CourierId, account: BareJid, turn: Turn) -> Option<PassId> {
        let pass = self.next_pass(host, id)?;
        self.push_in_row(host, row_of(Some(&account)), turn, Job::Sender(account, pass));
        Some(pass)
    }

    /// Asks whoever has what is under way on a route; nobody may have anything.
    fn ask_to_pass(&mut self, host: usize, id: CourierId, path: Way) -> Option<PassId> {
        let Way { life, route } = path;
        let pass = self.next_pass(host, id)?;
        let process = self.hosts[host].process.as_mut()?;
        let router = &process.router;
        let is_asked = if life.member == router.member {
            let session = router.local.session(route).copied();
            session.is_some_and(|session| self.tell(host, session, ToSession::Pass(pass)))
        } else {
            let ended = router.ended.get(&life.member).filter(|key| key.incarnation == life.incarnation).copied();
            let key = ended.or_else(|| process.lane_to(life.member));
            key.is_some_and(|key| self.to_lane(host, key, ToLane::Pass { route, pass }).is_ok())
        };
        if !is_asked {
            self.hosts[host].process.as_mut()?.router.waiting.remove(&pass);
        }
        is_asked.then_some(pass)
    }
}

impl Courier {
    fn of_row() -> Courier {
        Courier { paths: Paths::of_row(), ..Courier::default() }
    }
}

/// SipHash with fixed keys: the same in every run.
fn row_of(account: Option<&BareJid>) -> u64 {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    hasher.finish() % ROWS
}
