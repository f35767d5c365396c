//! How a value is put into a file so that motdotla/dotenv, python-dotenv and dotenvy all read it back exactly (F2).
//! There is no escape that all three know, so a value is written as it is, between quotes that it does not
//! contain. `docs/decisions/0025-what-three-readers-agree-on.md` has the experiments.
//! Knows nothing of files.

use zeroize::Zeroizing;

use super::file::Quote;

/// The value as it is to be written, in the kind of quotes that it had if they can hold it; nothing when no
/// quotes can.
pub(super) fn written(value: &str, had: Quote) -> Option<Zeroizing<String>> {
    let liked = match had {
        Quote::None => [Quote::None, Quote::Single, Quote::Double],
        Quote::Single | Quote::Backtick => [Quote::Single, Quote::Double, Quote::None],
        Quote::Double => [Quote::Double, Quote::Single, Quote::None],
    };
    let quote = liked.into_iter().find(|quote| can_hold(*quote, value))?;
    let mark = match quote {
        Quote::None => "",
        Quote::Single => "'",
        Quote::Double => "\"",
        Quote::Backtick => "`",
    };
    let mut text = Zeroizing::new(String::with_capacity(value.len() + 2));
    text.push_str(mark);
    text.push_str(value);
    text.push_str(mark);
    Some(text)
}

fn can_hold(quote: Quote, value: &str) -> bool {
    // motdotla/dotenv makes a line feed of a carriage return before it reads anything.
    if value.contains(['\r', '\0']) || interpolation(value).is_some() {
        return false;
    }
    match quote {
        Quote::None => value.bytes().all(is_plain),
        // python-dotenv takes two backslashes for one; a backslash at the end would hide the quote.
        Quote::Single => !value.contains('\'') && !value.contains("\\\\") && !value.ends_with('\\'),
        // Each reader has other escapes here, and dotenvy has variables.
        Quote::Double => !value.contains(['"', '\\', '$']),
        Quote::Backtick => false,
    }
}

/// What needs no quotes, for shells that read such files too.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&byte)
}

/// Where python-dotenv begins to replace something, if it does: at `${NAME}` or `${NAME:-DEFAULT}`, whatever the
/// quotes. It goes from the end to the beginning, so that it looks at each byte once.
pub(super) fn interpolation(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let last_brace = value.rfind('}')?;
    let (mut found, mut stop) = (None, last_brace);
    for at in (0..last_brace).rev() {
        match bytes[at] {
            b'}' | b':' => stop = at,
            b'$' if bytes[at + 1] == b'{' => {
                let is_default = bytes[stop] == b':' && bytes[stop + 1] == b'-';
                found = if bytes[stop] == b'}' || is_default { Some(at) } else { found };
            }
            _ => {}
        }
    }
    found
}
