//! Files of operators that some version of Hazelcast reads, from 2.0 to 5.5, and what it makes of them. Hazelcast was run
//! over each of them: what it takes without effect on joining is taken and named here, and what it refuses is refused.

use super::*;

/// T1. The file of the plugin from 2012 to 2015, of which only the network matters.
#[test]
fn a_section_that_any_version_knew_and_that_is_switched_off_is_named() {
    let off = "<group><name>openfire</name><password>openfire</password></group><network>\
               <join><multicast enabled='true'/><tcp-ip enabled='false'/><aws enabled='false'/></join>\
               <symmetric-encryption enabled='false'><salt>thesalt</salt></symmetric-encryption>\
               <asymmetric-encryption enabled='false'><keyPassword>thekeypass</keyPassword></asymmetric-encryption>\
               </network>";

    let checked = cluster(&hazelcast(off));

    assert_eq!(named(&checked, "<asymmetric-encryption>"), "it is switched off");
    refused(
        &hazelcast("<network><asymmetric-encryption enabled='true'/></network>"),
        "<asymmetric-encryption enabled=\"true\"> asks for a protection",
    );
}

/// T2. What stands in a section that is switched off is an example, or what was true once.
#[test]
fn values_in_a_section_that_is_switched_off_are_not_read() {
    for inside in [
        "<interfaces enabled='false'><interface>localhost</interface><interface/><address>x</address></interfaces>",
        "<join><multicast enabled='false'><multicast-group>chat</multicast-group><multicast-port/>\
         <trusted-interfaces><interface>eth0</interface></trusted-interfaces></multicast></join>",
        "<join><multicast enabled='true'/><tcp-ip enabled='false' connection-timeout-seconds='-1'><member>a b!!</member>\
         <member/><required-member/><address/></tcp-ip></join>",
        "<join><aws enabled='false'><access-key/><region/><hz-port>any</hz-port><cluster>ecs</cluster></aws></join>",
        "<join><kubernetes enabled='false'><service-dns/><service-port>x</service-port></kubernetes></join>",
        "<join><gcp enabled='false'><zones/></gcp><eureka enabled='false'><namespace/></eureka></join>",
        "<ssl enabled='false'><factory-class-name/></ssl><socket-interceptor enabled='off'><class-name/></socket-interceptor>",
        "<member-address-provider enabled='false'><class-name/></member-address-provider>",
    ] {
        settings(&hazelcast(&format!("<network>{inside}</network>")));
    }
    settings(&hazelcast("<security enabled='false'><realms><realm/></realms></security>"));
    settings(&hazelcast(
        "<advanced-network enabled='false'><join><multicast enabled='yes'/></join></advanced-network>",
    ));
    let own = |join: &str| {
        Around::new().node(&format!("<cresset><domain>a</domain><node name='a' data='d'/><accounts><sqlite path='x'/></accounts><cluster>{join}</cluster></cresset>"), None)
    };
    own("<join><dns enabled='false'><host>!</host></dns></join>").expect("it is switched off");
    own("<join><dns enabled='true'><host>!</host></dns></join>").expect_err("it is switched on");
    // A file of ours is read strictly only where it has an effect.
    own("<network><interfaces enabled='false'><interface>eth0</interface></interfaces></network>").expect("off");
}

/// T2. If nothing is switched on, what is said about multicast is used, and then it is read.
#[test]
fn values_of_multicast_are_read_when_auto_detection_ends_there() {
    let wrong =
        "<auto-detection enabled='true'/><multicast enabled='false'><multicast-port>x</multicast-port></multicast>";

    refused(&join(wrong), "'x' found for <multicast-port>");
}

/// T2. Hazelcast leaves out what is no address, and starts by the others.
#[test]
fn interfaces_that_are_no_addresses_are_left_out_if_others_are() {
    let text =
        |inside: &str| hazelcast(&format!("<network><interfaces enabled='true'>{inside}</interfaces></network>"));

    let checked = cluster(&text("<interface>localhost</interface><interface/><interface>192.168.1.*</interface>"));

    assert_eq!(checked.cluster.advertise.to_string(), "192.168.1.4:5701");
    assert!(named(&checked, "<interface>localhost</interface>").contains("no address"));
    refused(&text("<interface>localhost</interface>"), "'localhost' found for <interface>");
    refused(&text("<interface/>"), "'' found for <interface>");
}

/// T3.
#[test]
fn the_properties_of_addresses_go_before_the_elements() {
    let network = "<network><public-address>203.0.113.9</public-address>\
                   <interfaces enabled='true'><interface>10.0.0.*</interface></interfaces></network>";
    let text = |name: &str, value: &str| {
        hazelcast(&format!("<properties><property name='{name}'>{value}</property></properties>{network}"))
    };
    let local = |value: &str| {
        let network = "<property name='hazelcast.socket.bind.any'>false</property>";
        let name = "hazelcast.local.localAddress";
        hazelcast(&format!("<properties><property name='{name}'>{value}</property>{network}</properties>"))
    };

    assert_eq!(settings(&local("192.168.1.4")).listen.to_string(), "192.168.1.4:5701");
    assert_eq!(settings(&local("[2001:db8::4]")).listen.to_string(), "[2001:db8::4]:5701");
    assert_eq!(settings(&local("localhost")).listen.to_string(), "127.0.0.1:5701");
    assert_eq!(settings(&local("chat.example.")).listen.to_string(), "198.51.100.1:5701");
    refused(&local("unknown.example"), "hazelcast.local.localAddress: the host 'unknown.example' has no address here");
    let elsewhere = cluster(&text("hazelcast.local.localAddress", "172.16.0.1").replace("203.0.113.9", "172.16.0.1"));
    assert!(elsewhere.warnings[0].message.contains("172.16.0.1 is no address of this machine"), "{elsewhere:?}");

    let public = "hazelcast.local.publicAddress";
    assert_eq!(settings(&text(public, "203.0.113.7:7000")).advertise.to_string(), "203.0.113.7:7000");
    let given = Around::new().variable(public, "203.0.113.8").cluster(&text(public, "203.0.113.7")).expect("a file");
    assert_eq!(given.cluster.advertise.to_string(), "203.0.113.8:5701");
    assert!(
        given.to_annotated_xml().contains("<!-- the property 'hazelcast.local.publicAddress', the test -->"),
        "{}",
        given.to_annotated_xml()
    );
    assert!(given.ignored.is_empty(), "{:?}", given.ignored);
}

/// T3. A definition of that kind is no variable: somebody expects something of it.
#[test]
fn a_definition_of_hazelcasts_without_a_meaning_is_named() {
    let around = Around::new()
        .variable("hazelcast.heartbeat.interval.seconds", "1")
        .variable("hazelcast.local.localAdress", "10.0.0.4")
        .variable("hazelcast.max.join.seconds", "9")
        .variable("hazelcast.startup.delay.seconds", "9")
        .variable("hazelcast.name", "chat")
        .variable("home", "/");

    let checked = around.cluster(&hazelcast("<cluster-name>${hazelcast.name}</cluster-name>")).expect("a file");

    let warned: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(
        warned[0].starts_with("-D hazelcast.heartbeat.interval.seconds: without effect: fencing has"),
        "{warned:?}"
    );
    assert!(warned[1].starts_with("-D hazelcast.local.localAdress: without effect: it is not known"), "{warned:?}");
}

/// T4.
#[test]
fn an_absolute_name_is_a_host_wherever_one_stands() {
    let list = "<tcp-ip enabled='true'><member>node.ns.svc.cluster.local.</member><hostname>a.:5800</hostname>\
                <required-member>b.example.</required-member></tcp-ip>";

    let Discovery::TcpIp(list) = settings(&join(list)).discovery else { panic!("a list") };

    let shown: Vec<String> = list.members.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["node.ns.svc.cluster.local.", "a.:5800"]);
    assert_eq!(list.required_member.map(|member| member.to_string()).as_deref(), Some("b.example."));
    let public = hazelcast("<network><public-address>chat.example.</public-address></network>");
    assert_eq!(settings(&public).advertise.to_string(), "198.51.100.1:5701");
    settings(&join("<kubernetes enabled='true'><service-dns>members.ns.svc.cluster.local.</service-dns></kubernetes>"));
    for wrong in [".", "a..", "10.0.0.1.", "..", "a.b..:1"] {
        refused(&join(&format!("<tcp-ip enabled='true'><member>{wrong}</member></tcp-ip>")), "found for <member>");
    }
}

/// T5.
#[test]
fn an_address_of_version_6_stands_with_or_without_brackets() {
    let text = hazelcast(
        "<network><interfaces enabled='true'><interface>[2001:db8::4]</interface></interfaces><join>\
         <tcp-ip enabled='true'><member>[2001:db8::5]</member><member>2001:db8::6</member>\
         <interface>[2001:db8::7]:5701</interface></tcp-ip></join></network>",
    );

    let settings = settings(&text);

    assert_eq!(settings.advertise.to_string(), "[2001:db8::4]:5701");
    let Discovery::TcpIp(list) = settings.discovery else { panic!("a list") };
    assert_eq!(list.members.len(), 3);
    let inside = "<multicast enabled='true'><trusted-interfaces><interface>[2001:db8:*:*:*:*:*:1]</interface></trusted-interfaces></multicast>";
    cluster(&join(inside));
}

/// T6. Hazelcast picks the first address that is not loopback unless loopback is named.
#[test]
fn loopback_is_chosen_if_it_is_asked_for_or_all_members_are_there() {
    let chosen = |interfaces: &str, members: &str| {
        let interfaces = match interfaces {
            "" => String::new(),
            interfaces => format!("<interfaces enabled='true'><interface>{interfaces}</interface></interfaces>"),
        };
        let list = format!("<join><tcp-ip enabled='true'><member>{members}</member></tcp-ip></join>");
        settings(&hazelcast(&format!("<network>{interfaces}{list}</network>"))).advertise.ip().to_string()
    };

    assert_eq!(chosen("*.*.*.*", "chat-a, chat-b"), "10.0.0.4");
    assert_eq!(chosen("*.*.*.*", "chat-a, 192.168.1.4"), "192.168.1.4");
    assert_eq!(chosen("", "127.0.0.1, 10.0.0.9"), "10.0.0.4");
    assert_eq!(chosen("", "127.0.0.1, 192.168.1.4"), "192.168.1.4");
    assert_eq!(chosen("127.0.0.1, 10.0.0.*", "chat-a"), "127.0.0.1");
    assert_eq!(chosen("127.*.*.*", "chat-a"), "127.0.0.1");
    for members in ["127.0.0.1:5701, 127.0.0.1:5702", "localhost", "127.0.0.1-9", "localhost.:5701, ::1"] {
        assert_eq!(chosen("", members), "127.0.0.1", "{members}");
        assert_eq!(chosen("*.*.*.*", members), "127.0.0.1", "{members}");
    }
    let only = Around { addresses: vec!["127.0.0.1".parse().expect("an address")], ..Around::new() };
    let text = "<network><interfaces enabled='true'><interface>*.*.*.*</interface></interfaces></network>";
    assert_eq!(only.cluster(&hazelcast(text)).expect("a file").cluster.advertise.to_string(), "127.0.0.1:5701");
}

/// T7. The literal would be the name of a cluster that none of the others has.
#[test]
fn what_a_replacer_would_replace_is_refused() {
    let replacer = |class: &str| format!("<config-replacers><replacer class-name='{class}'/></config-replacers>");
    let encryption = replacer("com.hazelcast.config.replacer.EncryptionReplacer");
    let name = "<cluster-name>$ENC{7ojIVj0QO7s=}</cluster-name>";

    refused(
        &hazelcast(&format!("{encryption}{name}")),
        "'$ENC{7ojIVj0QO7s=}' found for <cluster-name>; expected a plain value, or ${name}",
    );
    let others = "<group><name>$ENC{x}</name></group>";
    refused(&hazelcast(&format!("{others}{}", replacer("org.example.Vault"))), "'$ENC{x}' found for <name>");
    let member = "<network><join><tcp-ip enabled='true'><member>a</member><member-list><member>$V{x}</member></member-list></tcp-ip></join></network>";
    refused(&hazelcast(&format!("{encryption}{member}")), "'$V{x}' found for <member>");
    let property = "<properties><property name='hazelcast.max.join.seconds'>$ENC{x}</property></properties>";
    refused(&hazelcast(&format!("{encryption}{property}")), "'$ENC{x}' found for <property>; expected a plain value");

    // Where it has no effect it may stay, and a replacer of variables is what is done here.
    let unused = "<network><ssl enabled='false'><p>$ENC{x}</p></ssl></network><map name='$ENC{x}'/>\
                  <group><name>chat</name><password>$ENC{x}</password></group>";
    let checked = cluster(&hazelcast(&format!("{encryption}{unused}")));
    assert!(named(&checked, "<config-replacers>").contains("${name}"), "{:?}", checked.ignored);
    let literal = cluster(&hazelcast(&format!("{}{name}", replacer("com.hazelcast.config.replacer.PropertyReplacer"))));
    assert_eq!(literal.cluster.name, "$ENC{7ojIVj0QO7s=}");
    assert_eq!(settings(&hazelcast(name)).name, "$ENC{7ojIVj0QO7s=}");
}

/// T8.
#[test]
fn what_hazelcast_knows_is_not_asked_to_be_spelled_right() {
    let sections = "<jobtracker/><event-journal/><merkle-tree/><atomic-long/><atomic-reference/><count-down-latch/>\
                    <external-data-store/><merge-policies/><config-replacers/><spelled-wrong/>";
    let properties = ["hazelcast.mancenter.enabled", "hazelcast.io.thread.count", "hazelcast.socket.keep.alive"];
    let property = |name: &str| format!("<property name='{name}'>1</property>");
    let properties: String =
        properties.iter().chain(&["hazelcast.tcp.join.port.try.cuont"]).map(|name| property(name)).collect();

    let checked = cluster(&hazelcast(&format!("{sections}<properties>{properties}</properties>")));

    let unknown: Vec<&str> =
        checked.ignored.iter().filter(|i| i.reason.contains("spelled")).map(|i| i.name.as_str()).collect();
    assert_eq!(unknown, ["<spelled-wrong>", "the property 'hazelcast.tcp.join.port.try.cuont'"]);
    assert_eq!(checked.ignored.len(), 14);
}

/// T8.
#[test]
fn addresses_of_version_6_go_first_if_the_property_says_so() {
    let text = |prefers: &str| {
        hazelcast(&format!(
            "<properties><property name='hazelcast.prefer.ipv4.stack'>{prefers}</property></properties>"
        ))
    };
    let machine = ["127.0.0.1", "10.0.0.4", "::1", "fe80::4", "2001:db8::4"].map(|a| a.parse().expect("an address"));
    let chosen = |prefers| {
        let around = Around { addresses: machine.to_vec(), ..Around::new() };
        around.cluster(&text(prefers)).expect("a file").cluster.advertise.to_string()
    };

    assert_eq!(chosen("false"), "[2001:db8::4]:5701");
    assert_eq!(chosen("true"), "10.0.0.4:5701");
}

/// T8. Up to 3.4.
#[test]
fn yes_and_on_are_true_in_hazelcasts_words() {
    for (no, yes) in [("no", "yes"), ("off", "on"), ("FALSE", "TRUE"), (" false ", " true "), ("0", "true")] {
        let text = format!("<multicast enabled='{no}'/><tcp-ip enabled='{yes}'><member>a</member></tcp-ip>");
        assert!(matches!(settings(&join(&text)).discovery, Discovery::TcpIp(_)), "{text}");
        refused(&hazelcast(&format!("<network><ssl enabled='{yes}'/></network>")), "asks for a protection");
        refused(&hazelcast(&format!("<security enabled='{yes}'/>")), "asks for a protection");
    }
    // Hazelcast's schema takes it, and Hazelcast then reads it as false.
    refused(&join("<tcp-ip enabled='1'><member>a</member></tcp-ip>"), "expected 'true' or 'false'");
}

/// T8.
#[test]
fn a_declared_encoding_is_followed_or_is_the_reason() {
    let text = |encoding: &str| {
        format!(
            "<?xml version='1.0' encoding='{encoding}'?><hazelcast><cluster-name>caf\u{e9}</cluster-name></hazelcast>"
        )
    };
    let latin = |encoding: &str| {
        text(encoding).chars().map(|c| u8::try_from(u32::from(c)).expect("latin")).collect::<Vec<u8>>()
    };
    let name = |bytes: Vec<u8>| match Around::new().bytes(bytes) {
        Ok(CheckedFile::Cluster(checked)) => checked.cluster.name.clone(),
        Ok(CheckedFile::Node(_)) => panic!("it begins with <hazelcast>"),
        Err(problems) => panic!("{problems}"),
    };
    let utf16 = |big: bool| -> Vec<u8> {
        let units = std::iter::once(0xFEFF).chain(text("UTF-16").encode_utf16().collect::<Vec<u16>>());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };

    assert_eq!(name(latin("ISO-8859-1")), "caf\u{e9}");
    assert_eq!(name(latin("iso-8859-1")), "caf\u{e9}");
    assert_eq!(name(text("utf-8").into_bytes()), "caf\u{e9}");
    assert_eq!((name(utf16(true)), name(utf16(false))), ("caf\u{e9}".to_owned(), "caf\u{e9}".to_owned()));
    assert_eq!(name(text("windows-1252").replace('\u{e9}', "e").into_bytes()), "cafe");
    let said = |bytes| Around::new().bytes(bytes).expect_err("another encoding").to_string();
    assert!(
        said(latin("windows-1252"))
            .contains("1:1: the file is not well-formed XML: it declares the encoding 'windows-1252'"),
        "{}",
        said(latin("windows-1252"))
    );
    assert!(said(latin("UTF-8")).contains("a byte that is not UTF-8"));
    assert!(said(text("UTF-16").into_bytes()).contains("it declares the encoding 'UTF-16'"));
}

/// T8. There is a sentence for each file that Hazelcast has and that is not this one.
#[test]
fn another_file_of_hazelcasts_is_called_by_its_name() {
    let namespace = "xmlns:hz='http://www.hazelcast.com/schema/config'";
    for (text, expected) in [
        (
            "<hazelcast-client/>",
            "begins with <hazelcast-client>; expected <cresset> or <hazelcast>: this is the file of a client",
        ),
        ("<hazelcast-client-failover/>", "this is the file of a client"),
        ("<beans/>", "this is a file of Spring"),
        (
            &format!("<hz:hazelcast {namespace}/>"),
            "begins with <hz:hazelcast>; expected <cresset> or <hazelcast>: names are written without a prefix",
        ),
        ("<html/>", "begins with <html>; expected <cresset> or <hazelcast>"),
        ("# chat\nhazelcast:\n  cluster-name: chat\n", "it is YAML: Hazelcast's configuration is read as XML"),
        ("---\nhazelcast:\n  network:\n    port: 1\n", "it is YAML"),
        ("hazelcast.cluster-name=chat\n", "text outside the root element"),
    ] {
        let said = Around::new().bytes(text.as_bytes().to_vec()).expect_err(text).to_string();
        assert!(said.contains(expected), "{text}\nfound:    {said}\nexpected: {expected}");
        let imported =
            Around::new().file("/conf/other.xml", text).cluster(&hazelcast("<import resource='other.xml'/>"));
        let imported = imported.expect_err(text).to_string();
        assert!(imported.starts_with("/conf/other.xml:"), "{imported}");
    }
}

/// Names that only old versions have for what is read.
#[test]
fn old_names_of_what_is_read_are_read() {
    let text =
        "<multicast enabled='true'><multicast-time-to-live-seconds>7</multicast-time-to-live-seconds></multicast>";
    let Discovery::Multicast(multicast) = settings(&join(text)).discovery else { panic!("multicast") };
    assert_eq!(multicast.time_to_live, 7);

    let text = "<aws enabled='true'><hostHeader>ec2.example</hostHeader></aws>";
    let Discovery::Aws(aws) = settings(&join(text)).discovery else { panic!("AWS") };
    assert_eq!(aws.host_header, "ec2.example");

    let properties = "<properties><property name='hazelcast.multicast.group'>239.9.9.9</property>\
                      <property name='hazelcast.socket.server.bind.any'>false</property></properties>";
    let settings = settings(&hazelcast(properties));
    assert_eq!(settings.listen.to_string(), "10.0.0.4:5701");
    let Discovery::Multicast(multicast) = settings.discovery else { panic!("multicast") };
    assert_eq!(multicast.group.to_string(), "239.9.9.9");
}

/// The reason for which something was ignored.
fn named(checked: &CheckedCluster, name: &str) -> String {
    let found = checked.ignored.iter().find(|ignored| ignored.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {:?}", checked.ignored)).reason.clone()
}
