//! What the leader does besides: it grants leases, ends the lives of the silent and the crashed, and makes Raft's
//! membership follow the agreed state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cluster::{ClusterState, Command, ExpelReason, Member};
use crate::fencing::Times;
use crate::ids::{Life, LogIndex, MemberId, Sequence, Term};
use crate::liveness::{Evidence, FormerLeaders, Patience, Quorum, Separation, Silence, VoterSets, has_quorum};
use crate::node::message::BeatAnswer;
use crate::node::{ClusterOrder, Output, PROPOSE_AGAIN_AFTER, Peer, RaftStatus};
use crate::time::Uptime;
use crate::{planted, sometimes};

/// Heartbeats for which a member may be behind without applying anything before it counts as silent.
const STUCK_AFTER_HEARTBEATS: u32 = 4;

/// Heartbeats of another member that may be missing before it counts as unheard by a member that is no leader.
pub(super) const UNHEARD_AFTER_HEARTBEATS: u32 = 4;

/// Heartbeats within which a member is heard again if nothing is between it and the leader.
const STEADY_WITHIN_HEARTBEATS: u32 = 2;

/// How long a change of Raft's membership may be without effect before it is ordered again: the order before it may have
/// been under way still.
const CHANGE_AGAIN_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Leading {
    term: Term,
    times: Times,
    /// The change of the times that was last begun or ended by a proposal of this leader, and when that was proposed.
    pub(super) times_proposed: Option<(LogIndex, Uptime)>,
    /// Where the log ended when this member began to lead. An expulsion that an earlier leader proposed may be in it, so
    /// nobody is granted anything before all of that is applied. Others may follow times that are agreed on in it, so nobody
    /// is expelled for silence before.
    grants_from: LogIndex,
    led_since: Uptime,
    former: FormerLeaders,
    quorum: Quorum,
    asks: BTreeMap<Life, Ask>,
    progress: BTreeMap<Life, (LogIndex, Uptime)>,
    /// Heard of, but not keeping up.
    stuck: BTreeSet<Life>,
    separation: Separation,
    steady: BTreeMap<MemberId, Steady>,
    expelling: BTreeMap<Life, Uptime>,
    /// Voters whose life is over, and since when this leader has known it.
    gone: BTreeMap<Life, Uptime>,
    /// The last voter that was to be forgotten, and when that was proposed.
    forgetting: Option<(Life, Uptime)>,
    /// The last change of Raft's membership that was ordered, and when.
    membership: Option<(Voting, Uptime)>,
}

/// Since when a member was heard without a gap, and when last.
#[derive(Clone, Copy, Debug)]
struct Steady {
    since: Uptime,
    last: Uptime,
}

/// What the leader judges by.
#[derive(Clone, Copy)]
pub(super) struct Sees<'a> {
    pub(super) state: &'a ClusterState,
    pub(super) raft: &'a RaftStatus,
    pub(super) evidence: &'a Evidence,
    pub(super) silence: &'a Silence,
    pub(super) me: MemberId,
    /// How long a voter may be gone while another member waits for its vote; for ever if absent.
    pub(super) replace_after: Option<Duration>,
}

/// Who votes, and who follows without a vote.
type Voting = (BTreeSet<MemberId>, BTreeSet<MemberId>);

/// The latest ask of a life that is not granted yet, and the one before it: a round in flight confirms the earlier one.
#[derive(Clone, Copy, Debug, Default)]
struct Ask {
    latest: Option<(Sequence, Uptime)>,
    earlier: Option<(Sequence, Uptime)>,
}

impl Leading {
    /// Begins to lead a term with a log that ends there.
    pub(super) fn new(now: Uptime, term: Term, log_end: LogIndex, times: Times) -> Self {
        Leading {
            term,
            grants_from: log_end,
            led_since: now,
            former: FormerLeaders::new(now, times.drift_percent),
            times,
            times_proposed: None,
            quorum: Quorum::new(),
            asks: BTreeMap::new(),
            progress: BTreeMap::new(),
            stuck: BTreeSet::new(),
            separation: Separation::new(),
            steady: BTreeMap::new(),
            expelling: BTreeMap::new(),
            gone: BTreeMap::new(),
            forgetting: None,
            membership: None,
        }
    }

    /// Judges by these times from here on.
    pub(super) fn follow(&mut self, times: Times) {
        self.times = times;
        self.former.follow(times.drift_percent);
    }

    /// A life is over.
    pub(super) fn forget(&mut self, life: Life) {
        self.asks.remove(&life);
        self.progress.remove(&life);
        self.stuck.remove(&life);
        self.separation.forget(life.member);
        self.steady.remove(&life.member);
        self.expelling.remove(&life);
    }

    /// Whether leases may be granted by a leader that has applied everything up to there.
    pub(super) fn may_grant(&self, applied: LogIndex) -> bool {
        sometimes!(applied < self.grants_from, "a_new_leader_has_not_applied_what_was_before_it");
        applied >= self.grants_from || planted!(LeaseForTheExpelled)
    }

    /// A round of this leader's own beats begins.
    pub(super) fn round(&mut self, now: Uptime, round: Sequence) {
        self.quorum.round(now, round);
    }

    /// A life asks for a lease: whether that counts as a sign of life. `applied` is what it and this leader have applied,
    /// given if the life is to keep up.
    pub(super) fn asked(
        &mut self,
        now: Uptime,
        life: Life,
        ask: Sequence,
        applied: Option<(LogIndex, LogIndex)>,
    ) -> bool {
        if self.expelling.contains_key(&life) && !planted!(LeaseForTheExpelled) {
            sometimes!("who_is_being_expelled_asks_for_a_lease");
            return false;
        }
        if applied.is_some_and(|(applied, newest)| self.is_stuck(now, life, applied, newest)) {
            sometimes!("a_member_beats_and_does_not_apply");
            self.stuck.insert(life);
            return false;
        }
        self.stuck.remove(&life);
        if self.separation.is_apart(life.member) {
            sometimes!("who_is_set_apart_asks_for_a_lease");
            return false;
        }
        let asks = self.asks.entry(life).or_default();
        asks.earlier = asks.earlier.or(asks.latest);
        asks.latest = Some((ask, now));
        true
    }

    /// A member beats, and says whom it does not hear. What is said of one that this leader hears no better says nothing
    /// of a cut between two, nor does what is said in the moment in which a cut ends.
    pub(super) fn reported(&mut self, now: Uptime, by: Peer, unheard: BTreeSet<MemberId>, sees: &Sees<'_>) {
        let heartbeat = self.times.heartbeat;
        let is_new = self.beating(now, by.member).is_none();
        let steady = self.steady.entry(by.member).or_insert(Steady { since: now, last: now });
        if is_new {
            steady.since = now;
        }
        steady.last = now;
        let is_heard = |member: MemberId| {
            self.beating(now, member)
                .is_some_and(|steady| now.since(steady.since) >= heartbeat * UNHEARD_AFTER_HEARTBEATS)
        };
        let heard = sees.state.members().filter(|member| member.is_active());
        let heard = heard.filter(|member| member.id == sees.me || is_heard(member.id));
        let heard = heard.map(|member| (member.id, member.incarnation)).collect();
        self.separation.reported(by.member, unheard);
        self.separation.choose(sees.me, &heard);
    }

    /// Since when a member beats; absent if it does not.
    fn beating(&self, now: Uptime, member: MemberId) -> Option<&Steady> {
        let longest = self.times.heartbeat * STEADY_WITHIN_HEARTBEATS;
        self.steady.get(&member).filter(|steady| now.since(steady.last) <= longest)
    }

    fn is_stuck(&mut self, now: Uptime, life: Life, applied: LogIndex, newest: LogIndex) -> bool {
        let (last, since) = self.progress.entry(life).or_insert((applied, now));
        if applied > *last || applied >= newest {
            (*last, *since) = (applied, now);
        }
        now.since(*since) > self.times.heartbeat * STUCK_AFTER_HEARTBEATS
    }

    /// A member answered a round: the asks that are granted by it. An answer from another term proves nothing.
    pub(super) fn answered(
        &mut self,
        now: Uptime,
        voter: MemberId,
        answer: &BeatAnswer,
        sets: &VoterSets,
    ) -> Vec<(Life, Sequence)> {
        let BeatAnswer { round, voted, another_leader, .. } = *answer;
        if voted != self.term {
            sometimes!("an_answer_of_another_term_confirms_nothing");
            return Vec::new();
        }
        if let Some(ago) = another_leader {
            self.former.told(now, voter, ago, sets);
        }
        self.quorum.answered(voter, round, sets);
        let Some(confirmed) = self.quorum.confirmed() else { return Vec::new() };
        self.asks.iter_mut().filter_map(|(life, ask)| Some((*life, ask.granted_by(confirmed)?))).collect()
    }

    /// When the next silence will have lasted too long, or something is to be tried again.
    pub(super) fn timeout(&self, sees: &Sees<'_>) -> Option<Uptime> {
        let Sees { state, silence, me, .. } = *sees;
        let patience = self.patience();
        let may_judge = self.may_grant(state.applied());
        let others = state.members().filter(|member| member.is_alive() && member.id != me);
        let silences = others.filter_map(|member| {
            let life = member.life();
            let again = self.expelling.get(&life).map(|at| *at + PROPOSE_AGAIN_AFTER);
            again.or_else(|| may_judge.then(|| silence.deadline(life, patience)))
        });
        silences.chain(self.replacement(sees).map(|(_, due)| due)).min()
    }

    /// What is to be done at `now`.
    pub(super) fn duties(&mut self, now: Uptime, sees: &Sees<'_>) -> Vec<Output> {
        let mut orders = Vec::new();
        let expels = self.expels(now, sees);
        if !expels.is_empty() {
            orders.push(if planted!(StaleVerdict) {
                Output::Cluster(ClusterOrder::Propose(expels))
            } else {
                Output::Cluster(ClusterOrder::ProposeInTerm { term: self.term, commands: expels })
            });
        }
        orders.extend(self.replaces(now, sees).map(|command| Output::Cluster(ClusterOrder::Propose(vec![command]))));
        orders.extend(self.membership(now, sees));
        orders
    }

    /// A voter that has been gone for too long makes room for a member that waits, one at a time.
    fn replaces(&mut self, now: Uptime, sees: &Sees<'_>) -> Option<Command> {
        sees.replace_after?;
        let voters = sees.state.voters();
        let gone = sees.state.members().filter(|member| !member.is_alive() && voters.contains(&member.id));
        self.gone = gone.map(|member| (member.life(), self.gone.get(&member.life()).copied().unwrap_or(now))).collect();
        let (life, _) = self.replacement(sees).filter(|(_, due)| *due <= now)?;
        sometimes!("a_voter_that_does_not_come_back_makes_room");
        self.forgetting = Some((life, now));
        Some(Command::Forget(life))
    }

    /// Who is to make room next, and when.
    fn replacement(&self, sees: &Sees<'_>) -> Option<(Life, Uptime)> {
        let after = sees.replace_after?;
        let waits = |member: &Member| member.is_active() && !sees.state.voters().contains(&member.id);
        let (life, since) = self.gone.iter().min_by_key(|(_, since)| **since)?;
        let again = self.forgetting.filter(|(last, _)| last == life).map(|(_, at)| at + PROPOSE_AGAIN_AFTER);
        let due = (*since + after).max(again.unwrap_or(Uptime::ZERO));
        sees.state.members().any(waits).then_some((*life, due))
    }

    fn patience(&self) -> Patience {
        let forgotten = planted!(FormerLeaderForgotten);
        let granted_until = if forgotten { Uptime::ZERO } else { self.former.granted_until() };
        Patience { led_since: self.led_since, granted_until }
    }

    fn expels(&mut self, now: Uptime, sees: &Sees<'_>) -> Vec<Command> {
        let Sees { state, raft, evidence, silence, me, .. } = *sees;
        let patience = self.patience();
        let may_judge = self.may_grant(state.applied());
        let mut expels = Vec::new();
        for member in state.members().filter(|member| member.is_alive() && member.id != me) {
            let life = member.life();
            let is_dead = evidence.is_conclusive(member.id, member.boot, &raft.voter_sets);
            let reason = if is_dead {
                ExpelReason::Crashed
            } else if may_judge && silence.is_silent(now, life, patience) {
                self.kind_of_silence(life)
            } else if self.expelling.contains_key(&life) {
                // It is heard again. But nobody knows what becomes of an expulsion that was proposed, and it is granted
                // nothing until that is known: so it has to be.
                ExpelReason::Silent
            } else {
                continue;
            };
            if self.expelling.get(&life).is_some_and(|at| now < *at + PROPOSE_AGAIN_AFTER) {
                continue;
            }
            self.expelling.insert(life, now);
            expels.push(Command::Expel { life, reason });
        }
        expels
    }

    fn kind_of_silence(&self, life: Life) -> ExpelReason {
        if self.stuck.contains(&life) {
            ExpelReason::Stuck
        } else if self.separation.is_apart(life.member) {
            ExpelReason::Separated
        } else {
            ExpelReason::Silent
        }
    }

    /// One direction only: the state says who should vote, Raft follows. While Raft moves, nothing is ordered; once it
    /// has moved, the next step is ordered at once, because on the way from one voter to three there are two, of which
    /// neither may be lost. Raft stops on the way if the leader that ordered the change is gone: then it is ordered anew.
    /// A leader that has not applied what was before it would order what was wanted then: voters who are gone since, and
    /// without whom the change could never end. For the same reason a majority of those who are to vote has to be heard:
    /// whoever wanted them may have seen some who are lost by now.
    fn membership(&mut self, now: Uptime, sees: &Sees<'_>) -> Option<Output> {
        let Sees { state, raft, .. } = *sees;
        if state.applied() < self.grants_from {
            return None;
        }
        let present = raft.voter_sets.last()?;
        let is_moving = raft.voter_sets.len() > 1;
        sometimes!(is_moving, "raft_is_between_two_sets_of_voters");
        let voters = if state.voters().is_empty() { present } else { state.voters() };
        let is_learner = |member: &&Member| member.is_alive() && !voters.contains(&member.id);
        let learners = || state.members().filter(is_learner).map(|member| member.id);
        // Both are in the order of their ids. Nearly always this is so, and it is asked for each decision.
        if !is_moving && voters == present && learners().eq(raft.learners.iter().copied()) {
            return None;
        }
        if is_moving && self.membership.as_ref().is_some_and(|(_, at)| now < *at + PROPOSE_AGAIN_AFTER) {
            return None;
        }
        sometimes!(is_moving && self.membership.is_none(), "a_leader_ends_the_change_of_an_earlier_one");
        let is_heard = |id| id == sees.me || self.beating(now, id).is_some() || planted!(RemovalLosesQuorum);
        if voters != present && !has_quorum(&vec![voters.clone()], is_heard) {
            sometimes!("a_leader_does_not_hear_those_who_are_to_vote");
            return None;
        }
        let wanted: Voting = (voters.clone(), learners().collect());
        if self.membership.as_ref().is_some_and(|(last, at)| *last == wanted && now < *at + CHANGE_AGAIN_AFTER) {
            return None;
        }
        self.membership = Some((wanted.clone(), now));
        let (voters, learners) = wanted;
        Some(Output::Cluster(ClusterOrder::Membership { voters, learners }))
    }
}

impl Ask {
    fn granted_by(&mut self, confirmed: Uptime) -> Option<Sequence> {
        let granted = |ask: &Option<(Sequence, Uptime)>| ask.filter(|(_, heard)| *heard <= confirmed);
        if let Some((ask, _)) = granted(&self.latest) {
            *self = Ask::default();
            return Some(ask);
        }
        let (ask, _) = granted(&self.earlier)?;
        sometimes!("an_earlier_ask_is_granted");
        self.earlier = None;
        Some(ask)
    }
}
