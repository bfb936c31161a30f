//! Messages that waited for the account (XEP-0160).
//!
//! From the moment in which a session asks to be announced as one that takes messages until nothing more waits in the
//! store, parcels are held back: what was sent earlier comes first. If the store is away nothing is held back, and what
//! waits there comes behind what is said meanwhile.
//!
//! Between the bind and the initial presence a client is reached by its full JID only, and what is stored has to wait for
//! its presence (XEP-0160). What is sent to the full JID now is delivered now, as it must be to a connected resource
//! (RFC 6121 section 8.5.3.1), with two exceptions. A client that is about to acknowledge (XEP-0198) could lose what is
//! written before, so messages wait until it does, for a second. And chats to the same full JID went to the store while nobody held it:
//! a later one must not overtake them. What was stored for the account or another resource has another address, so there
//! is no order between it and this (RFC 6120 section 10.1).
//!
//! So when a message comes in that time, or waits when the client begins to acknowledge, the session asks whether one to
//! its full JID is stored. It asks after the message has come, not at the bind. What a sender says to an account goes on
//! only when what it said to it before is in the store, so the store shows every message that is earlier than the one that
//! waits. At the bind an earlier one may still be on its way there. One answer counts for all that had come when it was
//! asked for. If there is an earlier message, the later ones wait for the presence and the claim. None of them waits longer
//! than [`INITIAL_PRESENCE_TIME_MAX`](crate::limits::INITIAL_PRESENCE_TIME_MAX): a client that sends no presence is not to be
//! kept waiting for ever.

use std::time::Duration;

use crate::routing::Home;
use crate::session::delivery::Delivery;
use crate::session::state::Claim;
use crate::session::{OfflineMessage, Order, Session, StoreUnavailable};
use crate::time::Uptime;
use crate::{planted, sometimes};

/// How long a session waits for a store that is away before it claims again.
const CLAIM_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What a session that awaits its initial presence knows of stored messages to its full JID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Earlier {
    /// Nothing.
    Unknown,
    /// The store is asked. If it has none, so many of those that wait may go.
    Asked { waiting: usize },
    /// There are some.
    Stored,
}

impl Earlier {
    /// Those who wait are not those any more who waited when the store was asked.
    pub(super) fn forget_who_waits(&mut self) {
        if let Earlier::Asked { waiting } = self {
            *waiting = 0;
        }
    }
}

impl Session {
    /// Claims what waits, once routing knows that the session takes messages.
    pub(super) fn claim_if_planned(&mut self) {
        let Some(bound) = self.bound.as_mut() else { return };
        if bound.claim != Claim::Planned || !bound.announcer.is_settled() {
            return;
        }
        if bound.deliveries.is_half_full() {
            // What the client acknowledges makes room for the rest.
            sometimes!("stored_messages_wait_for_acknowledgements");
            return;
        }
        if bound.announcer.wanted().accepts_messages() {
            bound.claim = Claim::Asked;
            let route = bound.route;
            self.output.order(Order::ClaimOffline { route });
        } else {
            bound.claim = Claim::Idle;
            self.deliver_waiting();
        }
    }

    /// Answers a claim. It is repeated until nothing more waits.
    pub(super) fn deliver_offline(&mut self, now: Uptime, answer: Result<Vec<OfflineMessage>, StoreUnavailable>) {
        let Some(bound) = self.bound.as_mut() else { return };
        let too_early = match bound.claim {
            Claim::Asked => false,
            Claim::AskedTooEarly => true,
            Claim::AskedBefore => {
                bound.claim = Claim::Planned;
                self.claim_if_planned();
                return;
            }
            Claim::Idle | Claim::Planned => return,
        };
        if self.paused {
            self.offline_answer.get_or_insert(answer);
            return;
        }
        if answer.is_err() {
            // What is said now is not kept waiting for it.
            sometimes!("stored_messages_cannot_be_claimed_yet");
            self.claim_again = Some(now + CLAIM_AGAIN_AFTER);
        }
        let messages = answer.unwrap_or_default();
        let claimant = bound.route;
        bound.claim = if messages.is_empty() && !too_early { Claim::Idle } else { Claim::Planned };
        for OfflineMessage { key, message, at } in messages {
            let stanza = message.with_delay(self.settings.domain.as_str(), at);
            self.deliver(Delivery { stanza, home: Some(Home::Offline { key, claimant }) });
        }
        self.claim_if_planned();
        self.deliver_waiting();
    }

    /// Asks whether messages that wait for the initial presence have to. While the client may be about to acknowledge they
    /// do: it could lose them.
    pub(super) fn look_for_earlier(&mut self) {
        let Some(bound) = self.bound.as_ref() else { return };
        let may_acknowledge = self.awaits_management_until.is_some() && !planted!(DeliveredBeforeEnabled);
        let may_ask = self.awaits_presence_until.is_some() && self.earlier == Earlier::Unknown && !self.paused;
        if may_ask && !may_acknowledge && bound.deliveries.has_waiting() {
            self.earlier = Earlier::Asked { waiting: bound.deliveries.waiting() };
            self.output.order(Order::LookForStored { jid: bound.jid.clone() });
        }
    }

    /// Delivers what waits for the initial presence, unless something comes before it. An answer that comes in a pause is
    /// asked for again after it.
    pub(super) fn deliver_unless_stored(&mut self, answer: Result<bool, StoreUnavailable>) {
        let Earlier::Asked { waiting } = std::mem::replace(&mut self.earlier, Earlier::Unknown) else { return };
        if self.awaits_presence_until.is_none() || self.paused {
            return;
        }
        if answer == Ok(true) {
            sometimes!("a_message_waits_for_presence_and_stored_ones");
            self.earlier = Earlier::Stored;
            return;
        }
        sometimes!("a_message_does_not_wait_for_presence");
        for _ in 0..waiting {
            let Some(delivery) = self.bound.as_mut().and_then(|bound| bound.deliveries.next_waiting()) else { return };
            self.deliver(delivery);
        }
        self.look_for_earlier();
    }

    /// Messages wait that nobody has claimed.
    pub(super) fn claim_again(&mut self) {
        let Some(bound) = self.bound.as_mut() else { return };
        match bound.claim {
            Claim::Idle if bound.announcer.wanted().accepts_messages() => {
                bound.claim = Claim::Planned;
                self.claim_if_planned();
            }
            Claim::Asked => bound.claim = Claim::AskedTooEarly,
            Claim::Idle | Claim::Planned | Claim::AskedTooEarly | Claim::AskedBefore => {}
        }
    }
}
