//! `<multicast>`: packets to everybody on the local network.

use std::net::IpAddr;
use std::time::Duration;

use super::network::read_patterns;
use crate::config::discovery::Multicast;
use crate::config::document::Element;
use crate::config::reading::{Kind, PORT, Reading, SECONDS, SWITCH, Shape, Text};

const GROUP: Kind<IpAddr> = Kind {
    expected: "a multicast address, from 224.0.0.0 to 239.255.255.255, or ff00::/8",
    parse: |text| text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast),
};
const TIME_TO_LIVE: Kind<u8> =
    Kind { expected: "how many routers a packet may cross, from 0 to 255", parse: |text| text.parse().ok() };

const SHAPE: Shape = Shape {
    attributes: &["enabled", "loopbackModeEnabled", "loopback-mode-enabled"],
    children: &[
        "multicast-group",
        "multicast-port",
        "multicast-time-to-live",
        "multicast-timeout-seconds",
        "trusted-interfaces",
    ],
    text: Text::Refused,
};

/// What `<multicast>` says, or its defaults.
pub(super) fn read(reading: &mut Reading<'_>, element: &Element) -> Multicast {
    reading.allow(element, &SHAPE);
    let default = Multicast::default();
    let mut loopback = reading.attribute(element, "loopbackModeEnabled", &SWITCH);
    loopback = reading.attribute(element, "loopback-mode-enabled", &SWITCH).or(loopback);
    let trusted = match reading.child(element, "trusted-interfaces") {
        Some(trusted) => {
            reading.allow(trusted, &Shape { attributes: &[], children: &["interface"], text: Text::Refused });
            read_patterns(reading, trusted)
        }
        None => Vec::new(),
    };
    let answer_time_max: Option<Duration> = reading.value(element, "multicast-timeout-seconds", &SECONDS);
    Multicast {
        group: reading.value(element, "multicast-group", &GROUP).unwrap_or(default.group),
        port: reading.value(element, "multicast-port", &PORT).unwrap_or(default.port),
        time_to_live: reading.value(element, "multicast-time-to-live", &TIME_TO_LIVE).unwrap_or(default.time_to_live),
        loopback: loopback.unwrap_or(default.loopback),
        answer_time_max: answer_time_max.unwrap_or(default.answer_time_max),
        trusted,
    }
}
