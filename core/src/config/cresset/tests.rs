use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::clients::CLIENT_ADDRESS;
use super::*;
use crate::config::files::Nowhere;
use crate::config::{Accounts, Content, ListenerTls, Main, Problems, Surroundings, Timing, Variable, load, read};

const SMALLEST: &str = "<cresset><domain>example.org</domain><node name='a' data='data'/></cresset>";

const FULL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- three servers of one cluster -->
<cresset>
  <domain>example.org</domain>
  <node name="a" data="/var/lib/cresset"/>
  <accounts><sqlite path="shared/accounts.sqlite"/></accounts>
  <clients connections-max="1000">
    <listener address="0.0.0.0:5222" tls="required"/>
    <listener address="[::1]:5223" advertise="192.0.2.1:5223" tls="direct" proxied="true"/>
    <certificate chain="chain.pem" key="/etc/key.pem"/>
  </clients>
  <cluster>
    <listen address="0.0.0.0:5701" advertise="10.0.0.1:5701"/>
    <join><tcp-ip connection-timeout-seconds="2">
      <member>10.0.0.1-3:5701</member>
      <member>10.0.0.3:5701</member>
    </tcp-ip></join>
    <secret file="secret"/>
    <role>server</role>
    <heartbeat milliseconds="100"/>
    <election min-milliseconds="400" max-milliseconds="800"/>
    <lease milliseconds="1000"/>
    <drift percent="1"/>
    <expel-after milliseconds="1500"/>
    <crash-evidence enabled="false"/>
  </cluster>
  <admin socket="/run/cresset.sock"/>
  <health listen="127.0.0.1:8080"/>
</cresset>"#;

#[test]
fn a_domain_a_name_and_a_directory_are_enough() {
    let config = config(SMALLEST);

    assert_eq!(config.domain.as_str(), "example.org");
    assert_eq!(config.node.admin_socket, Path::new("/etc/cresset/data/admin.sock"));
    assert_eq!(config.accounts, Accounts::Sqlite { path: "/etc/cresset/data/accounts.sqlite".into() });
    assert_eq!(config.cluster.timing, Timing::default());
    assert_eq!(config.node.health, None);
    let clients = config.clients.expect("a server has clients");
    assert_eq!(clients.listeners[0].address, CLIENT_ADDRESS);
    assert_eq!(clients.listeners[0].tls, ListenerTls::Required);
    assert_eq!(clients.certificate, None);
}

#[test]
fn everything_that_is_said_is_read() {
    let config = config(FULL);

    assert_eq!(config.accounts, Accounts::Sqlite { path: "/etc/cresset/shared/accounts.sqlite".into() });
    let clients = config.clients.expect("a server has clients");
    assert_eq!(clients.connections_max, 1000);
    assert_eq!(clients.listeners[0].advertise, Some("10.0.0.1:5222".parse().expect("an address")));
    assert_eq!((clients.listeners[0].proxied, clients.listeners[1].proxied), (false, true));
    assert_eq!(clients.listeners[1].advertise, Some("192.0.2.1:5223".parse().expect("an address")));
    assert_eq!(clients.certificate.expect("named").key, Path::new("/etc/key.pem"));
    let Discovery::TcpIp(list) = &config.cluster.discovery else { panic!("{:?}", config.cluster.discovery) };
    let peers: Vec<String> = list.candidates().iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["10.0.0.1:5701", "10.0.0.2:5701", "10.0.0.3:5701"]);
    assert_eq!(list.connection_time_max, Duration::from_secs(2));
    assert_eq!(config.cluster.timing.expel_after, Duration::from_millis(1500));
    assert!(!config.cluster.crash_evidence);
    assert_eq!(config.node.health, Some("127.0.0.1:8080".parse().expect("an address")));
}

#[test]
fn what_is_written_out_reads_back_the_same() {
    let witness = "<cresset><domain>bücher.example</domain><node name='w' data='/w &amp; x'/>\
                   <cluster><role>witness</role></cluster></cresset>";
    let shared = with_section(
        "<accounts><postgresql url='postgresql://u@h/d?a=1&amp;b=2' certificates='/r' pool='7'/></accounts>",
    );
    for text in [SMALLEST, FULL, witness, &shared] {
        let config = config(text);
        let again = read(Path::new("/elsewhere/x.xml"), config.to_xml().as_bytes()).expect("what we wrote");
        assert_eq!(again.config, config);
    }
}

#[test]
fn every_mistake_is_reported_with_its_place_and_what_was_expected() {
    let cases = [
        ("<node name", "<nodes name", "unknown element <nodes> in <cresset>; expected <domain>, <node>"),
        ("'a' data", "'a' date", "unknown attribute 'date' of <node>; expected name or data"),
        ("<domain>example.org</domain>", "", "<cresset> lacks the element <domain>"),
        ("name='a' ", "", "<node> lacks the attribute 'name': expected 1 to 63 letters"),
        ("name='a'", "name='a b'", "'a b' found for the attribute 'name' of <node>; expected 1 to 63 letters"),
        ("example.org", "romeo@example.org", "'romeo@example.org' found for <domain>; expected a domain name"),
        ("example.org", "", "'' found for <domain>; expected a domain name"),
        ("<node", "stray <node", "text 'stray' found in <cresset>, which holds none"),
        ("<node", "<domain>b</domain><node", "<domain> appears a second time in <cresset>"),
    ];
    for (from, to, expected) in cases {
        let text = SMALLEST.replace(from, to);
        assert_problem(&text, expected);
    }
}

#[test]
fn a_shared_database_is_read_with_its_times() {
    let url = "postgresql://cresset:hidden@db.example/cresset";
    let smallest = config(&with_section(&format!("<accounts><postgresql url='{url}'/></accounts>")));
    let full = config(&with_section(&format!(
        "<accounts><postgresql url='{url}?sslmode=require' certificates='roots.pem' pool='3' \
         connect-milliseconds='1000' wait-milliseconds='2000' answer-milliseconds='3000'/></accounts>"
    )));

    let Accounts::Postgres(smallest) = &smallest.accounts else { panic!("{:?}", smallest.accounts) };
    assert_eq!((smallest.url.expose(), smallest.certificates.as_deref()), (url, None));
    assert_eq!((smallest.connections_max, smallest.answer_time_max), (12, Duration::from_secs(10)));
    let Accounts::Postgres(full) = &full.accounts else { panic!("{:?}", full.accounts) };
    assert_eq!(full.certificates.as_deref(), Some(Path::new("/etc/cresset/roots.pem")));
    assert_eq!((full.connections_max, full.connect_time_max), (3, Duration::from_secs(1)));
    assert_eq!((full.wait_time_max, full.answer_time_max), (Duration::from_secs(2), Duration::from_secs(3)));
}

/// G22. A variable brings the password from elsewhere, whoever may read the file.
#[test]
fn a_file_that_everybody_may_read_holds_no_password_of_a_database() {
    struct Environment;
    impl Surroundings for Environment {
        fn file(&self, path: &Path) -> Result<Content, String> {
            Nowhere.file(path)
        }
        fn variable(&self, name: &str) -> Option<Variable> {
            (name == "PASSWORD").then(|| Variable { value: "hidden".to_owned(), given_by: "the environment" })
        }
        fn addresses(&self) -> Vec<IpAddr> {
            Vec::new()
        }
        fn address_of(&self, host: &str) -> Option<IpAddr> {
            Nowhere.address_of(host)
        }
    }
    let open = |user: &str| {
        let accounts = format!("<accounts><postgresql url='postgresql://{user}@db/cresset'/></accounts>");
        let content = Content { bytes: with_section(&accounts).into_bytes(), everybody_may_read: true };
        load(&Main::File("cresset.xml".into(), content), None, &Environment).map_err(|problems| problems.to_string())
    };

    let refused = open("cresset:hidden").expect_err("everybody may read it");

    assert!(refused.contains("the password of the database would be readable by everybody"), "{refused}");
    assert!(refused.contains("chmod o-r 'cresset.xml'") && !refused.contains("hidden"), "{refused}");
    assert!(open("cresset").is_ok() && open("cresset:${PASSWORD}").is_ok());
}

#[test]
fn mistakes_in_the_accounts_are_understood_and_no_password_is_shown() {
    let postgres = |inside: &str, expected: &str| {
        assert_section(&format!("<accounts><postgresql {inside}/></accounts>"), expected);
    };
    assert_section("<accounts/>", "<accounts> lacks the element <sqlite> or <postgresql>");
    let both = "<accounts><sqlite path='x'/><postgresql url='postgresql://h/d'/></accounts>";
    assert_section(both, "the accounts are in one database: remove <sqlite> or <postgresql>");
    postgres("", "<postgresql> lacks the attribute 'url': expected a URL like postgresql://");
    postgres("url='mysql://u:p@h/d'", "'mysql://u:…@h/d' found for the attribute 'url' of <postgresql>");
    postgres("url='postgresql://h/d' pool='0'", "from 1 to 1000");
    postgres(
        "url='postgresql://h/d' answer-milliseconds='10 s'",
        "'10 s' found for the attribute 'answer-milliseconds'",
    );
    postgres("url='postgresql://h/d' certificates=''", "expected a path");
    postgres("url='postgresql://h/d' port='1'", "unknown attribute 'port' of <postgresql>; expected url, certificates");
}

#[test]
fn mistakes_in_the_clients_are_understood() {
    assert_section("<clients/>", "<clients> lacks the element <listener>");
    assert_section("<clients><listener address='localhost:5222'/></clients>", "expected an IP address and a port");
    assert_section("<clients><listener address='1.2.3.4:5222' tls='yes'/></clients>", "'yes' found for the attribute");
    let twice = "<clients><listener address='1.2.3.4:1'/><listener address='1.2.3.4:1'/></clients>";
    assert_section(twice, "1.2.3.4:1 is listened on twice");
    let keyless = "<clients><listener address='1.2.3.4:1'/><certificate chain='c'/></clients>";
    assert_section(keyless, "<certificate> lacks the attribute 'key'");
    assert_section("<clients connections-max='0'><listener address='1.2.3.4:1'/></clients>", "from 1 to 10000000");
    let witness = "<clients><listener address='1.2.3.4:1'/></clients><cluster><role>witness</role></cluster>";
    assert_section(witness, "a witness serves no clients");
}

#[test]
fn mistakes_in_the_cluster_are_understood() {
    let cluster = |inside: &str, expected: &str| assert_section(&format!("<cluster>{inside}</cluster>"), expected);
    cluster("<listen address='0.0.0.0:5701'/>", "no member can be reached at 0.0.0.0:5701");
    cluster("<listen address='127.0.0.1:0'/>", "0 is none");
    cluster("<join><tcp-ip><member>10.0.0.300</member></tcp-ip></join>", "'10.0.0.300' found for <member>");
    cluster("<join><tcp-ip><member/></tcp-ip></join>", "'' found for <member>");
    cluster("<join><tcp-ip><member>10.0.0.2</member></tcp-ip></join>", "shares their account database");
    cluster("<join><broadcast enabled='true'/></join>", "unknown element <broadcast> in <join>; expected <multicast>");
    cluster("<jion/>", "unknown element <jion> in <cluster>; expected <network>, <cluster-name>, <listen>");
    let twice = "<listen address='10.0.0.1:5701'/><network><port>5701</port></network>";
    cluster(twice, "the address of this node is given twice, by <listen> and by <port> (/etc/cresset/cresset.xml:1)");
    let twice = "<join><tcp-ip/></join><network><join><tcp-ip/></join></network>";
    cluster(twice, "there is another <join> in <network> (/etc/cresset/cresset.xml:1)");
    cluster("<role>king</role>", "'king' found for <role>; expected 'server' or 'witness'");
    cluster("<lease milliseconds='100'/>", "the lease (100 ms) is shorter than the heartbeat (250 ms)");
    cluster("<lease milliseconds='500'/>", "must be at least 3 heartbeats");
    cluster("<lease milliseconds='3s'/>", "'3s' found for the attribute 'milliseconds' of <lease>");
    cluster("<lease/>", "<lease> lacks the attribute 'milliseconds'");
    cluster("<election min-milliseconds='900' max-milliseconds='900'/>", "must be greater than the shortest");
    cluster("<election min-milliseconds='100' max-milliseconds='900'/>", "must be at least 3 heartbeats");
    cluster("<expel-after milliseconds='3300'/>", "two nodes could serve one user; expected at least 4000 ms");
    cluster("<drift percent='70'/>", "from 0 to 50");
    cluster("<crash-evidence enabled='maybe'/>", "expected 'true' or 'false'");
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once_in_its_order() {
    let text = "<cresset>\n<admin/>\n<cluster><drift percent='x'/></cluster>\n<node name='!' data=''/>\n</cresset>";

    let problems = problems(text);

    let lines: Vec<u32> = problems.problems.iter().map(|problem| problem.place.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 4], "{problems}");
    assert!(problems.to_string().starts_with("/etc/cresset/cresset.xml:1:1: "), "{problems}");
}

#[test]
fn another_programs_file_is_refused_by_its_root() {
    assert_problem("<hazelcast/>", "the file begins with <hazelcast>; expected <cresset>; a file of Hazelcast's");
    assert_problem("<html/>", "the file begins with <html>; expected <cresset>");
}

/// A mistake repeated a million times must not become a message of a million lines, nor may a control character of the
/// file reach the terminal.
#[test]
fn messages_are_bounded_and_on_one_line() {
    let many = format!("<cresset>{}</cresset>", "<x/>".repeat(10_000));
    assert!(problems(&many).problems.len() <= 50);

    let long = SMALLEST.replace("example.org", &format!("a&#10;{}", "b ".repeat(10_000)));
    let shown = problems(&long).to_string();
    assert!(shown.len() < 400 && shown.lines().count() == 1, "{shown}");
}

#[test]
fn what_may_not_be_meant_is_warned_about() {
    let open = "<clients><listener address='0.0.0.0:5222' tls='disabled'/></clients>";
    assert_eq!(warnings(open), ["1:75: with tls=\"disabled\" passwords may cross the network in the clear"]);
    let far = "<accounts><sqlite path='x'/></accounts>\
               <cluster><join><tcp-ip><member>10.0.0.2:5701</member></tcp-ip></join></cluster>";
    assert!(warnings(far)[1].contains("cannot reach this node at 127.0.0.1:5701"));
    assert!(
        warnings(far)[0].contains("10.0.0.2 is no address of this machine, and an SQLite file serves members on one")
    );
    let near = far.replace("10.0.0.2", "127.0.0.1");
    assert!(warnings(&near).is_empty(), "{:?}", warnings(&near));
    assert!(warnings("<cluster><expel-after milliseconds='9000'/></cluster>")[0].contains("longer than the 5 s"));
    assert!(warnings("").is_empty());
}

#[test]
fn health_is_told_at_an_address_of_its_own_and_to_nobody_by_mistake() {
    assert_section("<health/>", "<health> lacks the attribute 'listen': expected an IP address and a port");
    assert_section("<health listen='8080'/>", "'8080' found for the attribute 'listen' of <health>");
    assert_section("<health listen='[::1]:1' path='/x'/>", "unknown attribute 'path' of <health>; expected listen");
    assert_section("<health listen='[::1]:1'>x</health>", "text 'x' found in <health>, which holds none");
    assert_section("<health listen='0.0.0.0:5222'/>", "0.0.0.0:5222 is listened on twice");
    assert_section("<health listen='127.0.0.1:5701'/>", "127.0.0.1:5701 is listened on twice");
    assert!(warnings("<health listen='127.0.0.1:8080'/>").is_empty());
    let open = warnings("<health listen='0.0.0.0:8080'/>");
    assert!(open[0].contains("everybody who reaches 0.0.0.0:8080 can ask whether this node serves"), "{open:?}");
}

#[test]
fn a_socket_path_too_long_for_the_kernel_is_refused() {
    assert_problem(&SMALLEST.replace("'data'", &format!("'/{}'", "d".repeat(100))), "more than 107 bytes");
}

/// Whatever is in the file: a configuration or problems, and nothing else.
#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    for position in 0..FULL.len() {
        for byte in [0, b'<', b'>', b'&', b'"', b'0', b'x', 0xFF] {
            let mut bytes = FULL.as_bytes().to_vec();
            bytes[position] = byte;
            if let Err(problems) = read(Path::new("f"), &bytes) {
                assert!(!problems.problems.is_empty(), "no reason for byte {byte} at {position}");
            }
        }
    }
}

fn config(text: &str) -> Config {
    read(Path::new("/etc/cresset/cresset.xml"), text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}")).config
}

fn problems(text: &str) -> Problems {
    read(Path::new("/etc/cresset/cresset.xml"), text.as_bytes()).expect_err(text)
}

fn with_section(section: &str) -> String {
    SMALLEST.replace("</cresset>", &format!("{section}</cresset>"))
}

fn warnings(section: &str) -> Vec<String> {
    let checked = read(Path::new("cresset.xml"), with_section(section).as_bytes()).expect(section);
    checked.warnings.iter().map(ToString::to_string).collect()
}

fn assert_section(section: &str, expected: &str) {
    assert_problem(&with_section(section), expected);
}

fn assert_problem(text: &str, expected: &str) {
    let shown = problems(text).to_string();
    assert!(shown.contains(expected), "{text}\nfound:    {shown}\nexpected: {expected}");
}
