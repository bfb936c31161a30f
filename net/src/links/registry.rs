//! Which links there are, and which process of each member is current.
//!
//! At most one link for each member, lane and direction. A process that is over gets none; on the data lane only the
//! current process of a member gets one, because parcels count by its life. On the others one that is not known yet
//! must be heard, or it could not join.
//!
//! A plain table: no sockets, no tasks, no waiting.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use cresset_core::ids::{BootId, MemberId};
use cresset_core::limits::MEMBERS_MAX;
use cresset_core::node::Peer;
use cresset_core::wire::LinkFormat;
use tokio::sync::{mpsc, oneshot};

use super::event::{HelloRefusal, LinkFault, LinkId};
use super::identity::{Direction, Lane};
use super::raft::Call;

/// Links at a time: all lanes to and from as many members as a cluster can have. Beyond it a hello is refused.
const LINKS_MAX: usize = MEMBERS_MAX * Lane::ALL.len() * 2;

/// Processes of one member of which it is remembered that they are over. The oldest is forgotten; it would have to
/// come back after so many others.
const OVER_MAX: usize = 64;

/// What a link is found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Slot {
    pub(super) member: MemberId,
    pub(super) lane: Lane,
    pub(super) direction: Direction,
}

/// Where those who want to send find the queue of a link.
#[derive(Debug)]
pub(super) enum Inlet {
    /// Nobody sends by this table.
    None,
    /// Of messages in this format.
    Control(LinkFormat, mpsc::Sender<Bytes>),
    Raft(mpsc::Sender<Call>),
}

/// A link that asks to be entered.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) slot: Slot,
    pub(super) boot: BootId,
    /// The address that was dialled or that dialled.
    pub(super) address: SocketAddr,
    pub(super) inlet: Inlet,
}

/// Why a link is not entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NotEntered {
    /// The other side is told.
    Refused(HelloRefusal),
    /// This node dials the same process by another address.
    Alias,
    /// This node does not want to dial that address any more.
    Unwanted,
}

#[derive(Debug)]
struct Entered {
    link: LinkId,
    boot: BootId,
    address: SocketAddr,
    inlet: Inlet,
    close: oneshot::Sender<LinkFault>,
}

#[derive(Debug, Default)]
struct Boots {
    current: Option<BootId>,
    over: VecDeque<BootId>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Registry {
    last_link: u64,
    links: BTreeMap<Slot, Entered>,
    boots: BTreeMap<MemberId, Boots>,
    /// The addresses that are dialled, and who was last found there.
    wanted: BTreeMap<SocketAddr, Option<MemberId>>,
}

impl Registry {
    /// Enters a link. One that it replaces is closed. The receiver says when and why this one is to be closed.
    pub(super) fn enter(&mut self, candidate: Candidate) -> Result<(LinkId, oneshot::Receiver<LinkFault>), NotEntered> {
        let Candidate { slot, boot, address, inlet } = candidate;
        self.admit(slot, boot).map_err(NotEntered::Refused)?;
        if slot.direction == Direction::Dialled {
            let found = self.wanted.get_mut(&address).ok_or(NotEntered::Unwanted)?;
            if self.links.get(&slot).is_some_and(|other| other.boot == boot && other.address != address) {
                return Err(NotEntered::Alias);
            }
            if slot.lane == Lane::Control {
                *found = Some(slot.member);
            }
        }
        self.last_link += 1;
        let link = LinkId(self.last_link);
        let (close, closed) = oneshot::channel();
        if let Some(replaced) = self.links.insert(slot, Entered { link, boot, address, inlet, close }) {
            replaced.close(LinkFault::Replaced);
        }
        Ok((link, closed))
    }

    /// A link is over.
    pub(super) fn leave(&mut self, slot: Slot, link: LinkId) {
        if self.links.get(&slot).is_some_and(|entered| entered.link == link) {
            self.links.remove(&slot);
        }
    }

    /// Closes one link, if it is still there.
    pub(super) fn close(&mut self, slot: Slot, link: LinkId, fault: LinkFault) {
        if self.links.get(&slot).is_some_and(|entered| entered.link == link) {
            self.close_where(&fault, |at, _| at == slot);
        }
    }

    /// Closes every link.
    pub(super) fn close_all(&mut self) {
        self.close_where(&LinkFault::Stopped, |_, _| true);
    }

    /// From here on these addresses are dialled; links to others are closed. Those that were not dialled before are
    /// returned.
    pub(super) fn want(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        let mut before = std::mem::take(&mut self.wanted);
        let mut added = Vec::new();
        for address in addresses {
            let found = before.remove(&address);
            if found.is_none() {
                added.push(address);
            }
            self.wanted.insert(address, found.flatten());
        }
        self.close_where(&LinkFault::Stopped, |slot, entered| {
            slot.direction == Direction::Dialled && before.contains_key(&entered.address)
        });
        added
    }

    /// Who was last found at an address that is dialled.
    pub(super) fn found_at(&self, address: SocketAddr) -> Option<MemberId> {
        self.wanted.get(&address).copied().flatten()
    }

    /// Declares which process of a member is current. The one before it is over.
    pub(super) fn set_current(&mut self, peer: Peer) {
        let boots = self.boots.entry(peer.member).or_default();
        match boots.current.replace(peer.boot) {
            Some(before) if before != peer.boot => boots.end(before),
            Some(_) | None => {}
        }
        self.close_where(&LinkFault::Superseded, |slot, entered| {
            slot.member == peer.member && entered.boot != peer.boot
        });
    }

    /// Declares that a process is over.
    pub(super) fn ban(&mut self, peer: Peer) {
        let boots = self.boots.entry(peer.member).or_default();
        if boots.current == Some(peer.boot) {
            boots.current = None;
        }
        boots.end(peer.boot);
        self.close_where(&LinkFault::Superseded, |slot, entered| {
            slot.member == peer.member && entered.boot == peer.boot
        });
    }

    /// The current process of a member, if one was declared.
    pub(super) fn current(&self, member: MemberId) -> Option<BootId> {
        self.boots.get(&member)?.current
    }

    /// The queue of the control link to a member, and how its messages are written.
    pub(super) fn control_to(&self, member: MemberId) -> Option<(LinkFormat, &mpsc::Sender<Bytes>)> {
        let slot = Slot { member, lane: Lane::Control, direction: Direction::Dialled };
        match &self.links.get(&slot)?.inlet {
            Inlet::Control(format, queue) => Some((*format, queue)),
            Inlet::Raft(_) | Inlet::None => None,
        }
    }

    /// The queue of the Raft link to a member.
    pub(super) fn raft_to(&self, member: MemberId) -> Option<(Slot, LinkId, mpsc::Sender<Call>)> {
        let slot = Slot { member, lane: Lane::Raft, direction: Direction::Dialled };
        let entered = self.links.get(&slot)?;
        match &entered.inlet {
            Inlet::Raft(queue) => Some((slot, entered.link, queue.clone())),
            Inlet::Control(..) | Inlet::None => None,
        }
    }

    fn admit(&self, slot: Slot, boot: BootId) -> Result<(), HelloRefusal> {
        let boots = self.boots.get(&slot.member);
        if boots.is_some_and(|boots| boots.over.contains(&boot)) {
            return Err(HelloRefusal::Superseded);
        }
        if slot.lane == Lane::Data && self.current(slot.member) != Some(boot) {
            return Err(HelloRefusal::NotCurrent);
        }
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(&slot) {
            return Err(HelloRefusal::TooManyLinks);
        }
        Ok(())
    }

    fn close_where(&mut self, fault: &LinkFault, which: impl Fn(Slot, &Entered) -> bool) {
        for (_, closed) in self.links.extract_if(.., |slot, entered| which(*slot, entered)) {
            closed.close(fault.clone());
        }
    }
}

impl Boots {
    fn end(&mut self, boot: BootId) {
        if self.over.contains(&boot) {
            return;
        }
        if self.over.len() == OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back(boot);
    }
}

impl Entered {
    fn close(self, fault: LinkFault) {
        // The link may be ending by itself at this moment; then it needs no telling.
        let _ended = self.close.send(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
    const ELSEWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

    fn peer(boot: u64) -> Peer {
        Peer { member: MemberId(1), boot: BootId(boot) }
    }

    fn candidate(boot: u64, lane: Lane, direction: Direction) -> Candidate {
        let slot = Slot { member: MemberId(1), lane, direction };
        Candidate { slot, boot: BootId(boot), address: THERE, inlet: Inlet::None }
    }

    fn refusal(registry: &mut Registry, candidate: Candidate) -> Option<HelloRefusal> {
        match registry.enter(candidate) {
            Err(NotEntered::Refused(refusal)) => Some(refusal),
            Ok(_) | Err(NotEntered::Alias | NotEntered::Unwanted) => None,
        }
    }

    #[test]
    fn a_process_that_is_over_is_refused_on_every_lane_and_its_links_are_closed() {
        let mut registry = Registry::default();
        registry.set_current(peer(10));
        let (_, mut closed) = registry.enter(candidate(10, Lane::Data, Direction::Accepted)).expect("it is current");

        registry.set_current(peer(11));

        assert_eq!(closed.try_recv(), Ok(LinkFault::Superseded));
        for lane in Lane::ALL {
            assert_eq!(
                refusal(&mut registry, candidate(10, lane, Direction::Accepted)),
                Some(HelloRefusal::Superseded)
            );
            assert_eq!(refusal(&mut registry, candidate(11, lane, Direction::Accepted)), None);
        }
    }

    /// A process that starts anew must be able to ask for its life before anybody knows it, but not to deliver.
    #[test]
    fn an_unknown_process_may_speak_but_not_deliver() {
        let mut registry = Registry::default();
        registry.set_current(peer(10));

        assert_eq!(refusal(&mut registry, candidate(12, Lane::Control, Direction::Accepted)), None);
        assert_eq!(refusal(&mut registry, candidate(12, Lane::Raft, Direction::Accepted)), None);
        let data = refusal(&mut registry, candidate(12, Lane::Data, Direction::Accepted));
        assert_eq!(data, Some(HelloRefusal::NotCurrent));
    }

    #[test]
    fn a_later_link_replaces_the_earlier_one_and_is_not_taken_down_by_its_end() {
        let mut registry = Registry::default();
        let control = || candidate(10, Lane::Control, Direction::Accepted);
        let (first, mut closed) = registry.enter(control()).expect("there is room");
        let (second, mut open) = registry.enter(control()).expect("there is room");

        assert_eq!(closed.try_recv(), Ok(LinkFault::Replaced));
        registry.leave(control().slot, first);
        registry.close(control().slot, second, LinkFault::Stopped);
        assert_eq!(open.try_recv(), Ok(LinkFault::Stopped));
    }

    #[test]
    fn a_second_address_of_the_same_process_is_an_alias_and_an_unwanted_one_is_not_entered() {
        let mut registry = Registry::default();
        assert_eq!(registry.want([THERE, ELSEWHERE]), [THERE, ELSEWHERE]);
        let (_, mut closed) = registry.enter(candidate(10, Lane::Control, Direction::Dialled)).expect("it is wanted");
        assert_eq!(registry.found_at(THERE), Some(MemberId(1)));

        let alias = Candidate { address: ELSEWHERE, ..candidate(10, Lane::Control, Direction::Dialled) };
        assert_eq!(registry.enter(alias).err(), Some(NotEntered::Alias));

        assert_eq!(registry.want([ELSEWHERE]), []);
        assert_eq!(closed.try_recv(), Ok(LinkFault::Stopped));
        let unwanted = registry.enter(candidate(10, Lane::Control, Direction::Dialled));
        assert_eq!(unwanted.err(), Some(NotEntered::Unwanted));
    }

    #[test]
    fn links_are_bounded_but_one_that_is_there_may_be_replaced() {
        let mut registry = Registry::default();
        let of_member = |member: usize| {
            let mut candidate = candidate(10, Lane::Control, Direction::Accepted);
            candidate.slot.member = MemberId(member as u64);
            candidate
        };
        for member in 0..LINKS_MAX {
            assert_eq!(refusal(&mut registry, of_member(member)), None);
        }

        assert_eq!(refusal(&mut registry, of_member(LINKS_MAX)), Some(HelloRefusal::TooManyLinks));
        assert_eq!(refusal(&mut registry, of_member(0)), None);
    }
}
