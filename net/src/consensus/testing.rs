//! What the tests of this room share: a control task, a network in memory, and something to agree on.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::{
    Batch, ClusterState, Command, ConflictPolicy, Join, Operation, Role, STATE_VERSIONS, VersionRange,
};
use cresset_core::config::Timing;
use cresset_core::ids::{BootId, Incarnation, Life, LogIndex, MemberId, Sequence, SessionId};
use cresset_core::node::RaftStatus;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::apply::ToControl;
use super::rpc::{CallError, PeerCalls, Server};
use super::types::Proposal;
use super::{Consensus, ConsensusSettings, StartError};
use crate::disk::MemoryDisk;
use crate::runtime;

/// Runs a test in a scope of randomness, with the real clock.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(runtime::scope(7, test));
}

/// A control task that does nothing but keep the state, and what it keeps.
pub(super) fn control_task() -> (mpsc::Sender<ToControl>, Kept) {
    let (sender, mut inbox) = mpsc::channel(16);
    let (applied, watched) = watch::channel(LogIndex(0));
    let state = Arc::new(Mutex::new(ClusterState::new()));
    let kept = Kept { state: state.clone(), applied: watched };
    runtime::spawn(async move {
        while let Some(message) = inbox.recv().await {
            let mut state = state.lock().expect("no test panics while it holds the state");
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
                ToControl::Freeze { so_far, routes_max, reply } => {
                    let _ = reply.send(state.freeze(so_far.map(|frozen| *frozen), routes_max));
                }
                ToControl::Prepare { reply } => drop(reply.send(STATE_VERSIONS)),
                ToControl::RoutesAhead { reply, .. } => drop(reply.send(())),
                ToControl::Install { installation, reply } => {
                    let _ = reply.send(Some(Box::new(installation.install(&mut state).0)));
                }
            }
            applied.send_replace(state.applied());
        }
    });
    (sender, kept)
}

/// What a control task keeps.
#[derive(Clone)]
pub(super) struct Kept {
    state: Arc<Mutex<ClusterState>>,
    applied: watch::Receiver<LogIndex>,
}

impl Kept {
    /// Looks at the state.
    pub(super) fn look<T>(&self, look: impl FnOnce(&ClusterState) -> T) -> T {
        look(&self.state.lock().expect("no test panics while it holds the state"))
    }

    /// Waits until the state is as it should be.
    pub(super) async fn until(&self, is_right: impl Fn(&ClusterState) -> bool) {
        let mut applied = self.applied.clone();
        let right = applied.wait_for(|_| self.look(&is_right));
        in_time(right).await.expect("the control task is there");
    }
}

/// Waits no longer than a test should take.
pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it happens in time")
}

/// Links in memory between the members of a test.
#[derive(Clone, Default)]
pub(super) struct Network {
    servers: Arc<Mutex<BTreeMap<MemberId, Server>>>,
}

impl Network {
    pub(super) fn connect(&self, member: MemberId, server: Server) {
        self.servers.lock().expect("no test panics while it holds the links").insert(member, server);
    }

    pub(super) fn cut(&self, member: MemberId) {
        self.servers.lock().expect("no test panics while it holds the links").remove(&member);
    }

    pub(super) fn calls_of(&self, me: MemberId) -> Arc<dyn PeerCalls> {
        Arc::new(Calls { me, network: self.clone() })
    }

    fn server(&self, member: MemberId) -> Option<Server> {
        self.servers.lock().expect("no test panics while it holds the links").get(&member).cloned()
    }
}

struct Calls {
    me: MemberId,
    network: Network,
}

impl PeerCalls for Calls {
    fn call(&self, to: MemberId, question: Bytes, deadline: Duration) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let (me, network) = (self.me, self.network.clone());
        Box::pin(async move {
            // Who is cut off neither asks nor answers.
            let (Some(_), Some(server)) = (network.server(me), network.server(to)) else {
                return Err(CallError::NoLink);
            };
            let answering = runtime::spawn(async move { server.serve(me, &question).await });
            let answer = tokio::time::timeout(deadline, answering).await.map_err(|_| CallError::TimedOut)?;
            let answer = answer.map_err(|error| CallError::Lost(error.to_string()))?;
            if network.server(me).is_some() && network.server(to).is_some() {
                Ok(answer)
            } else {
                Err(CallError::Lost("cut".into()))
            }
        })
    }
}

/// A member of a test cluster.
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) disk: MemoryDisk,
    pub(super) consensus: Consensus,
    pub(super) kept: Kept,
    network: Network,
}

impl Member {
    pub(super) async fn start(network: &Network, id: u64, disk: MemoryDisk, snapshot_entries: u64) -> Member {
        Self::try_start(network, id, disk, snapshot_entries).await.expect("the disk is good")
    }

    pub(super) async fn try_start(
        network: &Network,
        id: u64,
        disk: MemoryDisk,
        snapshot_entries: u64,
    ) -> Result<Member, StartError> {
        let id = MemberId(id);
        let (control, kept) = control_task();
        let settings = ConsensusSettings { snapshot_entries, ..ConsensusSettings::new(id, Timing::default()) };
        let calls = network.calls_of(id);
        let consensus = Consensus::start(settings, Arc::new(disk.clone()), calls, control).await?;
        network.connect(id, consensus.server());
        Ok(Member { id, disk, consensus, kept, network: network.clone() })
    }

    /// Ends as a process does that is killed, and gives back the disk as the next process finds it.
    pub(super) async fn crash(self) -> MemoryDisk {
        self.network.cut(self.id);
        let disk = self.disk.reopened();
        self.consensus.shutdown().await;
        disk
    }

    pub(super) async fn until_status(&self, is_right: impl Fn(&RaftStatus) -> bool) {
        let mut status = self.consensus.watch_status();
        in_time(status.wait_for(|status| is_right(status))).await.expect("consensus goes on");
    }

    pub(super) async fn until_leading(&self) {
        self.until_status(|status| status.leader == Some(self.id)).await;
    }

    pub(super) fn propose(&self, command: Command) {
        self.consensus.propose(vec![command]).expect("there is room");
    }
}

/// A cluster of these members; the first one founded it and leads.
pub(super) async fn cluster<const N: usize>(network: &Network, snapshot_entries: u64) -> [Member; N] {
    let mut members = Vec::new();
    for id in 1..=N as u64 {
        members.push(Member::start(network, id, MemoryDisk::new(), snapshot_entries).await);
    }
    let first = &members[0];
    first.consensus.bootstrap().await.expect("it is not a member yet");
    first.until_leading().await;
    let voters: BTreeSet<MemberId> = members.iter().map(|member| member.id).collect();
    first.consensus.set_membership(voters.clone(), BTreeSet::new());
    for member in &members {
        member.until_status(|status| status.voter_sets == [voters.clone()] && status.leader == Some(MemberId(1))).await;
    }
    members.try_into().unwrap_or_else(|_| unreachable!("there are as many as were made"))
}

/// A process of a member begins its life.
pub(super) fn join(member: u64, boot: u64) -> Command {
    Command::Join(Join {
        member: MemberId(member),
        boot: BootId(boot),
        name: format!("node{member}"),
        peer_address: SocketAddr::from(([127, 0, 0, 1], 7000)),
        client_addresses: Vec::new(),
        role: Role::Server,
        versions: VersionRange { min: 1, max: 1 },
    })
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

/// A proposal of some 700 kB.
pub(super) fn big_proposal() -> Proposal {
    let jid = format!("romeo@example.org/{}", "r".repeat(1000));
    let operation = Operation::Bind {
        jid: jid.parse().expect("a full JID"),
        session: SessionId(1),
        conflict: ConflictPolicy::Replace,
    };
    let life = Life { member: MemberId(1), incarnation: Incarnation(1) };
    let batch = Batch { life, sequence: Sequence(1), operations: vec![operation; 700] };
    Proposal(Arc::new(Command::Batch(batch)))
}
