//! How a session gets its JID (RFC 6120 section 7).

use crate::limits::{ENABLE_TIME_MAX, INITIAL_PRESENCE_TIME_MAX};
use crate::node::BindRefusal;
use crate::session::facts::Bound;
use crate::session::state::BoundState;
use crate::session::{Order, Session, Stage, StreamErrorCondition, names};
use crate::stanza::{ErrorCondition, IqType, Kind, Stanza};
use crate::time::Uptime;
use crate::xml::{Element, ns};

impl Session {
    /// A stanza before the session has a JID: only a request for one is allowed.
    pub(super) fn handle_unbound_stanza(&mut self, element: &Element) {
        let request = element.child("bind", names::BIND);
        let (Some(account), Some(request), true) =
            (self.account.clone(), request, element.name() == "iq" && element.attribute("type") == Some("set"))
        else {
            self.fail(StreamErrorCondition::NotAuthorized, None);
            return;
        };
        let id = element.attribute("id").map(str::to_owned);
        let wanted = request.open().child("resource", names::BIND).map(|resource| resource.open().text().into_owned());
        let jid = account.with_resource_str(wanted.as_deref().unwrap_or_default()).unwrap_or_else(|_| {
            // Who asks for none gets one, and so does who asks for one that cannot be: its owner could not log in else
            // (RFC 6120 section 7.7.1).
            account.with_resource_str(&self.random_text::<12>()).expect("letters and digits are a resource")
        });
        self.holding.asks(jid.clone());
        self.output.order(Order::Bind { jid });
        self.stage = Stage::Binding { id };
    }

    /// Answers a bind.
    pub(super) fn continue_bind(&mut self, now: Uptime, answer: Result<Bound, BindRefusal>) {
        let Stage::Binding { id } = &mut self.stage else { return };
        let id = id.take();
        match answer {
            Ok(bound) => {
                let jid = Element::new("jid", names::BIND).with_text(bound.jid.as_str());
                let answer =
                    iq_with_id(IqType::Set, id).answer(Some(&Element::new("bind", names::BIND).with_child(jid)));
                self.output.frame(|out| self.framing.stanza(out, &answer));
                self.bound = Some(Box::new(BoundState::new(bound.jid, bound.route)));
                self.stage = Stage::Bound;
                self.silence.begin_again(now);
                self.deadline = None;
                self.awaits_presence_until = Some(now + INITIAL_PRESENCE_TIME_MAX);
                self.awaits_management_until = Some(now + ENABLE_TIME_MAX);
            }
            Err(refusal) => {
                let condition = match refusal {
                    BindRefusal::TooManySessions => ErrorCondition::ResourceConstraint,
                    BindRefusal::NotServing => ErrorCondition::InternalServerError,
                };
                self.refuse_bind(id, condition);
            }
        }
    }

    fn refuse_bind(&mut self, id: Option<String>, condition: ErrorCondition) {
        let refusal = iq_with_id(IqType::Set, id).bounce(condition, None).expect("requests are answered");
        self.output.frame(|out| self.framing.stanza(out, &refusal));
        self.stage = Stage::Negotiating;
    }
}

fn iq_with_id(iq_type: IqType, id: Option<String>) -> Stanza {
    Stanza { id, ..Stanza::new(Kind::Iq(iq_type)) }
}

/// Whether an element is a stanza, in order or not.
pub(super) fn is_stanza(element: &Element) -> bool {
    element.namespace() == ns::CLIENT && matches!(element.name(), "message" | "presence" | "iq")
}
