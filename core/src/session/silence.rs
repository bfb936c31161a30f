//! A client that says nothing is asked whether it is there, and given up if it does not answer.
//!
//! ```text
//! heard ──ask-after──▶ asked: <r/> of XEP-0198, or a ping (XEP-0199) ──give-up-after──▶ as if the transport were gone
//!   ▲                     │
//!   └─────────────────────┴── any byte of the client
//! ```
//!
//! A network that is lost without a word tells nobody, and what is written to it seems to arrive. So the session asks. What
//! it asks is not kept and settles nothing, so it costs the client's mailbox nothing; the answer is for the server.
//!
//! Time in which nothing is read from the client says nothing of it: it counts from the moment in which reading goes on.

use std::time::Duration;

use crate::session::{Session, Stage, StreamErrorCondition, Transport, names};
use crate::time::Uptime;
use crate::xml::{Element, ns};

/// How much silence is borne.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// After how much silence a client is asked whether it is there; never if absent.
    pub ask_after: Option<Duration>,
    /// How long it may take to say anything then.
    pub give_up_after: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { ask_after: Some(Duration::from_secs(180)), give_up_after: Duration::from_secs(30) }
    }
}

/// How long a client has been silent.
#[derive(Debug)]
pub(super) struct Silence {
    /// When the client was heard, or asked.
    since: Uptime,
    is_asked: bool,
    pub(super) patience: Patience,
}

impl Silence {
    pub(super) fn new(now: Uptime) -> Silence {
        Silence { since: now, is_asked: false, patience: Patience::default() }
    }

    /// The client has said something, or could not be heard until this moment.
    pub(super) fn begin_again(&mut self, now: Uptime) {
        self.since = now;
        self.is_asked = false;
    }

    fn ask(&mut self, now: Uptime) {
        self.since = now;
        self.is_asked = true;
    }

    /// When the client has to have said something.
    fn due(&self) -> Option<Uptime> {
        let ask_after = self.patience.ask_after?;
        Some(self.since + if self.is_asked { self.patience.give_up_after } else { ask_after })
    }
}

impl Session {
    /// When silence is to be looked at, if it is the client's.
    pub(super) fn silence_due(&self) -> Option<Uptime> {
        let may_speak = matches!(self.stage, Stage::Bound) && self.transport == Transport::Open && !self.paused;
        self.silence.due().filter(|_| may_speak)
    }

    /// Asks a client that has been silent for too long, or gives it up.
    pub(super) fn look_at_silence(&mut self, now: Uptime) {
        if self.silence_due().is_none_or(|due| due > now) {
            return;
        }
        if !self.wants_bytes() {
            self.silence.begin_again(now);
        } else if !self.silence.is_asked {
            self.silence.ask(now);
            self.ask_whether_it_is_there();
        } else {
            self.say_error(&StreamErrorCondition::ConnectionTimeout.into());
            self.close_transport();
            self.hibernate(now);
        }
    }

    fn ask_whether_it_is_there(&mut self) {
        let Some(bound) = self.bound.as_ref() else { return };
        match &bound.management {
            // It owes an answer, which may have been lost with a network.
            Some(management) if management.asked_at.is_some() => {
                self.output.frame(|out| self.framing.text(out, super::ack::REQUEST));
            }
            Some(_) => self.ask_for_count(),
            None => {
                let to = bound.jid.to_string();
                let ping = Element::new("iq", ns::CLIENT)
                    .with_attribute("type", "get")
                    .with_attribute("id", &self.random_text::<9>())
                    .with_attribute("from", self.settings.domain.as_str())
                    .with_attribute("to", &to)
                    .with_child(Element::new("ping", names::PING));
                self.output.frame(|out| self.framing.element(out, &ping));
            }
        }
    }
}
