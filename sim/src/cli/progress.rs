//! How far many runs have come: a line that changes on a terminal, lines now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::terminal::say;

/// How often a line is written where nothing can change.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// How often the line on a terminal changes.
const TICK: Duration = Duration::from_millis(200);

/// How far many runs have come.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    told_at: Instant,
    what: String,
    runs: u64,
    broken: u64,
    simulated: Duration,
}

impl Progress {
    /// Begins to count runs, `most` of them if that is known.
    pub(crate) fn new(what: &str, most: Option<u64>) -> Progress {
        let bar = most.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let shape = if most.is_some() { "{elapsed} {wide_bar} {msg}" } else { "{spinner} {elapsed} {msg}" };
        bar.set_style(ProgressStyle::with_template(shape).expect("the template is a constant"));
        bar.enable_steady_tick(TICK);
        let now = Instant::now();
        Progress { bar, begun: now, told_at: now, what: what.to_owned(), runs: 0, broken: 0, simulated: Duration::ZERO }
    }

    /// Counts a run.
    pub(crate) fn count(&mut self, simulated: Duration, has_broken: bool) {
        self.runs += 1;
        self.broken += u64::from(has_broken);
        self.simulated += simulated;
        self.bar.set_message(self.line());
        self.bar.inc(1);
        if self.bar.is_hidden() && self.told_at.elapsed() >= LINE_EVERY {
            self.told_at = Instant::now();
            say(&format!("{:>6.0} s  {}", self.begun.elapsed().as_secs_f64(), self.line()));
        }
    }

    /// Says something in between.
    pub(crate) fn tell(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    /// How many runs there were.
    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }

    /// Takes the changing line away; how it all went, in a line.
    pub(crate) fn end(self) -> String {
        self.bar.finish_and_clear();
        format!("{} in {:.0} s", self.line(), self.begun.elapsed().as_secs_f64())
    }

    fn line(&self) -> String {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let per_minute = self.runs as f64 / seconds * 60.0;
        format!(
            "{}: {} seeds, {per_minute:.0} a minute, {} simulated, {} broken",
            self.what,
            HumanCount(self.runs),
            hours(self.simulated),
            self.broken
        )
    }
}

/// `2 h 05 min`, `7 min 10 s`.
fn hours(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_time_is_told_in_words() {
        assert_eq!(hours(Duration::from_secs(430)), "7 min 10 s");
        assert_eq!(hours(Duration::from_secs(7500)), "2 h 05 min");
    }
}
