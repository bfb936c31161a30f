//! Stream management: acknowledgements in both directions, and resumption (XEP-0198).
//!
//! The client is told of the stanzas for which the server answers ([`Tally`](super::tally::Tally)); what it acknowledges
//! is settled ([`Deliveries`](super::delivery::Deliveries)). It is asked for its count after each batch, with at most one
//! question on its way.

use std::time::Duration;

use crate::ids::Sequence;
use crate::limits::{ACK_DELAY_MAX, ACK_REQUESTS_MAX, RESUMPTION_TIME_MAX};
use crate::session::delivery::TooHigh;
use crate::session::error::StreamError;
use crate::session::state::{BoundState, Management, Resumption};
use crate::session::tally::CountRequest;
use crate::session::{Order, Remaining, ResumptionId, Session, Stage, StreamErrorCondition, Transport, names};
use crate::time::Uptime;
use crate::xml::Element;
use crate::{planted, sometimes};

/// After how long a client that has answered for less than it was sent is asked again, if nothing new was sent. Long
/// against a round trip, short against the patience of whoever keeps the other copy.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Asks a client for its count.
pub(super) const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

impl Session {
    /// An element of stream management.
    pub(super) fn handle_management(&mut self, now: Uptime, element: &Element) {
        let is_managed = self.bound.as_ref().map(|bound| bound.management.is_some());
        match (element.name(), is_managed) {
            ("enable", Some(false)) => self.enable(element),
            ("resume", None) if self.account.is_some() => self.resume(element),
            ("enable" | "resume", _) => self.refuse_management("unexpected-request"),
            ("r", Some(true)) => self.handle_count_request(now),
            ("a", Some(true)) => self.handle_count(now, element),
            _ => self.fail(StreamErrorCondition::UnsupportedStanzaType, None),
        }
    }

    fn enable(&mut self, element: &Element) {
        let wants_resumption = matches!(element.attribute("resume"), Some("true" | "1"));
        let seconds_max = self.settings.resumption_time_max.min(RESUMPTION_TIME_MAX).as_secs();
        let asked = element.attribute("max").and_then(|max| max.parse().ok()).unwrap_or(seconds_max);
        let seconds_max = seconds_max.min(asked);
        let id = ResumptionId(self.random_text::<24>());
        let Some(bound) = self.bound.as_mut() else { return };
        bound.tally.begin();
        bound.deliveries.begin();
        let resumption = (wants_resumption && seconds_max > 0).then(|| Resumption { id: id.clone(), seconds_max });
        let enabled = Element::new("enabled", names::STREAM_MANAGEMENT);
        let enabled = match &resumption {
            Some(_) => enabled
                .with_attribute("id", &id.0)
                .with_attribute("resume", "true")
                .with_attribute("max", &seconds_max.to_string()),
            None => enabled,
        };
        let is_resumable = resumption.is_some();
        bound.management = Some(Management { resumption, asked_at: None });
        if is_resumable {
            self.output.order(Order::Resumable { id });
        }
        self.output.frame(|out| self.framing.element(out, &enabled));
        self.awaits_management_until = None;
        self.look_for_earlier();
    }

    fn resume(&mut self, element: &Element) {
        let handled = element.attribute("h").map(str::parse::<u32>);
        let (Some(id), Some(Ok(handled)), Some(account)) = (element.attribute("previd"), handled, self.account.clone())
        else {
            self.fail(StreamErrorCondition::BadFormat, Some("not a resumption"));
            return;
        };
        self.output.order(Order::Resume { id: ResumptionId(id.to_owned()), account, handled });
        self.stage = Stage::Resuming;
    }

    /// There is no session to resume, or it is somebody else's: that is not told apart.
    pub(super) fn refuse_resumption(&mut self) {
        if matches!(self.stage, Stage::Resuming) {
            sometimes!("a_resumption_is_refused");
            self.stage = Stage::Negotiating;
            self.refuse_management("item-not-found");
        }
    }

    fn refuse_management(&mut self, condition: &str) {
        let failed = format!(
            "<failed xmlns='{}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
            names::STREAM_MANAGEMENT
        );
        self.output.frame(|out| self.framing.text(out, &failed));
    }

    /// A stanza of the client is handled. If an error goes in its place, the client gets the error first: should the
    /// session end before, nothing was acknowledged of which the client hears no more.
    pub(super) fn handled(&mut self, now: Uptime, number: Sequence) {
        if let Some(bound) = self.bound.as_mut() {
            if bound.deliveries.has_answer_waiting() {
                sometimes!("a_stanza_counts_after_its_error");
                bound.tally.withhold(number);
                return;
            }
            bound.tally.handle(number);
            self.answer_count_requests(now);
            self.answer_resumption(now);
        }
    }

    fn handle_count_request(&mut self, now: Uptime) {
        let Some(bound) = self.bound.as_ref() else { return };
        let request = CountRequest { after: bound.tally.received(), due: now + ACK_DELAY_MAX };
        if self.count_requests.len() >= ACK_REQUESTS_MAX && !self.paused {
            self.tell_count();
        } else if self.count_requests.len() < ACK_REQUESTS_MAX {
            self.count_requests.push_back(request);
            self.answer_count_requests(now);
        }
    }

    /// Tells the client its count for each request that has waited for long enough.
    pub(super) fn answer_count_requests(&mut self, now: Uptime) {
        while !self.paused && self.transport == Transport::Open {
            let (Some(bound), Some(request)) = (self.bound.as_ref(), self.count_requests.front()) else { return };
            if request.due > now && !bound.tally.is_handled_up_to(request.after) {
                sometimes!("an_acknowledgement_waits_for_the_handover");
                return;
            }
            self.count_requests.pop_front();
            self.tell_count();
        }
    }

    /// Whether the client could be told something that it has asked for and could not be told before.
    pub(super) fn owes_count(&self) -> bool {
        let (Some(bound), false) = (self.bound.as_ref(), self.paused) else { return false };
        match self.transport {
            Transport::Open => {
                self.count_requests.front().is_some_and(|request| bound.tally.is_handled_up_to(request.after))
            }
            Transport::Resuming { .. } => bound.tally.unhandled() == 0,
            Transport::Lost => false,
        }
    }

    fn tell_count(&mut self) {
        let Some(bound) = self.bound.as_ref() else { return };
        let text = format!("<a xmlns='{}' h='{}'/>", names::STREAM_MANAGEMENT, bound.tally.acknowledged());
        self.output.frame(|out| self.framing.text(out, &text));
    }

    fn handle_count(&mut self, now: Uptime, element: &Element) {
        let Some(Ok(handled)) = element.attribute("h").map(str::parse::<u32>) else {
            self.fail(StreamErrorCondition::BadFormat, Some("not a count"));
            return;
        };
        if !self.settle_acknowledged(handled) {
            return;
        }
        let Some(BoundState { management: Some(management), deliveries, .. }) = self.bound.as_deref_mut() else {
            return;
        };
        let asked_at = management.asked_at.take();
        if !deliveries.awaits_acknowledgement() {
            self.ask_again = None;
        } else if asked_at == Some(deliveries.sent()) {
            self.ask_again = Some(now + ASK_AGAIN_AFTER);
        } else {
            self.ask_for_count();
        }
    }

    /// Settles what the client has handled; ends the stream if it cannot have handled so much.
    fn settle_acknowledged(&mut self, handled: u32) -> bool {
        let Some(bound) = self.bound.as_mut() else { return false };
        match bound.deliveries.acknowledge(handled) {
            Ok(homes) => {
                homes.into_iter().for_each(|home| self.output.order(Order::Settle(home)));
                self.claim_if_planned();
                self.load_rest_of_roster();
                true
            }
            Err(TooHigh { sent }) => {
                let too_high = Element::new("handled-count-too-high", names::STREAM_MANAGEMENT)
                    .with_attribute("h", &handled.to_string())
                    .with_attribute("send-count", &sent.to_string());
                let condition = StreamErrorCondition::UndefinedCondition;
                self.fail_with(&StreamError { detail: Some(&too_high), ..condition.into() });
                false
            }
        }
    }

    /// Asks the client for its count, unless it owes an answer.
    pub(super) fn ask_for_count(&mut self) {
        let Some(BoundState { management: Some(management), deliveries, .. }) = self.bound.as_deref_mut() else {
            return;
        };
        if management.asked_at.is_none() && self.transport == Transport::Open {
            management.asked_at = Some(deliveries.sent());
            self.ask_again = None;
            self.output.frame(|out| self.framing.text(out, REQUEST));
        }
    }

    /// The transport is gone: the session waits to be resumed, or ends.
    pub(super) fn hibernate(&mut self, now: Uptime) {
        self.transport = Transport::Lost;
        let Some(BoundState { management: Some(management), .. }) = self.bound.as_deref_mut() else {
            self.finish();
            return;
        };
        let Some(resumption) = &management.resumption else {
            self.finish();
            return;
        };
        management.asked_at = None;
        self.hibernates_until = Some(now + Duration::from_secs(resumption.seconds_max));
        self.count_requests.clear();
        self.ask_again = None;
        self.framing.leave();
    }

    /// The session goes on where the client left it, on another transport.
    pub(super) fn continue_resumed(&mut self, now: Uptime, handled: u32, remaining: Remaining) {
        if !self.is_resumable() {
            return;
        }
        self.transport = Transport::Resuming { handled };
        self.framing = remaining.framing;
        self.answer_resumption(now);
    }

    /// Answers the client that resumes, once everything that it had sent before is handled: what the answer does not
    /// count, the client sends again (XEP-0198 section 5), and it would be there twice.
    pub(super) fn answer_resumption(&mut self, now: Uptime) {
        let Transport::Resuming { handled } = self.transport else { return };
        if self.bound.as_ref().is_some_and(|bound| bound.tally.unhandled() > 0) && !planted!(ResumptionAnsweredEarly) {
            sometimes!("a_resumption_waits_for_what_was_sent_before");
            return;
        }
        self.transport = Transport::Open;
        self.hibernates_until = None;
        self.silence.begin_again(now);
        if !self.settle_acknowledged(handled) {
            return;
        }
        let Some(BoundState { management: Some(management), deliveries, tally, .. }) = self.bound.as_deref_mut() else {
            return;
        };
        deliveries.settle_uncounted().into_iter().for_each(|home| self.output.order(Order::Settle(home)));
        let Some(resumption) = &management.resumption else { return };
        let resumed = Element::new("resumed", names::STREAM_MANAGEMENT)
            .with_attribute("previd", &resumption.id.0)
            .with_attribute(
                "h",
                &tally.acknowledged().wrapping_add(planted!(ResumptionCountsWrong).into()).to_string(),
            );
        sometimes!("a_session_is_resumed");
        sometimes!(deliveries.awaits_acknowledgement(), "a_resumed_session_is_sent_again_what_it_missed");
        self.output.frame(|out| self.framing.element(out, &resumed));
        for delivery in deliveries.unsettled().filter(|_| !planted!(ResumptionSendsNothingAgain)) {
            self.output.frame(|out| self.framing.stanza(out, &delivery.stanza));
        }
        if deliveries.awaits_acknowledgement() {
            self.ask_for_count();
        }
        self.deliver_waiting();
        self.read(now);
    }
}
