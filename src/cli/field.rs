//! A field of a document as the command line names it, and the document itself.
//! Knows nothing of what is done with it.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use covault_model::{field::Format, name::FieldPointer};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use zeroize::Zeroizing;

use super::failure::Failure;

/// Largest document that is read, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// A field: where it is, and what its tokens look like, and what it holds, if that is said.
#[derive(Clone)]
pub struct FieldArg(Value);

impl FieldArg {
    /// Reads `POINTER`, `POINTER,FORMAT` or `POINTER,FORMAT,TYPE`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ',');
        let pointer = parts.next().unwrap_or_default();
        FieldPointer::parse(pointer).map_err(|why| format!("the pointer {why}"))?;
        let Some(format) = parts.next() else { return Ok(Self(json!(pointer))) };
        if Format::parse(format).is_none() {
            return Err(format!("the format must be one of {}", Format::ALL.map(Format::as_str).join(", ")));
        }
        Ok(Self(json!({ "pointer": pointer, "format": format, "type": parts.next() })))
    }

    /// The field as requests name it.
    pub fn to_json(&self) -> Value {
        self.0.clone()
    }

    /// The field with its format, which is opaque unless it was said.
    pub fn to_rule(&self) -> Value {
        match &self.0 {
            Value::String(pointer) => json!({ "pointer": pointer, "format": Format::Opaque.as_str() }),
            rule => rule.clone(),
        }
    }
}

/// A document, and which of its fields are meant.
#[derive(Args)]
pub struct DocumentArgs {
    /// The document, in JSON; stdin when it is not named, or `-`.
    document: Option<PathBuf>,
    /// A field: POINTER, POINTER,FORMAT or POINTER,FORMAT,TYPE; may be repeated. By default those that are
    /// configured (`covault fields`).
    #[arg(long = "field", value_name = "FIELD", value_parser = FieldArg::parse)]
    fields: Vec<FieldArg>,
}

impl DocumentArgs {
    /// The body of a request about the document, every byte of which is kept, and these other members.
    ///
    /// # Errors
    /// When the document cannot be read.
    pub fn body(&self, others: &[(&str, Value)]) -> Result<Zeroizing<String>, Failure> {
        let document = self.read()?;
        let mut body = Zeroizing::new(String::with_capacity(document.len() + 256));
        body.push_str("{\"document\":");
        body.push_str(&document);
        let fields: Vec<Value> = self.fields.iter().map(FieldArg::to_json).collect();
        let fields = (!fields.is_empty()).then_some(("fields", Value::from(fields)));
        for (name, value) in fields.iter().chain(others) {
            body.push_str(&format!(",\"{name}\":{value}"));
        }
        body.push('}');
        Ok(body)
    }

    fn read(&self) -> Result<Zeroizing<String>, Failure> {
        let read = |stream: &mut dyn Read, path: &Path| {
            let mut text = Zeroizing::new(String::new());
            let read = stream.take(DOCUMENT_BYTES_MAX).read_to_string(&mut text);
            read.map(|_| text).map_err(|error| Failure::file("read", path, &error))
        };
        match &self.document {
            Some(path) if path != Path::new("-") => {
                let mut file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
                read(&mut file, path)
            }
            _ => read(&mut io::stdin().lock(), Path::new("stdin")),
        }
    }
}

/// The document in an answer, every byte of it.
///
/// # Errors
/// When there is none.
pub fn document_of(answer: &str) -> Result<&str, Failure> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        document: &'a RawValue,
    }
    let answer: Result<Answer<'_>, _> = serde_json::from_str(answer);
    answer.map(|answer| answer.document.get()).map_err(|_| Failure::unexpected("the answer has no document"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_pointer_and_perhaps_more() {
        let read = |text: &str| FieldArg::parse(text).map(|field| field.to_json());
        assert_eq!(read("/a/*/b"), Ok(json!("/a/*/b")));
        assert_eq!(read("/a,digits"), Ok(json!({"pointer": "/a", "format": "digits", "type": null})));
        assert_eq!(read("/a,digits,x,y"), Ok(json!({"pointer": "/a", "format": "digits", "type": "x,y"})));
        assert!(read("a").is_err() && read("/a,round").is_err());
    }

    #[test]
    fn a_document_keeps_its_bytes() {
        assert_eq!(document_of("{\"epoch\":1,\"document\": { \"a\":1.10 }}").ok(), Some("{ \"a\":1.10 }"));
        assert!(document_of("{}").is_err());
    }
}
