//! Messages that waited for the account (XEP-0160).
//!
//! From the moment in which a session asks to be announced as one that takes messages until nothing more waits in the
//! store, parcels are held back: what was sent earlier comes first. So are messages from the bind to the initial
//! presence, for as long as a client may take to send it: while it was away they went to the store, and those that are
//! sent to its full JID now would overtake them. If the store is away nothing is held back, and what waits there comes
//! behind what is said meanwhile.

use std::time::Duration;

use crate::routing::Home;
use crate::session::delivery::Delivery;
use crate::session::state::Claim;
use crate::session::{OfflineMessage, Order, Session, StoreUnavailable};
use crate::sometimes;
use crate::time::Uptime;

/// How long a session waits for a store that is away before it claims again.
const CLAIM_AGAIN_AFTER: Duration = Duration::from_secs(5);

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
            self.output.order(Order::ClaimOffline);
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
