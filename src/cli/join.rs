//! `covault join`. Keeps S1: the join token comes from a private file, a pipe or a prompt, never from the
//! command line. Knows nothing of how a node is taken in; `node` does.

use std::{
    io::{self, IsTerminal, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use covault_model::invitation::{JOIN_TOKEN_BYTES_MAX, JoinToken};
use serde_json::json;
use zeroize::Zeroizing;

use super::{failure::Failure, output::Output, private_file::read_private, terminal::Terminal};
use crate::{
    host::Machine,
    node::{JoinError, Joined, JoinedApi, QuicConfig, join, join_api},
};

/// Make a node that becomes a member of a cluster, or an API process that asks its nodes.
///
/// Makes the node's identity and asks the node that the join token names to take it in. Then bring the
/// cluster's master keyring, which is not sent, and start `covault node`: it catches up and becomes a voter.
/// With --api, and a token of `covault invite --api`, it makes the directory of `covault api`, which needs no keyring.
/// Cut off on the way, the same command goes on with the same token.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    covault join --data /var/lib/covault --token-file join.token --quic 10.0.0.2:8401 --config-out node.toml\n  \
    covault invite | ssh node2 covault join --data /var/lib/covault --quic 10.0.0.2:8401\n  \
    covault join --api --data /var/lib/covault-api --token-file api.token --config-out api.toml")]
pub struct JoinArgs {
    /// Where the data is to be.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Make an API process instead of a node.
    #[arg(long)]
    api: bool,
    /// A file with the join token, readable by its owner only; `-` is stdin. By default it is read from stdin
    /// when that is a pipe or a file, and else asked for without showing it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where to listen for HTTP; written to --config-out.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8400")]
    listen: SocketAddr,
    /// Where to listen for peers, UDP. An API process listens for none.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8401", conflicts_with = "api")]
    quic: SocketAddr,
    /// Where peers reach this node, when that is not where it listens.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "api")]
    advertise: Option<SocketAddr>,
    /// Write a configuration for `covault node`, or `covault api`, to this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    config_out: Option<PathBuf>,
}

impl JoinArgs {
    /// Joins, and says what is left to do.
    ///
    /// # Errors
    /// When the token is none, the cluster does not take the node in, or nobody answers.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        if let Some(path) = self.config_out.as_ref().filter(|path| path.exists()) {
            return Err(Failure::usage(format!("{} exists already; nothing was done", path.display())));
        }
        let token = self.read_token()?;
        let token = JoinToken::parse(token.trim())
            .ok_or_else(|| Failure::new("invitation_invalid", "what was given is not a join token"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new("cannot_join", error.to_string()))?;
        if self.api {
            let joined = runtime.block_on(join_api(&self.data, &token, Arc::new(Machine)));
            return self.tell_of_api(output, &joined.map_err(|error| failure(&error))?);
        }
        let quic = QuicConfig { advertise: self.advertise, ..QuicConfig::at(self.quic) };
        let joined = runtime.block_on(join(&self.data, &token, quic, Arc::new(Machine)));
        let joined = joined.map_err(|error| failure(&error))?;
        if let Some(path) = &self.config_out {
            write_config(path, &self.data, self.listen, Some(&joined.quic))?;
        }
        self.tell(output, &joined)
    }

    fn read_token(&self) -> Result<Zeroizing<String>, Failure> {
        let bytes = match &self.token_file {
            Some(path) if path == Path::new("-") => read_stdin()?,
            Some(path) => read_private(path, JOIN_TOKEN_BYTES_MAX as u64 + 1)?,
            None if io::stdin().is_terminal() => return Terminal::open()?.ask("Join token: "),
            None => read_stdin()?,
        };
        Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn tell(&self, output: &Output, joined: &Joined) -> Result<(), Failure> {
        let (node, members) = (joined.node.to_string(), joined.members);
        let document =
            json!({ "node": node, "members": members, "data": self.data, "config": self.config_out });
        output.answer(&document, || format!("{node} is taken in, one of {members} nodes"))?;
        let config = match &self.config_out {
            Some(path) => format!("`covault node --config {}`", path.display()),
            None => "`covault node` with a configuration that has [quic]".to_owned(),
        };
        output.note(&format!(
            "bring the cluster's master keyring, which is not sent: to {} unless [keys] says otherwise; \
             without it this node keeps what the others write and answers master_key_unavailable",
            self.data.join("master.keys").display()
        ));
        output.note(&format!("then start {config}: it catches up and becomes a voter"));
        Ok(())
    }
}

impl JoinArgs {
    fn tell_of_api(&self, output: &Output, joined: &JoinedApi) -> Result<(), Failure> {
        if let Some(path) = &self.config_out {
            write_config(path, &self.data, self.listen, None)?;
        }
        let (api, nodes) = (joined.id.to_string(), joined.nodes);
        let document = json!({ "api": api, "nodes": nodes, "data": self.data, "config": self.config_out });
        output.answer(&document, || format!("{api} is let in as an API process of {nodes} nodes"))?;
        let config = match &self.config_out {
            Some(path) => format!("`covault api --config {}`", path.display()),
            None => "`covault api` with a configuration that names its directory".to_owned(),
        };
        output.note(&format!("start {config}"));
        Ok(())
    }
}

fn read_stdin() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * JOIN_TOKEN_BYTES_MAX));
    let read = io::stdin().lock().take(JOIN_TOKEN_BYTES_MAX as u64 + 2).read_to_end(&mut bytes);
    read.map_err(|error| Failure::file("read", Path::new("stdin"), &error))?;
    Ok(bytes)
}

/// Why a node did not join, with what may help.
pub fn failure(error: &JoinError) -> Failure {
    let failure = Failure::new(error.code(), error.to_string());
    match error {
        JoinError::NoAnswer(..) => {
            failure.with_hint("is that node running, and is its UDP port open to this one?")
        }
        JoinError::Refused(_) => match error.code() {
            "invitation_invalid" => {
                failure.with_hint("it is unknown, used or expired: make another with `covault invite`")
            }
            "node_known" => {
                failure.with_hint(
                "another token let it in, which still works if the node has not run yet; else join in an empty directory: a \
                 node that was removed never comes back",
            )
            }
            _ => failure.with_hint("the same command goes on with the same token"),
        },
        _ => failure,
    }
}

/// A path as a configuration says it, wherever its file is.
pub fn setting_of(path: &Path) -> toml::Value {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    toml::Value::String(absolute.to_string_lossy().into_owned())
}

/// Writes the configuration of a node, or of an API process without `quic`, to a file that must not exist.
pub fn write_config(
    path: &Path,
    data: &Path,
    listen: SocketAddr,
    quic: Option<&QuicConfig>,
) -> Result<(), Failure> {
    let data = setting_of(data);
    let mut text = format!("data = {data}\nlisten = \"{listen}\"\n");
    if let Some(QuicConfig { listen, advertise, .. }) = quic {
        text += &format!("\n[quic]\nlisten = \"{listen}\"\n");
        text += &advertise.map_or(String::new(), |address| format!("advertise = \"{address}\"\n"));
    }
    let written =
        std::fs::File::create_new(path).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|error| Failure::file("write", path, &error))
}
