//! Shows T1 to T5: canonical values, the form of tokens, epochs, and issues that count.

#![allow(clippy::unwrap_used)]

use covault_model::{
    canonical::{Scalar, Unfit},
    epoch::{Epoch, Epochs, Turn},
    field::{Format, OpaqueToken},
    hlc::{Hlc, Millis},
    id::{CommandId, MappingId},
    issue::{Issue, IssueHeader, Mapping, Scope},
    key::NodeKey,
    limits::{FORM_CHARS_MAX, ISSUE_MAPPINGS_MAX, TOKEN_VALUE_BYTES_MAX},
    name::{CallerName, FieldPointer, MasterKeyName},
    refusal::{CallerMistake, Refusal},
};
use proptest::prelude::*;

fn caller(name: &str) -> CallerName {
    CallerName::parse(name).unwrap()
}

fn node(number: u8) -> NodeKey {
    NodeKey::from_seed(&[number; 32])
}

fn number(text: &str) -> String {
    let form = Scalar::Number(text).canonical().unwrap();
    assert_eq!(form[0], 2);
    String::from_utf8(form[1..].to_vec()).unwrap()
}

#[test]
fn a_number_has_one_form_however_it_is_written() {
    for (form, others) in [
        ("0", ["0", "-0", "0.000", "0e99", "-0.0e-7"].as_slice()),
        ("1", &["1", "1.0", "10e-1", "0.1e1", "1E+0", "100e-2"]),
        ("-1.5", &["-1.5", "-15e-1", "-0.15e1", "-1.50"]),
        ("100", &["100", "1e2", "1.00e+2"]),
        ("0.000001", &["0.000001", "1e-6", "10e-7"]),
        ("1e-7", &["0.0000001", "1e-7", "0.1e-6"]),
        ("123456789012345678901", &["123456789012345678901", "1.23456789012345678901e20"]),
        ("1.23456789012345678901e+400", &["1.23456789012345678901e400", "12345678901234567890.1e381"]),
        ("1e+21", &["1000000000000000000000", "1e21"]),
        ("100000000000000000000", &["1e20"]),
        ("12.5", &["12.5", "125e-1"]),
    ] {
        for other in others {
            assert_eq!(number(other), form, "{other}");
        }
    }
}

#[test]
fn values_of_different_kinds_have_different_forms() {
    let all = [
        Scalar::Null,
        Scalar::Bool(true),
        Scalar::Bool(false),
        Scalar::Number("1"),
        Scalar::Text("1"),
        Scalar::Text("true"),
        Scalar::Text("null"),
        Scalar::Text(""),
        Scalar::Text("e\u{301}"),
        Scalar::Text("é"),
    ];
    let mut forms: Vec<_> = all.iter().map(|value| value.canonical().unwrap().to_vec()).collect();
    for (form, value) in forms.iter().zip(all) {
        assert!(Scalar::read(form) == Some(value), "{form:?}");
    }
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), all.len());
}

#[test]
fn what_has_no_form_is_refused() {
    let long = "1".repeat(TOKEN_VALUE_BYTES_MAX + 1);
    for text in [&long, "1e1000000001", "1e99999999999999999999", "", ".5", "abc", "1e", "0x1", "--1", "1 "] {
        assert!(Scalar::Number(text).canonical().is_err(), "{text}");
    }
    assert_eq!(Scalar::Text(&long).canonical().unwrap_err(), Unfit::TooLarge);
    for form in [&b""[..], b"\x00x", b"\x01yes", b"\x021.0", b"\x02", b"\x04a", b"\x03\xff"] {
        assert!(Scalar::read(form).is_none(), "{form:?}");
    }
}

#[test]
fn the_bound_of_an_exponent_is_that_of_its_form() {
    assert_eq!(number("0.1e1000000001"), "1e+1000000000");
    assert_eq!(number("10e-1000000001"), "1e-1000000000");
    for text in ["10e1000000000", "0.1e-1000000000", "12.5e1000000000", "1e9223372036854775807"] {
        assert_eq!(Scalar::Number(text).canonical().unwrap_err(), Unfit::NotANumber, "{text}");
    }
    assert_eq!(number("0e9223372036854775807"), "0");
}

proptest! {
    #[test]
    fn a_number_that_has_a_form_is_read_back(
        whole in "[0-9]{1,12}", part in "(\\.[0-9]{1,12})?", sign in "-?", power in "(1000000|999999)[0-9]{3}",
    ) {
        if let Ok(form) = Scalar::Number(&format!("{whole}{part}e{sign}{power}")).canonical() {
            prop_assert!(Scalar::read(&form).is_some());
        }
    }

    #[test]
    fn the_form_of_a_number_is_its_own_form(
        sign in "-?", whole in "0|[1-9][0-9]{0,30}", part in "(\\.[0-9]{1,30})?", power in "([eE][+-]?[0-9]{1,3})?",
    ) {
        let form = number(&format!("{sign}{whole}{part}{power}"));
        prop_assert_eq!(number(&form), form.clone());
        prop_assert!(Scalar::read(&[&[2], form.as_bytes()].concat()).is_some());
    }

    #[test]
    fn the_form_of_a_number_is_the_number(text in "-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?") {
        let (value, form): (f64, f64) = (text.parse().unwrap(), number(&text).parse().unwrap());
        prop_assert_eq!(value, form);
    }

    #[test]
    fn nothing_decoded_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Scalar::read(&bytes);
        let _ = Issue::from_untrusted_bytes(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = OpaqueToken::parse(&text);
        let _ = Scalar::Number(&text).canonical();
        let _ = FieldPointer::parse(&text);
        for format in Format::ALL {
            let _ = format.split(&text);
        }
    }
}

#[test]
fn a_token_says_its_epoch_and_anything_else_is_none() {
    let token = OpaqueToken { epoch: Epoch(12), mapping: MappingId([0xab; 16]) };
    let text = token.text();
    assert_eq!(text, format!("tok_12_{}", "ab".repeat(16)));
    assert_eq!(OpaqueToken::parse(&text), Some(token));
    for at in 0..text.len() {
        let shorter = [&text[..at], &text[at + 1..]].concat();
        assert!(OpaqueToken::parse(&shorter).is_none_or(|other| other != token), "without the byte at {at}");
    }
    for other in ["tok_0_", "tok_012_", "tok_+12_", "tok_4294967296_", "tok__", "cvt_12_", " tok_12_"] {
        assert_eq!(OpaqueToken::parse(&format!("{other}{}", "ab".repeat(16))), None, "{other}");
    }
    assert_eq!(OpaqueToken::parse(&text.to_uppercase()), None);
}

#[test]
fn a_form_has_a_million_values_or_is_refused() {
    let fits = |format: Format, text: &str| format.split(text).is_some();
    assert!(fits(Format::Digits, "123456") && !fits(Format::Digits, "12345"));
    assert!(fits(Format::DigitsLast4, "1234567890") && !fits(Format::DigitsLast4, "123456789"));
    assert!(fits(Format::Alphanumeric, "aB3d") && !fits(Format::Alphanumeric, "aB3"));
    assert!(fits(Format::AlphanumericLast4, "aB3dEFGH") && !fits(Format::AlphanumericLast4, "aB3dEFG"));
    assert_eq!(Format::DigitsLast4.split("4111111111111111"), Some(("411111111111", "1111")));
    for format in Format::ALL {
        assert!(
            !fits(format, "")
                && !fits(format, "4111-1111-1111-1111")
                && !fits(format, "é".repeat(9).as_str())
        );
        assert!(!fits(format, &"1".repeat(FORM_CHARS_MAX + 1)));
        assert_eq!(Format::parse(format.as_str()), Some(format));
    }
}

#[test]
fn a_pointer_is_one_of_rfc_6901() {
    let segments =
        |text: &str| FieldPointer::parse(text).map(|pointer| pointer.segments().collect::<Vec<_>>());
    assert_eq!(segments("").unwrap(), Vec::<String>::new());
    assert_eq!(segments("/a/*/b~1c~0d").unwrap(), ["a", "*", "b/c~d"]);
    assert_eq!(segments("/~01").unwrap(), ["~1"]);
    assert_eq!(segments("/").unwrap(), [""]);
    for bad in ["a", "/~", "/~2", "/a~", "/\u{0}", &"/a".repeat(129)] {
        assert!(segments(bad).is_err(), "{bad}");
    }
}

fn turn(id: u8, at: u64) -> Turn {
    Turn { id: CommandId([id; 16]), at: Millis(at) }
}

fn conflict<T>() -> Result<T, Refusal> {
    Err(CallerMistake::EpochConflict.into())
}

#[test]
fn one_epoch_is_active_and_the_next_one_comes_after_it() {
    let key = MasterKeyName::parse("main").unwrap();
    let first = Epochs::first(key.clone(), Millis(10));
    assert_eq!(first.active(), Epoch(1));
    for wrong in [0, 1, 3, u32::MAX] {
        assert_eq!(first.activate(Epoch(wrong), &key, turn(1, 20)), conflict(), "{wrong}");
    }
    let second = first.activate(Epoch(2), &key, turn(1, 20)).unwrap().unwrap();
    assert_eq!(second.active(), Epoch(2));
    assert_eq!(second.activate(Epoch(2), &key, turn(1, 20)), Ok(None), "the same command again");
    assert_eq!(second.activate(Epoch(2), &key, turn(2, 20)), conflict(), "another one came first");
    let earlier = second.activate(Epoch(3), &key, turn(3, 5)).unwrap().unwrap();
    assert_eq!(earlier.get(Epoch(3)).unwrap().since, Millis(20), "times never go back");
}

#[test]
fn a_destroyed_epoch_stays_so_and_the_active_one_cannot_be() {
    let key = MasterKeyName::parse("main").unwrap();
    let both = Epochs::first(key.clone(), Millis(10)).activate(Epoch(2), &key, turn(1, 20)).unwrap().unwrap();
    assert_eq!(both.destroy(Epoch(2), Millis(30)), conflict());
    assert_eq!(both.destroy(Epoch(3), Millis(30)), Err(CallerMistake::NotFound.into()));
    assert_eq!(both.destroy(Epoch(0), Millis(30)), Err(CallerMistake::NotFound.into()));
    let gone = both.destroy(Epoch(1), Millis(30)).unwrap().unwrap();
    assert!(both.holds(Epoch(1)) && !gone.holds(Epoch(1)) && gone.holds(Epoch(2)) && !gone.holds(Epoch(3)));
    assert_eq!(gone.destroy(Epoch(1), Millis(40)), Ok(None));
    assert_eq!(gone.activate(Epoch(1), &key, turn(2, 40)), conflict());
}

fn header(mappings: Vec<Mapping>) -> IssueHeader {
    IssueHeader {
        scope: Scope { owner: caller("ann"), epoch: Epoch(1) },
        time: Hlc(7),
        author: node(1).node_id(),
        idempotency: None,
        mappings,
    }
}

fn mapping(id: u8, len: usize) -> Mapping {
    Mapping(MappingId([id; 16]), vec![id; len])
}

#[test]
fn an_issue_with_a_byte_altered_does_not_count() {
    let bytes = Issue::sign(header(vec![mapping(1, 20), mapping(2, 20)]), &node(1)).to_bytes();
    assert!(Issue::from_untrusted_bytes(&bytes).is_ok());
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(Issue::from_untrusted_bytes(&other).is_err(), "byte {at}");
    }
    assert!(Issue::from_untrusted_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
    assert!(Issue::from_untrusted_bytes(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn an_issue_beyond_its_bounds_is_refused() {
    let signed = |header: IssueHeader| std::panic::catch_unwind(|| Issue::sign(header, &node(1))).is_ok();
    let many = |count: usize| {
        let id = |at: usize| MappingId((at as u128).to_be_bytes());
        (0..count).map(|at| Mapping(id(at), vec![0; 17])).collect::<Vec<_>>()
    };
    assert!(signed(header(many(ISSUE_MAPPINGS_MAX))));
    for wrong in [
        vec![],
        vec![mapping(2, 20), mapping(1, 20)],
        vec![mapping(1, 20), mapping(1, 20)],
        vec![mapping(1, 16)],
        vec![mapping(1, TOKEN_VALUE_BYTES_MAX + 18)],
        many(ISSUE_MAPPINGS_MAX + 1),
    ] {
        assert!(!signed(header(wrong)));
    }
    let zeroth = IssueHeader { scope: Scope { owner: caller("ann"), epoch: Epoch(0) }, ..header(many(1)) };
    assert!(!signed(zeroth));
}

#[test]
fn of_two_mappings_for_one_token_every_node_keeps_the_same_one() {
    let (a, b) = (b"sealed a".as_slice(), b"sealed b".as_slice());
    assert_eq!(Mapping::holding(a, b), Mapping::holding(b, a));
    assert_eq!(Mapping::holding(a, a), a);
}
