//! What may be a name and what may not. Shows N1, for names that are parsed and for names that are
//! decoded. Knows nothing of who owns a name.

#![allow(clippy::unwrap_used)]

use covault_model::{
    DecodeError, decode, encode,
    limits::{
        CALLER_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, DESCRIPTION_BYTES_MAX, LABEL_KEY_BYTES_MAX,
        LABEL_VALUE_BYTES_MAX, MASTER_KEY_NAME_BYTES_MAX, NAME_BYTES_MAX,
    },
    name::{
        CallerName, ContentType, Description, LabelKey, LabelValue, MasterKeyName, NameError, NamePrefix,
        SecretName,
    },
};
use proptest::prelude::{any, proptest};

/// N1 in other words than `name.rs` has it.
fn is_name(text: &str) -> bool {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(|c| letters.contains(c));
    text.len() <= 256 && text.split('/').all(segment)
}

fn check_secret(text: &str, expected: Result<(), NameError>) {
    assert_eq!(SecretName::parse(text).map(|_| ()), expected, "{text:?}");
    assert_eq!(is_name(text), expected.is_ok(), "the test's own rule, of {text:?}");
}

#[test]
fn segments_of_the_alphabet_are_secret_names() {
    for text in ["a", "A-z_0.9", "a/b/c", "...", ".a", "a.", "..a/b..", "-", "_/_", "0"] {
        check_secret(text, Ok(()));
    }
    check_secret(&"n".repeat(NAME_BYTES_MAX), Ok(()));
}

#[test]
fn anything_else_is_refused_by_the_rule_it_breaks() {
    check_secret("", Err(NameError::Empty));
    check_secret(&"n".repeat(NAME_BYTES_MAX + 1), Err(NameError::TooLong(NAME_BYTES_MAX)));
    for text in ["/", "/a", "a/", "a//b", ".", "..", "a/.", "a/../b", "./a"] {
        check_secret(text, Err(NameError::Segment));
    }
    for (text, at) in [(" a", 0), ("a b", 1), ("a\0", 1), ("a\\b", 1), ("é", 0), ("ab%2f", 2), ("a\n", 1)] {
        check_secret(text, Err(NameError::Alphabet(at)));
    }
    // Two characters that look like a slash and a dot.
    check_secret("a\u{2215}b", Err(NameError::Alphabet(1)));
    check_secret("\u{2024}", Err(NameError::Alphabet(0)));
}

#[test]
fn a_caller_has_one_segment_and_64_bytes() {
    assert_eq!(CallerName::parse(&"c".repeat(CALLER_BYTES_MAX)).map(|_| ()), Ok(()));
    let too_long = CallerName::parse(&"c".repeat(CALLER_BYTES_MAX + 1));
    assert_eq!(too_long, Err(NameError::TooLong(CALLER_BYTES_MAX)));
    assert_eq!(CallerName::parse("a/b"), Err(NameError::Alphabet(1)));
    assert_eq!(CallerName::parse(""), Err(NameError::Empty));
    assert_eq!(CallerName::parse("."), Err(NameError::Segment));
    assert_eq!(CallerName::parse(".."), Err(NameError::Segment));
}

#[test]
fn a_prefix_covers_the_names_that_begin_with_it() {
    let covers = |prefix: &str, name: &str| {
        NamePrefix::parse(prefix).unwrap().covers(&SecretName::parse(name).unwrap())
    };
    assert!(covers("", "anything"));
    assert!(covers("app/", "app/db"));
    assert!(covers("app", "app2"), "a prefix is of characters, not of segments");
    assert!(covers("app/db", "app/db"));
    assert!(!covers("app/", "app"));
    assert!(!covers("app/db", "app/d"));
    assert!(!covers("App", "app"));
    assert_eq!(NamePrefix::parse("a b"), Err(NameError::Alphabet(1)));
    assert_eq!(NamePrefix::parse(&"p".repeat(NAME_BYTES_MAX + 1)), Err(NameError::TooLong(NAME_BYTES_MAX)));
}

#[test]
fn label_keys_and_master_key_names_keep_to_their_alphabets() {
    assert!(LabelKey::parse("team/db.owner_1-a").is_ok());
    assert_eq!(LabelKey::parse(""), Err(NameError::Empty));
    assert_eq!(LabelKey::parse("a:b"), Err(NameError::Alphabet(1)));
    let key_too_long = LabelKey::parse(&"k".repeat(LABEL_KEY_BYTES_MAX + 1));
    assert_eq!(key_too_long, Err(NameError::TooLong(LABEL_KEY_BYTES_MAX)));

    assert!(MasterKeyName::parse("2026-11.main").is_ok());
    assert_eq!(MasterKeyName::parse("a/b"), Err(NameError::Alphabet(1)));
    let name_too_long = MasterKeyName::parse(&"k".repeat(MASTER_KEY_NAME_BYTES_MAX + 1));
    assert_eq!(name_too_long, Err(NameError::TooLong(MASTER_KEY_NAME_BYTES_MAX)));
}

#[test]
fn plain_texts_have_no_control_characters_but_a_description_has_lines() {
    assert!(LabelValue::parse("").is_ok());
    assert!(LabelValue::parse("Grüße, 世界").is_ok());
    assert_eq!(LabelValue::parse("a\nb"), Err(NameError::Alphabet(1)));
    assert_eq!(LabelValue::parse("a\tb"), Err(NameError::Alphabet(1)));
    assert_eq!(LabelValue::parse("é\u{7f}"), Err(NameError::Alphabet(2)));
    let value_too_long = LabelValue::parse(&"v".repeat(LABEL_VALUE_BYTES_MAX + 1));
    assert_eq!(value_too_long, Err(NameError::TooLong(LABEL_VALUE_BYTES_MAX)));

    assert!(Description::parse("one\n\ttwo").is_ok());
    assert_eq!(Description::parse("a\rb"), Err(NameError::Alphabet(1)));
    assert_eq!(Description::parse("\u{1b}[31m"), Err(NameError::Alphabet(0)));
    let text_too_long = Description::parse(&"d".repeat(DESCRIPTION_BYTES_MAX + 1));
    assert_eq!(text_too_long, Err(NameError::TooLong(DESCRIPTION_BYTES_MAX)));
}

#[test]
fn a_content_type_is_printable_ascii() {
    assert!(ContentType::parse("text/plain; charset=utf-8").is_ok());
    assert_eq!(ContentType::parse(""), Err(NameError::Empty));
    assert_eq!(ContentType::parse("a\r\nX: y"), Err(NameError::Alphabet(1)));
    assert_eq!(ContentType::parse("é"), Err(NameError::Alphabet(0)));
    let too_long = ContentType::parse(&"t".repeat(CONTENT_TYPE_BYTES_MAX + 1));
    assert_eq!(too_long, Err(NameError::TooLong(CONTENT_TYPE_BYTES_MAX)));
}

#[test]
fn what_is_wrong_is_said_without_repeating_the_text() {
    let secret_text = "hunter2 is no name";
    let error = SecretName::parse(secret_text).unwrap_err();
    assert_eq!(error.to_string(), "has a character that is not allowed at byte 7");
    assert!(!format!("{error:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn any_text_is_a_name_exactly_if_the_rule_says_so(text in any::<String>()) {
        assert_eq!(SecretName::parse(&text).is_ok(), is_name(&text), "{text:?}");
    }

    #[test]
    fn texts_near_names_are_names_exactly_if_the_rule_says_so(text in "[a.é/ ]{0,8}") {
        assert_eq!(SecretName::parse(&text).is_ok(), is_name(&text), "{text:?}");
        let decoded = decode::<SecretName>(&encode(&text));
        if is_name(&text) {
            assert_eq!(decoded.unwrap().as_str(), text);
        } else {
            assert_eq!(decoded, Err(DecodeError::Malformed), "decoding is no way around the rule: {text:?}");
        }
    }
}
