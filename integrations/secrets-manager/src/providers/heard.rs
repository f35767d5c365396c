//! What is traced while a test runs, at any level and by any crate. Knows nothing of who says it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{Level, Subscriber};

/// All that has been heard so far.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// Who hears.
    pub(super) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        let writer = self.clone();
        tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone()).finish()
    }

    /// Fails if one of these was heard, or nothing at all.
    pub(super) fn has_none_of(&self, secrets: &[&str]) {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        assert!(!text.is_empty(), "nothing was heard");
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

impl io::Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
