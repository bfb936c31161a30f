//! `<multicast>`: packets to everybody on the local network.

use std::time::Duration;

use super::SWITCH;
use super::own_address::{NoAddress, read_patterns};
use super::properties::{GROUP, Properties};
use crate::config::discovery::Multicast;
use crate::config::document::Element;
use crate::config::origins::Origin;
use crate::config::reading::{Kind, PORT, Reading, SECONDS, Shape, Text};

const TIME_TO_LIVE: Kind<u8> =
    Kind { expected: "how many routers a packet may cross, from 0 to 255", parse: |text| text.parse().ok() };

const SHAPE: Shape = Shape {
    attributes: &["enabled", "loopbackModeEnabled", "loopback-mode-enabled"],
    children: &[
        "multicast-group",
        "multicast-port",
        "multicast-time-to-live",
        "multicast-time-to-live-seconds",
        "multicast-timeout-seconds",
        "trusted-interfaces",
    ],
    text: Text::Refused,
};

/// What `<multicast>` says, or its defaults.
pub(super) fn read(reading: &mut Reading<'_>, element: &Element, properties: &Properties) -> Multicast {
    reading.allow(element, &SHAPE);
    let default = Multicast::default();
    let mut loopback = reading.attribute(element, "loopbackModeEnabled", &SWITCH);
    loopback = reading.attribute(element, "loopback-mode-enabled", &SWITCH).or(loopback);
    let trusted = match reading.child(element, "trusted-interfaces") {
        Some(trusted) => {
            reading.allow(trusted, &Shape { attributes: &[], children: &["interface"], text: Text::Refused });
            read_patterns(reading, trusted, NoAddress::Refused)
        }
        None => Vec::new(),
    };
    let answer_time_max: Option<Duration> = reading.value(element, "multicast-timeout-seconds", &SECONDS);
    // Version 2 has the other name for the same number of routers.
    let old = reading.value(element, "multicast-time-to-live-seconds", &TIME_TO_LIVE);
    let time_to_live = reading.value(element, "multicast-time-to-live", &TIME_TO_LIVE).or(old);
    let group = reading.value(element, "multicast-group", &GROUP).unwrap_or(default.group);
    let multicast = Multicast {
        group,
        port: reading.value(element, "multicast-port", &PORT).unwrap_or(default.port),
        time_to_live: time_to_live.unwrap_or(default.time_to_live),
        loopback: loopback.unwrap_or(default.loopback),
        answer_time_max: answer_time_max.unwrap_or(default.answer_time_max),
        trusted,
    };
    by_property(reading, multicast, properties)
}

/// The same with the group that a property says.
pub(super) fn by_property(reading: &mut Reading<'_>, mut multicast: Multicast, properties: &Properties) -> Multicast {
    if let Some(said) = &properties.multicast_group {
        let origin = Origin::Follows(format!("the property 'hazelcast.multicast.group', {}", said.source));
        reading.origins.insert("cluster/network/join/multicast/multicast-group".to_owned(), origin);
        multicast.group = said.value;
    }
    multicast
}
