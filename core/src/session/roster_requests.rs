//! What a client asks of its roster (RFC 6121 section 2).
//!
//! ```text
//! get ─▶ announced as interested ─▶ Load ─▶ the items
//! set ─▶ checked ─▶ Set or Remove ─▶ a push to each interested resource, then a result to the client
//! ```
//!
//! The client that asked for a change is told of it as the others are, and before its request is answered: once it has
//! the result, its roster is what the server has.
//!
//! A roster that is too large for one answer comes in parts: the answer has the first one, and the contacts of the others
//! are pushed, each part when the client has taken what it was sent before. So a roster can be read however large it is,
//! and never fills the queue of its client.
//!
//! A client that has the roster gets every change of it: it is announced before it is loaded, and if a push comes while
//! the roster is being loaded, it is loaded once more, so an older roster never follows a newer item.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cluster::RoutePresence;
use crate::ids::Sequence;
use crate::jid::{BareJid, Jid};
use crate::limits::{ROSTER_GROUPS_MAX, ROSTER_ITEM_BYTES_MAX, ROSTER_NAME_BYTES_MAX, ROSTER_REQUESTS_MAX};
use crate::session::announce::Next;
use crate::session::roster::{RosterAnswer, RosterItem, RosterOrder, RosterPart, RosterRefusal};
use crate::session::{Order, Session, names};
use crate::sometimes;
use crate::stanza::{ErrorCondition, IqType, Kind, Stanza};
use crate::time::Uptime;
use crate::xml::Element;

/// A request that the accounts are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct RosterRequest {
    /// The request of the client; absent if the session asks for more of what the client has asked for before.
    pub(super) asked: Option<Asked>,
    /// The contact behind which it begins, if it asks for items.
    pub(super) after: Option<BareJid>,
    /// It asks for all items, and one of them has changed since the accounts were asked.
    pub(super) is_outdated: bool,
}

/// A request of the client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    /// Its number among the client's stanzas.
    pub(super) number: Sequence,
    /// The request, without its content.
    pub(super) iq: Stanza,
}

impl Session {
    /// A request of the client to its own roster.
    pub(super) fn handle_roster_request(&mut self, now: Uptime, number: Sequence, mut iq: Stanza, query: &Element) {
        let Some(bound) = self.bound.as_mut() else { return };
        // What it says is in the query. The rest is kept until it is answered.
        iq.payload = Bytes::new();
        if bound.roster_requests.len() >= ROSTER_REQUESTS_MAX {
            self.refuse(now, number, &iq, ErrorCondition::ResourceConstraint);
            return;
        }
        if iq.kind == Kind::Iq(IqType::Get) {
            let wanted = RoutePresence { interested: true, ..bound.announcer.wanted() };
            let announcement = bound.announcer.want(wanted, Next::LoadRoster { number, iq });
            self.order_announcement(announcement);
            self.do_what_is_announced();
            return;
        }
        match read_change(query, &bound.account) {
            Ok(change) => self.ask_accounts(Some(Asked { number, iq }), change),
            Err(condition) => self.refuse(now, number, &iq, condition),
        }
    }

    /// Orders all items for a request of the client.
    pub(super) fn load_roster(&mut self, number: Sequence, iq: Stanza) {
        if let Some(bound) = self.bound.as_mut() {
            // It begins anew.
            bound.roster_rest = None;
        }
        self.ask_accounts(Some(Asked { number, iq }), RosterOrder::Load { after: None });
    }

    /// Orders the next part of a roster that did not fit its answer, once the client has taken the one before.
    pub(super) fn load_rest_of_roster(&mut self) {
        let Some(bound) = self.bound.as_mut() else { return };
        if bound.roster_rest.is_some() && !bound.deliveries.is_half_full() && !self.paused {
            let after = bound.roster_rest.take().map(|after| *after);
            sometimes!("a_roster_comes_in_parts");
            self.ask_accounts(None, RosterOrder::Load { after });
        }
    }

    fn ask_accounts(&mut self, asked: Option<Asked>, order: RosterOrder) {
        let Some(bound) = self.bound.as_mut() else { return };
        let after = if let RosterOrder::Load { after } = &order { after.clone() } else { None };
        bound.roster_requests.push_back(RosterRequest { asked, after, is_outdated: false });
        self.output.order(Order::Roster(order));
    }

    /// A parcel is on its way to the client: if it is a push, a roster that is being loaded is outdated.
    pub(super) fn note_push(&mut self, stanza: &Stanza) {
        let Some(bound) = self.bound.as_mut() else { return };
        let is_push =
            stanza.kind == Kind::Iq(IqType::Set) && stanza.from.as_ref().is_some_and(|from| *from == bound.account);
        if is_push {
            bound.roster_requests.iter_mut().for_each(|request| request.is_outdated = true);
        }
    }

    /// Answers the oldest request.
    pub(super) fn answer_roster_request(&mut self, now: Uptime, answer: RosterAnswer) {
        let Some(request) = self.bound.as_mut().and_then(|bound| bound.roster_requests.pop_front()) else { return };
        let RosterRequest { asked, after, is_outdated } = request;
        let Some(Asked { number, iq }) = asked else {
            self.tell_rest_of_roster(answer, after, is_outdated);
            return;
        };
        let mut rest = None;
        let outcome = match answer {
            RosterAnswer::Loaded(Ok(_)) if is_outdated => {
                self.ask_accounts(Some(Asked { number, iq }), RosterOrder::Load { after });
                return;
            }
            RosterAnswer::Loaded(Ok(part)) => {
                rest = part.rest();
                Ok(Some(roster(&part.items)))
            }
            RosterAnswer::Set(Ok(item)) => {
                self.push(&item_element(&item));
                Ok(None)
            }
            RosterAnswer::Removed(Ok(Some(contact))) => {
                let removed = Element::new("item", names::ROSTER)
                    .with_attribute("jid", contact.as_str())
                    .with_attribute("subscription", "remove");
                self.push(&removed);
                Ok(None)
            }
            RosterAnswer::Removed(Ok(None)) => Err(ErrorCondition::ItemNotFound),
            RosterAnswer::Set(Err(RosterRefusal::Full)) => Err(ErrorCondition::ResourceConstraint),
            RosterAnswer::Loaded(Err(_))
            | RosterAnswer::Removed(Err(_))
            | RosterAnswer::Set(Err(RosterRefusal::Unavailable)) => Err(ErrorCondition::InternalServerError),
        };
        match outcome {
            Ok(payload) => {
                self.reply(iq.answer(payload.as_ref()));
                self.handled(now, number);
                self.remember_rest_of_roster(rest);
            }
            Err(condition) => self.refuse(now, number, &iq, condition),
        }
    }

    /// Another part of the roster came, for a client that has had the ones before.
    fn tell_rest_of_roster(&mut self, answer: RosterAnswer, after: Option<BareJid>, is_outdated: bool) {
        match answer {
            RosterAnswer::Loaded(Ok(_)) if is_outdated => self.ask_accounts(None, RosterOrder::Load { after }),
            RosterAnswer::Loaded(Ok(part)) => {
                for item in &part.items {
                    let push = self.push_of(&item_element(item));
                    push.into_iter().for_each(|push| self.reply(push));
                }
                self.remember_rest_of_roster(part.rest());
            }
            // The client has a part of its roster; it gets the rest when the next one is asked for.
            RosterAnswer::Loaded(Err(_)) => {
                if let Some(bound) = self.bound.as_mut() {
                    bound.roster_rest = after.map(Box::new);
                }
            }
            RosterAnswer::Set(_) | RosterAnswer::Removed(_) => {}
        }
    }

    fn remember_rest_of_roster(&mut self, rest: Option<BareJid>) {
        if let (Some(bound), Some(rest)) = (self.bound.as_mut(), rest) {
            bound.roster_rest = Some(Box::new(rest));
            self.load_rest_of_roster();
        }
    }

    /// A push of that item to this client.
    fn push_of(&mut self, item: &Element) -> Option<Stanza> {
        let id = self.random_text::<9>();
        let bound = self.bound.as_ref()?;
        let query = Element::new("query", names::ROSTER).with_child(item.clone());
        let push = Stanza {
            from: Some(Jid::from(bound.account.clone())),
            to: Some(Jid::from(bound.jid.clone())),
            id: Some(id),
            ..Stanza::new(Kind::Iq(IqType::Set))
        };
        Some(push.with_child(&query))
    }

    fn push(&mut self, item: &Element) {
        let Some(own) = self.push_of(item) else { return };
        let push = Stanza { to: None, ..own.clone() };
        if self.bound.as_ref().is_some_and(|bound| bound.announcer.wanted().interested) {
            self.note_push(&own);
            self.reply(own);
        }
        self.output.order(Order::PushRoster(push));
    }
}

/// Reads a roster set, which has one item (RFC 6121 section 2.3.3). What it says of subscriptions other than `remove` is
/// ignored (section 2.1.2.5).
fn read_change(query: &Element, account: &BareJid) -> Result<RosterOrder, ErrorCondition> {
    let mut items = query.children();
    let (Some(item), None) = (items.next(), items.next()) else { return Err(ErrorCondition::BadRequest) };
    if !item.is("item", names::ROSTER) {
        return Err(ErrorCondition::BadRequest);
    }
    let item = item.open();
    let jid = item.attribute("jid").ok_or(ErrorCondition::BadRequest)?;
    let jid = BareJid::new(jid).map_err(|_| ErrorCondition::JidMalformed)?;
    if jid == *account {
        return Err(ErrorCondition::NotAllowed);
    }
    if item.attribute("subscription") == Some("remove") {
        return Ok(RosterOrder::Remove(jid));
    }
    let name = item.attribute("name").filter(|name| !name.is_empty()).map(str::to_owned);
    if name.as_ref().is_some_and(|name| name.len() > ROSTER_NAME_BYTES_MAX) {
        return Err(ErrorCondition::NotAcceptable);
    }
    let groups = read_groups(&item)?;
    let bytes =
        jid.as_str().len() + name.as_ref().map_or(0, String::len) + groups.iter().map(String::len).sum::<usize>();
    if bytes > ROSTER_ITEM_BYTES_MAX {
        return Err(ErrorCondition::NotAcceptable);
    }
    Ok(RosterOrder::Set { jid, name, groups })
}

impl RosterPart {
    /// The contact behind which the rest begins, if there is one.
    fn rest(&self) -> Option<BareJid> {
        self.items.last().filter(|_| !self.is_last).map(|item| item.jid.clone())
    }
}

fn read_groups(item: &Element) -> Result<Vec<String>, ErrorCondition> {
    let mut groups = BTreeSet::new();
    for group in item.children().filter(|child| child.is("group", names::ROSTER)) {
        let group = group.open().text().into_owned();
        if group.is_empty() || group.len() > ROSTER_NAME_BYTES_MAX || groups.len() >= ROSTER_GROUPS_MAX {
            return Err(ErrorCondition::NotAcceptable);
        }
        if !groups.insert(group) {
            return Err(ErrorCondition::BadRequest);
        }
    }
    Ok(groups.into_iter().collect())
}

fn roster(items: &[RosterItem]) -> Element {
    let mut query = Element::new("query", names::ROSTER);
    items.iter().for_each(|item| query.push_child(&item_element(item)));
    query
}

fn item_element(item: &RosterItem) -> Element {
    let mut element = Element::new("item", names::ROSTER).with_attribute("jid", item.jid.as_str());
    if let Some(name) = &item.name {
        element = element.with_attribute("name", name);
    }
    element = element.with_attribute("subscription", item.subscription.name());
    if item.asked {
        element = element.with_attribute("ask", "subscribe");
    }
    item.groups
        .iter()
        .fold(element, |element, group| element.with_child(Element::new("group", names::ROSTER).with_text(group)))
}
