//! Hazelcast's words: what stands in a `<hazelcast>` file, or in our `<cluster>`.
//!
//! | read | named and ignored | refused |
//! |---|---|---|
//! | `cluster-name`, `network`, `properties` | `map`, `queue` and all else that describes a data grid; `group`, `cp-subsystem` | protection that is switched on and would not be given; ways of discovery that are not there |
//!
//! Kinder than Hazelcast, which dies on what its schema does not know; stricter where the operator asked for protection
//! (Hazelcast 5 reference manual, "Understanding Configuration"). Words of all versions from 2.0 on are known. What stands
//! in a section that is switched off is not read: it is an example, or was true once.

mod aws;
mod dns;
mod join;
mod known;
mod multicast;
mod network;
mod own_address;
mod properties;
mod replacers;
mod tcp_ip;
#[cfg(test)]
mod tests;

use super::document::Element;
use super::files::Dialect;
use super::problem::{Fault, excerpt};
use super::reading::{Kind, Reading, Shape, Text};

use known::OF_A_GRID;
pub(super) use network::{CLUSTER_ADDRESS, Listening, Network};
pub(super) use properties::name_definitions;

/// What a cluster is called unless a file says so.
pub(super) const CLUSTER_NAME: &str = "cresset";

const NAME: Kind<String> = Kind {
    expected: "1 to 255 characters",
    parse: |text| {
        let is_fit = !text.is_empty() && text.len() <= 255 && !text.contains(char::is_control);
        is_fit.then(|| text.to_owned())
    },
};

/// Elements that are looked into.
const READ: &[&str] = &[
    "cluster-name",
    "config-replacers",
    "group",
    "cp-subsystem",
    "network",
    "properties",
    "security",
    "advanced-network",
];

/// `enabled` and the like. Up to 3.4 Hazelcast took `yes` and `on` for `true`. Later schemas take `1` as well, and then it
/// is read as false, so that is no answer; `0` is.
const SWITCH: Kind<bool> = Kind {
    expected: "'true' or 'false'",
    parse: |text| match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    },
};

/// Whether this child of `<cluster>` is looked at here: what Hazelcast knows, and whatever stands in a file of its.
pub(super) fn looks_at(name: &str, dialect: Dialect) -> bool {
    dialect == Dialect::Hazelcast || READ.contains(&name) || OF_A_GRID.contains(&name)
}

/// What Hazelcast's words in `cluster` say.
pub(super) struct Said {
    pub(super) name: String,
    pub(super) network: Network,
}

/// Reads the children of `cluster` that are Hazelcast's. `listening` is what our own `<listen>` says.
pub(super) fn read(reading: &mut Reading<'_>, cluster: &Element, listening: Option<Listening>) -> Said {
    name_ignored(reading, cluster);
    replacers::refuse(reading, cluster);
    for name in ["security", "advanced-network"] {
        refuse_if_enabled(reading, cluster, name);
    }
    let properties = properties::read(reading, cluster);
    let name = read_name(reading, cluster);
    let network = network::read(reading, cluster, listening, &properties);
    Said { name, network }
}

fn name_ignored(reading: &mut Reading<'_>, cluster: &Element) {
    for child in &cluster.children {
        let shown = format!("<{}>", excerpt(&child.name));
        if child.name == "cp-subsystem" {
            reading.warn(
                Some(child.place),
                "<cp-subsystem> is ignored: members and sessions are always agreed by a quorum (Raft)",
            );
        } else if child.name == "config-replacers" {
            reading.ignore(child.place, &shown, "variables are ${name}, and nothing else is replaced");
        } else if OF_A_GRID.contains(&child.name.as_str()) {
            reading.ignore(child.place, &shown, "there is no data grid that it could configure");
        } else if reading.dialect(child.place) == Dialect::Hazelcast && !READ.contains(&child.name.as_str()) {
            reading.ignore(child.place, &shown, "it is not known here; is it spelled right?");
        }
    }
}

fn refuse_if_enabled(reading: &mut Reading<'_>, parent: &Element, name: &str) {
    let Some(element) = reading.child(parent, name) else { return };
    let shown = format!("<{name}>");
    if reading.attribute(element, "enabled", &SWITCH).unwrap_or(false) {
        let fault = match name {
            "security" => {
                let instead = "whoever has the join secret is a member, and members trust each other";
                Fault::Protection { element: name.to_owned(), instead }
            }
            _ => Fault::Inconsistent(format!("{shown} is not supported: say it with <network>")),
        };
        reading.problem(element.place, fault);
    } else {
        reading.ignore(element.place, &shown, "it is switched off");
    }
}

/// `<cluster-name>`, or the `<group>` of Hazelcast 3.
fn read_name(reading: &mut Reading<'_>, cluster: &Element) -> String {
    let name = reading.value(cluster, "cluster-name", &NAME);
    let mut group_name = None;
    if let Some(group) = reading.child(cluster, "group") {
        reading.warn(Some(group.place), "<group> is of Hazelcast 3: its name is taken for <cluster-name>");
        reading.allow(group, &Shape { attributes: &[], children: &["name", "password"], text: Text::Refused });
        group_name = reading.value(group, "name", &NAME);
        if let Some(password) = reading.child(group, "password") {
            reading.ignore(password.place, "<password> of <group>", "members prove that they know the join secret");
        }
    }
    name.or(group_name).unwrap_or_else(|| CLUSTER_NAME.to_owned())
}

/// Whether an element says that it is switched off.
fn is_switched_off(element: &Element) -> bool {
    let said = element.attributes.iter().find(|attribute| attribute.name == "enabled");
    said.is_some_and(|attribute| (SWITCH.parse)(attribute.value.trim()) == Some(false))
}

/// Whether an element that can be switched is: in a file of Hazelcast's only if it says so, in ours unless it says no.
fn is_enabled(reading: &mut Reading<'_>, element: &Element) -> bool {
    let by_default = reading.dialect(element.place) == Dialect::Cresset;
    reading.attribute(element, "enabled", &SWITCH).unwrap_or(by_default)
}
