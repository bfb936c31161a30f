//! Which links there are, and which ones have to go.
//!
//! At most one link for each member, lane and direction. A process that is over gets none; on the data lane only the
//! current process of a member gets one, because parcels count by its life. On the other lanes a process that is not
//! known yet must be heard, or it could not join.

use std::collections::{BTreeMap, VecDeque};

use super::lane::{Direction, Lane, LinkId};
use super::processes::Processes;
use crate::ids::{BootId, MemberId};
use crate::limits::MEMBERS_MAX;

/// Links at a time: all lanes to and from as many members as a cluster can have. Beyond it a link is refused.
const LINKS_MAX: usize = MEMBERS_MAX * Lane::ALL.len() * 2;

/// What a link is found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slot {
    /// The member at the other end.
    pub member: MemberId,
    /// What the link is for.
    pub lane: Lane,
    /// Who made it.
    pub direction: Direction,
}

/// A link that asks to be entered.
#[derive(Debug)]
pub struct Candidate<L, A> {
    /// Where it would stand.
    pub slot: Slot,
    /// The process at the other end.
    pub boot: BootId,
    /// The address that was dialled or that dialled.
    pub address: A,
    /// What the driver keeps for it: how it is written to, and how it is closed.
    pub kept: L,
}

/// Why a process gets no link. The other side is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The process is over.
    Superseded,
    /// The process is not known as its member's current one, so it may not deliver.
    NotCurrent,
    /// There are as many links as there may be.
    TooManyLinks,
}

/// Why a link is not entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotEntered {
    /// Its process gets none.
    Refused(Refusal),
    /// This node dials the same process by another address.
    Alias,
    /// This node does not want to dial that address any more.
    Unwanted,
}

/// Why the table closes a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// Another link took its place.
    Replaced,
    /// The process at the other end is not its member's current one.
    Superseded,
    /// This node does not want it any more.
    Stopped,
}

/// A link that is not in the table any more and has to be closed.
#[derive(PartialEq, Eq, Debug)]
pub struct Closed<L> {
    /// Where it stood.
    pub slot: Slot,
    /// What the driver kept for it.
    pub kept: L,
    /// Why it is closed.
    pub reason: CloseReason,
}

#[derive(Debug)]
struct Entered<L, A> {
    link: LinkId,
    boot: BootId,
    address: A,
    kept: L,
}

/// The table of the links of one node: `L` is what its driver keeps for a link, `A` is an address that can be dialled.
///
/// What a call takes out of the table is handed out by [`poll_closed`](Self::poll_closed). The driver takes all of it
/// after each call, so that at most as many wait there as there may be links.
#[derive(Debug)]
pub struct LinkTable<L, A> {
    last_link: u64,
    links: BTreeMap<Slot, Entered<L, A>>,
    processes: Processes,
    /// The addresses that are dialled, and who was last found there.
    wanted: BTreeMap<A, Option<MemberId>>,
    closed: VecDeque<Closed<L>>,
}

impl<L, A> Default for LinkTable<L, A> {
    fn default() -> Self {
        LinkTable {
            last_link: 0,
            links: BTreeMap::new(),
            processes: Processes::default(),
            wanted: BTreeMap::new(),
            closed: VecDeque::new(),
        }
    }
}

impl<L, A: Copy + Ord> LinkTable<L, A> {
    /// Enters a link. One that it replaces is closed.
    ///
    /// # Errors
    ///
    /// The link must not be; the table has not changed. Only links that are dialled are aliases or unwanted.
    pub fn enter(&mut self, candidate: Candidate<L, A>) -> Result<LinkId, NotEntered> {
        let Candidate { slot, boot, address, kept } = candidate;
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
        if let Some(replaced) = self.links.insert(slot, Entered { link, boot, address, kept }) {
            self.closed.push_back(Closed { slot, kept: replaced.kept, reason: CloseReason::Replaced });
        }
        Ok(link)
    }

    /// A link is over, or its driver ends it: what was kept for it, if it was still there.
    pub fn leave(&mut self, slot: Slot, link: LinkId) -> Option<L> {
        self.links.get(&slot).filter(|entered| entered.link == link)?;
        self.links.remove(&slot).map(|entered| entered.kept)
    }

    /// Closes every link.
    pub fn close_all(&mut self) {
        self.close_where(CloseReason::Stopped, |_, _| true);
    }

    /// From here on these addresses are dialled; links to others are closed. Those that were not dialled before are
    /// returned.
    pub fn want(&mut self, addresses: impl IntoIterator<Item = A>) -> Vec<A> {
        let mut before = std::mem::take(&mut self.wanted);
        let mut added = Vec::new();
        for address in addresses {
            let found = before.remove(&address);
            if found.is_none() {
                added.push(address);
            }
            self.wanted.insert(address, found.flatten());
        }
        self.close_where(CloseReason::Stopped, |slot, entered| {
            slot.direction == Direction::Dialled && before.contains_key(&entered.address)
        });
        added
    }

    /// Declares which process of a member is current. The one before it is over.
    pub fn set_current(&mut self, member: MemberId, boot: BootId) {
        self.processes.set_current(member, boot);
        self.close_where(CloseReason::Superseded, |slot, entered| slot.member == member && entered.boot != boot);
    }

    /// Declares that a process of a member is over.
    pub fn ban(&mut self, member: MemberId, boot: BootId) {
        self.processes.end(member, boot);
        self.close_where(CloseReason::Superseded, |slot, entered| slot.member == member && entered.boot == boot);
    }

    /// The next link that has to be closed, in the order in which they were taken out of the table.
    pub fn poll_closed(&mut self) -> Option<Closed<L>> {
        self.closed.pop_front()
    }

    /// What is kept for a link, and which one it is.
    pub fn link(&self, slot: Slot) -> Option<(LinkId, &L)> {
        self.links.get(&slot).map(|entered| (entered.link, &entered.kept))
    }

    /// Who was last found at an address that is dialled.
    pub fn found_at(&self, address: A) -> Option<MemberId> {
        self.wanted.get(&address).copied().flatten()
    }

    /// Whether the data lane to an address is to be dialled: if the cluster knows the life of the process that was found
    /// there, because parcels count by lives.
    pub fn wants_data_of(&self, address: A) -> bool {
        self.found_at(address).and_then(|member| self.processes.current(member)).is_some()
    }

    fn admit(&self, slot: Slot, boot: BootId) -> Result<(), Refusal> {
        if self.processes.is_over(slot.member, boot) {
            return Err(Refusal::Superseded);
        }
        if slot.lane == Lane::Data && self.processes.current(slot.member) != Some(boot) {
            return Err(Refusal::NotCurrent);
        }
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(&slot) {
            return Err(Refusal::TooManyLinks);
        }
        Ok(())
    }

    fn close_where(&mut self, reason: CloseReason, which: impl Fn(Slot, &Entered<L, A>) -> bool) {
        let closed = self.links.extract_if(.., |slot, entered| which(*slot, entered));
        self.closed.extend(closed.map(|(slot, entered)| Closed { slot, kept: entered.kept, reason }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept is a number, and so is an address.
    type Table = LinkTable<u32, u16>;

    const THERE: u16 = 1;
    const ELSEWHERE: u16 = 2;
    const MEMBER: MemberId = MemberId(1);

    fn candidate(boot: u64, lane: Lane, direction: Direction) -> Candidate<u32, u16> {
        let slot = Slot { member: MEMBER, lane, direction };
        Candidate { slot, boot: BootId(boot), address: THERE, kept: 0 }
    }

    fn closed(table: &mut Table) -> Vec<(u32, CloseReason)> {
        std::iter::from_fn(|| table.poll_closed()).map(|closed| (closed.kept, closed.reason)).collect()
    }

    #[test]
    fn a_process_that_is_over_is_refused_on_every_lane_and_its_links_are_closed() {
        let mut table = Table::default();
        table.set_current(MEMBER, BootId(10));
        let data = candidate(10, Lane::Data, Direction::Accepted);
        table.enter(Candidate { kept: 7, ..data }).expect("it is current");

        table.set_current(MEMBER, BootId(11));

        assert_eq!(closed(&mut table), [(7, CloseReason::Superseded)]);
        for lane in Lane::ALL {
            let refused = Err(NotEntered::Refused(Refusal::Superseded));
            assert_eq!(table.enter(candidate(10, lane, Direction::Accepted)), refused);
            assert!(table.enter(candidate(11, lane, Direction::Accepted)).is_ok());
        }
    }

    #[test]
    fn a_ban_closes_the_links_of_that_process_and_of_no_other() {
        let mut table = Table::default();
        let raft = |boot, direction, kept| Candidate { kept, ..candidate(boot, Lane::Raft, direction) };
        table.want([THERE]);
        table.enter(raft(10, Direction::Dialled, 1)).expect("there is room");
        table.enter(raft(11, Direction::Accepted, 2)).expect("there is room");

        table.ban(MEMBER, BootId(10));

        assert_eq!(closed(&mut table), [(1, CloseReason::Superseded)]);
        let refused = Err(NotEntered::Refused(Refusal::Superseded));
        assert_eq!(table.enter(raft(10, Direction::Dialled, 3)), refused);
        assert_eq!(table.link(raft(11, Direction::Accepted, 2).slot).map(|(_, kept)| *kept), Some(2));
    }

    /// A process that starts anew must be able to ask for its life before anybody knows it, but not to deliver.
    #[test]
    fn an_unknown_process_may_speak_but_not_deliver() {
        let mut table = Table::default();
        table.set_current(MEMBER, BootId(10));

        assert!(table.enter(candidate(12, Lane::Control, Direction::Accepted)).is_ok());
        assert!(table.enter(candidate(12, Lane::Raft, Direction::Accepted)).is_ok());
        let data = table.enter(candidate(12, Lane::Data, Direction::Accepted));
        assert_eq!(data, Err(NotEntered::Refused(Refusal::NotCurrent)));
    }

    #[test]
    fn data_is_wanted_of_an_address_once_the_life_of_who_was_found_there_is_known() {
        let mut table = Table::default();
        table.want([THERE]);
        table.set_current(MEMBER, BootId(10));
        assert!(!table.wants_data_of(THERE));

        table.enter(candidate(10, Lane::Control, Direction::Dialled)).expect("it is wanted");
        assert!(table.wants_data_of(THERE));

        table.ban(MEMBER, BootId(10));
        assert!(!table.wants_data_of(THERE));
    }

    #[test]
    fn a_later_link_replaces_the_earlier_one_and_is_not_taken_down_by_its_end() {
        let mut table = Table::default();
        let control = |kept| Candidate { kept, ..candidate(10, Lane::Control, Direction::Accepted) };
        let slot = control(0).slot;
        let first = table.enter(control(1)).expect("there is room");
        let second = table.enter(control(2)).expect("there is room");

        assert_eq!(closed(&mut table), [(1, CloseReason::Replaced)]);
        assert_eq!(table.leave(slot, first), None);
        assert_eq!(table.link(slot), Some((second, &2)));
        assert_eq!(table.leave(slot, second), Some(2));
        assert_eq!(table.link(slot), None);
    }

    #[test]
    fn a_second_address_of_the_same_process_is_an_alias_and_an_unwanted_one_is_not_entered() {
        let mut table = Table::default();
        assert_eq!(table.want([THERE, ELSEWHERE]), [THERE, ELSEWHERE]);
        table.enter(candidate(10, Lane::Control, Direction::Dialled)).expect("it is wanted");
        assert_eq!(table.found_at(THERE), Some(MEMBER));

        let alias = Candidate { address: ELSEWHERE, ..candidate(10, Lane::Control, Direction::Dialled) };
        assert_eq!(table.enter(alias), Err(NotEntered::Alias));

        assert_eq!(table.want([ELSEWHERE]), [0; 0]);
        assert_eq!(closed(&mut table), [(0, CloseReason::Stopped)]);
        let unwanted = table.enter(candidate(10, Lane::Control, Direction::Dialled));
        assert_eq!(unwanted, Err(NotEntered::Unwanted));
    }

    #[test]
    fn links_are_closed_in_the_order_of_their_slots() {
        let mut table = Table::default();
        table.want([THERE]);
        for (kept, lane, direction) in [
            (3, Lane::Raft, Direction::Dialled),
            (2, Lane::Control, Direction::Accepted),
            (1, Lane::Control, Direction::Dialled),
        ] {
            table.enter(Candidate { kept, ..candidate(10, lane, direction) }).expect("there is room");
        }

        table.close_all();

        assert_eq!(closed(&mut table), [1, 2, 3].map(|kept| (kept, CloseReason::Stopped)));
    }

    #[test]
    fn links_are_bounded_but_one_that_is_there_may_be_replaced() {
        let mut table = Table::default();
        let of_member = |member: usize| {
            let mut candidate = candidate(10, Lane::Control, Direction::Accepted);
            candidate.slot.member = MemberId(member as u64);
            candidate
        };
        for member in 0..LINKS_MAX {
            assert!(table.enter(of_member(member)).is_ok());
        }

        assert_eq!(table.enter(of_member(LINKS_MAX)), Err(NotEntered::Refused(Refusal::TooManyLinks)));
        assert!(table.enter(of_member(0)).is_ok());
    }
}
