//! Every text that a user may give: names, labels, ids, tokens. Keeps N1: what parses reads the same
//! when it is decoded, and nothing panics. Knows nothing of HTTP.

#![no_main]

use std::fmt::Debug;

use covault_model::{
    decode, encode,
    id::{RecordId, TokenId},
    limits::NAME_BYTES_MAX,
    name::{
        CallerName, ContentType, Description, LabelKey, LabelValue, MasterKeyName, NameError, NamePrefix,
        SecretName,
    },
    token::read_token,
};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;

/// A text is decoded exactly if it is parsed, and stays itself.
fn check<T>(text: &str, parsed: Result<T, NameError>)
where
    T: DeserializeOwned + Into<String> + PartialEq + Debug,
{
    let decoded = decode::<T>(&encode(&text));
    assert_eq!(decoded.as_ref().ok(), parsed.as_ref().ok());
    if let Ok(parsed) = parsed {
        assert_eq!(parsed.into(), text);
    }
}

fuzz_target!(|text: &str| {
    check(text, SecretName::parse(text));
    check(text, CallerName::parse(text));
    check(text, NamePrefix::parse(text));
    check(text, LabelKey::parse(text));
    check(text, LabelValue::parse(text));
    check(text, Description::parse(text));
    check(text, ContentType::parse(text));
    check(text, MasterKeyName::parse(text));
    if let Ok(name) = SecretName::parse(text) {
        assert!(name.len() <= NAME_BYTES_MAX && name.is_ascii() && !name.contains("//"));
        assert!(NamePrefix::parse(text).is_ok_and(|prefix| prefix.covers(&name)));
    }
    if let Ok(id) = RecordId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = TokenId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    assert!(read_token(text).is_none_or(|token| text.starts_with(&format!("cvt_{}_", token.id))));
});
