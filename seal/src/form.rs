//! Tokens that keep the form of their value: FF1 of NIST SP 800-38G with AES-256. What is kept of the value is
//! the tweak, so that two values with different ends share nothing. The one door of the FF1 library.
//! Knows nothing of fields or epochs.

use aes::Aes256;
use covault_model::field::Format;
use fpe::ff1::{FF1, FlexibleNumeralString};
use zeroize::Zeroizing;

/// The token of `text` under `key`; none for a text without the form, or of too small a domain.
pub fn replace(key: &[u8; 32], format: Format, text: &str) -> Option<String> {
    let alphabet = format.alphabet()?;
    let (replaced, kept) = format.split(text)?;
    let place = |byte: u8| alphabet.iter().position(|known| *known == byte).map(|at| at as u16);
    let numerals = Zeroizing::new(replaced.bytes().map(place).collect::<Option<Vec<u16>>>()?);
    let ff1 = FF1::<Aes256>::new(key, alphabet.len() as u32).ok()?;
    let encrypted = ff1.encrypt(kept.as_bytes(), &FlexibleNumeralString::from(numerals.to_vec())).ok()?;
    let mut token = String::with_capacity(text.len());
    for numeral in Vec::<u16>::from(encrypted) {
        token.push(char::from(*alphabet.get(usize::from(numeral))?));
    }
    token.push_str(kept);
    Some(token)
}
