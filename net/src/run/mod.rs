//! A node, whole: its parts are built, wired and stopped in order here.
//!
//! ```text
//!  parts (transport, disk, clock, accounts, seed) + Config
//!      │
//!      ▼  start                                        stop ▲
//!  standing ─▶ router ─▶ links ─▶ control task ─▶ Raft ─▶ clients ─▶ control socket
//! ```
//!
//! The control task runs before Raft starts, because what is committed already is handed to it during the start; the
//! links run before that, because the control task commands them. Clients come last: nobody connects to a node that is
//! half there. The simulation builds a node by the same function from other parts.

mod doors;
mod found;
mod properties;
mod raft_lane;
mod recover;
mod times;
mod told;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cresset_core::cluster::{AgreedTimes, Chronicle, Role, RouteView, VersionRange};
use cresset_core::config::alike::Alike;
use cresset_core::config::properties::Agreed;
use cresset_core::config::{ClusterSettings, Config, ServerRole};
use cresset_core::discovery::DiscoveryKey;
use cresset_core::fencing::Times;
use cresset_core::ids::{BootId, LogIndex, MemberId, RouteId};
use cresset_core::jid::FullJid;
use cresset_core::node::{Clustering, LEAVE_TIME_MAX, Mode, NodeSettings, Order, RaftStatus, Refusal, Unready};
use cresset_core::session::SessionSettings;
use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::accounts::{ClusterId, Store};
use crate::admin::{self, ClusterStatus};
use crate::clients::{Certificate, TlsError};
use crate::clock::Clock;
use crate::consensus::{self, Consensus, ConsensusSettings};
use crate::control::founding::{self, Founder, FoundingError, Standing};
use crate::control::stamp::Stamper;
use crate::control::{Control, End, Inlets, MeshMaker, PresentMesh, Question, draw_boot};
use crate::discovery::{Search, Seeker};
use crate::disk::Disk;
use crate::health::Health;
use crate::links::{Identity, JoinSecret, LinkEvent, LinkSecurity, Mesh, Services};
use crate::router::Router;
use crate::runtime;
use crate::transport::Transport;

use self::doors::Doors;
pub use self::doors::{DoorsError, Reception};
use self::properties::Followed;
use self::raft_lane::{Calls, RaftEnd};
pub use self::recover::{AnswersAs, OtherVoter, RecoverError, Remains, Survivor, Unfinished};
pub(crate) use self::times::Noted;
use self::told::{Told, ask};

/// The file that makes a data directory a member's, for a simulation that looks at a disk from outside.
#[cfg(cresset_simulated)]
pub const BINDING: &str = founding::FILE;

/// For the attack on all decoders.
#[cfg(test)]
pub(crate) fn decoders() -> Vec<crate::hostile_bytes::Decoder> {
    vec![recover::tests::decoder()]
}

/// Of what a directory keeps.
#[cfg(test)]
pub(crate) fn examples() -> Vec<crate::formats::Example> {
    vec![recover::tests::example(), times::tests::example()]
}

/// Entries of the log and questions that wait for the control task. Raft waits beyond it.
const CONTROL_QUEUE_MAX: usize = 64;

/// How long leadership may take to be handed over.
const HAND_OVER_TIME_MAX: Duration = Duration::from_millis(500);

/// What a node is made of besides its configuration: the four seams, and how its links are secured.
pub struct Parts<T, C> {
    /// Streams to other members and from clients.
    pub transport: T,
    /// The data directory.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: C,
    /// The account store that all members share.
    pub accounts: Arc<dyn Store>,
    /// The machine on which all members must run, as [`Opened::machine`](crate::accounts::Opened::machine) says it;
    /// empty if the account store serves several.
    pub machine: String,
    /// Whether links are encrypted. A simulated network may do without.
    pub link_protection: LinkProtection,
    /// What clients need that is not in the configuration.
    pub reception: Reception,
    /// The file with the node's configuration, to be named to operators; absent if it has none of ours.
    pub config_file: Option<PathBuf>,
    /// The control socket; absent where nobody operates the node from outside.
    pub admin_socket: Option<PathBuf>,
    /// Whether the node does what operators set for all nodes. A simulation in which nobody sets anything does without.
    pub follows_properties: bool,
    /// The versions of the agreed state that the program follows: [`STATE_VERSIONS`](cresset_core::cluster::STATE_VERSIONS),
    /// unless a simulation mixes programs.
    pub versions: VersionRange,
    /// Where it is asked whether the node lives and is ready; absent where nobody asks.
    pub health: Option<Health>,
    /// Entries between two snapshots: [`consensus::SNAPSHOT_ENTRIES`], unless a simulation wants many.
    pub snapshot_entries: u64,
}

/// Whether links are encrypted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkProtection {
    /// By the join secret in the account store.
    SharedSecret,
    /// By a join secret of the operator's.
    Secret(Vec<u8>),
    /// Not at all: only for a simulated network, whose bytes must not depend on entropy.
    PlaintextForSimulation,
}

impl LinkProtection {
    /// What the members of the cluster know and nobody else does, `shared` being what is in the account store.
    fn join_secret<'a>(&'a self, shared: &'a [u8]) -> &'a [u8] {
        match self {
            LinkProtection::Secret(secret) => secret,
            LinkProtection::SharedSecret | LinkProtection::PlaintextForSimulation => shared,
        }
    }
}

/// Why a node does not start. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory and the account store do not fit, or cannot be used.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// The address for other members cannot be listened on.
    #[error("cannot listen on {address} for other members: {reason}")]
    Links {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// The log or the snapshots cannot be used.
    #[error("the data directory: {0}")]
    Consensus(#[from] consensus::StartError),
    /// Clients cannot be served.
    #[error(transparent)]
    Doors(#[from] DoorsError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
}

/// A node that runs.
pub struct Running {
    member: MemberId,
    cluster: ClusterId,
    consensus: Consensus,
    router: Arc<Router>,
    doors: Option<Doors>,
    mesh: Arc<PresentMesh>,
    questions: mpsc::Sender<Question>,
    told: Told,
    health: Option<Health>,
    control: tokio::task::JoinHandle<End>,
    stamper: tokio::task::JoinHandle<FoundingError>,
    /// What runs for the operator, and what notes things that may be noted later.
    operation: Vec<tokio::task::JoinHandle<()>>,
}

/// Why a node that was not asked to has stopped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Starts a node. It joins its cluster, or founds it, by itself; whether it serves is seen in its status. Must run
/// inside a [`runtime::scope`].
///
/// # Errors
///
/// Whatever the operator has to put right first. Nothing runs then.
pub async fn start<T: Transport, C: Clock>(config: &Config, parts: Parts<T, C>) -> Result<Running, StartError> {
    let Parts { transport, disk, clock, accounts, machine, link_protection, reception, .. } = parts;
    let Parts { admin_socket, follows_properties, health, snapshot_entries, versions, config_file, .. } = parts;
    let standing = founding::establish(&*disk, &*accounts, &config.node.name, &mut runtime::generator()).await?;
    let cluster_id = founding::hexadecimal(&standing.identity.cluster_id.0);
    let followed = if follows_properties {
        let (enabled, name) = (config.cluster.enabled, &config.node.name);
        let followed = Followed::read_first(&*accounts, enabled, name, clock.wall()).await;
        Some(followed.map_err(FoundingError::Store)?)
    } else {
        None
    };
    let agreed = followed.as_ref().map_or_else(Agreed::default, |followed| followed.agreed.clone());
    let mode = Mode::of(&agreed);
    wait_as_agreed(followed.as_ref().filter(|followed| followed.mode() == Mode::Clustered)).await;
    let agreed_times = times::settle(&*disk, config.cluster.timing.times()).await?;
    let boot = draw_boot();

    let workers = reception.workers.clone();
    let (router, requests) =
        Router::new(config.domain.clone(), standing.member, accounts.clone(), clock.clone(), workers);
    let raft = Arc::new(RaftEnd::default());
    let join_secret = link_protection.join_secret(&standing.identity.join_secret.0);
    let security = link_security(&link_protection, join_secret);
    let identity = Identity {
        cluster: cluster_id.clone(),
        member: standing.member,
        boot,
        name: config.node.name.clone(),
        address: config.cluster.advertise,
        versions,
        machine,
        program: PROGRAM.to_owned(),
        alike: Some(alike(config, &agreed, agreed_times)),
    };
    let maker = |listen, address| {
        let identity = Identity { address, ..identity.clone() };
        let services = Services { raft: raft.clone(), data: router.clone(), workers: reception.workers.clone() };
        mesh_maker(transport.clone(), listen, identity, security.clone(), services)
    };
    let (config, make_mesh, (mesh, links)) = open_links(config, boot, maker).await?;
    let config = &config;
    router.connect(Some(mesh.clone()));
    let seeker = Seeker {
        clock: clock.clone(),
        boot,
        address: mesh.identity().address,
        key: DiscoveryKey::derive(join_secret, &config.cluster.name),
        randomness: reception.randomness,
    };
    let mut search = Search::begin(&config.cluster, seeker);
    let mesh = Arc::new(watch::Sender::new(mesh));

    let (to_control, committed) = mpsc::channel(CONTROL_QUEUE_MAX);
    let (questions, asked) = mpsc::channel(CONTROL_QUEUE_MAX);
    let (raft_status, raft_statuses) = watch::channel(RaftStatus::default());
    let noted_times = watch::Sender::new(None);
    let noting = times::note(disk.clone(), noted_times.subscribe());
    let node_settings = node_settings(config, &agreed, standing.member, boot, versions);
    let control = Control {
        clustering: Clustering::new(clock.now(), node_settings, &agreed, Box::new(draw_boot)),
        held: None,
        clock: clock.clone(),
        consensus: raft.consensus.clone(),
        mesh: mesh.clone(),
        make_mesh,
        router: router.clone(),
        name: config.node.name.clone(),
        cluster_id,
        seeds: search.candidates(),
        led_from: None,
        programs: BTreeMap::from([(standing.member, PROGRAM.to_owned())]),
        called: BTreeMap::new(),
        refusals: BTreeMap::new(),
        was_founded: standing.identity.formed,
        recover: recover_command(config_file.as_deref()),
        chronicle: Chronicle::default(),
        ordered: BTreeMap::new(),
        orders: 0,
        stop_has_begun: false,
        callers: BTreeMap::new(),
        lives: BTreeMap::new(),
        linked: BTreeMap::new(),
        ahead: None,
        times: AgreedTimes::default(),
        noted_times,
    };
    let inlets = Inlets { committed, links, raft: raft_statuses, requests, questions: asked, search };
    let control = runtime::spawn(control.run(inlets));

    let settings = ConsensusSettings {
        snapshot_entries,
        versions,
        ..ConsensusSettings::new(standing.member, config.cluster.timing.clone())
    };
    let calls = Arc::new(Calls(mesh.clone()));
    let founder = Founder { member: standing.member, disk: disk.clone(), accounts: accounts.clone() };
    let (member, last) = (standing.member, standing.stamp);
    let stamper = Stamper { member, disk: disk.clone(), accounts: accounts.clone(), last };
    let started = Consensus::start(settings, disk, calls, to_control).await;
    let consensus = match started {
        Ok(consensus) => consensus,
        Err(error) => {
            mesh.borrow().clone().stop().await;
            control.abort();
            return Err(error.into());
        }
    };
    raft.fill(&consensus);
    runtime::spawn(forward(consensus.watch_status(), raft_status));

    let switch = watch::Sender::new(mode);
    let mut running = Running {
        member: standing.member,
        cluster: standing.identity.cluster_id,
        consensus,
        router,
        doors: None,
        mesh,
        told: Told::new(questions.clone(), accounts.clone()),
        health,
        questions,
        control,
        stamper: runtime::spawn(stamper.run()),
        operation: vec![runtime::spawn(noting)],
    };
    let decoy_secret = standing.identity.fake_salt_secret.0;
    let opened = running.open(config, transport, reception, accounts.clone(), admin_socket, decoy_secret).await;
    // Whoever cannot open its doors does not found: the others would wait for it.
    let founded = match opened {
        Ok(()) => running.found(standing, founder, &switch).await,
        Err(error) => Err(error),
    };
    match founded {
        Ok(()) => {
            running.follow(followed, accounts, switch);
            Ok(running)
        }
        Err(error) => {
            running.end().await;
            Err(error)
        }
    }
}

impl Running {
    /// Opens the doors: for clients, then for the operator and for whoever asks how the node is.
    async fn open<T: Transport>(
        &mut self,
        config: &Config,
        transport: T,
        reception: Reception,
        accounts: Arc<dyn Store>,
        admin_socket: Option<PathBuf>,
        decoy_secret: [u8; 32],
    ) -> Result<(), StartError> {
        if let Some(settings) = &config.clients {
            let session = SessionSettings::new(config.domain.clone(), decoy_secret, env!("CARGO_PKG_VERSION"));
            let doors = Doors::open(transport, settings, session, reception, accounts, self.router.clone()).await?;
            self.told.of_clients(doors.places());
            self.doors = Some(doors);
        }
        if let Some(path) = admin_socket {
            let server = admin::Server::open(&path).await?;
            self.operation.push(runtime::spawn(server.serve(self.told.to_operators())));
        }
        if let Some(health) = &self.health {
            health.answer_by(self.told.of_health());
        }
        Ok(())
    }

    /// Does from here on what operators set.
    fn follow(&mut self, followed: Option<Followed>, accounts: Arc<dyn Store>, switch: watch::Sender<Mode>) {
        let Some(followed) = followed else { return };
        let given_up = properties::tell_if_given_up(self.questions.clone(), accounts.clone(), self.cluster);
        self.operation.push(runtime::spawn(given_up));
        let told = properties::tell_the_switch(self.questions.clone(), switch.subscribe());
        self.operation.push(runtime::spawn(told));
        let alone = properties::tell_if_alone(self.questions.clone(), followed.agreed.clone());
        self.operation.push(runtime::spawn(alone));
        self.operation.push(runtime::spawn(followed.follow(accounts, self.router.clone(), switch)));
    }

    /// Founds the cluster, or sees to it that somebody does, once clustering is on.
    async fn found(
        &mut self,
        standing: Standing,
        founder: Founder,
        switch: &watch::Sender<Mode>,
    ) -> Result<(), StartError> {
        let Standing { identity, is_founder, .. } = standing;
        if *switch.borrow() == Mode::Standalone {
            if is_founder || !identity.formed {
                let waits =
                    found::found_when_it_is_on(founder, self.consensus.clone(), identity.founder, switch.subscribe());
                self.operation.push(runtime::spawn(waits));
            }
            return Ok(());
        }
        if is_founder && found::found(&founder, &self.consensus).await? {
            self.operation.push(runtime::spawn(found::finish(founder, self.consensus.clone())));
        } else if !identity.formed {
            let waits = found::found_if_nobody_does(founder, self.consensus.clone(), identity.founder);
            self.operation.push(runtime::spawn(waits));
        }
        Ok(())
    }

    /// Which member this node is.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// What clients connect to, in the order of the configuration; empty for a witness.
    pub fn client_addresses(&self) -> &[SocketAddr] {
        self.doors.as_ref().map_or(&[], Doors::addresses)
    }

    /// Shows another certificate from here on. Connections that are up keep what they have.
    ///
    /// # Errors
    ///
    /// If it cannot be used; the one before stays.
    pub fn replace_certificate(&self, certificate: Certificate) -> Result<(), TlsError> {
        self.doors.as_ref().map_or(Ok(()), |doors| doors.replace_certificate(certificate))
    }

    /// How the cluster is, as this node sees it; absent if it has stopped.
    pub async fn status(&self) -> Option<ClusterStatus> {
        ask(&self.questions, Question::Status).await
    }

    /// An operator asks for something, as through the control socket: answered when it is done or refused. Absent if the
    /// node stops before. Whoever waits for the answer does not hold the node.
    pub fn order(&self, order: Order) -> impl Future<Output = Option<Result<(), Refusal>>> + Send + use<> {
        let questions = self.questions.clone();
        async move { told::order(&questions, order).await }
    }

    /// Who holds a full JID as connections of this node read it at this moment, and how far the log is shown; absent
    /// while they are not served.
    pub fn holder(&self, jid: &FullJid) -> Option<(Option<RouteId>, LogIndex)> {
        if !self.router.gate().may_serve(self.router.now()) {
            return None;
        }
        let applied = self.router.view().applied();
        let routes = self.router.view().routes_of(&jid.to_bare());
        let holder = routes.iter().flat_map(|routes| routes.iter()).find(|route| route.jid == *jid);
        Some((holder.map(|route| route.id), applied))
    }

    /// Waits until the node cannot go on by itself.
    pub async fn failed(&mut self) -> Failure {
        tokio::select! {
            biased;
            end = &mut self.control => match end {
                Ok(End::Left) => Failure("the node has left the cluster".to_owned()),
                Ok(End::Abandoned(reason)) => Failure(reason),
                Err(panic) => Failure(format!("the control task has panicked: {panic}")),
            },
            ended = &mut self.stamper => match ended {
                Ok(error) => Failure(error.to_string()),
                Err(panic) => Failure(format!("the task that marks the directory has panicked: {panic}")),
            },
            ended = self.consensus.ended() => match ended {
                consensus::Ended::Shutdown => Failure("Raft has stopped".to_owned()),
                consensus::Ended::Failed(reason) => Failure(format!("Raft cannot go on: {reason}")),
            },
        }
    }

    /// Leaves in good order: clients are sent elsewhere and what they left is routed, leadership is handed over, the
    /// others agree that this member has left. Each step has its time, within five seconds together; what does not
    /// succeed in it is left to the others, who would do the same if this node were killed.
    pub async fn stop(mut self) {
        if let Some(health) = &self.health {
            health.is_not_ready(Unready::Stopping.to_string());
        }
        let elsewhere = ask(&self.questions, Question::StopBegins).await.flatten();
        self.router.shut_door(elsewhere);
        if let Some(doors) = &self.doors {
            doors.close(elsewhere.map(|address| address.to_string()).as_deref()).await;
        }
        if self.questions.send(Question::Leave).await.is_ok()
            && timeout(LEAVE_TIME_MAX, &mut self.control).await.is_err()
        {
            tracing::info!("the others did not agree in time that this member leaves");
        }
        self.end().await;
    }

    /// Ends everything that runs.
    async fn end(self) {
        for task in &self.operation {
            task.abort();
        }
        self.stamper.abort();
        let mesh = self.mesh.borrow().clone();
        self.consensus.hand_over(HAND_OVER_TIME_MAX, |member| mesh.is_linked(member)).await;
        // It would ask Raft to do something about those who stop as well.
        self.control.abort();
        self.consensus.shutdown().await;
        mesh.stop().await;
    }
}

/// The command by which an operator gives the cluster up whose log is lost.
fn recover_command(config_file: Option<&Path>) -> String {
    let file = config_file.map_or_else(|| "FILE".to_owned(), |file| file.display().to_string());
    format!("cresset cluster recover --force-new-cluster --config {file}")
}

/// What the links say of this node's configuration, and of what was agreed on since.
fn alike(config: &Config, agreed: &Agreed, times: Option<Times>) -> Alike {
    let alike = Alike::of(config, &agreed.former_name);
    match times {
        Some(times) => alike.with_agreed(times),
        None => alike,
    }
}

/// The version of the program, for people.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The time for which operators want a node to wait at its start.
async fn wait_as_agreed(followed: Option<&Followed>) {
    let delay = followed.map_or(Duration::ZERO, |followed| followed.agreed.start_delay);
    if !delay.is_zero() {
        tracing::info!(seconds = delay.as_secs(), "the node waits before it looks for its cluster, as it is set");
        tokio::time::sleep(delay).await;
    }
}

fn node_settings(
    config: &Config,
    agreed: &Agreed,
    member: MemberId,
    boot: BootId,
    versions: VersionRange,
) -> NodeSettings {
    let listeners = config.clients.iter().flat_map(|clients| &clients.listeners);
    NodeSettings {
        member,
        boot,
        name: config.node.name.clone(),
        peer_address: config.cluster.advertise,
        client_addresses: listeners.map(|listener| listener.advertise.unwrap_or(listener.address)).collect(),
        role: match config.cluster.role {
            ServerRole::Server => Role::Server,
            ServerRole::Witness => Role::Witness,
        },
        versions,
        timing: config.cluster.timing.clone(),
        replace_voter_after: agreed.replace_voter_after,
        crash_evidence: config.cluster.crash_evidence,
        order_time_max: agreed.order_time_max,
    }
}

fn link_security(protection: &LinkProtection, join_secret: &[u8]) -> LinkSecurity {
    match protection {
        LinkProtection::SharedSecret | LinkProtection::Secret(_) => {
            LinkSecurity::Noise(JoinSecret::derive(join_secret))
        }
        LinkProtection::PlaintextForSimulation => LinkSecurity::PlaintextForSimulation,
    }
}

/// Listens at the first of the node's ports that is free. The configuration that comes back is that of this port.
async fn open_links(
    config: &Config,
    boot: BootId,
    maker: impl Fn(SocketAddr, SocketAddr) -> MeshMaker,
) -> Result<(Config, MeshMaker, (Mesh<Router>, mpsc::Receiver<LinkEvent>)), StartError> {
    let mut in_use = None;
    for (listen, advertise) in config.cluster.endpoints() {
        let make_mesh = maker(listen, advertise);
        match make_mesh(boot).await {
            Ok(links) => {
                tracing::info!(address = %listen, advertised = %advertise, "members may connect");
                let cluster = ClusterSettings { listen, advertise, ..config.cluster.clone() };
                return Ok((Config { cluster, ..config.clone() }, make_mesh, links));
            }
            Err(reason) if reason.kind() == io::ErrorKind::AddrInUse => in_use = Some(reason),
            Err(reason) => return Err(StartError::Links { address: listen, reason }),
        }
    }
    let reason = in_use.expect("a node has at least one port");
    Err(StartError::Links { address: config.cluster.listen, reason })
}

fn mesh_maker<T: Transport>(
    transport: T,
    listen: SocketAddr,
    identity: Identity,
    security: LinkSecurity,
    services: Services<Router>,
) -> MeshMaker {
    Box::new(move |boot| {
        let (transport, identity, security, services) =
            (transport.clone(), Identity { boot, ..identity.clone() }, security.clone(), services.clone());
        Mesh::start(transport, listen, identity, security, services).boxed()
    })
}

async fn forward(mut from: watch::Receiver<RaftStatus>, to: watch::Sender<RaftStatus>) {
    loop {
        let status = from.borrow_and_update().clone();
        to.send_replace(status);
        if from.changed().await.is_err() {
            return;
        }
    }
}
