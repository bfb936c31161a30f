//! `cresset.xml`: our own words for a node's configuration.
//!
//! One function for each element, in the order of the file. What the file does not say gets its default here, and what
//! contradicts itself is found here, so that a [`Config`] is always one that a node can be started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{self, Element};
use super::model::{
    Accounts, CertificateFiles, ClientSettings, ClusterSettings, Config, Listener, ListenerTls, NodeSettings,
    PeerAddress, ServerRole,
};
use super::problem::{Fault, Place, Problem, Problems, Warning, excerpt};
use super::reading::{ADDRESS, Kind, MILLISECONDS, Reading, SECONDS, SWITCH, Shape, Text};
use super::tcp_ip;
use super::timing::Timing;
use crate::jid::{BareJid, DomainPart};

/// Where clients connect unless the file says so (RFC 6120 section 14.7).
const CLIENT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5222);

/// Where members listen unless the file says so: the port of Hazelcast, on this machine only.
const CLUSTER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5701);

/// Hazelcast's `connection-timeout-seconds`.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Connections of clients at one time unless the file says so.
const CONNECTIONS_MAX: u32 = 50_000;

/// Bytes of a socket's path, as the kernel allows (unix(7): 108 with the final zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Silence before an expulsion beyond which promise P6 (5 s) is not kept.
const EXPEL_AFTER_PROMISED: Duration = Duration::from_millis(4_500);

const DOMAIN: Kind<DomainPart> = Kind { expected: "a domain name, like example.org", parse: domain };
const NODE_NAME: Kind<String> =
    Kind { expected: "1 to 63 letters, digits, '.', '_' and '-', like node-a", parse: node_name };
const TLS: Kind<ListenerTls> = Kind {
    expected: "'required', 'optional', 'disabled' or 'direct'",
    parse: |text| {
        [ListenerTls::Required, ListenerTls::Optional, ListenerTls::Disabled, ListenerTls::Direct]
            .into_iter()
            .find(|tls| tls.as_str() == text)
    },
};
const ROLE: Kind<ServerRole> = Kind {
    expected: "'server' or 'witness'",
    parse: |text| [ServerRole::Server, ServerRole::Witness].into_iter().find(|role| role.as_str() == text),
};
const PERCENT: Kind<u32> = Kind {
    expected: "a whole number of percent, from 0 to 50",
    parse: |text| text.parse().ok().filter(|percent| (0..=50).contains(percent)),
};
const CONNECTIONS: Kind<u32> = Kind {
    expected: "a whole number of connections, from 1 to 10000000",
    parse: |text| text.parse().ok().filter(|count| (1..=10_000_000).contains(count)),
};

/// A file that can be started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// What it says.
    pub config: Config,
    /// What the operator may not have meant.
    pub warnings: Vec<Warning>,
}

/// Reads the bytes of a file. Relative paths in it are seen from the folder of `file`.
///
/// # Errors
///
/// All problems of the file, up to 50, in the order of their places.
pub fn read(file: &Path, bytes: &[u8]) -> Result<Checked, Problems> {
    let fail = |problems| Problems { file: file.to_owned(), problems };
    let root = document::parse(bytes).map_err(|problem| fail(vec![problem]))?;
    if root.name != "cresset" {
        let fault = Fault::WrongRoot { name: excerpt(&root.name) };
        return Err(fail(vec![Problem { place: root.place, fault }]));
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut reading = Reading { folder, problems: Vec::new(), warnings: Vec::new() };
    let config = read_root(&mut reading, &root);
    let Reading { mut problems, warnings, .. } = reading;
    match config {
        Some(config) if problems.is_empty() => Ok(Checked { config, warnings }),
        Some(_) | None => {
            problems.sort_by_key(|problem| problem.place);
            Err(fail(problems))
        }
    }
}

fn read_root(reading: &mut Reading<'_>, root: &Element) -> Option<Config> {
    reading.allow(
        root,
        &Shape {
            attributes: &[],
            children: &["domain", "node", "accounts", "clients", "cluster", "admin"],
            text: Text::Refused,
        },
    );
    let domain = reading.required_child(root, "domain").and_then(|element| reading.text(element, &DOMAIN));
    let node = reading.required_child(root, "node").and_then(|element| read_node(reading, element));
    let cluster = read_cluster(reading, root);
    let admin_socket = read_admin(reading, root);
    let data = node.as_ref().map(|(_, data)| data.as_path());
    let accounts = read_accounts(reading, root, data, &cluster);
    let clients = read_clients(reading, root, &cluster);

    let (name, data) = node?;
    let admin_socket = admin_socket.unwrap_or_else(|| data.join("admin.sock"));
    if admin_socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let fault = Fault::Inconsistent(format!(
            "the path of the control socket, '{}', has more than {SOCKET_PATH_BYTES_MAX} bytes; \
             name a shorter one with <admin socket=\"…\"/>",
            admin_socket.display()
        ));
        reading.problem(root.place, fault);
    }
    Some(Config {
        domain: domain?,
        node: NodeSettings { name, data, admin_socket },
        accounts: accounts?,
        clients,
        cluster,
    })
}

fn read_node(reading: &mut Reading<'_>, element: &Element) -> Option<(String, PathBuf)> {
    reading.allow(element, &Shape { attributes: &["name", "data"], children: &[], text: Text::Refused });
    let name = reading.required(element, "name", &NODE_NAME);
    let data = reading.required_path(element, "data");
    Some((name?, data?))
}

fn read_admin(reading: &mut Reading<'_>, root: &Element) -> Option<PathBuf> {
    let element = reading.child(root, "admin")?;
    reading.allow(element, &Shape { attributes: &["socket"], children: &[], text: Text::Refused });
    reading.required_path(element, "socket")
}

fn read_accounts(
    reading: &mut Reading<'_>,
    root: &Element,
    data: Option<&Path>,
    cluster: &ClusterSettings,
) -> Option<Accounts> {
    let Some(element) = reading.child(root, "accounts") else {
        if !cluster.peers.is_empty() {
            let fault = Fault::Inconsistent(
                "a node that has peers shares their account database: name it with \
                 <accounts><sqlite path=\"…\"/></accounts>"
                    .to_owned(),
            );
            reading.problem(root.place, fault);
        }
        return data.map(|data| Accounts::Sqlite { path: data.join("accounts.sqlite") });
    };
    reading.allow(element, &Shape { attributes: &[], children: &["sqlite"], text: Text::Refused });
    let sqlite = reading.required_child(element, "sqlite")?;
    reading.allow(sqlite, &Shape { attributes: &["path"], children: &[], text: Text::Refused });
    Some(Accounts::Sqlite { path: reading.required_path(sqlite, "path")? })
}

fn read_clients(reading: &mut Reading<'_>, root: &Element, cluster: &ClusterSettings) -> Option<ClientSettings> {
    let element = reading.child(root, "clients");
    if cluster.role == ServerRole::Witness {
        if let Some(element) = element {
            let message = "a witness serves no clients: remove <clients>, or <role>witness</role>".to_owned();
            reading.problem(element.place, Fault::Inconsistent(message));
        }
        return None;
    }
    let Some(element) = element else {
        let listeners = vec![listener(CLIENT_ADDRESS, None, ListenerTls::Required, cluster)];
        return Some(ClientSettings { listeners, certificate: None, connections_max: CONNECTIONS_MAX });
    };
    reading.allow(
        element,
        &Shape { attributes: &["connections-max"], children: &["listener", "certificate"], text: Text::Refused },
    );
    let connections_max = reading.attribute(element, "connections-max", &CONNECTIONS).unwrap_or(CONNECTIONS_MAX);
    let mut listeners: Vec<Listener> = Vec::new();
    for child in element.children.iter().filter(|child| child.name == "listener") {
        if let Some(listener) = read_listener(reading, child, cluster) {
            if listeners.iter().any(|other| other.address == listener.address) {
                let fault = Fault::Inconsistent(format!("{} is listened on twice", listener.address));
                reading.problem(child.place, fault);
            }
            listeners.push(listener);
        }
    }
    if listeners.is_empty() {
        reading.required_child(element, "listener");
    }
    let certificate = read_certificate(reading, element);
    Some(ClientSettings { listeners, certificate, connections_max })
}

fn read_listener(reading: &mut Reading<'_>, element: &Element, cluster: &ClusterSettings) -> Option<Listener> {
    let attributes = &["address", "advertise", "tls"];
    reading.allow(element, &Shape { attributes, children: &[], text: Text::Refused });
    let address = reading.required(element, "address", &ADDRESS);
    let advertise = reading.attribute(element, "advertise", &ADDRESS);
    let tls = reading.attribute(element, "tls", &TLS).unwrap_or(ListenerTls::Required);
    let address = address?;
    if matches!(tls, ListenerTls::Disabled | ListenerTls::Optional) && !address.ip().is_loopback() {
        let message = format!("with tls=\"{}\" passwords may cross the network in the clear", tls.as_str());
        reading.warn(Some(element.place), message);
    }
    Some(listener(address, advertise, tls, cluster))
}

/// A listener on all addresses of the machine is reached at the one that the other members know.
fn listener(
    address: SocketAddr,
    advertise: Option<SocketAddr>,
    tls: ListenerTls,
    cluster: &ClusterSettings,
) -> Listener {
    let ip = if address.ip().is_unspecified() { cluster.advertise.ip() } else { address.ip() };
    let known = (address.port() != 0).then_some(SocketAddr::new(ip, address.port()));
    Listener { address, advertise: advertise.or(known), tls }
}

fn read_certificate(reading: &mut Reading<'_>, clients: &Element) -> Option<CertificateFiles> {
    let element = reading.child(clients, "certificate")?;
    reading.allow(element, &Shape { attributes: &["chain", "key"], children: &[], text: Text::Refused });
    let chain = reading.required_path(element, "chain");
    let key = reading.required_path(element, "key");
    Some(CertificateFiles { chain: chain?, key: key? })
}

fn read_cluster(reading: &mut Reading<'_>, root: &Element) -> ClusterSettings {
    let mut settings = ClusterSettings {
        listen: CLUSTER_ADDRESS,
        advertise: CLUSTER_ADDRESS,
        peers: Vec::new(),
        connect_time_max: CONNECT_TIME_MAX,
        secret_file: None,
        role: ServerRole::Server,
        timing: Timing::default(),
        crash_evidence: true,
    };
    let Some(element) = reading.child(root, "cluster") else { return settings };
    reading.allow(
        element,
        &Shape {
            attributes: &[],
            children: &[
                "listen",
                "join",
                "secret",
                "role",
                "heartbeat",
                "election",
                "lease",
                "drift",
                "expel-after",
                "crash-evidence",
            ],
            text: Text::Refused,
        },
    );
    if let Some(listen) = reading.child(element, "listen") {
        (settings.listen, settings.advertise) = read_listen(reading, listen);
    }
    if let Some(join) = reading.child(element, "join") {
        (settings.peers, settings.connect_time_max) = read_join(reading, join, settings.listen.port());
    }
    if let Some(secret) = reading.child(element, "secret") {
        reading.allow(secret, &Shape { attributes: &["file"], children: &[], text: Text::Refused });
        settings.secret_file = reading.required_path(secret, "file");
    }
    if let Some(role) = reading.child(element, "role").and_then(|role| reading.text(role, &ROLE)) {
        settings.role = role;
    }
    settings.timing = read_timing(reading, element);
    if let Some(enabled) = reading.setting(element, "crash-evidence", &["enabled"], &SWITCH) {
        settings.crash_evidence = enabled;
    }
    warn_about_reach(reading, element.place, &settings);
    settings
}

/// The address to listen on, and the one that others are told.
fn read_listen(reading: &mut Reading<'_>, element: &Element) -> (SocketAddr, SocketAddr) {
    reading.allow(element, &Shape { attributes: &["address", "advertise"], children: &[], text: Text::Refused });
    let address = reading.required(element, "address", &ADDRESS).unwrap_or(CLUSTER_ADDRESS);
    let advertise = reading.attribute(element, "advertise", &ADDRESS);
    if address.port() == 0 || advertise.is_some_and(|advertise| advertise.port() == 0) {
        let message = "a member must have a port that the others can know: 0 is none".to_owned();
        reading.problem(element.place, Fault::Inconsistent(message));
    }
    let told = advertise.unwrap_or(address);
    if told.ip().is_unspecified() {
        let message = format!(
            "no member can be reached at {told}: name an address of this machine with the attribute 'advertise'"
        );
        reading.problem(element.place, Fault::Inconsistent(message));
    }
    (address, told)
}

fn read_join(reading: &mut Reading<'_>, element: &Element, port: u16) -> (Vec<PeerAddress>, Duration) {
    reading.allow(element, &Shape { attributes: &[], children: &["tcp-ip"], text: Text::Refused });
    let Some(list) = reading.required_child(element, "tcp-ip") else { return (Vec::new(), CONNECT_TIME_MAX) };
    let enabled = reading.attribute(list, "enabled", &SWITCH).unwrap_or(true);
    let connect_time_max = reading.attribute(list, "connection-timeout-seconds", &SECONDS).unwrap_or(CONNECT_TIME_MAX);
    let peers = tcp_ip::read(reading, list, port);
    (if enabled { peers } else { Vec::new() }, connect_time_max)
}

fn read_timing(reading: &mut Reading<'_>, cluster: &Element) -> Timing {
    let default = Timing::default();
    let heartbeat = reading.setting(cluster, "heartbeat", &["milliseconds"], &MILLISECONDS);
    let lease = reading.setting(cluster, "lease", &["milliseconds"], &MILLISECONDS);
    let drift_percent = reading.setting(cluster, "drift", &["percent"], &PERCENT);
    let expel_after = reading.setting(cluster, "expel-after", &["milliseconds"], &MILLISECONDS);
    let (mut election_min, mut election_max) = (None, None);
    if let Some(election) = reading.child(cluster, "election") {
        let attributes = &["min-milliseconds", "max-milliseconds"];
        reading.allow(election, &Shape { attributes, children: &[], text: Text::Refused });
        election_min = reading.required(election, "min-milliseconds", &MILLISECONDS);
        election_max = reading.required(election, "max-milliseconds", &MILLISECONDS);
    }
    let heartbeat = heartbeat.unwrap_or(default.heartbeat);
    let lease = lease.unwrap_or(default.lease);
    let drift_percent = drift_percent.unwrap_or(default.drift_percent);
    let timing = Timing {
        heartbeat,
        election_min: election_min.unwrap_or(default.election_min),
        election_max: election_max.unwrap_or(default.election_max),
        lease,
        drift_percent,
        expel_after: expel_after.unwrap_or(Timing::expel_after_for(lease, heartbeat, drift_percent)),
    };
    for fault in timing.faults() {
        reading.problem(cluster.place, Fault::Inconsistent(fault));
    }
    if timing.expel_after > EXPEL_AFTER_PROMISED {
        let message = format!(
            "a hung member is expelled after {} ms: its users wait longer than the 5 s that Cresset promises",
            timing.expel_after.as_millis()
        );
        reading.warn(Some(cluster.place), message);
    }
    timing
}

fn warn_about_reach(reading: &mut Reading<'_>, place: Place, settings: &ClusterSettings) {
    let is_local = |peer: &PeerAddress| {
        peer.host == "localhost" || peer.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    if settings.advertise.ip().is_loopback() && !settings.peers.iter().all(is_local) {
        let message = format!(
            "members on other machines cannot reach this node at {}: name an address with <listen address=\"…\"/>",
            settings.advertise
        );
        reading.warn(Some(place), message);
    }
    if settings.peers.is_empty() && settings.role == ServerRole::Witness {
        reading.warn(Some(place), "a witness without peers has nothing to witness");
    }
}

fn domain(text: &str) -> Option<DomainPart> {
    let jid: BareJid = text.parse().ok()?;
    (jid.node().is_none() && !text.is_empty()).then(|| jid.domain().to_owned())
}

fn node_name(text: &str) -> Option<String> {
    let is_fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    ((1..=63).contains(&text.len()) && text.bytes().all(is_fit)).then(|| text.to_owned())
}

#[cfg(test)]
#[path = "cresset_tests.rs"]
mod tests;
