//! A store's own words, as they may stand in an error: in one line, not too many, and without the credentials that it was
//! asked with. Knows nothing of what they say.

use std::collections::HashSet;

use secrecy::ExposeSecret;

use crate::types::SecretString;

/// As many characters of a store's words are quoted at most.
const MOST: usize = 300;
/// As many bytes of them are looked at.
const LOOKED_AT: usize = 16 << 10;
/// So many bytes of a credential in a row are a part of it; a shorter one counts as a whole.
const PART: usize = 16;
/// Stands where a credential stood.
const STRUCK: &str = "[redacted]";

/// The words in one line, without control characters and without what was `sent`, and not too many of them.
pub(super) fn quoted(words: &str, sent: &[SecretString]) -> String {
    in_one_line(&struck(&words[..words.floor_char_boundary(LOOKED_AT)], sent))
}

/// The words without parts of what was sent.
fn struck(words: &str, sent: &[SecretString]) -> String {
    let mut is_sent = vec![false; words.len()];
    sent.iter().for_each(|secret| mark(secret.expose_secret().as_bytes(), words.as_bytes(), &mut is_sent));
    let (mut kept, mut within) = (String::new(), false);
    for (at, c) in words.char_indices() {
        let was_within = within;
        within = is_sent[at..at + c.len_utf8()].contains(&true);
        match (was_within, within) {
            (_, false) => kept.push(c),
            (false, true) => kept.push_str(STRUCK),
            (true, true) => {}
        }
    }
    kept
}

/// Marks the bytes of `words` that are a part of `secret`.
fn mark(secret: &[u8], words: &[u8], is_sent: &mut [bool]) {
    let length = secret.len().min(PART);
    if length == 0 {
        return;
    }
    let parts: HashSet<&[u8]> = secret.windows(length).collect();
    for (at, part) in words.windows(length).enumerate() {
        if parts.contains(part) {
            is_sent[at..at + length].fill(true);
        }
    }
}

fn in_one_line(words: &str) -> String {
    let mut line = words.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let mut quote = String::new();
    let mut left = MOST;
    while let Some(word) = line.next().filter(|_| left > 0) {
        if !quote.is_empty() {
            quote.push(' ');
        }
        quote.extend(word.chars().take(left));
        left = left.saturating_sub(word.chars().count() + 1);
    }
    quote
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "hvs.CAESIJ4qpVnQ_é_0w1xM8Yl2";

    fn after(sent: &[&str], words: &str) -> String {
        quoted(words, &sent.iter().copied().map(SecretString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_quote_is_one_line_and_bounded() {
        assert_eq!(quoted("Rate\r\n  exceeded\u{1b}[31m", &[]), "Rate exceeded [31m");
        assert_eq!(quoted(&"é".repeat(5000), &[]).chars().count(), MOST);
        assert!(quoted(&"a b ".repeat(5000), &[]).chars().count() <= MOST);
        assert_eq!(quoted(&"é".repeat(LOOKED_AT), &[]).chars().count(), MOST);
    }

    #[test]
    fn a_credential_is_not_quoted_whole_nor_in_part() {
        assert_eq!(after(&[TOKEN], &format!("no such token {TOKEN}.")), "no such token [redacted].");
        assert_eq!(after(&[TOKEN], &format!("token={}", &TOKEN[..20])), "token=[redacted]");
        assert_eq!(after(&[TOKEN], &format!("token={}", &TOKEN[TOKEN.len() - 17..])), "token=[redacted]");
        assert_eq!(after(&[TOKEN, "root"], &format!("root and {TOKEN}")), "[redacted] and [redacted]");
        assert_eq!(after(&["two words"], "is it two words?"), "is it [redacted]?");
    }

    #[test]
    fn a_credential_is_struck_out_before_the_words_are_cut() {
        for blank in [MOST - 8, LOOKED_AT - 20] {
            let said = after(&[TOKEN], &format!("{}{TOKEN}", "-".repeat(blank)));
            assert!(!said.contains("hvs"), "{said}");
        }
    }

    #[test]
    fn what_was_not_sent_is_quoted_as_it_is() {
        assert_eq!(after(&[], "denied"), "denied");
        assert_eq!(after(&[""], "denied"), "denied");
        assert_eq!(after(&[TOKEN], "hvs tokens expire"), "hvs tokens expire");
    }
}
