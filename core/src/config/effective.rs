//! A configuration written out in full, defaults included, as a file that reads back to the same value.

use std::fmt::Write as _;
use std::path::Path;

use quick_xml::escape::escape;

use super::discovery::Discovery;
use super::model::{Accounts, ClientSettings, ClusterSettings, Config, ServerRole};

impl Config {
    /// A `cresset.xml` that says all of it. Reading it yields an equal value, unless a path is not UTF-8.
    pub fn to_xml(&self) -> String {
        let mut out = String::from("<cresset>\n");
        line(&mut out, 1, format_args!("<domain>{}</domain>", escape(self.domain.as_str())));
        let data = path(&self.node.data);
        line(&mut out, 1, format_args!("<node name=\"{}\" data=\"{data}\"/>", escape(&self.node.name)));
        match &self.accounts {
            Accounts::Sqlite { path: file } => {
                line(&mut out, 1, format_args!("<accounts><sqlite path=\"{}\"/></accounts>", path(file)));
            }
        }
        if let Some(clients) = &self.clients {
            write_clients(&mut out, clients);
        }
        write_cluster(&mut out, &self.cluster);
        line(&mut out, 1, format_args!("<admin socket=\"{}\"/>", path(&self.node.admin_socket)));
        out.push_str("</cresset>\n");
        out
    }
}

fn write_clients(out: &mut String, clients: &ClientSettings) {
    line(out, 1, format_args!("<clients connections-max=\"{}\">", clients.connections_max));
    for listener in &clients.listeners {
        let advertise = match listener.advertise {
            Some(advertise) => format!(" advertise=\"{advertise}\""),
            None => String::new(),
        };
        let (address, tls) = (listener.address, listener.tls.as_str());
        line(out, 2, format_args!("<listener address=\"{address}\"{advertise} tls=\"{tls}\"/>"));
    }
    match &clients.certificate {
        Some(files) => {
            let (chain, key) = (path(&files.chain), path(&files.key));
            line(out, 2, format_args!("<certificate chain=\"{chain}\" key=\"{key}\"/>"));
        }
        None => line(out, 2, format_args!("<!-- certificate: made at the first start, signed by itself -->")),
    }
    line(out, 1, format_args!("</clients>"));
}

fn write_cluster(out: &mut String, cluster: &ClusterSettings) {
    line(out, 1, format_args!("<cluster>"));
    let (listen, advertise) = (cluster.listen, cluster.advertise);
    line(out, 2, format_args!("<listen address=\"{listen}\" advertise=\"{advertise}\"/>"));
    if let Discovery::TcpIp(list) = &cluster.discovery {
        let seconds = list.connection_time_max.as_secs();
        line(out, 2, format_args!("<join>"));
        line(out, 3, format_args!("<tcp-ip enabled=\"true\" connection-timeout-seconds=\"{seconds}\">"));
        for member in &list.members {
            line(out, 4, format_args!("<member>{}</member>", escape(member.to_string())));
        }
        line(out, 3, format_args!("</tcp-ip>"));
        line(out, 2, format_args!("</join>"));
    }
    match &cluster.secret_file {
        Some(file) => line(out, 2, format_args!("<secret file=\"{}\"/>", path(file))),
        None => line(out, 2, format_args!("<!-- secret: from the shared account database -->")),
    }
    if cluster.role == ServerRole::Witness {
        line(out, 2, format_args!("<role>{}</role>", cluster.role.as_str()));
    }
    let timing = &cluster.timing;
    line(out, 2, format_args!("<heartbeat milliseconds=\"{}\"/>", timing.heartbeat.as_millis()));
    let (min, max) = (timing.election_min.as_millis(), timing.election_max.as_millis());
    line(out, 2, format_args!("<election min-milliseconds=\"{min}\" max-milliseconds=\"{max}\"/>"));
    line(out, 2, format_args!("<lease milliseconds=\"{}\"/>", timing.lease.as_millis()));
    line(out, 2, format_args!("<drift percent=\"{}\"/>", timing.drift_percent));
    line(out, 2, format_args!("<expel-after milliseconds=\"{}\"/>", timing.expel_after.as_millis()));
    line(out, 2, format_args!("<crash-evidence enabled=\"{}\"/>", cluster.crash_evidence));
    line(out, 1, format_args!("</cluster>"));
}

fn line(out: &mut String, depth: usize, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{:indent$}{text}", "", indent = depth * 2).expect("a string takes whatever is written to it");
}

fn path(path: &Path) -> String {
    escape(path.to_string_lossy()).into_owned()
}
