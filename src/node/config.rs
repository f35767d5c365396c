//! One checked configuration, from a TOML file or from a program. `docs/operations.md` lists every field.
//! Knows nothing of the command line.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use covault_model::{limits::VALUE_BYTES_MAX, name::CallerName};
use covault_seal::KeyringSource;
use covault_store::{PILE_MAX, WriterMode};
use serde::{Deserialize, de::DeserializeOwned};

use super::{error::ConfigError, keys::DEFAULT_KEYRING_FILE};
use crate::{consensus::ConsensusConfig, merge::Pace};

/// How a node is to run, without HTTP.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The data directory.
    pub data: PathBuf,
    /// Whether a directory without a vault becomes one.
    pub create: bool,
    /// What the first admin of a new vault is called.
    pub admin: CallerName,
    /// Where the master keyring is. With `create`, a keyring file that is absent is made.
    pub keyring: KeyringSource,
    /// Whether to start although the keyring is missing or wrong; values then answer 503.
    pub without_key: bool,
    /// The largest value taken, in bytes; at most 1 MiB.
    pub value_bytes_max: usize,
    /// How many values each caller may have tokenized and detokenized in a second; none for no bound.
    pub token_values_per_second: Option<u64>,
    /// The most the data file may grow to, in bytes.
    pub map_bytes: usize,
    /// Where the store's writes run.
    pub writer: WriterMode,
    /// Mappings that come before the store files them together.
    pub pile_max: usize,
    /// How agreement is run.
    pub consensus: ConsensusConfig,
    /// How often it looks for what it lacks of a peer that was there all along; a quarter more or less.
    pub search_every: Duration,
    /// Where peers reach this node; without it they cannot, and it stays alone.
    pub quic: Option<QuicConfig>,
}

/// Where a node listens for its peers, and what it tells them.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuicConfig {
    /// Where to listen, UDP; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where peers reach it; absent when that is where it listens.
    pub advertise: Option<SocketAddr>,
    /// The longest round trip between any two members, in milliseconds: from 1 to 300, the same on
    /// all of them. The farther they are apart, the longer they wait before they take a leader for dead.
    #[serde(default = "default_round_trip_ms")]
    pub round_trip_ms: u16,
}

/// How far apart members may be, in milliseconds there and back: half the way round the earth.
pub const ROUND_TRIP_MS_MAX: u16 = 300;

fn default_round_trip_ms() -> u16 {
    50
}

impl QuicConfig {
    /// The defaults, listening there.
    pub fn at(listen: SocketAddr) -> Self {
        Self { listen, advertise: None, round_trip_ms: default_round_trip_ms() }
    }

    /// Refuses what peers could not dial.
    pub(super) fn check(self) -> Result<Self, &'static str> {
        let told = self.advertise.unwrap_or(self.listen);
        if told.ip().is_unspecified() {
            return Err("quic.advertise must say where peers reach this node, since it listens everywhere");
        }
        if self.advertise.is_some_and(|address| address.port() == 0) {
            return Err("quic.advertise needs a port");
        }
        if !(1..=ROUND_TRIP_MS_MAX).contains(&self.round_trip_ms) {
            return Err("quic.round_trip_ms must be from 1 to 300");
        }
        Ok(self)
    }
}

/// What the first admin is called unless configured.
const FIRST_ADMIN: &str = "admin";
/// The most a data file may grow to unless configured: 64 GiB of address space.
const MAP_BYTES_DEFAULT: usize = 64 << 30;
/// What a caller may have tokenized and detokenized in a second unless configured, in values.
const TOKEN_VALUES_PER_SECOND: u64 = 1_000_000;
/// The least a data file may be allowed: 8 MiB.
const MAP_BYTES_MIN: usize = 8 << 20;

impl NodeConfig {
    /// The defaults, with everything in `data`.
    pub fn at(data: &Path) -> Self {
        Self {
            data: data.into(),
            create: false,
            admin: CallerName::parse(FIRST_ADMIN).expect("the first admin's name is a name"),
            keyring: KeyringSource::File(data.join(DEFAULT_KEYRING_FILE)),
            without_key: false,
            value_bytes_max: VALUE_BYTES_MAX,
            token_values_per_second: Some(TOKEN_VALUES_PER_SECOND),
            map_bytes: MAP_BYTES_DEFAULT,
            writer: WriterMode::Thread,
            pile_max: PILE_MAX,
            consensus: ConsensusConfig::default(),
            search_every: Pace::default().search,
            quic: None,
        }
    }

    /// Where the audit log is.
    pub fn audit_dir(&self) -> PathBuf {
        self.data.join("audit")
    }
}

/// How the HTTP interface is to run.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Certificate and key; without them HTTP is plain.
    pub tls: Option<TlsFiles>,
    /// Where plain HTTP is allowed.
    pub plain_http: PlainHttp,
    /// Connections served at once.
    pub connections_max: usize,
    /// How long one request may take.
    pub request_deadline: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8400),
            tls: None,
            plain_http: PlainHttp::Loopback,
            connections_max: 4096,
            request_deadline: Duration::from_secs(30),
        }
    }
}

/// PEM files of the HTTP interface.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Where plain HTTP is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainHttp {
    /// On loopback addresses only.
    #[default]
    Loopback,
    /// Anywhere: tokens and values cross the network readable.
    Anywhere,
}

/// How to log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// In which form.
    pub format: LogFormat,
    /// What: a `tracing` filter such as `info` or `covault=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info,openraft=off".into() }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A whole configuration file.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// The node.
    pub node: NodeConfig,
    /// Its HTTP interface.
    pub http: HttpConfig,
    /// Its log.
    pub log: LogConfig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    data: PathBuf,
    listen: Option<SocketAddr>,
    tls: Option<TlsFiles>,
    #[serde(default)]
    plain_http: PlainHttp,
    keys: Option<KeysText>,
    quic: Option<QuicConfig>,
    #[serde(default)]
    log: LogConfig,
    #[serde(default)]
    limits: LimitsText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysText {
    file: Option<PathBuf>,
    env: Option<String>,
    credential: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitsText {
    value_bytes_max: Option<usize>,
    map_bytes: Option<usize>,
    connections_max: Option<usize>,
    request_seconds: Option<u64>,
    token_values_per_second: Option<u64>,
}

/// A whole configuration file of an API process.
#[derive(Debug, Clone)]
pub struct ApiConfigFile {
    /// The directory that `covault join --api` made.
    pub data: PathBuf,
    /// Its HTTP interface.
    pub http: HttpConfig,
    /// The largest value taken, in bytes; at most 1 MiB.
    pub value_bytes_max: usize,
    /// Its log.
    pub log: LogConfig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiFileText {
    data: PathBuf,
    listen: Option<SocketAddr>,
    tls: Option<TlsFiles>,
    #[serde(default)]
    plain_http: PlainHttp,
    #[serde(default)]
    log: LogConfig,
    #[serde(default)]
    limits: ApiLimitsText,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ApiLimitsText {
    value_bytes_max: Option<usize>,
    connections_max: Option<usize>,
    request_seconds: Option<u64>,
}

impl ConfigFile {
    /// Reads and checks the file at `path`. Relative paths in it are relative to its directory.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        read(path, FileText::check)
    }
}

impl ApiConfigFile {
    /// As [`ConfigFile::read`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        read(path, ApiFileText::check)
    }
}

fn read<T: DeserializeOwned, C>(
    path: &Path,
    check: impl FnOnce(T, &Path) -> Result<C, &'static str>,
) -> Result<C, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|why| ConfigError::Unreadable(path.into(), why))?;
    let file = toml::from_str(&text).map_err(|error| ConfigError::Malformed {
        path: path.into(),
        place: error.span().map_or(String::new(), |span| {
            format!(":{}", 1 + text[..span.start.min(text.len())].matches('\n').count())
        }),
        what: error.message().to_owned(),
    })?;
    check(file, path.parent().unwrap_or(Path::new("."))).map_err(|what| ConfigError::Malformed {
        path: path.into(),
        place: String::new(),
        what: what.into(),
    })
}

/// What configuration files say of HTTP.
struct HttpText {
    listen: Option<SocketAddr>,
    tls: Option<TlsFiles>,
    plain_http: PlainHttp,
    connections_max: Option<usize>,
    request_seconds: Option<u64>,
}

impl HttpText {
    fn check(self, base: &Path) -> Result<HttpConfig, &'static str> {
        let default = HttpConfig::default();
        let seconds = self.request_seconds.map(Duration::from_secs);
        let http = HttpConfig {
            listen: self.listen.unwrap_or(default.listen),
            tls: self.tls.map(|tls| TlsFiles { cert: base.join(tls.cert), key: base.join(tls.key) }),
            plain_http: self.plain_http,
            connections_max: self.connections_max.unwrap_or(default.connections_max),
            request_deadline: seconds.unwrap_or(default.request_deadline),
        };
        if http.connections_max == 0 || http.request_deadline.is_zero() {
            return Err("limits.connections_max and limits.request_seconds must be at least 1");
        }
        Ok(http)
    }
}

fn check_value_bytes_max(told: Option<usize>) -> Result<usize, &'static str> {
    match told.unwrap_or(VALUE_BYTES_MAX) {
        bytes @ 1..=VALUE_BYTES_MAX => Ok(bytes),
        _ => Err("limits.value_bytes_max must be from 1 to 1048576"),
    }
}

impl ApiFileText {
    fn check(self, base: &Path) -> Result<ApiConfigFile, &'static str> {
        let Self { listen, tls, plain_http, limits, .. } = self;
        let (connections_max, request_seconds) = (limits.connections_max, limits.request_seconds);
        let http = HttpText { listen, tls, plain_http, connections_max, request_seconds };
        Ok(ApiConfigFile {
            data: base.join(&self.data),
            http: http.check(base)?,
            value_bytes_max: check_value_bytes_max(limits.value_bytes_max)?,
            log: self.log,
        })
    }
}

impl FileText {
    fn check(self, base: &Path) -> Result<ConfigFile, &'static str> {
        let mut node = NodeConfig::at(&base.join(&self.data));
        if let Some(keys) = self.keys {
            node.keyring = keys.source(base)?;
        }
        node.quic = self.quic.map(QuicConfig::check).transpose()?;
        node.value_bytes_max = check_value_bytes_max(self.limits.value_bytes_max)?;
        let pace = self.limits.token_values_per_second.unwrap_or(TOKEN_VALUES_PER_SECOND);
        node.token_values_per_second = Some(pace).filter(|pace| *pace != 0);
        node.map_bytes = self.limits.map_bytes.unwrap_or(node.map_bytes);
        if node.map_bytes < MAP_BYTES_MIN || !node.map_bytes.is_multiple_of(4096) {
            return Err("limits.map_bytes must be at least 8388608 and a multiple of 4096");
        }
        let http = HttpText {
            listen: self.listen,
            tls: self.tls,
            plain_http: self.plain_http,
            connections_max: self.limits.connections_max,
            request_seconds: self.limits.request_seconds,
        };
        Ok(ConfigFile { node, http: http.check(base)?, log: self.log })
    }
}

impl KeysText {
    fn source(self, base: &Path) -> Result<KeyringSource, &'static str> {
        match (self.file, self.env, self.credential.unwrap_or(false)) {
            (Some(file), None, false) => Ok(KeyringSource::File(base.join(file))),
            (None, Some(name), false) => Ok(KeyringSource::Environment(name)),
            (None, None, true) => Ok(KeyringSource::CredentialDirectory),
            _ => Err("keys must name exactly one of file, env and credential"),
        }
    }
}
