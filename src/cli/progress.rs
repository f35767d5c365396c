//! Shows that long work goes on: on stderr, only when that is a terminal, and wiped when it is done.
//! Knows nothing of the work.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the sign of life moves.
const TICK: Duration = Duration::from_millis(120);

/// A line on stderr about work under way. It is gone when this is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// Work of unknown length: counts what is done.
    pub fn counting(doing: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {msg} {human_pos}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(doing.to_owned());
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// As [`counting`](Self::counting), but silent when rows are printed on the same terminal.
    pub fn behind_rows(doing: &str) -> Self {
        if io::stdout().is_terminal() { Self(ProgressBar::hidden()) } else { Self::counting(doing) }
    }

    /// Says that so much more is done.
    pub fn add(&self, done: u64) {
        self.0.inc(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
