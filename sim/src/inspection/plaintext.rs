//! Values in files, in any of the ways in which they could have come there: as they are, in hexadecimal, in base64, as a
//! list of numbers.
//! Every value of a run begins alike, so that a file is gone through once for all of them. Knows nothing of what the
//! files are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// How every written value begins.
pub const BEGINS: &str = "plain-";
/// Bytes of a value that are looked for; all have as many, and differ in them.
const LOOKED_FOR: usize = 13;

/// What is looked for: forms of values, under the four bytes with which they begin.
pub struct Forms(BTreeMap<[u8; 4], BTreeMap<Vec<u8>, String>>);

impl Forms {
    /// The forms of these values.
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut forms: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for value in values.filter(|value| LOOKED_FOR <= value.len()) {
            for form in forms_of(&value.as_bytes()[..LOOKED_FOR]) {
                if let Some(begins) = form.first_chunk() {
                    forms.entry(*begins).or_default().insert(form, value.to_owned());
                }
            }
        }
        Self(forms)
    }

    /// The values of which a form stands in these bytes.
    fn found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, begins) in bytes.array_windows::<4>().enumerate() {
            // Most bytes of a disk are zeros, and no form begins with one.
            if begins[0] == 0 {
                continue;
            }
            let Some(forms) = self.0.get(begins) else { continue };
            let here = forms.iter().filter(|(form, _)| bytes[at..].starts_with(form));
            found.extend(here.map(|(_, value)| value.as_str()));
        }
        found
    }
}

/// As it is, in hexadecimal of both kinds, as `Debug` shows bytes, and in base64 from each of the places in a group of
/// three where it may begin: what of it stands in whole groups.
fn forms_of(value: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let upper = hex.to_uppercase();
    let base64 = (0..3).map(|skipped| {
        let rest = &value[skipped..];
        STANDARD_NO_PAD.encode(&rest[..rest.len() / 3 * 3]).into_bytes()
    });
    let numbers: Vec<String> = value.iter().map(u8::to_string).collect();
    let texts = [hex, upper, numbers.join(", ")].map(String::into_bytes);
    [value.to_vec()].into_iter().chain(texts).chain(base64).collect()
}

/// Goes through all files under `dir`: says what was found, each value with its file, and how many bytes there are.
pub fn scan(dir: &Path, forms: &Forms) -> io::Result<(Vec<String>, u64)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            let (inner, inner_bytes) = scan(&path, forms)?;
            found.extend(inner);
            bytes += inner_bytes;
        } else if path.is_file() {
            let content = fs::read(&path)?;
            bytes += content.len() as u64;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.extend(forms.found_in(&content).into_iter().map(|value| format!("{value} in {file}")));
        }
    }
    Ok((found, bytes))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::Forms;

    const VALUE: &str = "plain-000017-3";

    fn finds(bytes: &[u8]) -> bool {
        !Forms::of([VALUE, "plain-000018-2"].into_iter()).found_in(bytes).is_empty()
    }

    #[test]
    fn a_value_is_found_in_every_form_at_every_place() {
        for before in 0..4 {
            let bytes = [vec![b'x'; before], VALUE.as_bytes().to_vec(), vec![b'y'; 5]].concat();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let debug = format!("{bytes:?}").into();
            let base64 = STANDARD.encode(&bytes).into();
            for form in [hex.to_uppercase().into(), hex.into(), debug, base64, bytes] {
                assert!(finds(&form), "after {before} bytes: {}", String::from_utf8_lossy(&form));
            }
        }
    }

    #[test]
    fn what_was_not_written_is_not_found() {
        assert!(!finds(b"plain-000019-1 and plain text"));
    }
}
