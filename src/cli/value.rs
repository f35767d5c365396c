//! The bytes of a secret on their way in or out: read from a file, a pipe or a prompt, never from the
//! command line, where other users and the shell's history would see them.
//! Keeps S1: the type has no `Debug` and is wiped on drop.
//! Knows nothing of the secret's name.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use covault_model::limits::VALUE_BYTES_MAX;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{failure::Failure, terminal::Terminal};

/// Where a value comes from. Without an option: stdin when it is not a terminal, else a prompt.
#[derive(Args)]
#[command(next_help_heading = "Value")]
pub struct ValueArgs {
    /// Take the value from this file, byte for byte; `-` is stdin. By default it is read from stdin when
    /// that is a pipe or a file, also byte for byte, and else asked for twice without showing it.
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,
    /// Leave out one line break at the end, as `echo` and editors add it.
    #[arg(long)]
    trim: bool,
}

impl ValueArgs {
    /// Reads the value.
    ///
    /// # Errors
    /// When it cannot be read, is too large, differs between the two times it is asked for, or when stdin
    /// is empty though nobody named it, or nothing is typed.
    pub fn read(&self) -> Result<SecretBytes, Failure> {
        let mut value = match &self.value_file {
            Some(path) if path == Path::new("-") => read_stream(io::stdin().lock(), path)?,
            Some(path) => {
                let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
                read_stream(file, path)?
            }
            None if io::stdin().is_terminal() => ask_twice()?,
            None => not_empty(read_stream(io::stdin().lock(), Path::new("stdin"))?, "stdin is empty")?,
        };
        if self.trim {
            value.trim_line_break();
        }
        Ok(value)
    }
}

/// A value in memory.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The value in an answer, from `value` or `value_base64`.
    pub fn from_answer(answer: &Value) -> Result<Self, Failure> {
        let member = |name| answer.get(name).and_then(Value::as_str);
        let bytes = match (member("value"), member("value_base64")) {
            (Some(text), _) => Some(text.as_bytes().to_vec()),
            (None, Some(text)) => STANDARD.decode(text).ok(),
            (None, None) => None,
        };
        bytes
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .ok_or_else(|| Failure::unexpected("the answer has no value that can be read"))
    }

    /// Puts the value into a request's body: as text when it is text, else in base64.
    pub fn put_into(&self, body: &mut Value) {
        match str::from_utf8(&self.0) {
            Ok(text) => body["value"] = Value::from(text),
            Err(_) => body["value_base64"] = Value::from(STANDARD.encode(&*self.0)),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn trim_line_break(&mut self) {
        if self.0.ends_with(b"\n") {
            self.0.pop();
            if self.0.ends_with(b"\r") {
                self.0.pop();
            }
        }
    }
}

fn read_stream(stream: impl Read, path: &Path) -> Result<SecretBytes, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = stream.take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::file("read", path, &error))?;
    if bytes.len() > VALUE_BYTES_MAX {
        let detail =
            format!("{} holds more than the {VALUE_BYTES_MAX} bytes a value may have", path.display());
        return Err(Failure::new("value_too_large", detail));
    }
    Ok(SecretBytes(bytes))
}

/// An empty pipe, or Enter and nothing else, is more often a mistake than a value.
fn not_empty(value: SecretBytes, otherwise: &str) -> Result<SecretBytes, Failure> {
    if value.0.is_empty() {
        return Err(Failure::usage(format!("{otherwise}; for an empty value say --value-file /dev/null")));
    }
    Ok(value)
}

fn ask_twice() -> Result<SecretBytes, Failure> {
    let terminal = Terminal::open()?;
    let ask =
        |question| terminal.ask(question).map(|text| SecretBytes(Zeroizing::new(text.as_bytes().to_vec())));
    let first = not_empty(ask("Value: ")?, "nothing was typed")?;
    if first.0 != ask("Again: ")?.0 {
        return Err(Failure::new("values_differ", "the two values are not the same; nothing was sent"));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn from_file(bytes: &[u8], trim: bool) -> Result<SecretBytes, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        std::fs::write(&path, bytes).unwrap();
        ValueArgs { value_file: Some(path), trim }.read()
    }

    #[test]
    fn a_file_is_taken_byte_for_byte() {
        for bytes in [&b"s3cret\n"[..], b"", b"\r\n", b"\0\xff", "grün".as_bytes()] {
            assert_eq!(from_file(bytes, false).ok().unwrap().bytes(), bytes);
        }
    }

    #[test]
    fn trim_takes_one_line_break_and_nothing_else() {
        let cases: [(&[u8], &[u8]); 5] =
            [(b"a\n", b"a"), (b"a\r\n", b"a"), (b"a\n\n", b"a\n"), (b"a ", b"a "), (b"a\r", b"a\r")];
        for (bytes, expected) in cases {
            assert_eq!(from_file(bytes, true).ok().unwrap().bytes(), expected);
        }
    }

    #[test]
    fn a_value_over_the_limit_is_refused_before_it_is_sent() {
        assert!(from_file(&vec![b'a'; VALUE_BYTES_MAX], false).is_ok());
        assert!(from_file(&vec![b'a'; VALUE_BYTES_MAX + 1], false).is_err());
        assert!(read_stream(io::repeat(0), Path::new("endless")).is_err());
    }

    #[test]
    fn an_empty_pipe_that_nobody_named_is_refused() {
        assert!(not_empty(SecretBytes(Zeroizing::new(Vec::new())), "stdin is empty").is_err());
        assert!(not_empty(SecretBytes(Zeroizing::new(vec![0])), "stdin is empty").is_ok());
    }

    #[test]
    fn text_travels_as_text_and_bytes_as_base64() {
        for (bytes, member) in [(&b"text\n"[..], "value"), (b"\xff\0", "value_base64")] {
            let mut body = json!({});
            SecretBytes(Zeroizing::new(bytes.to_vec())).put_into(&mut body);
            assert!(body[member].is_string());
            assert_eq!(SecretBytes::from_answer(&body).ok().unwrap().bytes(), bytes);
        }
        assert!(SecretBytes::from_answer(&json!({"value": null})).is_err());
        assert!(SecretBytes::from_answer(&json!({"value_base64": "?"})).is_err());
    }
}
