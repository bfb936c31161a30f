#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod amiss;
mod orders;
mod times;
mod times_apart;
mod unready;
mod witness;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::cluster::{Batch, Command, ExpelReason, Join, MemberState};
use crate::ids::{Incarnation, Sequence, SessionId, Term};
use crate::jid::FullJid;
use crate::limits::BATCH_BURST;
use crate::liveness::VoterSets;

#[test]
fn three_nodes_join_and_serve() {
    let world = World::of(3);

    assert!(world.nodes.values().all(|node| node.service() == Service::Serve));
    assert_eq!(world.node(2).state().senior(), Some(MemberId(1)));
    assert_eq!(world.node(3).state().voters().len(), 3);
    assert_eq!(world.membership.0.len(), 3);
}

#[test]
fn a_bind_is_answered_once_every_active_member_has_applied_it() {
    let mut world = World::of(3);
    world.deaf_to_log.insert(3);

    world.bind(1, "romeo@example.org/garden");
    world.run(100);
    assert_eq!(world.answers(1), vec![]);

    world.deaf_to_log.clear();
    world.run(10);
    assert!(matches!(world.answers(1)[..], [Answer::Bound { .. }]));
    assert!(world.node(3).state().holder(&jid("romeo@example.org/garden")).is_some());
}

/// R4.12. A thousand sessions that ask at once cost one decision, and one entry of the log.
#[test]
fn what_comes_together_is_decided_once() {
    let mut world = World::of(3);
    let asked = (1..=1000).map(|number| {
        let jid = jid(&format!("romeo{number}@example.org/garden"));
        Input::Request(Request::Bind { session: SessionId(number), jid })
    });
    let (now, mut proposed) = (world.now, Vec::new());
    let leader = world.nodes.get_mut(&1).unwrap();

    leader.handle_all(now, asked);

    while let Some(output) = leader.poll_output() {
        let Output::Cluster(ClusterOrder::Propose(commands)) = output else { panic!("{output:?}") };
        proposed.extend(commands);
    }
    let [Command::Batch(batch)] = &proposed[..] else { panic!("{proposed:?}") };
    assert_eq!(batch.operations.len(), 1000);
}

/// A round of the log costs every member a write to its disk. Where little is asked nobody waits for others.
#[test]
fn what_is_asked_waits_for_company_when_much_is_asked() {
    let mut world = World::of(3);
    let now = world.now;
    let node = world.nodes.get_mut(&1).unwrap();
    let ask = |node: &mut Node, now, number: u64| {
        let jid = jid(&format!("romeo{number}@example.org/garden"));
        node.handle(now, Input::Request(Request::Bind { session: SessionId(number), jid }));
    };
    for number in 0..u64::from(BATCH_BURST) {
        ask(node, now, number);
        let batch = proposed(node).unwrap();
        let entry = Entry { index: node.state().applied().next(), command: Some(Arc::new(Command::Batch(batch))) };
        node.handle(now, Input::Committed(vec![entry]));
    }

    ask(node, now, 100);
    ask(node, now + BATCH_GAP / 2, 101);
    assert_eq!(proposed(node), None);
    assert_eq!((node.gathers_until(), node.poll_timeout()), (now + BATCH_GAP, Some(now + BATCH_GAP)));
    node.handle(now + BATCH_GAP, Input::Timeout);

    assert_eq!(proposed(node).unwrap().operations.len(), 2);
}

/// R4.12. Facts keep their order: what is asked before the end of a life is refused by its end, as is what is asked later.
#[test]
fn what_comes_together_with_the_end_of_the_life_is_refused() {
    let mut world = World::of(3);
    let ask = |number: u64| {
        Input::Request(Request::Bind {
            session: SessionId(number),
            jid: jid(&format!("romeo{number}@example.org/garden")),
        })
    };
    let (now, mut refused) = (world.now, Vec::new());
    let node = world.nodes.get_mut(&2).unwrap();

    node.handle_all(now, [ask(1), Input::Over, ask(2)]);

    while let Some(output) = node.poll_output() {
        if let Output::Answer { session, answer: Answer::Refused(BindRefusal::NotServing) } = output {
            refused.push(session);
        }
    }
    assert_eq!(refused, [SessionId(1), SessionId(2)]);
}

/// The member that does not apply must not hold everybody's binds up for ever.
#[test]
fn a_member_that_does_not_apply_is_expelled_and_the_bind_is_answered() {
    let mut world = World::of(3);
    world.deaf_to_log.insert(3);
    world.bind(1, "romeo@example.org/garden");

    world.run(6_000);

    assert!(matches!(world.answers(1)[..], [Answer::Bound { .. }]));
    assert!(matches!(
        world.node(1).state().member(MemberId(3)).unwrap().state,
        MemberState::Gone { expelled: Some(ExpelReason::Stuck | ExpelReason::Silent), .. }
    ));
}

/// Promise P1 rests on this: whoever is expelled for silence has stopped serving before.
#[test]
fn a_member_that_is_cut_off_stops_serving_before_it_is_expelled() {
    let mut world = World::of(3);
    world.cut_off.insert(3);
    let cut_at = world.now;

    let paused = world.run_until(10_000, |world| world.node(3).service() != Service::Serve);
    assert!(world.node(1).state().member(MemberId(3)).unwrap().is_active());
    let closed = world.run_until(10_000, |world| world.node(3).service() == Service::Close);
    let expelled = world.run_until(10_000, |world| !world.node(1).state().member(MemberId(3)).unwrap().is_alive());

    let timing = Timing::default();
    assert!(paused.since(cut_at) <= timing.lease);
    assert!(closed > paused);
    assert!(expelled.since(cut_at) > timing.lease);
    assert!(expelled.since(cut_at) <= Duration::from_secs(5), "promise P6: {expelled}");
}

/// Promise P6 holds for a leader as well: its successor was not there when the silence began, but its voters were.
#[test]
fn a_leader_that_falls_silent_is_expelled_as_soon_as_anybody() {
    let mut world = World::of(3);
    world.cut_off.insert(1);
    let cut_at = world.now;
    world.run(2_500);

    world.elect(2);
    let expelled = world.run_until(10_000, |world| !world.node(2).state().member(MemberId(1)).unwrap().is_alive());

    assert!(expelled.since(cut_at) > Timing::default().lease);
    assert!(expelled.since(cut_at) <= Duration::from_secs(5), "promise P6: {expelled}");
    assert_eq!(world.node(3).service(), Service::Serve, "nobody else had to stop");
}

/// Member 3 is heard by the old leader only, which grants it a lease just before it is followed by another.
#[test]
fn a_lease_of_the_leader_before_is_waited_for() {
    let mut world = World::of(3);
    world.unheard.insert((3, 2));
    world.unheard.insert((2, 3));
    world.run(800);
    assert_eq!(world.node(3).service(), Service::Serve);
    let granted_at = world.now;

    world.elect(2);
    world.cut_off.insert(3);
    let expelled = world.run_until(10_000, |world| !world.node(2).state().member(MemberId(3)).unwrap().is_alive());

    assert_ne!(world.node(3).service(), Service::Serve);
    assert!(expelled.since(granted_at) > Timing::default().lease, "{:?}", expelled.since(granted_at));
}

/// Members 2 and 3 do not hear each other, the leader hears both: what is said at the one to somebody at the other would
/// wait for as long as that lasts.
#[test]
fn of_two_members_that_do_not_hear_each_other_one_stops_until_they_do() {
    let mut world = World::of(3);
    world.unheard.insert((2, 3));
    world.unheard.insert((3, 2));
    let cut_at = world.now;

    let stopped = world.run_until(10_000, |world| world.node(3).service() != Service::Serve);
    let expelled = world.run_until(10_000, |world| !world.node(1).state().member(MemberId(3)).unwrap().is_alive());
    assert!(stopped < expelled, "promise P1");
    assert!(expelled.since(cut_at) <= Duration::from_millis(5_500), "{}", expelled.since(cut_at).as_millis());
    assert_eq!(world.node(2).service(), Service::Serve);

    world.reborn(3);
    world.run(10_000);
    assert_eq!(world.node(3).service(), Service::Close, "it would have to stop again");
    assert!(world.node(1).state().member(MemberId(3)).unwrap().is_alive());

    world.unheard.clear();
    world.run(1_000);
    assert_eq!(world.node(3).service(), Service::Serve);
}

/// Promise P1 when something between the nodes cuts their connections: the others may end this life at once.
#[test]
fn a_member_whose_links_all_close_stops_before_the_others_have_agreed_that_it_is_dead() {
    let mut world = World::of(3);
    let (one, two) = (world.peer(1), world.peer(2));

    world.handle(3, Input::LinkClosed(one));
    assert_eq!(world.node(3).service(), Service::Serve, "one link of two is no evidence");
    world.handle(3, Input::LinkClosed(two));
    assert_eq!(world.node(3).service(), Service::Pause);

    world.handle(3, Input::LinkUp(one));
    assert_eq!(world.node(3).service(), Service::Pause, "its expulsion may be under way");
    world.run(300);
    assert_eq!(world.node(3).service(), Service::Serve, "the leader has counted it in since");
}

/// The other one may have had a link to this member, and lost it as well.
#[test]
fn a_member_that_does_not_reach_one_and_loses_the_other_stops() {
    let mut world = World::of(3);
    let (one, two) = (world.peer(1), world.peer(2));

    world.handle(3, Input::LinkSilent(two));
    assert_eq!(world.node(3).service(), Service::Serve, "silence is no evidence");
    world.handle(3, Input::LinkClosed(one));

    assert_eq!(world.node(3).service(), Service::Pause);
}

#[test]
fn a_member_that_comes_back_before_it_is_expelled_goes_on_as_if_nothing_had_happened() {
    let mut world = World::of(3);
    world.cut_off.insert(3);
    world.run_until(10_000, |world| world.node(3).service() == Service::Pause);

    world.cut_off.clear();
    world.run(400);

    assert_eq!(world.node(3).service(), Service::Serve);
    assert!(world.node(1).state().member(MemberId(3)).unwrap().is_active());
}

#[test]
fn a_member_that_comes_back_after_it_was_expelled_is_told_and_begins_another_life() {
    let mut world = World::of(3);
    world.cut_off.insert(3);
    world.deaf_to_log.insert(3);
    world.run(6_000);
    let before = world.node(1).state().member(MemberId(3)).unwrap().incarnation;

    world.cut_off.clear();
    world.run(400);
    assert!(world.over.contains(&3), "told by the leader, although the log has not reached it");

    world.deaf_to_log.clear();
    world.reborn(3);
    world.run(2_000);
    let member = world.node(1).state().member(MemberId(3)).unwrap();
    assert!(member.is_active() && member.incarnation > before);
    assert_eq!(world.node(3).service(), Service::Serve);
}

/// Found by the simulator, in which time stands still while a task is busy: seed 1, the first node.
#[test]
fn a_node_without_a_leader_does_not_turn_for_ever() {
    let mut node = Node::new(Uptime::ZERO, settings(1));

    node.handle(Uptime::ZERO, Input::Timeout);

    assert!(node.poll_timeout().unwrap() > Uptime::ZERO);
}

/// Found by the simulator: a leader that was cut off, could expel nobody, and then heard the others again.
#[test]
fn a_leader_that_hears_again_whom_it_would_have_expelled_does_not_turn_for_ever() {
    let mut world = World::of(3);
    world.lose_proposals = usize::MAX;
    world.cut_off.insert(3);
    world.run(6_000);

    world.cut_off.clear();
    world.run(1_000);

    assert!(world.node(1).state().member(MemberId(3)).unwrap().is_active());
    assert!(world.node(1).poll_timeout().unwrap() > world.now);
}

/// Found by the simulator: promise P1 rests on this. The expulsion may be agreed while the lease goes on.
#[test]
fn a_life_whose_expulsion_is_under_way_is_granted_no_lease() {
    let mut world = World::of(3);
    world.lose_proposals = usize::MAX;
    world.cut_off.insert(3);
    world.run(6_000);

    world.cut_off.clear();
    world.run(1_000);

    assert_ne!(world.node(3).service(), Service::Serve);
}

#[test]
fn a_leader_grants_nothing_before_it_has_applied_what_was_before_it() {
    let leading = Leading::new(Uptime::ZERO, Term(2), LogIndex(7), Timing::default().times());

    assert!(!leading.may_grant(LogIndex(6)));
    assert!(leading.may_grant(LogIndex(7)));
}

/// Found by the simulator: a member without a vote was away during a change of leaders, and had been taken out of the
/// group when it came back, so that its Raft was told of no other leader.
#[test]
fn a_leader_that_says_that_another_one_leads_is_not_asked_to_let_anybody_in() {
    let mut node = Node::new(Uptime::ZERO, settings(3));
    let peer = |id| Peer { member: MemberId(id), boot: BootId(100 + id) };
    let leader = Some(MemberId(1));
    node.handle(Uptime::ZERO, Input::Raft(RaftStatus { leader, term: Term(1), ..RaftStatus::default() }));
    for id in [1, 2] {
        node.handle(Uptime::ZERO, Input::LinkUp(peer(id)));
        let beat = ControlMessage::Beat {
            round: Sequence(1),
            applied: LogIndex(0),
            life: None,
            leader: Some(MemberId(2)),
            unheard: BTreeSet::new(),
        };
        node.handle(Uptime::ZERO, Input::Control { from: peer(id), message: beat, voted: Term(2) });
    }
    while node.poll_output().is_some() {}

    node.handle(Uptime::from_millis(1000), Input::Timeout);

    let asked: Vec<_> = std::iter::from_fn(|| node.poll_output())
        .filter_map(|output| match output {
            Output::Cluster(ClusterOrder::Send { to, message: ControlMessage::Propose { .. } }) => Some(to),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [MemberId(2)]);
}

/// Found by the simulator: Raft stops between two sets of voters if the leader that ordered the second one is gone.
#[test]
fn a_leader_ends_the_change_of_voters_that_the_one_before_has_begun() {
    let mut world = World::of(3);
    let voters = std::mem::take(&mut world.membership.0);
    let before = [MemberId(1), MemberId(2)].into();
    world.leader = (2, 2);

    world.handle(2, Input::Raft(leads_next(vec![before, voters.clone()], LogIndex(0))));

    assert_eq!(world.membership.0, voters);
}

/// P10. Found by the simulator: a leader that had come back with half of what it had applied ordered the voters of that
/// time. One of them was gone for good, and the change that needed him never ended.
#[test]
fn a_leader_changes_no_voters_before_it_has_applied_what_was_before_it() {
    let mut world = World::of(3);
    let voters = std::mem::take(&mut world.membership.0);
    world.leader = (2, 2);
    let next = world.node(2).state().applied().next();

    world.handle(2, Input::Raft(leads_next(vec![[MemberId(1), MemberId(2)].into()], next)));
    assert!(world.membership.0.is_empty());

    world.handle(2, Input::Committed(vec![Entry { index: next, command: None }]));
    beats(&mut world, 3, 2, Term(2));
    assert_eq!(world.membership.0, voters);
}

/// P10. Found by the simulator: a member was removed, and of the two who were to vote from then on one lost his disk. The one
/// who was removed led next and ordered what was wanted: a change that could never end.
#[test]
fn a_leader_orders_no_voters_of_whom_it_hears_no_majority() {
    let mut world = World::of(3);
    let voters = std::mem::take(&mut world.membership.0);
    world.leader = (2, 2);
    let applied = world.node(2).state().applied();

    world.handle(2, Input::Raft(leads_next(vec![[MemberId(1), MemberId(2)].into()], applied)));
    assert!(world.membership.0.is_empty());

    beats(&mut world, 1, 2, Term(2));
    assert_eq!(world.membership.0, voters);
}

/// What Raft says of the second node when it leads in the second term, among these voters and with a log that ends there.
fn leads_next(voter_sets: VoterSets, end: LogIndex) -> RaftStatus {
    let (term, leader) = (Term(2), Some(MemberId(2)));
    RaftStatus { term, voted: term, leader, voter_sets, log_end: (term, end), ..RaftStatus::default() }
}

/// A beat of one to another that leads in this term.
fn beats(world: &mut World, by: u64, leader: u64, term: Term) {
    let peer = world.peer(by);
    let beat = ControlMessage::Beat {
        round: Sequence(1),
        applied: world.node(by).state().applied(),
        life: world.node(by).state().members().find(|member| member.id == peer.member).map(Member::life),
        leader: Some(MemberId(leader)),
        unheard: BTreeSet::new(),
    };
    world.handle(leader, Input::Control { from: peer, message: beat, voted: term });
}

/// It is let in by nobody, so neither the log nor a message of the leader can reach it.
#[test]
fn a_process_that_is_refused_because_its_life_is_over_ends_it() {
    let mut world = World::of(3);

    world.handle(3, Input::Over);

    assert!(world.over.contains(&3));
    assert_eq!(world.node(3).service(), Service::Close);
}

#[test]
fn a_crash_that_all_others_see_ends_the_life_at_once() {
    let mut world = World::of(3);
    let crashed_at = world.now;

    world.crash(3);
    let expelled = world.run_until(1_000, |world| !world.node(1).state().member(MemberId(3)).unwrap().is_alive());

    assert!(expelled.since(crashed_at) <= Duration::from_millis(50));
}

/// A process behind a broken switch port looks dead to one member only.
#[test]
fn a_crash_that_only_one_member_sees_is_not_believed() {
    let mut world = World::of(3);
    let gone = world.peer(3);
    world.handle(1, Input::LinkClosed(gone));
    world.handle(1, Input::PortRefused(gone));

    world.run(200);

    assert!(world.node(1).state().member(MemberId(3)).unwrap().is_active());
}

#[test]
fn a_refusing_port_is_no_evidence_as_long_as_the_link_is_up() {
    let mut world = World::of(3);
    let alive = world.peer(3);
    world.handle(1, Input::PortRefused(alive));
    world.handle(2, Input::PortRefused(alive));

    world.run(200);

    assert!(world.node(1).state().member(MemberId(3)).unwrap().is_active());
}

#[test]
fn the_survivors_of_a_leader_ask_for_the_same_successor() {
    let mut world = World::of(3);

    world.crash(1);
    world.run(5);

    let first: Vec<_> = [2, 3].map(|node| world.take_overs.iter().find(|(by, _)| *by == node).unwrap().1).into();
    assert_eq!(first[0], first[1]);
}

#[test]
fn without_evidence_of_crashes_only_silence_counts() {
    let mut world = World::with(3, |settings| settings.crash_evidence = false);
    world.crash(3);

    world.run(3_000);
    assert!(world.node(1).state().member(MemberId(3)).unwrap().is_active());
    world.run(2_000);
    assert!(!world.node(1).state().member(MemberId(3)).unwrap().is_alive());
}

/// Five vote and one waits: without the sixth vote the cluster could lose one member less for ever.
#[test]
fn a_voter_that_is_gone_for_too_long_makes_room_for_a_member_that_waits() {
    let mut world = World::with(6, |settings| settings.replace_voter_after = Some(Duration::from_secs(10)));
    let voters = |world: &World| world.node(1).state().voters().iter().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(voters(&world), [1, 2, 3, 4, 5]);
    world.crash(5);

    world.run(9_000);
    assert_eq!(voters(&world), [1, 2, 3, 4, 5]);
    world.run(1_500);

    assert_eq!(voters(&world), [1, 2, 3, 4, 6]);
    assert!(world.node(1).state().member(MemberId(5)).is_none());
}

/// A smaller quorum is easier to have, and easier to lose.
#[test]
fn a_voter_that_is_gone_keeps_its_vote_while_nobody_waits_for_it() {
    let mut world = World::with(3, |settings| settings.replace_voter_after = Some(Duration::from_secs(1)));
    world.crash(3);

    world.run(10_000);

    assert!(world.node(1).state().voters().contains(&MemberId(3)));
}

#[test]
fn a_proposal_that_was_lost_is_made_again_and_takes_effect_once() {
    let mut world = World::of(3);
    world.lose_proposals = 1;
    world.bind(2, "romeo@example.org/garden");

    world.run(2_000);

    assert!(matches!(world.answers(2)[..], [Answer::Bound { .. }]));
    assert_eq!(world.node(1).state().sessions(), 1);
}

#[test]
fn a_node_without_a_lease_binds_nobody() {
    let mut world = World::of(3);
    world.cut_off.insert(3);
    world.run_until(10_000, |world| world.node(3).service() != Service::Serve);

    world.bind(3, "romeo@example.org/garden");

    assert_eq!(world.answers(3), vec![Answer::Refused(BindRefusal::NotServing)]);
}

/// Only a leader's own observation ends a life; a member that could propose it for another could end anybody's.
#[test]
fn a_peer_cannot_propose_in_the_name_of_another() {
    let mut world = World::of(3);
    let victim = world.node(3).life().unwrap();
    let expel = Command::Expel { life: victim, reason: ExpelReason::Silent };
    let leave = Command::Leave(victim);
    let from = world.peer(2);
    let message = ControlMessage::Propose { commands: vec![expel, leave] };
    world.handle(1, Input::Control { from, message, voted: Term(1) });

    world.run(100);

    assert!(world.node(1).state().alive(victim).is_some());
}

/// Its list may have only followers in it, who cannot propose anything.
#[test]
fn who_joins_and_finds_followers_only_is_told_where_the_leader_is() {
    let mut world = World::of(3);
    world.arrives(4, &[2, 3]);

    world.run_until(2_000, |world| !world.dialled.is_empty());
    assert_eq!(world.dialled[0], (4, "127.0.0.1:5701".parse().unwrap()));
    assert!(world.node(4).life().is_none());
    world.link(4, 1);

    world.run_until(2_000, |world| world.node(4).service() == Service::Serve);
}

#[test]
fn a_member_leaves_in_good_order() {
    let mut world = World::of(3);

    world.handle(3, Input::Leave);
    world.run(100);

    assert!(world.left.contains(&3));
    assert!(matches!(
        world.node(1).state().member(MemberId(3)).unwrap().state,
        MemberState::Gone { expelled: None, .. }
    ));
}

/// O17. All three are stopped at once: the last one would wait for an agreement that nobody is left to make.
#[test]
fn a_member_that_leaves_and_reaches_no_quorum_leaves_in_vain() {
    let mut world = World::of(3);
    world.deaf_to_log.insert(3);
    world.handle(3, Input::Leave);
    assert!(!world.node(3).leaves_in_vain());

    for gone in [1, 2] {
        let peer = world.peer(gone);
        world.handle(3, Input::LinkClosed(peer));
    }

    assert!(world.node(3).leaves_in_vain());
    assert!(!world.node(2).leaves_in_vain(), "it does not leave");
}

/// Found by the simulator: promise P5. Nobody waits any more for who has left, and the leaver is the last to apply it.
#[test]
fn a_member_that_leaves_serves_nobody_from_then_on() {
    let mut world = World::of(3);
    world.deaf_to_log.insert(3);

    world.handle(3, Input::Leave);

    assert_ne!(world.node(3).service(), Service::Serve);
}

/// Found by the simulator: it began another life and was killed in it.
#[test]
fn a_member_that_leaves_and_is_refused_because_it_has_left_does_not_come_back() {
    let mut world = World::of(3);
    world.deaf_to_log.insert(3);

    world.handle(3, Input::Leave);
    world.run(50);
    assert!(!world.left.contains(&3));
    world.handle(3, Input::Over);

    assert!(world.left.contains(&3) && !world.over.contains(&3));
}

#[test]
fn calls_that_come_too_early_change_nothing() {
    let mut world = World::of(3);
    world.run(1);
    let now = world.now;
    let node = world.nodes.get_mut(&1).unwrap();
    while node.poll_output().is_some() {}

    for _ in 0..5 {
        node.handle(now, Input::Timeout);
    }

    assert_eq!(node.poll_output(), None);
}

/// H10. The entry that raises the version may have been in its log before the process was started.
#[test]
fn a_program_that_is_outgrown_by_what_it_applies_ends() {
    let mut node = Node::new(Uptime::ZERO, settings(1));
    let newer = VersionRange { min: 1, max: 2 };
    let join = Command::Join(Join {
        member: MemberId(2),
        boot: BootId(2),
        name: "b".to_owned(),
        peer_address: ([127, 0, 0, 1], 5702).into(),
        client_addresses: Vec::new(),
        role: Role::Server,
        versions: newer,
    });

    let life = Life { member: MemberId(2), incarnation: Incarnation(1) };
    let commands = [join, Command::Activate(life)].into_iter().zip(1..);
    let entries = commands.map(|(command, index)| Entry { index: LogIndex(index), command: Some(Arc::new(command)) });
    node.handle(Uptime::ZERO, Input::Committed(entries.collect()));

    let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
    assert!(outputs.contains(&Output::Outgrown { version: 2 }), "{outputs:?}");
    assert_eq!(node.poll_timeout(), None);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Nodes, perfect links that deliver within the same millisecond, and a log whose leader is told from outside.
struct World {
    now: Uptime,
    nodes: BTreeMap<u64, Node>,
    log: Vec<Command>,
    fed: BTreeMap<u64, usize>,
    wire: VecDeque<(u64, u64, ControlMessage)>,
    cut_off: BTreeSet<u64>,
    /// Between whom nothing arrives, one way.
    unheard: BTreeSet<(u64, u64)>,
    deaf_to_log: BTreeSet<u64>,
    dead: BTreeSet<u64>,
    over: BTreeSet<u64>,
    left: BTreeSet<u64>,
    answers: Vec<(u64, Answer)>,
    take_overs: Vec<(u64, MemberId)>,
    dialled: Vec<(u64, SocketAddr)>,
    transfers: Vec<(u64, MemberId)>,
    ordered: Vec<Result<(), Refusal>>,
    sent_away: Vec<(u64, usize, SocketAddr)>,
    membership: (BTreeSet<MemberId>, BTreeSet<MemberId>),
    lose_proposals: usize,
    sessions: u64,
    /// Who leads, in which term; a node that is cut off does not learn of a change.
    leader: (u64, u64),
}

impl World {
    fn of(count: u64) -> World {
        World::with(count, |_| {})
    }

    fn with(count: u64, adjust: impl Fn(&mut NodeSettings)) -> World {
        let now = Uptime::ZERO;
        let nodes = (1..=count).map(|id| {
            let mut settings = settings(id);
            adjust(&mut settings);
            (id, Node::new(now, settings))
        });
        let mut world = World {
            now,
            nodes: nodes.collect(),
            log: Vec::new(),
            fed: BTreeMap::new(),
            wire: VecDeque::new(),
            cut_off: Default::default(),
            unheard: Default::default(),
            deaf_to_log: Default::default(),
            dead: Default::default(),
            over: Default::default(),
            left: Default::default(),
            answers: Vec::new(),
            take_overs: Vec::new(),
            dialled: Vec::new(),
            transfers: Vec::new(),
            ordered: Vec::new(),
            sent_away: Vec::new(),
            membership: ([MemberId(1)].into(), Default::default()),
            lose_proposals: 0,
            sessions: 0,
            leader: (1, 1),
        };
        for a in 1..=count {
            world.raft(a);
            for b in (1..=count).filter(|b| *b != a) {
                let peer = world.peer(b);
                world.handle(a, Input::LinkUp(peer));
            }
        }
        world.run_until(3_000, |world| world.nodes.values().all(|node| node.service() == Service::Serve));
        world.run(1_000);
        world
    }

    fn node(&self, id: u64) -> &Node {
        &self.nodes[&id]
    }

    fn peer(&self, id: u64) -> Peer {
        Peer { member: MemberId(id), boot: self.node(id).settings.boot }
    }

    /// Tells a node how Raft stands.
    fn raft(&mut self, id: u64) {
        let (leader, term) = self.leader;
        let status = RaftStatus {
            term: Term(term),
            voted: Term(term),
            leader: Some(MemberId(leader)),
            voter_sets: vec![self.membership.0.clone()],
            learners: self.membership.1.clone(),
            log_end: (Term(1), LogIndex(self.log.len() as u64)),
        };
        self.handle(id, Input::Raft(status));
    }

    fn handle(&mut self, id: u64, input: Input) {
        let now = self.now;
        self.nodes.get_mut(&id).unwrap().handle(now, input);
        while let Some(output) = self.nodes.get_mut(&id).unwrap().poll_output() {
            self.carry_out(id, output);
        }
    }

    fn carry_out(&mut self, id: u64, output: Output) {
        match output {
            Output::Cluster(ClusterOrder::Propose(_) | ClusterOrder::ProposeInTerm { .. })
                if self.lose_proposals > 0 =>
            {
                self.lose_proposals -= 1
            }
            Output::Cluster(ClusterOrder::Propose(_) | ClusterOrder::ProposeInTerm { .. })
                if self.cut_off.contains(&id) => {}
            Output::Cluster(ClusterOrder::Propose(commands) | ClusterOrder::ProposeInTerm { commands, .. }) => {
                self.log.extend(commands)
            }
            Output::Cluster(ClusterOrder::Send { to, message }) => self.wire.push_back((id, to.0, message)),
            Output::Answer { answer, .. } => self.answers.push((id, answer)),
            Output::Cluster(ClusterOrder::TakeOver { target, .. }) => self.take_overs.push((id, target)),
            Output::Cluster(ClusterOrder::Membership { voters, learners }) => {
                self.membership = (voters, learners);
                self.nodes.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| self.raft(id));
            }
            Output::LifeOver { .. } => drop(self.over.insert(id)),
            Output::Left => drop(self.left.insert(id)),
            Output::Outgrown { version } => panic!("{id} does not follow version {version}"),
            Output::Cluster(ClusterOrder::Dial(address)) => self.dialled.push((id, address)),
            Output::Cluster(ClusterOrder::TransferLeadership { to }) => self.transfers.push((id, to)),
            Output::SendAway { sessions, see_other_host } => self.sent_away.push((id, sessions, see_other_host)),
            Output::Cluster(ClusterOrder::Ordered { outcome, .. }) => self.ordered.push(outcome),
            Output::Event(_) | Output::Service(_) => {}
        }
    }

    /// One millisecond at a time: timers, then the log, then the wire until it is empty.
    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now = self.now + Duration::from_millis(1);
            let alive: Vec<_> = self.nodes.keys().copied().filter(|id| !self.dead.contains(id)).collect();
            for id in alive {
                if self.node(id).poll_timeout().is_some_and(|due| due <= self.now) {
                    self.handle(id, Input::Timeout);
                    let next = self.node(id).poll_timeout();
                    assert!(next.is_none_or(|due| due > self.now), "node {id} would turn for ever at {}", self.now);
                }
                self.feed(id);
            }
            while let Some((from, to, message)) = self.wire.pop_front() {
                let lost = [from, to].iter().any(|id| self.cut_off.contains(id) || self.dead.contains(id))
                    || self.unheard.contains(&(from, to));
                if !lost {
                    let from = self.peer(from);
                    self.handle(to, Input::Control { from, message, voted: Term(self.leader.1) });
                }
            }
        }
    }

    fn feed(&mut self, id: u64) {
        let fed = self.fed.entry(id).or_default();
        if self.deaf_to_log.contains(&id) || self.cut_off.contains(&id) || *fed == self.log.len() {
            return;
        }
        let new = self.log[*fed..].iter().zip(*fed as u64 + 1..);
        let entries =
            new.map(|(command, index)| Entry { index: LogIndex(index), command: Some(command.clone().into()) });
        let entries = entries.collect();
        *fed = self.log.len();
        self.handle(id, Input::Committed(entries));
    }

    fn run_until(&mut self, milliseconds_max: u64, reached: impl Fn(&World) -> bool) -> Uptime {
        for _ in 0..milliseconds_max {
            if reached(self) {
                return self.now;
            }
            self.run(1);
        }
        panic!("not reached within {milliseconds_max} ms");
    }

    /// When that node stops to serve.
    fn run_until_it_stops(&mut self, id: u64) -> Uptime {
        self.run_until(20_000, |world| world.node(id).service() != Service::Serve)
    }

    /// When a member is expelled, as `by` has applied it.
    fn run_until_it_is_expelled(&mut self, id: u64, by: u64) -> Uptime {
        self.run_until(20_000, |world| !world.node(by).state().member(MemberId(id)).unwrap().is_alive())
    }

    fn crash(&mut self, id: u64) {
        self.dead.insert(id);
        let gone = self.peer(id);
        for survivor in self.nodes.keys().copied().filter(|other| *other != id).collect::<Vec<_>>() {
            self.handle(survivor, Input::LinkClosed(gone));
            self.handle(survivor, Input::PortRefused(gone));
        }
    }

    /// Those that are not cut off elect this one.
    fn elect(&mut self, id: u64) {
        self.leader = (id, self.leader.1 + 1);
        let electors: Vec<_> = self.nodes.keys().copied().filter(|id| !self.cut_off.contains(id)).collect();
        electors.into_iter().for_each(|id| self.raft(id));
    }

    /// A node that nobody knew yet, linked with these.
    fn arrives(&mut self, id: u64, linked: &[u64]) {
        self.nodes.insert(id, Node::new(self.now, settings(id)));
        linked.iter().for_each(|other| self.link(id, *other));
    }

    fn link(&mut self, a: u64, b: u64) {
        for (one, other) in [(a, b), (b, a)] {
            let peer = self.peer(other);
            self.handle(one, Input::LinkUp(peer));
        }
    }

    fn reborn(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        let boot = BootId(node.settings.boot.0 + 1000);
        self.nodes.insert(id, node.reborn(self.now, boot));
        for other in self.nodes.keys().copied().filter(|other| *other != id).collect::<Vec<_>>() {
            let (a, b) = (self.peer(id), self.peer(other));
            self.handle(other, Input::LinkUp(a));
            self.handle(id, Input::LinkUp(b));
        }
    }

    fn bind(&mut self, id: u64, text: &str) {
        self.sessions += 1;
        let request = Request::Bind { session: SessionId(self.sessions), jid: jid(text) };
        self.handle(id, Input::Request(request));
    }

    fn answers(&self, id: u64) -> Vec<Answer> {
        self.answers.iter().filter(|(to, _)| *to == id).map(|(_, answer)| answer.clone()).collect()
    }
}

pub(super) fn settings(id: u64) -> NodeSettings {
    NodeSettings {
        member: MemberId(id),
        boot: BootId(100 + id),
        name: format!("node{id}"),
        peer_address: format!("127.0.0.{id}:5701").parse().unwrap(),
        client_addresses: vec![format!("127.0.1.{id}:5222").parse().unwrap()],
        role: Role::Server,
        versions: VersionRange { min: 1, max: 1 },
        timing: Timing::default(),
        replace_voter_after: None,
        crash_evidence: true,
        order_time_max: Duration::from_secs(4),
    }
}

fn jid(text: &str) -> FullJid {
    FullJid::new(text).unwrap()
}

/// The batch that a leader proposes, if it does.
fn proposed(node: &mut Node) -> Option<Batch> {
    std::iter::from_fn(|| node.poll_output()).find_map(|output| match output {
        Output::Cluster(ClusterOrder::Propose(commands)) => {
            let [Command::Batch(batch)] = &commands[..] else { panic!("{commands:?}") };
            Some(batch.clone())
        }
        _ => None,
    })
}
