//! JSON documents as they came: fields are found by pointers, and what stands there is replaced; every other
//! byte stays as it is, so that numbers, order and spaces are the client's own.
//! Knows nothing of tokens' forms or keys.

use std::{borrow::Cow, fmt, ops::Range};

use covault_model::{
    canonical::{Scalar, Unfit},
    field::{FieldRule, Format},
};
use covault_seal::Plaintext;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The text of a document that was read as JSON, without a name twice in any of its objects.
#[derive(Clone, Copy)]
pub struct Document<'t>(&'t RawValue);

/// A field that was found.
pub struct Found<'r> {
    /// The rule that it was found by.
    pub rule: &'r FieldRule,
    /// Where it is, as a pointer without `*`.
    pub pointer: String,
    /// Where it stands in the text.
    pub at: Range<usize>,
    /// The canonical form of what stands there.
    pub value: Plaintext,
}

/// A field that should hold a token.
pub struct Shown<'r, 't> {
    /// The rule that it was found by.
    pub rule: &'r FieldRule,
    /// Where it stands in the text.
    pub at: Range<usize>,
    /// The text there; absent when it is none, and so no token.
    pub text: Option<Cow<'t, str>>,
}

/// What is to stand at a place of the text, in JSON.
pub struct Part {
    /// The place.
    pub at: Range<usize>,
    /// What is to stand there.
    pub json: String,
}

/// A field that is not there, or not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Where, as far as the document goes.
    pub pointer: String,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is none.
    Missing,
    /// It is an object or a list.
    NotScalar,
    /// It has not the form that its tokens keep, or one of too few values.
    Form,
    /// It has no canonical form.
    Unfit(Unfit),
    /// Two of the fields are this one.
    Twice,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not there"),
            Self::NotScalar => f.write_str("is an object or a list"),
            Self::Form => f.write_str("is no text of the format, or one of fewer than 1,000,000"),
            Self::Unfit(why) => why.fmt(f),
            Self::Twice => f.write_str("is named by two fields"),
        }
    }
}

impl<'t> Document<'t> {
    /// The document of this text.
    pub fn new(text: &'t RawValue) -> Self {
        Self(text)
    }

    /// All fields of the rules, in the order of the text.
    pub fn fields<'r>(&self, rules: &'r [FieldRule]) -> Result<Vec<Found<'r>>, FieldFault> {
        let mut found = Vec::new();
        for (rule, pointer, raw) in self.places(rules)? {
            let fault = |why| FieldFault { pointer: pointer.clone(), why };
            let value = canonical(raw, rule.format).map_err(fault)?;
            found.push(Found { rule, at: self.range_of(raw), pointer, value });
        }
        Ok(found)
    }

    /// What stands in the fields of the rules where tokens should, in the order of the text.
    pub fn shown<'r>(&self, rules: &'r [FieldRule]) -> Result<Vec<Shown<'r, 't>>, FieldFault> {
        let places = self.places(rules)?.into_iter();
        let shown = places.map(|(rule, _, raw)| Shown {
            rule,
            at: self.range_of(raw),
            text: serde_json::from_str(raw.get()).ok(),
        });
        Ok(shown.collect())
    }

    /// The text with these parts in their places, which rise and do not overlap.
    pub fn with(&self, parts: impl IntoIterator<Item = Part>) -> String {
        let text = self.0.get();
        let mut written = String::with_capacity(text.len() + text.len() / 2);
        let mut done = 0;
        for part in parts {
            written.push_str(&text[done..part.at.start]);
            written.push_str(&part.json);
            done = part.at.end;
        }
        written.push_str(&text[done..]);
        written
    }

    fn places<'r>(
        &self,
        rules: &'r [FieldRule],
    ) -> Result<Vec<(&'r FieldRule, String, &'t RawValue)>, FieldFault> {
        let mut places = Vec::new();
        for rule in rules {
            let segments: Vec<String> = rule.pointer.segments().collect();
            let (mut found, mut fault) = (Vec::new(), None);
            let follow =
                Follow { segments: &segments, pointer: String::new(), found: &mut found, fault: &mut fault };
            let followed = follow.deserialize(&mut serde_json::Deserializer::from_str(self.0.get()));
            if followed.is_err() {
                let missing = || FieldFault { pointer: rule.pointer.to_string(), why: Why::Missing };
                return Err(fault.unwrap_or_else(missing));
            }
            places.extend(found.into_iter().map(|(pointer, raw)| (rule, pointer, raw)));
        }
        places.sort_by_key(|(_, _, raw)| self.range_of(raw).start);
        let twice = places.windows(2).find(|pair| std::ptr::eq(pair[0].2.get(), pair[1].2.get()));
        match twice {
            None => Ok(places),
            Some(pair) => Err(FieldFault { pointer: pair[1].1.clone(), why: Why::Twice }),
        }
    }

    /// Where a part of this text stands in it.
    fn range_of(&self, part: &RawValue) -> Range<usize> {
        let start = part.get().as_ptr() as usize - self.0.get().as_ptr() as usize;
        start..start + part.get().len()
    }
}

/// Follows the segments of a pointer; `*` leads into each element of a list. It goes once through the text, however deep
/// the pointer leads.
struct Follow<'f, 't> {
    segments: &'f [String],
    /// The way so far.
    pointer: String,
    found: &'f mut Vec<(String, &'t RawValue)>,
    /// What is wrong if the text ends here, or cannot be followed.
    fault: &'f mut Option<FieldFault>,
}

impl<'t> Follow<'_, 't> {
    /// One step further, to what is called `name` here.
    fn below(&mut self, name: &str) -> Follow<'_, 't> {
        let pointer = format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"));
        Follow { segments: &self.segments[1..], pointer, found: self.found, fault: self.fault }
    }

    fn miss(&mut self) {
        let segment = self.segments[0].clone();
        let pointer = self.below(&segment).pointer;
        *self.fault = Some(FieldFault { pointer, why: Why::Missing });
    }
}

impl<'t> DeserializeSeed<'t> for Follow<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(mut self, from: D) -> Result<(), D::Error> {
        if self.segments.is_empty() {
            let raw = <&RawValue>::deserialize(from)?;
            self.found.push((self.pointer, raw));
            return Ok(());
        }
        // So it is unless there is a list or an object.
        self.miss();
        from.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Follow<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let segment = self.segments[0].clone();
        if segment == "*" {
            *self.fault = None;
            let mut at = 0;
            while elements.next_element_seed(self.below(&at.to_string()))?.is_some() {
                at += 1;
            }
            return Ok(());
        }
        let place = place_in_list(&segment).ok_or_else(missing)?;
        for _ in 0..place {
            elements.next_element::<IgnoredAny>()?.ok_or_else(missing)?;
        }
        elements.next_element_seed(self.below(&segment))?.ok_or_else(missing)?;
        *self.fault = None;
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut members: A) -> Result<(), A::Error> {
        let segment = self.segments[0].clone();
        let mut followed = false;
        while let Some(Name(name)) = members.next_key()? {
            if !followed && name == segment {
                members.next_value_seed(self.below(&segment))?;
                followed = true;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        if !followed {
            return Err(missing());
        }
        *self.fault = None;
        Ok(())
    }
}

/// Ends the way where there is nothing; what is missing was noted.
fn missing<E: Error>() -> E {
    E::custom("there is no such field")
}

/// A place in a list, as RFC 6901 writes it.
fn place_in_list(segment: &str) -> Option<usize> {
    let plain = segment == "0" || (!segment.starts_with('0') && segment.bytes().all(|b| b.is_ascii_digit()));
    segment.parse().ok().filter(|_| plain)
}

/// A member's name, copied only if it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The canonical form of a value that tokens of this format may stand for.
fn canonical(raw: &RawValue, format: Format) -> Result<Plaintext, Why> {
    let json = raw.get();
    let text: Cow<'_, str>;
    let scalar = match json.as_bytes().first() {
        Some(b'{' | b'[') => return Err(Why::NotScalar),
        Some(b'n') => Scalar::Null,
        Some(b't') => Scalar::Bool(true),
        Some(b'f') => Scalar::Bool(false),
        Some(b'"') => {
            text = text_of(json).ok_or(Why::NotScalar)?;
            Scalar::Text(&text)
        }
        _ => Scalar::Number(json),
    };
    if format != Format::Opaque && !matches!(scalar, Scalar::Text(text) if format.split(text).is_some()) {
        return Err(Why::Form);
    }
    scalar.canonical().map(|mut form| Plaintext::new(std::mem::take(&mut *form))).map_err(Why::Unfit)
}

/// The characters of a JSON text.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(inner.into()) }
}
