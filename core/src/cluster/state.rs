//! The agreed state and the one function that changes it.
//!
//! ```text
//! entry of the log ──▶ apply ──▶ outcome (for who proposed it) + events (for everybody)
//! ```
//!
//! `apply` is total and reads nothing but its arguments: no clock, no configuration, no randomness. So every node that
//! has applied the same entries has the same state, which [`ClusterState::digest`] lets them compare. Each life of a
//! member is fenced by its incarnation: what an ended life still has in flight is rejected, and the end of a life takes
//! only what that life held, never what somebody holds since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::routes::Routes;
use crate::cluster::voters;
use crate::cluster::{
    AccountRoutes, AgreedTimes, Applied, Batch, Command, ConflictPolicy, Event, ExpelReason, Join, Life, Member,
    MemberState, Operation, OperationOutcome, Outcome, Rejection, Removal, Role, Route, RoutePresence, VersionRange,
};
use crate::ids::{LogIndex, MemberId, RouteId, SessionId};
use crate::jid::{BareJid, FullJid};
use crate::limits::{MEMBERS_MAX, SESSIONS_PER_ACCOUNT_MAX};
use crate::{planted, sometimes};

/// The versions of the agreed state's format and rules that this program follows, and with them those of links and entries
/// of the log. A cluster begins with the oldest one of its founder's. What each has brought:
///
/// | version | brought |
/// |---|---|
/// | 1 | everything |
/// | 2 | agreed times: two commands, and the end of a snapshot ([`TIMES_SINCE_VERSION`](crate::cluster::TIMES_SINCE_VERSION)) |
/// | 3 | the frames of [`LinkFormat::Third`](crate::wire::LinkFormat::Third); state and entries are those of version 2 |
pub const STATE_VERSIONS: VersionRange = VersionRange { min: 1, max: 3 };

/// What the members agree on, as of one index of the log.
#[derive(Clone, Debug)]
pub struct ClusterState {
    pub(super) version: u32,
    pub(super) applied: LogIndex,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) voters: BTreeSet<MemberId>,
    pub(super) routes: Routes,
    pub(super) times: AgreedTimes,
}

impl Default for ClusterState {
    fn default() -> Self {
        ClusterState {
            version: STATE_VERSIONS.min,
            applied: LogIndex(0),
            members: BTreeMap::new(),
            voters: BTreeSet::new(),
            routes: Routes::default(),
            times: AgreedTimes::default(),
        }
    }
}

impl ClusterState {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version of the format and the rules that all members follow. It never falls.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Applies the entry at `index`.
    ///
    /// # Panics
    /// If `index` is not beyond the last one: the log is applied in order, once.
    pub fn apply(&mut self, index: LogIndex, command: &Command) -> Applied {
        self.skip(index);
        let senior = self.senior();
        let mut events = Vec::new();
        let outcome = match command {
            early if early.since() > self.version => Outcome::Rejected(Rejection::TooEarly),
            Command::Join(join) => self.join(index, join, &mut events),
            Command::Activate(life) => self.activate(*life, &mut events),
            Command::Leave(life) => self.end(index, *life, None, &mut events),
            Command::Expel { life, reason } => self.end(index, *life, Some(*reason), &mut events),
            Command::Batch(batch) => self.batch(index, batch, &mut events),
            Command::Forget(life) => self.forget(*life, &mut events),
            Command::Drain(life) => self.turn(*life, MemberState::Draining),
            Command::Undrain(life) => self.turn(*life, MemberState::Active),
            Command::ChangeTimes { after, to } => self.times.begin(index, *after, *to),
            Command::TimesInForce { since } => self.times.end(index, *since),
        };
        if self.senior() != senior {
            events.push(Event::SeniorChanged(self.senior()));
        }
        Applied { outcome, events }
    }

    /// Moves past an entry that carries no command (a blank entry of a new leader, a change of Raft's membership).
    ///
    /// # Panics
    /// As [`Self::apply`].
    pub fn skip(&mut self, index: LogIndex) {
        assert!(index > self.applied, "the log is applied in order: {index} after {}", self.applied);
        self.applied = index;
    }

    /// The index of the last entry.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// All members, those that are gone but still counted as voters included, by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One member.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// The member, if this is its present life and the life is not over.
    pub fn alive(&self, life: Life) -> Option<&Member> {
        self.members.get(&life.member).filter(|member| member.life() == life && member.is_alive())
    }

    /// Who should vote. The leader makes Raft's membership follow.
    pub fn voters(&self) -> &BTreeSet<MemberId> {
        &self.voters
    }

    /// The oldest server that takes part; the oldest witness if there is no server.
    pub fn senior(&self) -> Option<MemberId> {
        let active = self.members.values().filter(|member| member.is_active());
        active.min_by_key(|member| (member.role == Role::Witness, member.incarnation)).map(|member| member.id)
    }

    /// The times on which fencing rests, as far as they are agreed on.
    pub fn times(&self) -> &AgreedTimes {
        &self.times
    }

    /// The routes of an account, by id; none if it is offline or unknown.
    pub fn routes_of(&self, account: &BareJid) -> Option<&AccountRoutes> {
        self.routes.of(account)
    }

    /// The route by which a full JID is held.
    pub fn holder(&self, jid: &FullJid) -> Option<Arc<Route>> {
        self.routes.holder(jid)
    }

    /// All routes, by member and then by id.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// How many sessions there are in the cluster.
    pub fn sessions(&self) -> usize {
        self.routes.count()
    }

    /// How many sessions a member has.
    pub fn sessions_of(&self, member: MemberId) -> usize {
        self.routes.count_of(member)
    }

    /// A number that is equal on all nodes that have applied the same entries, and almost surely differs otherwise.
    pub fn digest(&self) -> u64 {
        voters::digest(self).wrapping_add(self.routes.digest())
    }

    /// Lets go of so many routes of a state that is not needed any more; answers whether there are more. Dropping a
    /// million of them at once takes a while.
    pub fn shed(&mut self, routes_max: usize) -> bool {
        self.routes.shed(routes_max)
    }

    fn join(&mut self, index: LogIndex, join: &Join, events: &mut Vec<Event>) -> Outcome {
        if !join.versions.includes(self.version) {
            return Outcome::Rejected(Rejection::WrongVersion);
        }
        if self.members.get(&join.member).is_some_and(|member| member.boot == join.boot) {
            sometimes!("a_join_is_committed_twice");
            // The shell retries a join whose fate it does not know. A process that was expelled joins as another boot.
            return Outcome::AlreadyDone;
        }
        if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(&join.member) {
            return Outcome::Rejected(Rejection::TooManyMembers);
        }
        let replaced: Vec<_> = self
            .members
            .values()
            .filter(|member| member.is_alive() && (member.id == join.member || member.name == join.name))
            .map(Member::life)
            .collect();
        for life in replaced {
            self.end(index, life, Some(ExpelReason::Replaced), events);
        }
        let member = Member::joined(index, join);
        events.push(Event::Joined(member.life()));
        self.members.insert(member.id, member);
        Outcome::Done
    }

    fn activate(&mut self, life: Life, events: &mut Vec<Event>) -> Outcome {
        let Some(member) = self.members.get_mut(&life.member).filter(|member| member.life() == life) else {
            return Outcome::Rejected(Rejection::LifeEnded);
        };
        match member.state {
            MemberState::Gone { .. } => return Outcome::Rejected(Rejection::LifeEnded),
            MemberState::Active | MemberState::Draining => return Outcome::AlreadyDone,
            MemberState::Joining => member.state = MemberState::Active,
        }
        events.push(Event::Activated(life));
        self.choose_voters(Some(life.member), events);
        self.raise_version();
        Outcome::Done
    }

    /// The version rises as soon as every member follows a later one. One that is gone and still counted as a voter is
    /// waited for, because it would not be let in any more.
    fn raise_version(&mut self) {
        let understood = self.members.values().map(|member| member.versions.max);
        let newest = if planted!(VersionRaisedEarly) { understood.max() } else { understood.min() };
        if planted!(VersionNeverRises) {
            return;
        }
        self.version = newest.unwrap_or_default().max(self.version);
    }

    fn end(&mut self, index: LogIndex, life: Life, expelled: Option<ExpelReason>, events: &mut Vec<Event>) -> Outcome {
        if self.alive(life).is_none() {
            return Outcome::Rejected(Rejection::LifeEnded);
        }
        sometimes!(expelled == Some(ExpelReason::Crashed), "a_life_ends_by_evidence_of_a_crash");
        sometimes!(expelled == Some(ExpelReason::Silent), "a_life_ends_by_silence");
        sometimes!(expelled == Some(ExpelReason::Stuck), "a_life_ends_because_it_does_not_apply");
        sometimes!(expelled == Some(ExpelReason::Replaced), "a_life_ends_by_the_next_one");
        sometimes!(expelled == Some(ExpelReason::Separated), "a_life_ends_by_a_cut_between_two");
        sometimes!(expelled.is_none(), "a_life_ends_by_itself");
        let routes = if planted!(ExpelKeepsRoutes) { Vec::new() } else { self.routes.remove_all(life.member) };
        sometimes!(routes.len() > 1, "a_life_ends_with_several_sessions");
        events.extend(routes.into_iter().map(|route| Event::RouteRemoved { route, reason: Removal::MemberEnded }));
        events.push(Event::Ended { life, expelled });
        let member = self.members.get_mut(&life.member).expect("a member that is alive is there");
        member.state = MemberState::Gone { at: index, expelled };
        self.choose_voters(None, events);
        self.raise_version();
        Outcome::Done
    }

    /// Whoever is forgotten leaves the quorum smaller by its vote, unless another member takes it over.
    fn forget(&mut self, life: Life, events: &mut Vec<Event>) -> Outcome {
        match self.members.get(&life.member).filter(|member| member.life() == life) {
            None => Outcome::AlreadyDone,
            Some(member) if member.is_alive() && planted!(RemovalLosesQuorum) => {
                self.voters.remove(&life.member);
                events.push(Event::VotersChanged);
                Outcome::Done
            }
            Some(member) if member.is_alive() => Outcome::Rejected(Rejection::LifeGoesOn),
            Some(_) => {
                sometimes!("a_member_is_forgotten");
                self.voters.remove(&life.member);
                events.push(Event::VotersChanged);
                self.choose_voters(None, events);
                self.raise_version();
                Outcome::Done
            }
        }
    }

    /// A member that serves is drained, or is not any more.
    fn turn(&mut self, life: Life, wanted: MemberState) -> Outcome {
        match self.members.get_mut(&life.member).filter(|member| member.life() == life) {
            Some(member) if member.state == wanted => Outcome::AlreadyDone,
            Some(member) if member.is_active() => {
                sometimes!(member.is_draining(), "a_drain_is_taken_back");
                member.state = wanted;
                Outcome::Done
            }
            Some(member) if member.is_alive() => Outcome::Rejected(Rejection::NotActive),
            Some(_) | None => Outcome::Rejected(Rejection::LifeEnded),
        }
    }

    /// Decides anew who votes, and forgets who is neither alive nor counted.
    fn choose_voters(&mut self, activated: Option<MemberId>, events: &mut Vec<Event>) {
        let chosen = voters::choose(&self.voters, &self.members, activated);
        if chosen != self.voters {
            sometimes!(chosen.len() == self.voters.len(), "a_dead_voter_is_replaced");
            sometimes!(chosen.len() > self.voters.len(), "a_learner_becomes_a_voter");
            self.voters = chosen;
            events.push(Event::VotersChanged);
        }
        let voters = &self.voters;
        self.members.retain(|id, member| member.is_alive() || voters.contains(id));
    }

    fn batch(&mut self, index: LogIndex, batch: &Batch, events: &mut Vec<Event>) -> Outcome {
        let is_meant = |member: &&mut Member| member.life() == batch.life || planted!(EndedLifeAccepted);
        let Some(member) = self.members.get_mut(&batch.life.member).filter(is_meant) else {
            sometimes!("a_batch_of_an_ended_life");
            return Outcome::Rejected(Rejection::LifeEnded);
        };
        match member.state {
            MemberState::Gone { .. } if planted!(EndedLifeAccepted) => {}
            MemberState::Gone { .. } => return Outcome::Rejected(Rejection::LifeEnded),
            MemberState::Joining => return Outcome::Rejected(Rejection::NotActive),
            MemberState::Active | MemberState::Draining => {}
        }
        if batch.sequence <= member.last_batch && !planted!(BatchAppliedTwice) {
            sometimes!("a_batch_is_committed_twice");
            return Outcome::AlreadyDone;
        }
        member.last_batch = batch.sequence;
        let outcomes = batch.operations.iter().zip(0..).map(|(operation, position)| match operation {
            Operation::Bind { jid, session, conflict: ConflictPolicy::Replace } => {
                self.bind(RouteId { index, position }, batch.life, jid, *session, events)
            }
            Operation::Unbind { route } => self.unbind(batch.life.member, *route, events),
            Operation::Announce { route, presence } => self.announce(batch.life.member, *route, *presence, events),
        });
        Outcome::Operations(outcomes.collect())
    }

    /// A JID that is held passes to the later session (RFC 6120 section 7.7.2.2).
    fn bind(
        &mut self,
        id: RouteId,
        life: Life,
        jid: &FullJid,
        session: SessionId,
        events: &mut Vec<Event>,
    ) -> OperationOutcome {
        let is_full = |routes: &AccountRoutes| routes.len() >= SESSIONS_PER_ACCOUNT_MAX;
        let holder = self.routes.holder(jid);
        if holder.is_none() && self.routes.of(&jid.to_bare()).is_some_and(is_full) {
            return OperationOutcome::TooManySessions;
        }
        if let Some(old) = holder {
            sometimes!(old.member != life.member, "a_jid_moves_to_another_node");
            sometimes!(old.member == life.member, "a_jid_moves_within_a_node");
            if planted!(ExpelByJid) {
                self.routes.leave_behind(&old);
            } else {
                self.routes.remove(old.member, old.id);
            }
            events.push(Event::RouteRemoved { route: old, reason: Removal::Replaced { by: id } });
        }
        let route = Arc::new(Route {
            id,
            jid: jid.clone(),
            member: life.member,
            incarnation: life.incarnation,
            session,
            presence: RoutePresence::default(),
        });
        self.routes.insert(route.clone());
        events.push(Event::RouteAdded(route));
        OperationOutcome::Bound(id)
    }

    fn unbind(&mut self, member: MemberId, id: RouteId, events: &mut Vec<Event>) -> OperationOutcome {
        match self.routes.remove(member, id) {
            Some(route) => {
                events.push(Event::RouteRemoved { route, reason: Removal::Unbound });
                OperationOutcome::Done
            }
            None => {
                sometimes!("an_unbind_of_what_is_not_held_any_more");
                OperationOutcome::NotHeld
            }
        }
    }

    fn announce(
        &mut self,
        member: MemberId,
        id: RouteId,
        presence: RoutePresence,
        events: &mut Vec<Event>,
    ) -> OperationOutcome {
        match self.routes.announce(member, id, presence) {
            Some(route) => {
                events.push(Event::RouteChanged(route));
                OperationOutcome::Done
            }
            None => OperationOutcome::NotHeld,
        }
    }
}
