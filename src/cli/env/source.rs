//! A `.env` file on its way in: from a file or a pipe, and expanded by the vault.
//! Keeps S1: what is read is wiped, and no failure quotes it.
//! Knows nothing of what is done with it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use covault_model::limits::VALUE_BYTES_MAX;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    cli::{
        client::{Call, Client},
        failure::Failure,
        secret::OwnerArgs,
    },
    envfile::{EnvFile, Format, Mistake},
};

/// Reads a file; `-` is stdin.
///
/// # Errors
/// When it cannot be read, is too large, or is no text.
pub fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| Failure::file("read", path, &error);
    let mut bytes = Zeroizing::new(Vec::new());
    let most = VALUE_BYTES_MAX as u64 + 1;
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(most).read_to_end(&mut bytes),
        false => File::open(path).map_err(failed)?.take(most).read_to_end(&mut bytes),
    };
    read.map_err(failed)?;
    if VALUE_BYTES_MAX < bytes.len() {
        let detail = format!("{} has more than {VALUE_BYTES_MAX} bytes", path.display());
        return Err(Failure::new("file_failed", detail));
    }
    let text = str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| Failure::new("invalid_utf8", format!("{} is no UTF-8 text", path.display())))
}

/// The file, taken apart.
///
/// # Errors
/// The place that cannot be read.
pub fn parse(path: &Path, text: Zeroizing<String>) -> Result<EnvFile, Failure> {
    EnvFile::parse(text).map_err(|mistake| mistaken(path, &mistake))
}

/// A mistake in a file, told.
pub fn mistaken(path: &Path, Mistake { at, why }: &Mistake) -> Failure {
    let place = format!("{}:{}:{}", path.display(), at.line, at.column);
    Failure::new("invalid_env", format!("{place}: {}", why.trim_end_matches('.')))
}

/// The file with its references replaced, as the vault gives it.
///
/// # Errors
/// What the vault refuses.
pub fn expanded(
    client: &Client,
    owner: &OwnerArgs,
    content: &str,
    format: Format,
) -> Result<Zeroizing<String>, Failure> {
    let body = json!({ "content": content, "format": format.as_str() });
    let mut answer = client.send(&owner.address(Call::query_with("/v1/env/expand", body)))?.body;
    match answer["content"].take() {
        Value::String(text) => Ok(Zeroizing::new(text)),
        _ => Err(Failure::unexpected("the answer has no content")),
    }
}
