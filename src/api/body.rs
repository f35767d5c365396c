//! Strict JSON bodies. Every fault names the field, and the place for broken JSON; none quotes a value.
//! serde_json's own messages do quote, so they are never shown: the tree read here has no types that
//! could mismatch, and all checks on it are ours. Text is wiped when it is dropped (S1).
//! Knows nothing of which bodies there are.

use std::{cell::RefCell, fmt, fmt::Display};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::problem::{Code, Problem};

/// Most values one body may hold, lists and objects included.
pub const VALUES_MAX: usize = 10_000;
/// Longest field name that is repeated to the client, in bytes.
const SHOWN_BYTES_MAX: usize = 64;

/// A JSON value. It has no `Debug`, since it may be a secret.
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number; absent when it is not a whole one from 0 to 2^64 - 1.
    Number(Option<u64>),
    /// A text, wiped on drop.
    Text(Zeroizing<String>),
    /// A list.
    List(Vec<Json>),
    /// An object; no name comes twice.
    Object(Vec<(String, Json)>),
}

/// Reads a whole body as one JSON value.
pub fn parse(bytes: &[u8]) -> Result<Json, Problem> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(&bytes[..error.valid_up_to()]);
        at(Problem::new(Code::InvalidUtf8, "JSON is UTF-8 text; a byte here is not."), line, column)
    })?;
    read(text).or_else(|problem| {
        // The reader refuses numbers that no double holds; here they are as good as any that is not whole.
        let plain = with_plain_numbers(text);
        if *plain == text { Err(problem) } else { read(&plain) }
    })
}

fn read(text: &str) -> Result<Json, Problem> {
    let state = RefCell::new(State { path: Vec::new(), fault: None, left: VALUES_MAX });
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Reading(&state).deserialize(&mut reader).and_then(|json| reader.end().map(|()| json));
    read.map_err(|error| match state.into_inner().fault {
        Some(problem) => problem,
        None => at(Problem::new(Code::InvalidJson, "It cannot be read here."), error.line(), error.column()),
    })
}

/// The text with `-1` in place of every number that may be beyond a double, at the same place and as long.
fn with_plain_numbers(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let len = match letter {
            '"' => text_len(rest),
            '-' | '0'..='9' => rest.find(|c: char| !is_of_number(c)).unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        if is_number(token) && may_be_too_large(token) {
            plain.push_str(&format!("{:<len$}", "-1"));
        } else {
            plain.push_str(token);
        }
        rest = after;
    }
    plain
}

fn is_of_number(letter: char) -> bool {
    letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.' | 'e' | 'E')
}

/// Whether this is a number of JSON, of whatever size.
fn is_number(token: &str) -> bool {
    token.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(token).is_ok()
}

/// Whether a number has an exponent, or more digits than the largest double.
fn may_be_too_large(number: &str) -> bool {
    const DIGITS_OF_LARGEST: usize = 308;
    number.contains(['e', 'E']) || DIGITS_OF_LARGEST < number.len()
}

/// Bytes of the JSON text that this begins with, or of all if it does not end.
fn text_len(from: &str) -> usize {
    let mut escaped = false;
    let end = from.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(from.len(), |(at, _)| at + 1)
}

fn at(problem: Problem, line: usize, column: usize) -> Problem {
    problem.with("line", line).with("column", column)
}

/// Line and column, both from 1, of what follows `before`.
fn place(before: &[u8]) -> (usize, usize) {
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    (line, column)
}

/// A field name as it may be shown: a name that looks like one as it is, anything else as `?`.
pub fn shown(name: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'[' | b']');
    if !name.is_empty() && name.len() <= SHOWN_BYTES_MAX && name.bytes().all(plain) { name } else { "?" }
}

struct State {
    /// The names of the objects' fields that are being read.
    path: Vec<String>,
    /// What was found that JSON itself allows.
    fault: Option<Problem>,
    /// Values that may still come.
    left: usize,
}

/// Reads one value into a tree. Duplicate names are a fault at every depth.
#[derive(Clone, Copy)]
struct Reading<'a>(&'a RefCell<State>);

impl Reading<'_> {
    fn fault<E: Error>(self, problem: Problem) -> E {
        self.0.borrow_mut().fault = Some(problem);
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json, D::Error> {
        let left = self.0.borrow().left;
        let Some(left) = left.checked_sub(1) else {
            let detail = format!("It holds more than {VALUES_MAX} values.");
            return Err(self.fault(Problem::new(Code::InvalidJson, detail)));
        };
        self.0.borrow_mut().left = left;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(Some(number)))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number(None))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut fields: Vec<(String, Json)> = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            self.0.borrow_mut().path.push(shown(&name).to_owned());
            if fields.iter().any(|(known, _)| *known == name) {
                let path = self.0.borrow().path.join(".");
                let problem = Problem::new(Code::DuplicateField, "Each field may come once.");
                return Err(self.fault(problem.with_field(path)));
            }
            let value = entries.next_value_seed(self)?;
            self.0.borrow_mut().path.pop();
            fields.push((name, value));
        }
        Ok(Json::Object(fields))
    }
}

/// The fields of one object that were not taken yet.
pub struct Fields {
    path: String,
    fields: Vec<(String, Json)>,
}

impl Fields {
    /// Reads a body that must be an object. No bytes at all are no body.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Err(Problem::new(Code::MissingBody, "Send a JSON object."));
        }
        match parse(bytes)? {
            Json::Object(fields) => Ok(Self { path: String::new(), fields }),
            _ => Err(at(Problem::new(Code::InvalidJson, "The body must be a JSON object."), 1, 1)),
        }
    }

    /// Reads a body that may be left out: no bytes at all are an object without fields.
    pub fn parse_optional(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.is_empty() {
            Ok(Self { path: String::new(), fields: Vec::new() })
        } else {
            Self::parse(bytes)
        }
    }

    /// Takes a field out that may be missing; `null` counts as missing.
    pub fn optional(&mut self, name: &str) -> Option<Field> {
        self.nullable(name).filter(|field| !matches!(field.value, Json::Null))
    }

    /// Takes a field out that may be missing, and whose `null` means something.
    pub fn nullable(&mut self, name: &str) -> Option<Field> {
        let at = self.fields.iter().position(|(known, _)| known == name)?;
        Some(self.named(at))
    }

    /// Takes a field out that must be there.
    pub fn required(&mut self, name: &str) -> Result<Field, Problem> {
        self.nullable(name).ok_or_else(|| self.missing(name))
    }

    /// The problem that `name` is not there.
    pub fn missing(&self, name: &str) -> Problem {
        Problem::new(Code::MissingField, format!("The field {name} is required."))
            .with_field(joined(&self.path, name))
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Refuses whatever was not taken.
    pub fn end(self) -> Result<(), Problem> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) => {
                let detail = "Unknown fields are refused, so that a misspelt one is not lost.";
                Err(Problem::new(Code::UnknownField, detail).with_field(joined(&self.path, shown(name))))
            }
        }
    }

    fn named(&mut self, at: usize) -> Field {
        let (name, value) = self.fields.remove(at);
        Field { path: joined(&self.path, shown(&name)), name, value }
    }
}

/// The fields in the order of the body, for objects whose names are free.
impl Iterator for Fields {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        (!self.fields.is_empty()).then(|| self.named(0))
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// One field of a body, with the path that problems name it by.
pub struct Field {
    path: String,
    name: String,
    value: Json,
}

impl Field {
    /// Its own name, as sent.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn json(&self) -> &Json {
        &self.value
    }

    /// The problem that its value is not valid: `why` ends a sentence and must not quote it.
    pub fn invalid(&self, why: impl Display) -> Problem {
        invalid_at(&self.path, why)
    }

    /// Its text.
    pub fn text(self) -> Result<Zeroizing<String>, Problem> {
        match self.value {
            Json::Text(text) => Ok(text),
            _ => Err(self.invalid("must be a text")),
        }
    }

    /// Its text, read by `parse`, whose errors must not quote it.
    pub fn parsed<T, E: Display>(self, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, Problem> {
        match &self.value {
            Json::Text(text) => parse(text).map_err(|why| self.invalid(why)),
            _ => Err(self.invalid("must be a text")),
        }
    }

    /// Its text, read by `parse`; `None` when it is `null`.
    pub fn parsed_or_null<T, E: Display>(
        self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        match self.value {
            Json::Null => Ok(None),
            _ => self.parsed(parse).map(Some),
        }
    }

    /// Its items, at most `max` and at least one, each named by its place.
    pub fn items(self, max: usize) -> Result<Vec<Field>, Problem> {
        self.list(1, max)
    }

    /// Its items, at most `max`, each named by its place.
    pub fn items_or_none(self, max: usize) -> Result<Vec<Field>, Problem> {
        self.list(0, max)
    }

    fn list(self, min: usize, max: usize) -> Result<Vec<Field>, Problem> {
        match self.value {
            Json::List(ref items) if items.len() < min || max < items.len() => {
                Err(self.invalid(format!("must have {min} to {max} items")))
            }
            Json::List(items) => Ok(items
                .into_iter()
                .enumerate()
                .map(|(at, value)| Field {
                    path: format!("{}[{at}]", self.path),
                    name: at.to_string(),
                    value,
                })
                .collect()),
            _ => Err(self.invalid("must be a list")),
        }
    }

    /// Its fields, at most `max`.
    pub fn fields(self, max: usize) -> Result<Fields, Problem> {
        match self.value {
            Json::Object(fields) if max < fields.len() => {
                Err(invalid_at(&self.path, format!("must have at most {max} fields")))
            }
            Json::Object(fields) => Ok(Fields { path: self.path, fields }),
            _ => Err(self.invalid("must be an object")),
        }
    }
}

fn invalid_at(path: &str, why: impl Display) -> Problem {
    Problem::new(Code::InvalidField, format!("The field {path} {why}.")).with_field(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refused(body: &[u8], code: Code) -> serde_json::Value {
        let problem = Fields::parse(body).map(|_| ()).unwrap_err();
        assert_eq!(problem.code(), code);
        let text = String::from_utf8(problem.into_answer().body().to_vec()).unwrap();
        assert!(!text.contains("hunter2"), "a problem quotes a value");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn broken_json_is_refused_with_its_place() {
        let problem = refused(b"{\n  \"value\": \"hunter2\",\n}", Code::InvalidJson);
        assert_eq!((&problem["line"], &problem["column"]), (&3.into(), &1.into()));
        for body in
            [&b"{"[..], b"hunter2", b"{\"a\":\"hunter2", b"{} {}", b"{\"a\":\"\\ud800\"}", b"[]", b"1"]
        {
            refused(body, Code::InvalidJson);
        }
        refused(b"", Code::MissingBody);
    }

    #[test]
    fn numbers_that_no_double_holds_are_numbers() {
        let long = "7".repeat(400);
        for number in ["1e400", "-1E+999", "12.5e1000", &long] {
            let body = format!("{{\"text\": \"1e400 \\\" é\", \"n\": [{number}], \"count\": 3}}");
            let mut fields = Fields::parse(body.as_bytes()).unwrap();
            let count = fields.optional("count").unwrap();
            assert!(matches!(count.json(), Json::Number(Some(3))), "{number}");
            assert_eq!(fields.optional("text").unwrap().text().unwrap().as_str(), "1e400 \" é");
            let lists = fields.optional("n").unwrap().items(9).unwrap();
            assert!(matches!(lists[0].json(), Json::Number(None)), "{number}");
        }
        for body in
            [&b"{\"a\": 1e400, \"b\": 1e}"[..], b"{\"a\": 01e400}", b"{\"a\": \"1e400}", b"{\"a\":1e400 x}"]
        {
            refused(body, Code::InvalidJson);
        }
        let problem = refused(b"{\"a\": 1e400,\n \"b\": hunter2}", Code::InvalidJson);
        assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &7.into()));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_place() {
        let problem = refused(b"{\"value\":\n\"hunter2\xff\"}", Code::InvalidUtf8);
        assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &9.into()));
    }

    #[test]
    fn a_duplicate_is_refused_at_every_depth() {
        assert_eq!(refused(b"{\"a\":\"hunter2\",\"a\":1}", Code::DuplicateField)["field"], "a");
        let nested = b"{\"labels\":{\"team\":\"hunter2\",\"team\":\"b\"}}";
        assert_eq!(refused(nested, Code::DuplicateField)["field"], "labels.team");
    }

    #[test]
    fn deep_and_wide_bodies_are_refused() {
        refused(format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes(), Code::InvalidJson);
        refused(format!("{{\"a\":[0{}]}}", ",0".repeat(VALUES_MAX)).as_bytes(), Code::InvalidJson);
    }

    #[test]
    fn a_field_that_was_not_taken_is_unknown() {
        let mut fields = Fields::parse(b"{\"name\":\"a\",\"vaule\":\"hunter2\"}").unwrap();
        assert_eq!(fields.required("name").unwrap().text().unwrap().as_str(), "a");
        assert_eq!(fields.required("value").map(|_| ()).unwrap_err().code(), Code::MissingField);
        assert_eq!(fields.end().unwrap_err().code(), Code::UnknownField);
    }

    #[test]
    fn a_field_name_is_shown_only_if_it_looks_like_one() {
        assert_eq!(shown("labels.team"), "labels.team");
        assert_eq!(shown("two words"), "?");
        assert_eq!(shown(&"a".repeat(65)), "?");
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        let mut fields = Fields::parse(b"{\"versions\":[1,\"x\"],\"labels\":{\"a\":2}}").unwrap();
        let items = fields.required("versions").unwrap().items(2).unwrap();
        let wrong = items.into_iter().map(|item| item.text().map(|_| ()).unwrap_err()).next().unwrap();
        assert_eq!(wrong.code(), Code::InvalidField);
        let label = fields.required("labels").unwrap().fields(1).unwrap().next().unwrap();
        let body = label.text().map(|_| ()).unwrap_err().into_answer().body().to_vec();
        assert!(String::from_utf8(body).unwrap().contains("\"field\":\"labels.a\""));
    }
}
