//! Settings of a node: flags over environment over file over defaults.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::{
    cluster::{self, ClusterSettings},
    tls::{TlsArgs, TlsSettings},
};

/// `headwater dev`
#[derive(Args)]
pub struct DevArgs {
    /// Where everything is kept
    #[arg(long, env = "HEADWATER_DATA_DIR", default_value = "./headwater-data")]
    data_dir: PathBuf,
    /// Address of the HTTP API
    #[arg(long, env = "HEADWATER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    common: CommonArgs,
}

/// `headwater serve`
#[derive(Args)]
pub struct ServeArgs {
    /// TOML file with the flags in snake_case as keys
    #[arg(long, env = "HEADWATER_CONFIG")]
    config: Option<PathBuf>,
    /// What this node does: gateway,broker or gateway alone
    #[arg(long, env = "HEADWATER_ROLES")]
    roles: Option<String>,
    /// This broker's number
    #[arg(long, env = "HEADWATER_BROKER_ID")]
    broker_id: Option<u32>,
    /// Public address: REST and documents
    #[arg(long, env = "HEADWATER_LISTEN")]
    listen: Option<SocketAddr>,
    /// Internal address: health, metrics and the other nodes of a cluster [default: 127.0.0.1:7070]
    #[arg(long, env = "HEADWATER_INTERNAL_LISTEN")]
    internal_listen: Option<SocketAddr>,
    /// File with the secret that the nodes of a cluster share; without one no other node is let in
    ///
    /// All nodes of a cluster have the same contents: at least 16 bytes, best random ones, such as by
    /// `openssl rand -hex 32 > cluster.secret`. Whitespace around them does not count. Only the
    /// service should be able to read the file. Nodes prove to each other that they know the secret
    /// and never send it; what they say after that is encrypted with --tls-internal-cert alone, so that
    /// without it their network must be private.
    #[arg(long, value_name = "PATH", env = "HEADWATER_CLUSTER_SECRET_FILE")]
    cluster_secret_file: Option<PathBuf>,
    /// Where the other nodes of a cluster reach this one's internal address
    ///
    /// A name or an address that leads here from their machines, and the port of --internal-listen,
    /// such as broker-1.internal:7070. Without it the internal address is told to them as it is, which
    /// does not do for 0.0.0.0 or 127.0.0.1.
    #[arg(long, value_name = "HOST:PORT", env = "HEADWATER_ADVERTISE", value_parser = cluster::address)]
    advertise: Option<String>,
    /// Where this node stands, such as its availability zone: copies are kept in different racks
    ///
    /// What fails together has the same name. Nodes without one count as a rack of their own each.
    #[arg(long, value_name = "NAME", env = "HEADWATER_RACK", value_parser = cluster::rack)]
    rack: Option<String>,
    /// How fast copies of partitions may move to this broker, in bytes a second [default: 104857600]
    ///
    /// By a drain or a rebalance. Copies that have to keep up with writes are not held back by it; one
    /// of a partition that is written to faster than this never arrives.
    #[arg(long, value_name = "BYTES", env = "HEADWATER_MOVE_BYTES_PER_SECOND")]
    move_bytes_per_second: Option<u64>,
    /// Where records are kept
    #[arg(long, env = "HEADWATER_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Metadata database: postgres://USER@HOST/NAME or sqlite://PATH
    #[arg(long, env = "HEADWATER_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Where sealed segments go: s3://BUCKET/PREFIX, file:///DIRECTORY or memory:
    ///
    /// All brokers of a cluster use the same one. Credentials, region and endpoint of S3 and what speaks
    /// like it come from the usual AWS_* variables; with AWS_ALLOW_HTTP=true an http:// endpoint is good.
    /// Without it records stay on brokers' disks.
    #[arg(
        long,
        value_name = "URL",
        env = "HEADWATER_OBJECT_STORE",
        hide_env_values = true
    )]
    object_store: Option<String>,
    /// How fast a broker may upload, in bytes a second; as fast as it can, if that is not said
    #[arg(long, value_name = "BYTES", env = "HEADWATER_UPLOAD_BYTES_PER_SECOND")]
    upload_bytes_per_second: Option<u64>,
    /// Bytes on the broker's disk that hold what was read from the object store [default: 1073741824]
    #[arg(long, value_name = "BYTES", env = "HEADWATER_CACHE_BYTES")]
    cache_bytes: Option<u64>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args, Default)]
struct CommonArgs {
    /// How often retention looks at the sealed segments, such as 500ms, 10s or 5m [default: 10s]
    #[arg(long, env = "HEADWATER_MAINTENANCE_INTERVAL", value_parser = crate::client::duration)]
    maintenance_interval: Option<Duration>,
    /// How long objects stay in the store after nothing refers to them [default: 10m]
    #[arg(long, env = "HEADWATER_OBJECT_DELETE_DELAY", value_parser = crate::client::duration)]
    object_delete_delay: Option<Duration>,
    /// error, warn, info, debug or trace; RUST_LOG says it by module [default: info]
    #[arg(long, env = "HEADWATER_LOG_LEVEL")]
    log_level: Option<String>,
    /// TOML file of the identity providers that people sign in through; absent, by password alone
    #[arg(long, env = "HEADWATER_OIDC_FILE")]
    oidc_file: Option<PathBuf>,
    /// How browsers reach the service, for identity providers [default: the listening address]
    #[arg(long, env = "HEADWATER_PUBLIC_URL", value_parser = super::oidc::public_url)]
    public_url: Option<String>,
}

/// Whether the node makes itself a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It creates a project and a key at the first start.
    Dev,
    /// It serves those that the database has.
    Serve,
}

/// A node's settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How it was started.
    pub mode: Mode,
    /// This broker's number; a gateway has none.
    pub broker_id: Option<u32>,
    /// Whether clients are served.
    pub is_gateway: bool,
    /// Public address.
    pub listen: SocketAddr,
    /// Internal address; `dev` has everything on one port.
    pub internal_listen: Option<SocketAddr>,
    /// Where records are kept.
    pub data_dir: PathBuf,
    /// The metadata database's URL.
    pub database: String,
    /// How often retention looks.
    pub maintenance_interval: Duration,
    /// The log's level.
    pub log_level: String,
    /// The file of the identity providers that people sign in through.
    pub oidc_file: Option<PathBuf>,
    /// How browsers reach the service, if that is not its own address: scheme, host and port.
    pub public_url: Option<String>,
    /// How it is one node of several.
    pub cluster: ClusterSettings,
    /// What its listeners do TLS with.
    pub tls: TlsSettings,
    /// The object store, if there is one.
    pub tier: Option<TierSettings>,
}

/// How the object store is used.
#[derive(Debug, Clone)]
pub struct TierSettings {
    /// Its URL; it holds no credentials.
    pub url: String,
    /// Bytes a second that are uploaded at most.
    pub upload_bytes_per_second: Option<u64>,
    /// Bytes of the cache.
    pub cache_bytes: u64,
    /// How long objects stay that nothing refers to.
    pub object_delete_delay: Duration,
}

const CACHE_BYTES: u64 = 1 << 30;
const OBJECT_DELETE_DELAY: Duration = Duration::from_secs(600);

const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(10);
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

impl Settings {
    /// The settings of `headwater dev`.
    pub fn of_dev(args: DevArgs) -> Self {
        Self {
            mode: Mode::Dev,
            broker_id: Some(1),
            is_gateway: true,
            listen: args.listen,
            internal_listen: None,
            database: format!("sqlite://{}", args.data_dir.join("metadata.db").display()),
            tier: Some(TierSettings {
                url: directory_url(&args.data_dir.join("objects")),
                upload_bytes_per_second: None,
                cache_bytes: CACHE_BYTES,
                object_delete_delay: args
                    .common
                    .object_delete_delay
                    .unwrap_or(OBJECT_DELETE_DELAY),
            }),
            data_dir: args.data_dir,
            maintenance_interval: args
                .common
                .maintenance_interval
                .unwrap_or(MAINTENANCE_INTERVAL),
            log_level: args.common.log_level.unwrap_or_else(|| "info".into()),
            oidc_file: args.common.oidc_file,
            public_url: args.common.public_url,
            cluster: ClusterSettings::default(),
            tls: TlsSettings::default(),
        }
    }

    /// The settings of `headwater serve`.
    ///
    /// # Errors
    /// One line that says what is wrong, and where.
    pub fn of_serve(args: ServeArgs) -> Result<Self, String> {
        let mut file = File::read(args.config.as_deref())?;
        let roles = args
            .roles
            .or(file.text("roles")?)
            .unwrap_or_else(|| "gateway,broker".into());
        let mut roles: Vec<_> = roles.split(',').map(str::trim).collect();
        roles.sort_unstable();
        let (is_gateway, is_broker) = match roles.as_slice() {
            ["broker", "gateway"] => (true, true),
            ["gateway"] => (true, false),
            ["broker"] => (false, true),
            _ => return Err("roles: gateway, broker, or gateway,broker".into()),
        };
        let default_listen = SocketAddr::from(([0, 0, 0, 0], 8080));
        let default_internal = SocketAddr::from(([127, 0, 0, 1], 7070));
        let data_dir = args.data_dir.or(file.text("data_dir")?.map(PathBuf::from));
        let database = args.database.or(file.text("database")?);
        // What a flag says is taken out of the file all the same: it is not unknown.
        let object_delete_delay = file.duration("object_delete_delay")?;
        let object_delete_delay = args.common.object_delete_delay.or(object_delete_delay);
        let upload_bytes_per_second = file.parsed("upload_bytes_per_second")?;
        let upload_bytes_per_second = args.upload_bytes_per_second.or(upload_bytes_per_second);
        let maintenance_interval = file.duration("maintenance_interval")?;
        let maintenance_interval = args.common.maintenance_interval.or(maintenance_interval);
        let cache_bytes = args.cache_bytes.or(file.parsed("cache_bytes")?);
        let url = args.object_store.or(file.text("object_store")?);
        let tier = url.filter(|_| is_broker).map(|url| TierSettings {
            url,
            upload_bytes_per_second,
            cache_bytes: cache_bytes.unwrap_or(CACHE_BYTES),
            object_delete_delay: object_delete_delay.unwrap_or(OBJECT_DELETE_DELAY),
        });
        let tls = TlsSettings::of(args.tls, |key| file.text(key))?;
        let settings = Self {
            mode: Mode::Serve,
            broker_id: match (args.broker_id.or(file.parsed("broker_id")?), is_broker) {
                (number, true) => Some(number.unwrap_or(1)),
                (None, false) => None,
                (Some(_), false) => return Err("broker_id: a gateway alone has none".into()),
            },
            is_gateway,
            tier,
            listen: args
                .listen
                .or(file.parsed("listen")?)
                .unwrap_or(default_listen),
            internal_listen: Some(
                args.internal_listen
                    .or(file.parsed("internal_listen")?)
                    .unwrap_or(default_internal),
            ),
            data_dir: match is_broker {
                true => data_dir.ok_or("data_dir: say where records are kept, by --data-dir")?,
                // It keeps none.
                false => data_dir.unwrap_or_default(),
            },
            database: database.ok_or("database: say where metadata is kept, by --database")?,
            maintenance_interval: maintenance_interval.unwrap_or(MAINTENANCE_INTERVAL),
            log_level: args
                .common
                .log_level
                .or(file.text("log_level")?)
                .unwrap_or_else(|| "info".into()),
            oidc_file: (args.common.oidc_file).or(file.text("oidc_file")?.map(PathBuf::from)),
            public_url: {
                let text = file.text("public_url")?;
                let read = text.map(|text| super::oidc::public_url(&text)).transpose();
                let read = read.map_err(|error| format!("public_url: {error}"))?;
                args.common.public_url.or(read)
            },
            cluster: ClusterSettings {
                secret_file: (args.cluster_secret_file)
                    .or(file.text("cluster_secret_file")?.map(PathBuf::from)),
                advertise: args
                    .advertise
                    .or(file.checked("advertise", cluster::address)?),
                rack: args.rack.or(file.checked("rack", cluster::rack)?),
                move_bytes_per_second: (args.move_bytes_per_second)
                    .or(file.parsed("move_bytes_per_second")?)
                    .unwrap_or(cluster::MOVE_BYTES_PER_SECOND),
            },
            tls,
        };
        file.nothing_left()?;
        database_url(&settings.database).map_err(|why| format!("database: {why}"))?;
        settings.check()?;
        Ok(settings)
    }

    /// Checks what every way to start has in common.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if !LEVELS.contains(&self.log_level.as_str()) {
            return Err(format!("log_level: must be one of {}", LEVELS.join(", ")));
        }
        if self.cluster.move_bytes_per_second == 0 {
            return Err("move_bytes_per_second: must be more than nothing".into());
        }
        if self.maintenance_interval.is_zero() {
            return Err("maintenance_interval: must be longer than nothing".into());
        }
        Ok(())
    }
}

/// The URL of an object store in a directory.
fn directory_url(directory: &std::path::Path) -> String {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    // A path may hold what a URL has a meaning for.
    url::Url::from_directory_path(absolute)
        .map_or_else(|()| "memory:".into(), |url| url.to_string())
}

/// The URL of a metadata database.
///
/// # Errors
/// It is of no engine that is known. The URL may hold a password and is not repeated.
pub fn database_url(text: &str) -> Result<String, String> {
    let engines = ["sqlite:", "postgres:", "postgresql:"];
    if engines.iter().any(|engine| text.starts_with(engine)) {
        return Ok(text.to_owned());
    }
    Err("must be a postgres:// or sqlite:// URL".into())
}

/// Settings from a TOML file, taken out one by one so that what is unknown is left over.
#[derive(Default)]
struct File {
    path: String,
    values: BTreeMap<String, toml::Value>,
}

impl File {
    fn read(path: Option<&std::path::Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        let values =
            toml::from_str(&text).map_err(|error| format!("{name}: {}", error.message()))?;
        Ok(Self { path: name, values })
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.values.remove(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(toml::Value::Integer(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(format!("{}: {key} must be a string", self.path)),
        }
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        key: &str,
    ) -> Result<Option<T>, String> {
        let path = self.path.clone();
        self.text(key)?
            .map(|text| {
                text.parse()
                    .map_err(|error: T::Err| format!("{path}: {key}: {error}"))
            })
            .transpose()
    }

    fn duration(&mut self, key: &str) -> Result<Option<Duration>, String> {
        let text = self.text(key)?;
        let read = text.map(|text| crate::client::duration(&text)).transpose();
        read.map_err(|error| format!("{key}: {error}"))
    }

    fn checked(
        &mut self,
        key: &str,
        check: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Option<String>, String> {
        let path = self.path.clone();
        let checked = self.text(key)?.map(|text| check(&text)).transpose();
        checked.map_err(|error| format!("{path}: {key}: {error}"))
    }

    fn nothing_left(&self) -> Result<(), String> {
        match self.values.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("{}: unknown setting {key}", self.path)),
        }
    }
}

/// The environment variables that mean something, for a warning about others.
pub const VARIABLES: [&str; 27] = [
    "HEADWATER_CONFIG",
    "HEADWATER_ROLES",
    "HEADWATER_BROKER_ID",
    "HEADWATER_LISTEN",
    "HEADWATER_INTERNAL_LISTEN",
    "HEADWATER_CLUSTER_SECRET_FILE",
    "HEADWATER_ADVERTISE",
    "HEADWATER_RACK",
    "HEADWATER_MOVE_BYTES_PER_SECOND",
    "HEADWATER_DATA_DIR",
    "HEADWATER_DATABASE",
    "HEADWATER_OBJECT_STORE",
    "HEADWATER_UPLOAD_BYTES_PER_SECOND",
    "HEADWATER_CACHE_BYTES",
    "HEADWATER_OBJECT_DELETE_DELAY",
    "HEADWATER_MAINTENANCE_INTERVAL",
    "HEADWATER_LOG_LEVEL",
    "HEADWATER_TLS_CERT",
    "HEADWATER_TLS_KEY",
    "HEADWATER_TLS_INTERNAL_CERT",
    "HEADWATER_TLS_INTERNAL_KEY",
    "HEADWATER_TLS_INTERNAL_CA",
    "HEADWATER_OIDC_FILE",
    "HEADWATER_PUBLIC_URL",
    "HEADWATER_URL",
    "HEADWATER_KEY",
    "HEADWATER_CA_FILE",
];
