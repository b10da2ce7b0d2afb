//! `Config`: everything that can be set about a server, and where it may be set: defaults < file < environment < flags.
//!
//! Each setting is one field of [`Settings`]; its name is the key in the file, the name of the flag (with dashes) and of
//! the environment variable (in capitals, after `QUORATE_`). This is the only place that reads the environment, once.

mod ensemble;
mod members;
mod nearest;
mod size;
mod tls;

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use quorate_replica::outbox::OutboxLimits;
use serde::Deserialize;
use thiserror::Error;

pub use self::ensemble::Ensemble;
pub use self::members::{MemberList, Place};
use self::nearest::nearest;
pub use self::size::Size;
pub use self::tls::{TlsSettings, door as door_files, proves_clients};
use crate::tls::DoorFiles;

/// How a variable that is meant for us begins.
const ENVIRONMENT_PREFIX: &str = "QUORATE_";

/// A request that takes so many milliseconds is slow, unless something else is said.
pub const SLOW_REQUEST_MS: u64 = 1_000;

/// A variable that differs from one of ours in so many letters is taken for a slip of the pen. Others are left alone:
/// test programs and container platforms have variables with our prefix, too.
const SLIP_MAX: usize = 2;

/// What can be set, as far as one source sets it.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A file with settings, in TOML: `key = value`, the keys named as the flags with `_` for `-`.
    #[arg(long, env = "QUORATE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where the data is [default: ./quorate-data]
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Address of the HTTP door: REST and server-sent events; port 0 is any free one [default: 127.0.0.1:7180]
    #[arg(long, env = "QUORATE_HTTP", value_name = "ADDRESS:PORT")]
    pub http: Option<String>,

    /// Address of the gRPC door; port 0 is any free one [default: 127.0.0.1:7181]
    #[arg(long, env = "QUORATE_GRPC", value_name = "ADDRESS:PORT")]
    pub grpc: Option<String>,

    /// This server's id among the members, 1 to 254
    #[arg(long, env = "QUORATE_SERVER_ID", value_name = "ID")]
    pub server_id: Option<u8>,

    /// The servers that the ensemble begins with, each `ID=HOST:PORT[:observer][;grpc=HOST:PORT][;http=HOST:PORT]`,
    /// separated by commas; in the file a line `member.ID = "HOST:PORT.."` for each
    #[arg(long, env = "QUORATE_MEMBER", value_name = "ID=HOST:PORT,..")]
    pub member: Option<MemberList>,

    /// Address of the door for the other servers [default: where `member` says that this server is]
    #[arg(long, env = "QUORATE_PEER", value_name = "ADDRESS:PORT")]
    pub peer: Option<String>,

    /// What the ensemble is called: servers of other ensembles are refused [default: quorate]
    #[arg(long, env = "QUORATE_CLUSTER_NAME", value_name = "NAME")]
    pub cluster_name: Option<String>,

    /// The ensemble is a new one: an empty data directory is its beginning, and not one that was lost. Only to be said
    /// here, and once: whatever says it at every start would one day say it of a lost disk
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip)]
    pub initialize: Option<bool>,

    /// The certificate of this server for the other ones, in PEM, followed by those between it and the authority
    #[arg(long, env = "QUORATE_PEER_TLS_CERT", value_name = "FILE")]
    pub peer_tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM
    #[arg(long, env = "QUORATE_PEER_TLS_KEY", value_name = "FILE")]
    pub peer_tls_key: Option<PathBuf>,

    /// The authority whose certificates other servers have to show, in PEM
    #[arg(long, env = "QUORATE_PEER_TLS_CA", value_name = "FILE")]
    pub peer_tls_ca: Option<PathBuf>,

    /// The certificate of the doors for clients, HTTP and gRPC, in PEM, followed by those between it and the authority:
    /// with it they speak TLS, and nothing else. Files that change are used without a restart
    #[arg(long, env = "QUORATE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM
    #[arg(long, env = "QUORATE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// The authority of the certificates by which clients prove who they are, in PEM
    #[arg(long, env = "QUORATE_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Whether clients need such a certificate [default: required, if there is an authority]
    #[arg(long, env = "QUORATE_TLS_CLIENT_AUTH", value_name = "WHETHER")]
    pub tls_client_auth: Option<ClientAuth>,

    /// The log tells of requests that take so many milliseconds or longer; 0 for none [default: 1000]
    #[arg(long, env = "QUORATE_SLOW_REQUEST_MS", value_name = "MS")]
    pub slow_request_ms: Option<u64>,

    /// How often a leader says that it lives, in milliseconds [default: 50]
    #[arg(long, env = "QUORATE_PING_MS", value_name = "MS")]
    pub ping_ms: Option<u64>,

    /// Leader and followers give each other up after so long a silence, in milliseconds [default: 500]
    #[arg(long, env = "QUORATE_SYNC_LIMIT_MS", value_name = "MS")]
    pub sync_limit_ms: Option<u64>,

    /// Stop when standard input ends: the process that started this one has ended then
    #[arg(long, env = "QUORATE_STOP_WITH_STDIN", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub stop_with_stdin: Option<bool>,

    /// Listen on other addresses than loopback although nobody has to prove who they are
    #[arg(long, env = "QUORATE_INSECURE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub insecure: Option<bool>,

    /// Origins whose pages may call from a browser, by HTTP and by gRPC-Web, each `https://HOST[:PORT]` [default: none]
    #[arg(long, env = "QUORATE_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN,..")]
    pub cors_origins: Option<Vec<String>>,

    /// How to print the bound addresses once every door serves [default: text]
    #[arg(long, env = "QUORATE_PRINT_ADDRESSES", value_name = "FORMAT")]
    pub print_addresses: Option<PrintAddresses>,

    /// What to log, to stderr: error, warn, info, debug, trace, or a list like `info,quorate=debug` [default: info]
    #[arg(long, env = "QUORATE_LOG", value_name = "LEVEL")]
    pub log: Option<String>,

    /// How to write the log [default: text]
    #[arg(long, env = "QUORATE_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Connections that each door serves at one time; more are closed at once [default: 20000]
    #[arg(long, env = "QUORATE_CONNECTIONS_MAX", value_name = "COUNT")]
    pub connections_max: Option<usize>,

    /// Memory for past changes, from which watches can resume [default: 16MiB]
    #[arg(long, env = "QUORATE_HISTORY_BYTES", value_name = "SIZE")]
    pub history_bytes: Option<Size>,

    /// A snapshot is written after so many txns ... [default: 500000]
    #[arg(long, env = "QUORATE_SNAPSHOT_RECORDS", value_name = "COUNT")]
    pub snapshot_records: Option<u64>,

    /// ... or after so many bytes of log, whatever comes first [default: 256MiB]
    #[arg(long, env = "QUORATE_SNAPSHOT_BYTES", value_name = "SIZE")]
    pub snapshot_bytes: Option<Size>,

    /// Size of one file of the log, 1MiB to 1GiB [default: 64MiB]
    #[arg(long, env = "QUORATE_SEGMENT_BYTES", value_name = "SIZE")]
    pub segment_bytes: Option<Size>,

    /// Memory for what one stream of a client has not read yet; beyond it the connection is closed [default: 16MiB]
    #[arg(long, env = "QUORATE_OUTBOX_BYTES", value_name = "SIZE")]
    pub outbox_bytes: Option<Size>,

    /// Memory for what one watch was not told yet; beyond it the watch is canceled and can resume [default: 1MiB]
    #[arg(long, env = "QUORATE_WATCH_BYTES", value_name = "SIZE")]
    pub watch_bytes: Option<Size>,

    /// A client that reads nothing of what it was sent for so many milliseconds loses its connection [default: 30000]
    #[arg(long, env = "QUORATE_READ_TIMEOUT_MS", value_name = "MS")]
    pub read_timeout_ms: Option<u64>,
}

/// How bound addresses are printed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PrintAddresses {
    /// One line each, with how to try it.
    #[default]
    Text,
    /// One JSON object on one line, and nothing after it.
    Json,
    /// Not at all.
    None,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object on each line.
    Json,
}

/// Whether clients prove who they are.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Whoever shows a certificate has to show one that holds.
    Optional,
    /// Nobody gets in without.
    #[default]
    Required,
}

/// All settings of a server, complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the data is.
    pub data_dir: PathBuf,
    /// Of the HTTP door.
    pub http: SocketAddr,
    /// Of the gRPC door.
    pub grpc: SocketAddr,
    /// The certificates of the doors; `None` where they do without.
    pub tls: Option<DoorFiles>,
    /// From when on the log tells of a request.
    pub slow_request: Duration,
    /// The other servers; `None` for a server that stands alone.
    pub ensemble: Option<Ensemble>,
    /// The server stops when its standard input ends.
    pub stop_with_stdin: bool,
    /// Doors may be reached from elsewhere: everybody has to prove who they are, or nobody has to and that is meant.
    pub is_open: bool,
    /// Origins whose pages may call, by HTTP and by gRPC-Web.
    pub cors_origins: Vec<String>,
    /// How bound addresses are printed.
    pub print_addresses: PrintAddresses,
    /// Which events are logged.
    pub log: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// Connections of each door.
    pub connections_max: usize,
    /// Of the watch history.
    pub history_bytes: usize,
    /// Txns between snapshots.
    pub snapshot_records: u64,
    /// Bytes of log between snapshots.
    pub snapshot_bytes: u64,
    /// Of one file of the log.
    pub segment_bytes: u64,
    /// Of what clients have not read.
    pub outbox: OutboxLimits,
    /// How long a client may read nothing.
    pub read_timeout: Duration,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or a value is not of its kind.
    #[error("in the configuration file {path}: {message}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// There is no such setting.
    #[error("in the configuration file {path}: there is no setting {key:?}; did you mean {nearest:?}?")]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The most similar one that there is.
        nearest: String,
    },
    /// An environment variable is almost one of ours.
    #[error("there is no setting for the environment variable {name}; did you mean {nearest}?")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The most similar one that there is.
        nearest: String,
    },
    /// A value makes no sense.
    #[error("{setting} cannot be {value}: {reason}")]
    Invalid {
        /// The name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// Why not, and what to do.
        reason: String,
    },
}

impl Settings {
    /// The complete configuration: these settings (of flags and environment), then the file that they name, then the
    /// defaults. `environment` is looked through for variables that are almost ours.
    ///
    /// # Errors
    /// [`ConfigError`] says which setting is wrong, and what to do.
    pub fn resolve(self, environment: impl Iterator<Item = OsString>) -> Result<Config, ConfigError> {
        check_environment(environment)?;
        let file = match &self.config {
            Some(path) => read_file(path)?,
            None => Settings::default(),
        };
        self.or(file).complete()
    }

    /// What `self` leaves unset is as in `other`.
    fn or(self, other: Settings) -> Settings {
        Settings {
            config: self.config.or(other.config),
            data_dir: self.data_dir.or(other.data_dir),
            http: self.http.or(other.http),
            grpc: self.grpc.or(other.grpc),
            server_id: self.server_id.or(other.server_id),
            member: self.member.or(other.member),
            peer: self.peer.or(other.peer),
            cluster_name: self.cluster_name.or(other.cluster_name),
            initialize: self.initialize.or(other.initialize),
            peer_tls_cert: self.peer_tls_cert.or(other.peer_tls_cert),
            peer_tls_key: self.peer_tls_key.or(other.peer_tls_key),
            peer_tls_ca: self.peer_tls_ca.or(other.peer_tls_ca),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_client_ca: self.tls_client_ca.or(other.tls_client_ca),
            tls_client_auth: self.tls_client_auth.or(other.tls_client_auth),
            slow_request_ms: self.slow_request_ms.or(other.slow_request_ms),
            ping_ms: self.ping_ms.or(other.ping_ms),
            sync_limit_ms: self.sync_limit_ms.or(other.sync_limit_ms),
            stop_with_stdin: self.stop_with_stdin.or(other.stop_with_stdin),
            insecure: self.insecure.or(other.insecure),
            cors_origins: self.cors_origins.or(other.cors_origins),
            print_addresses: self.print_addresses.or(other.print_addresses),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            connections_max: self.connections_max.or(other.connections_max),
            history_bytes: self.history_bytes.or(other.history_bytes),
            snapshot_records: self.snapshot_records.or(other.snapshot_records),
            snapshot_bytes: self.snapshot_bytes.or(other.snapshot_bytes),
            segment_bytes: self.segment_bytes.or(other.segment_bytes),
            outbox_bytes: self.outbox_bytes.or(other.outbox_bytes),
            watch_bytes: self.watch_bytes.or(other.watch_bytes),
            read_timeout_ms: self.read_timeout_ms.or(other.read_timeout_ms),
        }
    }

    fn complete(self) -> Result<Config, ConfigError> {
        use quorate_replica::limits;
        const MIB: u64 = 1024 * 1024;
        let tls = tls::door(TlsSettings::from(&self))?;
        let is_open = self.insecure.unwrap_or(false) || tls::proves_clients(tls.as_ref());
        let outbox = OutboxLimits::default();
        let bytes = |size: Option<Size>, default: usize| size.map_or(default, |size| size.0 as usize);
        let segment = self.segment_bytes.map_or(quorate_storage::log::SEGMENT_BYTES, |size| size.0);
        let watch_bytes_max = bytes(self.watch_bytes, outbox.watch_bytes_max);
        let bytes_max = bytes(self.outbox_bytes, outbox.bytes_max);
        check("segment_bytes", segment, (MIB..=1024 * MIB).contains(&segment), "it must be 1MiB to 1GiB")?;
        let connections_max = self.connections_max.unwrap_or(20_000);
        check("connections_max", connections_max, connections_max > 0, "nobody could connect")?;
        let snapshot_records = self.snapshot_records.unwrap_or(limits::SNAPSHOT_RECORDS);
        check("snapshot_records", snapshot_records, snapshot_records >= 1_000, "it must be at least 1000")?;
        let snapshot_bytes = self.snapshot_bytes.map_or(limits::SNAPSHOT_BYTES, |size| size.0);
        check("snapshot_bytes", snapshot_bytes, snapshot_bytes >= MIB, "it must be at least 1MiB")?;
        let read_timeout_ms = self.read_timeout_ms.unwrap_or(30_000);
        let patience = "it must be at least 1000, so that a client has time to read";
        check("read_timeout_ms", read_timeout_ms, read_timeout_ms >= 1_000, patience)?;
        let least = 2 * outbox.low_water_bytes;
        check("watch_bytes", watch_bytes_max, watch_bytes_max >= least, "it must be at least 256KiB")?;
        let room = "it must hold what two watches may have";
        check("outbox_bytes", bytes_max, bytes_max >= 2 * watch_bytes_max, room)?;
        let ensemble = Ensemble::of(&self)?;
        Ok(Config {
            ensemble,
            stop_with_stdin: self.stop_with_stdin.unwrap_or(false),
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("quorate-data")),
            http: address("http", self.http.as_deref().unwrap_or("127.0.0.1:7180"), is_open)?,
            grpc: address("grpc", self.grpc.as_deref().unwrap_or("127.0.0.1:7181"), is_open)?,
            is_open,
            tls,
            slow_request: slow_request(self.slow_request_ms.unwrap_or(SLOW_REQUEST_MS)),
            cors_origins: self.cors_origins.unwrap_or_default(),
            print_addresses: self.print_addresses.unwrap_or_default(),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log_format.unwrap_or_default(),
            connections_max,
            history_bytes: bytes(self.history_bytes, limits::HISTORY_BYTES),
            snapshot_records,
            snapshot_bytes,
            segment_bytes: segment,
            outbox: OutboxLimits { bytes_max, watch_bytes_max, ..outbox },
            read_timeout: Duration::from_millis(read_timeout_ms),
        })
    }
}

/// From when on a request is slow.
#[must_use]
pub fn slow_request(ms: u64) -> Duration {
    if ms == 0 { Duration::MAX } else { Duration::from_millis(ms) }
}

fn check(setting: &'static str, value: impl ToString, holds: bool, reason: &str) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Invalid { setting, value: value.to_string(), reason: reason.to_owned() })
}

/// Where a door is to be, if it may be there.
///
/// # Errors
/// [`ConfigError::Invalid`] for what is no address, or is one that others may reach where the door is not `is_open`.
pub fn address(setting: &'static str, text: &str, is_open: bool) -> Result<SocketAddr, ConfigError> {
    let invalid = |reason: String| ConfigError::Invalid { setting, value: text.to_owned(), reason };
    let mut addresses = text.to_socket_addrs().map_err(|error| invalid(format!("{error}; it must be ADDRESS:PORT")))?;
    let address = addresses.next().ok_or_else(|| invalid("that name has no address".to_owned()))?;
    if !address.ip().is_loopback() && !is_open {
        let reason = "anybody who reaches that address could read and change everything, because nobody has to prove who \
                      they are; give a loopback address, have them prove it (--tls-client-ca), or say --insecure if the \
                      network is trusted";
        return Err(invalid(reason.to_owned()));
    }
    Ok(address)
}

fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let malformed = |error: toml::de::Error| ConfigError::Malformed {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    };
    let table: toml::Table = text.parse().map_err(malformed)?;
    let known: Vec<String> = arguments().map(|(id, _)| id).filter(|id| id != "config").collect();
    for key in table.keys() {
        if !known.contains(key) {
            let nearest =
                nearest(key, known.iter().map(String::as_str)).map_or_else(String::new, |(name, _)| name.to_owned());
            return Err(ConfigError::UnknownKey { path: path.to_owned(), key: key.clone(), nearest });
        }
    }
    toml::from_str(&text).map_err(malformed)
}

fn check_environment(names: impl Iterator<Item = OsString>) -> Result<(), ConfigError> {
    let known: Vec<String> = arguments().map(|(_, variable)| variable).collect();
    for name in names {
        let Some(name) = name.to_str().filter(|name| name.starts_with(ENVIRONMENT_PREFIX)) else { continue };
        if known.iter().any(|known| known == name) {
            continue;
        }
        if let Some((nearest, distance)) = nearest(name, known.iter().map(String::as_str))
            && distance <= SLIP_MAX
        {
            return Err(ConfigError::UnknownVariable { name: name.to_owned(), nearest: nearest.to_owned() });
        }
    }
    Ok(())
}

/// Every setting: its key in the file, and its environment variable.
fn arguments() -> impl Iterator<Item = (String, String)> {
    let command = Settings::augment_args(clap::Command::new("serve"));
    let pairs: Vec<_> = command
        .get_arguments()
        .filter_map(|argument| {
            Some((argument.get_id().to_string(), argument.get_env()?.to_string_lossy().into_owned()))
        })
        .collect();
    pairs.into_iter()
}

#[cfg(test)]
mod tests;
