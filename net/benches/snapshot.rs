//! How long the control task, and whoever else runs beside it, has to wait while a snapshot of a million routes is taken
//! and installed: the longest step of each part. While the control task works at one of its parts it does not beat.
//!
//! `cargo bench -p cresset-net --bench snapshot`

// A bench is a program.
#![allow(clippy::print_stdout)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cresset_core::cluster::{
    Batch, Change, ClusterState, Command, ConflictPolicy, ExpelReason, Join, Operation, Role, STATE_VERSIONS,
    SnapshotReader, SnapshotWriter, VersionRange,
};
use cresset_core::config::Timing;
use cresset_core::ids::{BootId, MemberId, Sequence, SessionId};
use cresset_core::jid::DomainPart;
use cresset_core::node::{Entry, Input, Node, NodeSettings, Output};
use cresset_core::time::Uptime;
use cresset_net::accounts::memory::MemoryAccounts;
use cresset_net::clock::SystemClock;
use cresset_net::consensus::apply::{FROZEN_PER_STEP, ROUTES_PER_STEP};
use cresset_net::router::Router;
use cresset_net::runtime::Workers;

/// Routes of each member.
const ROUTES: u64 = 333_333;
const MEMBERS: u64 = 3;

fn main() {
    let present = populated();
    let next = half_renewed(&present);
    println!("{} routes, of which a half are others in the snapshot", present.sessions());

    let mut control = Control::of(&present);
    let mut taken = Steps::of("control: freeze");
    let mut frozen = taken.take(|| present.freeze(None, FROZEN_PER_STEP));
    while !frozen.is_complete() {
        frozen = taken.take(|| present.freeze(Some(frozen), FROZEN_PER_STEP));
    }
    taken.report();

    let mut writes = Steps::of("aside: write");
    let mut writer = writes.take(|| SnapshotWriter::new(next.freeze(None, usize::MAX)));
    let bytes = loop {
        if let Some(bytes) = writes.take(|| writer.step(ROUTES_PER_STEP)) {
            break bytes;
        }
    };
    writes.report();

    let mut reads = Steps::of("aside: read");
    let mut reader = SnapshotReader::new(&bytes, STATE_VERSIONS).expect("it was written a moment ago");
    let read = loop {
        if let Some(state) = reads.take(|| reader.step(ROUTES_PER_STEP)).expect("it was written a moment ago") {
            break state;
        }
    };
    reads.report();

    let (mut compared, mut shown) = (Steps::of("aside: compare"), Steps::of("control: show routes"));
    let mut change = Change::new(frozen, read);
    while let Some(events) = compared.take(|| change.step(ROUTES_PER_STEP)) {
        shown.take(|| control.handle(Input::RoutesAhead(events)));
    }
    compared.report();
    shown.report();

    let mut installed = Steps::of("control: install");
    let installation = Box::new(change.into_installation());
    installed.take(|| control.handle(Input::Installed(installation)));
    let mut replaced = installed.take(|| control.node.take_replaced()).expect("there was a state");
    installed.report();

    let mut dropped = Steps::of("aside: drop");
    while dropped.take(|| replaced.shed(ROUTES_PER_STEP)) {}
    dropped.take(|| drop(replaced));
    dropped.report();

    let mut expelled = Steps::of("control: a member ends with its routes");
    let life = control.node.state().member(MemberId(3)).expect("it is there").life();
    let command = Some(Arc::new(Command::Expel { life, reason: ExpelReason::Crashed }));
    let index = control.node.state().applied().next();
    expelled.take(|| control.handle(Input::Committed(vec![Entry { index, command }])));
    expelled.report();
}

/// How long some steps have taken.
struct Steps {
    what: &'static str,
    count: usize,
    longest: Duration,
    all: Duration,
}

impl Steps {
    fn of(what: &'static str) -> Steps {
        Steps { what, count: 0, longest: Duration::ZERO, all: Duration::ZERO }
    }

    fn take<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = step();
        let taken = begun.elapsed();
        self.count += 1;
        self.all += taken;
        self.longest = self.longest.max(taken);
        done
    }

    fn report(&self) {
        let Steps { what, count, longest, all } = self;
        println!("{what:40} {count:5} steps, the longest {longest:10.1?}, all {all:10.1?}");
    }
}

/// What the control task does with a fact.
struct Control {
    node: Node,
    router: Arc<Router>,
}

impl Control {
    /// One that shows that state.
    fn of(state: &ClusterState) -> Control {
        let domain = DomainPart::new("example.org").expect("a domain");
        let accounts = Arc::new(MemoryAccounts::new());
        let (router, _) = Router::new(domain, MemberId(9), accounts, SystemClock::start(), Workers::here());
        let mut control = Control { node: Node::new(Uptime::ZERO, settings()), router };
        let mut change = Change::new(ClusterState::new().freeze(None, usize::MAX), state.clone());
        while let Some(events) = change.step(usize::MAX) {
            control.handle(Input::RoutesAhead(events));
        }
        control.handle(Input::Installed(Box::new(change.into_installation())));
        control.node.take_replaced();
        control
    }

    fn handle(&mut self, input: Input) {
        self.node.handle(Uptime::ZERO, input);
        while let Some(output) = self.node.poll_output() {
            if let Output::Event(event) = output {
                self.router.handle_event(&event);
            }
        }
        self.router.applied(self.node.state().applied());
    }
}

/// Members with their sessions.
fn populated() -> ClusterState {
    let mut state = ClusterState::new();
    for id in 1..=MEMBERS {
        state.apply(state.applied().next(), &Command::Join(join(id)));
        let life = state.member(MemberId(id)).expect("it has joined").life();
        state.apply(state.applied().next(), &Command::Activate(life));
        agree(&mut state, id, (0..ROUTES).map(|number| bind(id, number)).collect());
    }
    state
}

/// The same later: a half of the sessions have gone, and as many others have come.
fn half_renewed(present: &ClusterState) -> ClusterState {
    let mut state = present.clone();
    for id in 1..=MEMBERS {
        let of_member = present.routes().filter(|route| route.member == MemberId(id));
        agree(&mut state, id, of_member.step_by(2).map(|route| Operation::Unbind { route: route.id }).collect());
        agree(&mut state, id, (ROUTES..ROUTES + ROUTES / 2).map(|number| bind(id, number)).collect());
    }
    state
}

fn agree(state: &mut ClusterState, member: u64, mut operations: Vec<Operation>) {
    while !operations.is_empty() {
        let rest = operations.split_off(operations.len().min(1000));
        let member = state.member(MemberId(member)).expect("it has joined");
        let (life, sequence) = (member.life(), Sequence(member.last_batch.0 + 1));
        state.apply(state.applied().next(), &Command::Batch(Batch { life, sequence, operations }));
        operations = rest;
    }
}

fn bind(member: u64, number: u64) -> Operation {
    let jid = format!("user{member}-{number}@example.org/client").parse().expect("a JID");
    Operation::Bind { jid, session: SessionId(number), conflict: ConflictPolicy::Replace }
}

fn join(id: u64) -> Join {
    Join {
        member: MemberId(id),
        boot: BootId(id),
        name: format!("node{id}"),
        peer_address: SocketAddr::from(([127, 0, 0, 1], 5701)),
        client_addresses: Vec::new(),
        role: Role::Server,
        versions: VersionRange { min: 1, max: 1 },
    }
}

fn settings() -> NodeSettings {
    NodeSettings {
        member: MemberId(9),
        boot: BootId(9),
        name: "node9".to_owned(),
        peer_address: SocketAddr::from(([127, 0, 0, 1], 5702)),
        client_addresses: Vec::new(),
        role: Role::Server,
        versions: STATE_VERSIONS,
        timing: Timing::default(),
        replace_voter_after: None,
        crash_evidence: true,
        order_time_max: Duration::from_secs(4),
    }
}
