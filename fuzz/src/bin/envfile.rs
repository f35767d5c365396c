//! `.env` files as users may send them. What is read stays as it was; what comes out of an expansion is read as what
//! went in, and nothing panics (F1, F3). Knows nothing of other readers.

#![no_main]

use covault::envfile::{EnvFile, Format, Picked, Values};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fn expand(file: &EnvFile, format: Format) -> Option<Zeroizing<String>> {
    file.expand(format, &Picked::of(file.references(), |_| Ok(b"{\"k\":\"v 1\"}"))).ok()
}

fuzz_target!(|text: &str| {
    let file = match EnvFile::parse(Zeroizing::new(text.to_owned())) {
        Ok(file) => file,
        Err(mistake) => {
            assert!(mistake.at.line <= 1 + text.lines().count());
            return;
        }
    };
    assert_eq!(file.text(), text);
    let _ = (file.encrypt(Values::new()), file.ask_for_all("p/"));
    let all = Format::ALL.map(|format| expand(&file, format));
    let [Some(dotenv), Some(json), ..] = all else { return };
    if file.references().count() == 0 || dotenv.contains("secret") || dotenv.contains("enc") {
        return;
    }
    let again = EnvFile::parse(dotenv).unwrap_or_else(|mistake| panic!("what came out is not read: {mistake:?}"));
    assert_eq!(expand(&again, Format::Json).as_deref(), Some(&*json));
});
