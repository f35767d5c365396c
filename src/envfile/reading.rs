//! What a program sees of a value that stands in a file: what those of the three readers see that read the
//! line at all. Where they see different things, nobody is right, and it is a mistake with its place (F2).
//! Of backticks, which only motdotla/dotenv takes for quotes, it is what that one sees.
//! Knows nothing of calls.

use zeroize::Zeroizing;

use super::{
    file::{Assignment, EnvFile, Piece, Quote},
    mistake::Mistake,
    writing::interpolation,
};

const VARIABLE: &str = "A dollar sign here begins a variable for some readers and not for others. \
                        In single quotes, and with no brace behind it, it stands for itself.";
const ESCAPE: &str = "Readers see different things in this backslash and what follows it.";
const QUOTE: &str = "Readers see different things in a quote within a value without quotes.";
const HASH: &str = "A comment begins here for some readers and not for others. Quote the value.";
const BREAK: &str = "Readers see different things in a carriage return.";
const BLANK: &str = "Readers see different things in this white space or control character. Quote the value.";

impl EnvFile {
    /// The value of an assignment in which nothing is a call.
    pub(super) fn value_of(&self, assignment: &Assignment) -> Result<Zeroizing<String>, Mistake> {
        let mut value = Zeroizing::new(String::with_capacity(assignment.content().len()));
        for piece in &assignment.pieces {
            self.read_into(&mut value, assignment.quote, piece)?;
        }
        Ok(value)
    }

    /// Appends what a piece that is no call stands for.
    pub(super) fn read_into(&self, value: &mut String, quote: Quote, piece: &Piece) -> Result<(), Mistake> {
        match piece {
            Piece::Call(..) => Ok(()),
            Piece::Literal(place, backslash) => {
                value.push_str(&self.text()[place.start..*backslash]);
                value.push('(');
                Ok(())
            }
            Piece::Text(place) => read_text(value, quote, &self.text()[place.clone()])
                .map_err(|(offset, why)| self.mistake(place.start + offset, why)),
        }
    }
}

fn read_text(value: &mut String, quote: Quote, text: &str) -> Result<(), (usize, &'static str)> {
    let variable = interpolation(text);
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match (quote, char) {
            (_, '\r') => return Err((at, BREAK)),
            (Quote::Double, '\\') if matches!(next, Some('n' | 'r')) => {
                value.push(if next == Some('n') { '\n' } else { '\r' });
                chars.next();
            }
            (_, '\\') if is_escape(quote, next) => return Err((at, ESCAPE)),
            (Quote::None | Quote::Double, '$') => return Err((at, VARIABLE)),
            (Quote::Single, '$') if variable == Some(at) => return Err((at, VARIABLE)),
            (Quote::None, '\'' | '"') => return Err((at, QUOTE)),
            (Quote::None, '#') => return Err((at, HASH)),
            (Quote::None, char) if is_odd_blank(char) => return Err((at, BLANK)),
            _ => value.push(char),
        }
    }
    Ok(())
}

/// Whether some reader takes a backslash before `next` for an escape, and another does not.
fn is_escape(quote: Quote, next: Option<char>) -> bool {
    let after = match quote {
        Quote::None => "\\'\"$n ",
        Quote::Single => "\\'",
        Quote::Double => "\\'\"$ abftv",
        Quote::Backtick => "`",
    };
    // One with nothing behind it is lost to dotenvy.
    next.map_or(quote == Quote::None, |next| after.contains(next))
}

/// White space that some readers cut off at the end of a value, and others do not.
fn is_odd_blank(char: char) -> bool {
    let usual = matches!(char, ' ' | '\t');
    !usual && (char.is_whitespace() || char.is_control() || char == '\u{feff}')
}
