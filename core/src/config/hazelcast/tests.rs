//! Files of Hazelcast's, from bytes to settings. Each test is one row of what a compatible reader understands, or one
//! input that must not be understood.

mod versions;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::discovery::{AwsCredentials, Discovery, DnsQuery, Multicast};
use crate::config::{
    Checked, CheckedCluster, CheckedFile, ClusterSettings, Content, FILE_BYTES_MAX, Main, Problems, Surroundings,
    Variable, load, load_file,
};

/// `hazelcast-local-config.xml` as operators of the plugin have it.
const LOCAL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<hazelcast xmlns="http://www.hazelcast.com/schema/config"
           xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
           xsi:schemaLocation="http://www.hazelcast.com/schema/config
           http://www.hazelcast.com/schema/config/hazelcast-config-5.5.xsd">
    <network>
        <port auto-increment="true" port-count="100">5701</port>
        <join>
            <multicast enabled="true">
                <multicast-group>224.2.2.3</multicast-group>
                <multicast-port>54327</multicast-port>
            </multicast>
            <tcp-ip enabled="false">
                <member>127.0.0.1</member>
            </tcp-ip>
        </join>
        <interfaces enabled="false">
            <interface>10.10.1.*</interface>
        </interfaces>
    </network>
</hazelcast>"#;

/// The file of the caches, which imports it.
const CACHES: &str = r#"<hazelcast xmlns="http://www.hazelcast.com/schema/config">
    <import resource="${openfireHome}/conf/hazelcast-local-config.xml"/>
    <cluster-name>openfire-cluster-by-hazelcast</cluster-name>
    <properties>
        <property name="hazelcast.operation.call.timeout.millis">30000</property>
        <property name="hazelcast.colour">red</property>
    </properties>
    <map name="Routing Users Cache"><backup-count>1</backup-count></map>
    <map name="Roster"/>
    <serialization/>
</hazelcast>"#;

#[test]
fn an_unchanged_file_of_the_plugin_is_understood() {
    let checked = cluster(LOCAL);

    let settings = &checked.cluster;
    assert_eq!(settings.discovery, Discovery::Multicast(Multicast::default()));
    assert_eq!(settings.listen.to_string(), "0.0.0.0:5701");
    assert_eq!(settings.advertise.to_string(), "10.0.0.4:5701");
    assert_eq!(settings.ports_tried, 100);
    assert!(checked.warnings.is_empty() && checked.ignored.is_empty(), "{checked:?}");
}

/// What Hazelcast's own default file holds in `<network>`: every way to find members, switched off, with examples.
#[test]
fn a_file_made_from_hazelcasts_default_is_understood_though_everybody_may_read_it() {
    let network = "<network><public-address>10.0.0.4</public-address><port auto-increment='true' port-count='100'>5701</port>\
        <outbound-ports><ports>0</ports></outbound-ports><join><auto-detection enabled='true'/>\
        <multicast enabled='false'><multicast-group>224.2.2.9</multicast-group></multicast>\
        <tcp-ip enabled='false'><interface>127.0.0.1</interface><member-list><member>127.0.0.1</member></member-list></tcp-ip>\
        <aws enabled='false'><access-key>my-access-key</access-key><secret-key>my-secret-key</secret-key>\
        <region>us-west-1</region><host-header>ec2.amazonaws.com</host-header><tag-key>type</tag-key></aws>\
        <gcp enabled='false'><zones>us-east1-b</zones></gcp><azure enabled='false'><tag>a=b</tag></azure>\
        <kubernetes enabled='false'><namespace>x</namespace></kubernetes><eureka enabled='false'/>\
        <discovery-strategies></discovery-strategies></join>\
        <interfaces enabled='false'><interface>10.10.1.*</interface></interfaces><ssl enabled='false'/>\
        <socket-interceptor enabled='false'/><symmetric-encryption enabled='false'><salt>thesalt</salt></symmetric-encryption>\
        <failure-detector><icmp enabled='false'/></failure-detector></network>";
    let around = Around { everybody_may_read: true, ..Around::new() };

    let checked = around.cluster(&hazelcast(network)).expect("a file");

    let Discovery::Multicast(multicast) = &checked.cluster.discovery else { panic!("auto-detection") };
    assert_eq!(multicast.group.to_string(), "224.2.2.9");
    assert_eq!(checked.warnings.len(), 1, "{:?}", checked.warnings);
    assert!(checked.warnings[0].message.starts_with("the <secret-key> is not used, and everybody"));
}

#[test]
fn the_file_of_the_caches_imports_it_and_what_has_no_use_is_named() {
    let around =
        Around::new().file("/openfire/conf/hazelcast-local-config.xml", LOCAL).variable("openfireHome", "/openfire");

    let checked = around.cluster(CACHES).expect("both files");

    assert_eq!(checked.cluster.name, "openfire-cluster-by-hazelcast");
    assert_eq!(checked.cluster.discovery, Discovery::Multicast(Multicast::default()));
    let ignored: Vec<(String, u32)> = checked.ignored.iter().map(|i| (i.name.clone(), i.count)).collect();
    let expected = [
        ("the property 'hazelcast.operation.call.timeout.millis'", 1),
        ("the property 'hazelcast.colour'", 1),
        ("<map>", 2),
        ("<serialization>", 1),
    ];
    assert_eq!(ignored, expected.map(|(name, count)| (name.to_owned(), count)));
    assert!(checked.ignored[1].reason.contains("is it spelled right?"));
    let shown = checked.to_annotated_xml();
    assert!(
        shown.contains(
            "<multicast-group>224.2.2.3</multicast-group>  <!-- /openfire/conf/hazelcast-local-config.xml:10 -->"
        ),
        "{shown}"
    );
    assert!(
        shown.contains("<cluster-name>openfire-cluster-by-hazelcast</cluster-name>  <!-- /conf/hazelcast.xml:3 -->"),
        "{shown}"
    );
}

#[test]
fn a_node_is_its_own_file_and_the_plugins() {
    let own = "<cresset><domain>example.org</domain><node name='a' data='data'/>\
               <accounts><sqlite path='x'/></accounts><cluster><lease milliseconds='2000'/></cluster></cresset>";
    let around = Around::new().file("/conf/hazelcast-local-config.xml", LOCAL);

    let beside = around.node(own, Some(LOCAL)).expect("both");
    let imported = own.replace("<cluster>", "<cluster><import resource='hazelcast-local-config.xml'/>");
    let imported = around.node(&imported, None).expect("both");

    assert_eq!(beside.config, imported.config);
    assert_eq!(beside.config.cluster.timing.lease, Duration::from_secs(2));
    assert_eq!(beside.config.cluster.discovery, Discovery::Multicast(Multicast::default()));
    let listener = &beside.config.clients.expect("a server").listeners[0];
    assert_eq!(listener.advertise.expect("known").to_string(), "10.0.0.4:5222");
}

#[test]
fn what_is_written_out_reads_back_the_same() {
    let own = "<cresset><domain>example.org</domain><node name='a' data='/data'/><accounts><sqlite path='/x'/></accounts></cresset>";
    let around = Around::new();
    for network in [
        LOCAL.to_owned(),
        join("<tcp-ip enabled='true'><member>10.0.0.1-5</member><required-member>a:1</required-member></tcp-ip>"),
        join("<multicast enabled='true' loopbackModeEnabled='false'><trusted-interfaces><interface>10.0.0.*</interface></trusted-interfaces></multicast>"),
        join("<kubernetes enabled='true'><service-dns>a.b</service-dns></kubernetes>"),
        join("<aws enabled='true'><region>eu-central-1</region><tag-key>a,b</tag-key><tag-value>1,2</tag-value></aws>"),
        "<hazelcast><network><public-address>192.0.2.1:1</public-address><port auto-increment='false'>5801</port></network></hazelcast>".to_owned(),
    ] {
        let config = around.node(own, Some(&network)).expect(&network).config;
        let again = around.node(&config.to_xml(), None).unwrap_or_else(|problems| panic!("{problems}\n{}", config.to_xml()));
        assert_eq!(again.config, config, "{}", config.to_xml());
    }
}

#[test]
fn members_are_parted_in_every_way_and_all_lists_add() {
    let list = "<tcp-ip enabled='true' connection-timeout-seconds='7'>\
                <member>10.10.1.1-2</member><members>a:1, b:2;c:3\n d:4</members><interface>10.0.0.9</interface>\
                <hostname>e</hostname><member-list><member>[2001:db8::2]:5701</member></member-list></tcp-ip>";

    let Discovery::TcpIp(list) = settings(&join(list)).discovery else { panic!("a list") };

    let shown: Vec<String> = list.members.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.10.1.1-2", "a:1", "b:2", "c:3", "d:4", "10.0.0.9", "e", "[2001:db8::2]:5701"]);
    assert_eq!(list.candidates().len(), 2 * 3 + 4 + 3 + 3 + 1);
    assert_eq!(list.connection_time_max, Duration::from_secs(7));
}

#[test]
fn without_auto_increment_one_port_is_tried_at_home_and_abroad() {
    let network = "<port auto-increment='false' port-count='50'>5801</port>\
                   <join><tcp-ip enabled='true'><member>10.0.0.9</member></tcp-ip></join>";

    let settings = settings(&hazelcast(&format!("<network>{network}</network>")));

    assert_eq!((settings.listen.port(), settings.ports_tried), (5801, 1));
    let Discovery::TcpIp(list) = settings.discovery else { panic!("a list") };
    assert_eq!(list.candidates().iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.9:5801"]);
}

#[test]
fn hazelcasts_properties_that_have_a_meaning_are_followed_and_the_command_line_goes_first() {
    let text = hazelcast(
        "<properties><property name='hazelcast.tcp.join.port.try.count'>5</property>\
         <property name='hazelcast.max.join.seconds'>60</property>\
         <property name='hazelcast.socket.bind.any'>false</property></properties>\
         <network><join><tcp-ip enabled='true'><member>a</member></tcp-ip></join></network>",
    );
    let given = Around::new().variable("hazelcast.max.join.seconds", "90").cluster(&text).expect("a file").cluster;

    assert_eq!(given.listen.to_string(), "10.0.0.4:5701");
    let Discovery::TcpIp(list) = given.discovery else { panic!("a list") };
    assert_eq!((list.ports.count, list.join_time_max), (5, Duration::from_secs(90)));
    refused(&text.replace(">60<", ">soon<"), "'soon' found for <property>");
}

#[test]
fn group_and_cp_subsystem_on_which_hazelcast_dies_are_accepted_with_a_warning() {
    let checked = cluster(&hazelcast(
        "<group><name>chat</name><password>p</password></group>\n<cp-subsystem><cp-member-count>3</cp-member-count></cp-subsystem>",
    ));

    assert_eq!(checked.cluster.name, "chat");
    let warned: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
    assert!(warned[0].starts_with("1:12: <group> is of Hazelcast 3"), "{warned:?}");
    assert!(warned[1].starts_with("2:1: <cp-subsystem> is ignored"), "{warned:?}");
    assert_eq!(checked.ignored[0].name, "<password> of <group>");
}

/// G20: there is no way to ask for links that are not protected, and whoever asks for a protection of another kind is
/// told instead of being left in the belief that he has it.
#[test]
fn protection_that_would_not_be_given_is_refused_unless_it_is_switched_off() {
    for name in ["ssl", "symmetric-encryption", "socket-interceptor"] {
        let text = |enabled| {
            hazelcast(&format!("<network><{name} enabled='{enabled}'><class-name>x</class-name></{name}></network>"))
        };
        refused(&text("true"), &format!("/conf/hazelcast.xml:1:21: <{name} enabled=\"true\"> asks for a protection"));
        assert_eq!(cluster(&text("false")).ignored[0].name, format!("<{name}>"));
    }
    refused(&hazelcast("<security enabled='true'/>"), "<security enabled=\"true\"> asks for a protection");
}

/// G20, in our own words: no element switches the protection of links off.
#[test]
fn no_word_of_ours_takes_the_protection_of_links_away() {
    for word in ["<plaintext/>", "<encryption enabled='false'/>", "<secret enabled='false'/>", "<tls>disabled</tls>"] {
        let own = format!("<cresset><domain>a</domain><node name='a' data='d'/><cluster>{word}</cluster></cresset>");
        assert!(Around::new().node(&own, None).is_err(), "{word}");
    }
}

#[test]
fn ways_to_find_members_that_are_not_there_are_refused_with_the_way_out() {
    for name in ["gcp", "azure", "eureka"] {
        refused(&join(&format!("<{name} enabled='true'/>")), &format!("<{name}> is not supported; use DNS"));
        settings(&join(&format!("<{name} enabled='false'/>")));
        settings(&join(&format!("<{name}/>")));
    }
    let api = "<kubernetes enabled='true'><namespace>chat</namespace><service-name>members</service-name></kubernetes>";
    refused(&join(api), "asking the Kubernetes API is not supported; use DNS: make a headless service");
    let java = "<discovery-strategies><discovery-strategy enabled='true' class='a.B'/></discovery-strategies>";
    refused(&join(java), "a <discovery-strategy> (a Java class) is not supported; use DNS");
}

#[test]
fn kubernetes_by_dns_is_dns() {
    let text = "<kubernetes enabled='true'><service-dns>members.chat.svc.cluster.local</service-dns>\
                <service-dns-timeout>9</service-dns-timeout><service-port>5800</service-port><namespace>x</namespace></kubernetes>";

    let checked = cluster(&join(text));

    let Discovery::Dns(dns) = &checked.cluster.discovery else { panic!("DNS") };
    let name = "members.chat.svc.cluster.local".to_owned();
    assert_eq!(dns.queries, [DnsQuery::Host { name, port: 5800 }]);
    assert_eq!(dns.answer_time_max, Duration::from_secs(9));
    assert_eq!(checked.ignored[0].name, "<namespace> of <kubernetes>");
}

#[test]
fn two_ways_at_once_are_an_error_and_none_is_multicast_unless_it_is_unwanted() {
    refused(
        &join("<multicast enabled='true'/>\n<tcp-ip enabled='true'><member>a</member></tcp-ip>"),
        "/conf/hazelcast.xml:2:1: two ways to find members are switched on, <multicast> in line 1 and <tcp-ip>",
    );
    let by_default = Discovery::Multicast(Multicast::default());
    assert_eq!(settings("<hazelcast/>").discovery, by_default);
    assert_eq!(settings(&join("")).discovery, by_default);
    assert_eq!(settings(&join("<tcp-ip enabled='false'/>")).discovery, by_default);
    assert_eq!(settings(&join("<multicast enabled='false'/>")).discovery, Discovery::Alone);
    assert_eq!(settings(&join("<auto-detection enabled='false'/>")).discovery, Discovery::Alone);
    assert_eq!(settings(&join("<multicast enabled='false'/><auto-detection/>")).discovery, Discovery::Alone);
    let forgotten = cluster(&join("<tcp-ip><member>a</member></tcp-ip>"));
    assert!(forgotten.warnings[0].message.contains("Hazelcast wants enabled=\"true\""), "{forgotten:?}");
}

#[test]
fn interfaces_choose_the_address_and_no_match_is_refused() {
    let text = |pattern: &str| {
        hazelcast(&format!(
            "<network><interfaces enabled='true'><interface>{pattern}</interface></interfaces></network>"
        ))
    };

    assert_eq!(settings(&text("192.168.*.*")).advertise.to_string(), "192.168.1.4:5701");
    assert_eq!(settings(&text("2001:db8:*:*:*:*:*:*")).listen.to_string(), "[::]:5701");
    refused(&text("172.16.0.*"), "no address of this machine is among its <interfaces>; it has 127.0.0.1, 10.0.0.4");
    refused(&text("eth0"), "'eth0' found for <interface>; expected an address, with * or a range");
}

#[test]
fn without_interfaces_an_address_that_is_a_member_goes_first_and_loopback_last() {
    let member = join("<tcp-ip enabled='true'><member>192.168.1.1-9</member></tcp-ip>");
    assert_eq!(settings(&member).advertise.to_string(), "192.168.1.4:5701");

    let only = Around { addresses: vec!["127.0.0.1".parse().expect("an address")], ..Around::new() };
    let checked = only.cluster(LOCAL).expect("a file");
    assert_eq!(checked.cluster.advertise.to_string(), "127.0.0.1:5701");
    assert!(checked.warnings[0].message.contains("members on other machines cannot reach this node"));
}

#[test]
fn a_public_address_is_what_the_others_are_told() {
    let text = |public: &str| hazelcast(&format!("<network><public-address>{public}</public-address></network>"));

    assert_eq!(settings(&text("203.0.113.7:7000")).advertise.to_string(), "203.0.113.7:7000");
    assert_eq!(settings(&text("203.0.113.7")).advertise.to_string(), "203.0.113.7:5701");
    assert_eq!(settings(&text("chat.example")).advertise.to_string(), "198.51.100.1:5701");
    refused(&text("unknown.example"), "the host 'unknown.example' has no address here");
    refused(&text("0.0.0.0"), "no member can be reached at 0.0.0.0:5701");
}

#[test]
fn the_advertised_port_goes_up_with_the_one_that_is_listened_on_unless_it_is_another() {
    let endpoints = |inside: &str| -> Vec<String> {
        let settings = settings(&hazelcast(&format!("<network><port port-count='2'>5701</port>{inside}</network>")));
        settings.endpoints().map(|(listen, advertise)| format!("{listen} {advertise}")).collect()
    };

    assert_eq!(endpoints(""), ["0.0.0.0:5701 10.0.0.4:5701", "0.0.0.0:5702 10.0.0.4:5702"]);
    let forwarded = "<public-address>203.0.113.7:7000</public-address>";
    assert_eq!(endpoints(forwarded), ["0.0.0.0:5701 203.0.113.7:7000", "0.0.0.0:5702 203.0.113.7:7000"]);
}

#[test]
fn a_port_of_zero_is_refused_because_nobody_could_know_it() {
    refused(&hazelcast("<network><port>0</port></network>"), "0 would be one that the other members cannot know");
}

#[test]
fn multicast_is_read_with_its_bounds() {
    let inside =
        |inside: &str| join(&format!("<multicast enabled='true' loopbackModeEnabled='false'>{inside}</multicast>"));
    let Discovery::Multicast(multicast) = settings(&inside(
        "<multicast-group>239.1.2.3</multicast-group><multicast-port>4000</multicast-port>\
         <multicast-time-to-live>0</multicast-time-to-live><multicast-timeout-seconds>5</multicast-timeout-seconds>\
         <trusted-interfaces><interface>10.0.0.1-9</interface></trusted-interfaces>",
    ))
    .discovery
    else {
        panic!("multicast")
    };
    assert_eq!((multicast.group.to_string().as_str(), multicast.port, multicast.time_to_live), ("239.1.2.3", 4000, 0));
    assert!(!multicast.loopback && !multicast.trusts("10.0.0.10".parse().expect("an address")));

    refused(&inside("<multicast-group>10.0.0.1</multicast-group>"), "expected a multicast address");
    refused(&inside("<multicast-port>0</multicast-port>"), "expected a port, from 1 to 65535");
    refused(&inside("<multicast-time-to-live>256</multicast-time-to-live>"), "from 0 to 255");
    refused(&inside("<multicast-timeout-seconds>-1</multicast-timeout-seconds>"), "from 1 to 3600");
    refused(
        &inside("<trusted-interfaces><interface>10.0.0</interface></trusted-interfaces>"),
        "'10.0.0' found for <interface>",
    );
    refused(&inside("<multicats-port>1</multicats-port>"), "unknown element <multicats-port> in <multicast>");
}

#[test]
fn aws_is_read_and_its_secret_is_neither_shown_nor_open_to_everybody() {
    let text = join(
        "<aws enabled='true'><access-key>AKIA</access-key><secret-key>hunter2</secret-key><region>eu-central-1</region>\
         <security-group-name>chat</security-group-name><tag-key>role,env</tag-key><tag-value>xmpp,test</tag-value>\
         <hz-port>5701-5703</hz-port></aws>",
    );

    let checked = cluster(&text);

    let Discovery::Aws(aws) = &checked.cluster.discovery else { panic!("AWS") };
    assert!(matches!(&aws.credentials, AwsCredentials::Key { secret_key, .. } if secret_key.reveal() == "hunter2"));
    assert_eq!((aws.tags.len(), aws.ports.count, aws.retries), (2, 3, 3));
    assert!(!format!("{checked:?}{}", checked.to_annotated_xml()).contains("hunter2"));

    // G22.
    let around = Around { everybody_may_read: true, ..Around::new() };
    let shown = around.cluster(&text).expect_err("an open file").to_string();
    assert!(shown.contains("the <secret-key> would be readable by everybody on this machine: chmod o-r"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let variable = text.replace("hunter2", "${key}");
    assert!(around.variable("key", "hunter2").cluster(&variable).is_ok(), "the secret is not in the file");
}

#[test]
fn half_a_key_of_aws_is_refused() {
    refused(&join("<aws enabled='true'><access-key>AKIA</access-key></aws>"), "<access-key> and <secret-key>, or");
    refused(&join("<aws enabled='true'><secret-key> </secret-key></aws>"), "'(not shown)' found for <secret-key>");
    refused(&join("<aws enabled='true'><region>Europe!</region></aws>"), "expected a region");
    refused(&join("<aws enabled='true'><hz-port>5701-6701</hz-port></aws>"), "a range of at most 100");
}

#[test]
fn our_own_dns_takes_hosts_and_services() {
    let own = |dns: &str| {
        let join = format!("<network><join><dns>{dns}</dns></join></network>");
        format!(
            "<cresset><domain>a</domain><node name='a' data='d'/><accounts><sqlite path='x'/></accounts><cluster>{join}</cluster></cresset>"
        )
    };
    let checked = Around::new().node(&own("<host>a.example:5</host><service>_cresset._tcp.example</service>"), None);

    let Discovery::Dns(dns) = checked.expect("a file").config.cluster.discovery else { panic!("DNS") };
    assert_eq!(dns.queries.len(), 2);
    for wrong in ["", "<host>10.0.0.1</host>", "<host>a_b!</host>", "<service>chat.example</service>"] {
        assert!(Around::new().node(&own(wrong), None).is_err(), "{wrong}");
    }
}

#[test]
fn a_variable_without_a_value_stays_and_is_warned_about() {
    let text = hazelcast("<cluster-name>${name} and ${other}</cluster-name>");

    let checked = Around::new().variable("name", "chat").cluster(&text).expect("a file");

    assert_eq!(checked.cluster.name, "chat and ${other}");
    let warned = checked.warnings[0].to_string();
    assert!(
        warned.starts_with("1:26: the variable ${other} has no value") && warned.contains("-D other=…"),
        "{warned}"
    );
    let shown = checked.to_annotated_xml();
    assert!(shown.contains("<!-- /conf/hazelcast.xml:1, ${name} from the test -->"), "{shown}");
}

#[test]
fn the_value_of_a_variable_is_neither_looked_at_again_nor_an_element() {
    let text = hazelcast("<cluster-name>${name}</cluster-name>");

    let checked = Around::new().variable("name", "${name}<!-- -->&amp;").cluster(&text).expect("a file");

    assert_eq!(checked.cluster.name, "${name}<!-- -->&amp;");
}

#[test]
fn variables_that_would_blow_the_file_up_are_refused() {
    let text = hazelcast(&"<map name='${big}'/>".repeat(1000));

    let problems = Around::new().variable("big", &"x".repeat(10_000)).cluster(&text).expect_err("too long");

    assert!(problems.to_string().contains("with the values of its variables"), "{problems}");
    assert!(problems.problems.len() <= 50);
}

#[test]
fn an_import_that_cannot_be_followed_is_refused_with_the_reason() {
    let import = |resource: &str| hazelcast(&format!("<import resource='{resource}'/>"));
    refused(
        &import("missing.xml"),
        "/conf/hazelcast.xml:1:20: the file 'missing.xml' cannot be imported: it is not there",
    );
    refused(&import("${home}/x.xml"), "the variable ${home} has no value: give it one with -D home=…");
    refused(
        &import("https://evil.example/x.xml"),
        "only files are imported, by their path or file:///…, and not 'https:'",
    );
    refused(&import("classpath:x.xml"), "and not 'classpath:'");
    refused(&import(""), "it has no name");
    refused(&hazelcast("<import/>"), "<import> lacks the attribute 'resource'");
    refused(&hazelcast("<network><import resource='x'/></network>"), "unknown element <import> in <network>");
}

#[test]
fn an_import_in_a_circle_or_twice_is_refused() {
    let a = "<hazelcast><import resource='b.xml'/></hazelcast>";
    let b = "<hazelcast>\n<import resource='../conf/./hazelcast.xml'/></hazelcast>";
    let circle = Around::new().file("/conf/b.xml", b).cluster(a).expect_err("a circle").to_string();
    assert!(
        circle.starts_with("/conf/b.xml:2:9: the file '../conf/./hazelcast.xml' cannot be imported: it is part of"),
        "{circle}"
    );

    let twice = hazelcast("<import resource='c.xml'/><import resource='file:///conf/c.xml'/>");
    let twice = Around::new().file("/conf/c.xml", "<hazelcast/>").cluster(&twice).expect_err("twice").to_string();
    assert!(twice.contains("a file is imported once, and not by itself"), "{twice}");
}

#[test]
fn a_chain_of_imports_is_bounded() {
    let mut around = Around::new();
    for number in 0..100 {
        let next = format!("<hazelcast><import resource='{}.xml'/></hazelcast>", number + 1);
        around = around.file(&format!("/conf/{number}.xml"), &next);
    }

    let problems = around.cluster(&hazelcast("<import resource='0.xml'/>")).expect_err("too many");

    assert!(problems.to_string().ends_with("more than 16 files are imported"), "{problems}");
}

#[test]
fn what_is_wrong_in_an_imported_file_is_told_with_that_files_name() {
    let around = Around::new()
        .file("/conf/bad.xml", "<hazelcast>\n<network><port>x</port></network></hazelcast>")
        .file("/conf/html.xml", "<html/>")
        .file("/conf/torn.xml", "<hazelcast>\n<netw");
    let said = |name: &str| {
        let text = hazelcast(&format!("<import resource='{name}'/>"));
        around.cluster(&text).expect_err(name).to_string()
    };

    assert!(said("bad.xml").starts_with("/conf/bad.xml:2:16: 'x' found for <port>"), "{}", said("bad.xml"));
    assert!(said("html.xml").starts_with("/conf/html.xml:1:1: the file begins with <html>; expected <hazelcast>"));
    assert!(said("torn.xml").starts_with("/conf/torn.xml:"), "{}", said("torn.xml"));
}

#[test]
fn an_element_that_both_files_hold_is_an_error() {
    let around = Around::new().file("/conf/local.xml", LOCAL);
    let text = hazelcast("<import resource='local.xml'/><network/>");

    let problems = around.cluster(&text).expect_err("twice").to_string();

    assert!(problems.contains("<network> appears a second time"), "{problems}");
}

#[test]
fn a_definition_in_an_imported_file_names_no_other_files() {
    let evil =
        "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><hazelcast><cluster-name>&e;</cluster-name></hazelcast>";
    let around = Around::new().file("/conf/evil.xml", evil);

    let problems = around.cluster(&hazelcast("<import resource='evil.xml'/>")).expect_err("a definition");

    assert!(problems.to_string().contains("a document type definition (DOCTYPE) was found"), "{problems}");
}

/// G26, of this decoder: whatever is in a file, there is an answer, and soon.
#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    let around = Around::new();
    for position in 0..LOCAL.len() {
        for byte in [0, b'<', b'>', b'&', b'"', b'0', b'x', b'$', b'{', 0xFF] {
            let mut bytes = LOCAL.as_bytes().to_vec();
            bytes[position] = byte;
            if let Err(problems) = around.bytes(bytes) {
                assert!(!problems.problems.is_empty(), "no reason for byte {byte} at {position}");
            }
        }
    }
}

#[test]
fn a_large_file_of_many_small_things_is_answered() {
    let names: String = (0..40_000).map(|number| format!("<e{number}/>")).collect();
    let checked = cluster(&hazelcast(&names[..names.len().min(FILE_BYTES_MAX - 100)]));
    assert!(checked.ignored.len() <= 200);

    for inside in ["<aws/>", "<multicast enabled='true'/>", "<auto-detection/>", "<discovery-strategies/>"] {
        let many = inside.repeat(1_000_000 / inside.len());
        let problems = Around::new().cluster(&join(&many)).expect_err("many").problems.len();
        assert!((1..=50).contains(&problems), "{problems}");
    }
    assert!(Around::new().cluster(&hazelcast(&"<import resource='x'/>".repeat(40_000))).is_err());
    assert!(
        Around::new().cluster(&hazelcast(&format!("<cluster-name>{}</cluster-name>", "${x}".repeat(200_000)))).is_err()
    );

    let members = "10.0.0.* ".repeat(10_000);
    let problems = Around::new().cluster(&join(&format!("<tcp-ip enabled='true'><member>{members}</member></tcp-ip>")));
    assert!(problems.expect_err("too many").to_string().contains("at most 1024 addresses and ports in all"));
}

fn hazelcast(inside: &str) -> String {
    format!("<hazelcast>{inside}</hazelcast>")
}

fn join(inside: &str) -> String {
    hazelcast(&format!("<network><join>{inside}</join></network>"))
}

fn cluster(text: &str) -> CheckedCluster {
    Around::new().cluster(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

fn settings(text: &str) -> ClusterSettings {
    cluster(text).cluster
}

fn refused(text: &str, expected: &str) {
    let shown = Around::new().cluster(text).expect_err(text).to_string();
    assert!(shown.contains(expected), "{text}\nfound:    {shown}\nexpected: {expected}");
}

/// A machine with some files, variables and addresses.
struct Around {
    files: BTreeMap<PathBuf, String>,
    variables: BTreeMap<String, String>,
    addresses: Vec<IpAddr>,
    everybody_may_read: bool,
}

impl Around {
    fn new() -> Self {
        let addresses = ["127.0.0.1", "2001:db8::4", "10.0.0.4", "192.168.1.4"];
        Around {
            files: BTreeMap::new(),
            variables: BTreeMap::new(),
            addresses: addresses.map(|address| address.parse().expect("an address")).to_vec(),
            everybody_may_read: false,
        }
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn content(&self, bytes: Vec<u8>) -> Content {
        Content { bytes, everybody_may_read: self.everybody_may_read }
    }

    fn bytes(&self, bytes: Vec<u8>) -> Result<CheckedFile, Problems> {
        load_file(Path::new("/conf/hazelcast.xml"), &self.content(bytes), self)
    }

    fn cluster(&self, text: &str) -> Result<CheckedCluster, Problems> {
        match self.bytes(text.as_bytes().to_vec())? {
            CheckedFile::Cluster(checked) => Ok(*checked),
            CheckedFile::Node(_) => panic!("it begins with <hazelcast>"),
        }
    }

    fn node(&self, own: &str, hazelcast: Option<&str>) -> Result<Checked, Problems> {
        let main = Main::File(PathBuf::from("/conf/cresset.xml"), self.content(own.as_bytes().to_vec()));
        let hazelcast = hazelcast.map(|text| self.content(text.as_bytes().to_vec()));
        load(&main, hazelcast.as_ref().map(|content| (Path::new("/conf/hazelcast.xml"), content)), self)
    }
}

impl Surroundings for Around {
    fn file(&self, path: &Path) -> Result<Content, String> {
        let mut plain = PathBuf::new();
        for component in path.components() {
            match component.as_os_str().to_str() {
                Some("..") => drop(plain.pop()),
                Some(name) => plain.push(name),
                None => {}
            }
        }
        let text = self.files.get(&plain).ok_or("it is not there")?;
        Ok(self.content(text.clone().into_bytes()))
    }

    fn variable(&self, name: &str) -> Option<Variable> {
        let value = self.variables.get(name)?.clone();
        Some(Variable { value, given_by: "the test" })
    }

    fn definitions(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.clone()
    }

    fn address_of(&self, host: &str) -> Option<IpAddr> {
        (host.trim_end_matches('.') == "chat.example").then(|| IpAddr::from([198, 51, 100, 1]))
    }
}
