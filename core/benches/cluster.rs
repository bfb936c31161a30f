//! What the agreed state costs: applying binds, looking a route up, snapshots; with few and with many routes present.
//!
//! `cargo bench -p cresset-core --bench cluster`

use std::hint::black_box;

use cresset_core::cluster::{
    Batch, ClusterState, Command, ConflictPolicy, Join, Operation, Outcome, Role, STATE_VERSIONS, VersionRange,
};
use cresset_core::ids::{BootId, Life, LogIndex, MemberId, Sequence, SessionId};
use cresset_core::jid::{BareJid, FullJid};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Routes that are present: a company, and a game.
const PRESENT: [u64; 2] = [1_000, 1_000_000];

/// Binds in one entry: what gathers while the entry before it is agreed on.
const BATCH: u64 = 100;

fn benchmarks(criterion: &mut Criterion) {
    for present in PRESENT {
        let state = populated(present);
        apply(criterion, &state, present);
        look_up(criterion, &state, present);
        snapshot(criterion, &state, present);
    }
}

/// One entry that binds and then one that unbinds, so that the number of routes stays what it was.
fn apply(criterion: &mut Criterion, state: &ClusterState, present: u64) {
    let mut state = state.clone();
    let mut sequence = last_sequence(&state);
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function(BenchmarkId::new("bind_and_unbind", present), |bencher| {
        bencher.iter(|| {
            let routes = agree(&mut state, &mut sequence, (0..BATCH).map(|n| bind(present + n)).collect());
            let unbinds = routes.into_iter().map(|route| Operation::Unbind { route }).collect();
            agree(&mut state, &mut sequence, unbinds);
        });
    });
    group.finish();
}

fn look_up(criterion: &mut Criterion, state: &ClusterState, present: u64) {
    let accounts: Vec<BareJid> = (0..4096).map(|n| account(n * 7919 % present).to_bare()).collect();
    let mut next = accounts.iter().cycle();
    criterion.bench_function(&format!("look_up/{present}"), |bencher| {
        bencher.iter(|| black_box(state.routes_of(next.next().expect("a cycle does not end"))).is_some());
    });
}

fn snapshot(criterion: &mut Criterion, state: &ClusterState, present: u64) {
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10).throughput(Throughput::Elements(present));
    group.bench_function(BenchmarkId::new("encode", present), |bencher| {
        bencher.iter(|| state.encode_snapshot().len());
    });
    let bytes = state.encode_snapshot();
    group.bench_function(BenchmarkId::new("decode", present), |bencher| {
        bencher.iter_batched(
            || (),
            |()| ClusterState::decode_snapshot(&bytes, STATE_VERSIONS).expect("it was encoded just now"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn populated(present: u64) -> ClusterState {
    let mut state = ClusterState::new();
    state.apply(LogIndex(1), &Command::Join(join()));
    state.apply(LogIndex(2), &Command::Activate(life(&state)));
    let mut sequence = 0;
    for first in (0..present).step_by(1000) {
        agree(&mut state, &mut sequence, (first..first + 1000).map(bind).collect());
    }
    state
}

fn agree(state: &mut ClusterState, sequence: &mut u64, operations: Vec<Operation>) -> Vec<cresset_core::ids::RouteId> {
    *sequence += 1;
    let batch = Batch { life: life(state), sequence: Sequence(*sequence), operations };
    let applied = state.apply(state.applied().next(), &Command::Batch(batch));
    let Outcome::Operations(outcomes) = applied.outcome else { panic!("{:?}", applied.outcome) };
    let bound = outcomes.into_iter().filter_map(|outcome| match outcome {
        cresset_core::cluster::OperationOutcome::Bound(route) => Some(route),
        cresset_core::cluster::OperationOutcome::Done => None,
        cresset_core::cluster::OperationOutcome::TooManySessions | cresset_core::cluster::OperationOutcome::NotHeld => {
            panic!("{outcome:?}")
        }
    });
    bound.collect()
}

fn last_sequence(state: &ClusterState) -> u64 {
    state.member(MemberId(1)).expect("it has joined").last_batch.0
}

fn life(state: &ClusterState) -> Life {
    state.member(MemberId(1)).expect("it has joined").life()
}

fn account(number: u64) -> FullJid {
    FullJid::new(&format!("user{number}@example.org/client")).expect("a JID")
}

fn bind(number: u64) -> Operation {
    Operation::Bind { jid: account(number), session: SessionId(number), conflict: ConflictPolicy::Replace }
}

fn join() -> Join {
    Join {
        member: MemberId(1),
        boot: BootId(1),
        name: "a".to_owned(),
        peer_address: ([127, 0, 0, 1], 5701).into(),
        client_addresses: vec![([127, 0, 0, 1], 5222).into()],
        role: Role::Server,
        versions: VersionRange { min: 1, max: 1 },
    }
}

criterion_group!(cluster, benchmarks);
criterion_main!(cluster);
