//! The operator's commands as processes: what they print, and what they exit with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cresset_net::admin::{ClusterStatus, MemberState, MemberStatus, Response, Server};

#[test]
fn a_good_configuration_is_printed_in_full_and_exits_with_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cresset.xml");
    fs::write(&file, "<cresset><domain>example.org</domain><node name='a' data='data'/></cresset>").expect("a file");

    let output = cresset(&["config", "check", path(&file)]);

    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("<lease milliseconds=\"3000\"/>"), "{printed}");
    assert!(printed.contains(&format!("data=\"{}\"", folder.path().join("data").display())), "{printed}");
}

#[test]
fn a_bad_configuration_is_explained_line_by_line_and_exits_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cresset.xml");
    fs::write(&file, "<cresset>\n  <domian>example.org</domian>\n  <node name='a' data='d'/>\n</cresset>")
        .expect("a file");

    for arguments in [["config", "check", path(&file)], ["node", "--config", path(&file)]] {
        let output = cresset(&arguments);

        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("{}:2:3: unknown element <domian> in <cresset>", path(&file))), "{said}");
        assert!(said.contains(&format!("{}:1:1: <cresset> lacks the element <domain>", path(&file))), "{said}");
    }
    assert!(!folder.path().join("d").exists(), "a node that was refused has left something behind");
}

#[test]
fn a_file_of_hazelcasts_is_checked_with_what_it_imports_and_exits_with_0() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("conf")).expect("a folder");
    let local = folder.path().join("conf/hazelcast-local-config.xml");
    fs::write(&local, "<hazelcast>\n<network><join><multicast enabled='true'/></join></network></hazelcast>")
        .expect("a file");
    let caches = folder.path().join("hazelcast-cache-config.xml");
    let import = "<import resource='${openfireHome}/conf/hazelcast-local-config.xml'/>";
    fs::write(&caches, format!("<hazelcast>{import}\n<map/><map/><cp-subsystem/></hazelcast>")).expect("a file");

    let home = format!("openfireHome={}", path(folder.path()));
    let output = cresset(&["config", "check", "-D", &home, path(&caches)]);

    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(printed.contains(&format!("<join>  <!-- {}:2 -->", path(&local))), "{printed}");
    assert!(printed.contains("<multicast-port>54327</multicast-port>  <!-- default -->"), "{printed}");
    assert!(said.contains(&format!("{}:2:1: ignored: <map> (2 times)", path(&caches))), "{said}");
    assert!(said.contains(&format!("{}:2:13: warning: <cp-subsystem> is ignored", path(&caches))), "{said}");
}

#[test]
fn a_file_of_hazelcasts_that_asks_for_protection_is_refused_by_the_check_and_by_a_node() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, data) = (folder.path().join("hazelcast.xml"), folder.path().join("data"));
    fs::write(&file, "<hazelcast>\n<network><ssl enabled='true'/></network></hazelcast>").expect("a file");

    let check = cresset(&["config", "check", path(&file)]);
    let node = cresset(&[
        "node",
        "--hazelcast-config",
        path(&file),
        "--domain",
        "example.org",
        "--data",
        path(&data),
        "--accounts",
        path(&folder.path().join("accounts.sqlite")),
    ]);

    for output in [check, node] {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(&format!("{}:2:10: <ssl enabled=\"true\"> asks for a protection", path(&file))),
            "{said}"
        );
    }
    assert!(!data.exists(), "a node that was refused has left something behind");
}

/// As operators of the plugin do: one file for all, and nodes of one machine count their ports up.
#[test]
fn two_nodes_with_one_file_of_hazelcasts_form_a_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    // Below the ports that the system gives out by itself.
    let port = 20_000 + std::process::id() % 10_000;
    let shared = format!(
        "<hazelcast><network><port auto-increment='true'>{port}</port><join><multicast enabled='false'/>\
         <tcp-ip enabled='true'><hostname>127.0.0.1</hostname></tcp-ip></join>\
         <interfaces enabled='true'><interface>127.0.0.*</interface></interfaces></network></hazelcast>"
    );
    fs::write(folder.path().join("hazelcast-local-config.xml"), shared).expect("a file");
    let nodes = ["a", "b"].map(|name| {
        let file = folder.path().join(format!("{name}.xml"));
        let text = format!(
            "<cresset><domain>example.org</domain><node name='{name}' data='{name}'/>\
             <accounts><sqlite path='accounts'/></accounts><clients><listener address='127.0.0.1:0'/></clients>\
             <cluster><import resource='hazelcast-local-config.xml'/></cluster></cresset>"
        );
        fs::write(&file, text).expect("a file");
        file
    });
    let start = |file: &PathBuf| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
        command.args(["--log-filter", "error", "node", "--stop-on-stdin-eof", "--config", path(file)]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
    };
    let mut running: Vec<Child> = nodes.iter().map(start).collect();

    let deadline = Instant::now() + Duration::from_secs(30);
    let members = loop {
        let output = cresset(&["cluster", "status", "--json", "--config", path(&nodes[1])]);
        let status: Option<ClusterStatus> = serde_json::from_slice(&output.stdout).ok();
        let members = status.map(|status| status.members).unwrap_or_default();
        let active = members.iter().filter(|member| member.state == MemberState::Active).count();
        if active == 2 || Instant::now() > deadline {
            break members;
        }
    };

    for node in &mut running {
        drop(node.stdin.take());
        node.wait().expect("a process that ends");
    }
    let mut ports: Vec<u32> = members.iter().map(|member| u32::from(member.address.port())).collect();
    ports.sort_unstable();
    assert_eq!(ports, [port, port + 1]);
}

#[test]
fn a_node_without_a_file_of_its_own_is_told_what_to_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, none) = (folder.path().join("hazelcast.xml"), folder.path().join("cresset.xml"));
    fs::write(&file, "<hazelcast/>").expect("a file");

    let beside = cresset(&["node", "--config", path(&none), "--hazelcast-config", path(&file)]);
    let by_property = format!("hazelcast.config.xml.directory={}", path(folder.path()));
    let mistaken = cresset(&["node", "-D", &by_property, "-D", "hazelcast.config.xml.filename=x.xml", "--config", "y"]);

    let said = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert_eq!(beside.status.code(), Some(2));
    assert!(said.contains("without a file of our own, say --domain and --data"), "{said}");
    let said = String::from_utf8_lossy(&mistaken.stderr).into_owned();
    assert_eq!(mistaken.status.code(), Some(2));
    assert!(said.starts_with(&format!("{}: cannot be read", path(&folder.path().join("x.xml")))), "{said}");
}

/// G22.
#[test]
fn a_join_secret_that_everybody_may_read_is_refused_by_the_check_and_by_a_node() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let (file, secret) = (folder.path().join("cresset.xml"), folder.path().join("secret"));
    fs::write(&secret, "a secret of more than sixteen bytes").expect("a file");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("ours");
    let text = "<cresset><domain>example.org</domain><node name='a' data='data'/><cluster><secret file='secret'/>\
                </cluster></cresset>";
    fs::write(&file, text).expect("a file");

    for arguments in [["config", "check", path(&file)], ["node", "--config", path(&file)]] {
        let output = cresset(&arguments);

        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("the join secret is readable by everybody on this machine: chmod o-r it"), "{said}");
        assert!(!said.contains("sixteen"), "{said}");
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).expect("ours");
    assert_eq!(cresset(&["config", "check", path(&file)]).status.code(), Some(0));

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o604)).expect("ours");
    let listener = "<clients><listener address='127.0.0.1:0'/><certificate chain='c' key='secret'/></clients>";
    let text = format!("<cresset><domain>example.org</domain><node name='a' data='data'/>{listener}</cresset>");
    fs::write(&file, text).expect("a file");
    for arguments in [["config", "check", path(&file)], ["node", "--config", path(&file)]] {
        let output = cresset(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("the private key is readable by everybody"), "{said}");
    }
}

/// O15. The join secret is in it.
#[test]
fn an_account_database_that_everybody_may_read_is_refused_by_the_check_and_by_a_node() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let (file, accounts) = (folder.path().join("cresset.xml"), folder.path().join("accounts.sqlite"));
    let text = "<cresset><domain>example.org</domain><node name='a' data='data'/>\
                <accounts><sqlite path='accounts.sqlite'/></accounts>\
                <clients><listener address='127.0.0.1:0'/></clients></cresset>";
    fs::write(&file, text).expect("a file");
    fs::write(&accounts, "").expect("a file");
    fs::set_permissions(&accounts, fs::Permissions::from_mode(0o644)).expect("ours");

    for arguments in [["config", "check", path(&file)], ["node", "--config", path(&file)]] {
        let output = cresset(&arguments);

        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("everybody on this machine") && said.contains("accounts.sqlite"), "{said}");
    }
    let mode = fs::metadata(folder.path().join("data")).expect("the node made it").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_property_that_cannot_be_given_to_one_node_is_said_to_have_no_effect() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hazelcast.xml");
    fs::write(&file, "<hazelcast/>").expect("a file");
    let given =
        ["hazelcast.startup.retry.count=3", "hazelcast.startup.retry.seconds=0", "hazelcast.config.jmx.enabled=true"];

    let [count, time, switch] = given;
    let of_hazelcast = "hazelcast.heartbeat.interval.seconds=1";
    let output = cresset(&[
        "config",
        "check",
        "-D",
        count,
        "-D",
        time,
        "-D",
        switch,
        "-D",
        of_hazelcast,
        "-D",
        "home=x",
        path(&file),
    ]);

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("-D hazelcast.startup.retry.count: warning: without effect: it is one for all nodes"),
        "{said}"
    );
    assert!(said.contains("expected a whole number of seconds, from 1 to 3600"), "{said}");
    assert!(said.contains("has no meaning here: there is no Java"), "{said}");
    assert!(
        said.contains("warning: -D hazelcast.heartbeat.interval.seconds: without effect: fencing has times of its own"),
        "{said}"
    );
    assert!(!said.contains("home"), "{said}");
}

#[test]
fn a_port_in_use_and_a_certificate_that_cannot_be_read_are_said_in_a_sentence_and_exit_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let used = taken.local_addr().expect("an address");
    let listener = |address| format!("<clients><listener address='{address}'/></clients>");
    let cluster = |address| format!("<cluster><listen address='{address}'/></cluster>");
    let unreadable = "<clients><listener address='127.0.0.1:0'/><certificate chain='c' key='k'/></clients>".to_owned();
    let cases = [
        (listener(used) + &cluster(free()), format!("cannot listen on {used} for clients")),
        (listener(free()) + &cluster(used), format!("cannot listen on {used} for other members")),
        (unreadable + &cluster(free()), format!("{}", folder.path().join("c").display())),
    ];
    for (number, (sections, expected)) in cases.into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.xml"));
        let node = format!("<domain>example.org</domain><node name='a' data='{number}'/>");
        fs::write(&file, format!("<cresset>{node}{sections}</cresset>")).expect("a file");

        let output = cresset(&["--log-filter", "error", "node", "--config", path(&file)]);

        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().any(|line| line.starts_with("cresset: ") && line.contains(&expected)), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_and_a_word_that_is_no_command_exit_with_2() {
    assert_eq!(cresset(&["config", "check", "/nonexistent/cresset.xml"]).status.code(), Some(2));
    assert_eq!(cresset(&["serve"]).status.code(), Some(2));
    assert_eq!(cresset(&["--log-filter", "a=b=c", "config", "check", "x"]).status.code(), Some(2));
}

#[test]
fn help_documents_the_exit_codes() {
    let output = cresset(&["--help"]);

    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("3  the node answers, but the cluster serves nobody"));
}

#[test]
fn the_status_of_a_node_that_does_not_run_is_one_sentence_and_exits_with_1() {
    let folder = tempfile::tempdir().expect("a folder");

    let output = cresset(&["cluster", "status", "--socket", path(&folder.path().join("admin.sock"))]);

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("cresset: no node runs here") && said.lines().count() == 1, "{said}");
}

#[test]
fn the_status_ends_with_what_the_cluster_can_lose_and_exits_with_0() {
    let (output, json) = status_of(3, 3);

    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).trim_end().ends_with("you can lose 1 more member"));
    let parsed: ClusterStatus = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(parsed.members.len(), 3);
    assert_eq!(parsed.can_lose, Some(1));
}

#[test]
fn the_status_of_a_minority_exits_with_3() {
    let (output, json) = status_of(3, 1);

    assert_eq!((output.status.code(), json.status.code()), (Some(3), Some(3)));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no quorum: 1 of 3 voters are there"));
}

/// What is printed about a cluster of which a node reaches `reachable` members, as a table and as JSON.
fn status_of(members: u16, reachable: u16) -> (Output, Output) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin.sock");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let server = runtime.block_on(Server::open(&socket)).expect("a socket");
    let status = status(members, reachable);
    runtime.spawn(server.serve(Arc::new(move |_| {
        let status = Box::new(status.clone());
        Box::pin(async move { Response::Status { status } })
    })));
    let table = cresset(&["cluster", "status", "--socket", path(&socket)]);
    let json = cresset(&["cluster", "status", "--json", "--socket", path(&socket)]);
    (table, json)
}

fn status(members: u16, reachable: u16) -> ClusterStatus {
    let member = |number: u16| MemberStatus {
        name: format!("node-{number}"),
        id: u64::from(number),
        role: "server".to_owned(),
        state: MemberState::Active,
        voter: true,
        leader: number == 1,
        seniority: u32::from(number),
        incarnation: 1,
        address: ([127, 0, 0, 1], 5700 + number).into(),
        client_addresses: Vec::new(),
        reachable: number <= reachable,
        sessions: 0,
        applied_index: None,
        lease_remaining_ms: None,
        program: None,
    };
    let status = ClusterStatus {
        cluster_id: "c".to_owned(),
        node: "node-1".to_owned(),
        clustering: true,
        alone: false,
        serving: reachable * 2 > members,
        unready: None,
        connections: None,
        leader: None,
        senior: None,
        term: 1,
        applied_index: 1,
        sessions: 0,
        version: 1,
        times: None,
        members: (1..=members).map(member).collect(),
        can_lose: None,
        advice: String::new(),
    };
    status.with_advice()
}

fn cresset(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cresset")).args(arguments).env_remove("CRESSET_LOG").output().expect("the program")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path that is UTF-8")
}
