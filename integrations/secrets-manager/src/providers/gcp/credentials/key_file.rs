//! Google's files of credentials, told apart by their type. Knows nothing of how a token is had for what is in them.

use std::path::Path;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Login, Surroundings, external::ExternalAccount, none, service_account::ServiceAccount, user::User,
};
use crate::{secret_file, types::SecretsError};

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

/// A token for what `file` holds. It is read each time, since somebody may renew it.
pub(super) async fn login(file: &Path, around: &Surroundings) -> Login {
    let text = secret_file::text_aside(file).await.map_err(none)?;
    let Kind { r#type } = parse(file, &text)?;
    match r#type.as_str() {
        "service_account" => parse::<ServiceAccount>(file, &text)?.login(around).await,
        "external_account" => parse::<ExternalAccount>(file, &text)?.login(around).await,
        "authorized_user" => parse::<User>(file, &text)?.login(around).await,
        _ => Err(none(format!(
            "{}: its type is none of service_account, external_account and authorized_user",
            file.display()
        ))),
    }
}

/// A wrong file is told by where it is wrong, not by what stands there.
fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, SecretsError> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        none(format!("{}: no such credentials at line {line}, column {column}", file.display()))
    })
}
