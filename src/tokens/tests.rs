//! Documents: what is replaced, that everything else keeps its bytes, and what is refused by name.

#![allow(clippy::unwrap_used)]

use covault_model::{
    epoch::Epoch,
    field::{FieldRule, Format, OpaqueToken},
    id::{ClusterId, MappingId},
    issue::Scope,
    name::{CallerName, FieldPointer, FieldType, MasterKeyName},
};
use covault_seal::{EpochKey, Keyring};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{Document, Part, Sought, Why, json_of, propose};

fn rule(pointer: &str, format: Format) -> FieldRule {
    FieldRule {
        pointer: FieldPointer::parse(pointer).unwrap(),
        format,
        kind: FieldType::parse("kind").unwrap(),
    }
}

fn key() -> EpochKey {
    let ring = Keyring::generate(&mut |bytes| bytes.fill(7));
    let name = MasterKeyName::parse("mk-0707070707070707").unwrap();
    let scope = Scope { owner: CallerName::parse("ann").unwrap(), epoch: Epoch(3) };
    ring.epoch_key(&name, ClusterId::default(), &scope).unwrap()
}

/// The document with `#` in place of every field, and the fields' pointers.
fn marked(text: &str, rules: &[&str]) -> Result<(String, Vec<String>), (String, Why)> {
    let raw = RawValue::from_string(text.to_owned()).unwrap();
    let rules: Vec<FieldRule> = rules.iter().map(|pointer| rule(pointer, Format::Opaque)).collect();
    let document = Document::new(&raw);
    let found = document.fields(&rules).map_err(|fault| (fault.pointer, fault.why))?;
    let pointers = found.iter().map(|field| field.pointer.clone()).collect();
    Ok((document.with(found.into_iter().map(|field| Part { at: field.at, json: "#".into() })), pointers))
}

#[test]
fn fields_are_replaced_and_every_other_byte_stays() {
    let text = r#"{ "a" : 1.10 ,"list":[ {"b":"x","c":1e400},{"c":2,"b" : "y\n"} ],"big":12345678901234567890123,"é/~":null }"#;
    let (written, pointers) = marked(text, &["/list/*/b", "/a"]).unwrap();
    let expected = r##"{ "a" : # ,"list":[ {"b":#,"c":1e400},{"c":2,"b" : #} ],"big":12345678901234567890123,"é/~":null }"##;
    assert_eq!(written, expected);
    assert_eq!(pointers, ["/a", "/list/0/b", "/list/1/b"]);
    assert_eq!(marked(text, &["/é~1~0"]).unwrap().1, ["/é~1~0"]);
    assert_eq!(marked("\"whole\"", &[""]).unwrap().0, "#");
    assert_eq!(marked("[[1,2],[3]]", &["/*/*"]).unwrap().0, "[[#,#],[#]]");
    assert_eq!(marked("[[1,2],[3]]", &["/0/1"]).unwrap().0, "[[1,#],[3]]");
    assert_eq!(marked(r#"{"*":1,"\u0061":2}"#, &["/*", "/a"]).unwrap().0, r##"{"*":#,"\u0061":#}"##);
    assert_eq!(marked("[]", &["/*/a"]).unwrap().0, "[]", "each of none");
}

#[test]
fn many_fields_are_found_however_deep_they_stand() {
    const DEEP: usize = 110;
    let large = "x".repeat(100_000);
    let innermost = (0..64).map(|field| format!("{field}")).collect::<Vec<_>>().join(",");
    let text = format!("{}\"{large}\",{innermost}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let pointers: Vec<String> = (1..=64).map(|field| format!("{}/{field}", "/0".repeat(DEEP - 1))).collect();
    let (written, found) = marked(&text, &pointers.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_eq!(found, pointers);
    assert!(written.contains("x\",#,#") && written.contains("#,#]]"));
}

#[test]
fn what_is_not_there_is_refused_by_its_pointer() {
    let text = r#"{"a":{"b":1},"list":[{"c":1},{}]}"#;
    for (pointer, named, why) in [
        ("/x", "/x", Why::Missing),
        ("/a/b/c", "/a/b/c", Why::Missing),
        ("/list/*/c", "/list/1/c", Why::Missing),
        ("/list/2", "/list/2", Why::Missing),
        ("/list/01", "/list/01", Why::Missing),
        ("/list/-", "/list/-", Why::Missing),
        ("/a", "/a", Why::NotScalar),
        ("/list", "/list", Why::NotScalar),
        ("", "", Why::NotScalar),
    ] {
        assert_eq!(marked(text, &[pointer]), Err((named.into(), why)), "{pointer}");
    }
    assert_eq!(marked(text, &["/list/*", "/list/0"]).unwrap_err().1, Why::Twice);
}

#[test]
fn a_form_is_asked_of_texts_only() {
    let why = |text: &str| {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        Document::new(&raw).fields(&[rule("", Format::Digits)]).map(|_| ()).map_err(|fault| fault.why)
    };
    assert_eq!(why("\"123456\""), Ok(()));
    assert_eq!(why("\"1\\u003234\\u003567\""), Ok(()), "escapes are characters");
    for other in ["123456", "\"12345\"", "\"12 3456\"", "null"] {
        assert_eq!(why(other), Err(Why::Form), "{other}");
    }
}

#[test]
fn equal_values_have_one_mapping_and_come_back_in_canonical_form() {
    let raw = RawValue::from_string(r#"["a\u0062",1.50,15e-1,true,null,"ab"]"#.into()).unwrap();
    let rules = [rule("/*", Format::Opaque)];
    let found = Document::new(&raw).fields(&rules).unwrap();
    let proposal = propose(&key(), &found).unwrap();
    assert_eq!((proposal.placed.len(), proposal.mappings.len()), (6, 4));
    assert!(proposal.mappings.is_sorted_by_key(|mapping| mapping.0));
    let back: Vec<String> = proposal
        .placed
        .iter()
        .map(|placed| {
            let token = OpaqueToken::parse(&placed.token).unwrap();
            let mapping = proposal.mappings.iter().find(|mapping| mapping.0 == token.mapping).unwrap();
            json_of(&key().open(&mapping.0, &mapping.1).unwrap()).unwrap()
        })
        .collect();
    assert_eq!(back, ["\"ab\"", "1.5", "1.5", "true", "null", "\"ab\""]);
}

#[test]
fn a_token_asks_for_its_epoch_or_for_any() {
    let token = OpaqueToken { epoch: Epoch(3), mapping: MappingId([1; 16]) };
    let opaque = rule("/x", Format::Opaque);
    assert_eq!(Sought::of(&token.text(), &opaque, None), Sought::InEpoch(Epoch(3), token.mapping));
    assert_eq!(Sought::of(&token.text(), &opaque, Some(Epoch(2))), Sought::Nothing);
    assert_eq!(Sought::of("tok_3", &opaque, None), Sought::Nothing);
    let digits = rule("/x", Format::Digits);
    assert!(matches!(Sought::of("123456", &digits, None), Sought::InAny(_)));
    assert!(matches!(Sought::of("123456", &digits, Some(Epoch(1))), Sought::InEpoch(Epoch(1), _)));
    assert_eq!(Sought::of("12345", &digits, None), Sought::Nothing);
}

proptest! {
    #[test]
    fn a_document_with_its_own_fields_put_back_is_itself(value in arbitrary_json(3)) {
        let text = value.to_string();
        let raw = RawValue::from_string(text.clone()).unwrap();
        let document = Document::new(&raw);
        for pointer in ["", "/a", "/*", "/a/b", "/*/a", "/a/*", "/0"] {
            if let Ok(found) = document.fields(&[rule(pointer, Format::Opaque)]) {
                let parts = found.into_iter().map(|field| Part { json: text[field.at.clone()].into(), at: field.at });
                prop_assert_eq!(document.with(parts), text.clone());
            }
        }
    }
}

fn arbitrary_json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[ab*]|é|\"", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
