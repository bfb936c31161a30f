//! One client: bytes in, orders out.
//!
//! ```text
//!             handle_bytes ┌─────────────────────────────────────────┐ Send, StartTls, Close
//!  transport ─────────────▶│ stream ─▶ login ─▶ bind ─▶ stanzas:     │──────────────────────▶ transport
//!                          │   presence, roster, services, offline   │ LookUpCredentials, Roster, ClaimOffline, …
//!  accounts  ─────────────▶│                                         │──────────────────────▶ accounts
//!             handle_parcel│ tally: what the client sent             │ Bind, Announce, Route, Settle, Return, End
//!  cluster   ─────────────▶│ delivery: what it is sent      (ack)    │──────────────────────▶ cluster
//!                          └─────────────────────────────────────────┘
//! ```
//!
//! The driver calls [`Session::set_wall_clock`] when time has passed, one `handle_*`, then
//! [`Session::poll_output`] until there is nothing, then waits for the next fact or for [`Session::poll_timeout`]. It
//! reads from the transport only while [`Session::wants_bytes`], and says [`Session::handle_unread`] if it does not although
//! it could.
//!
//! Invariants: a stanza of the client is acknowledged only when [`Session::handle_handled`] has come for it and for all
//! before it; each parcel ends as one [`Order::Settle`] or one [`Order::Return`]; a stream gets at most one error; after
//! [`Order::End`] nothing happens.
//!
//! How a stream lies in the bytes is known to `framing` alone: the rest of the session reads and writes what is said.
//!
//! Deliberately not here: where stanzas go (`routing`), what requests are answered with (`services`), who holds a JID
//! (`cluster`), and what other sessions do.

mod ack;
mod announce;
mod bind;
mod deliver;
mod delivery;
mod directed;
mod error;
mod facts;
mod framing;
mod holding;
mod login;
mod moving;
mod names;
mod offline;
mod order;
mod output;
mod presence;
mod read;
mod report;
mod roster;
mod roster_requests;
mod route;
mod seen;
mod settings;
mod silence;
mod stanzas;
mod state;
mod stream;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rand::rngs::StdRng;

pub use error::StreamErrorCondition;
pub use facts::{CredentialsAnswer, Lost, OfflineMessage, StoreUnavailable, TlsEstablished};
pub use holding::Leaving;
pub use order::{Order, ResumptionId};
pub use report::{LoginFailure, LoginName, LoginReport};
pub use roster::{RosterAnswer, RosterItem, RosterOrder, RosterPart, RosterRefusal, RosterSize, Subscription};
pub use settings::{SessionSettings, TlsPolicy};
pub use silence::Patience;

use crate::admission::Door;
use crate::ids::Sequence;
use crate::jid::{BareJid, FullJid};
use crate::limits::{AUTHENTICATION_TIME_MAX, SESSION_UNHANDLED_BYTES_MAX, SESSION_UNHANDLED_STANZAS_MAX};
use crate::routing::Parcel;
use crate::sasl::ScramKeys;
use crate::session::announce::Announcer;
use crate::session::error::StreamError;
use crate::session::framing::Framing;
use crate::session::holding::Holding;
use crate::session::login::Login;
use crate::session::offline::Earlier;
use crate::session::output::Output;
use crate::session::silence::Silence;
use crate::session::state::BoundState;
use crate::session::tally::CountRequests;
use crate::time::{UnixMillis, Uptime};

/// One client's session.
pub struct Session {
    settings: Arc<SessionSettings>,
    random: StdRng,
    wall: UnixMillis,
    output: Output,
    framing: Framing,
    stage: Stage,
    transport: Transport,
    encrypted: bool,
    paused: bool,
    /// Until when the client has to have authenticated, and then bound.
    deadline: Option<Uptime>,
    /// Attempts to authenticate that failed.
    failures: u32,
    /// Who has authenticated.
    account: Option<BareJid>,
    bound: Option<Box<BoundState>>,
    /// What it has of the agreed state. Goes on when the session is over.
    holding: Holding,
    /// Whether the node serves, as far as the control plane has said.
    serves: bool,
    /// Whether the session may deliver.
    may_deliver: bool,
    /// What routing knows of it when it is over.
    last_presence: Option<Box<Announcer>>,
    count_requests: CountRequests,
    /// When the client is asked again for what it did not acknowledge.
    ask_again: Option<Uptime>,
    /// Until then messages wait for the initial presence, if earlier ones are stored.
    awaits_presence_until: Option<Uptime>,
    /// Until then they wait for the client to acknowledge as well.
    awaits_management_until: Option<Uptime>,
    /// What is known of those.
    earlier: Earlier,
    /// When messages are claimed again of which the store has said nothing.
    claim_again: Option<Uptime>,
    /// Until when a session without a transport may be resumed.
    hibernates_until: Option<Uptime>,
    silence: Silence,
    /// What the client finds when it opens a stream, unless that is an open door.
    door: Option<Box<Door>>,
    /// An answer of the offline store that came while the node might not serve.
    offline_answer: Option<Result<Vec<OfflineMessage>, StoreUnavailable>>,
}

/// How far the negotiation is.
enum Stage {
    /// The client is to open a stream.
    Opening,
    /// The client is to choose a feature.
    Negotiating,
    /// The transport negotiates TLS.
    Handshake,
    /// In a box of its own, because most sessions have long left it.
    Login(Box<Login>),
    /// A bind is agreed on.
    Binding {
        /// Of the request.
        id: Option<String>,
    },
    /// Another session is looked for.
    Resuming,
    Bound,
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transport {
    Open,
    /// The client has asked to resume, having handled so many stanzas, and is not answered yet.
    Resuming {
        handled: u32,
    },
    Lost,
}

/// What a session that resumes another one hands over to it: what the client has sent and was not read, and where in
/// its stream it is.
pub struct Remaining {
    framing: Framing,
}

impl Session {
    /// A session on a transport that was just accepted. The generator has to be seeded by the operating system in
    /// production: nonces, resources and resumption ids come from it.
    pub fn new(now: Uptime, settings: Arc<SessionSettings>, random: StdRng) -> Session {
        Session {
            settings,
            random,
            wall: UnixMillis::default(),
            output: Output::default(),
            framing: Framing::new(),
            stage: Stage::Opening,
            transport: Transport::Open,
            encrypted: false,
            paused: false,
            deadline: Some(now + AUTHENTICATION_TIME_MAX),
            failures: 0,
            account: None,
            bound: None,
            holding: Holding::default(),
            serves: false,
            may_deliver: true,
            last_presence: None,
            count_requests: CountRequests::new(),
            ask_again: None,
            awaits_presence_until: None,
            awaits_management_until: None,
            earlier: Earlier::Unknown,
            claim_again: None,
            hibernates_until: None,
            silence: Silence::new(now),
            door: None,
            offline_answer: None,
        }
    }

    /// Tells what people call the time. It is only told to people: XEP-0202.
    pub fn set_wall_clock(&mut self, wall: UnixMillis) {
        self.wall = wall;
    }

    /// How long the client may be silent from here on.
    pub fn set_patience(&mut self, patience: Patience) {
        self.silence.patience = patience;
    }

    /// Whether the client is to open a stream, and so to be told of the [`Door`].
    pub fn awaits_header(&self) -> bool {
        matches!(self.stage, Stage::Opening)
    }

    /// What the client finds if the bytes that come next open a stream: if that is not an open door, the stream has a
    /// header and an error, and nothing else.
    pub fn set_door(&mut self, door: Door) {
        self.door = (door != Door::Open).then(|| Box::new(door));
    }

    /// The driver does not read from the client at the moment, so its silence says nothing.
    pub fn handle_unread(&mut self, now: Uptime) {
        self.silence.begin_again(now);
    }

    /// The client sent these bytes.
    pub fn handle_bytes(&mut self, now: Uptime, bytes: &[u8]) {
        if self.transport != Transport::Open {
            return;
        }
        self.silence.begin_again(now);
        match self.stage {
            Stage::Handshake | Stage::Over => {}
            Stage::Opening
            | Stage::Negotiating
            | Stage::Login(_)
            | Stage::Binding { .. }
            | Stage::Resuming
            | Stage::Bound => {
                self.framing.feed(bytes);
                self.read(now);
            }
        }
    }

    /// The TLS handshake is complete: after [`Order::StartTls`], or before the first byte on a listener of direct TLS.
    pub fn handle_tls(&mut self, _now: Uptime, _established: TlsEstablished) {
        let is_expected = matches!(self.stage, Stage::Handshake) || (self.is_fresh() && !self.encrypted);
        if is_expected {
            self.encrypted = true;
            self.restart_stream();
        }
    }

    /// Answers [`Order::LookUpCredentials`].
    pub fn handle_credentials(&mut self, now: Uptime, answer: CredentialsAnswer) {
        self.continue_with_keys(answer);
        self.read(now);
    }

    /// Answers [`Order::DeriveKeys`].
    pub fn handle_derived(&mut self, now: Uptime, keys: ScramKeys) {
        self.continue_with_derived(now, &keys);
        self.read(now);
    }

    /// Every active member knows the presence of this revision.
    fn handle_announced(&mut self, revision: u64) {
        let Some(bound) = self.bound.as_mut() else {
            return self.last_presence.iter_mut().for_each(|last| last.announced_at_the_end(revision));
        };
        let announcement = bound.announcer.announced(revision);
        self.order_announcement(announcement);
        self.do_what_is_announced();
    }

    /// A stanza for the client. It ends as one [`Order::Settle`] or one [`Order::Return`].
    pub fn handle_parcel(&mut self, _now: Uptime, parcel: Parcel) {
        self.take_parcel(parcel);
    }

    /// Answers [`Order::Route`] with a number. The answers may come in any order.
    pub fn handle_handled(&mut self, now: Uptime, number: Sequence) {
        self.handled(now, number);
        self.read(now);
    }

    /// Answers [`Order::Roster`], in the order of the orders.
    pub fn handle_roster(&mut self, now: Uptime, answer: RosterAnswer) {
        self.answer_roster_request(now, answer);
        self.read(now);
    }

    /// Answers [`Order::ClaimOffline`], which is repeated until nothing more waits.
    pub fn handle_offline(&mut self, now: Uptime, answer: Result<Vec<OfflineMessage>, StoreUnavailable>) {
        self.deliver_offline(now, answer);
    }

    /// Answers [`Order::LookForStored`]: whether there is such a message.
    pub fn handle_stored(&mut self, _now: Uptime, answer: Result<bool, StoreUnavailable>) {
        self.deliver_unless_stored(answer);
    }

    /// Everything that was handed out by [`Order::Send`] so far is on the socket.
    pub fn handle_written(&mut self, _now: Uptime) {
        self.settle_written();
    }

    /// The transport is gone. The session waits to be resumed if the client asked for that, or ends.
    pub fn handle_lost(&mut self, now: Uptime) {
        match self.transport {
            Transport::Open if !self.is_over() => {
                self.output.drop_bytes();
                self.hibernate(now);
            }
            Transport::Resuming { .. } => self.transport = Transport::Lost,
            Transport::Open | Transport::Lost => {}
        }
    }

    /// Too many sessions wait for their clients: one that has lost its transport ends, as it does when its time is over.
    /// A client that comes back for it finds `item-not-found`, and begins anew.
    pub fn handle_no_room(&mut self, _now: Uptime) {
        if self.is_resumable() {
            self.finish();
        }
    }

    /// The client resumes this session on another transport: it comes back as it was. `handled` is how many stanzas it
    /// has handled, `remaining` what the session that ordered [`Order::Resume`] leaves. Only for a session that
    /// [is resumable](Session::is_resumable).
    pub fn handle_resumed(&mut self, now: Uptime, handled: u32, remaining: Remaining) {
        self.continue_resumed(now, handled, remaining);
    }

    /// Answers [`Order::Resume`]: there is no such session.
    pub fn handle_resume_failed(&mut self, now: Uptime) {
        self.refuse_resumption();
        self.read(now);
    }

    /// The client is about to resume this session on another transport: the one that it has is closed with
    /// `<conflict/>`.
    pub fn handle_superseded(&mut self, now: Uptime) {
        if self.transport == Transport::Lost || self.is_over() {
            return;
        }
        let was_open = self.transport == Transport::Open;
        self.discard_what_may_not_be_delivered();
        self.say_error(&StreamErrorCondition::Conflict.into());
        self.close_transport();
        if was_open {
            self.hibernate(now);
        }
    }

    /// The session has to end: a newer bind has its JID (`conflict`), or the node stops (`system-shutdown`, or
    /// `see-other-host` with the host). What the client has not been sent it is not sent any more.
    pub fn handle_close(&mut self, _now: Uptime, condition: StreamErrorCondition, other_host: Option<String>) {
        self.discard();
        if !self.is_over() {
            self.fail_with(&StreamError { other_host: other_host.as_deref(), ..condition.into() });
        }
    }

    /// Too much waits for the client: the session ends. The client is still sent what may be.
    pub fn handle_overflow(&mut self, _now: Uptime) {
        self.fail(StreamErrorCondition::ResourceConstraint, None);
    }

    /// The node may not serve at the moment: until [`handle_unpause`](Session::handle_unpause) nothing is read,
    /// delivered or acknowledged, and parcels wait.
    fn handle_pause(&mut self, _now: Uptime) {
        self.paused = true;
    }

    /// The node may serve again.
    fn handle_unpause(&mut self, now: Uptime) {
        self.paused = false;
        self.silence.begin_again(now);
        if let Some(answer) = self.offline_answer.take() {
            self.deliver_offline(now, answer);
        }
        self.deliver_waiting();
        self.look_for_earlier();
        self.load_rest_of_roster();
        self.answer_count_requests(now);
        self.read(now);
    }

    /// The node is about to leave those with whom it has agreed on who holds what, and the session is to hold its JID
    /// by another route soon: nothing more is read or delivered, and what was delivered is this node's own business.
    pub fn handle_hold(&mut self, _now: Uptime) {
        self.hold();
    }

    /// Sessions ended with their member: the client is told of those whose presence it has seen.
    pub fn handle_members_lost(&mut self, _now: Uptime, lost: Lost) {
        self.tell_who_is_gone(lost);
    }

    /// Messages wait for the account that nobody else will claim.
    pub fn handle_nudge(&mut self, _now: Uptime) {
        self.claim_again();
    }

    /// It is at least as late as [`poll_timeout`](Session::poll_timeout) said.
    pub fn handle_timeout(&mut self, now: Uptime) {
        self.handle_deadline(now);
        if self.hibernates_until.is_some_and(|until| until <= now) {
            self.finish();
        }
        if self.awaits_presence_until.is_some_and(|until| until <= now) {
            self.awaits_presence_until = None;
            self.deliver_waiting();
        }
        if self.awaits_management_until.is_some_and(|until| until <= now) {
            self.awaits_management_until = None;
            self.look_for_earlier();
        }
        if self.claim_again.is_some_and(|again| again <= now) {
            self.claim_again = None;
            self.claim_again();
        }
        if self.ask_again.is_some_and(|again| again <= now) {
            self.ask_again = None;
            self.ask_for_count();
        }
        self.look_at_silence(now);
        self.answer_count_requests(now);
        self.answer_resumption(now);
    }

    /// When to call [`handle_timeout`](Session::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Uptime> {
        let count_due = match self.owes_count() {
            true => Some(Uptime::default()),
            false => self.count_requests.front().map(|request| request.due).filter(|_| !self.paused),
        };
        let has_waiting = self.bound.as_ref().is_some_and(|bound| bound.deliveries.has_waiting());
        let management_due = self.awaits_management_until.filter(|_| has_waiting);
        let others = [self.hibernates_until, self.ask_again, self.awaits_presence_until, self.claim_again];
        [self.deadline, self.silence_due(), count_due, management_due].into_iter().chain(others).flatten().min()
    }

    /// The next order.
    pub fn poll_output(&mut self) -> Option<Order> {
        self.output.pop()
    }

    /// Whether the driver is to read from the transport. It is not while an answer is awaited without which the next
    /// bytes mean nothing, or while too much that the client sent is not handled.
    pub fn wants_bytes(&self) -> bool {
        let is_clients_turn = match &self.stage {
            Stage::Opening | Stage::Negotiating => true,
            Stage::Login(login) => login.awaits_client(),
            Stage::Handshake | Stage::Binding { .. } | Stage::Resuming | Stage::Over => false,
            Stage::Bound => self.bound.as_ref().is_some_and(|bound| {
                bound.tally.unhandled() < SESSION_UNHANDLED_STANZAS_MAX
                    && bound.tally.unhandled_bytes() < SESSION_UNHANDLED_BYTES_MAX
            }),
        };
        is_clients_turn && !self.paused && self.transport == Transport::Open
    }

    /// Whether somebody waits for [`handle_handled`](Session::handle_handled). If not, the driver may let it wait for
    /// whatever wakes the session next.
    pub fn awaits_handled(&self) -> bool {
        let waits = self.transport != Transport::Open || self.paused || !self.count_requests.is_empty();
        waits
            || self.bound.as_ref().is_none_or(|bound| {
                bound.tally.unhandled() >= SESSION_UNHANDLED_STANZAS_MAX / 2
                    || bound.tally.unhandled_bytes() >= SESSION_UNHANDLED_BYTES_MAX / 2
            })
    }

    /// The JID that the session holds, if it holds one.
    pub fn jid(&self) -> Option<&FullJid> {
        self.bound.as_ref().map(|bound| &bound.jid)
    }

    /// Who has authenticated, if somebody has.
    pub fn account(&self) -> Option<&BareJid> {
        self.account.as_ref()
    }

    /// Whether [`Order::End`] was given.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether the session has lost its transport and waits for another one.
    pub fn is_resumable(&self) -> bool {
        self.transport == Transport::Lost && self.hibernates_until.is_some()
    }

    /// The weight of the stanzas that the session keeps for its client: those that wait, those that the client has not
    /// acknowledged, and those from the offline store that come in a pause.
    pub fn queue_bytes(&self) -> usize {
        let stored = self.offline_answer.iter().flatten().flatten().map(|stored| stored.message.weight());
        stored.sum::<usize>() + self.bound.as_ref().map_or(0, |bound| bound.deliveries.bytes())
    }

    /// Whether it goes on although more waits for its client than may wait, which must not be.
    pub fn is_overfull(&self) -> bool {
        !self.is_over() && self.bound.as_ref().is_some_and(|bound| bound.deliveries.is_overfull())
    }

    /// Whether anything that others sent would be decided again if the session ended now.
    pub fn owes(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.deliveries.owes())
    }

    /// What the client has sent and this session has not read, for the session that it resumes.
    pub fn into_remaining(self) -> Remaining {
        Remaining { framing: self.framing }
    }

    /// Whether nothing was said on the transport.
    fn is_fresh(&self) -> bool {
        matches!(self.stage, Stage::Opening) && !self.framing.is_open() && self.account.is_none()
    }
}

/// Without what was read and what is to be written, which may be secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("account", &self.account)
            .field("jid", &self.jid())
            .field("transport", &self.transport)
            .field("encrypted", &self.encrypted)
            .field("paused", &self.paused)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remaining").finish_non_exhaustive()
    }
}
