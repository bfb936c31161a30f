//! A line on the terminal while a run goes on; silent where standard error is none.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the line changes.
const REFRESH: Duration = Duration::from_millis(250);

/// A line that counts something; dropping it clears the line.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    ticker: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Shows `counter` as it grows.
    pub(crate) fn new(what: &'static str, counter: Arc<AtomicU64>) -> Progress {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is a constant");
        bar.set_style(style);
        let shown = bar.clone();
        let ticker = tokio::spawn(async move {
            let mut last = counter.load(Ordering::Relaxed);
            let mut ticks = tokio::time::interval(REFRESH);
            while !shown.is_hidden() {
                ticks.tick().await;
                let now = counter.load(Ordering::Relaxed);
                let per_second = now.saturating_sub(last) * 4;
                shown.set_message(format!("{now} {what}, {per_second} per second"));
                shown.tick();
                last = now;
            }
        });
        Progress { bar, ticker }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ticker.abort();
        self.bar.finish_and_clear();
    }
}
