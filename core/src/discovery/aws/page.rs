//! What AWS answers, as XML.
//!
//! An address stands in many places of the answer; it is that of an instance only at its own place. Anything else in
//! the document is passed over, so that what AWS adds to it does no harm.

use std::net::IpAddr;

use quick_xml::events::Event;
use quick_xml::reader::Reader;

const INSTANCE: [&str; 5] = ["DescribeInstancesResponse", "reservationSet", "item", "instancesSet", "item"];

/// Elements inside each other. AWS has not half as many.
const DEPTH_MAX: usize = 32;

/// One page of instances.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The private addresses, or the public ones if those were wanted. An instance without one is left out.
    pub addresses: Vec<IpAddr>,
    /// What the next page is asked for with; absent on the last one.
    pub next: Option<String>,
}

/// Reads an answer, or why there is none as AWS or the parser says it.
///
/// # Errors
///
/// A sentence for people, without anything secret.
pub fn read_page(xml: &str, use_public_address: bool) -> Result<Page, String> {
    let wanted = if use_public_address { "ipAddress" } else { "privateIpAddress" };
    let (mut page, mut fault) = (Page::default(), None);
    let mut path: Vec<String> = Vec::new();
    let mut is_answer = false;
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().map_err(|error| format!("AWS answers what is no XML: {error}"))? {
            Event::Start(start) => {
                if path.len() == DEPTH_MAX {
                    return Err("AWS answers with elements nested without end".to_owned());
                }
                path.push(start.local_name().as_ref().to_owned());
                is_answer |= path == INSTANCE[..1];
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Text(text) => {
                let text = text.trim().to_owned();
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                match names[..] {
                    ["DescribeInstancesResponse", "nextToken"] => {
                        page.next = Some(text).filter(|text| !text.is_empty())
                    }
                    ["Response", "Errors", "Error", "Code" | "Message"] => fault = Some(joined(fault, &text)),
                    [.., last] if names[..names.len() - 1] == INSTANCE && last == wanted => {
                        page.addresses.extend(text.parse::<IpAddr>());
                    }
                    _ => {}
                }
            }
            Event::Eof => break,
            Event::Empty(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    match fault {
        Some(fault) => Err(format!("AWS refuses: {fault}")),
        None if is_answer && path.is_empty() => Ok(page),
        None => Err("AWS answers with something else than instances".to_owned()),
    }
}

/// Letters of a reason that are shown.
const REASON_MAX: usize = 300;

fn joined(before: Option<String>, text: &str) -> String {
    let all = before.map_or_else(|| text.to_owned(), |before| format!("{before}: {text}"));
    all.chars().filter(|letter| !letter.is_control()).take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "<?xml version='1.0'?><DescribeInstancesResponse xmlns='http://ec2.amazonaws.com/doc/2016-11-15/'>\
        <requestId>x</requestId><reservationSet><item><groupSet/><instancesSet><item>\
        <privateIpAddress>10.0.0.1</privateIpAddress><ipAddress>192.0.2.1</ipAddress>\
        <networkInterfaceSet><item><privateIpAddress>10.9.9.9</privateIpAddress></item></networkInterfaceSet>\
        </item><item><privateIpAddress>10.0.0.2</privateIpAddress></item></instancesSet></item></reservationSet>\
        <nextToken>more</nextToken></DescribeInstancesResponse>";

    #[test]
    fn each_instance_has_its_own_address_and_not_that_of_a_part() {
        let page = read_page(TWO, false).expect("a page");

        assert_eq!(page.addresses, ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().expect("an address")));
        assert_eq!(page.next.as_deref(), Some("more"));
    }

    #[test]
    fn an_instance_without_a_public_address_is_left_out() {
        let page = read_page(TWO, true).expect("a page");

        assert_eq!(page.addresses, ["192.0.2.1".parse::<IpAddr>().expect("an address")]);
    }

    #[test]
    fn what_aws_refuses_is_said_in_its_words() {
        let refusal = "<Response><Errors><Error><Code>AuthFailure</Code><Message>not you</Message></Error></Errors>\
                       <RequestID>x</RequestID></Response>";

        assert_eq!(read_page(refusal, false), Err("AWS refuses: AuthFailure: not you".to_owned()));
    }

    #[test]
    fn what_is_no_answer_is_said_and_nothing_is_taken_of_it() {
        let nested = "<a>".repeat(100);
        for text in ["", "<html></html>", "{}", &TWO[..TWO.len() - 5], &nested, "<a></b>"] {
            assert!(read_page(text, false).is_err(), "{text}");
        }
    }
}
