//! A store's own words, as they may stand in an error. Knows nothing of what they say.

/// As many characters of a store's words are quoted at most.
const MOST: usize = 300;

/// The words in one line, without control characters, and not too many of them.
pub(crate) fn quoted(words: &str) -> String {
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

    #[test]
    fn a_quote_is_one_line_and_bounded() {
        assert_eq!(quoted("Rate\r\n  exceeded\u{1b}[31m"), "Rate exceeded [31m");
        assert_eq!(quoted(&"é".repeat(5000)).chars().count(), MOST);
        assert!(quoted(&"a b ".repeat(5000)).chars().count() <= MOST);
    }
}
