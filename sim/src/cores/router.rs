//! From a stanza to whoever answers for it next, and what the sessions of a node share: a copy of the node's router
//! without tasks, around the same machines.
//!
//! Where the router waits, here a [`Courier`] waits: it does one thing after the other, and remembers by which routes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::cluster::{AccountRoutes, Event, Removal, Route};
use cresset_core::ids::{LogIndex, MemberId, RouteId, Sequence, SessionId};
use cresset_core::jid::{BareJid, FullJid};
use cresset_core::limits::{OFFLINE_MESSAGES_MAX, REROUTES_MAX};
use cresset_core::node::{Answer, Peer, Request, Service};
use cresset_core::planted;
use cresset_core::routing::{
    ChosenRoutes, Decision, EndedPath, Home, Parcel, Paths, Redecide, StanzaName, claimant, decide, may_go_elsewhere,
    recipient,
};
use cresset_core::stanza::{ErrorCondition, Stanza};
use cresset_core::time::{UnixMillis, Uptime};
use cresset_net::accounts::{Accounts, Stored};
use futures_util::FutureExt;

use super::lanes::{LaneKey, Pass, ToLane};
use super::queue::Moment;
use super::session::{Session, ToSession};
use super::{Part, World};

/// How long a sender waits for what is under way on a route that has ended, and for the view to move on: as the nodes
/// have it.
const PASS_TIME_MAX: Duration = Duration::from_secs(8);
const MOVE_TIME_MAX: Duration = Duration::from_millis(100);

/// Couriers for what comes back from one member.
const TASKS: u64 = 32;

/// What the sessions of one process share.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) member: MemberId,
    pub(super) service: Service,
    pub(super) lease_until: Option<Uptime>,
    pub(super) view: View,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) by_route: BTreeMap<RouteId, SessionId>,
    pub(super) last_session: u64,
    /// Counts the lives of this member in this process.
    pub(super) generation: u64,
    /// Other members are reached.
    pub(super) is_connected: bool,
    pub(super) other_host: bool,
    ended: BTreeMap<MemberId, LaneKey>,
    pub(super) agains: BTreeMap<(MemberId, u64), Courier>,
    early: VecDeque<Parcel>,
    gone: BTreeSet<FullJid>,
    last_pass: u64,
    waiting: BTreeMap<PassId, CourierId>,
    /// Couriers that wait for the view to move on.
    pub(super) wait_for_view: Vec<CourierId>,
}

/// The routes of the cluster as sessions read them.
#[derive(Debug, Default)]
pub(super) struct View {
    routes: BTreeMap<BareJid, AccountRoutes>,
    pub(super) applied: LogIndex,
}

/// Names somebody who waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PassId(u64);

/// Whose courier it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum CourierId {
    Session(SessionId),
    Again(MemberId, u64),
}

/// Does one thing after the other.
#[derive(Debug, Default)]
pub(super) struct Courier {
    pub(super) paths: Paths,
    jobs: VecDeque<Job>,
    busy: Option<Box<Busy>>,
    is_due: bool,
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Job {
    Stanza(Outgoing),
    Request(Request),
    /// What a session that is over had not delivered.
    TakeBack(Parcel),
    /// Lets somebody past who waits for all couriers of a member.
    Pass(Rc<RefCell<PassOfAll>>),
}

#[derive(Debug)]
pub(super) struct PassOfAll {
    left: usize,
    pass: PassId,
}

/// What a courier waits for.
#[derive(Debug)]
struct Busy {
    /// The paths by which it decides, if not by its own.
    other_paths: Option<Paths>,
    outgoing: Outgoing,
    until: Moment,
    wait: Wait,
}

#[derive(Debug)]
enum Wait {
    View { moved: bool },
    Pass { left: VecDeque<EndedPath>, present: Option<PassId> },
}

/// A stanza that somebody has to answer for.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) stanza: Stanza,
    pub(super) ticket: Option<Ticket>,
    pub(super) attempts: u8,
    /// By which name a member may have it already.
    name: Option<StanzaName>,
}

/// Who waits to hear that a stanza is in other hands.
#[derive(Clone, Debug)]
pub(super) enum Ticket {
    Session { session: SessionId, number: Sequence },
    Confirm { peer: Peer, number: Sequence },
    Shared(Rc<RefCell<(usize, Option<Ticket>)>>),
    Both(Box<(Ticket, Ticket)>),
}

enum Routed {
    Done,
    Again(Wait, Duration, Outgoing),
}

impl Ticket {
    fn both(one: Option<Ticket>, other: Option<Ticket>) -> Option<Ticket> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Ticket::Both(Box::new((one, other)))),
            (one, other) => one.or(other),
        }
    }

    fn split(ticket: Option<Ticket>, copies: usize) -> Vec<Option<Ticket>> {
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
        Outgoing { stanza, ticket, attempts: 0, name: None }
    }

    fn accepted(stanza: Stanza) -> Outgoing {
        Outgoing::new(stanza, None)
    }
}

impl View {
    pub(super) fn routes_of(&self, account: &BareJid) -> Option<AccountRoutes> {
        self.routes.get(account).cloned()
    }

    pub(super) fn holder(&self, jid: &FullJid) -> Option<RouteId> {
        let routes = self.routes.get(&jid.to_bare())?;
        routes.iter().find(|route| route.jid == *jid).map(|route| route.id)
    }

    fn put(&mut self, route: &Arc<Route>) {
        let others = self.routes.entry(route.jid.to_bare()).or_insert_with(|| Arc::from([]));
        let mut routes: Vec<_> = others.iter().filter(|other| other.id != route.id).cloned().collect();
        let at = routes.partition_point(|other| other.id < route.id);
        routes.insert(at, route.clone());
        *others = Arc::from(routes);
    }

    fn remove(&mut self, route: &Route) {
        let account = route.jid.to_bare();
        let Some(routes) = self.routes.get(&account) else { return };
        let rest: AccountRoutes = routes.iter().filter(|other| other.id != route.id).cloned().collect();
        if rest.is_empty() {
            self.routes.remove(&account);
        } else {
            self.routes.insert(account, rest);
        }
    }
}

impl Router {
    pub(super) fn new(member: MemberId) -> Router {
        Router {
            member,
            service: Service::Close,
            lease_until: None,
            view: View::default(),
            sessions: BTreeMap::new(),
            by_route: BTreeMap::new(),
            last_session: 0,
            generation: 0,
            is_connected: true,
            other_host: false,
            ended: BTreeMap::new(),
            agains: BTreeMap::new(),
            early: VecDeque::new(),
            gone: BTreeSet::new(),
            last_pass: 0,
            waiting: BTreeMap::new(),
            wait_for_view: Vec::new(),
        }
    }

    /// Whether clients may be read from, delivered to and acknowledged.
    pub(super) fn may_serve(&self, now: Uptime) -> bool {
        self.service == Service::Serve && self.lease_until.is_some_and(|until| now < until)
    }

    /// Who has something to do still, or waits for what does not come.
    pub(super) fn who_waits(&self) -> Option<String> {
        let is_busy = |courier: &Courier| !courier.is_idle();
        let again = self.agains.iter().find(|(_, courier)| is_busy(courier));
        let again = again.map(|((member, _), courier)| format!("a courier for member {member}: {courier:?}"));
        let session = || self.sessions.iter().find(|(_, session)| is_busy(&session.courier));
        let session = || session().map(|(id, session)| format!("session {}: {:?}", id.0, session.courier));
        let early = || self.early.front().map(|parcel| format!("a parcel for route {:?}", parcel.route));
        again.or_else(session).or_else(early)
    }

    fn courier(&mut self, id: CourierId) -> Option<&mut Courier> {
        match id {
            CourierId::Session(session) => self.sessions.get_mut(&session).map(|session| &mut session.courier),
            CourierId::Again(member, task) => self.agains.get_mut(&(member, task)),
        }
    }
}

impl Courier {
    fn of_returned_by(member: MemberId) -> Courier {
        Courier { paths: Paths::of_returned_by(member), ..Courier::default() }
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_none() && self.jobs.is_empty()
    }
}

impl World {
    // ---- told by the control task -----------------------------------------------------------------------------------

    /// The agreed state changed.
    pub(super) fn router_event(&mut self, host: usize, event: &Event) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        match event {
            Event::RouteAdded(route) => {
                if route.member == router.member && router.sessions.contains_key(&route.session) {
                    router.by_route.insert(route.id, route.session);
                }
                router.view.put(route);
            }
            Event::RouteChanged(route) => router.view.put(route),
            Event::RouteRemoved { route, reason } => {
                router.view.remove(route);
                if route.member != router.member {
                    if *reason == Removal::MemberEnded {
                        router.gone.insert(route.jid.clone());
                    }
                    return;
                }
                let Some(session) = router.by_route.get(&route.id).copied() else { return };
                match reason {
                    Removal::Replaced { .. } | Removal::MemberEnded => {
                        if let Some(session) = router.sessions.get_mut(&session) {
                            session.is_revoked = true;
                        }
                    }
                    Removal::Unbound => {}
                }
                self.tell(host, session, ToSession::RouteEnded { route: route.id, reason: *reason });
            }
            Event::Ended { life, .. } => {
                let jids = std::mem::take(&mut router.gone);
                if life.member == router.member {
                    return;
                }
                if let Some(key) = process.lane_to(life.member) {
                    process.router.ended.insert(life.member, LaneKey { incarnation: life.incarnation, ..key });
                }
                if !jids.is_empty() {
                    self.tell_all(host, || ToSession::RoutesGone);
                }
            }
            Event::Joined(_) | Event::Activated(_) | Event::VotersChanged | Event::SeniorChanged(_) => {}
        }
    }

    /// All events up to this position were handled.
    pub(super) fn router_applied(&mut self, host: usize, index: LogIndex) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        if index <= router.view.applied {
            return;
        }
        router.view.applied = index;
        let moved = std::mem::take(&mut router.wait_for_view);
        let is_connected = router.is_connected;
        let early = std::mem::take(&mut router.early);
        for id in moved {
            if let Some(process) = &mut self.hosts[host].process
                && let Some(courier) = process.router.courier(id)
                && let Some(Wait::View { moved }) = courier.busy.as_mut().map(|busy| &mut busy.wait)
            {
                *moved = true;
                self.courier_soon(host, id);
            }
        }
        if is_connected {
            self.lanes_applied(host, index);
        }
        for parcel in early {
            if let Err((parcel, index)) = self.try_deliver(host, parcel)
                && is_connected
            {
                self.give_back(host, parcel, index);
            }
        }
    }

    pub(super) fn router_answer(&mut self, host: usize, session: SessionId, answer: Answer) {
        self.tell(host, session, ToSession::Answer(answer));
    }

    /// How clients are treated from now on.
    pub(super) fn set_service(&mut self, host: usize, service: Service, other_host: bool) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.other_host = other_host;
        process.router.service = service;
        if service == Service::Serve {
            let agains: Vec<_> = process.router.agains.keys().copied().collect();
            agains.into_iter().for_each(|(member, task)| self.courier_soon(host, CourierId::Again(member, task)));
        }
        match service {
            Service::Serve | Service::Pause => self.tell_all(host, || ToSession::Service(service)),
            Service::Close => self.tell_all(host, || ToSession::Close),
        }
    }

    /// This life of the node is over.
    pub(super) fn life_over(&mut self, host: usize, other_host: bool) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.generation += 1;
        process.router.is_connected = false;
        self.set_service(host, Service::Close, other_host);
    }

    pub(super) fn tell_all(&mut self, host: usize, event: impl Fn() -> ToSession) {
        let Some(process) = &self.hosts[host].process else { return };
        let sessions: Vec<SessionId> = process.router.sessions.keys().copied().collect();
        for session in sessions {
            self.tell(host, session, event());
        }
    }

    /// Leaves an event for a session; answers whether it is still there to take it.
    pub(super) fn tell(&mut self, host: usize, id: SessionId, event: ToSession) -> bool {
        let Some(process) = &mut self.hosts[host].process else { return false };
        let Some(session) = process.router.sessions.get_mut(&id).filter(|session| !session.is_closed) else {
            return false;
        };
        session.events.push_back(event);
        self.session_soon(host, id);
        true
    }

    // ---- parcels of other members -----------------------------------------------------------------------------------

    pub(super) fn deliver(&mut self, host: usize, parcel: Parcel) {
        if let Err((parcel, index)) = self.try_deliver(host, parcel) {
            self.give_back(host, parcel, index);
        }
    }

    fn try_deliver(&mut self, host: usize, parcel: Parcel) -> Result<(), (Parcel, LogIndex)> {
        let Some(process) = &mut self.hosts[host].process else { return Ok(()) };
        let router = &mut process.router;
        if let Some(id) = router.by_route.get(&parcel.route).copied()
            && let Some(session) = router.sessions.get_mut(&id).filter(|session| !session.is_closed)
        {
            session.parcels.push_back(parcel);
            self.session_soon(host, id);
            return Ok(());
        }
        let index = router.view.applied;
        if parcel.route.index > index {
            // The sender has seen more of the log than this node.
            router.early.push_back(parcel);
            return Ok(());
        }
        Err((parcel, index))
    }

    pub(super) fn nudge(&mut self, host: usize, route: RouteId) {
        let Some(process) = &self.hosts[host].process else { return };
        if let Some(session) = process.router.by_route.get(&route).copied() {
            self.tell(host, session, ToSession::Nudge);
        }
    }

    /// Tells one available resource that messages are stored for the account.
    pub(super) fn nudge_account(&mut self, host: usize, account: &BareJid) {
        let Some(process) = &self.hosts[host].process else { return };
        let routes = process.router.view.routes_of(account).unwrap_or_else(|| Arc::from([]));
        let Some(route) = claimant(&routes) else { return };
        if route.member == process.router.member {
            self.tell(host, route.session, ToSession::Nudge);
        } else if let Some(key) = process.lane_to(route.member) {
            // If the member has died, whoever binds next claims.
            drop(self.to_lane(host, key, ToLane::Nudge { route: route.id }));
        }
    }

    // ---- what came back ---------------------------------------------------------------------------------------------

    pub(super) fn decide_again(&mut self, host: usize, peer: Peer, again: Redecide<Ticket>) {
        let Redecide { number, stanza, attempts, origin, confirm, name } = again;
        let confirm = confirm.then_some(Ticket::Confirm { peer, number });
        let outgoing = Outgoing { ticket: Ticket::both(origin, confirm), attempts, stanza, name };
        self.push_again(host, peer.member, outgoing);
    }

    pub(super) fn inherit(&mut self, host: usize, parcel: Parcel, name: Option<StanzaName>) {
        let Some(process) = &self.hosts[host].process else { return };
        let member = match parcel.home {
            Home::Member { member, .. } => member,
            Home::Here | Home::Named(_) | Home::Offline { .. } => process.router.member,
        };
        self.push_again(host, member, Outgoing { name, ..Outgoing::accepted(parcel.stanza) });
    }

    fn push_again(&mut self, host: usize, member: MemberId, outgoing: Outgoing) {
        let mut hasher = DefaultHasher::new();
        recipient(self.domain.as_ref(), &outgoing.stanza).hash(&mut hasher);
        let task = hasher.finish() % TASKS;
        let Some(process) = &mut self.hosts[host].process else { return };
        // What has to wait until the node serves waits in one row for each account, whoever gave it back.
        let serves = process.router.service == Service::Serve;
        let member = if serves { member } else { process.router.member };
        let courier = process.router.agains.entry((member, task)).or_insert_with(|| Courier::of_returned_by(member));
        courier.jobs.push_back(Job::Stanza(outgoing));
        self.courier_soon(host, CourierId::Again(member, task));
    }

    /// Lets somebody past when all that came back from the member until now is decided.
    pub(super) fn let_past(&mut self, host: usize, pass: Pass) {
        let Some(process) = &mut self.hosts[host].process else { return };
        // In the row of this node waits what came back while it did not serve.
        let own = process.router.member;
        let couriers = process.router.agains.iter_mut().filter(|((member, _), _)| [pass.member, own].contains(member));
        let busy: Vec<_> = couriers.filter(|(_, courier)| !courier.is_idle()).collect();
        if busy.is_empty() {
            return self.passed(host, pass.id);
        }
        let all = Rc::new(RefCell::new(PassOfAll { left: busy.len(), pass: pass.id }));
        for (_, courier) in busy {
            courier.jobs.push_back(Job::Pass(all.clone()));
        }
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

    pub(super) fn ticket_done(&mut self, host: usize, ticket: Ticket) {
        match ticket {
            Ticket::Session { session, number } => drop(self.tell(host, session, ToSession::Handled(number))),
            Ticket::Confirm { peer, number } => self.confirm(host, peer, number),
            Ticket::Shared(shared) => {
                let last = {
                    let mut shared = shared.borrow_mut();
                    shared.0 -= 1;
                    if shared.0 == 0 { shared.1.take() } else { None }
                };
                last.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
            }
            Ticket::Both(both) => {
                self.ticket_done(host, both.0);
                self.ticket_done(host, both.1);
            }
        }
    }

    // ---- couriers ---------------------------------------------------------------------------------------------------

    /// Gives a courier something to do.
    pub(super) fn give(&mut self, host: usize, id: CourierId, job: Job) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(courier) = process.router.courier(id) else { return };
        courier.jobs.push_back(job);
        if courier.busy.is_none() {
            self.run_courier(host, id);
        }
    }

    pub(super) fn courier_soon(&mut self, host: usize, id: CourierId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(courier) = process.router.courier(id) else { return };
        if !std::mem::replace(&mut courier.is_due, true) {
            self.turn_soon(host, Part::Courier(id));
        }
    }

    /// The task of a courier, or the time is up for which it waited.
    pub(super) fn courier_turn(&mut self, host: usize, id: CourierId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(courier) = process.router.courier(id) else { return };
        courier.is_due = false;
        // By an old view a message would be stored for somebody who has logged in elsewhere.
        let waits = matches!(id, CourierId::Again(..)) && process.router.service != Service::Serve;
        if waits && !planted!(DecidedByAnOldView) {
            return;
        }
        self.run_courier(host, id);
        if let CourierId::Session(session) = id {
            self.session_soon(host, session);
        }
    }

    fn run_courier(&mut self, host: usize, id: CourierId) {
        loop {
            let Some(process) = &mut self.hosts[host].process else { return };
            let Some(courier) = process.router.courier(id) else { return };
            if let Some(mut busy) = courier.busy.take() {
                if self.has_waited(host, id, &mut busy) {
                    self.route_for(host, id, busy.other_paths, busy.outgoing);
                    continue;
                }
                if let Some(process) = &mut self.hosts[host].process
                    && let Some(courier) = process.router.courier(id)
                {
                    courier.busy = Some(busy);
                }
                return;
            }
            let Some(job) = courier.jobs.pop_front() else { return };
            match job {
                Job::Stanza(outgoing) => self.route_for(host, id, None, outgoing),
                Job::Request(request) => self.request(host, request),
                Job::TakeBack(parcel) => self.take_back(host, id, parcel),
                Job::Pass(all) => {
                    let pass = {
                        let mut all = all.borrow_mut();
                        all.left -= 1;
                        (all.left == 0).then_some(all.pass)
                    };
                    pass.into_iter().for_each(|pass| self.passed(host, pass));
                }
            }
        }
    }

    fn begin_waiting(
        &mut self,
        host: usize,
        id: CourierId,
        wait: Wait,
        time: Duration,
        other_paths: Option<Paths>,
        outgoing: Outgoing,
    ) {
        let until = self.now.after(time);
        let Some(process) = &mut self.hosts[host].process else { return };
        if let Wait::View { .. } = wait {
            process.router.wait_for_view.push(id);
        }
        let Some(courier) = process.router.courier(id) else { return };
        courier.busy = Some(Box::new(Busy { other_paths, outgoing, until, wait }));
        self.wake(host, until, Part::Courier(id));
    }

    /// Whether a wait is over; a wait for several passes goes on with the next one.
    fn has_waited(&mut self, host: usize, id: CourierId, busy: &mut Busy) -> bool {
        let now = self.now;
        loop {
            let is_late = now >= busy.until;
            match &mut busy.wait {
                Wait::View { moved } => return *moved || is_late,
                Wait::Pass { present: Some(_), .. } if !is_late => return false,
                Wait::Pass { left, present } => {
                    if let Some(pass) = present.take()
                        && let Some(process) = &mut self.hosts[host].process
                    {
                        process.router.waiting.remove(&pass);
                    }
                    let Some(path) = left.pop_front() else { return true };
                    let asked = self.ask_to_pass(host, id, path);
                    if asked.is_some() {
                        busy.until = now.after(PASS_TIME_MAX);
                        self.wake(host, busy.until, Part::Courier(id));
                    }
                    if let Wait::Pass { present, .. } = &mut busy.wait {
                        *present = asked;
                    }
                }
            }
        }
    }

    /// Asks whoever has what is under way on a route; nobody may have anything.
    fn ask_to_pass(&mut self, host: usize, id: CourierId, path: EndedPath) -> Option<PassId> {
        let EndedPath { life, route } = path;
        let process = self.hosts[host].process.as_mut()?;
        process.router.last_pass += 1;
        let pass = PassId(process.router.last_pass);
        if life.member == process.router.member {
            let session = process.router.by_route.get(&route).copied()?;
            process.router.waiting.insert(pass, id);
            if self.tell(host, session, ToSession::Pass(pass)) {
                return Some(pass);
            }
            self.hosts[host].process.as_mut()?.router.waiting.remove(&pass);
            return None;
        }
        process.router.waiting.insert(pass, id);
        let ended = process.router.ended.get(&life.member).filter(|key| key.incarnation == life.incarnation).copied();
        let key = ended.or_else(|| process.lane_to(life.member));
        let asked = Pass { member: life.member, id: pass };
        let refused = match key {
            Some(key) => self.to_lane(host, key, ToLane::Pass { route, pass: asked }).is_err(),
            None => true,
        };
        if refused { self.let_past_unless_idle(host, asked) } else { Some(pass) }
    }

    /// As [`let_past`](World::let_past) for one who need not begin to wait.
    fn let_past_unless_idle(&mut self, host: usize, pass: Pass) -> Option<PassId> {
        let process = self.hosts[host].process.as_mut()?;
        let mut couriers = process.router.agains.range((pass.member, 0)..=(pass.member, TASKS));
        if couriers.all(|(_, courier)| courier.is_idle()) {
            process.router.waiting.remove(&pass.id);
            return None;
        }
        self.let_past(host, pass);
        Some(pass.id)
    }

    /// Routes a stanza for a courier, which waits if it has to.
    fn route_for(&mut self, host: usize, id: CourierId, other_paths: Option<Paths>, outgoing: Outgoing) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let own = process.router.member;
        let Some(courier) = process.router.courier(id) else { return };
        let is_other = other_paths.is_some();
        if matches!(id, CourierId::Again(member, _) if member == own) {
            // Whoever waits for an ended path waits for this row: it must not wait itself.
            courier.paths = Paths::of_returned_by(own);
        }
        let mut paths = other_paths.unwrap_or_else(|| std::mem::take(&mut courier.paths));
        let routed = self.route(host, &mut paths, outgoing);
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(courier) = process.router.courier(id) else { return };
        let mut kept = None;
        if is_other {
            kept = Some(paths);
        } else {
            courier.paths = paths;
        }
        if let Routed::Again(wait, time, outgoing) = routed {
            self.begin_waiting(host, id, wait, time, kept, outgoing);
        }
    }

    /// A session is over, its route is not in the view any more, and it was not done with this.
    fn take_back(&mut self, host: usize, id: CourierId, parcel: Parcel) {
        let CourierId::Session(session) = id else { return };
        let Some(process) = &self.hosts[host].process else { return };
        let router = &process.router;
        let generation = router.sessions.get(&session).map_or(router.generation, |session| session.generation);
        match parcel.home {
            Home::Here => self.take_back_own(host, id, Outgoing::accepted(parcel.stanza)),
            Home::Named(name) => {
                let again = Outgoing { name: Some(name), ..Outgoing::accepted(parcel.stanza) };
                if let Some(process) = &mut self.hosts[host].process {
                    process.mesh.arrivals.came_back(name, parcel.route);
                }
                self.take_back_own(host, id, again);
            }
            // Still stored: whoever claims next gets it.
            Home::Offline { .. } => {}
            Home::Member { .. } if generation != router.generation => {}
            Home::Member { .. } if router.is_connected => {
                let index = router.view.applied;
                self.give_back(host, parcel, index);
            }
            Home::Member { .. } => self.inherit(host, parcel, None),
        }
    }

    fn take_back_own(&mut self, host: usize, id: CourierId, outgoing: Outgoing) {
        let Some(process) = &self.hosts[host].process else { return };
        if process.router.service == Service::Serve {
            self.route_for(host, id, None, outgoing);
        } else {
            let member = process.router.member;
            self.push_again(host, member, outgoing);
        }
    }

    // ---- one stanza -------------------------------------------------------------------------------------------------

    fn route(&mut self, host: usize, paths: &mut Paths, outgoing: Outgoing) -> Routed {
        let domain = self.domain.clone();
        let Some(process) = &self.hosts[host].process else { return Routed::Done };
        let account = recipient(&domain, &outgoing.stanza);
        let routes = account.as_ref().and_then(|account| process.router.view.routes_of(account));
        if let Some(account) = &account {
            let ended = paths.ended(account, routes.as_deref());
            if !ended.is_empty() {
                let left = ended.into_iter().collect();
                return Routed::Again(Wait::Pass { left, present: None }, PASS_TIME_MAX, outgoing);
            }
        }
        match (decide(routes.as_deref(), &domain, &outgoing.stanza), account) {
            (Decision::Deliver(chosen), Some(account)) => self.put_on(host, paths, &account, &chosen, outgoing),
            (Decision::Store, Some(account)) => self.store(host, &account, outgoing),
            (Decision::Bounce(condition), _) => self.bounce(host, paths, outgoing, condition),
            (Decision::Drop | Decision::Deliver(_) | Decision::Store, _) => {
                outgoing.ticket.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
                Routed::Done
            }
        }
    }

    fn put_on(
        &mut self,
        host: usize,
        paths: &mut Paths,
        account: &BareJid,
        chosen: &ChosenRoutes,
        outgoing: Outgoing,
    ) -> Routed {
        if outgoing.attempts > REROUTES_MAX {
            return self.bounce(host, paths, outgoing, ErrorCondition::RecipientUnavailable);
        }
        for route in chosen {
            paths.take(account, route);
        }
        let Outgoing { stanza, ticket, attempts, mut name } = outgoing;
        if chosen.len() > 1 && may_go_elsewhere(&stanza) {
            name = name.or_else(|| self.next_name(host));
        }
        let tickets = Ticket::split(ticket, chosen.len());
        let mut missed = Vec::new();
        for (route, ticket) in chosen.iter().zip(tickets) {
            missed.extend(self.put(host, route, Outgoing { stanza: stanza.clone(), ticket, attempts, name }));
        }
        let retried = if missed.len() == chosen.len() { missed.pop() } else { None };
        for ticket in missed.into_iter().filter_map(|missed| missed.ticket) {
            self.ticket_done(host, ticket);
        }
        match retried {
            Some(retried) => Routed::Again(Wait::View { moved: false }, MOVE_TIME_MAX, retried),
            None => Routed::Done,
        }
    }

    /// A name for what several sessions are given at once.
    fn next_name(&mut self, host: usize) -> Option<StanzaName> {
        let mesh = &mut self.hosts[host].process.as_mut()?.mesh;
        mesh.last_name += 1;
        Some(StanzaName { home: mesh.peer.boot, owner: mesh.peer.boot, number: Sequence(mesh.last_name) })
    }

    /// Hands the stanza to the session or to the lane of its member; gives it back if neither is there.
    fn put(&mut self, host: usize, route: &Route, outgoing: Outgoing) -> Option<Outgoing> {
        let Outgoing { stanza, ticket, attempts, name } = outgoing;
        let process = self.hosts[host].process.as_mut()?;
        if route.member != process.router.member {
            let missed = |stanza, ticket| Some(Outgoing { stanza, ticket, attempts: attempts + 1, name });
            let Some(key) = process.lane_to(route.member) else { return missed(stanza, ticket) };
            let request = ToLane::Parcel { origin: ticket, route: route.id, stanza, attempts, name };
            return match self.to_lane(host, key, request) {
                Err(ToLane::Parcel { origin, stanza, .. }) => missed(stanza, origin),
                Ok(()) | Err(ToLane::Nudge { .. } | ToLane::Pass { .. }) => None,
            };
        }
        match process.router.sessions.get_mut(&route.session).filter(|session| !session.is_closed) {
            Some(session) => {
                if name.is_none_or(|name| process.mesh.arrivals.takes(name, route.id)) {
                    let home = name.map_or(Home::Here, Home::Named);
                    session.parcels.push_back(Parcel { stanza, route: route.id, home });
                }
                self.session_soon(host, route.session);
                ticket.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
                None
            }
            None => Some(Outgoing { stanza, ticket, attempts: attempts + 1, name }),
        }
    }

    fn bounce(&mut self, host: usize, paths: &mut Paths, outgoing: Outgoing, condition: ErrorCondition) -> Routed {
        match outgoing.stanza.bounce(condition, None) {
            Some(error) => self.route(host, paths, Outgoing::new(error, outgoing.ticket)),
            None => {
                outgoing.ticket.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
                Routed::Done
            }
        }
    }

    fn store(&mut self, host: usize, account: &BareJid, outgoing: Outgoing) -> Routed {
        let name = account.node().expect("a recipient is an account").to_owned();
        let stored = self
            .accounts
            .store_offline(name, outgoing.stanza.clone(), UnixMillis(0), OFFLINE_MESSAGES_MAX, outgoing.name)
            .now_or_never()
            .expect("the store answers at once");
        let condition = match stored {
            Ok(Stored::Kept) => {
                outgoing.ticket.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
                // A resource that has come since it was decided to store does not know of the message.
                self.nudge_account(host, account);
                return Routed::Done;
            }
            Ok(Stored::Full | Stored::NoSuchAccount) => ErrorCondition::ServiceUnavailable,
            Err(_) => ErrorCondition::ResourceConstraint,
        };
        self.bounce(host, &mut Paths::default(), outgoing, condition)
    }
}
