//! Which vault, as whom: the options that every client command has, and the client made of them.
//! Keeps S1: a token comes from a private file or the environment and goes into one header only.
//! Knows nothing of the commands.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use ureq::{
    Agent,
    http::{HeaderValue, Uri, uri::Authority},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};
use zeroize::Zeroizing;

use super::{client::Client, failure::Failure, private_file::read_private};

/// Where `covault dev` and a node listen unless told otherwise.
const USUAL_ADDRESS: &str = "http://127.0.0.1:8400";
/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Largest token file, in bytes.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;
/// Where systems keep the certificates they trust.
const SYSTEM_CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Which vault to talk to, and as whom.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// The vault's address. Else COVAULT_URL, else http://127.0.0.1:8400.
    #[arg(long, global = true)]
    url: Option<String>,
    /// A file with the token, readable by its owner only. Else COVAULT_TOKEN, else the file COVAULT_TOKEN_FILE.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The token itself. Other users of this machine can see it in the list of processes: better a file.
    #[arg(long, global = true)]
    token: Option<String>,
    /// Trust only the certificate authorities in this PEM file, for https with a private one. Else COVAULT_CA.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Give up after so many seconds without a whole answer.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// A client of a node of this machine that this very program has started.
pub fn local_client(url: String, token: String) -> Result<Client, Failure> {
    ConnectionArgs { url: Some(url), token_file: None, token: Some(token), ca: None, timeout: 30 }.client()
}

impl ConnectionArgs {
    /// The client these options ask for.
    ///
    /// # Errors
    /// When the address cannot be one, there is no token, or a file cannot be used.
    pub fn client(self) -> Result<Client, Failure> {
        let named =
            self.url.clone().or_else(|| Some(variable("COVAULT_URL")?.to_string_lossy().into_owned()));
        let base = named.as_deref().unwrap_or(USUAL_ADDRESS).trim_end_matches('/').to_owned();
        let uri = base.parse::<Uri>().unwrap_or_default();
        let host = uri.authority().map(Authority::as_str).unwrap_or_default();
        if host.contains('@') {
            return Err(Failure::usage("the address has a name or a password in it; a vault takes a token"));
        }
        let tls = match uri.scheme_str().filter(|_| !host.is_empty()) {
            Some("http") => TlsConfig::default(),
            Some("https") => TlsConfig::builder().root_certs(self.trusted()?).build(),
            _ => {
                return Err(Failure::usage(
                    "--url or COVAULT_URL needs one address of the form http://HOST:PORT or https://HOST:PORT",
                ));
            }
        };
        let authorization = authorization(&self.read_token()?)?;
        // No redirect and no proxy: a token goes to the named vault and nowhere else.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("covault/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .timeout_connect(Some(CONNECT_WAIT))
            .timeout_global(Some(Duration::from_secs(self.timeout)))
            .build();
        Ok(Client::new(config.into(), base, authorization))
    }

    fn read_token(&self) -> Result<Zeroizing<String>, Failure> {
        if let Some(token) = &self.token {
            return Ok(Zeroizing::new(token.clone()));
        }
        if let Some(path) = &self.token_file {
            return token_in(path);
        }
        if let Some(token) = variable("COVAULT_TOKEN") {
            return Ok(Zeroizing::new(token.to_string_lossy().into_owned()));
        }
        let path = variable("COVAULT_TOKEN_FILE").ok_or_else(|| {
            Failure::usage("no token: give --token-file FILE, or set COVAULT_TOKEN or COVAULT_TOKEN_FILE")
        })?;
        token_in(Path::new(&path))
    }

    fn trusted(&self) -> Result<RootCerts, Failure> {
        let of_environment =
            || variable("COVAULT_CA").or_else(|| variable("SSL_CERT_FILE")).map(PathBuf::from);
        let named = self.ca.clone().or_else(of_environment);
        let of_system = || SYSTEM_CERTIFICATES.iter().map(PathBuf::from).find(|path| path.exists());
        let Some(path) = named.or_else(of_system) else {
            return Err(Failure::usage("this system has no list of certificate authorities: give --ca FILE"));
        };
        let pem = fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Failure::new(
                "file_failed",
                format!("{} holds no certificate in PEM", path.display()),
            ));
        }
        Ok(RootCerts::new_with_certs(&certificates))
    }
}

/// What the environment has under this name; an empty text is as good as none.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|text| !text.is_empty())
}

fn token_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = read_private(path, TOKEN_FILE_BYTES_MAX)?;
    let text = str::from_utf8(&bytes)
        .map_err(|_| Failure::new("file_failed", format!("{} holds no token", path.display())))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn authorization(token: &str) -> Result<HeaderValue, Failure> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut header = HeaderValue::from_str(&text)
        .map_err(|_| Failure::usage("the token has a character that no token has"))?;
    header.set_sensitive(true);
    Ok(header)
}
