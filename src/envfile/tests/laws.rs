//! Laws that hold of every file: what is read is what is written; encrypting and expanding again changes
//! nothing that a program sees.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::{expand, file, *};

/// Lines in all the ways in which they may be written.
fn line() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[ -~é\u{2028}]{0,12}",
        "'[ -&(-~é\n]{0,12}'",
        "\"[ !#-\\[\\]-~é\n]{0,12}\"",
        "`[ -_a-~é\n]{0,12}`",
        "x?(secret\\(a/b(@2|#k)?\\)|enc\\(c\\)|enc\\(d=[a-z]{0,3}\\)|secret\\\\\\(){1,2}y?",
    ];
    let line = ("(export )?", "[A-Z]{1,2}[ ]?", "[ \t]?", value, "( # [a-z(]{0,5})?", "(\n|\r\n)");
    let line = line.prop_map(|(export, key, blank, value, comment, end)| {
        format!("{export}{key}={blank}{value}{comment}{end}")
    });
    prop_oneof![4 => line, 1 => "[ \t]?(#[ -~]{0,9})?(\n|\r\n)", 1 => "[ -~\n\r]{0,9}"]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..6).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn what_is_read_is_written_as_it_was(text in text()) {
        if let Ok(file) = EnvFile::parse(Zeroizing::new(text.clone())) {
            prop_assert_eq!(file.text(), &text);
            let mut parts = Vec::new();
            for assignment in file.assignments() {
                let pieces = assignment.pieces.iter().map(|piece| (piece.place().clone(), ()));
                parts.extend(pieces.map(|(place, ())| (place.clone(), Zeroizing::new(text[place].to_owned()))));
            }
            let written = file.with(&parts);
            prop_assert_eq!(written.as_str(), &text);
        }
    }

    #[test]
    fn nothing_that_is_read_panics(text in ".{0,60}", wild in text()) {
        for text in [text, wild] {
            let Ok(file) = EnvFile::parse(Zeroizing::new(text)) else { continue };
            for format in Format::ALL {
                let _ = expand(&file, format, |_| Ok(b"{\"k\":\"v\"}"));
            }
            let _ = file.encrypt(Values::new());
            let _ = file.ask_for_all("p/");
        }
    }

    #[test]
    fn an_expanded_file_reads_as_what_it_was_made_of(text in text()) {
        let Ok(file) = EnvFile::parse(Zeroizing::new(text)) else { return Ok(()) };
        let filled = |file: &EnvFile, format| expand(file, format, |_| Ok(b"v 1"));
        let (Ok(dotenv), Ok(json)) = (filled(&file, Format::Dotenv), filled(&file, Format::Json)) else {
            return Ok(());
        };
        // What comes out may have parentheses that were literal, so it is compared only where it has none.
        if dotenv.contains("secret(") || dotenv.contains("enc(") {
            return Ok(());
        }
        let again = super::file(&dotenv);
        let read = filled(&again, Format::Json).unwrap();
        prop_assert_eq!(read.as_str(), json.as_str());
    }

    #[test]
    fn encrypting_changes_nothing_that_a_program_sees(
        values in prop::collection::btree_map("[A-Z]{1,3}", "[ -~é]{1,9}", 1..5),
    ) {
        let text: String = values.iter().filter_map(|(key, value)| {
            let written = super::super::writing::written(value, super::super::file::Quote::Single)?;
            Some(format!("{key}={}\n", written.as_str()))
        }).collect();
        let asked = file(&text).ask_for_all("p/").unwrap();
        let made = super::file(&asked.content).encrypt(asked.values).unwrap();
        let encrypted = super::file(&made.content);
        let value = |name: &str| {
            let found = made.secrets.iter().find(|(known, _)| known.as_str() == name);
            Ok(found.unwrap().1.as_bytes())
        };
        let back = expand(&encrypted, Format::Dotenv, value).unwrap();
        let json = |text: &str| expand(&file(text), Format::Json, |_| unreachable!()).unwrap().to_string();
        prop_assert_eq!(json(&back), json(&text));
    }
}
