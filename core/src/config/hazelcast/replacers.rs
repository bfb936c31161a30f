//! `<config-replacers>`: Java classes that put a value in for `$ENC{…}` and the like.
//!
//! None of them is here. Without one, Hazelcast takes such a text as it is; with one, the text is no value at all, and
//! what it would make of the members is anybody's guess: the literal as the name of the cluster, say. So a text that a
//! replacer would have replaced is refused where it would be read.

use super::{READ, is_switched_off};
use crate::config::document::Element;
use crate::config::reading::Reading;

/// Replaces `${name}`, as is done here always.
const OF_VARIABLES: &str = "com.hazelcast.config.replacer.PropertyReplacer";

const EXPECTED: &str = "a plain value, or ${name} with the value in the environment or with -D: replacers are Java \
                        classes, and there are none here";

/// Refuses what a replacer would replace.
pub(super) fn refuse(reading: &mut Reading<'_>, cluster: &Element) {
    let replacers = cluster.children.iter().filter(|child| child.name == "config-replacers");
    let mut classes = replacers.flat_map(|element| &element.children).flat_map(|replacer| &replacer.attributes);
    if classes.any(|attribute| attribute.name == "class-name" && attribute.value.trim() != OF_VARIABLES) {
        let is_read = |child: &&Element| child.name != "config-replacers" && READ.contains(&child.name.as_str());
        cluster.children.iter().filter(is_read).for_each(|child| look_into(reading, child));
    }
}

/// The depth of the tree is bounded.
fn look_into(reading: &mut Reading<'_>, element: &Element) {
    // The password of `<group>` has no effect, whatever it is.
    if is_switched_off(element) || element.name == "password" {
        return;
    }
    for attribute in &element.attributes {
        if let Some(found) = replaceable(&attribute.value) {
            let subject = format!("the attribute '{}' of <{}>", attribute.name, element.name);
            reading.bad_value(attribute.place, subject, found, EXPECTED);
        }
    }
    if let Some(found) = replaceable(&element.text) {
        reading.bad_value(element.text_place, format!("<{}>", element.name), found, EXPECTED);
    }
    element.children.iter().for_each(|child| look_into(reading, child));
}

/// The first `$NAME{…}` of a text.
fn replaceable(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        let name = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if name > 0 && after[name..].starts_with('{') {
            // Where this one does not end, no later one does.
            let length = after.find('}')? + 1;
            let start = text.len() - after.len() - 1;
            return Some(&text[start..=start + length]);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::replaceable;

    #[test]
    fn what_is_replaceable_has_a_name_and_an_end() {
        assert_eq!(replaceable("a ${x} $ENC{7oj=} $V{}"), Some("$ENC{7oj=}"));
        assert_eq!(replaceable("$$A_1{}"), Some("$A_1{}"));
        for text in ["", "$", "${x}", "$ENC", "$ENC{", "$ENC {x}", "ENC{x}", "$ü{x}"] {
            assert_eq!(replaceable(text), None, "{text}");
        }
        for many in ["$", "$A{", "A", "${"] {
            assert_eq!(replaceable(&many.repeat(300_000)), None);
        }
    }
}
