//! What is asked, and whom.

use std::net::IpAddr;

use crate::config::discovery::Aws;

/// The host of `<host-header>` that stands for the service in the region.
const ANY_REGION: &str = "ec2.amazonaws.com";

/// Who is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// As it is said in the request, with the port if there is one.
    pub host: String,
    /// Whether the way is encrypted. It always is, except to this machine itself, where a mock server may be.
    pub is_encrypted: bool,
}

impl Endpoint {
    /// The service of a region; or exactly the host that the settings name.
    pub fn of(aws: &Aws, region: &str) -> Endpoint {
        let host = if aws.host_header == ANY_REGION {
            let china = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("ec2.{region}.amazonaws.com{china}")
        } else {
            aws.host_header.clone()
        };
        let (name, _) = split(&host);
        let is_here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        Endpoint { host, is_encrypted: !is_here }
    }

    /// The name or address, and the port to connect to.
    pub fn name_and_port(&self) -> (&str, u16) {
        let (name, port) = split(&self.host);
        (name, port.unwrap_or(if self.is_encrypted { 443 } else { 80 }))
    }
}

/// `name`, `name:port`, `[address]` or `[address]:port`.
fn split(host: &str) -> (&str, Option<u16>) {
    let end_of_name = host.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = match host[end_of_name..].rfind(':') {
        Some(colon) => (&host[..end_of_name + colon], host[end_of_name + colon + 1..].parse().ok()),
        None => (host, None),
    };
    (name.trim_start_matches('[').trim_end_matches(']'), port)
}

/// The form that asks for the running instances that the settings mean; `next` is the token of the page before.
pub fn describe_instances(aws: &Aws, next: Option<&str>) -> String {
    let mut filters = vec![("instance-state-name".to_owned(), "running")];
    for tag in &aws.tags {
        match (&tag.key, &tag.value) {
            (Some(key), Some(value)) => filters.push((format!("tag:{key}"), value)),
            (Some(key), None) => filters.push(("tag-key".to_owned(), key)),
            (None, Some(value)) => filters.push(("tag-value".to_owned(), value)),
            (None, None) => {}
        }
    }
    if let Some(group) = &aws.security_group {
        filters.push(("instance.group-name".to_owned(), group));
    }
    let mut form = "Action=DescribeInstances&Version=2016-11-15".to_owned();
    for (number, (name, value)) in (1..).zip(filters) {
        let (name, value) = (escaped(&name), escaped(value));
        form.push_str(&format!("&Filter.{number}.Name={name}&Filter.{number}.Value.1={value}"));
    }
    if let Some(token) = next {
        form.push_str(&format!("&NextToken={}", escaped(token)));
    }
    form
}

/// Everything but the unreserved characters of RFC 3986, as AWS wants it.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::discovery::{AwsCredentials, AwsTag, Ports};

    #[test]
    fn the_region_is_put_in_and_the_way_is_encrypted() {
        for (region, host) in
            [("eu-central-1", "ec2.eu-central-1.amazonaws.com"), ("cn-north-1", "ec2.cn-north-1.amazonaws.com.cn")]
        {
            let endpoint = Endpoint::of(&aws("ec2.amazonaws.com"), region);
            assert_eq!(endpoint, Endpoint { host: host.to_owned(), is_encrypted: true });
            assert_eq!(endpoint.name_and_port(), (host, 443));
        }
    }

    /// Whoever reads a request on its way could ask for minutes whatever the key is good for.
    #[test]
    fn only_this_machine_is_asked_in_the_clear() {
        for (host, name, port, is_encrypted) in [
            ("localhost:5000", "localhost", 5000, false),
            ("127.0.0.1", "127.0.0.1", 80, false),
            ("[::1]:5000", "::1", 5000, false),
            ("[2001:db8::1]", "2001:db8::1", 443, true),
            ("10.0.0.1:5000", "10.0.0.1", 5000, true),
            ("localhost.example:5000", "localhost.example", 5000, true),
        ] {
            let endpoint = Endpoint::of(&aws(host), "eu-central-1");
            assert_eq!((endpoint.name_and_port(), endpoint.is_encrypted), ((name, port), is_encrypted), "{host}");
        }
    }

    #[test]
    fn running_instances_with_all_tags_in_the_group_are_asked_for() {
        let tag = |key: Option<&str>, value: Option<&str>| AwsTag {
            key: key.map(str::to_owned),
            value: value.map(str::to_owned),
        };
        let tags = vec![tag(Some("role"), Some("a b&c")), tag(Some("k"), None), tag(None, Some("v"))];
        let aws = Aws { tags, security_group: Some("ü".to_owned()), ..aws("x") };

        assert_eq!(
            describe_instances(&aws, Some("t=")),
            "Action=DescribeInstances&Version=2016-11-15\
             &Filter.1.Name=instance-state-name&Filter.1.Value.1=running\
             &Filter.2.Name=tag%3Arole&Filter.2.Value.1=a%20b%26c\
             &Filter.3.Name=tag-key&Filter.3.Value.1=k\
             &Filter.4.Name=tag-value&Filter.4.Value.1=v\
             &Filter.5.Name=instance.group-name&Filter.5.Value.1=%C3%BC\
             &NextToken=t%3D"
        );
    }

    fn aws(host: &str) -> Aws {
        Aws {
            credentials: AwsCredentials::Environment,
            region: None,
            host_header: host.to_owned(),
            security_group: None,
            tags: Vec::new(),
            connection_time_max: Duration::from_secs(10),
            read_time_max: Duration::from_secs(10),
            retries: 3,
            ports: Ports { first: 5701, count: 8 },
            use_public_address: false,
        }
    }
}
