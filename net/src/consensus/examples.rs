//! An example of each format of the log, of snapshots, and of what Raft's peers say.

use std::collections::BTreeSet;
use std::time::Duration;

use cresset_core::cluster::{
    Batch, ClusterState, Command, ConflictPolicy, ExpelReason, Join, Operation, Role, RoutePresence, VersionRange,
};
use cresset_core::fencing::Times;
use cresset_core::ids::{BootId, Incarnation, Life, LogIndex, MemberId, RouteId, Sequence, SessionId};

use super::{log, rpc, snapshots};
use crate::consensus::types::{Entry, Membership, Payload, Proposal, log_id};
use crate::formats::{Example, TIMES};

const FIRST: Life = Life { member: MemberId(1), incarnation: Incarnation(1) };
const SECOND: Life = Life { member: MemberId(2), incarnation: Incarnation(2) };

/// Every example of this room, and core's of the agreed state.
pub(crate) fn examples() -> Vec<Example> {
    let mut examples = vec![snapshots::tests::example(state(1).encode_snapshot())];
    examples.extend([("state.1", 1), ("state.2", 2), ("state.3", 3)].map(|(file, version)| {
        Example::new(file, state(version).encode_snapshot(), move |bytes| {
            let understood = VersionRange { min: version, max: version };
            let state = state(version);
            ClusterState::decode_snapshot(bytes, understood).is_ok_and(|read| {
                (read.version(), read.digest(), read.applied(), read.sessions())
                    == (version, state.digest(), state.applied(), 2)
            })
        })
    }));
    examples.extend(rpc::tests::examples());
    examples.extend(log::tests::examples());
    examples
}

/// What a cluster of this version may have in its log, from the first entry on.
pub(super) fn entries(version: u32) -> Vec<Entry> {
    let voters = Membership::new_with_defaults(vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])], [4]);
    let mut entries = vec![
        Entry { log_id: log_id(0, 0), payload: Payload::Membership(voters) },
        Entry { log_id: log_id(1, 1), payload: Payload::Blank },
    ];
    entries.extend((2..).zip(commands(version)).map(|(index, command)| {
        let payload = Payload::Normal(Proposal(std::sync::Arc::new(command)));
        Entry { log_id: log_id(300, index), payload }
    }));
    entries
}

/// One command of each kind that this version has.
fn commands(version: u32) -> Vec<Command> {
    let mut commands = vec![
        join(1, version),
        join(2, version),
        Command::Activate(FIRST),
        batch(),
        Command::Drain(FIRST),
        Command::Undrain(FIRST),
        Command::Leave(SECOND),
        Command::Expel { life: SECOND, reason: ExpelReason::Separated },
        Command::Forget(SECOND),
    ];
    if version >= 2 {
        commands.extend([
            Command::ChangeTimes { after: LogIndex(0), to: TIMES },
            Command::TimesInForce { since: LogIndex(70_000) },
        ]);
    }
    commands
}

/// Two members, one of which has two sessions, and what this version has besides.
fn state(version: u32) -> ClusterState {
    let mut commands = vec![join(1, version), join(2, version), Command::Activate(FIRST), batch()];
    if version >= 2 {
        commands.extend([
            Command::ChangeTimes { after: LogIndex(0), to: TIMES },
            Command::TimesInForce { since: LogIndex(5) },
            Command::ChangeTimes {
                after: LogIndex(6),
                to: Times { lease: Duration::from_secs(4), expel_after: Duration::from_secs(6), ..TIMES },
            },
        ]);
    }
    let mut state = ClusterState::new();
    for (index, command) in (1..).zip(&commands) {
        state.apply(LogIndex(index), command);
    }
    assert_eq!(state.version(), version, "all members follow it");
    assert_eq!(state.times().change().is_some(), version >= 2, "all of it was followed");
    state
}

fn join(member: u64, version: u32) -> Command {
    Command::Join(Join {
        member: MemberId(member),
        boot: BootId(u64::MAX - member),
        name: format!("node-{member}"),
        peer_address: ([10, 0, 0, 1], 5701).into(),
        client_addresses: vec![([192, 168, 0, 1], 5222).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 5223).into()],
        role: if member == 1 { Role::Server } else { Role::Witness },
        versions: VersionRange { min: 1, max: version },
    })
}

fn batch() -> Command {
    let bind = |resource: &str, session| Operation::Bind {
        jid: format!("juliet@example.org/{resource}").parse().expect("a full JID"),
        session: SessionId(session),
        conflict: ConflictPolicy::Replace,
    };
    let route = RouteId { index: LogIndex(4), position: 0 };
    let operations = vec![
        bind("balcony", 1),
        bind("chamber", u64::MAX),
        bind("garden", 3),
        Operation::Announce { route, presence: RoutePresence { priority: Some(-5), interested: true } },
        Operation::Unbind { route: RouteId { position: 2, ..route } },
    ];
    Command::Batch(Batch { life: FIRST, sequence: Sequence(1), operations })
}
