//! How many binds a second three members agree on, each with its own directory and every sync waited for, in one
//! process with links in memory. One batch of each member is in flight, as in production.
//!
//! Measured on two shared cores and one disk: 2.8 k binds/s in batches of 1, 66 k in batches of 64, 114 k in batches
//! of 1024.
//!
//! `cargo bench -p cresset-net --bench consensus`; the directories are made where `TMPDIR` says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cresset_core::cluster::{
    Batch, ClusterState, Command, ConflictPolicy, Join, Operation, Role, STATE_VERSIONS, VersionRange,
};
use cresset_core::config::Timing;
use cresset_core::ids::{BootId, Life, MemberId, Sequence, SessionId};
use cresset_net::consensus::apply::ToControl;
use cresset_net::consensus::rpc::{CallError, PeerCalls, Server};
use cresset_net::consensus::{Consensus, ConsensusSettings};
use cresset_net::disk::DirectoryDisk;
use cresset_net::runtime;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

const MEMBERS: u64 = 3;
/// Sessions that come and come back.
const USERS: u64 = 60_000;

type Servers = Arc<Mutex<BTreeMap<MemberId, Server>>>;

struct Calls {
    me: MemberId,
    servers: Servers,
}

impl PeerCalls for Calls {
    fn call(&self, to: MemberId, question: Bytes, deadline: Duration) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let server = self.servers.lock().ok().and_then(|servers| servers.get(&to).cloned());
        let me = self.me;
        Box::pin(async move {
            let server = server.ok_or(CallError::NoLink)?;
            let answering = runtime::spawn(async move { server.serve(me, &question).await });
            let answer = tokio::time::timeout(deadline, answering).await.map_err(|_| CallError::TimedOut)?;
            answer.map_err(|error| CallError::Lost(error.to_string()))
        })
    }
}

struct Member {
    consensus: Consensus,
    /// The last batch of each member that was applied here.
    applied: watch::Receiver<BTreeMap<MemberId, u64>>,
    state: Arc<Mutex<ClusterState>>,
    _directory: tempfile::TempDir,
}

async fn control(
    mut inbox: mpsc::Receiver<ToControl>,
    state: Arc<Mutex<ClusterState>>,
    applied: watch::Sender<BTreeMap<MemberId, u64>>,
) {
    while let Some(message) = inbox.recv().await {
        let mut state = state.lock().expect("nobody panics while he holds it");
        match message {
            ToControl::Committed { entries, reply } => {
                for entry in entries {
                    let Some(command) = entry.command else {
                        state.skip(entry.index);
                        continue;
                    };
                    state.apply(entry.index, &command);
                    if let Command::Batch(batch) = &*command {
                        applied.send_modify(|last| *last.entry(batch.life.member).or_default() = batch.sequence.0);
                    }
                }
                let _ = reply.send(());
            }
            ToControl::Freeze { so_far, routes_max, reply } => {
                drop(reply.send(state.freeze(so_far.map(|frozen| *frozen), routes_max)))
            }
            ToControl::Prepare { reply } => drop(reply.send(STATE_VERSIONS)),
            ToControl::RoutesAhead { reply, .. } => drop(reply.send(())),
            ToControl::Install { installation, reply } => {
                let _ = reply.send(Some(Box::new(installation.install(&mut state).0)));
            }
        }
        applied.send_modify(|_| {});
    }
}

async fn start(id: u64, servers: &Servers) -> Member {
    let id = MemberId(id);
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let disk = Arc::new(DirectoryDisk::open(directory.path()).expect("it can be opened"));
    let (sender, inbox) = mpsc::channel(16);
    let state = Arc::new(Mutex::new(ClusterState::new()));
    let (applied_sender, applied) = watch::channel(BTreeMap::new());
    runtime::spawn(control(inbox, state.clone(), applied_sender));
    let settings = ConsensusSettings::new(id, Timing::default());
    let calls = Arc::new(Calls { me: id, servers: servers.clone() });
    let consensus = Consensus::start(settings, disk, calls, sender).await.expect("a new directory");
    servers.lock().expect("nobody panics while he holds it").insert(id, consensus.server());
    Member { consensus, applied, state, _directory: directory }
}

async fn cluster() -> Vec<Member> {
    let servers = Servers::default();
    let mut members = Vec::new();
    for id in 1..=MEMBERS {
        members.push(start(id, &servers).await);
    }
    let leader = &members[0].consensus;
    leader.bootstrap().await.expect("it is new");
    let mut status = leader.watch_status();
    status.wait_for(|status| status.leader == Some(MemberId(1))).await.expect("it goes on");
    let voters: BTreeSet<MemberId> = (1..=MEMBERS).map(MemberId).collect();
    while leader.status().voter_sets != [voters.clone()] {
        leader.set_membership(voters.clone(), BTreeSet::new());
        let changed = tokio::time::timeout(Duration::from_millis(100), status.changed()).await;
        changed.unwrap_or(Ok(())).expect("it goes on");
    }
    let joins = (1..=MEMBERS).map(|id| {
        Command::Join(Join {
            member: MemberId(id),
            boot: BootId(id),
            name: format!("node{id}"),
            peer_address: SocketAddr::from(([127, 0, 0, 1], 7000)),
            client_addresses: Vec::new(),
            role: Role::Server,
            versions: VersionRange { min: 1, max: 1 },
        })
    });
    leader.propose(joins.collect()).expect("there is room");
    let lives = until(&members[0], |state| (state.members().count() == 3).then(|| lives(state))).await;
    leader.propose(lives.into_iter().map(Command::Activate).collect()).expect("there is room");
    until(&members[0], |state| state.members().all(|member| member.is_active()).then_some(())).await;
    members
}

fn lives(state: &ClusterState) -> Vec<Life> {
    state.members().map(|member| member.life()).collect()
}

async fn until<T>(member: &Member, look: impl Fn(&ClusterState) -> Option<T>) -> T {
    let mut applied = member.applied.clone();
    loop {
        if let Some(found) = look(&member.state.lock().expect("nobody panics while he holds it")) {
            return found;
        }
        applied.changed().await.expect("the control task is there");
    }
}

/// The binds of one batch, made beforehand: parsing JIDs is the sessions' work.
fn operations(size: u64) -> Vec<Vec<Operation>> {
    let bind = |user: u64| Operation::Bind {
        jid: format!("user{user}@example.org/phone-{user:016x}").parse().expect("a full JID"),
        session: SessionId(user),
        conflict: ConflictPolicy::Replace,
    };
    (0..USERS / size).map(|batch| (batch * size..(batch + 1) * size).map(bind).collect()).collect()
}

/// Has `batches` batches agreed on, each member's one after the other, and known to all members.
async fn agree(members: &[Member], sequences: &mut BTreeMap<Life, u64>, prepared: &[Vec<Operation>], batches: u64) {
    let lanes = sequences.iter_mut().enumerate().map(|(lane, (life, sequence))| {
        let count = batches / MEMBERS + u64::from((lane as u64) < batches % MEMBERS);
        async move {
            let mut applied: Vec<_> = members.iter().map(|member| member.applied.clone()).collect();
            for _ in 0..count {
                *sequence += 1;
                let (number, life) = (*sequence, *life);
                let operations = prepared[(number * MEMBERS + lane as u64) as usize % prepared.len()].clone();
                let batch = Batch { life, sequence: Sequence(number), operations };
                members[0].consensus.propose(vec![Command::Batch(batch)]).expect("three wait at most");
                for applied in &mut applied {
                    let known = applied.wait_for(|last| last.get(&life.member).is_some_and(|&last| last >= number));
                    known.await.expect("the control task is there");
                }
            }
        }
    });
    futures_util::future::join_all(lanes).await;
}

fn binds(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let members = tokio.block_on(runtime::scope(1, cluster()));
    let lives = lives(&members[0].state.lock().expect("nobody panics while he holds it"));
    let mut sequences: BTreeMap<Life, u64> = lives.into_iter().map(|life| (life, 0)).collect();
    let mut group = criterion.benchmark_group("agreed binds, three members, every sync waited for");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for size in [1, 64, 1024] {
        let prepared = operations(size);
        group.throughput(Throughput::Elements(size * MEMBERS));
        group.bench_function(BenchmarkId::new("batch", size), |bencher| {
            bencher.iter_custom(|rounds| {
                let begin = Instant::now();
                tokio.block_on(runtime::scope(2, agree(&members, &mut sequences, &prepared, rounds * MEMBERS)));
                begin.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, binds);
criterion_main!(benches);
