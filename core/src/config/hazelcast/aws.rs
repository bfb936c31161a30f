//! `<aws>`: the instances of an account at AWS EC2.

use std::time::Duration;

use super::SWITCH;
use crate::config::discovery::{Aws, AwsCredentials, AwsTag, Ports, Secret};
use crate::config::document::Element;
use crate::config::origins::Origin;
use crate::config::problem::Fault;
use crate::config::reading::{Kind, Reading, SECONDS, Shape, Text};

/// Hazelcast's `connection-timeout-seconds` and `read-timeout-seconds`.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Hazelcast's `connection-retries`.
const RETRIES: u32 = 3;

/// Hazelcast's `hz-port`.
const PORTS: Ports = Ports { first: 5701, count: 8 };

/// Ports at which one instance is tried. Each is dialled again and again.
const PORTS_MAX: u16 = 100;

/// Characters of a word that is sent to AWS.
const WORD_CHARACTERS_MAX: usize = 255;

const WORD: Kind<String> = Kind {
    expected: "1 to 255 characters on one line",
    parse: |text| {
        let is_fit =
            !text.is_empty() && text.chars().count() <= WORD_CHARACTERS_MAX && !text.contains(char::is_control);
        is_fit.then(|| text.to_owned())
    },
};
const REGION: Kind<String> = Kind {
    expected: "a region, like eu-central-1",
    parse: |text| {
        let is_fit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        ((1..=63).contains(&text.len()) && text.bytes().all(is_fit)).then(|| text.to_owned())
    },
};
const HOST: Kind<String> = Kind {
    expected: "a host, with or without a port, like ec2.amazonaws.com",
    parse: |text| {
        let is_fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        (!text.is_empty() && text.len() <= 255 && text.bytes().all(is_fit)).then(|| text.to_owned())
    },
};
const COUNT: Kind<u32> = Kind {
    expected: "a number of attempts, from 0 to 100",
    parse: |text| text.parse().ok().filter(|count| *count <= 100),
};
const PORT_RANGE: Kind<Ports> = Kind {
    expected: "a port or a range of at most 100, like 5701-5708",
    parse: |text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let count = last.checked_sub(first)?.checked_add(1)?;
        (first > 0 && count <= PORTS_MAX).then_some(Ports { first, count })
    },
};

const SHAPE: Shape = Shape {
    attributes: &["enabled", "use-public-ip"],
    children: &[
        "access-key",
        "secret-key",
        "iam-role",
        "region",
        "host-header",
        "hostHeader",
        "security-group-name",
        "tag-key",
        "tag-value",
        "connection-timeout-seconds",
        "read-timeout-seconds",
        "connection-retries",
        "hz-port",
        "use-public-ip",
    ],
    text: Text::Refused,
};

/// What `<aws>` says.
pub(super) fn read(reading: &mut Reading<'_>, element: &Element) -> Aws {
    reading.allow(element, &SHAPE);
    let credentials = read_credentials(reading, element);
    // As version 2 has it.
    let host_header = reading.value(element, "hostHeader", &HOST);
    let host_header = reading.value(element, "host-header", &HOST).or(host_header);
    let seconds = |reading: &mut Reading<'_>, name| reading.value(element, name, &SECONDS).unwrap_or(TIME_MAX);
    let is_public = reading.attribute(element, "use-public-ip", &SWITCH);
    Aws {
        credentials,
        region: reading.value(element, "region", &REGION),
        host_header: host_header.unwrap_or_else(|| "ec2.amazonaws.com".to_owned()),
        security_group: reading.value(element, "security-group-name", &WORD),
        tags: read_tags(reading, element),
        connection_time_max: seconds(reading, "connection-timeout-seconds"),
        read_time_max: seconds(reading, "read-timeout-seconds"),
        retries: reading.value(element, "connection-retries", &COUNT).unwrap_or(RETRIES),
        ports: reading.value(element, "hz-port", &PORT_RANGE).unwrap_or(PORTS),
        use_public_address: reading.value(element, "use-public-ip", &SWITCH).or(is_public).unwrap_or(false),
    }
}

/// Of one that is switched off: whether there is a secret in it that everybody on the machine may read.
pub(super) fn warn_about_open_secret(reading: &mut Reading<'_>, element: &Element) {
    let is_secret = |child: &&Element| child.name == "secret-key" && !child.text.trim().is_empty();
    let Some(secret) = element.children.iter().find(is_secret) else { return };
    if is_open(reading, secret) {
        reading.warn(Some(secret.place), "the <secret-key> is not used, and everybody on this machine may read it");
    }
}

fn is_open(reading: &Reading<'_>, secret: &Element) -> bool {
    secret.note.is_none() && reading.files.everybody_may_read(secret.place)
}

fn read_credentials(reading: &mut Reading<'_>, element: &Element) -> AwsCredentials {
    let access_key = reading.value(element, "access-key", &WORD);
    let role = reading.value(element, "iam-role", &WORD).filter(|role| role != "DEFAULT");
    let secret = reading.child(element, "secret-key");
    let secret_key = secret.and_then(|secret| read_secret(reading, secret));
    match (access_key, secret_key, role) {
        (Some(access_key), Some(secret_key), None) => AwsCredentials::Key { access_key, secret_key },
        (None, None, Some(role)) => AwsCredentials::Role(role),
        (None, None, None) => AwsCredentials::Environment,
        (Some(_), _, _) | (_, Some(_), _) => {
            let message = "<aws> takes <access-key> and <secret-key>, or <iam-role>, or none of them (then the \
                           environment or the role of the instance is used)";
            reading.problem(element.place, Fault::Inconsistent(message.to_owned()));
            AwsCredentials::Environment
        }
    }
}

/// A key that everybody on the machine may read is nobody's secret. What is wrong with it is said without saying it.
fn read_secret(reading: &mut Reading<'_>, element: &Element) -> Option<Secret> {
    reading.allow(element, &Shape { attributes: &[], children: &[], text: Text::Allowed });
    if is_open(reading, element) {
        let file = reading.files.path(element.place).display().to_string();
        reading.problem(element.place, Fault::EverybodyMayRead { what: "the <secret-key>", file });
    }
    let origin = Origin::at(element.text_place, element.note.as_deref());
    reading.origins.insert(element.path.clone(), origin);
    let secret = (WORD.parse)(element.text.trim());
    if secret.is_none() {
        reading.bad_value(element.text_place, "<secret-key>".to_owned(), "(not shown)", WORD.expected);
    }
    secret.map(Secret::new)
}

/// Several tags are written as two lists, parted by commas.
fn read_tags(reading: &mut Reading<'_>, element: &Element) -> Vec<AwsTag> {
    let mut parts = |name| -> Vec<String> {
        let list = reading.value(element, name, &WORD);
        list.iter().flat_map(|list| list.split(',')).map(|part| part.trim().to_owned()).collect()
    };
    let (keys, values) = (parts("tag-key"), parts("tag-value"));
    let part = |list: &[String], number: usize| list.get(number).filter(|part| !part.is_empty()).cloned();
    (0..keys.len().max(values.len()))
        .map(|number| AwsTag { key: part(&keys, number), value: part(&values, number) })
        .filter(|tag| tag.key.is_some() || tag.value.is_some())
        .collect()
}
