//! Some keys of a JSON object: `secret(NAME#KEY)`. Only what is asked for is kept of the object.
//! Knows nothing of references.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::mistake::Reason;

/// What an object has under those keys that it has.
type Found<'k> = BTreeMap<&'k str, Result<Zeroizing<String>, Reason>>;

/// What the object has under these keys: a text as it is, a whole number or truth value as JSON writes it. Of a key
/// that comes twice, the last.
pub(super) fn pick<'k>(object: &str, keys: &BTreeSet<&'k str>) -> Result<Found<'k>, Reason> {
    let mut reader = serde_json::Deserializer::from_str(object);
    let found = Picking(keys).deserialize(&mut reader).and_then(|found| reader.end().map(|()| found));
    found.map_err(|_| Reason::NotJson)
}

struct Picking<'a, 'k>(&'a BTreeSet<&'k str>);

impl<'de, 'k> DeserializeSeed<'de> for Picking<'_, 'k> {
    type Value = Found<'k>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, 'k> Visitor<'de> for Picking<'_, 'k> {
    type Value = Found<'k>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::new();
        while let Some(key) = entries.next_key::<String>()? {
            match self.0.get(key.as_str()) {
                Some(key) => {
                    drop(found.insert(key, text_of(entries.next_value()?).map_err(A::Error::custom)?));
                }
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// A JSON value as text, from the bytes that it is written with: a number of any length keeps all its digits.
fn text_of(json: &RawValue) -> Result<Result<Zeroizing<String>, Reason>, serde_json::Error> {
    let json = json.get();
    let digits = json.strip_prefix('-').unwrap_or(json);
    if json.starts_with('"') {
        return Ok(Ok(Zeroizing::new(serde_json::from_str(json)?)));
    }
    // A number with a fraction or an exponent may be written in many ways, and no reader is told which is meant.
    let is_kept = ["true", "false"].contains(&json) || digits.bytes().all(|byte| byte.is_ascii_digit());
    Ok(if is_kept { Ok(Zeroizing::new(json.to_owned())) } else { Err(Reason::KeyNotText) })
}
