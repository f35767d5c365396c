//! Shows that long work goes on: a bar on a terminal, a line now and then where there is none. Knows nothing of the work.

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal there is a line for each such part of the work.
const PARTS: u64 = 20;

/// Work under way; its bar is gone when this is dropped.
pub struct Progress {
    bar: ProgressBar,
    total: u64,
    done: u64,
    failed: u64,
}

impl Progress {
    /// So much is to be done.
    pub fn of(total: u64) -> Self {
        let bar = ProgressBar::new(total);
        let template = "{bar:40} {human_pos}/{human_len} seeds  {msg}  {elapsed} (about {eta} left)";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { bar, total, done: 0, failed: 0 }
    }

    /// One more is done.
    pub fn done(&mut self, held: bool) {
        self.done += 1;
        self.failed += u64::from(!held);
        self.bar.set_message(format!("{} failed", self.failed));
        self.bar.inc(1);
        let part = |done: u64| done * PARTS / self.total.max(1);
        if self.bar.is_hidden() && part(self.done) != part(self.done - 1) {
            eprintln!("{} of {} seeds, {} failed", self.done, self.total, self.failed);
        }
    }

    /// Says something on stdout without disturbing the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
