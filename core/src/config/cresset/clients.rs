//! `<clients>`: where clients connect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::document::Element;
use crate::config::model::{CertificateFiles, ClientSettings, ClusterSettings, Listener, ListenerTls, ServerRole};
use crate::config::origins::Origin;
use crate::config::problem::Fault;
use crate::config::reading::{ADDRESS, Kind, Reading, SWITCH, Shape, Text};

/// Where clients connect unless the file says so (RFC 6120 section 14.7).
pub(super) const CLIENT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5222);

/// Connections of clients at one time unless the file says so.
const CONNECTIONS_MAX: u32 = 50_000;

const TLS: Kind<ListenerTls> = Kind {
    expected: "'required', 'optional', 'disabled' or 'direct'",
    parse: |text| {
        [ListenerTls::Required, ListenerTls::Optional, ListenerTls::Disabled, ListenerTls::Direct]
            .into_iter()
            .find(|tls| tls.as_str() == text)
    },
};
const CONNECTIONS: Kind<u32> = Kind {
    expected: "a whole number of connections, from 1 to 10000000",
    parse: |text| text.parse().ok().filter(|count| (1..=10_000_000).contains(count)),
};

/// What `<clients>` says, or its defaults; nothing for a witness.
pub(super) fn read(reading: &mut Reading<'_>, root: &Element, cluster: &ClusterSettings) -> Option<ClientSettings> {
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
    let attributes = &["address", "advertise", "tls", "proxied"];
    reading.allow(element, &Shape { attributes, children: &[], text: Text::Refused });
    let address = reading.required(element, "address", &ADDRESS);
    let advertise = reading.attribute(element, "advertise", &ADDRESS);
    let tls = reading.attribute(element, "tls", &TLS).unwrap_or(ListenerTls::Required);
    let address = address?;
    if advertise.is_none() {
        let reason = if address.ip().is_unspecified() { "the address that members are told" } else { "as address" };
        let origin = Origin::Follows(reason.to_owned());
        reading.origins.insert(format!("{}@advertise", element.path), origin);
    }
    if matches!(tls, ListenerTls::Disabled | ListenerTls::Optional) && !address.ip().is_loopback() {
        let message = format!("with tls=\"{}\" passwords may cross the network in the clear", tls.as_str());
        reading.warn(Some(element.place), message);
    }
    let proxied = reading.attribute(element, "proxied", &SWITCH).unwrap_or(false);
    Some(Listener { proxied, ..listener(address, advertise, tls, cluster) })
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
    Listener { address, advertise: advertise.or(known), tls, proxied: false }
}

fn read_certificate(reading: &mut Reading<'_>, clients: &Element) -> Option<CertificateFiles> {
    let element = reading.child(clients, "certificate")?;
    reading.allow(element, &Shape { attributes: &["chain", "key"], children: &[], text: Text::Refused });
    let chain = reading.required_path(element, "chain");
    let key = reading.required_path(element, "key");
    Some(CertificateFiles { chain: chain?, key: key? })
}
