//! What a demo consists of, before anything runs: folders, addresses, configurations, passwords.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use cresset_core::config::discovery::TcpIp;
use cresset_core::config::{
    Accounts, ClientSettings, ClusterSettings, Config, Discovery, Listener, ListenerTls, NodeSettings, ServerRole,
    Timing,
};
use cresset_core::jid::DomainPart;
use cresset_net::disk::make_private;
use rand::RngExt;
use rand::distr::Alphanumeric;
use rand::rngs::StdRng;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::exit::Failure;

/// The domain of a demo. Clients find the machine by it without being told an address.
pub(crate) const DOMAIN: &str = "localhost";

/// The accounts of a demo.
pub(crate) const USERS: [&str; 2] = ["romeo", "juliet"];

/// Ports that are taken if they are free: those that clients and Hazelcast's members try first.
const CLIENT_PORT: u16 = 5222;
const PEER_PORT: u16 = 5701;

/// Connections of clients to one node of a demo.
const CONNECTIONS_MAX: u32 = 10_000;

/// How long the password of a demo's account is: more than 90 bits of chance.
const PASSWORD_CHARACTERS: usize = 16;

/// A demo that can be started.
#[derive(Debug)]
pub(crate) struct Plan {
    /// One for each node.
    pub(crate) nodes: Vec<PlannedNode>,
    /// Name and password.
    pub(crate) users: Vec<(&'static str, String)>,
    /// The shared account database.
    pub(crate) accounts: PathBuf,
}

/// One node of a demo.
#[derive(Debug)]
pub(crate) struct PlannedNode {
    /// What its file says.
    pub(crate) config: Config,
    /// Where clients connect.
    pub(crate) clients: SocketAddr,
    /// Its configuration file.
    pub(crate) file: PathBuf,
    /// Where its log goes.
    pub(crate) log: PathBuf,
}

impl Plan {
    /// Chooses addresses and passwords, and writes a configuration file for each node into `folder`.
    ///
    /// # Errors
    ///
    /// If no ports are free or a file cannot be written.
    pub(crate) fn lay(folder: &Path, nodes: u8, random: &mut StdRng) -> Result<Plan, Failure> {
        let clients = free_addresses(CLIENT_PORT, nodes).map_err(Failure::failed)?;
        let peers = free_addresses(PEER_PORT, nodes).map_err(Failure::failed)?;
        let accounts = folder.join("accounts.sqlite");
        let mut planned = Vec::new();
        for (number, (clients, peer)) in clients.into_iter().zip(&peers).enumerate() {
            let name = name(number);
            let home = folder.join(&name);
            make_private(&home).map_err(Failure::failed)?;
            let config = config(name, &home, &accounts, clients, *peer, &peers)?;
            let file = home.join("cresset.xml");
            fs::write(&file, config.to_xml()).map_err(Failure::failed)?;
            planned.push(PlannedNode { config, clients, file, log: home.join("node.log") });
        }
        let users = USERS.map(|user| (user, password(random))).to_vec();
        Ok(Plan { nodes: planned, users, accounts })
    }
}

impl PlannedNode {
    /// The name of the node.
    pub(crate) fn name(&self) -> &str {
        &self.config.node.name
    }

    /// The SHA-256 fingerprint of the certificate that the node has made for itself, as clients show it.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let certificate = CertificateDer::from_pem_file(self.config.node.data.join("certificate.pem")).ok()?;
        let bytes = Sha256::digest(&certificate);
        Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
    }

    /// The control socket of the node.
    pub(crate) fn socket(&self) -> &Path {
        &self.config.node.admin_socket
    }
}

/// `a`, `b`, `c`…
fn name(number: usize) -> String {
    char::from(b'a' + u8::try_from(number).expect("a demo has few nodes")).to_string()
}

fn config(
    name: String,
    home: &Path,
    accounts: &Path,
    clients: SocketAddr,
    peer: SocketAddr,
    peers: &[SocketAddr],
) -> Result<Config, Failure> {
    let listener = Listener { address: clients, advertise: Some(clients), tls: ListenerTls::Required, proxied: false };
    Ok(Config {
        domain: DomainPart::new(DOMAIN).map_err(Failure::failed)?,
        node: NodeSettings { name, data: home.join("data"), admin_socket: home.join("admin.sock"), health: None },
        accounts: Accounts::Sqlite { path: accounts.to_owned() },
        clients: Some(ClientSettings {
            listeners: vec![listener],
            certificate: None,
            connections_max: CONNECTIONS_MAX,
        }),
        cluster: ClusterSettings {
            name: "demo".to_owned(),
            listen: peer,
            advertise: peer,
            ports_tried: 1,
            discovery: Discovery::TcpIp(TcpIp::of(peer.port(), peers.iter().copied())),
            secret_file: None,
            role: ServerRole::Server,
            timing: Timing::default(),
            crash_evidence: true,
            enabled: true,
        },
    })
}

fn password(random: &mut StdRng) -> String {
    (0..PASSWORD_CHARACTERS).map(|_| char::from(random.sample(Alphanumeric))).collect()
}

/// Addresses of this machine on which nobody listens: from `first` on if all of those are free, else anywhere.
fn free_addresses(first: u16, count: u8) -> std::io::Result<Vec<SocketAddr>> {
    let listen = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let addresses = |listeners: Vec<TcpListener>| listeners.iter().map(TcpListener::local_addr).collect();
    let wanted: std::io::Result<Vec<TcpListener>> = (0..u16::from(count)).map(|more| listen(first + more)).collect();
    if let Ok(listeners) = wanted {
        return addresses(listeners);
    }
    // All are held until all are known, so that no port is given out twice.
    let any: std::io::Result<Vec<TcpListener>> = (0..count).map(|_| listen(0)).collect();
    addresses(any?)
}

#[cfg(test)]
mod tests {
    use cresset_core::config;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_node_gets_a_file_that_a_node_can_be_started_with() {
        let folder = tempfile::tempdir().expect("a folder");

        let plan = Plan::lay(folder.path(), 3, &mut StdRng::seed_from_u64(1)).expect("a plan");

        for node in &plan.nodes {
            let bytes = fs::read(&node.file).expect("a file");
            let checked = config::read(&node.file, &bytes).expect("a configuration");
            assert_eq!(checked.config, node.config);
            assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
        }
        assert_ne!(plan.nodes[0].clients, plan.nodes[1].clients);
        assert_ne!(plan.users[0].1, plan.users[1].1);
    }
}
