//! Stanzas on their way to the client.

use crate::routing::{Home, Parcel};
use crate::session::delivery::Delivery;
use crate::session::seen::Origin;
use crate::session::state::{BoundState, Claim};
use crate::session::{Order, Session, Stage, StreamErrorCondition, Transport};
use crate::stanza::{Kind, PresenceType, Stanza};
use crate::{planted, sometimes};

impl Session {
    /// A parcel for the client. What is not for this session, or comes when it is over, goes back.
    pub(super) fn take_parcel(&mut self, parcel: Parcel) {
        let holds =
            |bound: &&mut Box<BoundState>| bound.route == parcel.route || bound.former_route == Some(parcel.route);
        let Some(bound) = self.bound.as_mut().filter(holds) else {
            self.give_back(parcel);
            return;
        };
        if bound.route != parcel.route && matches!(parcel.home, Home::Member { .. }) {
            // Its home was told that the holding has ended, and has decided about it again.
            return;
        }
        if parcel.stanza.kind == Kind::Presence(PresenceType::Probe) {
            self.answer_probe(&parcel.stanza);
            self.output.order(Order::Settle(parcel.home));
            return;
        }
        if !bound.note_presence(&parcel.stanza, Origin::of(&parcel.home)) {
            sometimes!("a_farewell_comes_too_late");
            self.output.order(Order::Settle(parcel.home));
            return;
        }
        self.note_push(&parcel.stanza);
        self.deliver_in_turn(Delivery { stanza: parcel.stanza, home: Some(parcel.home) });
    }

    fn give_back(&mut self, parcel: Parcel) {
        let order = Order::Return(Box::new(parcel));
        // `End` is the last order, and may still be waiting to be taken.
        match self.stage {
            Stage::Over if !self.output.is_empty() => self.output.order_before_last(order),
            Stage::Over
            | Stage::Opening
            | Stage::Negotiating
            | Stage::Handshake
            | Stage::Login(_)
            | Stage::Binding { .. }
            | Stage::Resuming
            | Stage::Bound => self.output.order(order),
        }
    }

    /// Delivers behind whatever waits, or lets it wait.
    fn deliver_in_turn(&mut self, delivery: Delivery) {
        let Some(bound) = self.bound.as_mut() else { return };
        // Before the initial presence only messages wait: answers may be what the client waits for to send it.
        let in_turn = match (self.awaits_presence_until, delivery.stanza.kind) {
            (Some(_), Kind::Message(_)) => false,
            (Some(_), Kind::Presence(_) | Kind::Iq(_)) => true,
            (None, _) => bound.claim == Claim::Idle && !bound.deliveries.has_waiting(),
        };
        if self.paused || !in_turn {
            bound.deliveries.wait(delivery);
            self.check_bounds();
            self.look_for_earlier();
        } else {
            self.deliver(delivery);
        }
    }

    /// Delivers what has waited, if nothing holds it back any more.
    pub(super) fn deliver_waiting(&mut self) {
        while !self.paused && self.awaits_presence_until.is_none() {
            let Some(bound) = self.bound.as_mut().filter(|bound| bound.claim == Claim::Idle) else { return };
            let Some(delivery) = bound.deliveries.next_waiting() else { return };
            self.deliver(delivery);
        }
    }

    /// An answer of the server to its own client. It does not wait for offline messages.
    pub(super) fn reply(&mut self, stanza: Stanza) {
        let Some(bound) = self.bound.as_mut() else { return };
        let delivery = Delivery { stanza, home: None };
        if self.paused {
            bound.deliveries.wait(delivery);
            self.check_bounds();
        } else {
            self.deliver(delivery);
        }
    }

    /// Writes a stanza, or keeps it for the transport on which the session is resumed.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let Some(bound) = self.bound.as_mut() else { return };
        if self.transport == Transport::Open {
            self.output.frame(|out| self.framing.stanza(out, &delivery.stanza));
            self.output.end_delivery();
        }
        bound.deliveries.written(delivery);
        if !bound.deliveries.has_answer_waiting() {
            bound.tally.handle_withheld();
        }
        if bound.management.is_some() {
            self.ask_for_count();
        }
        self.check_bounds();
    }

    /// Settles what was written to a client that does not acknowledge.
    pub(super) fn settle_written(&mut self) {
        let count = self.output.take_handed_out();
        let Some(bound) = self.bound.as_mut() else { return };
        for home in bound.deliveries.settle_written(count) {
            self.output.order(Order::Settle(home));
        }
        bound.deliveries.shrink();
        bound.tally.shrink();
        self.framing.shrink();
        self.claim_if_planned();
        self.load_rest_of_roster();
    }

    /// A client for which too much waits is let go; what waits goes back.
    fn check_bounds(&mut self) {
        if self.bound.as_ref().is_some_and(|bound| bound.deliveries.is_overfull() && !planted!(MailboxUnbounded)) {
            sometimes!("too_much_waits_for_a_client");
            self.fail(StreamErrorCondition::ResourceConstraint, Some("too much waits to be delivered"));
        }
    }
}
