//! One client's task: waits for the next fact, tells the session, carries its orders out.
//!
//! Facts in the order in which they are looked for, each time: the timer; the mailbox; what the session has said and
//! asked; the socket, first for writing and then for reading. Bytes are read into the stack, so a connection on which
//! nothing happens keeps no buffer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cresset_core::admission::{Door, Origin, Party};
use cresset_core::ids::RouteId;
use cresset_core::node::Service;
use cresset_core::routing::{Home, Parcel};
use cresset_core::session::{ResumptionId, Session, TlsEstablished};
use cresset_core::time::Uptime;
use cresset_core::{planted, sometimes};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::admission::{Admitted, Waiting};
use super::close::close;
use super::errands::{Errand, ErrandAnswer};
use super::outbound::Outbound;
use super::tries::Attempt;
use super::turns::{Pace, Turn};
use super::work::Work;
use super::{Attach, ClientSettings, ClientTransport, OUTBOUND_BYTES_HIGH, READ_BYTES, WRITE_TIME_MAX};
use crate::router::{SessionHandle, ToSession};
use crate::witness::{self, Fact};

/// How soon a connection looks again whether the node may serve, if nobody has told it anything.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One client's session with its transport.
pub(super) struct Connection {
    pub(super) settings: Arc<ClientSettings>,
    pub(super) handle: Arc<SessionHandle>,
    pub(super) session: Session,
    pub(super) transport: Transport,
    pub(super) outbound: Outbound,
    /// What is to be done with the transport when everything is written.
    pub(super) starts_tls: bool,
    pub(super) admitted: Option<Admitted>,
    /// While the session waits for its client.
    waiting: Option<Waiting>,
    /// Absent once the client has authenticated and asks for a resource.
    pub(super) stranger: Option<Box<Turn<Party>>>,
    pace: Pace,
    /// Where the client is that authenticates.
    pub(super) origin: Origin,
    /// With whom it takes turns.
    party: Party,
    /// Its try of a password that is under way.
    pub(super) attempt: Option<Attempt>,
    pub(super) work: Work,
    pub(super) errands: VecDeque<Errand>,
    errand: Option<UnderWay>,
    /// Parcels that are done with and whose homes could not be told at once.
    pub(super) unsettled: VecDeque<Home>,
    settling: Option<BoxFuture<'static, ()>>,
    /// Stored messages that have arrived, and the route that had claimed each.
    pub(super) arrived: Vec<(RouteId, i64)>,
    /// Who waits until what the session holds is settled.
    pub(super) held: Option<mpsc::Sender<()>>,
    pub(super) returned: Vec<Parcel>,
    pub(super) passes: Vec<oneshot::Sender<()>>,
    pub(super) resumption: Option<ResumptionId>,
    /// Why the session is not driven any further, once that is so. It stays until the task heeds it, whoever hears the
    /// order.
    pub(super) stop: Option<Stop>,
    timer: Option<Pin<Box<Sleep>>>,
    timer_at: Option<Uptime>,
    /// When the transport is given up if the client has taken nothing more.
    write_deadline: Option<Uptime>,
}

/// What is asked of the account store.
struct UnderWay {
    is_change: bool,
    answer: BoxFuture<'static, ErrandAnswer>,
}

/// Where the bytes go.
pub(super) enum Transport {
    Open(ClientTransport),
    /// TLS is being negotiated.
    Handshake(BoxFuture<'static, io::Result<ClientTransport>>),
    /// The session waits for another one, or is over.
    None,
}

/// Why the task stops driving the session.
pub(super) enum Stop {
    /// The session is over.
    Over,
    /// The client resumes that session on this transport.
    Resumes { session: Arc<SessionHandle>, handled: u32 },
}

impl Connection {
    pub(super) fn new(
        settings: Arc<ClientSettings>,
        session: Session,
        admitted: Admitted,
        origin: Origin,
        party: Party,
        stranger: Turn<Party>,
    ) -> Connection {
        let handle = settings.router.enter();
        let work = Work::of(&handle);
        Connection {
            handle,
            settings,
            session,
            transport: Transport::None,
            outbound: Outbound::default(),
            starts_tls: false,
            admitted: Some(admitted),
            waiting: None,
            stranger: Some(Box::new(stranger)),
            pace: Pace::default(),
            origin,
            party,
            attempt: None,
            work,
            errands: VecDeque::new(),
            errand: None,
            unsettled: VecDeque::new(),
            settling: None,
            arrived: Vec::new(),
            held: None,
            returned: Vec::new(),
            passes: Vec::new(),
            resumption: None,
            stop: None,
            timer: None,
            timer_at: None,
            write_deadline: None,
        }
    }

    /// Drives the session to its end and sees to what it leaves behind.
    pub(super) async fn run(mut self: Box<Self>) {
        let stop = loop {
            self.obey();
            self.find_room_to_wait();
            if let Some(stop) = self.stop.take() {
                break stop;
            }
            self.held = None;
            self.let_pass();
            poll_fn(|cx| self.poll_in_turn(cx)).await;
        };
        match stop {
            Stop::Over => Box::pin(self.farewell()).await,
            Stop::Resumes { session, handled } => Box::pin(self.hand_over(session, handled)).await,
        }
    }

    pub(super) fn now(&self) -> Uptime {
        self.settings.router.now()
    }

    /// A session that waits for its client takes room, and ends if there is none.
    fn find_room_to_wait(&mut self) {
        if !self.session.is_resumable() {
            self.waiting = None;
            return;
        }
        if self.waiting.is_some() {
            return;
        }
        self.waiting = self.settings.admission.wait();
        if self.waiting.is_none() {
            tracing::debug!("too many sessions wait for their clients");
            self.session.handle_no_room(self.now());
            self.obey();
        }
    }

    /// The transport is gone.
    pub(super) fn lose_transport(&mut self, now: Uptime) {
        self.transport = Transport::None;
        self.admitted = None;
        self.outbound = Outbound::default();
        self.starts_tls = false;
        self.write_deadline = None;
        self.session.handle_lost(now);
    }

    /// Forgets what waits for the client. If it has half of something it can be told nothing more.
    pub(super) fn discard_outbound(&mut self, is_negotiating: bool) {
        sometimes!(self.outbound.len() > 0, "a_session_had_something_to_write_that_it_may_not");
        let misses_a_step = is_negotiating && !self.outbound.is_written();
        if self.outbound.discard().is_err() || misses_a_step {
            let now = self.now();
            self.lose_transport(now);
        }
    }

    /// As [`poll`](Connection::poll), when it may use the thread.
    fn poll_in_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.now();
        std::task::ready!(self.pace.poll_begin(cx, now, &self.settings.busy, self.session.account()));
        let polled = self.poll(cx, now);
        if polled.is_pending() {
            let now = self.now();
            self.pace.pause(now);
        }
        polled
    }

    /// Ready when something happened that the session may have orders about.
    fn poll(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        self.session.set_wall_clock(self.settings.router.wall());
        self.session.set_patience(self.settings.router.patience());
        self.session.set_gate(self.settings.router.gate().service() == Service::Serve, self.may_write(now));
        if !self.may_read(now) {
            self.session.handle_unread(now);
        }
        let mut happened = self.poll_timer(cx, now).is_ready();
        happened |= self.poll_mailbox(cx, now).is_ready();
        happened |= self.work.poll(cx, &self.settings.router).is_ready();
        happened |= self.poll_errand(cx, now).is_ready();
        happened |= self.poll_settling(cx).is_ready();
        happened |= self.poll_transport(cx, now).is_ready();
        if self.session.is_overfull() {
            witness::tell(|| Fact::Overfull { session: self.handle.id });
        }
        if happened { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        let look_again = self.is_blocked(now).then(|| now + LOOK_AGAIN);
        let due = [self.session.poll_timeout(), self.write_deadline, look_again].into_iter().flatten().min();
        let Some(due) = due else {
            (self.timer, self.timer_at) = (None, None);
            return Poll::Pending;
        };
        if self.timer_at.is_none_or(|at| due < at || at <= now) {
            let at = Instant::now() + due.since(now);
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(at),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(at))),
            }
            self.timer_at = Some(due);
        }
        let timer = self.timer.as_mut().expect("it was set above or before");
        if timer.as_mut().poll(cx).is_pending() && due > now {
            return Poll::Pending;
        }
        self.timer_at = None;
        if self.write_deadline.is_some_and(|deadline| deadline <= now) {
            sometimes!("a_client_that_takes_nothing_is_given_up");
            self.lose_transport(now);
        }
        if self.session.poll_timeout().is_some_and(|timeout| timeout <= now) {
            self.session.handle_timeout(now);
        }
        if self.settings.router.gate().service() == Service::Serve {
            self.session.ask_again();
        }
        Poll::Ready(())
    }

    fn poll_mailbox(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        let is_bound = self.session.held_route().is_some();
        let room = if is_bound { OUTBOUND_BYTES_HIGH.saturating_sub(self.outbound.len()) } else { 0 };
        let (kept, awaits_handled) = (self.session.queue_bytes(), self.session.awaits_handled());
        let (events, parcels) = std::task::ready!(self.handle.poll_take(cx, room, kept, awaits_handled));
        // What was stored may have been said before what comes with the nudge, and is not to be overtaken by it.
        if events.iter().any(|event| matches!(event, ToSession::Nudge)) {
            self.session.handle_nudge(now);
        }
        for parcel in parcels {
            self.session.handle_parcel(now, parcel);
        }
        for event in events {
            self.handle_event(now, event);
        }
        Poll::Ready(())
    }

    pub(super) fn handle_event(&mut self, now: Uptime, event: ToSession) {
        match event {
            ToSession::Handled(number) => self.session.handle_handled(now, number),
            ToSession::Answer(answer) => {
                self.session.handle_answer(now, answer);
                // Whatever it says from here on it says in this life of the node, and by this route.
                self.obey();
            }
            ToSession::Lost(lost) => self.session.handle_members_lost(now, lost),
            // It was heeded before any stanza.
            ToSession::Nudge => {}
            ToSession::Service(service) => self.session.handle_service(now, service),
            ToSession::RouteEnded { route, reason } => self.session.handle_route_ended(now, route, reason),
            ToSession::Close { condition, other_host } => {
                self.session.handle_close(now, condition, other_host.map(|host| host.to_string()));
            }
            ToSession::Overflow => self.session.handle_overflow(now),
            ToSession::Attach(attach) => self.take_over(now, *attach),
            ToSession::Pass(pass) => self.passes.push(pass),
            ToSession::Hold(guard) => {
                self.session.handle_hold(now);
                // One that is over has nothing any more that is to be settled.
                self.held = Some(guard).filter(|_| !self.session.is_over());
            }
            ToSession::Moves { ended } => {
                self.session.handle_moves(now, ended);
                self.obey();
            }
        }
    }

    /// Lets those past who wait until this session owes nobody anything.
    fn let_pass(&mut self) {
        if self.passes.is_empty() || self.session.owes() || !self.returned.is_empty() || !self.handle.is_empty() {
            return;
        }
        sometimes!("a_session_lets_others_past_while_it_lives");
        self.let_everybody_past();
    }

    pub(super) fn let_everybody_past(&mut self) {
        for pass in std::mem::take(&mut self.passes) {
            // Nobody waits any more if the other end is gone.
            let _ = pass.send(());
        }
    }

    /// The client resumes this session on another transport.
    fn take_over(&mut self, now: Uptime, attach: Attach) {
        if !matches!(self.transport, Transport::None) {
            sometimes!("a_session_is_resumed_while_it_still_has_a_connection");
            // The client is told on the new one that it holds its JID, and hears there what it had not acknowledged.
            self.obey();
            if !planted!(SupersededGoesOn) {
                self.discard_outbound(false);
            }
        }
        if !matches!(self.transport, Transport::None) {
            self.session.handle_superseded(now);
            // These orders are about the transport that goes.
            self.obey();
        }
        let Attach { transport, outbound, admitted, handled, remaining } = attach;
        if !self.session.is_resumable() {
            // The session is ending. The client finds out and begins anew.
            close(transport, outbound, Some(admitted));
            return;
        }
        self.transport = Transport::Open(transport);
        self.outbound = outbound;
        self.admitted = Some(admitted);
        self.session.handle_resumed(now, handled, remaining);
    }

    fn poll_errand(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        if self.errand.is_none() {
            let Some(next) = self.next_errand() else { return Poll::Pending };
            let is_change = next.is_change();
            self.errand = Some(UnderWay { is_change, answer: next.run(&self.settings, self.origin, self.party) });
        }
        let Some(errand) = &mut self.errand else { return Poll::Pending };
        let answer = std::task::ready!(errand.answer.poll_unpin(cx));
        self.errand = None;
        match answer {
            ErrandAnswer::Credentials(answer, attempt) => {
                self.attempt = attempt;
                self.session.handle_credentials(now, answer);
            }
            ErrandAnswer::Derived(keys) => self.session.handle_derived(now, keys),
            ErrandAnswer::Roster(answer) => self.session.handle_roster(now, answer),
            ErrandAnswer::Offline(answer) => self.session.handle_offline(now, answer),
            ErrandAnswer::Stored(answer) => self.session.handle_stored(now, answer),
            ErrandAnswer::Forgotten => {}
        }
        Poll::Ready(())
    }

    /// The next thing to ask. More stored messages are not asked for while the client has not read what it has.
    fn next_errand(&mut self) -> Option<Errand> {
        if self.errands.is_empty() {
            self.errands = VecDeque::new();
            return self.forget_arrived();
        }
        if matches!(self.errands.front(), Some(Errand::Claim { .. })) {
            if self.outbound.len() >= OUTBOUND_BYTES_HIGH {
                return None;
            }
            // What has arrived must not be claimed again.
            if let Some(forget) = self.forget_arrived() {
                return Some(forget);
            }
        }
        self.errands.pop_front()
    }

    fn forget_arrived(&mut self) -> Option<Errand> {
        let route = self.arrived.first()?.0;
        let account = self.session.account()?.clone();
        let same_route = |(claimant, _): &mut (RouteId, i64)| *claimant == route;
        let keys = self.arrived.extract_if(.., same_route).map(|(_, key)| key).collect();
        Some(Errand::Forget { account, keys, route })
    }

    fn poll_settling(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.settling.is_none() {
            if self.unsettled.is_empty() {
                return Poll::Pending;
            }
            let (homes, router, handle) =
                (std::mem::take(&mut self.unsettled), self.settings.router.clone(), self.handle.clone());
            self.settling = Some(Box::pin(async move {
                for home in homes {
                    router.settle(&handle, home).await;
                }
            }));
        }
        let Some(settling) = &mut self.settling else { return Poll::Pending };
        std::task::ready!(settling.poll_unpin(cx));
        self.settling = None;
        Poll::Ready(())
    }

    /// What the session has begun and does not end by itself: it tells the homes of everything that is done with, and does
    /// what was asked of the account store to change it. What was asked to be known interests nobody any more.
    pub(super) fn take_chores(&mut self) -> BoxFuture<'static, ()> {
        let (settling, unsettled) = (self.settling.take(), std::mem::take(&mut self.unsettled));
        let under_way = self.errand.take().filter(|errand| errand.is_change);
        let mut errands: Vec<Errand> = std::mem::take(&mut self.errands).into();
        errands.extend(std::iter::from_fn(|| self.forget_arrived()));
        let (settings, handle) = (self.settings.clone(), self.handle.clone());
        let (origin, party) = (self.origin, self.party);
        Box::pin(async move {
            if let Some(settling) = settling {
                settling.await;
            }
            for home in unsettled {
                settings.router.settle(&handle, home).await;
            }
            if let Some(errand) = under_way {
                errand.answer.await;
            }
            for errand in errands {
                match errand {
                    Errand::Roster { .. } | Errand::Forget { .. } => drop(errand.run(&settings, origin, party).await),
                    Errand::LookUp { .. } | Errand::Derive(_) | Errand::Claim { .. } | Errand::Look { .. } => {}
                }
            }
        })
    }

    fn poll_transport(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        let Some(mut stranger) = self.stranger.take() else { return self.poll_transport_now(cx, now) };
        let polled = match stranger.poll_begin(cx) {
            Poll::Ready(()) => self.poll_transport_now(cx, now),
            Poll::Pending => Poll::Pending,
        };
        stranger.finish();
        self.stranger = Some(stranger);
        polled
    }

    fn poll_transport_now(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        match &mut self.transport {
            Transport::None => Poll::Pending,
            Transport::Handshake(handshake) => {
                match std::task::ready!(handshake.poll_unpin(cx)) {
                    Ok(transport) => {
                        self.transport = Transport::Open(transport);
                        self.session.handle_tls(now, TlsEstablished);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no TLS with a client");
                        self.lose_transport(now);
                    }
                }
                Poll::Ready(())
            }
            Transport::Open(_) => {
                let wrote = self.poll_write(cx, now).is_ready();
                let read = self.poll_read(cx, now).is_ready();
                if wrote || read { Poll::Ready(()) } else { Poll::Pending }
            }
        }
    }

    fn may_write(&self, now: Uptime) -> bool {
        let gate = self.settings.router.gate();
        gate.may_serve(now) && gate.is_of(self.handle.generation()) && !self.handle.is_revoked()
    }

    /// Whether there is something to do that the lease does not allow, although nobody has paused the node: it may be
    /// renewed without another word.
    fn is_blocked(&self, now: Uptime) -> bool {
        let gate = self.settings.router.gate();
        let wants = !self.outbound.is_written() || self.session.wants_bytes();
        if self.session.has_to_ask() {
            return gate.service() == Service::Serve;
        }
        wants && gate.service() == Service::Serve && !gate.may_serve(now) && !self.handle.is_revoked()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        if self.outbound.is_written() || !self.may_write(now) {
            self.write_deadline = None;
            return Poll::Pending;
        }
        let Transport::Open(transport) = &mut self.transport else { return Poll::Pending };
        match self.outbound.poll_write(cx, transport) {
            Poll::Ready(Ok(0)) => {
                self.write_deadline = None;
                self.session.handle_written(now);
                if self.starts_tls {
                    self.start_tls();
                }
                Poll::Ready(())
            }
            Poll::Ready(Ok(_)) => {
                self.write_deadline = Some(now + WRITE_TIME_MAX);
                Poll::Ready(())
            }
            Poll::Ready(Err(_)) => {
                self.lose_transport(now);
                Poll::Ready(())
            }
            Poll::Pending => {
                self.write_deadline.get_or_insert(now + WRITE_TIME_MAX);
                Poll::Pending
            }
        }
    }

    /// Whether the client may be heard, as far as it is not the session's business.
    fn may_read(&self, now: Uptime) -> bool {
        let has_room = self.outbound.len() < OUTBOUND_BYTES_HIGH && self.work.has_room();
        has_room && !self.starts_tls && (self.settings.router.gate().may_serve(now) || self.is_turned_away())
    }

    /// Whether the client has said nothing, and is to hear that it is not served here as soon as it does.
    fn is_turned_away(&self) -> bool {
        self.session.awaits_header() && self.settings.router.door() != Door::Open
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, now: Uptime) -> Poll<()> {
        if !self.may_read(now) || !self.session.wants_bytes() {
            return Poll::Pending;
        }
        let Transport::Open(transport) = &mut self.transport else { return Poll::Pending };
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        let result = std::task::ready!(Pin::new(transport).poll_read(cx, &mut buffer));
        match (result, buffer.filled()) {
            (Ok(()), []) | (Err(_), _) => self.lose_transport(now),
            (Ok(()), filled) => {
                if self.session.awaits_header() {
                    self.session.set_door(self.settings.router.door());
                }
                self.session.handle_bytes(now, filled);
            }
        }
        Poll::Ready(())
    }

    fn start_tls(&mut self) {
        self.starts_tls = false;
        let Some(tls) = &self.settings.tls else { return };
        if let Transport::Open(transport) = std::mem::replace(&mut self.transport, Transport::None) {
            self.transport = Transport::Handshake(super::tls::handshake_within(tls.upgrade(), transport));
        }
    }
}
