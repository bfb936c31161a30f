//! Several members in one process: what they agree on, and what a crash leaves of it.

use std::collections::BTreeSet;
use std::time::Duration;

use cresset_core::ids::{BootId, Incarnation, Life, LogIndex, MemberId};

use super::testing::{Member, Network, binds, cluster, in_time, join, run};
use super::*;
use crate::disk::MemoryDisk;

/// Entries between snapshots where a test wants none.
const NEVER: u64 = 1_000_000;

/// Several heartbeats.
const LONG_ENOUGH: Duration = Duration::from_millis(1500);

#[test]
fn what_is_proposed_is_applied_by_all_in_the_same_order() {
    run(async {
        let members: [Member; 3] = cluster(&Network::default(), NEVER).await;

        members[0].propose(join(1, 11));
        members[0].propose(join(2, 22));
        let incarnation = first_life(&members[0]).await;
        members[0].propose(Command::Activate(Life { member: MemberId(1), incarnation }));
        members[0].propose(binds(MemberId(1), incarnation, 1, 100));

        for member in &members {
            member.kept.until(|state| state.sessions() == 100).await;
        }
        let digests: BTreeSet<u64> = members.iter().map(|member| member.kept.look(|state| state.digest())).collect();
        assert_eq!(digests.len(), 1);
    });
}

/// An election takes at least a second with these settings; after a crash that was seen the next leader is there at once.
#[test]
fn a_dead_leader_is_followed_at_once() {
    run(async {
        let [dead, second, third]: [Member; 3] = cluster(&Network::default(), NEVER).await;
        dead.propose(join(1, 11));
        second.kept.until(|state| state.members().count() == 1).await;
        third.kept.until(|state| state.members().count() == 1).await;
        dead.crash().await;

        second.consensus.take_over(MemberId(1), MemberId(2));
        third.consensus.take_over(MemberId(1), MemberId(2));

        let at_once = Duration::from_millis(500);
        tokio::time::timeout(at_once, second.until_leading()).await.expect("no election is waited for");
        second.propose(join(2, 22));
        third.kept.until(|state| state.members().count() == 2).await;
    });
}

/// H11, in the second in which nobody else notices: the log of a follower is behind what it acknowledged. What it
/// says of its log counts for nothing, and must not end the leader.
#[test]
fn a_follower_that_lost_what_it_acknowledged_is_not_counted_and_ends_no_leader() {
    run(async {
        let network = Network::default();
        let [first, second, third]: [Member; 3] = cluster(&network, NEVER).await;
        let backup = copy_of(&third.disk).await;
        first.propose(join(1, 11));
        third.kept.until(|state| state.members().count() == 1).await;
        third.crash().await;

        let reverted = Member::start(&network, 3, backup, NEVER).await;
        first.propose(join(2, 22));
        second.kept.until(|state| state.members().count() == 2).await;
        let grown = tokio::time::timeout(LONG_ENOUGH, first.consensus.ended()).await;

        assert!(grown.is_err(), "the leader goes on");
        first.propose(join(3, 33));
        second.kept.until(|state| state.members().count() == 3).await;
        assert_eq!(reverted.kept.look(|state| state.members().count()), 0);
    });
}

async fn copy_of(disk: &MemoryDisk) -> MemoryDisk {
    let copy = MemoryDisk::new();
    for name in disk.names() {
        let content = disk.content(&name).expect("it is there");
        copy.write(&name, content.into()).await.expect("there is room");
    }
    copy
}

#[test]
fn one_survivor_alone_unseats_no_leader() {
    run(async {
        let [first, second, third]: [Member; 3] = cluster(&Network::default(), NEVER).await;

        second.consensus.take_over(MemberId(1), MemberId(3));
        second.consensus.take_over(MemberId(3), MemberId(2));

        first.propose(join(1, 11));
        third.kept.until(|state| state.members().count() == 1).await;
        assert_eq!(third.consensus.status().leader, Some(MemberId(1)));
    });
}

#[test]
fn leadership_is_handed_over_before_a_shutdown() {
    run(async {
        let [first, second, third]: [Member; 3] = cluster(&Network::default(), NEVER).await;

        in_time(first.consensus.hand_over(Duration::from_secs(1), |_| true)).await;
        in_time(first.consensus.shutdown()).await;

        assert_eq!(first.consensus.ended().await, Ended::Shutdown);
        let led = |status: &RaftStatus| status.leader.is_some_and(|leader| leader != MemberId(1));
        second.until_status(led).await;
        third.until_status(led).await;
        assert_eq!(first.consensus.propose(vec![join(1, 1)]), Err(ProposeError::Ended));
    });
}

/// The entries of a leader are agreed on before its own disk has them. It loses them in a crash, and must not give
/// their positions to others.
#[test]
fn a_leader_that_lost_what_it_had_not_synced_gets_it_back() {
    run(async {
        let network = Network::default();
        let [first, second, third]: [Member; 3] = cluster(&network, NEVER).await;
        first.propose(join(1, 11));
        third.kept.until(|state| state.members().count() == 1).await;
        first.disk.stall();
        first.propose(join(2, 22));
        first.propose(join(3, 33));
        third.kept.until(|state| state.members().count() == 3).await;

        let disk = first.crash().await;
        second.consensus.take_over(MemberId(1), MemberId(2));
        third.consensus.take_over(MemberId(1), MemberId(2));
        let first = Member::start(&network, 1, disk, NEVER).await;

        first.kept.until(|state| state.members().count() == 3).await;
        assert_eq!(first.kept.look(|state| state.digest()), third.kept.look(|state| state.digest()));
    });
}

#[test]
fn all_members_crash_and_keep_what_was_agreed() {
    run(async {
        let network = Network::default();
        let members: [Member; 3] = cluster(&network, NEVER).await;
        members[0].propose(join(1, 11));
        members[0].propose(join(2, 22));
        let mut disks = Vec::new();
        for member in members {
            member.kept.until(|state| state.members().count() == 2).await;
            disks.push(member.crash().await);
        }

        let mut members = Vec::new();
        for (id, disk) in (1..).zip(disks) {
            members.push(Member::start(&network, id, disk, NEVER).await);
        }

        for member in &members {
            assert!(!member.consensus.status().voter_sets.is_empty());
            member.kept.until(|state| state.members().count() == 2).await;
        }
    });
}

#[test]
fn a_late_learner_gets_a_snapshot_and_may_then_vote() {
    run(async {
        let network = Network::default();
        let [first, second]: [Member; 2] = cluster(&network, 20).await;
        for boot in 0..100 {
            first.propose(join(1, boot));
            first.kept.until(|state| state.member(MemberId(1)).is_some_and(|one| one.boot == BootId(boot))).await;
        }
        assert!(first.disk.names().iter().any(|name| name.starts_with("snapshot-")), "{:?}", first.disk.names());

        let third = Member::start(&network, 3, MemoryDisk::new(), 20).await;
        first.consensus.set_membership(ids([1, 2]), ids([3]));
        third.kept.until(|state| state.member(MemberId(1)).is_some_and(|one| one.boot == BootId(99))).await;
        assert!(third.disk.names().iter().any(|name| name.starts_with("snapshot-")), "it was not sent the whole log");
        third.until_status(|status| status.learners == ids([3])).await;

        first.until_status(|status| status.learners == ids([3])).await;
        until_membership(&first, ids([1, 2, 3]), ids([])).await;
        until_membership(&first, ids([1, 3]), ids([])).await;
        assert_eq!(first.consensus.status().learners, ids([]));
        drop(second);
    });
}

/// The disk of a member that was alone and has made snapshots: it has begun a life a hundred times, and crashed.
async fn crashed_after_a_hundred_lives(network: &Network) -> MemoryDisk {
    let [only]: [Member; 1] = cluster(network, 20).await;
    for boot in 0..100 {
        only.propose(join(1, boot));
        only.kept.until(|state| state.member(MemberId(1)).is_some_and(|one| one.boot == BootId(boot))).await;
    }
    only.crash().await
}

/// H3: the newest snapshot is damaged, the one before it and the log behind that are not; or, while the log goes back to
/// the beginning, both are.
#[test]
fn a_damaged_snapshot_is_made_up_for_by_the_older_one() {
    run(async {
        let network = Network::default();
        let disk = crashed_after_a_hundred_lives(&network).await;
        let snapshots: Vec<String> = disk.names().into_iter().filter(|name| name.starts_with("snapshot-")).collect();
        assert_eq!(snapshots.len(), 2);
        let damage = |content: &mut Vec<u8>| {
            let middle = content.len() / 2;
            content[middle] ^= 4;
        };

        disk.tamper(&snapshots[1], damage);
        let only = Member::start(&network, 1, disk, NEVER).await;
        only.kept.until(|state| state.member(MemberId(1)).is_some_and(|one| one.boot == BootId(99))).await;
        only.until_leading().await;

        let disk = only.crash().await;
        disk.tamper(&snapshots[0], damage);
        let only = Member::start(&network, 1, disk, NEVER).await;
        only.kept.until(|state| state.member(MemberId(1)).is_some_and(|one| one.boot == BootId(99))).await;
    });
}

/// H10: the way back after the last member was upgraded. The program that wrote them can go on.
#[test]
fn a_snapshot_of_a_later_version_is_refused_by_name_and_nothing_is_changed() {
    run(async {
        let network = Network::default();
        let disk = crashed_after_a_hundred_lives(&network).await;
        for name in disk.names().into_iter().filter(|name| name.starts_with("snapshot-")) {
            disk.tamper(&name, |content| {
                let state = content.windows(4).position(|four| four == b"CRST").expect("the state is in it");
                content[state + 4..state + 8].copy_from_slice(&9_u32.to_be_bytes());
                let checksum = crc32fast::hash(&content[8..]);
                content[4..8].copy_from_slice(&checksum.to_le_bytes());
            });
        }
        let contents = |disk: &MemoryDisk| disk.names().into_iter().map(|name| disk.content(&name)).collect::<Vec<_>>();
        let before = contents(&disk);

        let refused = Member::try_start(&network, 1, disk.clone(), NEVER).await.err().expect("it is later");

        let told = "a snapshot of version 9; this program reads versions 1 to 3";
        assert!(refused.to_string().contains(told), "{refused}");
        assert_eq!(contents(&disk), before);
    });
}

/// H6: a leader whose disk is full cannot keep what it leads.
#[test]
fn a_leader_with_a_full_disk_hands_over_and_comes_back_without_a_restart() {
    run(async {
        let [first, second, third]: [Member; 3] = cluster(&Network::default(), NEVER).await;
        first.disk.set_full(true);

        first.propose(join(1, 11));
        third.kept.until(|state| state.members().count() == 1).await;
        second.until_status(|status| status.leader.is_some_and(|leader| leader != MemberId(1))).await;
        assert_eq!(first.consensus.propose(vec![join(2, 22)]), Err(ProposeError::DiskFull));

        first.disk.set_full(false);
        let leader = second.consensus.status().leader;
        let leader = if leader == Some(MemberId(2)) { &second } else { &third };
        leader.propose(join(3, 33));
        first.kept.until(|state| state.members().count() == 2).await;
    });
}

/// H7.
#[test]
fn a_failed_sync_ends_consensus_and_says_so() {
    run(async {
        let [first, second, third]: [Member; 3] = cluster(&Network::default(), NEVER).await;
        second.disk.fail_to_sync();

        first.propose(join(1, 11));

        assert!(matches!(in_time(second.consensus.ended()).await, Ended::Failed(_)));
        third.kept.until(|state| state.members().count() == 1).await;
    });
}

#[test]
fn founding_twice_founds_once() {
    run(async {
        let [only]: [Member; 1] = cluster(&Network::default(), NEVER).await;
        only.consensus.bootstrap().await.expect("it does nothing");
        assert_eq!(only.consensus.status().voter_sets, [ids([1])]);
        assert_eq!(only.consensus.voted_term(), only.consensus.status().term);
        assert!(only.consensus.status().log_end.1 > LogIndex(0));
    });
}

/// Raft answers before its log is on disk.
#[test]
fn a_founding_counts_when_it_is_on_disk() {
    run(async {
        let slow = Member::start(&Network::default(), 1, MemoryDisk::new(), NEVER).await;
        slow.disk.stall();
        let founding = tokio::spawn({
            let consensus = slow.consensus.clone();
            async move {
                consensus.bootstrap().await.expect("it is not a member yet");
                consensus.has_begun().await
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;

        assert!(!founding.is_finished());
        let next = Member::start(&Network::default(), 1, slow.disk.reopened(), NEVER).await;
        next.consensus.bootstrap().await.expect("nothing was written");
        assert!(next.consensus.has_begun().await);
    });
}

fn ids<const N: usize>(ids: [u64; N]) -> BTreeSet<MemberId> {
    ids.into_iter().map(MemberId).collect()
}

/// Orders a membership as the control plane does: again, until it is there.
async fn until_membership(leader: &Member, voters: BTreeSet<MemberId>, learners: BTreeSet<MemberId>) {
    let mut status = leader.consensus.watch_status();
    in_time(async {
        loop {
            let now = status.borrow_and_update().clone();
            if now.voter_sets == [voters.clone()] && now.learners == learners {
                return;
            }
            leader.consensus.set_membership(voters.clone(), learners.clone());
            // The order may have met another change and done nothing.
            let again = tokio::time::timeout(Duration::from_millis(50), status.changed());
            if let Ok(changed) = again.await {
                changed.expect("consensus goes on");
            }
        }
    })
    .await;
}

/// The life that member 1 lives.
async fn first_life(member: &Member) -> Incarnation {
    member.kept.until(|state| state.member(MemberId(1)).is_some()).await;
    member.kept.look(|state| state.member(MemberId(1)).map(|one| one.life().incarnation)).expect("it joined")
}
