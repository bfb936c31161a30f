//! `<dns>`, our own addition to `<join>`, and `<kubernetes>` as far as it is DNS.
//!
//! A headless service of Kubernetes is a host name with an address for each pod: no program interface has to be asked
//! for that, and no token kept.

use std::time::Duration;

use crate::config::discovery::{Dns, DnsQuery, HostPattern, MemberPattern, is_host_name};
use crate::config::document::Element;
use crate::config::origins::Origin;
use crate::config::problem::Fault;
use crate::config::reading::{Kind, Reading, SECONDS, Shape, Text};

/// Names of one configuration.
const NAMES_MAX: usize = 64;

/// Hazelcast's `service-dns-timeout`.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Between two rounds of questions. A new pod is in DNS within seconds, and answers are kept for about as long.
const EVERY: Duration = Duration::from_secs(10);

const HOST: &str = "a host name, with or without a port, like members.example.org:5701";

const SERVICE: Kind<String> = Kind {
    expected: "the name of a service, like _cresset._tcp.example.org",
    parse: |text| (text.starts_with('_') && is_host_name(text)).then(|| text.to_owned()),
};
const SERVICE_DNS: Kind<String> = Kind {
    expected: "the host name of a headless service, like members.default.svc.cluster.local",
    parse: |text| is_host_name(text).then(|| text.to_owned()),
};
const SERVICE_PORT: Kind<u16> =
    Kind { expected: "a port, or 0 for that of this node", parse: |text| text.parse().ok() };

/// What `<dns>` says. Hosts without a port are tried at `port`.
pub(super) fn read(reading: &mut Reading<'_>, element: &Element, port: u16) -> Dns {
    let shape = Shape {
        attributes: &["enabled", "timeout-seconds", "every-seconds"],
        children: &["host", "service"],
        text: Text::Refused,
    };
    reading.allow(element, &shape);
    let mut queries = Vec::new();
    for child in &element.children {
        match child.name.as_str() {
            "host" => {
                for word in reading.words(child, HOST) {
                    match word.parse::<MemberPattern>() {
                        Ok(MemberPattern { host: HostPattern::Name(name), port: own }) => {
                            let query = DnsQuery::Host { name, port: own.unwrap_or(port) };
                            note(reading, &query, child);
                            queries.push(query);
                        }
                        Ok(_) | Err(_) => reading.bad_value(child.text_place, "<host>".to_owned(), word, HOST),
                    }
                }
            }
            "service" => {
                if let Some(name) = reading.text(child, &SERVICE) {
                    let query = DnsQuery::Service { name };
                    note(reading, &query, child);
                    queries.push(query);
                }
            }
            _ => {}
        }
    }
    if queries.is_empty() || queries.len() > NAMES_MAX {
        let message = format!("<dns> holds 1 to {NAMES_MAX} names, each in <host> or <service>");
        reading.problem(element.place, Fault::Inconsistent(message));
    }
    Dns {
        queries,
        answer_time_max: reading.attribute(element, "timeout-seconds", &SECONDS).unwrap_or(ANSWER_TIME_MAX),
        every: reading.attribute(element, "every-seconds", &SECONDS).unwrap_or(EVERY),
    }
}

fn note(reading: &mut Reading<'_>, query: &DnsQuery, element: &Element) {
    let origin = Origin::at(element.text_place, element.note.as_deref());
    reading.origins.insert(format!("cluster/network/join/dns/{query}"), origin);
}

/// What `<kubernetes>` says if it looks its members up by DNS; otherwise it is refused.
pub(super) fn read_kubernetes(reading: &mut Reading<'_>, element: &Element, port: u16) -> Option<Dns> {
    let Some(service) = reading.child(element, "service-dns") else {
        let how = "make a headless service, and name it with <service-dns>";
        let what = "asking the Kubernetes API".to_owned();
        reading.problem(element.place, Fault::UseDns { what, how });
        return None;
    };
    for child in &element.children {
        if !matches!(child.name.as_str(), "service-dns" | "service-dns-timeout" | "service-port") {
            let name = format!("<{}> of <kubernetes>", child.name);
            reading.ignore(child.place, &name, "the members are looked up by <service-dns>");
        }
    }
    let name = reading.text(service, &SERVICE_DNS)?;
    let own = reading.value(element, "service-port", &SERVICE_PORT).filter(|port| *port > 0);
    let answer_time_max = reading.value(element, "service-dns-timeout", &SECONDS).unwrap_or(ANSWER_TIME_MAX);
    let query = DnsQuery::Host { name, port: own.unwrap_or(port) };
    note(reading, &query, service);
    let queries = vec![query];
    Some(Dns { queries, answer_time_max, every: EVERY })
}
