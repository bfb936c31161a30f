//! `<accounts>`: the database with accounts, rosters and offline messages that all members share.

use std::path::Path;
use std::time::Duration;

use crate::config::database_url::{DatabaseUrl, NoDatabaseUrl};
use crate::config::discovery::{Discovery, HostPattern};
use crate::config::document::Element;
use crate::config::model::{Accounts, ClusterSettings, PostgresSettings};
use crate::config::problem::Fault;
use crate::config::reading::{Kind, MILLISECONDS, Reading, Shape, Text};

/// Connections of one node unless the file says so: a database takes a hundred by default, and a cluster has up to
/// seven nodes.
const CONNECTIONS_MAX: u32 = 12;

/// How long opening a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a call waits for a connection.
const WAIT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long the database may take to answer. Clients wait half a minute for an answer, as a rule.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

const CONNECTIONS: Kind<u32> = Kind {
    expected: "a whole number of connections, from 1 to 1000",
    parse: |text| text.parse().ok().filter(|count| (1..=1000).contains(count)),
};
/// Every text has a value: what is no URL is shown without its password, which the reading could not know.
const URL: Kind<Result<DatabaseUrl, NoDatabaseUrl>> = Kind {
    expected: "a URL like postgresql://user:password@host/database",
    parse: |text| Some(DatabaseUrl::new(text)),
};

/// What `<accounts>` says, or its default.
pub(super) fn read(
    reading: &mut Reading<'_>,
    root: &Element,
    data: Option<&Path>,
    cluster: &ClusterSettings,
) -> Option<Accounts> {
    let Some(element) = reading.child(root, "accounts") else {
        if cluster.discovery != Discovery::Alone {
            let fault = Fault::Inconsistent(
                "a node that has peers shares their account database: name it with \
                 <accounts><postgresql url=\"…\"/></accounts>, or on one machine with \
                 <accounts><sqlite path=\"…\"/></accounts> or --accounts"
                    .to_owned(),
            );
            reading.problem(root.place, fault);
        }
        return data.map(|data| Accounts::Sqlite { path: data.join("accounts.sqlite") });
    };
    reading.allow(element, &Shape { attributes: &[], children: &["sqlite", "postgresql"], text: Text::Refused });
    let sqlite = reading.child(element, "sqlite");
    let postgres = reading.child(element, "postgresql");
    match (sqlite, postgres) {
        (Some(_), Some(postgres)) => {
            let message = "the accounts are in one database: remove <sqlite> or <postgresql>".to_owned();
            reading.problem(postgres.place, Fault::Inconsistent(message));
            None
        }
        (None, Some(postgres)) => read_postgres(reading, postgres).map(Accounts::Postgres),
        (Some(sqlite), None) => {
            reading.allow(sqlite, &Shape { attributes: &["path"], children: &[], text: Text::Refused });
            warn_about_machines(reading, sqlite, cluster);
            Some(Accounts::Sqlite { path: reading.required_path(sqlite, "path")? })
        }
        (None, None) => {
            let fault =
                Fault::MissingElement { name: "sqlite> or <postgresql".to_owned(), parent: element.name.clone() };
            reading.problem(element.place, fault);
            None
        }
    }
}

/// A member with an address that this machine does not have may run on another one, where SQLite would not serve it. It
/// may also be here, behind a network of its own, so this is no reason to refuse; when they meet they know.
fn warn_about_machines(reading: &mut Reading<'_>, sqlite: &Element, cluster: &ClusterSettings) {
    let Discovery::TcpIp(list) = &cluster.discovery else { return };
    let here = reading.surroundings.addresses();
    let far = list.members.iter().chain(&list.required_member).find_map(|member| match &member.host {
        HostPattern::Address(address) if !address.is_loopback() && !here.contains(address) => Some(*address),
        HostPattern::Address(_) | HostPattern::Name(_) | HostPattern::Range { .. } => None,
    });
    if let Some(address) = far {
        let message = format!(
            "{address} is no address of this machine, and an SQLite file serves members on one machine: a cluster on \
             several keeps its accounts in PostgreSQL, <accounts><postgresql url=\"…\"/></accounts>"
        );
        reading.warn(Some(sqlite.place), message);
    }
}

fn read_postgres(reading: &mut Reading<'_>, element: &Element) -> Option<PostgresSettings> {
    let attributes =
        &["url", "certificates", "pool", "connect-milliseconds", "wait-milliseconds", "answer-milliseconds"];
    reading.allow(element, &Shape { attributes, children: &[], text: Text::Refused });
    let url = match reading.required(element, "url", &URL) {
        Some(Ok(url)) => Some(url),
        Some(Err(NoDatabaseUrl(shown))) => {
            let subject = format!("the attribute 'url' of <{}>", element.name);
            reading.bad_value(element.place, subject, &shown, URL.expected);
            None
        }
        None => None,
    };
    let attribute = element.attributes.iter().find(|attribute| attribute.name == "url");
    let is_in_the_file = attribute.is_some_and(|attribute| attribute.note.is_none());
    if is_in_the_file
        && reading.files.everybody_may_read(element.place)
        && url.as_ref().is_some_and(DatabaseUrl::has_password)
    {
        let file = reading.files.path(element.place).display().to_string();
        reading.problem(element.place, Fault::EverybodyMayRead { what: "the password of the database", file });
    }
    let is_given = element.attributes.iter().any(|attribute| attribute.name == "certificates");
    let certificates = if is_given { reading.required_path(element, "certificates") } else { None };
    let connections_max = reading.attribute(element, "pool", &CONNECTIONS).unwrap_or(CONNECTIONS_MAX);
    let connect_time_max = reading.attribute(element, "connect-milliseconds", &MILLISECONDS);
    let wait_time_max = reading.attribute(element, "wait-milliseconds", &MILLISECONDS);
    let answer_time_max = reading.attribute(element, "answer-milliseconds", &MILLISECONDS);
    Some(PostgresSettings {
        url: url?,
        certificates,
        connections_max,
        connect_time_max: connect_time_max.unwrap_or(CONNECT_TIME_MAX),
        wait_time_max: wait_time_max.unwrap_or(WAIT_TIME_MAX),
        answer_time_max: answer_time_max.unwrap_or(ANSWER_TIME_MAX),
    })
}
