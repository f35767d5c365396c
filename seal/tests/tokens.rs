//! T1: tokens are functions of scope, field and canonical value under the master key, and open only in their
//! scope. The vectors of `docs/tokens.md` stand here.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use covault_model::{
    canonical::Scalar,
    epoch::Epoch,
    field::{FieldRule, Format, OpaqueToken},
    id::{ClusterId, hex},
    issue::{Mapping, Scope},
    name::{CallerName, FieldPointer, FieldType, MasterKeyName},
};
use covault_seal::{EpochKey, Keyring, Misfit, Plaintext};

const ONES: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWOS: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn key_of(cluster: u8, owner: &str, epoch: u32, master: &str) -> EpochKey {
    let text = format!("active = \"main\"\n[keys]\nmain = \"{master}\"\n");
    let ring = Keyring::parse(text.as_bytes(), "a test").unwrap();
    let scope = Scope { owner: CallerName::parse(owner).unwrap(), epoch: Epoch(epoch) };
    ring.epoch_key(&MasterKeyName::parse("main").unwrap(), ClusterId([cluster; 16]), &scope).unwrap()
}

fn key() -> EpochKey {
    key_of(0xc1, "ann", 1, ONES)
}

fn field(kind: &str, format: Format) -> FieldRule {
    let pointer = FieldPointer::parse("/x").unwrap();
    FieldRule { pointer, format, kind: FieldType::parse(kind).unwrap() }
}

fn value(value: Scalar<'_>) -> Plaintext {
    Plaintext::new(value.canonical().unwrap().to_vec())
}

fn text_of(key: &EpochKey, kind: &str, format: Format, of: Scalar<'_>) -> String {
    key.token(&field(kind, format), &value(of)).unwrap().text
}

#[test]
fn tokens_are_computed_as_ever() {
    let opaque = |of| text_of(&key(), "email", Format::Opaque, of);
    assert_eq!(opaque(Scalar::Text("ann@example.org")), "tok_1_aa5141d97444842ec597d5cf90b43b38");
    assert_eq!(opaque(Scalar::Number("1.50")), "tok_1_afac38ea95d34222881e7adf64d9a789");
    assert_eq!(opaque(Scalar::Bool(true)), "tok_1_c94ad57bf376a19822b74aa8715d2e15");
    assert_eq!(opaque(Scalar::Null), "tok_1_49915ffd5f48f1c64731c247b5a7d05c");
    let card = |format, of| text_of(&key(), "card", format, Scalar::Text(of));
    assert_eq!(card(Format::Digits, "4111111111111111"), "9101495684022953");
    assert_eq!(card(Format::DigitsLast4, "4111111111111111"), "2596385129851111");
    assert_eq!(card(Format::Alphanumeric, "AB12cd34"), "R33ZxUok");
    let token =
        key().token(&field("email", Format::Opaque), &value(Scalar::Text("ann@example.org"))).unwrap();
    assert_eq!(hex(&token.mapping.1), "0e43b9738e13e19d7e8365d08064ab182b394f96a177bfcd454bdd16c1a34678");
}

#[test]
fn another_owner_epoch_key_cluster_type_or_value_gives_another_token() {
    let ann = Scalar::Text("ann@example.org");
    let all = [
        text_of(&key(), "email", Format::Opaque, ann),
        text_of(&key_of(0xc2, "ann", 1, ONES), "email", Format::Opaque, ann),
        text_of(&key_of(0xc1, "bob", 1, ONES), "email", Format::Opaque, ann),
        text_of(&key_of(0xc1, "ann", 2, ONES), "email", Format::Opaque, ann),
        text_of(&key_of(0xc1, "ann", 1, TWOS), "email", Format::Opaque, ann),
        text_of(&key(), "mail", Format::Opaque, ann),
        text_of(&key(), "email", Format::Opaque, Scalar::Text("ann@example.com")),
        text_of(&key(), "email", Format::Opaque, Scalar::Number("1")),
        text_of(&key(), "email", Format::Opaque, Scalar::Text("1")),
    ];
    let mappings: BTreeSet<_> = all.iter().map(|text| OpaqueToken::parse(text).unwrap().mapping).collect();
    assert_eq!(mappings.len(), all.len());
}

#[test]
fn a_value_comes_back_in_its_scope_and_nowhere_else() {
    let field = field("email", Format::Opaque);
    let token = key().token(&field, &value(Scalar::Text("ann@example.org"))).unwrap();
    let opened =
        key().open(&token.mapping.0, &token.mapping.1).map(|value| value.expose_plaintext().to_vec());
    assert_eq!(opened.unwrap(), b"\x03ann@example.org");
    let others = [
        key_of(0xc2, "ann", 1, ONES),
        key_of(0xc1, "bob", 1, ONES),
        key_of(0xc1, "ann", 2, ONES),
        key_of(0xc1, "ann", 1, TWOS),
    ];
    assert!(others.iter().all(|other| other.open(&token.mapping.0, &token.mapping.1).is_err()));
    let Mapping(id, sealed) = token.mapping;
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert!(key().open(&id, &altered).is_err(), "byte {at}");
    }
    assert!(key().open(&id, &[]).is_err());
}

#[test]
fn a_form_is_kept_and_its_values_do_not_collide() {
    let mut tokens = BTreeSet::new();
    for number in 0..2000 {
        let value = format!("{:012}4321", number);
        let token = text_of(&key(), "card", Format::DigitsLast4, Scalar::Text(&value));
        assert!(token.len() == 16 && token.ends_with("4321") && token.bytes().all(|b| b.is_ascii_digit()));
        tokens.insert(token);
    }
    assert_eq!(tokens.len(), 2000);
    let of = |kind: &str, text: &str| text_of(&key(), kind, Format::DigitsLast4, Scalar::Text(text));
    assert_ne!(of("card", "4111111111111111"), of("iban", "4111111111111111"));
    assert_ne!(
        of("card", "4111111111111111")[..12],
        of("card", "4111111111112222")[..12],
        "the end is a tweak"
    );
}

#[test]
fn what_has_not_the_form_is_a_misfit() {
    let token = |format, of| key().token(&field("card", format), &value(of)).map(|token| token.text);
    for misfit in [
        Scalar::Text("12345"),
        Scalar::Text("4111-1111-1111"),
        Scalar::Number("123456"),
        Scalar::Null,
        Scalar::Text(""),
    ] {
        assert_eq!(token(Format::Digits, misfit), Err(Misfit));
    }
    assert_eq!(token(Format::DigitsLast4, Scalar::Text("123456789")), Err(Misfit));
}
