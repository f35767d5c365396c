//! Some keys of a JSON object: `secret(NAME#KEY)`. Only what is asked for is kept of the object.
//! Knows nothing of references.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
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
                Some(key) => drop(found.insert(key, entries.next_value::<Scalar>()?.text())),
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// A JSON value that reads as text, or one that does not.
enum Scalar {
    Text(Zeroizing<String>),
    Other,
}

impl Scalar {
    fn text(self) -> Result<Zeroizing<String>, Reason> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Other => Err(Reason::KeyNotText),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Scalar, E> {
        Ok(Scalar::Text(Zeroizing::new(truth.to_string())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Text(Zeroizing::new(number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Text(Zeroizing::new(number.to_string())))
    }

    /// A number with a fraction may be written in many ways, and which one it was is not known here.
    fn visit_f64<E: Error>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scalar, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}
