//! `covault init`, and where master keys come from.
//! Knows nothing of how a cluster is made; `node` does.

use std::{
    io,
    path::{self, Component, Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use covault_model::name::CallerName;
use covault_seal::KeyringSource;
use serde_json::json;

use super::{failure::Failure, join::setting_of, output::Output, private_file::PrivateFile, serve};
use crate::{
    host::Machine,
    node::{DEFAULT_KEYRING_FILE, Node, NodeConfig, StartError},
};

const KEYS_VARIABLE: &str = "COVAULT_MASTER_KEYS";

/// Make the data of a new cluster of one node.
///
/// Makes the node's identity, a master keyring unless one is given, and the first admin, whose token is
/// shown once. The folder must be empty or not exist. Keep the keyring apart from the data: without it no
/// value can be read, and with it and the data all can.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault init --data /var/lib/covault\n  \
    covault init --data /var/lib/covault --key-file /etc/covault/master.keys --token-out admin.token")]
pub struct InitArgs {
    /// Where the data is to be.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// What the first admin is called.
    #[arg(long, value_name = "NAME", default_value = "admin", value_parser = CallerName::parse)]
    pub admin: CallerName,
    /// Write the admin's token to this file, readable by its owner only, instead of to stdout.
    #[arg(long, value_name = "FILE")]
    pub token_out: Option<PathBuf>,
    /// Where the master keys come from.
    #[command(flatten)]
    pub keys: KeySourceArgs,
}

/// Where the master keys come from: one place, `master.keys` in the data folder by default.
#[derive(Args, Clone)]
#[group(multiple = false)]
pub struct KeySourceArgs {
    /// This keyring file, readable by its owner only.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The environment variable COVAULT_MASTER_KEYS.
    #[arg(long)]
    pub key_env: bool,
    /// The service manager's credential `covault-master-keys`.
    #[arg(long)]
    pub key_credential: bool,
}

impl InitArgs {
    /// Makes the data and hands the token over.
    ///
    /// # Errors
    /// When there is data already, or it cannot be made.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        if self.data.join("data.mdb").exists() {
            let detail = format!("{} holds a vault already", self.data.display());
            return Err(Failure::new("vault_exists", detail).with_hint("run it with `covault node --config`"));
        }
        let token_place = self.token_place()?;
        let keyring = self.keys.source(&self.data);
        let config =
            NodeConfig { create: true, keyring, admin: self.admin.clone(), ..NodeConfig::at(&self.data) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
        let token = runtime.block_on(async {
            let started = Node::start(config, Arc::new(Machine)).await;
            let mut node = started.map_err(|error| self.not_made(&error))?;
            let founded = node.take_founded();
            node.stop().await;
            founded.ok_or_else(|| Failure::new("vault_exists", "this directory was founded before"))
        })?;
        let data = self.data.display();
        self.hand_over(output, token_place, &serve::token_text(&token.token)).map_err(|failure| {
            let lost = failure.token_lost(&format!("the admin token of a vault in {data}"));
            lost.with_hint(format!("remove {data} and make it anew"))
        })
    }

    /// Why there is no vault. What was made of it is in the way of another try.
    fn not_made(&self, error: &StartError) -> Failure {
        let failure = serve::cannot_start(error);
        if self.data.join("data.mdb").exists() {
            failure.with_hint(format!("remove {} before you try again", self.data.display()))
        } else {
            failure
        }
    }

    /// Makes sure of the token's place before there is one: it can be had once only.
    fn token_place(&self) -> Result<Option<TokenPlace>, Failure> {
        let Some(named) = &self.token_out else { return Ok(None) };
        let real = |path: &Path| real_path(path).map_err(|error| Failure::file("find", path, &error));
        let (path, data) = (real(named)?, real(&self.data)?);
        if data.starts_with(&path) {
            let detail = format!("{} is where the data is to be, and not its token", named.display());
            return Err(Failure::usage(detail));
        }
        if path.parent() == Some(&data) {
            return Ok(Some(TokenPlace::InData(path)));
        }
        PrivateFile::begin(&path).map(TokenPlace::Begun).map(Some)
    }

    fn hand_over(&self, output: &Output, place: Option<TokenPlace>, token: &str) -> Result<(), Failure> {
        let data = self.data.display();
        match (place, &self.token_out) {
            (Some(place), Some(path)) => {
                place.file()?.finish(token.as_bytes())?;
                output.note(&format!("made a vault in {data}; the admin token is in {}", path.display()));
            }
            _ => {
                let document = json!({ "admin": self.admin.as_str(), "token": token });
                output.answer(&document, || token.to_string())?;
                output.note(&format!("made a vault in {data}; above is the admin token, shown this once"));
            }
        }
        output.note(&format!(
            "to run it, start `covault node --config` with a file that says:\n\ndata = {}\n{}",
            setting_of(&self.data),
            self.keys.settings()
        ));
        Ok(())
    }
}

/// The file that the first admin's token goes into.
enum TokenPlace {
    /// One for which there is a place once the data is made around it.
    InData(PathBuf),
    /// One that is begun.
    Begun(PrivateFile),
}

impl TokenPlace {
    fn file(self) -> Result<PrivateFile, Failure> {
        match self {
            // The data was made just now, and what is there is a part of it.
            Self::InData(path) if path.exists() => {
                Err(Failure::new("file_exists", format!("{} is a file of the vault", path.display())))
            }
            Self::InData(path) => PrivateFile::begin(&path),
            Self::Begun(file) => Ok(file),
        }
    }
}

/// Where a path leads, however it is spelled. What is not there yet will be no link.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    for component in path::absolute(path)?.components() {
        match component {
            Component::ParentDir => drop(real.pop()),
            component => real.push(component),
        }
        real = real.canonicalize().unwrap_or(real);
    }
    Ok(real)
}

impl KeySourceArgs {
    /// What a configuration says of the same place.
    fn settings(&self) -> String {
        match (&self.key_file, self.key_env, self.key_credential) {
            (Some(path), ..) => format!("\n[keys]\nfile = {}\n", setting_of(path)),
            (None, true, _) => format!("\n[keys]\nenv = \"{KEYS_VARIABLE}\"\n"),
            (None, false, true) => "\n[keys]\ncredential = true\n".to_owned(),
            (None, false, false) => String::new(),
        }
    }

    fn source(&self, data: &Path) -> KeyringSource {
        match (&self.key_file, self.key_env, self.key_credential) {
            (Some(path), ..) => KeyringSource::File(path.clone()),
            (None, true, _) => KeyringSource::Environment(KEYS_VARIABLE.into()),
            (None, false, true) => KeyringSource::CredentialDirectory,
            (None, false, false) => KeyringSource::File(data.join(DEFAULT_KEYRING_FILE)),
        }
    }
}
