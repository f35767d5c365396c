//! A file with its references replaced. All or nothing (F3): every reference that cannot be replaced is told, and
//! then nothing comes out. Keeps S1: what is made is wiped.
//! Knows nothing of where values come from.

use std::{collections::HashMap, ops::Deref};

use zeroize::Zeroizing;

use super::{
    call::{Call, Reference},
    file::{Assignment, EnvFile, Piece, Quote},
    format::Format,
    mistake::{Mistake, Reason, Refused, Unresolved},
    picked::Picked,
};

/// Largest text that comes out, in bytes (4 MiB): an answer with it fits the frames between processes.
pub const EXPANDED_BYTES_MAX: usize = 4 << 20;

/// Assignments with what they come to.
type Values<'f> = Vec<(&'f Assignment, Zeroizing<String>)>;

impl EnvFile {
    /// All references, in the order in which they stand; one that stands twice comes twice.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.assignments().iter().flat_map(Assignment::calls).filter_map(|(_, call)| match call {
            Call::Secret(reference) => Some(reference),
            Call::Enc(..) => None,
        })
    }

    /// Those of the picked references that stand for nothing, with each place where they stand.
    pub fn missing(&self, picked: &Picked<'_>) -> Vec<Unresolved> {
        let calls = self.assignments().iter().flat_map(Assignment::calls);
        let missing = calls.filter_map(|(place, call)| match call {
            Call::Secret(reference) => Some((place.start, &reference.name, picked.get(reference)?.err()?)),
            Call::Enc(..) => None,
        });
        self.unresolved(missing.collect())
    }

    /// The file with each reference replaced by what was picked for it, in this format. As `.env`, only the
    /// values with references are written anew; the other formats have all of the file, and of a key that comes
    /// twice the last.
    ///
    /// # Errors
    /// All references that cannot be replaced; or the first place that cannot be read and would have to be.
    pub fn expand(&self, format: Format, picked: &Picked<'_>) -> Result<Zeroizing<String>, Refused> {
        let values = self.values(format, picked)?;
        let mut parts = Vec::with_capacity(values.len());
        let mut unwritten = Vec::new();
        for (assignment, value) in &values {
            let key = &self.text()[assignment.key.clone()];
            match (format.part(key, value, self.quotes_for(assignment, value)), assignment.calls().next()) {
                (Some(part), _) => parts.push((assignment.value.clone(), part)),
                (None, Some((place, call))) => {
                    unwritten.push((place.start, call.name(), Reason::NotPortable));
                }
                (None, None) => {
                    let why = "This format cannot hold this key or value.";
                    return Err(self.mistake(assignment.key.start, why).into());
                }
            }
        }
        if !unwritten.is_empty() {
            return Err(Refused::Unresolved(self.unresolved(unwritten)));
        }
        let text = match format {
            Format::Dotenv => self.with(&parts),
            other => other.whole(parts.iter().map(|(_, part)| part.as_str())),
        };
        if text.len() <= EXPANDED_BYTES_MAX { Ok(text) } else { Err(Refused::TooLarge) }
    }

    /// The quotes that a value is to be in if it can: those that it had. An empty one before a comment needs some, as
    /// python-dotenv up to 1.2.2 takes that for the value.
    fn quotes_for(&self, assignment: &Assignment, value: &str) -> Quote {
        let behind = self.text()[assignment.value.end..].trim_start_matches([' ', '\t']);
        match assignment.quote {
            Quote::None if value.is_empty() && behind.starts_with('#') => Quote::Single,
            had => had,
        }
    }

    /// What the assignments come to that are to be written.
    fn values(&self, format: Format, picked: &Picked<'_>) -> Result<Values<'_>, Refused> {
        let (mut values, mut unresolved, mut room) = (Values::new(), Vec::new(), EXPANDED_BYTES_MAX);
        for assignment in self.written_in(format) {
            let mut parts = Vec::with_capacity(assignment.pieces.len());
            for piece in &assignment.pieces {
                match self.part(assignment, piece, picked)? {
                    Ok(part) => {
                        room = room.checked_sub(part.len()).ok_or(Refused::TooLarge)?;
                        parts.push(part);
                    }
                    Err(reason) => {
                        unresolved.extend(piece.call().map(|call| (piece.place().start, call.name(), reason)))
                    }
                }
            }
            values.push((assignment, joined(&parts)));
        }
        if unresolved.is_empty() { Ok(values) } else { Err(Refused::Unresolved(self.unresolved(unresolved))) }
    }

    /// The assignments that a format writes anew.
    pub(super) fn written_in(&self, format: Format) -> Vec<&Assignment> {
        let all = self.assignments();
        if format == Format::Dotenv {
            let changes = |piece: &Piece| !matches!(piece, Piece::Text(_));
            return all.iter().filter(|assignment| assignment.pieces.iter().any(changes)).collect();
        }
        let last: HashMap<&str, usize> = all
            .iter()
            .enumerate()
            .map(|(at, assignment)| (&self.text()[assignment.key.clone()], at))
            .collect();
        let is_last =
            |(at, assignment): &(usize, &Assignment)| last[&self.text()[assignment.key.clone()]] == *at;
        all.iter().enumerate().filter(is_last).map(|(_, assignment)| assignment).collect()
    }

    /// What one piece comes to.
    fn part<'p>(
        &self,
        assignment: &Assignment,
        piece: &Piece,
        picked: &'p Picked<'_>,
    ) -> Result<Result<Part<'p>, Reason>, Mistake> {
        let found = match piece {
            Piece::Call(_, Call::Secret(reference)) => {
                picked.get(reference).unwrap_or(Err(Reason::NotFound)).map(Part::Picked)
            }
            Piece::Call(_, Call::Enc(..)) => Err(Reason::NotEncrypted),
            text => {
                let mut read = Zeroizing::new(String::with_capacity(text.place().len()));
                self.read_into(&mut read, assignment.quote, text)?;
                Ok(Part::Read(read))
            }
        };
        Ok(found)
    }
}

/// What a piece of a value comes to.
enum Part<'p> {
    Picked(&'p str),
    Read(Zeroizing<String>),
}

impl Deref for Part<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Picked(text) => text,
            Self::Read(text) => text,
        }
    }
}

/// The parts behind each other, in a text that need not grow.
fn joined(parts: &[Part<'_>]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| text.push_str(part));
    text
}
