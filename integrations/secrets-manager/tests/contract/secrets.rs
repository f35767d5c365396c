//! What the contract wants to find in every store that is filled here; `tests/vendor/holdings.py` has the same for the
//! others. Knows nothing of any store.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::holdings::{Held, Version};

const LONG: usize = 1000;
const MANY: usize = 30;

/// All paths of [`secrets`] begin with it.
pub const PREFIX: &str = "contract/";
/// A secret beside them, whose path does not.
pub const OUTSIDE: &str = "contractor";
/// The one with several versions.
pub const PLAIN: &str = "contract/plain";

/// A secret that is to be there.
pub struct Secret {
    pub path: String,
    /// The oldest first; one that is no text is binary.
    pub values: Vec<Vec<u8>>,
}

impl Secret {
    fn of(path: impl Into<String>, values: &[&str]) -> Self {
        Self { path: path.into(), values: values.iter().map(|value| value.as_bytes().to_vec()).collect() }
    }

    pub fn is_binary(&self) -> bool {
        self.values.iter().any(|value| str::from_utf8(value).is_err())
    }

    /// As a store holds it that has given these identifiers to its versions.
    pub fn held(&self, ids: impl IntoIterator<Item = String>) -> Held {
        let binary = self.is_binary();
        let text = |value: &[u8]| match binary {
            true => STANDARD.encode(value),
            false => String::from_utf8(value.to_vec()).unwrap(),
        };
        let versions = ids.into_iter().zip(&self.values);
        let versions = versions.map(|(id, value)| Version { id, value: text(value) }).collect();
        Held { path: self.path.clone(), versions, tags: [].into(), binary }
    }
}

pub fn secrets() -> Vec<Secret> {
    let long = "0123456789abcdef".repeat(LONG);
    let mut secrets = vec![
        Secret::of(PLAIN, &["first", "second", "third"]),
        Secret::of("contract/unicode", &["pässwörd \u{2603} \u{1f511} \\ \" \n\t end"]),
        Secret::of("contract/long", &[&long]),
        Secret::of("contract/object", &[r#"{"user":"app","deep":{"list":[1,2.5,null,true]}}"#]),
        Secret { path: "contract/binary".into(), values: vec![(0..=255).collect()] },
    ];
    secrets.extend(
        (0..MANY).map(|number| Secret::of(format!("contract/many/{number:03}"), &[&number.to_string()])),
    );
    secrets
}
