//! A configuration written out in full, defaults included, as a file that reads back to the same value; on request with
//! a comment on each line that says where its values came from.

use std::fmt::{Arguments, Write as _};
use std::path::Path;

use quick_xml::escape::escape;

use super::discovery::{Aws, AwsCredentials, Discovery, Dns, DnsQuery, Multicast, TcpIp};
use super::files::Files;
use super::load::{Checked, CheckedCluster};
use super::model::{Accounts, ClientSettings, ClusterSettings, Config, PostgresSettings, ServerRole};
use super::origins::Origins;

impl Config {
    /// A `cresset.xml` that says all of it. Reading it yields an equal value, unless a path is not UTF-8, or there is a
    /// secret in it: secrets are left out.
    pub fn to_xml(&self) -> String {
        Writer { out: String::new(), known: None }.config(self)
    }
}

impl Checked {
    /// The same, with where each value came from.
    pub fn to_annotated_xml(&self) -> String {
        Writer { out: String::new(), known: Some((&self.origins, &self.files)) }.config(&self.config)
    }
}

impl CheckedCluster {
    /// The cluster part of a `cresset.xml` that says all of it, with where each value came from.
    pub fn to_annotated_xml(&self) -> String {
        let mut writer = Writer { out: String::new(), known: Some((&self.origins, &self.files)) };
        writer.cluster(0, &self.cluster);
        writer.out
    }
}

struct Writer<'a> {
    out: String,
    known: Option<(&'a Origins, &'a Files)>,
}

impl Writer<'_> {
    fn config(mut self, config: &Config) -> String {
        self.open(0, "<cresset>");
        self.line(1, format_args!("<domain>{}</domain>", escape(config.domain.as_str())), &[("", "domain")]);
        let (name, data) = (escape(&config.node.name), path(&config.node.data));
        let keys = [("name", "node@name"), ("data", "node@data")];
        self.line(1, format_args!("<node name=\"{name}\" data=\"{data}\"/>"), &keys);
        match &config.accounts {
            Accounts::Sqlite { path: file } => {
                let keys = [("", "accounts/sqlite@path")];
                self.line(1, format_args!("<accounts><sqlite path=\"{}\"/></accounts>", path(file)), &keys);
            }
            Accounts::Postgres(settings) => self.postgres(settings),
        }
        if let Some(clients) = &config.clients {
            self.clients(clients);
        }
        self.cluster(1, &config.cluster);
        let socket = path(&config.node.admin_socket);
        self.line(1, format_args!("<admin socket=\"{socket}\"/>"), &[("", "admin@socket")]);
        match config.node.health {
            Some(address) => {
                self.line(1, format_args!("<health listen=\"{address}\"/>"), &[("", "health@listen")]);
            }
            None => self.open(1, "<!-- health: not served by HTTP -->"),
        }
        self.open(0, "</cresset>");
        self.out
    }

    fn postgres(&mut self, settings: &PostgresSettings) {
        const NAME: &str = "accounts/postgresql";
        self.open(1, "<accounts>");
        let mut text = format!("<postgresql url=\"{}\"", escape(settings.url.to_string()));
        let mut names = vec!["url"];
        if let Some(certificates) = &settings.certificates {
            text += &format!(" certificates=\"{}\"", path(certificates));
            names.push("certificates");
        }
        for (name, value) in [
            ("pool", settings.connections_max.to_string()),
            ("connect-milliseconds", settings.connect_time_max.as_millis().to_string()),
            ("wait-milliseconds", settings.wait_time_max.as_millis().to_string()),
            ("answer-milliseconds", settings.answer_time_max.as_millis().to_string()),
        ] {
            text += &format!(" {name}=\"{value}\"");
            names.push(name);
        }
        let keys: Vec<(&str, String)> = names.iter().map(|name| (*name, format!("{NAME}@{name}"))).collect();
        let keys: Vec<(&str, &str)> = keys.iter().map(|(name, key)| (*name, key.as_str())).collect();
        self.line(2, format_args!("{text}/>"), &keys);
        self.open(1, "</accounts>");
    }

    fn clients(&mut self, clients: &ClientSettings) {
        let keys = [("", "clients@connections-max")];
        self.line(1, format_args!("<clients connections-max=\"{}\">", clients.connections_max), &keys);
        for (number, listener) in clients.listeners.iter().enumerate() {
            let advertise = match listener.advertise {
                Some(advertise) => format!(" advertise=\"{advertise}\""),
                None => String::new(),
            };
            let (address, tls) = (listener.address, listener.tls.as_str());
            let proxied = if listener.proxied { " proxied=\"true\"" } else { "" };
            let listener = match number {
                0 => "clients/listener".to_owned(),
                _ => format!("clients/listener[{}]", number + 1),
            };
            let [address_key, advertise_key, tls_key, proxied_key] =
                ["address", "advertise", "tls", "proxied"].map(|name| format!("{listener}@{name}"));
            let mut keys = vec![("address", address_key.as_str())];
            if !advertise.is_empty() {
                keys.push(("advertise", &advertise_key));
            }
            keys.push(("tls", &tls_key));
            if !proxied.is_empty() {
                keys.push(("proxied", &proxied_key));
            }
            self.line(2, format_args!("<listener address=\"{address}\"{advertise} tls=\"{tls}\"{proxied}/>"), &keys);
        }
        match &clients.certificate {
            Some(files) => {
                let (chain, key) = (path(&files.chain), path(&files.key));
                let keys = [("chain", "clients/certificate@chain"), ("key", "clients/certificate@key")];
                self.line(2, format_args!("<certificate chain=\"{chain}\" key=\"{key}\"/>"), &keys);
            }
            None => self.open(2, "<!-- certificate: made at the first start, signed by itself -->"),
        }
        self.open(1, "</clients>");
    }

    fn cluster(&mut self, depth: usize, cluster: &ClusterSettings) {
        self.line(depth, format_args!("<cluster enabled=\"{}\">", cluster.enabled), &[("", "cluster@enabled")]);
        let depth = depth + 1;
        let name = escape(&cluster.name);
        self.line(depth, format_args!("<cluster-name>{name}</cluster-name>"), &[("", self.name_key())]);
        self.address(depth, cluster);
        match &cluster.secret_file {
            Some(file) => {
                self.line(depth, format_args!("<secret file=\"{}\"/>", path(file)), &[("", "cluster/secret@file")]);
            }
            None => self.open(depth, "<!-- secret: from the shared account database -->"),
        }
        if cluster.role == ServerRole::Witness {
            self.line(depth, format_args!("<role>{}</role>", cluster.role.as_str()), &[("", "cluster/role")]);
        }
        self.times(depth, cluster);
        self.open(depth - 1, "</cluster>");
    }

    /// `<cluster-name>`, or the older `<group>`.
    fn name_key(&self) -> &'static str {
        let is_said = self.known.is_some_and(|(origins, _)| origins.has("cluster/cluster-name"));
        if is_said { "cluster/cluster-name" } else { "cluster/group/name" }
    }

    /// Where this node is reached, and how it finds the others. An address that is settled is `<listen>`; one that may
    /// move up is a `<port>` and a `<public-address>`.
    fn address(&mut self, depth: usize, cluster: &ClusterSettings) {
        let (listen, advertise) = (cluster.listen, cluster.advertise);
        let is_settled = cluster.ports_tried == 1;
        if is_settled {
            let keys = [("address", self.listen_key()), ("advertise", "cluster/listen@advertise")];
            self.line(depth, format_args!("<listen address=\"{listen}\" advertise=\"{advertise}\"/>"), &keys);
        }
        self.open(depth, "<network>");
        if !is_settled {
            let (port, count) = (listen.port(), cluster.ports_tried);
            let keys = [("port", "cluster/network/port"), ("port-count", "cluster/network/port@port-count")];
            self.line(
                depth + 1,
                format_args!("<port auto-increment=\"true\" port-count=\"{count}\">{port}</port>"),
                &keys,
            );
            let shown = match (advertise.port() == port, advertise.ip()) {
                (true, ip) => ip.to_string(),
                (false, _) => advertise.to_string(),
            };
            let keys = [("", "cluster/listen@advertise")];
            self.line(depth + 1, format_args!("<public-address>{shown}</public-address>"), &keys);
        }
        self.join(depth + 1, &cluster.discovery);
        self.open(depth, "</network>");
        if !is_settled && !listen.ip().is_unspecified() {
            self.open(depth, "<properties>");
            let name = "hazelcast.socket.bind.any";
            self.line(depth + 1, format_args!("<property name=\"{name}\">false</property>"), &[("", name)]);
            self.open(depth, "</properties>");
        }
    }

    /// The port is said by one or the other.
    fn listen_key(&self) -> &'static str {
        let is_said = self.known.is_some_and(|(origins, _)| origins.has("cluster/network/port"));
        if is_said { "cluster/network/port" } else { "cluster/listen@address" }
    }

    fn join(&mut self, depth: usize, discovery: &Discovery) {
        const KEY: &str = "cluster/network/join";
        if *discovery == Discovery::Alone {
            self.open(depth, "<!-- join: this node looks for nobody -->");
            return;
        }
        self.line(depth, format_args!("<join>"), &[("", KEY)]);
        match discovery {
            Discovery::Alone => {}
            Discovery::Multicast(multicast) => self.multicast(depth + 1, multicast),
            Discovery::TcpIp(list) => self.tcp_ip(depth + 1, list),
            Discovery::Dns(dns) => self.dns(depth + 1, dns),
            Discovery::Aws(aws) => self.aws(depth + 1, aws),
        }
        self.open(depth, "</join>");
    }

    fn multicast(&mut self, depth: usize, multicast: &Multicast) {
        let Multicast { group, port, time_to_live, loopback, answer_time_max, trusted } = multicast;
        let key = "cluster/network/join/multicast@loopbackModeEnabled";
        let text = format!("<multicast enabled=\"true\" loopbackModeEnabled=\"{loopback}\">");
        self.line(depth, format_args!("{text}"), &[("loopbackModeEnabled", key)]);
        for (name, value) in [
            ("multicast-group", group.to_string()),
            ("multicast-port", port.to_string()),
            ("multicast-time-to-live", time_to_live.to_string()),
            ("multicast-timeout-seconds", answer_time_max.as_secs().to_string()),
        ] {
            self.setting(depth + 1, "cluster/network/join/multicast", name, &value);
        }
        if !trusted.is_empty() {
            self.open(depth + 1, "<trusted-interfaces>");
            for pattern in trusted {
                let key = format!("cluster/network/join/multicast/trusted-interfaces/{pattern}");
                self.line(depth + 2, format_args!("<interface>{pattern}</interface>"), &[("", &key)]);
            }
            self.open(depth + 1, "</trusted-interfaces>");
        }
        self.open(depth, "</multicast>");
    }

    fn tcp_ip(&mut self, depth: usize, list: &TcpIp) {
        let seconds = list.connection_time_max.as_secs();
        let text = format!("<tcp-ip enabled=\"true\" connection-timeout-seconds=\"{seconds}\">");
        let key = "cluster/network/join/tcp-ip@connection-timeout-seconds";
        self.line(depth, format_args!("{text}"), &[("connection-timeout-seconds", key)]);
        for member in &list.members {
            let key = format!("cluster/network/join/tcp-ip/{member}");
            let member = member.to_string();
            self.line(depth + 1, format_args!("<member>{}</member>", escape(&member)), &[("", &key)]);
        }
        if let Some(required) = &list.required_member {
            self.setting(depth + 1, "cluster/network/join/tcp-ip", "required-member", &required.to_string());
        }
        self.open(depth, "</tcp-ip>");
    }

    fn dns(&mut self, depth: usize, dns: &Dns) {
        let (timeout, every) = (dns.answer_time_max.as_secs(), dns.every.as_secs());
        const ABOVE: &str = "cluster/network/join/dns";
        let [timeout_key, every_key] = ["timeout-seconds", "every-seconds"].map(|name| format!("{ABOVE}@{name}"));
        let keys = [("timeout-seconds", timeout_key.as_str()), ("every-seconds", every_key.as_str())];
        let text = format!("<dns enabled=\"true\" timeout-seconds=\"{timeout}\" every-seconds=\"{every}\">");
        self.line(depth, format_args!("{text}"), &keys);
        for query in &dns.queries {
            let name = match query {
                DnsQuery::Host { .. } => "host",
                DnsQuery::Service { .. } => "service",
            };
            self.line(depth + 1, format_args!("<{name}>{query}</{name}>"), &[("", &format!("{ABOVE}/{query}"))]);
        }
        self.open(depth, "</dns>");
    }

    fn aws(&mut self, depth: usize, aws: &Aws) {
        const ABOVE: &str = "cluster/network/join/aws";
        self.open(depth, &format!("<aws enabled=\"true\" use-public-ip=\"{}\">", aws.use_public_address));
        match &aws.credentials {
            AwsCredentials::Key { access_key, .. } => {
                self.setting(depth + 1, ABOVE, "access-key", access_key);
                let key = format!("{ABOVE}/secret-key");
                self.line(depth + 1, format_args!("<!-- secret-key: not shown -->"), &[("", &key)]);
            }
            AwsCredentials::Role(role) => self.setting(depth + 1, ABOVE, "iam-role", role),
            AwsCredentials::Environment => {
                self.open(depth + 1, "<!-- credentials: the environment's or the role's -->")
            }
        }
        let joined = |part: fn(&super::discovery::AwsTag) -> &Option<String>| -> Option<String> {
            let parts: Vec<&str> = aws.tags.iter().map(|tag| part(tag).as_deref().unwrap_or_default()).collect();
            parts.iter().any(|part| !part.is_empty()).then(|| parts.join(","))
        };
        for (name, value) in [
            ("region", aws.region.clone()),
            ("host-header", Some(aws.host_header.clone())),
            ("security-group-name", aws.security_group.clone()),
            ("tag-key", joined(|tag| &tag.key)),
            ("tag-value", joined(|tag| &tag.value)),
            ("connection-timeout-seconds", Some(aws.connection_time_max.as_secs().to_string())),
            ("read-timeout-seconds", Some(aws.read_time_max.as_secs().to_string())),
            ("connection-retries", Some(aws.retries.to_string())),
            ("hz-port", Some(aws.ports.to_string())),
        ] {
            if let Some(value) = value {
                self.setting(depth + 1, ABOVE, name, &value);
            }
        }
        self.open(depth, "</aws>");
    }

    fn times(&mut self, depth: usize, cluster: &ClusterSettings) {
        let timing = &cluster.timing;
        for (name, time) in
            [("heartbeat", timing.heartbeat), ("lease", timing.lease), ("expel-after", timing.expel_after)]
        {
            let key = format!("cluster/{name}@milliseconds");
            self.line(depth, format_args!("<{name} milliseconds=\"{}\"/>", time.as_millis()), &[("", &key)]);
        }
        let (min, max) = (timing.election_min.as_millis(), timing.election_max.as_millis());
        let keys = [("", "cluster/election@min-milliseconds")];
        let text = format!("<election min-milliseconds=\"{min}\" max-milliseconds=\"{max}\"/>");
        self.line(depth, format_args!("{text}"), &keys);
        let keys = [("", "cluster/drift@percent")];
        self.line(depth, format_args!("<drift percent=\"{}\"/>", timing.drift_percent), &keys);
        let keys = [("", "cluster/crash-evidence@enabled")];
        self.line(depth, format_args!("<crash-evidence enabled=\"{}\"/>", cluster.crash_evidence), &keys);
    }

    fn setting(&mut self, depth: usize, above: &str, name: &str, value: &str) {
        let key = format!("{above}/{name}");
        self.line(depth, format_args!("<{name}>{}</{name}>", escape(value)), &[("", &key)]);
    }

    /// A line that holds no value.
    fn open(&mut self, depth: usize, text: &str) {
        writeln!(self.out, "{:indent$}{text}", "", indent = depth * 2)
            .expect("a string takes whatever is written to it");
    }

    /// A line with values, each called by what it is in the line and in the whole configuration.
    fn line(&mut self, depth: usize, text: Arguments<'_>, keys: &[(&str, &str)]) {
        let comment = self.known.map(|(origins, files)| {
            let said: Vec<(&str, String)> =
                keys.iter().map(|(name, key)| (*name, origins.describe(key, files))).collect();
            let is_one = said.iter().all(|(_, origin)| *origin == said[0].1);
            let shown: Vec<String> = if is_one {
                said.iter().take(1).map(|(_, origin)| origin.clone()).collect()
            } else {
                said.iter().map(|(name, origin)| format!("{name}: {origin}")).collect()
            };
            // Two hyphens would end the comment.
            format!("  <!-- {} -->", shown.join("; ").replace("--", "- -"))
        });
        self.open(depth, &format!("{text}{}", comment.unwrap_or_default()));
    }
}

fn path(path: &Path) -> String {
    escape(path.to_string_lossy()).into_owned()
}
