//! Page cursors: opaque to the client, a marker and a position to us. They grant nothing, so they are
//! not signed; whatever is not exactly a cursor of this kind is `invalid_cursor`.
//! Knows nothing of pages.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use covault_model::{hlc::Hlc, id::VersionId, limits::NAME_BYTES_MAX, line::Place, name::SecretName};

use crate::api::problem::{Code, Problem};

/// The format marker of cursors that this release gives out.
const FORMAT: u8 = 1;
const SECRETS: u8 = b's';
const HISTORY: u8 = b'h';
/// Longest cursor text, in bytes: two markers and a name, four characters for three bytes.
const TEXT_BYTES_MAX: usize = (2 + NAME_BYTES_MAX).div_ceil(3) * 4;

/// The cursor for the secrets after `name`.
pub fn after_secret(name: &SecretName) -> String {
    URL_SAFE_NO_PAD.encode([&[FORMAT, SECRETS], name.as_bytes()].concat())
}

/// The cursor for the versions before `place`.
pub fn before_version(place: &Place) -> String {
    let time = place.time.0.to_be_bytes();
    URL_SAFE_NO_PAD.encode([&[FORMAT, HISTORY], &time[..], place.id.as_bytes()].concat())
}

/// Reads a cursor that [`after_secret`] gave.
pub fn read_after_secret(text: &str) -> Result<SecretName, Problem> {
    let position = position(text, SECRETS)?;
    let name = str::from_utf8(&position).map_err(|_| invalid())?;
    SecretName::parse(name).map_err(|_| invalid())
}

/// Reads a cursor that [`before_version`] gave.
pub fn read_before_version(text: &str) -> Result<Place, Problem> {
    let position = position(text, HISTORY)?;
    let (time, id) = position.split_first_chunk::<8>().ok_or_else(invalid)?;
    let id = <[u8; VersionId::LEN]>::try_from(id).map_err(|_| invalid())?;
    Ok(Place { time: Hlc(u64::from_be_bytes(*time)), id: covault_model::id::RecordId(id) })
}

fn position(text: &str, kind: u8) -> Result<Vec<u8>, Problem> {
    if TEXT_BYTES_MAX < text.len() {
        return Err(invalid());
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
    match bytes.get(..2) {
        Some(markers) if markers == [FORMAT, kind] => Ok(bytes.split_off(2)),
        _ => Err(invalid()),
    }
}

fn invalid() -> Problem {
    Problem::new(Code::InvalidCursor, "The cursor is not one that this list gave out.").with_field("cursor")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_given() {
        let name = SecretName::parse("db/prod/password").unwrap();
        assert_eq!(read_after_secret(&after_secret(&name)).ok(), Some(name));
        let place = Place { time: Hlc(77 << 16 | 3), id: covault_model::id::RecordId([9; 32]) };
        assert_eq!(read_before_version(&before_version(&place)).ok(), Some(place));
    }

    #[test]
    fn the_longest_name_fits_a_cursor() {
        let name = SecretName::parse(&"n".repeat(NAME_BYTES_MAX)).unwrap();
        assert_eq!(read_after_secret(&after_secret(&name)).ok(), Some(name));
    }

    #[test]
    fn whatever_is_no_cursor_is_refused() {
        let name = SecretName::parse("a").unwrap();
        let of_secrets = after_secret(&name);
        let other_format = URL_SAFE_NO_PAD.encode([2, SECRETS, b'a']);
        let bad_name = URL_SAFE_NO_PAD.encode([FORMAT, SECRETS, b'/']);
        let long = "A".repeat(TEXT_BYTES_MAX + 1);
        for text in ["", "A", "*", "AQ", &other_format, &bad_name, &long, &format!("{of_secrets}=")] {
            assert_eq!(read_after_secret(text).err().map(|p| p.code()), Some(Code::InvalidCursor), "{text}");
        }
        assert_eq!(read_before_version(&of_secrets).err().map(|p| p.code()), Some(Code::InvalidCursor));
    }
}
