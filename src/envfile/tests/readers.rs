//! What comes out, read back by dotenvy; the two other readers are asked by `tests/envfile.sh`.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

/// The values of a file, as dotenvy reads them.
fn as_dotenvy_reads(text: &str) -> Vec<(String, String)> {
    dotenvy::from_read_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("dotenvy reads it not: {error}\n{text}"))
}

/// Values with all that quoting trips over.
pub fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "['\"`$\\\\#{}()\n\t =a-c:-]{0,10}",
        "[\\PC\n]{0,10}",
        "[a-z]{0,3}\\$\\{[A-Z]{0,2}(:-[a-z]?)?\\}?",
        Just(String::new()),
        Just("x\u{feff}\u{2028}\u{85} ".to_owned()),
        "[a-z \n'#]".prop_map(|one| one.repeat(65_536)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_value_that_is_written_is_read_back_exactly(value in value(), how in 0..5_usize) {
        let line = ["A=secret(a)", "A='secret(a)'", "A=\"secret(a)\"", "export A = `secret(a)` # c", "A=x:secret(a)"];
        let text = format!("# it's\nZ=1\n{}\nB='after'", line[how]);
        let file = file(&text);
        let Ok(expanded) = expand(&file, Format::Dotenv, |_| Ok(value.as_bytes())) else { return Ok(()) };
        let read = as_dotenvy_reads(&expanded);
        let prefix = if how == 4 { "x:" } else { "" };
        prop_assert_eq!(&read[1], &("A".to_owned(), format!("{prefix}{value}")));
        prop_assert_eq!(&read[2], &("B".to_owned(), "after".to_owned()));
    }
}

/// Values as they may stand in a file, well written or not.
fn written() -> impl Strategy<Value = String> {
    let pieces = "['\"$\\\\#{} \t=a-cnrt:-]{0,7}";
    let quoted = ("['\"]", pieces, "\n?", pieces)
        .prop_map(|(quote, one, line, two)| format!("{quote}{one}{line}{two}{quote}"));
    prop_oneof![pieces, quoted, "[ -~\u{a0}\u{2028}]{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_value_that_is_read_is_what_dotenvy_reads_if_it_reads_it(written in written(), end in "( # c)?\n?") {
        let text = format!("A={written}{end}");
        let Ok(file) = EnvFile::parse(Zeroizing::new(text.clone())) else { return Ok(()) };
        let [assignment] = file.assignments() else { return Ok(()) };
        let Ok(value) = file.value_of(assignment) else { return Ok(()) };
        prop_assume!(assignment.quote != super::super::file::Quote::Backtick);
        let read: Result<Vec<_>, _> = dotenvy::from_read_iter(text.as_bytes()).collect();
        if let Ok(read) = read {
            prop_assert_eq!(read, [("A".to_owned(), value.to_string())]);
        }
    }
}

#[test]
fn usual_values_can_be_written() {
    for value in [
        "",
        "p",
        "a b",
        "p#w",
        "p$w$",
        "C:\\dir",
        "it's",
        "{\"a\":\"b\"}",
        "-----BEGIN-----\nMIIB/+==\n-----END-----\n",
    ] {
        let found = expand(&file("A=secret(a)"), Format::Dotenv, |_| Ok(value.as_bytes())).unwrap();
        let read = as_dotenvy_reads(&found);
        assert_eq!(read, [("A".to_owned(), value.to_owned())]);
    }
}

#[test]
fn what_python_would_replace_is_found_and_nothing_else() {
    use super::super::writing::interpolation;
    for (text, at) in [
        ("${A}", Some(0)),
        ("a${}", Some(1)),
        ("$${A", None),
        ("}${", None),
        ("${A:b}", None),
        ("${A:-b}", Some(0)),
        ("${A:-b", None),
        ("${${A}", Some(0)),
        ("${a:${B}", Some(4)),
        ("$", None),
        ("${:-", None),
    ] {
        assert_eq!(interpolation(text), at, "{text}");
    }
    assert_eq!(interpolation(&"${".repeat(1 << 20)), None);
    assert_eq!(interpolation(&format!("{}:}}", "${".repeat(1 << 20))), None);
}
