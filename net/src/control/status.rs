//! What the operator is told of the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use cresset_core::cluster::{Member, MemberState as State, Role};
use cresset_core::ids::MemberId;
use cresset_core::node::{Clustering, Mode, Node, Service};
use cresset_core::time::Uptime;

use crate::admin::{ClusterStatus, MemberState, MemberStatus, TimesStatus};

/// The cluster as this node sees it at `now`; `programs` are the versions of the programs that it knows.
pub(super) fn status(
    now: Uptime,
    node: &Node,
    name: &str,
    cluster_id: &str,
    programs: &BTreeMap<MemberId, String>,
) -> ClusterStatus {
    let state = node.state();
    let mut members: Vec<&Member> = state.members().collect();
    members.sort_by_key(|member| (!member.is_alive(), member.incarnation));
    let name_of = |id| state.member(id).map(|member| member.name.clone());
    let status = ClusterStatus {
        cluster_id: cluster_id.to_owned(),
        node: name.to_owned(),
        clustering: true,
        alone: false,
        serving: node.service() == Service::Serve,
        unready: None,
        connections: None,
        leader: node.raft().leader.and_then(name_of),
        senior: state.senior().and_then(name_of),
        term: node.raft().term.0,
        applied_index: state.applied().0,
        sessions: count(state.sessions()),
        version: state.version(),
        times: Some(times(node)),
        members: members
            .iter()
            .zip(1..)
            .map(|(member, seniority)| MemberStatus {
                program: programs.get(&member.id).filter(|program| !program.is_empty()).cloned(),
                ..of_member(now, node, member, seniority)
            })
            .collect(),
        can_lose: None,
        advice: String::new(),
    };
    status.with_advice()
}

/// What is to be told besides of a node that may be by itself.
pub(super) fn by_itself(clustering: &Clustering, status: ClusterStatus) -> ClusterStatus {
    let status = ClusterStatus { clustering: clustering.mode() == Mode::Clustered, ..status };
    let Some(alone) = clustering.by_itself() else { return status };
    let advice = match clustering.mode() {
        Mode::Standalone => {
            "clustering is off: every node serves its own clients alone, until 'cresset cluster enable'"
        }
        Mode::Clustered if clustering.is_lonely_service_allowed() => {
            "THIS NODE SERVES ALONE, as 'cluster.start.alone' allows: others may serve the same users until it is in the cluster"
        }
        Mode::Clustered => "this node serves its own clients alone until it is in the cluster",
    };
    ClusterStatus {
        alone: true,
        serving: alone.service() == Service::Serve,
        sessions: count(alone.state().sessions()),
        can_lose: None,
        advice: advice.to_owned(),
        ..status
    }
}

fn times(node: &Node) -> TimesStatus {
    let (agreed, followed, by_file) = (node.state().times(), node.times(), node.times_of_its_file());
    TimesStatus {
        heartbeat_ms: milliseconds(followed.heartbeat),
        lease_ms: milliseconds(followed.lease),
        drift_percent: followed.drift_percent,
        expel_after_ms: milliseconds(followed.expel_after),
        agreed: agreed.in_force().is_some(),
        becoming: agreed.change().map(|change| change.to.to_string()),
        without_effect: agreed.wanted().filter(|wanted| *wanted != by_file).map(|wanted| by_file.where_not(wanted)),
    }
}

fn of_member(now: Uptime, node: &Node, member: &Member, seniority: u32) -> MemberStatus {
    let state = node.state();
    let is_me = node.life().is_some_and(|life| life == member.life());
    let lease = node.lease_until().filter(|_| is_me).map(|until| until.since(now));
    MemberStatus {
        name: member.name.clone(),
        id: member.id.0,
        role: match member.role {
            Role::Server => "server".to_owned(),
            Role::Witness => "witness".to_owned(),
        },
        state: match member.state {
            State::Joining => MemberState::Joining,
            State::Active => MemberState::Active,
            State::Draining => MemberState::Draining,
            State::Gone { .. } => MemberState::Gone,
        },
        voter: votes(node, member.id),
        leader: node.raft().leader == Some(member.id),
        seniority,
        incarnation: member.incarnation.0,
        address: member.peer_address,
        client_addresses: member.client_addresses.clone(),
        reachable: node.answers(member.id),
        sessions: count(state.sessions_of(member.id)),
        applied_index: node.applied_by(member.id).map(|index| index.0),
        lease_remaining_ms: lease.map(milliseconds),
        program: None,
    }
}

/// Whether Raft counts the member's vote. The agreed state says who should vote; what the cluster can lose depends on
/// who does. While Raft moves from one set to another, a vote counts that counts in both.
fn votes(node: &Node, member: MemberId) -> bool {
    let sets = &node.raft().voter_sets;
    !sets.is_empty() && sets.iter().all(|set| set.contains(&member))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
