//! A run as one page that needs nothing else: what each node was and did, what was broken, who was where, and what did
//! not hold.
//!
//! The page's own files lie in `page/`; the run is put into it as JSON.

use super::Report;
use super::view::View;
use crate::scenario::Scenario;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page.
pub fn draw(scenario: &Scenario, report: &Report) -> String {
    let view = serde_json::to_string(&View::of(scenario, report)).expect("a view consists of what can be written");
    let mut page = String::new();
    for (number, part) in TEMPLATE.split("{{").enumerate() {
        let (mark, rest) = part.split_once("}}").filter(|_| number > 0).unwrap_or(("", part));
        match mark {
            "title" => page.push_str(&escaped(&scenario.name)),
            "style" => page.push_str(STYLE),
            "script" => page.push_str(SCRIPT),
            "run" => page.push_str(&harmless(&view)),
            _ => {}
        }
        page.push_str(rest);
    }
    page
}

/// Text as it may stand between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON in which nothing can end the element that it stands in.
fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::report::Violation;
    use crate::trace::{Detail, Trace};
    use crate::trial::Trial;

    #[test]
    fn nothing_in_a_run_can_end_the_script_that_holds_it() {
        let trial = Trial::of(Plan::calm(1));
        let violations = vec![Violation { invariant: "order", at: None, text: "</script><script>alert(1)".to_owned() }];
        let trace = Trace::new(Detail::Nothing, None).sum();
        let report = Report { plan: trial.plan.clone(), history: Vec::new(), violations, trace, records: 0 };
        let (name, story) = ("<b>{{run}}".to_owned(), String::new());

        let page = draw(&Scenario { name, story, invariant: None, trial, expect: Vec::new() }, &report);

        assert_eq!(page.matches("</script>").count(), 2, "the data and the program");
        assert!(!page.contains("<b>") && page.contains("<title>&lt;b>") || page.contains("<title>&lt;b&gt;{{run}}"));
        assert!(["<script src", "<link", "<img", "@import"].iter().all(|fetched| !page.contains(fetched)));
    }
}
