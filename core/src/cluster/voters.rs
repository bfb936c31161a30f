//! Who should vote: up to five members, an odd number from three on.
//!
//! A voter that is gone keeps its vote until another member takes it over: with the vote it would take a part of the
//! quorum away for good. It is taken over at once by a member of the same name (the same machine with a new disk).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::cluster::{AgreedTimes, ClusterState, Member, MemberState, Role};
use crate::ids::MemberId;
use crate::{planted, wire};

/// Voters of a cluster with many members (Ongaro, section 4.2.1: more voters cost more and rarely help).
const VOTERS_MAX: usize = 5;

/// The voters after a change. `activated` has just begun to serve.
pub(super) fn choose(
    voters: &BTreeSet<MemberId>,
    members: &BTreeMap<MemberId, Member>,
    activated: Option<MemberId>,
) -> BTreeSet<MemberId> {
    let mut chosen = voters.clone();
    if planted!(DeadVoterStays) && !voters.is_empty() {
        return chosen;
    }
    if let Some(heir) = activated.and_then(|id| members.get(&id)).filter(|member| !voters.contains(&member.id)) {
        let dead_namesake =
            voters.iter().find(|id| members.get(id).is_none_or(|voter| !voter.is_alive() && voter.name == heir.name));
        if let Some(dead) = dead_namesake {
            if !planted!(MemberCountedTwice) {
                chosen.remove(dead);
            }
            chosen.insert(heir.id);
        }
    }
    let mut waiting: Vec<_> = members.values().filter(|m| m.is_active() && !chosen.contains(&m.id)).collect();
    if planted!(WitnessDoesNotVote) {
        waiting.retain(|member| member.role == Role::Server);
    }
    waiting.sort_by_key(|member| member.incarnation);
    let mut waiting = waiting.into_iter();
    while let Some(step) = step_up(chosen.len(), waiting.len()) {
        chosen.extend(waiting.by_ref().take(step).map(|member| member.id));
    }
    chosen
}

/// How many members more may vote at once: from one voter to two (both hold everything, neither can be lost), then to
/// odd numbers only, because an even one can lose no more and needs one more to agree.
fn step_up(voters: usize, waiting: usize) -> Option<usize> {
    let step = match voters {
        0..=2 => 1,
        odd if odd % 2 == 1 => 2,
        _ => 1,
    };
    (voters + step <= VOTERS_MAX && waiting >= step).then_some(step)
}

/// The part of the digest that covers everything but the routes.
pub(super) fn digest(state: &ClusterState) -> u64 {
    let ClusterState { version, applied, members, voters, times, .. } = state;
    let mut hash = Sha256::new();
    // Programs that knew no other version than the first did not count it.
    if *version > 1 {
        hash.update(version.to_be_bytes());
    }
    // Nothing is agreed on before the version of which this is.
    if *times != AgreedTimes::default() {
        hash.update(wire::encode(times));
    }
    hash.update(applied.0.to_be_bytes());
    for member in members.values() {
        let state = match member.state {
            MemberState::Joining => 0,
            MemberState::Active => 1,
            MemberState::Gone { at, .. } => 2 + at.0,
            MemberState::Draining => u64::MAX,
        };
        for number in [member.id.0, member.incarnation.0, member.boot.0, member.last_batch.0, state] {
            hash.update(number.to_be_bytes());
        }
        hash.update(&member.name);
    }
    for voter in voters {
        hash.update(voter.0.to_be_bytes());
    }
    let sum = hash.finalize();
    u64::from_be_bytes(sum[..8].try_into().expect("SHA-256 has 32 bytes"))
}
