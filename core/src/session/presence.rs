//! The client's presence, and the presence that it sees (RFC 6121 section 4).
//!
//! ```text
//! <presence/> ─▶ announced to every member ─▶ broadcast to the account's resources ─▶ handled
//!                                       └──▶ the first one also: a probe to the other resources, offline messages
//! ```
//!
//! Presence sent to somebody directly is remembered until it is taken back, and so is whose presence the client has
//! seen: whoever goes away without a word of his own is said to be gone exactly once. What a client itself says to
//! somebody directly is delivered each time.
//!
//! Subscriptions to other accounts do not exist here. A request to a user of this domain gets no answer, as if the user
//! had not decided, because an error would tell which users exist (RFC 6121 section 8.5.1). A request to anybody else is
//! refused with `feature-not-implemented`. What would answer or end a subscription changes nothing.

use crate::cluster::RoutePresence;
use crate::ids::Sequence;
use crate::jid::Jid;
use crate::session::announce::{Announcement, Next};
use crate::session::seen::Origin;
use crate::session::state::{BoundState, Claim};
use crate::session::{Lost, Order, Session};
use crate::stanza::{ErrorCondition, Kind, PresenceType, Recipient, Stanza};
use crate::time::Uptime;
use crate::{planted, sometimes};

impl Session {
    /// Presence from the client.
    pub(super) fn handle_presence(
        &mut self,
        now: Uptime,
        number: Sequence,
        recipient: Recipient,
        presence_type: PresenceType,
        stanza: Stanza,
    ) {
        match (presence_type, stanza.to.is_some()) {
            (PresenceType::Available | PresenceType::Unavailable, false) => {
                self.handle_own_presence(now, number, presence_type, stanza);
            }
            (PresenceType::Available | PresenceType::Unavailable, true) => {
                self.handle_directed_presence(now, number, presence_type, stanza);
            }
            (PresenceType::Error, true) => self.route(number, stanza),
            (PresenceType::Subscribe, true) if recipient.is_user() => self.handled(now, number),
            (PresenceType::Subscribe, _) => self.refuse(now, number, &stanza, ErrorCondition::FeatureNotImplemented),
            (PresenceType::Error, false)
            | (
                PresenceType::Subscribed | PresenceType::Unsubscribe | PresenceType::Unsubscribed | PresenceType::Probe,
                _,
            ) => self.handled(now, number),
        }
    }

    fn handle_own_presence(&mut self, now: Uptime, number: Sequence, presence_type: PresenceType, stanza: Stanza) {
        let Some(priority) = stanza.priority() else {
            self.refuse(now, number, &stanza, ErrorCondition::BadRequest);
            return;
        };
        let Some(bound) = self.bound.as_mut() else { return };
        let before = bound.announcer.wanted();
        let priority = (presence_type == PresenceType::Available).then_some(priority);
        let wanted = RoutePresence { priority, ..before };
        if wanted.accepts_messages() && !before.accepts_messages() && bound.claim == Claim::Idle {
            bound.claim = Claim::Planned;
        }
        (self.awaits_presence_until, self.awaits_management_until) = (None, None);
        let announcement = bound.announcer.want(wanted, Next::Broadcast { number, presence: stanza });
        self.order_announcement(announcement);
        self.do_what_is_announced();
        self.deliver_waiting();
    }

    /// Orders an announcement, if there is one.
    pub(super) fn order_announcement(&mut self, announcement: Option<Announcement>) {
        if let Some(Announcement { presence, revision }) = announcement {
            self.output.order(Order::Announce { presence, revision });
        }
    }

    /// Does what has waited for announcements that are known everywhere.
    pub(super) fn do_what_is_announced(&mut self) {
        while let Some(next) = self.bound.as_mut().and_then(|bound| bound.announcer.due()) {
            match next {
                Next::Broadcast { number, presence } => self.broadcast(number, presence),
                Next::LoadRoster { number, iq } => self.load_roster(number, iq),
                Next::BroadcastAgain => self.broadcast_again(),
            }
        }
        self.claim_if_planned();
    }

    /// Presence goes to all of the account's available resources. The first one asks the others for theirs; the last one
    /// goes to those who got it directly as well.
    fn broadcast(&mut self, number: Sequence, mut presence: Stanza) {
        let Some(bound) = self.bound.as_mut() else { return };
        presence.to = Some(Jid::from(bound.account.clone()));
        let is_available = presence.kind == Kind::Presence(PresenceType::Available);
        let is_initial = is_available && bound.presence.is_none();
        let told = match is_available {
            true => Vec::new(),
            false => bound.directed.take().into_iter().collect(),
        };
        bound.presence = is_available.then(|| presence.clone());
        let probe = probe_beside(&presence);
        for to in told {
            let stanza = Stanza { to: Some(to), ..presence.clone() };
            self.output.order(Order::Route { number: None, stanza });
        }
        self.route(number, presence);
        if is_initial {
            self.output.order(Order::Route { number: None, stanza: probe });
        }
    }

    /// Those who had been told of this client were told that it is gone, or could not be told. Whoever had other presence
    /// directly is told of the one that is broadcast.
    fn broadcast_again(&mut self) {
        let Some(bound) = self.bound.as_ref() else { return };
        let Some(presence) = bound.presence.clone() else { return };
        for to in bound.directed.iter() {
            let stanza = Stanza { to: Some(to.clone()), ..presence.clone() };
            self.output.order(Order::Route { number: None, stanza });
        }
        let probe = probe_beside(&presence);
        self.output.order(Order::Route { number: None, stanza: presence });
        self.output.order(Order::Route { number: None, stanza: probe });
    }

    /// Presence for somebody in particular (RFC 6121 section 4.6).
    fn handle_directed_presence(&mut self, now: Uptime, number: Sequence, presence_type: PresenceType, stanza: Stanza) {
        let (Some(bound), Some(to)) = (self.bound.as_mut(), stanza.to.clone()) else { return };
        if presence_type == PresenceType::Unavailable {
            bound.directed.remove(&to);
        } else if !bound.directed.insert(to) {
            self.refuse(now, number, &stanza, ErrorCondition::ResourceConstraint);
            return;
        }
        self.route(number, stanza);
    }

    /// Another resource of the account asks for the presence of this one.
    pub(super) fn answer_probe(&mut self, probe: &Stanza) {
        let Some(bound) = self.bound.as_ref() else { return };
        let (Some(presence), Some(asker)) = (&bound.presence, &probe.from) else { return };
        if asker.to_bare() == bound.account && *asker != bound.jid {
            let stanza = Stanza { to: Some(asker.clone()), ..presence.clone() };
            self.output.order(Order::Route { number: None, stanza });
        }
    }

    /// Members were lost with their routes: the client is told of those whose presence it has seen.
    pub(super) fn tell_who_is_gone(&mut self, lost: Lost) {
        let Some(bound) = self.bound.as_mut() else { return };
        let gone = bound.seen.lose(lost);
        let to = Jid::from(bound.jid.clone());
        for jid in gone {
            let stanza = Stanza {
                from: Some(Jid::from(jid)),
                to: Some(to.clone()),
                ..Stanza::new(Kind::Presence(PresenceType::Unavailable))
            };
            if planted!(UnavailableTwice) {
                self.reply(stanza.clone());
            }
            sometimes!("a_client_is_told_who_is_gone");
            self.reply(stanza);
        }
    }
}

impl BoundState {
    /// Notes presence on its way to the client, and answers whether it should come there.
    pub(super) fn note_presence(&mut self, stanza: &Stanza, origin: Origin) -> bool {
        let Kind::Presence(presence_type) = stanza.kind else { return true };
        let Some(from) = stanza.from.as_ref().filter(|from| from.is_full()) else { return true };
        let is_own = *from == self.jid;
        match presence_type {
            PresenceType::Available => {
                if from.domain() == self.jid.domain() && !is_own {
                    self.seen.appears(from, origin);
                }
                true
            }
            // Of its own session nobody is told: this is one that had the JID before.
            PresenceType::Unavailable if is_own => false,
            PresenceType::Unavailable => self.seen.disappears(from, origin),
            PresenceType::Error => {
                self.seen.forget(from);
                true
            }
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Probe => true,
        }
    }

    /// What is said when the session goes without a word of the client.
    pub(super) fn farewells(&mut self) -> Vec<Stanza> {
        let own = self.presence.take().map(|_| Jid::from(self.account.clone()));
        let farewell = Stanza {
            from: Some(Jid::from(self.jid.clone())),
            ..Stanza::new(Kind::Presence(PresenceType::Unavailable))
        };
        self.directed.take().into_iter().chain(own).map(|to| Stanza { to: Some(to), ..farewell.clone() }).collect()
    }
}

/// What asks those who are told of this presence for theirs.
fn probe_beside(presence: &Stanza) -> Stanza {
    Stanza { from: presence.from.clone(), to: presence.to.clone(), ..Stanza::new(Kind::Presence(PresenceType::Probe)) }
}
