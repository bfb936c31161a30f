//! Names, as the system and the name servers know them.
//!
//! Hosts are asked of the system's resolver, so that a node finds what `getent hosts` finds: `/etc/hosts`, DNS, and
//! whatever else the machine is set up for. It does not know services, so SRV records are asked of the name servers of
//! `/etc/resolv.conf`, which is read each time, because a container's changes. Nothing is kept here: what an address was
//! a minute ago is for the machine to know.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

use super::lookup::Answer;

/// Hosts of one service that are asked for. What is beyond it is left out, the least important first.
const HOSTS_MAX: usize = 64;

/// All addresses of a host, each with every one of these ports.
pub(super) async fn host(name: &str, ports: &[u16]) -> Answer {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    let ips: BTreeSet<_> = found.map(|address| address.ip()).collect();
    Ok(ips.into_iter().flat_map(|ip| ports.iter().map(move |port| SocketAddr::new(ip, *port))).collect())
}

/// The hosts and ports of a service, the hosts resolved. Hosts that cannot be are left out.
pub(super) async fn service(name: &str) -> Answer {
    let mut addresses = Vec::new();
    let mut trouble = None;
    for (target, port) in targets(name).await? {
        match host(&target, &[port]).await {
            Ok(found) => addresses.extend(found),
            Err(error) => trouble = Some(format!("{target}: {error}")),
        }
    }
    match trouble {
        Some(trouble) if addresses.is_empty() => Err(trouble),
        Some(_) | None => Ok(addresses),
    }
}

/// The hosts and ports of a service, the most important first (RFC 2782).
async fn targets(name: &str) -> Result<Vec<(String, u16)>, String> {
    let mut builder = TokioResolver::builder_tokio().map_err(|error| format!("/etc/resolv.conf: {error}"))?;
    builder.options_mut().cache_size = 0;
    let resolver = builder.build().map_err(|error| error.to_string())?;
    let found = resolver.srv_lookup(name).await.map_err(|error| error.to_string())?;
    let mut targets = Vec::new();
    for record in found.answers() {
        if let RData::SRV(service) = &record.data {
            // A target of "." says that the service is decidedly not there.
            if !service.target.is_root() {
                targets.push((service.priority, service.target.to_ascii(), service.port));
            }
        }
    }
    targets.sort();
    Ok(targets.into_iter().take(HOSTS_MAX).map(|(_, target, port)| (target, port)).collect())
}
