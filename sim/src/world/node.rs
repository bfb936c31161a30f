//! One host with its machine: the disk and the address stay, processes come and go.
//!
//! The machine goes on when its process is killed, with nobody behind its ports, so that it refuses connections. That is
//! the difference between a process that has crashed and a machine that is gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cresset_core::config::{
    Accounts, ClientSettings, ClusterSettings, Config, Listener, ListenerTls, NodeSettings, PeerAddress, ServerRole,
    Timing,
};
use cresset_core::jid::DomainPart;
use cresset_net::accounts::memory::MemoryAccounts;
use cresset_net::admin::{ClusterStatus, MemberState};
use cresset_net::clients::DeriveHere;
use cresset_net::run::{self, LinkProtection, Parts, Reception, Running};
use cresset_net::runtime;
use tokio::time::timeout;

use super::DOMAIN;
use crate::history::{ClusterView, Event, History};
#[cfg(cresset_simulated)]
use crate::parts::LookUps;
use crate::parts::{self, CLIENT_PORT, Drift, PEER_PORT, SimulatedDisk, SimulatedTransport, SkewedClock};
use crate::seeds::Seed;

/// How often a node is asked how it sees the cluster.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// What outlives the processes of a node.
#[derive(Clone)]
pub(super) struct Ground {
    name: Arc<str>,
    addresses: Vec<IpAddr>,
    number: usize,
    seed: Seed,
    drift: Drift,
    pub(super) disk: SimulatedDisk,
    accounts: MemoryAccounts,
    history: History,
    boots: Arc<AtomicU64>,
    /// Whether there is a process.
    pub(super) is_up: Arc<AtomicBool>,
}

impl Ground {
    pub(super) fn new(
        name: &str,
        addresses: Vec<IpAddr>,
        number: usize,
        seed: Seed,
        drift: Drift,
        accounts: MemoryAccounts,
        history: History,
    ) -> Self {
        Ground {
            name: name.into(),
            addresses,
            number,
            seed,
            drift,
            disk: SimulatedDisk::new(seed.generator("disk", number as u64), parts::disk_observer(name, &history)),
            accounts,
            history,
            boots: Arc::default(),
            is_up: Arc::new(AtomicBool::new(true)),
        }
    }

    fn add(&self, event: Event) {
        self.history.add(&self.name, event);
    }

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn config(&self) -> Config {
        let here = |port| SocketAddr::new(self.addresses[self.number], port);
        let anywhere = |port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let peers = self.addresses.iter().map(|address| PeerAddress { host: address.to_string(), port: PEER_PORT });
        Config {
            domain: DomainPart::new(DOMAIN).expect("the domain is one").into_owned(),
            node: NodeSettings {
                name: self.name(),
                data: PathBuf::from("/simulated"),
                admin_socket: PathBuf::from("/simulated/admin.sock"),
            },
            accounts: Accounts::Sqlite { path: PathBuf::from("/simulated/accounts") },
            clients: Some(ClientSettings {
                listeners: vec![Listener {
                    address: anywhere(CLIENT_PORT),
                    advertise: Some(here(CLIENT_PORT)),
                    tls: ListenerTls::Disabled,
                }],
                certificate: None,
                connections_max: 1000,
            }),
            cluster: ClusterSettings {
                listen: anywhere(PEER_PORT),
                advertise: here(PEER_PORT),
                peers: peers.collect(),
                connect_time_max: Duration::from_secs(5),
                secret_file: None,
                role: ServerRole::Server,
                timing: Timing::default(),
                crash_evidence: true,
            },
        }
    }

    fn parts(&self) -> Parts<SimulatedTransport, SkewedClock> {
        Parts {
            transport: SimulatedTransport::new(&self.name, self.history.clone()),
            disk: Arc::new(self.disk.reopened()),
            clock: SkewedClock::start(self.drift),
            accounts: Arc::new(self.accounts.clone()),
            link_protection: LinkProtection::PlaintextForSimulation,
            reception: Reception { certificate: None, derive: Arc::new(DeriveHere), randomness: runtime::generator },
            admin_socket: None,
        }
    }
}

/// What a host does from its boot on: it runs a node, or nothing while its process is dead.
pub(super) async fn live(ground: Ground) -> turmoil::Result {
    if !ground.is_up.load(Ordering::Acquire) {
        return std::future::pending().await;
    }
    let boot = ground.boots.fetch_add(1, Ordering::AcqRel);
    let seed = ground.seed.of(&ground.name, boot);
    runtime::scope(seed, async {
        ground.add(Event::Started { node: ground.name() });
        let running = run::start(&ground.config(), ground.parts()).await?;
        let reason = watch(running, &ground).await;
        ground.add(Event::Failed { node: ground.name(), reason: reason.clone() });
        Err(reason.into())
    })
    .await
}

/// Notes each change in how the node sees the cluster, until it fails.
async fn watch(mut running: Running, ground: &Ground) -> String {
    let mut last = ClusterView::default();
    #[cfg(cresset_simulated)]
    let mut lookups = LookUps::default();
    loop {
        if let Ok(failure) = timeout(LOOKS_EVERY, running.failed()).await {
            return failure.to_string();
        }
        #[cfg(cresset_simulated)]
        lookups.look(&running, &ground.name, &ground.history);
        let Some(status) = running.status().await else { continue };
        let view = view(&status);
        if view != last {
            ground.add(Event::Sees { node: ground.name(), view: view.clone() });
            last = view;
        }
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
        leader: status.leader.clone(),
        term: status.term,
        active,
        sessions: status.sessions,
    }
}
