//! The only printer: results to stdout, everything else to stderr. Without colours.
//! A reader that goes away ends the program quietly; nothing here panics for it.
//! Knows nothing of what the answers mean.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::{
    Exit,
    failure::Failure,
    table::{Table, visible},
};

/// Where results go, and in which form.
pub struct Output {
    json: bool,
}

impl Output {
    /// A printer of JSON documents, or of text and tables.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are to be JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer: the document itself as JSON, else the lines that `text` makes of it.
    pub fn answer(&self, document: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { self.document(document) } else { self.text(&text()) }
    }

    /// Prints one JSON document, laid out for a person when one is looking. An absent answer is `{}`.
    pub fn document(&self, document: &Value) -> Result<(), Failure> {
        let empty = Value::Object(serde_json::Map::new());
        let document = if document.is_null() { &empty } else { document };
        let text = if io::stdout().is_terminal() { format!("{document:#}") } else { document.to_string() };
        self.text(&text)
    }

    /// Prints text, ended by a line break.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        write_to(&mut io::stdout().lock(), &[text.as_bytes(), end.as_bytes()])
    }

    /// Prints rows of a table as they come.
    pub fn rows(&self, table: &mut Table, rows: &[Vec<String>]) -> Result<(), Failure> {
        self.text(&table.lay_out(rows))
    }

    /// Prints a value: its bytes as they are. A terminal gets a line break after it.
    pub fn value(&self, bytes: &[u8]) -> Result<(), Failure> {
        let end: &[u8] = if io::stdout().is_terminal() && !bytes.ends_with(b"\n") { b"\n" } else { b"" };
        write_to(&mut io::stdout().lock(), &[bytes, end])
    }

    /// Says something beside the result, on stderr.
    pub fn note(&self, text: &str) {
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{}", visible(text));
    }

    /// Tells a failure on stderr as `error: <detail> (code)` and gives the exit code for it.
    pub fn failure(&self, failure: &Failure) -> Exit {
        let told = match failure {
            Failure::Told(told) => told,
            Failure::ReaderGone => return Exit::Done,
            Failure::Logged(exit) => return *exit,
        };
        self.note(&format!("error: {} ({})", told.detail.trim_end(), told.code));
        if let Some(hint) = &told.hint {
            self.note(&format!("hint: {hint}"));
        }
        told.exit
    }
}

/// Prints what the argument parser has to say: help and version to stdout, a mistake to stderr.
pub fn help_or_usage(error: &clap::Error) -> Exit {
    // Nobody is left to tell when neither can be written.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

fn write_to(stream: &mut impl Write, parts: &[&[u8]]) -> Result<(), Failure> {
    let written = parts.iter().try_for_each(|part| stream.write_all(part));
    written.and_then(|()| stream.flush()).map_err(|error| Failure::from_stdout(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_not_a_fault() {
        let failure = write_to(&mut Closed, &[b"row"]).unwrap_err();
        assert!(matches!(failure, Failure::ReaderGone));
        assert_eq!(Output::new(false).failure(&failure), Exit::Done);
    }

    #[test]
    fn a_failure_ends_with_its_exit_code() {
        let output = Output::new(false);
        assert_eq!(output.failure(&Failure::new("not_found", "no such secret")), Exit::Failed);
        assert_eq!(output.failure(&Failure::usage("no token")), Exit::Usage);
    }
}
