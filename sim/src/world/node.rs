//! One host with its machine: the disk and the address stay, processes come and go.
//!
//! The machine goes on when its process is killed, with nobody behind its ports, so that it refuses connections. That is
//! the difference between a process that has crashed and a machine that is gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cresset_core::cluster::{STATE_VERSIONS, VersionRange};
use cresset_core::config::discovery::TcpIp;
use cresset_core::config::{
    Accounts, ClientSettings, ClusterSettings, Config, Discovery, Listener, ListenerTls, NodeSettings, ServerRole,
    Timing,
};
use cresset_core::jid::DomainPart;
use cresset_net::admin::{ClusterStatus, MemberState};
use cresset_net::clients::DeriveHere;
use cresset_net::run::{self, LinkProtection, Parts, Reception, Running};
use cresset_net::runtime::{self, Delays, Standstill, Workers};
use tokio::time::timeout;

use super::desk::Desk;
use super::{DOMAIN, panics};
use crate::history::{ClusterView, Event, History};
#[cfg(cresset_simulated)]
use crate::parts::LookUps;
use crate::parts::{
    self, CLIENT_PORT, Drift, FallibleAccounts, PEER_PORT, SimulatedDisk, SimulatedTransport, SkewedClock, Switchboard,
    WallClock,
};
use crate::plan::{Lists, Turns};
use crate::seeds::Seed;

/// How often a node is asked how it sees the cluster.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// What all nodes of a world share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) seed: Seed,
    pub(super) addresses: Vec<IpAddr>,
    /// How many nodes have clients: the first ones.
    pub(super) servers: usize,
    pub(super) lists: Lists,
    pub(super) accounts: FallibleAccounts,
    /// Whether nodes look what operators have set.
    pub(super) follows_properties: bool,
    pub(super) switchboard: Switchboard,
    pub(super) snapshot_entries: u64,
    pub(super) turns: Turns,
    /// The latest version of the agreed state that the program follows with which every node begins.
    pub(super) program: u32,
    pub(super) history: History,
}

/// What outlives the processes of a node.
#[derive(Clone)]
pub(super) struct Ground {
    name: Arc<str>,
    number: usize,
    surroundings: Surroundings,
    drift: Drift,
    boots: Arc<AtomicU64>,
    /// Its machine's disk.
    pub(super) disk: SimulatedDisk,
    /// Its machine's wall clock.
    pub(super) wall: WallClock,
    /// The latest version of the agreed state that the program follows which is started next.
    pub(super) program: Arc<AtomicU32>,
    /// Whether there is a process.
    pub(super) is_up: Arc<AtomicBool>,
    /// Whether the process is to stop in good order.
    pub(super) is_told_to_stop: Arc<AtomicBool>,
    /// Where its operators leave their orders.
    pub(super) desk: Desk,
    /// Whether nothing of the process runs.
    pub(super) standstill: Standstill,
    /// How the process ended by itself.
    pub(super) end: Arc<Mutex<Option<End>>>,
}

/// How a process ends that nobody kills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// As it was told.
    Stopped,
    /// It could not go on, or not start.
    Failed,
}

impl Ground {
    pub(super) fn new(name: &str, number: usize, drift: Drift, surroundings: Surroundings) -> Self {
        let random = surroundings.seed.generator("disk", number as u64);
        let Turns { percent, worst } = surroundings.turns;
        let late = Delays { random: surroundings.seed.generator("late", number as u64), percent, worst };
        let observer = parts::disk_observer(name, &surroundings.history);
        Ground {
            name: name.into(),
            number,
            program: Arc::new(AtomicU32::new(surroundings.program)),
            surroundings,
            drift,
            boots: Arc::default(),
            disk: SimulatedDisk::new(random, observer),
            wall: WallClock::default(),
            is_up: Arc::new(AtomicBool::new(true)),
            is_told_to_stop: Arc::default(),
            desk: Desk::default(),
            standstill: if percent == 0 { Standstill::default() } else { Standstill::with(late) },
            end: Arc::default(),
        }
    }

    /// The latest version of the agreed state that the program follows with which it began.
    pub(super) fn first_program(&self) -> u32 {
        self.surroundings.program
    }

    /// How the process ended by itself, if it has since this was last asked.
    pub(super) fn take_end(&self) -> Option<End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn ended(&self, end: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    fn add(&self, event: Event) {
        self.surroundings.history.add(&self.name, event);
    }

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn is_witness(&self) -> bool {
        self.number >= self.surroundings.servers
    }

    fn config(&self) -> Config {
        let addresses = &self.surroundings.addresses;
        let here = |port| SocketAddr::new(addresses[self.number], port);
        let anywhere = |port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let known = (0..addresses.len()).filter(|of| self.surroundings.lists.tell(self.number, *of));
        let peers = known.map(|number| SocketAddr::new(addresses[number], PEER_PORT));
        Config {
            domain: DomainPart::new(DOMAIN).expect("the domain is one"),
            node: NodeSettings {
                name: self.name(),
                data: PathBuf::from("/simulated"),
                admin_socket: PathBuf::from("/simulated/admin.sock"),
                health: None,
            },
            accounts: Accounts::Sqlite { path: PathBuf::from("/simulated/accounts") },
            clients: (!self.is_witness()).then(|| ClientSettings {
                listeners: vec![Listener {
                    address: anywhere(CLIENT_PORT),
                    advertise: Some(here(CLIENT_PORT)),
                    tls: ListenerTls::Disabled,
                    proxied: false,
                }],
                certificate: None,
                connections_max: 1000,
            }),
            cluster: ClusterSettings {
                name: "simulated".to_owned(),
                listen: anywhere(PEER_PORT),
                advertise: here(PEER_PORT),
                ports_tried: 1,
                discovery: Discovery::TcpIp(TcpIp::of(PEER_PORT, peers)),
                secret_file: None,
                role: if self.is_witness() { ServerRole::Witness } else { ServerRole::Server },
                timing: Timing::default(),
                crash_evidence: true,
                enabled: true,
            },
        }
    }

    fn parts(&self) -> Parts<SimulatedTransport, SkewedClock> {
        let Surroundings { addresses, accounts, follows_properties, switchboard, snapshot_entries, history, .. } =
            &self.surroundings;
        let address = addresses[self.number];
        Parts {
            transport: SimulatedTransport::new(&self.name, address, switchboard.clone(), history.clone()),
            disk: Arc::new(self.disk.reopened()),
            clock: SkewedClock::start(self.drift, self.wall.clone()),
            accounts: Arc::new(accounts.clone()),
            machine: String::new(),
            link_protection: LinkProtection::PlaintextForSimulation,
            reception: Reception {
                certificate: None,
                derive: Arc::new(DeriveHere),
                randomness: runtime::generator,
                workers: Workers::here(),
                descriptors: usize::MAX,
            },
            config_file: None,
            admin_socket: None,
            follows_properties: *follows_properties,
            versions: VersionRange { min: STATE_VERSIONS.min, max: self.program.load(Ordering::Acquire) },
            health: None,
            snapshot_entries: *snapshot_entries,
        }
    }
}

/// What a host does from its boot on: it runs a node, or nothing while its process is dead.
pub(super) async fn live(ground: Ground) -> turmoil::Result {
    if ground.is_up.load(Ordering::Acquire) {
        let boot = ground.boots.fetch_add(1, Ordering::AcqRel);
        let seed = ground.surroundings.seed.of(&ground.name, boot);
        let node = runtime::scope(seed, run_node(&ground));
        runtime::process(ground.standstill.clone(), node).await;
    }
    // What is left of the process is cleared away from outside.
    std::future::pending().await
}

async fn run_node(ground: &Ground) {
    ground.add(Event::Started { node: ground.name() });
    let failure = match run::start(&ground.config(), ground.parts()).await {
        Ok(running) => watch(running, ground).await,
        Err(error) => Some(format!("it does not start: {error}")),
    };
    match failure {
        Some(reason) => {
            ground.add(Event::Failed { node: ground.name(), reason });
            ground.ended(End::Failed);
        }
        None => {
            ground.add(Event::Stopped { node: ground.name() });
            ground.ended(End::Stopped);
        }
    }
}

/// Notes each change in how the node sees the cluster, until it fails or was told to stop and has stopped.
async fn watch(mut running: Running, ground: &Ground) -> Option<String> {
    let mut last = ClusterView::default();
    #[cfg(cresset_simulated)]
    let mut lookups = LookUps::of(&ground.name);
    loop {
        if let Ok(failure) = timeout(LOOKS_EVERY, running.failed()).await {
            return Some(failure.to_string());
        }
        if panics::has_panicked(&ground.name) {
            return Some("a panic ends the process".to_owned());
        }
        if ground.is_told_to_stop.swap(false, Ordering::AcqRel) {
            running.stop().await;
            return None;
        }
        take_orders(&running, ground);
        #[cfg(cresset_simulated)]
        lookups.look(&running, &ground.name, &ground.surroundings.history);
        let Some(status) = running.status().await else { continue };
        let view = view(&status);
        if view != last {
            ground.add(Event::Sees { node: ground.name(), view: view.clone() });
            last = view;
        }
    }
}

/// Takes what operators have left, and has it answered when the answer is there.
fn take_orders(running: &Running, ground: &Ground) {
    while let Some((number, order)) = ground.desk.take() {
        ground.add(Event::Ordered { number, node: ground.name(), order: order.clone() });
        let (desk, history, name) = (ground.desk.clone(), ground.surroundings.history.clone(), ground.name.clone());
        let answer = running.order(order);
        runtime::spawn(async move {
            let outcome = answer.await;
            let refusal = match &outcome {
                Some(Ok(())) => None,
                Some(Err(refusal)) => Some(refusal.to_string()),
                None => Some("it stops".to_owned()),
            };
            history.add(&name, Event::OrderAnswered { number, node: name.to_string(), refusal });
            desk.answer(number, outcome);
        });
    }
}

fn view(status: &ClusterStatus) -> ClusterView {
    let mut active: Vec<String> = status
        .members
        .iter()
        .filter(|member| member.state == MemberState::Active && member.reachable)
        .map(|member| member.name.clone())
        .collect();
    active.sort();
    ClusterView {
        serving: status.serving,
        alone: status.alone,
        version: status.version,
        leader: status.leader.clone(),
        term: status.term,
        active,
        sessions: status.sessions,
    }
}
