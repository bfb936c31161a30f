//! What one stanza costs: framing, parsing, reading as a stanza, and writing.
//!
//! `cargo bench -p cresset-core --bench stanza`

use std::hint::black_box;

use cresset_core::stanza::Stanza;
use cresset_core::xml::{StreamEvent, StreamReader, XmlLimits};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const OPEN: &str = "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client' \
                    xmlns:stream='http://etherx.jabber.org/streams'>";

const PRESENCE: &str = "<presence id='p1'><show>away</show><priority>5</priority>\
    <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' ver='m3QjeKU0fLHnXpoFTqO1jT8zVxE='/>\
    <x xmlns='vcard-temp:x:update'><photo>01b87fcd030b72895ff8e88db57ec525450f000d</photo></x></presence>";

const ROSTER: &str = "<iq type='set' id='roster-17'><query xmlns='jabber:iq:roster'>\
    <item jid='juliet@capulet.example' name='Juliet'><group>Friends</group><group>Lovers</group></item></query></iq>";

/// A chat message as clients send it, with a body of `length` bytes.
fn chat(length: usize) -> String {
    let body: String = "But soft, what light through yonder window breaks? ".chars().cycle().take(length).collect();
    format!(
        "<message to='juliet@capulet.example/balcony' id='b4d2f5a0-7f1e' type='chat'><body>{body}</body>\
         <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>\
         <origin-id xmlns='urn:xmpp:sid:0' id='b4d2f5a0-7f1e'/></message>"
    )
}

fn opened() -> StreamReader {
    let mut reader = StreamReader::new(XmlLimits::AUTHENTICATED);
    reader.feed(OPEN.as_bytes());
    assert!(matches!(reader.poll(), Ok(Some(StreamEvent::Open(_)))), "the stream opens");
    reader
}

/// Reads whatever `bytes` completes and writes it again.
fn forward(reader: &mut StreamReader, bytes: &[u8], out: &mut Vec<u8>) -> usize {
    reader.feed(bytes);
    let mut count = 0;
    while let Some(event) = reader.poll().expect("well-formed") {
        if let StreamEvent::Element(element) = event {
            Stanza::from_element(element).expect("a stanza").write(out);
            count += 1;
        }
    }
    count
}

fn stanzas(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    let mut reader = opened();
    let mut out = Vec::new();
    for (name, stanza) in [
        (
            "message of 250 B",
            "<message to='juliet@capulet.example/balcony' id='b4d2f5a0-7f1e' type='chat'><body>But soft, \
          what light through yonder window breaks? It is the east, and Juliet is the sun. Arise.</body>\
          <active xmlns='http://jabber.org/protocol/chatstates'/></message>"
                .to_owned(),
        ),
        ("chat with extensions, body 100 B", chat(100)),
        ("chat with extensions, body 1 kB", chat(1000)),
        ("chat with extensions, body 10 kB", chat(10_000)),
        ("chat with extensions, body 200 kB", chat(200_000)),
        ("presence with caps", PRESENCE.to_owned()),
        ("roster set", ROSTER.to_owned()),
    ] {
        group.throughput(Throughput::Bytes(stanza.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                forward(&mut reader, black_box(stanza.as_bytes()), &mut out)
            });
        });
    }
    group.finish();
}

/// A megabyte of mixed stanzas as it comes from a socket, four kilobytes at a time.
fn stream(criterion: &mut Criterion) {
    let mut megabyte = String::new();
    while megabyte.len() < 1 << 20 {
        for stanza in [&chat(100), &chat(60), PRESENCE, &chat(140), ROSTER, &chat(100)] {
            megabyte.push_str(stanza);
        }
    }
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Bytes(megabyte.len() as u64));
    for chunk_bytes in [1, 4096] {
        group.bench_function(format!("1 MB in chunks of {chunk_bytes}"), |bencher| {
            bencher.iter_batched(
                opened,
                |mut reader| {
                    let mut out = Vec::new();
                    let mut count = 0;
                    for chunk in megabyte.as_bytes().chunks(chunk_bytes) {
                        out.clear();
                        count += forward(&mut reader, chunk, &mut out);
                    }
                    count
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = stanzas, stream
}
criterion_main!(benches);
