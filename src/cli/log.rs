//! The log of a service: on stderr, in words or as JSON, and in it a line for whatever panics. Keeps S1: where a thread
//! panicked is told, and with which words only if they quote nothing. Knows nothing of what the services do.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
};

use tracing_subscriber::EnvFilter;

use super::{failure::Failure, output::Output};
use crate::node::{LogConfig, LogFormat};

/// Has everything that is logged from now on, and what panics, go to stderr.
pub fn to_stderr(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.level).map_err(|_| {
        Failure::new("config_invalid", "log.level is not a filter such as info or covault=debug")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    panic::set_hook(Box::new(panicked));
    Ok(())
}

/// Libraries whose words are of ids and numbers, and without which nobody knows what they panicked for.
const QUOTE_NO_VALUES: [&str; 2] = ["/openraft-", "/validit-"];

fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    // Words that something is put into are no longer of the program alone: an index into a text quotes that.
    let literal = panic.payload().downcast_ref::<&str>().copied();
    let quotes_no_values = || {
        let place = place.as_deref().unwrap_or_default();
        QUOTE_NO_VALUES.iter().any(|library| place.contains(library))
    };
    let words = literal.or_else(|| panic.payload_as_str().filter(|_| quotes_no_values()));
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let thread = std::thread::current();
    tracing::error!(
        code = "panicked",
        place,
        thread = thread.name(),
        words,
        backtrace,
        "a bug of Covault: please report it"
    );
}

/// Says that a service is there: in plain words, or as a line of its log if that is not for people.
pub fn announce(output: &Output, format: LogFormat, text: &str) {
    match format {
        LogFormat::Text => output.note(text),
        LogFormat::Json => tracing::info!("{text}"),
    }
}

/// Tells a failure in the log, if that is told of failures.
pub fn failed(failure: Failure) -> Failure {
    match failure {
        Failure::Told(told) if tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!(code = told.code, hint = told.hint, "{}", told.detail.trim_end());
            Failure::Logged(told.exit)
        }
        failure => failure,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        fs,
        panic::{UnwindSafe, catch_unwind},
        sync::{Arc, Mutex},
    };

    use serde_json::Value;
    use tempfile::NamedTempFile;

    use super::*;

    /// What is logged when `work` panics.
    fn logged(work: impl FnOnce() + UnwindSafe) -> String {
        static ALONE: Mutex<()> = Mutex::new(());
        let file = NamedTempFile::new().unwrap();
        let log = tracing_subscriber::fmt().json().with_writer(Arc::new(file.reopen().unwrap())).finish();
        let _alone = ALONE.lock().unwrap();
        let before = panic::take_hook();
        panic::set_hook(Box::new(panicked));
        let caught = tracing::subscriber::with_default(log, || catch_unwind(work));
        panic::set_hook(before);
        assert!(caught.is_err());
        fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn what_panics_is_one_line_of_the_log_that_says_where_and_quotes_nothing() {
        let value = "SecretValue";
        let said = logged(|| panic!("over\ntwo lines with a {value}"));
        assert!(!said.contains(value), "{said}");
        let line: Value = serde_json::from_str(&said).unwrap();
        let fields = &line["fields"];
        assert_eq!((&line["level"], &fields["code"]), (&"ERROR".into(), &"panicked".into()));
        assert!(fields["place"].as_str().unwrap().starts_with(file!()), "{said}");
        assert_eq!(fields.get("words"), None);
    }

    #[test]
    fn words_that_quote_nothing_are_told() {
        let line: Value = serde_json::from_str(&logged(|| panic!("it is there"))).unwrap();
        assert_eq!(line["fields"]["words"], "it is there");
    }
}
