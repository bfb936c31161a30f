//! `cresset.xml`: our own words for a node's configuration.
//!
//! One function for each element. What the file does not say gets its default here, and what
//! contradicts itself is found here, so that a [`Config`] is always one that a node can be started with.

mod accounts;
mod clients;
pub(super) mod cluster;

use std::net::SocketAddr;
use std::path::PathBuf;

use super::discovery::Discovery;
use super::document::Element;
use super::hazelcast::{CLUSTER_ADDRESS, CLUSTER_NAME};
use super::model::{ClientSettings, ClusterSettings, Config, NodeSettings, ServerRole};
use super::problem::Fault;
use super::reading::{ADDRESS, Kind, Reading, Shape, Text};
use super::timing::Timing;
use crate::jid::{BareJid, DomainPart};

/// Bytes of a socket's path, as the kernel allows (unix(7): 108 with the final zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;

const DOMAIN: Kind<DomainPart> = Kind { expected: "a domain name, like example.org", parse: domain };
const NODE_NAME: Kind<String> =
    Kind { expected: "1 to 63 letters, digits, '.', '_' and '-', like node-a", parse: node_name };

/// Reads `<cresset>`: everything that a node needs.
pub(super) fn read_root(reading: &mut Reading<'_>, root: &Element) -> Option<Config> {
    reading.allow(
        root,
        &Shape {
            attributes: &[],
            children: &["domain", "node", "accounts", "clients", "cluster", "admin", "health"],
            text: Text::Refused,
        },
    );
    let domain = reading.required_child(root, "domain").and_then(|element| reading.text(element, &DOMAIN));
    let node = reading.required_child(root, "node").and_then(|element| read_node(reading, element));
    let cluster = match reading.child(root, "cluster") {
        Some(cluster) => cluster::read(reading, cluster),
        None => by_itself(),
    };
    let admin_socket = read_admin(reading, root);
    let data = node.as_ref().map(|(_, data)| data.as_path());
    let accounts = accounts::read(reading, root, data, &cluster);
    let clients = clients::read(reading, root, &cluster);
    let health = read_health(reading, root, clients.as_ref(), &cluster);

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
        node: NodeSettings { name, data, admin_socket, health },
        accounts: accounts?,
        clients,
        cluster,
    })
}

/// The cluster of a node that says nothing about one.
fn by_itself() -> ClusterSettings {
    ClusterSettings {
        name: CLUSTER_NAME.to_owned(),
        listen: CLUSTER_ADDRESS,
        advertise: CLUSTER_ADDRESS,
        ports_tried: 1,
        discovery: Discovery::Alone,
        secret_file: None,
        role: ServerRole::Server,
        timing: Timing::default(),
        crash_evidence: true,
        enabled: true,
    }
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

/// Whoever asks there is told no names and no secrets, and may ask as often as he likes.
fn read_health(
    reading: &mut Reading<'_>,
    root: &Element,
    clients: Option<&ClientSettings>,
    cluster: &ClusterSettings,
) -> Option<SocketAddr> {
    let element = reading.child(root, "health")?;
    reading.allow(element, &Shape { attributes: &["listen"], children: &[], text: Text::Refused });
    let address = reading.required(element, "listen", &ADDRESS)?;
    let of_clients = clients.iter().flat_map(|clients| &clients.listeners).any(|listener| listener.address == address);
    if of_clients || cluster.listen == address {
        let fault = Fault::Inconsistent(format!("{address} is listened on twice"));
        reading.problem(element.place, fault);
    }
    if !address.ip().is_loopback() {
        let message = format!("everybody who reaches {address} can ask whether this node serves");
        reading.warn(Some(element.place), message);
    }
    Some(address)
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
mod tests;
