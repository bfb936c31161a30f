#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::fencing::Times;
use crate::ids::{BootId, LogIndex, MemberId, Sequence, SessionId};
use crate::jid::FullJid;
use crate::limits::SESSIONS_PER_ACCOUNT_MAX;
use crate::resilience::Resilience;

/// Two lives would serve one JID if a bind that was in flight when its life ended could still take effect.
#[test]
fn a_late_bind_of_an_expelled_life_is_rejected() {
    let mut cluster = Cluster::of(&["a", "b"]);
    let late = cluster.batch(1, vec![bind("romeo@example.org/garden", 1)]);
    cluster.expel(1);

    let applied = cluster.apply(&late);

    assert_eq!(applied.outcome, Outcome::Rejected(Rejection::LifeEnded));
    assert!(cluster.state.holder(&jid("romeo@example.org/garden")).is_none());
}

/// The shell retries a proposal whose fate it does not know, so any entry may be there twice.
#[test]
fn a_bind_committed_twice_is_one_route() {
    let mut cluster = Cluster::of(&["a"]);
    let batch = cluster.batch(1, vec![bind("romeo@example.org/garden", 1)]);

    let first = cluster.apply(&batch);
    let second = cluster.apply(&batch);

    assert!(matches!(first.outcome, Outcome::Operations(_)));
    assert_eq!((second.outcome, second.events), (Outcome::AlreadyDone, vec![]));
    assert_eq!(cluster.state.sessions(), 1);
}

/// A voter that is gone for good takes a part of the quorum with it until it is forgotten.
#[test]
fn a_member_that_is_gone_is_forgotten_with_its_vote_and_one_that_lives_is_not() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    let life = cluster.state.member(MemberId(3)).unwrap().life();
    let forget = Command::Forget(life);
    assert_eq!(cluster.apply(&forget).outcome, Outcome::Rejected(Rejection::LifeGoesOn));
    cluster.expel(3);
    assert!(cluster.state.voters().contains(&MemberId(3)));

    let applied = cluster.apply(&forget);

    assert_eq!((applied.outcome, applied.events), (Outcome::Done, vec![Event::VotersChanged]));
    assert_eq!(cluster.state.voters(), &BTreeSet::from([MemberId(1), MemberId(2)]));
    assert!(cluster.state.member(MemberId(3)).is_none());
    assert_eq!(cluster.apply(&forget).outcome, Outcome::AlreadyDone);
}

/// A drained member holds sessions, and is waited for, as long as it has any.
#[test]
fn a_member_that_is_drained_serves_until_its_life_ends() {
    let mut cluster = Cluster::of(&["a", "b"]);
    let life = cluster.state.member(MemberId(2)).unwrap().life();
    cluster.run(2, vec![bind("romeo@example.org/garden", 1)]);

    assert_eq!(cluster.apply(&Command::Drain(life)).outcome, Outcome::Done);
    assert_eq!(cluster.apply(&Command::Drain(life)).outcome, Outcome::AlreadyDone);
    let member = cluster.state.member(MemberId(2)).unwrap();
    assert!(member.is_draining() && member.is_active() && cluster.state.sessions_of(MemberId(2)) == 1);
    let digest = cluster.state.digest();
    let copy = ClusterState::decode_snapshot(&cluster.state.encode_snapshot(), STATE_VERSIONS).unwrap();
    assert_eq!((copy.digest(), copy.member(MemberId(2)).unwrap().is_draining()), (digest, true));

    assert_eq!(cluster.apply(&Command::Undrain(life)).outcome, Outcome::Done);
    assert!(!cluster.state.member(MemberId(2)).unwrap().is_draining());
    cluster.expel(2);
    assert_eq!(cluster.apply(&Command::Drain(life)).outcome, Outcome::Rejected(Rejection::LifeEnded));
}

#[test]
fn a_join_committed_twice_begins_one_life() {
    let mut cluster = Cluster::of(&["a"]);
    let join = join(2, "b", 7);

    cluster.apply(&join);
    let life = cluster.state.member(MemberId(2)).unwrap().life();

    assert_eq!(cluster.apply(&join).outcome, Outcome::AlreadyDone);
    assert_eq!(cluster.state.member(MemberId(2)).unwrap().life(), life);
}

/// The original's clean-up of a dead node removes routes by full JID whoever holds them by then, and so cuts off the
/// users who had already come back.
#[test]
fn the_end_of_a_life_leaves_alone_what_somebody_holds_since() {
    let mut cluster = Cluster::of(&["a", "b"]);
    cluster.run(1, vec![bind("romeo@example.org/garden", 1), bind("nurse@example.org/hall", 2)]);
    let taken = cluster.run(2, vec![bind("romeo@example.org/garden", 1)]);

    let removed = removals(&cluster.expel(1));

    let OperationOutcome::Bound(route) = taken[0] else { panic!("{taken:?}") };
    assert_eq!(cluster.state.holder(&jid("romeo@example.org/garden")).unwrap().id, route);
    assert_eq!(removed, vec![("nurse@example.org/hall".to_owned(), Removal::MemberEnded)]);
}

#[test]
fn a_bind_takes_the_jid_over() {
    let mut cluster = Cluster::of(&["a", "b"]);
    cluster.run(1, vec![bind("romeo@example.org/garden", 1)]);

    let batch = cluster.batch(2, vec![bind("romeo@example.org/garden", 6)]);
    let applied = cluster.apply(&batch);

    let by = cluster.state.holder(&jid("romeo@example.org/garden")).unwrap().id;
    assert_eq!(removals(&applied), vec![("romeo@example.org/garden".to_owned(), Removal::Replaced { by })]);
}

/// R4.6. Whoever owns the state has to answer others while a million routes are written, read and compared.
#[test]
fn a_snapshot_in_small_steps_is_the_same_as_in_one() {
    let state = with_routes(100);
    let mut frozen = state.freeze(None, 0);
    let mut steps = 0;
    while !frozen.is_complete() {
        frozen = state.freeze(Some(frozen), 7);
        steps += 1;
    }
    let mut writer = SnapshotWriter::new(frozen);
    let bytes = std::iter::from_fn(|| Some(writer.step(7))).find_map(|written| written).unwrap();
    let mut reader = SnapshotReader::new(&bytes, STATE_VERSIONS).unwrap();
    let read = std::iter::from_fn(|| Some(reader.step(7).unwrap())).find_map(|read| read).unwrap();

    assert_eq!(steps, 100_usize.div_ceil(7));
    assert_eq!(bytes, state.encode_snapshot());
    assert_eq!((read.digest(), read.applied()), (state.digest(), state.applied()));
}

/// R4.6. A state that has moved on meanwhile would be frozen as none ever was.
#[test]
fn a_state_that_changes_while_it_is_frozen_is_frozen_anew() {
    let mut cluster = Cluster::of(&["a"]);
    cluster.run(1, (0..10).map(|number| bind(&format!("romeo@example.org/{number}"), number)).collect());
    let half = cluster.state.freeze(None, 5);
    cluster.run(1, vec![bind("juliet@example.org/balcony", 11)]);

    let frozen = cluster.state.freeze(Some(half), usize::MAX);

    assert_eq!(SnapshotWriter::new(frozen).step(usize::MAX), Some(cluster.state.encode_snapshot()));
}

/// R4.6. Step by step or at once, what is told leads from the one state to the other.
#[test]
fn the_change_between_two_states_is_told_in_bounded_steps() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    let routes = cluster.run(1, (0..20).map(|number| bind(&format!("romeo@example.org/{number}"), number)).collect());
    cluster.run(2, (0..20).map(|number| bind(&format!("juliet@example.org/{number}"), number)).collect());
    let mut present = cluster.state.clone();
    let OperationOutcome::Bound(first) = routes[0] else { panic!("{routes:?}") };
    let presence = RoutePresence { priority: Some(1), interested: true };
    cluster.run(1, vec![Operation::Announce { route: first, presence }, bind("romeo@example.org/1", 30)]);
    cluster.expel(2);
    cluster.run(3, (0..20).map(|number| bind(&format!("nurse@example.org/{number}"), number)).collect());

    let whole = Installation::untold(cluster.state.clone()).install(&mut present.clone()).1;
    let mut change = Change::new(present.freeze(None, usize::MAX), cluster.state.clone());
    let mut told = Vec::new();
    while let Some(events) = change.step(3) {
        assert!(events.len() <= 3, "{events:?}");
        told.extend(events);
    }
    let of_routes = told.len();
    told.extend(change.into_installation().install(&mut present).1);

    assert_eq!(told, whole);
    assert_eq!(of_routes, 20 + 1 + 1 + 1 + 20, "juliet's are gone, romeo/1 is another one, romeo/0 has changed");
    assert!(told[of_routes..].iter().all(|event| !matches!(event, Event::RouteAdded(_) | Event::RouteRemoved { .. })));
    assert_eq!(present.digest(), cluster.state.digest());
}

/// R4.6. If the state is not the one from which the routes were told, all of it is told.
#[test]
fn an_installation_in_another_state_than_was_told_of_tells_everything() {
    let state = with_routes(10);
    let mut change = Change::new(ClusterState::new().freeze(None, usize::MAX), state.clone());
    while change.step(3).is_some() {}
    let mut cluster = Cluster::of(&["a"]);

    let (_, events) = change.into_installation().install(&mut cluster.state);

    assert_eq!(events.iter().filter(|event| matches!(event, Event::RouteAdded(_))).count(), 10);
}

/// R4.6. To drop a million routes takes a while as well.
#[test]
fn a_state_lets_go_of_its_routes_in_steps() {
    let mut state = with_routes(20);

    let mut steps = 1;
    while state.shed(7) {
        steps += 1;
    }

    assert_eq!((state.routes().count(), steps), (0, 3));
}

#[test]
fn a_member_cannot_release_the_route_of_another() {
    let mut cluster = Cluster::of(&["a", "b"]);
    let bound = cluster.run(1, vec![bind("romeo@example.org/garden", 1)]);
    let OperationOutcome::Bound(route) = bound[0] else { panic!("{bound:?}") };

    assert_eq!(cluster.run(2, vec![Operation::Unbind { route }]), vec![OperationOutcome::NotHeld]);
    assert_eq!(cluster.run(1, vec![Operation::Unbind { route }]), vec![OperationOutcome::Done]);
    assert_eq!(cluster.state.sessions(), 0);
}

#[test]
fn an_account_has_a_bounded_number_of_sessions_in_the_whole_cluster() {
    let mut cluster = Cluster::of(&["a", "b"]);
    for n in 0..SESSIONS_PER_ACCOUNT_MAX {
        cluster.run(1 + n as u64 % 2, vec![bind(&format!("romeo@example.org/{n}"), n as u64)]);
    }

    let one_more = cluster.run(1, vec![bind("romeo@example.org/more", 99)]);
    let again = cluster.run(1, vec![bind("romeo@example.org/0", 100)]);

    assert_eq!(one_more, vec![OperationOutcome::TooManySessions]);
    assert!(matches!(again[0], OperationOutcome::Bound(_)));
}

#[test]
fn a_member_that_has_only_joined_binds_nobody() {
    let mut cluster = Cluster::of(&["a"]);
    cluster.apply(&join(2, "b", 1));

    let batch = cluster.batch(2, vec![bind("romeo@example.org/garden", 1)]);

    assert_eq!(cluster.apply(&batch).outcome, Outcome::Rejected(Rejection::NotActive));
}

#[test]
fn votes_are_odd_and_at_most_five() {
    let mut cluster = Cluster::of(&["a"]);
    let mut counts = vec![cluster.state.voters().len()];
    for n in 2..=8 {
        cluster.start(n, &format!("node{n}"), n);
        counts.push(cluster.state.voters().len());
    }

    assert_eq!(counts, vec![1, 2, 3, 3, 5, 5, 5, 5]);
}

/// A disk that was lost took the member's vote with it; the machine comes back as another member.
#[test]
fn a_member_of_the_same_name_inherits_the_vote_of_the_dead_one() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    cluster.expel(2);
    assert_eq!(cluster.can_lose(), Some(0));

    cluster.start(9, "b", 9);

    assert_eq!(*cluster.state.voters(), BTreeSet::from([MemberId(1), MemberId(3), MemberId(9)]));
    assert_eq!(cluster.can_lose(), Some(1));
}

#[test]
fn the_oldest_life_that_serves_is_the_senior() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    assert_eq!(cluster.state.senior(), Some(MemberId(1)));

    let events = cluster.expel(1).events;
    assert!(events.contains(&Event::SeniorChanged(Some(MemberId(2)))));
    cluster.start(1, "a", 77);

    assert_eq!(cluster.state.senior(), Some(MemberId(2)));
}

/// T22. A witness that joined first.
#[test]
fn a_witness_is_the_senior_only_if_nobody_else_is_left() {
    let mut cluster = Cluster::of(&[]);
    let Command::Join(witness) = join(9, "w", 1) else { panic!("another command") };
    cluster.apply(&Command::Join(Join { role: Role::Witness, ..witness }));
    let life = cluster.life(9);
    cluster.apply(&Command::Activate(life));
    assert_eq!(cluster.state.senior(), Some(MemberId(9)));

    cluster.start(1, "a", 1);
    assert_eq!(cluster.state.senior(), Some(MemberId(1)));

    let events = cluster.expel(1).events;
    assert!(events.contains(&Event::SeniorChanged(Some(MemberId(9)))));
}

/// G11.
#[test]
fn a_program_of_another_version_cannot_join() {
    let mut cluster = Cluster::of(&["a"]);

    for (min, max) in [(2, 4), (0, 0)] {
        let joined = cluster.apply(&join_with(2, "b", 1, VersionRange { min, max }));
        assert_eq!(joined.outcome, Outcome::Rejected(Rejection::WrongVersion));
    }
    let both = cluster.apply(&join_with(2, "b", 1, VersionRange { min: 1, max: 2 }));
    assert_eq!(both.outcome, Outcome::Done);
}

/// A rolling upgrade: what the last old member does not understand is not begun before it is gone for good.
#[test]
fn the_version_rises_when_the_last_member_follows_and_never_falls() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    let later = VersionRange { min: 1, max: 3 };
    for (member, name) in [(1, "a"), (2, "b")] {
        cluster.restart(member, name, 10 + member, later);
        assert_eq!(cluster.state.version(), 1, "{name} follows, and c does not");
    }

    cluster.expel(3);
    assert_eq!(cluster.state.version(), 1, "c is away and still counted");
    cluster.restart(3, "c", 33, VersionRange { min: 1, max: 2 });
    assert_eq!(cluster.state.version(), 2);
    cluster.restart(3, "c", 34, later);
    assert_eq!(cluster.state.version(), 3);

    let back = cluster.apply(&join_with(3, "c", 35, VersionRange { min: 1, max: 2 }));
    assert_eq!(back.outcome, Outcome::Rejected(Rejection::WrongVersion));
    assert_eq!(cluster.state.version(), 3);
}

/// The entry that takes the last old member out of the count raises the version.
#[test]
fn an_old_member_that_is_forgotten_is_not_waited_for() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    for (member, name) in [(1, "a"), (2, "b")] {
        cluster.restart(member, name, 10 + member, VersionRange { min: 1, max: 2 });
    }
    let old = cluster.state.member(MemberId(3)).map(Member::life).expect("it is there");
    cluster.expel(3);

    cluster.apply(&Command::Forget(old));

    assert_eq!(cluster.state.version(), 2);
}

/// H10.
#[test]
fn a_snapshot_of_a_later_version_is_refused_and_told() {
    let mut cluster = Cluster::of(&["a"]);
    cluster.restart(1, "a", 11, VersionRange { min: 1, max: 4 });

    let refused =
        ClusterState::decode_snapshot(&cluster.state.encode_snapshot(), STATE_VERSIONS).expect_err("it is newer");

    assert_eq!(refused, SnapshotError::Version { found: 4, understood: STATE_VERSIONS });
    assert_eq!(refused.to_string(), "a snapshot of version 4; this program reads versions 1 to 3");
}

#[test]
fn a_snapshot_brings_the_same_state_back() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    cluster.run(1, vec![bind("romeo@example.org/garden", 1), bind("romeo@example.org/street", 2)]);
    let bound = cluster.run(2, vec![bind("juliet@example.org/balcony", 1)]);
    let OperationOutcome::Bound(route) = bound[0] else { panic!("{bound:?}") };
    let presence = RoutePresence { priority: Some(-3), interested: true };
    cluster.run(2, vec![Operation::Announce { route, presence }]);

    let mut copy = ClusterState::decode_snapshot(&cluster.state.encode_snapshot(), STATE_VERSIONS).unwrap();

    assert_eq!(copy.digest(), cluster.state.digest());
    assert_eq!(copy.encode_snapshot(), cluster.state.encode_snapshot());
    let batch = cluster.batch(1, vec![bind("romeo@example.org/garden", 3)]);
    let applied = cluster.apply(&batch);
    assert_eq!(copy.apply(cluster.state.applied(), &batch), applied);
    assert_eq!(copy.digest(), cluster.state.digest());
}

/// T10. A member that joins by a snapshot in the middle of a change follows both.
#[test]
fn the_times_are_changed_in_two_steps_and_a_snapshot_knows_in_which_they_are() {
    let mut cluster = Cluster::of(&["a"]);
    let first = usual();
    let longer = Times { lease: Duration::from_secs(12), expel_after: Duration::from_secs(15), ..first };
    let early = cluster.apply(&change(LogIndex(0), first));
    assert_eq!(early.outcome, Outcome::Rejected(Rejection::TooEarly));
    cluster.restart(1, "a", 11, STATE_VERSIONS);

    for (number, times) in [first, longer].into_iter().enumerate() {
        let digest = cluster.state.digest();
        let after = cluster.state.times().since();
        assert_eq!(cluster.apply(&change(after, times)).outcome, Outcome::Done);
        assert_ne!(cluster.state.digest(), digest);
        let since = cluster.state.applied();
        let copy = ClusterState::decode_snapshot(&cluster.state.encode_snapshot(), STATE_VERSIONS).unwrap();
        assert_eq!((copy.times(), copy.digest()), (cluster.state.times(), cluster.state.digest()));
        assert_eq!(copy.times().followed(first), Times { expel_after: times.expel_after, ..first });
        if number == 1 {
            let other = cluster.apply(&change(after, first));
            assert_eq!(other.outcome, Outcome::Rejected(Rejection::TimesAreChanging));
        }

        let stale = Command::TimesInForce { since: LogIndex(since.0 - 1) };
        assert_eq!(cluster.apply(&stale).outcome, Outcome::AlreadyDone);
        assert_eq!(cluster.state.times().wanted(), Some(times));
        assert!(cluster.state.times().change().is_some());
        assert_eq!(cluster.apply(&Command::TimesInForce { since }).outcome, Outcome::Done);
        assert_eq!(cluster.state.times().in_force(), Some(times));
    }
    let after = cluster.state.times().since();
    let unsafe_times = change(after, Times { lease: longer.expel_after, ..longer });
    assert_eq!(cluster.apply(&unsafe_times).outcome, Outcome::Rejected(Rejection::UnsafeTimes));
    let late = cluster.apply(&change(LogIndex(after.0 - 1), first));
    assert_eq!(late.outcome, Outcome::Rejected(Rejection::TimesHaveChanged));
}

/// T10. Its digest and its checksum are right, and no entry can have set these.
#[test]
fn a_snapshot_with_times_that_nobody_may_follow_is_refused() {
    let endless = Times { lease: Duration::MAX, expel_after: Duration::MAX, ..usual() };
    let mut cluster = Cluster::of(&["a"]);
    cluster.restart(1, "a", 11, STATE_VERSIONS);
    cluster.state.times = AgreedTimes::of(endless);

    let refused = ClusterState::decode_snapshot(&cluster.state.encode_snapshot(), STATE_VERSIONS).unwrap_err();

    assert!(matches!(refused, SnapshotError::UnsafeTimes { .. }), "{refused}");
    assert!(refused.to_string().contains("lease: expected from 1 to 86400000 ms"), "{refused}");
}

/// T10. A program that knew of no agreed times has written it, or one that waits for the last such program.
#[test]
fn a_snapshot_of_the_version_before_has_no_times() {
    let cluster = Cluster::of(&["a"]);

    let copy = ClusterState::decode_snapshot(&cluster.state.encode_snapshot(), STATE_VERSIONS).unwrap();

    assert_eq!((copy.version(), *copy.times()), (1, AgreedTimes::default()));
}

#[test]
fn a_snapshot_with_any_bit_flipped_is_refused() {
    let mut cluster = Cluster::of(&["a", "b"]);
    for (member, name) in [(1, "a"), (2, "b")] {
        cluster.restart(member, name, 10 + member, STATE_VERSIONS);
    }
    cluster.run(1, vec![bind("romeo@example.org/garden", 1)]);
    cluster.apply(&change(LogIndex(0), usual()));
    let whole = cluster.state.encode_snapshot();

    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(ClusterState::decode_snapshot(&damaged, STATE_VERSIONS).is_err(), "bit {bit}");
    }
    for length in 0..whole.len() {
        assert!(ClusterState::decode_snapshot(&whole[..length], STATE_VERSIONS).is_err(), "cut to {length}");
    }
}

/// The digest is kept up with each change; it must be what a fresh count over the whole table gives.
#[test]
fn the_digest_follows_every_change() {
    let mut cluster = Cluster::of(&["a", "b"]);
    let before = cluster.state.digest();
    let bound = cluster.run(1, vec![bind("romeo@example.org/garden", 1)]);
    let OperationOutcome::Bound(route) = bound[0] else { panic!("{bound:?}") };
    assert_ne!(cluster.state.digest(), before);
    cluster
        .run(1, vec![Operation::Announce { route, presence: RoutePresence { priority: Some(1), interested: false } }]);
    cluster.run(1, vec![Operation::Unbind { route }]);

    let copy = ClusterState::decode_snapshot(&cluster.state.encode_snapshot(), STATE_VERSIONS).unwrap();
    assert_eq!(copy.routes.digest(), cluster.state.routes.digest());
    assert_eq!(cluster.state.routes.digest(), 0);
}

// ---------------------------------------------------------------------------------------------------------------------

fn usual() -> Times {
    let [heartbeat, lease, expel_after] = [250, 3000, 4000].map(Duration::from_millis);
    Times { heartbeat, lease, drift_percent: 5, expel_after }
}

fn change(after: LogIndex, to: Times) -> Command {
    Command::ChangeTimes { after, to }
}

struct Cluster {
    state: ClusterState,
}

impl Cluster {
    /// Members 1, 2, … of these names, all active.
    fn of(names: &[&str]) -> Cluster {
        let mut cluster = Cluster { state: ClusterState::new() };
        for (name, id) in names.iter().zip(1..) {
            cluster.start(id, name, id);
        }
        cluster
    }

    fn start(&mut self, member: u64, name: &str, boot: u64) {
        self.apply(&join(member, name, boot));
        let life = self.life(member);
        self.apply(&Command::Activate(life));
    }

    fn restart(&mut self, member: u64, name: &str, boot: u64, versions: VersionRange) {
        self.apply(&join_with(member, name, boot, versions));
        let life = self.life(member);
        self.apply(&Command::Activate(life));
    }

    fn life(&self, member: u64) -> Life {
        self.state.member(MemberId(member)).unwrap().life()
    }

    fn can_lose(&self) -> Option<u32> {
        let voters = self.state.voters();
        let alive = self.state.members().filter(|member| member.is_alive() && voters.contains(&member.id));
        Resilience { voters: voters.len() as u32, present: alive.count() as u32 }.can_lose()
    }

    fn apply(&mut self, command: &Command) -> Applied {
        self.state.apply(LogIndex(self.state.applied().0 + 1), command)
    }

    fn expel(&mut self, member: u64) -> Applied {
        let life = self.life(member);
        self.apply(&Command::Expel { life, reason: ExpelReason::Silent })
    }

    fn batch(&self, member: u64, operations: Vec<Operation>) -> Command {
        let last = self.state.member(MemberId(member)).unwrap().last_batch;
        Command::Batch(Batch { life: self.life(member), sequence: Sequence(last.0 + 1), operations })
    }

    fn run(&mut self, member: u64, operations: Vec<Operation>) -> Vec<OperationOutcome> {
        let batch = self.batch(member, operations);
        match self.apply(&batch).outcome {
            Outcome::Operations(outcomes) => outcomes,
            Outcome::Done | Outcome::AlreadyDone | Outcome::Rejected(_) => {
                panic!("a batch of a live member has effect")
            }
        }
    }
}

fn join(member: u64, name: &str, boot: u64) -> Command {
    join_with(member, name, boot, VersionRange { min: 1, max: 1 })
}

fn join_with(member: u64, name: &str, boot: u64, versions: VersionRange) -> Command {
    Command::Join(Join {
        member: MemberId(member),
        boot: BootId(boot),
        name: name.to_owned(),
        peer_address: "127.0.0.1:5701".parse().unwrap(),
        client_addresses: vec!["127.0.0.1:5222".parse().unwrap()],
        role: Role::Server,
        versions,
    })
}

fn jid(text: &str) -> FullJid {
    FullJid::new(text).unwrap()
}

/// A member with so many sessions.
fn with_routes(routes: u64) -> ClusterState {
    let mut cluster = Cluster::of(&["a"]);
    cluster.run(1, (0..routes).map(|number| bind(&format!("user{number}@example.org/x"), number)).collect());
    cluster.state
}

fn bind(text: &str, session: u64) -> Operation {
    Operation::Bind { jid: jid(text), session: SessionId(session), conflict: ConflictPolicy::Replace }
}

fn removals(applied: &Applied) -> Vec<(String, Removal)> {
    let removed = applied.events.iter().filter_map(|event| match event {
        Event::RouteRemoved { route, reason } => Some((route.jid.to_string(), *reason)),
        Event::Joined(_)
        | Event::Activated(_)
        | Event::Ended { .. }
        | Event::VotersChanged
        | Event::SeniorChanged(_)
        | Event::RouteAdded(_)
        | Event::RouteChanged(_) => None,
    });
    removed.collect()
}
