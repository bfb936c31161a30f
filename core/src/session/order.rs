//! What a session wants done.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cluster::RoutePresence;
use crate::ids::{RouteId, Sequence};
use crate::jid::{BareJid, FullJid};
use crate::routing::{Home, Parcel};
use crate::sasl::Derivation;
use crate::session::{LoginReport, RosterOrder};
use crate::stanza::Stanza;

/// An order of a [`Session`](crate::session::Session) to its driver. The driver carries them out in the order in which
/// they come.
#[derive(Debug)]
pub enum Order {
    /// Writes these bytes to the client. After a batch of them is on the socket the driver says `handle_written`.
    Send(Bytes),
    /// Flushes, then begins the TLS handshake on this transport; bytes of the client that were already read are
    /// dropped. Answer: `handle_tls`.
    StartTls,
    /// Flushes and closes the transport.
    Close,
    /// Looks an account's SCRAM keys up, as soon as whoever slows guessing down allows it. Answer: `handle_credentials`.
    LookUpCredentials {
        /// The account.
        account: BareJid,
        /// Draws the account whose keys those of this one are to look like, if it does not exist.
        draw: i64,
    },
    /// Tells how an attempt to authenticate ended: the log, and whoever slows guessing down.
    ReportLogin(LoginReport),
    /// Derives keys from a password, which takes milliseconds of processor time. Answer: `handle_derived`.
    DeriveKeys(Derivation),
    /// Forgets what the transport has not taken: somebody else may be delivering to the client by now.
    Discard {
        /// If anything is forgotten the client misses a step, and can be told nothing more: the transport is lost.
        is_negotiating: bool,
    },
    /// Proposes a bind. Answer: `handle_answer`, once every active member knows the route, or once it was refused.
    Bind {
        /// The full JID that the session is to hold.
        jid: FullJid,
    },
    /// The session goes on in the present life of its node, in which it was not begun.
    GoesOn,
    /// The session holds its JID by this route from now on.
    Holds {
        /// The holding.
        route: RouteId,
    },
    /// Proposes that the route has this presence. Answer: `handle_answer` with the same revision, once every active
    /// member knows it.
    Announce {
        /// Availability, priority, interest in the roster.
        presence: RoutePresence,
        /// Counts the announcements of this session from 1.
        revision: u64,
    },
    /// Routes a stanza by the table of RFC 6121 section 8. If `number` is there the driver answers with
    /// `handle_handled` as soon as the stanza was taken by the recipient's node, stored, bounced or dropped by the
    /// rules: that is, when the client may be told that the server answers for it.
    Route {
        /// The client's count of this stanza, from 1; absent if the server made it.
        number: Option<Sequence>,
        /// What to route, with `from` stamped. Presence to the account's own bare JID goes to all of its available
        /// resources, this one included (RFC 6121 section 4.2.2), and so does a probe from one of its resources: each
        /// session answers it with its own presence.
        stanza: Stanza,
    },
    /// This parcel is settled: acknowledged by the client, or written to a client that does not acknowledge.
    Settle(Home),
    /// The session ends and this parcel was not settled: its home routes it again. A message from the offline store is
    /// still there, without the delay stamp that it has here; it only has to be let go.
    Return(Box<Parcel>),
    /// Reads or changes the account's roster. Answer: `handle_roster`, in the order of the orders.
    Roster(RosterOrder),
    /// The roster was changed: a copy of this iq, with `to` set, goes to each other resource of the account that is
    /// [interested](RoutePresence::interested). The client of this session has been told.
    PushRoster(Stanza),
    /// Claims the account's offline messages for this route, which may have ended since. Answer: `handle_offline`.
    ClaimOffline {
        /// The route.
        route: RouteId,
    },
    /// Looks whether a message to exactly this full JID waits in the offline store. Answer: `handle_stored`.
    LookForStored {
        /// The JID of the session.
        jid: FullJid,
    },
    /// The session can be resumed by this id from now on: register it (XEP-0198 section 5).
    Resumable {
        /// The id, of at least 128 random bits.
        id: ResumptionId,
    },
    /// The client, authenticated as `account`, asks to resume another session. The driver finds it by id and account and
    /// hands the transport (and [`Session::into_remaining`](crate::session::Session::into_remaining)) to its
    /// `handle_resumed`; if there is none it answers `handle_resume_failed`. A session that still has a transport is
    /// told `handle_superseded` first, and its orders are carried out on that transport.
    Resume {
        /// What was given out by [`Order::Resumable`].
        id: ResumptionId,
        /// Whose session it must be.
        account: BareJid,
        /// How many stanzas the client has handled.
        handled: u32,
    },
    /// The session is over: the route, if one is held, is released and nothing more comes. Always the last order,
    /// behind [`Order::Close`] where there is a transport.
    End,
}

/// Names a session that may be resumed (XEP-0198 section 5). Kept out of logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResumptionId(pub String);

impl std::fmt::Debug for ResumptionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumptionId(…)")
    }
}
