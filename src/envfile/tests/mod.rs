//! What files come to, and what is refused. `readers` compares with another reader, `laws` draws files.

#![allow(clippy::unwrap_used)]

mod laws;
mod readers;

use covault_model::name::SecretName;
use zeroize::Zeroizing;

use super::*;

pub fn file(text: &str) -> EnvFile {
    EnvFile::parse(Zeroizing::new(text.to_owned())).unwrap_or_else(|mistake| panic!("{mistake:?}: {text}"))
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn values(all: &[(&str, &str)]) -> Values {
    all.iter().map(|(key, value)| (name(key), Zeroizing::new((*value).to_owned()))).collect()
}

/// What a file comes to, given the values of secrets by their names.
pub fn expand<'f>(
    file: &'f EnvFile,
    format: Format,
    value: impl Fn(&'f str) -> Result<&'f [u8], Reason>,
) -> Result<Zeroizing<String>, Refused> {
    let picked = Picked::of(file.references(), |reference| value(reference.name.as_str()));
    file.expand(format, &picked)
}

/// The same if every secret has its own name as its value, but for `none`, `json` and some more.
fn expanded(text: &str, format: Format) -> Result<String, Refused> {
    let value = |name| match name {
        "none" => Err(Reason::NotFound),
        "json" => Ok(br#"{"user":"u\u00e9","port":5432,"tls":true,"ratio":1.5,"list":[1]}"#.as_slice()),
        "empty" => Ok(b"".as_slice()),
        "numbers" => {
            Ok(br#"{"id": 123456789012345678901 ,"low":-9223372036854775809,"zero":-0,"big":1e3}"#.as_slice())
        }
        "quotes" => Ok(br#"'""#.as_slice()),
        "bytes" => Ok(b"\xff".as_slice()),
        own => Ok(str::as_bytes(own)),
    };
    expand(&file(text), format, value).map(|text| text.to_string())
}

fn check_expand(text: &str, wanted: &str) {
    assert_eq!(expanded(text, Format::Dotenv).as_deref(), Ok(wanted), "{text}");
}

fn check_mistake(text: &str, line: usize, column: usize) {
    match EnvFile::parse(Zeroizing::new(text.to_owned())) {
        Ok(_) => panic!("{text:?} is taken"),
        Err(mistake) => assert_eq!((mistake.at.line, mistake.at.column), (line, column), "{text:?}"),
    }
}

fn check_unresolved(outcome: Result<String, Refused>, wanted: &[(usize, usize, &str, &str)]) {
    let Err(Refused::Unresolved(found)) = outcome else { panic!("{outcome:?}") };
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.at.line, one.at.column, one.name.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    check_mistake("A=1\nB\n", 2, 2);
    check_mistake("A=1\n = 2\n", 2, 2);
    check_mistake("A='never\nclosed\n", 1, 3);
    check_mistake("A=\"x\" y\n", 1, 7);
    check_mistake("# é\nÀ=1\n", 2, 1);
    check_mistake("A=1\r\nB=\"é\"x", 2, 6);
    check_mistake("A=1\r\r\n\rB=2\n", 2, 1);
    check_mistake("A=a\0b", 1, 4);
    check_mistake("A=é secret(a b)", 1, 5);
    check_mistake("A=secret(a", 1, 3);
    check_mistake("A=secret(a\n)", 1, 3);
    check_mistake("A=secret(a@0)", 1, 3);
    check_mistake("A=secret(a@x)", 1, 3);
    check_mistake("A=secret(a#)", 1, 3);
    check_mistake("A=enc(a=x\n)", 1, 3);
    check_mistake("A=enc(a=x\\)", 1, 3);
    check_mistake("A=enc()", 1, 3);
}

#[test]
fn only_what_a_reference_stands_in_is_written_anew() {
    check_expand("", "");
    check_expand(
        "\u{feff}# secret(x)\r\n\r\n  export A = 'x' # it's\r\nB=secret(b)",
        "\u{feff}# secret(x)\r\n\r\n  export A = 'x' # it's\r\nB=b",
    );
    check_expand("A=\"a $B \\t\"\nB=secret(b) # secret(c)\n", "A=\"a $B \\t\"\nB=b # secret(c)\n");
    check_expand("U=postgres://app:secret(db/pw)@h:secret(json#port)/d", "U=postgres://app:db/pw@h:5432/d");
    check_expand("A=secret(json#user)secret(json#tls)", "A='uétrue'");
    check_expand("A=\"secret(a) b\"\nB='secret(a)'\nC=`secret(a)`\n", "A=\"a b\"\nB='a'\nC='a'\n");
    check_expand("A=\"x\ny secret(a)\"\n", "A=\"x\ny a\"\n");
    check_expand("A=\"say 'hi' secret(a)\"", "A=\"say 'hi' a\"");
    check_expand("A='secret\\(a) enc\\(b)'\nB=\"secret\\(a)\"", "A='secret(a) enc(b)'\nB=\"secret(a)\"");
    check_expand("A=secret(a@3)secret(a@2)", "A=aa");
    check_expand("A=a # secret(b)\nB= # x\nC=\n", "A=a # secret(b)\nB= # x\nC=\n");
    check_expand(
        "A=exec('op read \"x\"') secret(a)".replace("secret(a)", "").trim_end(),
        "A=exec('op read \"x\"')",
    );
}

#[test]
fn an_empty_secret_before_a_comment_is_quoted() {
    check_expand("A=secret(empty) # c\nB=secret(empty)\t# c", "A='' # c\nB=''\t# c");
    check_expand("A=secret(empty)\nB=\"secret(empty)\" # c", "A=\nB=\"\" # c");
    check_expand("A=xsecret(empty) # c", "A=x # c");
}

#[test]
fn a_whole_number_is_taken_as_it_is_written_however_long() {
    check_expand("A=secret(numbers#id)", "A=123456789012345678901");
    check_expand("A=secret(numbers#low)/secret(numbers#zero)", "A=-9223372036854775809/-0");
    check_unresolved(expanded("A=secret(numbers#big)", Format::Dotenv), &[(1, 3, "numbers", "key_not_text")]);
}

#[test]
fn a_carriage_return_at_the_end_is_no_end_of_a_line() {
    assert_eq!(file("A=x\r").text(), "A=x\r");
    let refused = expanded("A=secret(a)x\r", Format::Dotenv);
    assert!(
        matches!(refused, Err(Refused::Mistake(mistake)) if mistake.at == Position { line: 1, column: 13 })
    );
}

#[test]
fn every_reference_that_cannot_be_replaced_is_told() {
    let text = "A=secret(none)\nB=\"x secret(a)secret(none@2)\"\nC=secret(json)secret(json#no) # secret(none)\n\
                D=secret(json#ratio)secret(json#list)\nE=secret(bytes)\nF=secret(a#k)\nG=enc(a=b)\n";
    check_unresolved(
        expanded(text, Format::Dotenv),
        &[
            (1, 3, "none", "not_found"),
            (2, 15, "none", "not_found"),
            (3, 15, "json", "no_key"),
            (4, 3, "json", "key_not_text"),
            (4, 21, "json", "key_not_text"),
            (5, 3, "bytes", "not_text"),
            (6, 3, "a", "not_json"),
            (7, 3, "a", "not_encrypted"),
        ],
    );
}

#[test]
fn a_value_is_read_once_whatever_number_of_references_lead_into_it() {
    let text = "A=secret(json#a)secret(json#b)secret(json)\nB=secret(json#a)secret(json@2#a)secret(json#none)\n\
                C=secret(other#a)secret(json#list)\n";
    let asked = std::cell::RefCell::new(Vec::new());
    let file = file(text);
    let value = |reference: &Reference| {
        asked.borrow_mut().push((reference.name.to_string(), reference.version));
        Ok(br#"{"a":1,"list":[],"b":"x","a":"2"}"#.as_slice())
    };
    let picked = Picked::of(file.references(), value);
    let json = ("json".to_owned(), None);
    let pinned = ("json".to_owned(), Some(Pin::Number(2)));
    assert_eq!(asked.into_inner(), [json, pinned, ("other".to_owned(), None)]);
    let found: Vec<_> = file.references().map(|one| picked.get(one).unwrap()).collect();
    let whole = r#"{"a":1,"list":[],"b":"x","a":"2"}"#;
    let wanted =
        [Ok("2"), Ok("x"), Ok(whole), Ok("2"), Ok("2"), Err(Reason::NoKey), Ok("2"), Err(Reason::KeyNotText)];
    assert_eq!(found, wanted, "of a key that comes twice, the last");
    let missing = file.missing(&picked);
    let places: Vec<_> = missing.iter().map(|one| (one.at.line, one.at.column)).collect();
    assert_eq!(places, [(2, 33), (3, 18)]);
}

#[test]
fn a_value_that_not_all_readers_carry_is_told() {
    check_unresolved(expanded("A=secret(quotes)", Format::Dotenv), &[(1, 3, "quotes", "not_portable")]);
    assert_eq!(expanded("A=secret(quotes)", Format::Json).as_deref(), Ok("{\n  \"A\": \"'\\\"\"\n}\n"));
    assert_eq!(expanded("A=secret(quotes)", Format::Shell).as_deref(), Ok("export A=''\\''\"'\n"));
    check_unresolved(expanded("A=\"x\\nsecret(a)\"", Format::Docker), &[(1, 7, "a", "not_portable")]);
}

#[test]
fn what_readers_differ_in_is_a_mistake_only_where_it_is_needed() {
    let mistake = |text: &str| match expanded(text, Format::Dotenv) {
        Err(Refused::Mistake(mistake)) => (mistake.at.line, mistake.at.column),
        other => panic!("{text}: {other:?}"),
    };
    for (differs, column) in [
        ("a$b", 4),
        ("a#b", 4),
        ("it's", 5),
        ("a\\nb", 4),
        ("a\\", 4),
        ("\"a$b\"", 5),
        ("\"a\\tb\"", 5),
        ("'a\\\\b'", 5),
        ("'${a}'", 4),
        ("\"a\rb\"", 5),
    ] {
        let plain = format!("A={differs}\nB=secret(b)\n");
        let end = if differs.ends_with(['"', '\'']) && differs.len() > 4 {
            differs.len() - 1
        } else {
            differs.len()
        };
        check_expand(&plain, &format!("A={differs}\nB=b\n"));
        let with = format!("A={}secret(a){}\n", &differs[..end], &differs[end..]);
        assert_eq!(mistake(&with), (1, column), "{with}");
        assert!(expanded(&plain, Format::Json).is_err());
    }
    check_expand("A=two words secret(a)", "A='two words a'");
    check_expand("A='$1 \\n secret(a)'", "A='$1 \\n a'");
    check_expand("A=\"1\\n2 secret(a)\"", "A=\"1\n2 a\"");
}

#[test]
fn other_formats_have_all_of_the_file() {
    let text = "A=1 # c\nexport B=\"secret(b) 'x'\"\n\nA='two'\n";
    let as_format = |format| expanded(text, format).unwrap();
    assert_eq!(as_format(Format::Json), "{\n  \"B\": \"b 'x'\",\n  \"A\": \"two\"\n}\n");
    assert_eq!(as_format(Format::Shell), "export B='b '\\''x'\\'''\nexport A='two'\n");
    assert_eq!(as_format(Format::Docker), "B=b 'x'\nA=two\n");
    assert_eq!(as_format(Format::Yaml), "\"B\": \"b 'x'\"\n\"A\": \"two\"\n");
    assert!(matches!(expanded("a-b=1", Format::Shell), Err(Refused::Mistake(_))));
    assert_eq!(expanded("", Format::Yaml).as_deref(), Ok("{}\n"));
    assert_eq!(expanded("", Format::Json).as_deref(), Ok("{\n}\n"));
}

#[test]
fn a_value_to_encrypt_comes_from_beside_a_line_or_the_call() {
    let text = "# c\nDB='p w'\nURL=x:enc(DB)@h\nK=\"enc(app/k)\" # k\nI=enc(i=a\\)b c#)\nO=secret(old)\n";
    let made = file(text).encrypt(values(&[("app/k", "beside")])).unwrap();
    assert_eq!(
        made.content.as_str(),
        "# c\nDB='secret(DB)'\nURL=x:secret(DB)@h\nK=\"secret(app/k)\" # k\nI=secret(i)\nO=secret(old)\n"
    );
    let secrets: Vec<_> = made.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(secrets, [("DB", "p w"), ("app/k", "beside"), ("i", "a)b c#")]);
    let beside = file(text);
    let beside: Vec<_> =
        beside.references_beside(&made.secrets).iter().map(|one| one.name.to_string()).collect();
    assert_eq!(beside, ["old"]);
}

#[test]
fn an_empty_line_gives_an_empty_value() {
    let made = file("A= # none\nB=enc(A)\n").encrypt(Values::new()).unwrap();
    assert_eq!(made.content.as_str(), "A=secret(A) # none\nB=secret(A)\n");
    assert_eq!(made.secrets[0].1.as_str(), "");
}

#[test]
fn nothing_is_encrypted_if_a_value_lacks_or_comes_twice() {
    let refused = |text: &str, beside: &[(&str, &str)]| file(text).encrypt(values(beside)).err().unwrap();
    let Refused::Unresolved(without) = refused("A=enc(a)\nB=x enc(b)\nC=enc(c=1)\n", &[]) else { panic!() };
    let places: Vec<_> = without.iter().map(|one| (one.at.line, one.at.column, one.name.as_str())).collect();
    assert_eq!(places, [(1, 3, "a"), (2, 5, "b")]);
    let twice = |names: &[&str]| Refused::Duplicate(names.iter().map(|one| name(one)).collect());
    assert_eq!(
        refused("A=enc(a=1)\nB=enc(a=1)\nC=enc(c=1)enc(d)\nd=1\nd=2\n", &[("c", "1")]),
        twice(&["a", "c", "d"])
    );
    assert_eq!(refused("A=enc(a)\n", &[("a", "1"), ("b", "2")]), Refused::Unused(name("b")));
    assert!(matches!(refused("A=a$b\nB=enc(A)\n", &[]), Refused::Mistake(_)));
}

#[test]
fn a_file_that_could_not_be_expanded_again_is_not_encrypted() {
    for (text, column) in [("A=enc(a=1)$b", 11), ("A=\"${b}secret(a)\"", 4), ("A=a$b secret\\(x)", 4)] {
        let refused = file(&format!("C=enc(c=1)\n{text}\nD=$e")).encrypt(Values::new()).err();
        let Some(Refused::Mistake(mistake)) = refused else { panic!("{text}") };
        assert_eq!((mistake.at.line, mistake.at.column), (2, column), "{text}");
    }
}

#[test]
fn all_plain_values_are_asked_for_at_once() {
    let asked = file("A=1 # c\nexport B='2'\nC=\nD=secret(d)\nE=x enc(e=5)\n").ask_for_all("app/").unwrap();
    assert_eq!(
        asked.content.as_str(),
        "A=enc(app/A) # c\nexport B='enc(app/B)'\nC=\nD=secret(d)\nE=x enc(e=5)\n"
    );
    assert_eq!(asked.values, values(&[("app/A", "1"), ("app/B", "2")]));
    let asked = file("A=1\nB=enc(A)\nC=2\n").ask_for_all("app/").unwrap();
    assert_eq!(asked.content.as_str(), "A=1\nB=enc(A)\nC=enc(app/C)\n");
    let made = file(&asked.content).encrypt(asked.values).unwrap();
    assert_eq!(made.content.as_str(), "A=secret(A)\nB=secret(A)\nC=secret(app/C)\n");
    assert!(file("A=1\nA=2\n").ask_for_all("").is_err());
    assert!(file("..=1\n").ask_for_all("").is_err());
}
