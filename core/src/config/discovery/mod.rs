//! How the other members are found, as the configuration says it.
//!
//! ```text
//! <join> ─▶ Discovery ─┬─ Alone       nobody is looked for
//!                      ├─ Multicast   ask the local network, and listen to who answers
//!                      ├─ TcpIp       a list of addresses, ranges and host names
//!                      ├─ Dns         whatever addresses a name has at the moment
//!                      └─ Aws         the EC2 instances of a region with a tag or a security group
//! ```
//!
//! Exactly one of them: with two, a node could find half of its cluster by each. Whatever finds addresses only finds
//! candidates; who is a member is agreed (architecture, section 6).
//!
//! Not here: packets, sockets, time. These are the settings that the machines of discovery are built from.

mod address_pattern;
mod member_pattern;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use address_pattern::AddressPattern;
pub(super) use member_pattern::is_host_name;
pub use member_pattern::{HostPattern, MemberPattern};

use super::model::PeerAddress;

/// How the other members are found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Discovery {
    /// Not at all: this node is by itself until another one finds it.
    Alone,
    /// By packets to everybody on the local network.
    Multicast(Multicast),
    /// By a list of addresses.
    TcpIp(TcpIp),
    /// By the addresses of names.
    Dns(Dns),
    /// By the instances of an account at AWS EC2.
    Aws(Aws),
}

/// `<multicast>`: packets to everybody on the local network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Multicast {
    /// The group, always a multicast address. Hazelcast's default: 224.2.2.3.
    pub group: IpAddr,
    /// The UDP port. Hazelcast's default: 54327.
    pub port: u16,
    /// Routers that a packet may cross, 0 being this machine only. Hazelcast's default: 32.
    pub time_to_live: u8,
    /// Whether nodes on this same machine hear the packets, too (`IP_MULTICAST_LOOP`).
    pub loopback: bool,
    /// How long the answers to one question are waited for.
    pub answer_time_max: Duration,
    /// Whose packets are listened to; empty: everybody's. All of them are authenticated in any case.
    pub trusted: Vec<AddressPattern>,
}

impl Default for Multicast {
    /// Hazelcast's defaults, so that nodes which say nothing find each other where they did before.
    fn default() -> Self {
        Multicast {
            group: IpAddr::V4(Ipv4Addr::new(224, 2, 2, 3)),
            port: 54327,
            time_to_live: 32,
            loopback: true,
            answer_time_max: Duration::from_secs(2),
            trusted: Vec::new(),
        }
    }
}

impl Multicast {
    /// Whether a packet from this address is looked at.
    pub fn trusts(&self, sender: IpAddr) -> bool {
        self.trusted.is_empty() || self.trusted.iter().any(|pattern| pattern.matches(sender))
    }
}

/// `<tcp-ip>`: a list of addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpIp {
    /// Where members may be found, in the order of the file. This node may be among them.
    pub members: Vec<MemberPattern>,
    /// The ports at which a member without one is tried.
    pub ports: Ports,
    /// The member through which alone this node joins. If it is this node, it need not wait for anybody.
    pub required_member: Option<MemberPattern>,
    /// How long the required member is tried before the start fails.
    pub join_time_max: Duration,
    /// How long one attempt to connect may take.
    pub connection_time_max: Duration,
}

impl TcpIp {
    /// How long one attempt to connect may take unless the file says so: Hazelcast's `connection-timeout-seconds`.
    pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(5);

    /// Ports that are tried where a member has none: Hazelcast's `hazelcast.tcp.join.port.try.count`.
    pub const PORTS_TRIED: u16 = 3;

    /// How long a required member is tried: Hazelcast's `hazelcast.max.join.seconds`.
    pub const JOIN_TIME_MAX: Duration = Duration::from_secs(300);

    /// A list of known addresses, for a node that listens on `port` itself.
    pub fn of(port: u16, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let member = |address: SocketAddr| MemberPattern {
            host: HostPattern::Address(address.ip()),
            port: Some(address.port()),
        };
        TcpIp {
            members: addresses.into_iter().map(member).collect(),
            ports: Ports { first: port, count: TcpIp::PORTS_TRIED },
            required_member: None,
            join_time_max: TcpIp::JOIN_TIME_MAX,
            connection_time_max: TcpIp::CONNECTION_TIME_MAX,
        }
    }

    /// Every address and port to be tried, without repetition, in the order of the file. With a required member: that
    /// member's alone.
    pub fn candidates(&self) -> Vec<PeerAddress> {
        let mut seen = BTreeSet::new();
        let patterns = match &self.required_member {
            Some(required) => std::slice::from_ref(required),
            None => &self.members,
        };
        let all = patterns.iter().flat_map(|pattern| pattern.addresses(self.ports));
        all.filter(|address| seen.insert(address.clone())).collect()
    }
}

/// Ports that are tried one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// The first. Never 0.
    pub first: u16,
    /// How many, the first included. Never 0.
    pub count: u16,
}

impl Ports {
    /// In rising order; ports above 65535 are left out.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.first..=self.first.saturating_add(self.count.saturating_sub(1))
    }
}

impl fmt::Display for Ports {
    /// `5701`, or `5701-5708`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.iter().last() {
            Some(last) if last > self.first => write!(f, "{}-{last}", self.first),
            Some(_) | None => write!(f, "{}", self.first),
        }
    }
}

/// `<dns>`, or `<kubernetes>` with `service-dns`: whatever addresses names have at the moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dns {
    /// What is asked, in the order of the file. At least one.
    pub queries: Vec<DnsQuery>,
    /// How long one answer is waited for.
    pub answer_time_max: Duration,
    /// Between two rounds of questions while members are missing.
    pub every: Duration,
}

/// One question to the name servers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DnsQuery {
    /// All addresses of a host (A and AAAA), each at this port; so a Kubernetes headless service is found.
    Host {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// The hosts and ports of a service (SRV), like `_cresset._tcp.example.org`.
    Service {
        /// The name.
        name: String,
    },
}

impl fmt::Display for DnsQuery {
    /// `name:port` of a host, the name of a service.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsQuery::Host { name, port } => write!(f, "{name}:{port}"),
            DnsQuery::Service { name } => f.write_str(name),
        }
    }
}

/// `<aws>`: the instances of an account at AWS EC2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aws {
    /// Who asks.
    pub credentials: AwsCredentials,
    /// The region, like `eu-central-1`; absent: the environment's (`AWS_REGION`), or that of this instance.
    pub region: Option<String>,
    /// The host that is asked: `ec2.amazonaws.com`, the region being put in, or any other (a mock server, say).
    pub host_header: String,
    /// Only instances in this security group.
    pub security_group: Option<String>,
    /// Only instances with all of these tags.
    pub tags: Vec<AwsTag>,
    /// How long connecting may take.
    pub connection_time_max: Duration,
    /// How long the answer may take.
    pub read_time_max: Duration,
    /// Attempts after the first one.
    pub retries: u32,
    /// The ports at which each instance is tried.
    pub ports: Ports,
    /// Whether instances are reached at their public addresses instead of the private ones.
    pub use_public_address: bool,
}

/// Who asks AWS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AwsCredentials {
    /// A key of the file.
    Key {
        /// The name of the key.
        access_key: String,
        /// The key.
        secret_key: Secret,
    },
    /// The role of this instance, by name.
    Role(String),
    /// Whoever the environment says (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`), else the role of this instance.
    Environment,
}

/// A tag that an instance must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AwsTag {
    /// The key; absent: any.
    pub key: Option<String>,
    /// The value; absent: any.
    pub value: Option<String>,
}

/// What must not be seen in a log. Neither `Debug` nor the effective configuration shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// Says it, to whoever signs with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_come_in_the_order_of_the_file_and_once() {
        let list = list(&["10.0.0.2:5701", "10.0.0.1-2:5701", "host"], None);

        assert_eq!(shown(&list), ["10.0.0.2:5701", "10.0.0.1:5701", "host:5701", "host:5702", "host:5703"]);
    }

    #[test]
    fn a_required_member_is_the_only_candidate() {
        let list = list(&["10.0.0.1-9"], Some("10.0.0.2:5701"));

        assert_eq!(shown(&list), ["10.0.0.2:5701"]);
    }

    #[test]
    fn ports_end_where_ports_end() {
        assert_eq!(Ports { first: 65534, count: 100 }.iter().collect::<Vec<_>>(), [65534, 65535]);
        assert_eq!(Ports { first: 5701, count: 8 }.to_string(), "5701-5708");
        assert_eq!(Ports { first: 5701, count: 1 }.to_string(), "5701");
    }

    #[test]
    fn without_trusted_interfaces_everybody_is_listened_to() {
        let sender: IpAddr = "192.0.2.7".parse().expect("an address");
        let trusting = |patterns: &[&str]| Multicast {
            trusted: patterns.iter().map(|pattern| pattern.parse().expect("a pattern")).collect(),
            ..Multicast::default()
        };

        assert!(trusting(&[]).trusts(sender));
        assert!(trusting(&["10.0.0.*", "192.0.2.1-9"]).trusts(sender));
        assert!(!trusting(&["10.0.0.*", "192.0.2.1-6"]).trusts(sender));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }

    fn list(members: &[&str], required: Option<&str>) -> TcpIp {
        let pattern = |word: &str| word.parse::<MemberPattern>().expect("a pattern");
        TcpIp {
            members: members.iter().map(|word| pattern(word)).collect(),
            ports: Ports { first: 5701, count: 3 },
            required_member: required.map(pattern),
            ..TcpIp::of(5701, [])
        }
    }

    fn shown(list: &TcpIp) -> Vec<String> {
        list.candidates().iter().map(ToString::to_string).collect()
    }
}
