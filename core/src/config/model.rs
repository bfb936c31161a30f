//! What a configuration says, in types.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::database_url::DatabaseUrl;
use super::discovery::{Discovery, Ports};
use super::timing::Timing;
use crate::jid::DomainPart;

/// The configuration of one node, consistent in itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The XMPP domain that the whole cluster serves.
    pub domain: DomainPart,
    /// What is of this node alone.
    pub node: NodeSettings,
    /// The account database that all members share.
    pub accounts: Accounts,
    /// How clients reach this node; absent for a witness.
    pub clients: Option<ClientSettings>,
    /// How the other members reach this node, and it them.
    pub cluster: ClusterSettings,
}

/// What is of one node alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSettings {
    /// The name that people know it by: 1 to 63 letters, digits, `.`, `_` and `-`. Unique in the cluster.
    pub name: String,
    /// The directory that belongs to this member of this cluster and to nobody else.
    pub data: PathBuf,
    /// The control socket. By default `admin.sock` in the data directory.
    pub admin_socket: PathBuf,
    /// Where it is asked by HTTP whether it lives and lets clients log in; absent: nowhere.
    pub health: Option<SocketAddr>,
}

/// Where accounts, rosters and offline messages are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Accounts {
    /// An SQLite file that all members open; so all members run on one machine.
    Sqlite {
        /// The file. Created if it is not there.
        path: PathBuf,
    },
    /// A PostgreSQL database that all members reach.
    Postgres(PostgresSettings),
}

/// Where a PostgreSQL database is, and how long a node waits for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresSettings {
    /// Where it is and who the nodes are there.
    pub url: DatabaseUrl,
    /// The certificates that the server's must lead to, in PEM; absent: those that the system trusts.
    pub certificates: Option<PathBuf>,
    /// Connections of this node at one time; not 0.
    pub connections_max: u32,
    /// How long opening a connection may take.
    pub connect_time_max: Duration,
    /// How long a call waits for a connection that others use.
    pub wait_time_max: Duration,
    /// How long the database may take to answer.
    pub answer_time_max: Duration,
}

/// How clients reach a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientSettings {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// The certificate shown to clients; absent: one that signs itself is made at the first start.
    pub certificate: Option<CertificateFiles>,
    /// Connections at one time. Beyond it no more are accepted until one closes.
    pub connections_max: u32,
}

/// One address on which clients connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The address that clients of other nodes are sent to; absent if none is known.
    pub advertise: Option<SocketAddr>,
    /// Whether and when TLS begins.
    pub tls: ListenerTls,
    /// Whether clients come through a proxy that hides their addresses.
    pub proxied: bool,
}

/// Whether and when TLS begins on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenerTls {
    /// With STARTTLS, and nothing is authenticated before it (RFC 7590).
    Required,
    /// With STARTTLS if the client wants it.
    Optional,
    /// Never. Passwords and messages are readable on the way.
    Disabled,
    /// With the first byte (XEP-0368).
    Direct,
}

impl ListenerTls {
    /// The word for it in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            ListenerTls::Required => "required",
            ListenerTls::Optional => "optional",
            ListenerTls::Disabled => "disabled",
            ListenerTls::Direct => "direct",
        }
    }
}

/// A certificate and its key, both in PEM. Read at the start and again at SIGHUP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate, followed by those that lead to a root.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How the members reach each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterSettings {
    /// What the operators call the cluster. Nodes find only those of the same name.
    pub name: String,
    /// The address to listen on for other members.
    pub listen: SocketAddr,
    /// The address that other members are told.
    pub advertise: SocketAddr,
    /// How many ports are tried, from that of `listen` on, if it is in use; not 0. The advertised port goes up with it
    /// if the two are the same.
    pub ports_tried: u16,
    /// How the other members are found.
    pub discovery: Discovery,
    /// A file with the join secret; absent: the secret in the shared database.
    pub secret_file: Option<PathBuf>,
    /// What this node may become.
    pub role: ServerRole,
    /// Heartbeat, election, lease and expulsion.
    pub timing: Timing,
    /// Whether closed sockets and refused connections count as evidence that a member's process is dead. To be switched
    /// off where a firewall answers with resets.
    pub crash_evidence: bool,
    /// Whether clustering is on where operators have never said so: what the database knows goes first.
    pub enabled: bool,
}

impl ClusterSettings {
    /// The addresses to listen on, one after the other until one is free, each with what the others are told then.
    /// At least one.
    pub fn endpoints(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        let first = self.listen.port();
        let moves = self.advertise.port() == first;
        let at = |address: SocketAddr, port| SocketAddr::new(address.ip(), port);
        Ports { first, count: self.ports_tried }
            .iter()
            .map(move |port| (at(self.listen, port), if moves { at(self.advertise, port) } else { self.advertise }))
    }
}

/// What a node may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerRole {
    /// Serves clients, and votes if the cluster has use for its vote.
    Server,
    /// Votes and serves no clients.
    Witness,
}

impl ServerRole {
    /// The word for it in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            ServerRole::Server => "server",
            ServerRole::Witness => "witness",
        }
    }
}

/// An address at which a member may be found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerAddress {
    /// A host name, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
