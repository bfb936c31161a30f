//! What the tests of this room share: a control task, a network in memory, and something to agree on.

use std::future::Future;
use std::sync::{Arc, Mutex};

use cresset_core::cluster::{Batch, ClusterState, Command, ConflictPolicy, Operation};
use cresset_core::ids::{Incarnation, Life, MemberId, Sequence, SessionId};
use tokio::sync::mpsc;

use super::apply::ToControl;
use super::types::Proposal;
use crate::runtime;

/// Runs a test in a scope of randomness, with the real clock.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(runtime::scope(7, test));
}

/// A control task that does nothing but keep the state.
pub(super) fn control_task() -> (mpsc::Sender<ToControl>, Arc<Mutex<ClusterState>>) {
    let (sender, mut inbox) = mpsc::channel(16);
    let state = Arc::new(Mutex::new(ClusterState::new()));
    let kept = state.clone();
    runtime::spawn(async move {
        while let Some(message) = inbox.recv().await {
            let mut state = kept.lock().expect("no test panics while it holds the state");
            // Whoever asked may have ended.
            match message {
                ToControl::Committed { entries, reply } => {
                    for entry in entries {
                        match entry.command {
                            Some(command) => drop(state.apply(entry.index, &command)),
                            None => state.skip(entry.index),
                        }
                    }
                    let _ = reply.send(());
                }
                ToControl::TakeSnapshot { reply } => drop(reply.send(state.encode_snapshot())),
                ToControl::InstallSnapshot { bytes, reply } => {
                    let installed = ClusterState::decode_snapshot(&bytes).map(|read| *state = read);
                    let _ = reply.send(installed);
                }
            }
        }
    });
    (sender, state)
}

/// A batch of binds.
pub(super) fn binds(member: MemberId, incarnation: Incarnation, sequence: u64, count: u64) -> Command {
    let operations = (0..count).map(|n| {
        let session = sequence * 1_000_000 + n;
        let jid = format!("user{session}@example.org/{}", "r".repeat(24));
        Operation::Bind {
            jid: jid.parse().expect("a full JID"),
            session: SessionId(session),
            conflict: ConflictPolicy::Replace,
        }
    });
    let life = Life { member, incarnation };
    Command::Batch(Batch { life, sequence: Sequence(sequence), operations: operations.collect() })
}

/// A proposal of about a megabyte.
pub(super) fn big_proposal() -> Proposal {
    let jid = format!("romeo@example.org/{}", "r".repeat(1000));
    let operation = Operation::Bind {
        jid: jid.parse().expect("a full JID"),
        session: SessionId(1),
        conflict: ConflictPolicy::Replace,
    };
    let life = Life { member: MemberId(1), incarnation: Incarnation(1) };
    let batch = Batch { life, sequence: Sequence(1), operations: vec![operation; 1024] };
    Proposal(Arc::new(Command::Batch(batch)))
}
