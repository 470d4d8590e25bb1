//! Starting, running and stopping a node.

use std::{
    io::Write,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use headwater_broker::{
    Clock, Cluster, Network, Node, NodeOptions, PartitionId, RegistryError, SingleNode,
    SystemClock, Tier, TierOptions,
    membership::{self, Member},
    rpc,
};
use headwater_log::{LogOptions, OpenError, RealDisk, Recovery};
use headwater_tiered::StoreOptions;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{
    cluster, exit, oidc,
    settings::{Mode, Settings, TierSettings, VARIABLES},
    tenant::{self, Credentials},
    tls::Listeners,
};
use crate::{
    auth::{
        Authority,
        jwks::Jwks,
        oidc::{Providers, SignIn},
        outbound::{Outbound, Reach},
    },
    gateway::{Budget, Gateway, Letters, Note, Notes},
    http::{self, App, Metrics, Server},
    limits::{IN_FLIGHT_BYTES_MAX, METADATA_POLL, PAGE_BYTES_MAX},
    metadata::{Catalog, ClusterRegistry, Store, StoreError},
    quota::AtLarge,
};

/// Runs a node until it is told to stop.
pub fn run(settings: Settings) -> ExitCode {
    if let Err(error) = settings.check() {
        return exit::usage(&error);
    }
    start_logging(&settings.log_level);
    warn_of_unknown_variables();
    // Every connection and every segment is a file.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Readers of cold segments; more of them only queue at the disk.
        .max_blocking_threads(32)
        .build();
    match runtime {
        Ok(runtime) => match runtime.block_on(serve(settings)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Stopped { code, message }) => exit::fail(code, &message),
        },
        Err(error) => exit::usage(&format!("the runtime cannot start: {error}")),
    }
}

/// How long a start waits for its partitions to be led.
const ELECTION_WAIT: Duration = Duration::from_secs(5);

/// Why the node does not run.
struct Stopped {
    code: u8,
    message: String,
}

impl Stopped {
    fn new(code: u8, message: impl std::fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

async fn serve(settings: Settings) -> Result<(), Stopped> {
    let tls = Listeners::open(&settings.tls).map_err(|error| Stopped::new(exit::USAGE, error))?;
    // Listening first: a taken port is told before anything is created.
    let server = match settings.is_gateway {
        true => Some(bind(settings.listen).await?.with_tls(tls.public.clone())),
        false => None,
    };
    let address = server.as_ref().map_or(settings.listen, Server::address);
    let secret = settings.cluster.secret_file.as_deref();
    let secret = secret
        .map(cluster::read_secret)
        .transpose()
        .map_err(|error| Stopped::new(exit::USAGE, format!("cluster_secret_file: {error}")))?;
    let providers = providers(&settings, address)?;
    let internal = match settings.internal_listen {
        Some(address) => Some(bind(address).await?.with_tls(tls.internal.clone())),
        None => None,
    };
    // A bad signal setup would make the node impossible to stop cleanly.
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|e| Stopped::new(exit::USAGE, e))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|e| Stopped::new(exit::USAGE, e))?;
    let mut looking = Vec::new();
    for tls in tls.all() {
        let hangup = signal(SignalKind::hangup()).map_err(|e| Stopped::new(exit::USAGE, e))?;
        looking.push(tokio::spawn(tls.follow(hangup)));
    }

    // The log's lock comes first: a second process on the directory must not touch anything in it.
    // Until the catalog is filled the node knows no topic, and leaves their data alone.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog = Arc::new(Catalog::default());
    let opened = match settings.broker_id {
        Some(number) => Some(open_node(&settings, number, clock.clone(), catalog.clone()).await?),
        None => None,
    };
    let metadata =
        |error: StoreError| Stopped::new(exit::METADATA, format!("metadata database: {error}"));
    let store = Store::open(&settings.database).await.map_err(metadata)?;
    let credentials = match settings.mode {
        Mode::Serve => None,
        Mode::Dev => {
            let url = format!("http://{}", address);
            let ensured = tenant::ensure(&store, &settings.data_dir, &url).await;
            Some(ensured.map_err(metadata)?)
        }
    };
    let identity = Arc::new(OnceLock::new());
    let network: Arc<dyn Network> = match &secret {
        Some(secret) => {
            let client = rpc::Client::new(
                catalog.clone(),
                identity.clone(),
                Some(secret.clone()),
                rpc::Deadlines::default(),
            );
            let tls = tls.internal.clone();
            Arc::new(client.with_encryption(tls.map(|tls| tls as Arc<dyn rpc::Encryption>)))
        }
        None => Arc::new(SingleNode),
    };
    let node = opened.as_ref().map(|(node, _)| node.clone());
    let known = match opened {
        Some((node, damaged)) => {
            let listens = internal.as_ref().map_or(address, Server::address);
            let member = Member {
                address: match &settings.cluster.advertise {
                    Some(address) => address.clone(),
                    None => listens.to_string(),
                },
                rack: settings.cluster.rack.clone(),
                renewals: settings.data_dir.join("renewals"),
                damaged,
                shared: store.is_shared(),
                on_replaced: Box::new(|| std::process::exit(i32::from(exit::REPLACED))),
            };
            let registry = Arc::new(ClusterRegistry::new(store.clone(), catalog.clone()));
            if let Some(tier) = &settings.tier {
                node.use_tier(open_tier(&settings, tier, store.clone())?);
            }
            join(&node, registry, network.clone(), member).await?
        }
        None => rpc::Identity {
            broker: 0,
            incarnation: 0,
            cluster_id: cluster_id(&store).await.map_err(metadata)?,
        },
    };
    // Set here alone.
    let _ = identity.set(known);
    let (drain, draining) = watch::channel(false);
    let reach = match settings.mode {
        Mode::Serve => Reach::Public,
        Mode::Dev => Reach::Insecure,
    };
    let outbound = outbound(reach)?;
    let (notes, unwritten) = Notes::new();
    let writing = tokio::spawn(unwritten.write(store.clone()));
    let authority = {
        let notes = notes.clone();
        let note_use = Box::new(move |used| notes.leave(Note::Used(used)));
        Authority::new(Jwks::new(outbound), note_use)
    };
    let gateway = Arc::new(Gateway {
        cluster: Cluster::new(node.clone(), network),
        catalog,
        store: store.clone(),
        authority,
        providers,
        notes: notes.clone(),
        reach,
        clock,
        at_large: AtLarge::default(),
        budget: Budget::new(IN_FLIGHT_BYTES_MAX),
        pages: Budget::new(PAGE_BYTES_MAX),
        draining,
        broker_id: settings.broker_id.unwrap_or(0),
        letters: crate::gateway::Writing::default(),
        usage_node: settings.broker_id.map_or_else(some_usage_node, i64::from),
    });
    let signing_key = gateway.authority.signing_key();
    let published = gateway.publish_signing_key(&signing_key).await;
    published.map_err(metadata)?;
    let dead_topics = gateway.catch_up().await.map_err(metadata)?;
    gateway.remove_topics(dead_topics).await;
    if let Some(node) = &node {
        node.use_letter_writer(Arc::new(Letters::written_by(gateway.clone())));
        node.until_it_leads(ELECTION_WAIT).await;
    }
    let following = tokio::spawn(gateway.clone().follow_metadata());
    let rotating = tokio::spawn(gateway.clone().rotate_signing_keys());
    let (stop_metering, stopped) = oneshot::channel();
    let metering = tokio::spawn(gateway.clone().write_usage(stopped));
    let app = App {
        metrics: Metrics::new(gateway.clone(), node.clone(), tls.all()),
        gateway,
        node: node.clone(),
    };
    announce(address, credentials.as_ref());
    tracing::info!(address = %address, data_dir = %settings.data_dir.display(), "listening");

    let stop = {
        let node = node.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(
                "stopping: others lead, requests in flight are answered, then the log is closed"
            );
            if let Some(node) = &node {
                node.leave().await;
            }
            drain.send_replace(true);
            if let Some(node) = &node {
                node.release_waiters();
            }
            drain
        }
    };
    // Health and metrics stay reachable while the public port drains, and so does this node for others.
    let (stop_internal, internal_stopped) = oneshot::channel::<()>();
    let internal = internal.map(|internal| {
        tracing::info!(
            address = %internal.address(),
            advertise = settings.cluster.advertise,
            rack = settings.cluster.rack,
            "listening for health and metrics"
        );
        let router = http::internal_router(app.clone());
        let internal = match &node {
            Some(node) => {
                let service = rpc::Service::new(node.clone(), node.clone(), identity, secret);
                internal.with_nodes(Arc::new(service))
            }
            None => internal,
        };
        tokio::spawn(internal.run(app.clone(), router, async move {
            // The sender is dropped instead of used.
            let _ = internal_stopped.await;
        }))
    });
    // The sender lives until the end: a dropped one would look like a change.
    let mut drained = None;
    match server {
        Some(server) => {
            let router = http::router(app.clone(), settings.internal_listen.is_none());
            let drain = async { drained = Some(stop.await) };
            server.run(app, router, drain).await;
        }
        None => drained = Some(stop.await),
    }
    drop(stop_internal);
    if let Some(internal) = internal
        && let Err(error) = internal.await
    {
        tracing::error!(%error, "the internal listener failed");
    }
    following.abort();
    rotating.abort();
    looking.iter().for_each(JoinHandle::abort);
    // What was used and refused last is written down too, while the log still tells what is stored; a
    // database that hangs has its time.
    drop(stop_metering);
    notes.leave(Note::Last);
    if let Err(error) = metering.await {
        tracing::error!(%error, "the last usage is not written down");
    }
    let close = move || node.map_or(Ok(()), |node| node.close());
    let closed = tokio::task::spawn_blocking(close).await;
    if let Err(error) = writing.await {
        tracing::error!(%error, "refused calls and used keys are not written down");
    }
    store.close().await;
    drop(drained);
    match closed {
        Ok(Ok(())) => {
            tracing::info!("stopped");
            Ok(())
        }
        Ok(Err(error)) => Err(Stopped::new(exit::DISK_FAILED, error)),
        Err(error) => Err(Stopped::new(exit::DISK_FAILED, error)),
    }
}

fn outbound(reach: Reach) -> Result<Outbound, Stopped> {
    Outbound::new(reach)
        .map_err(|error| Stopped::new(exit::USAGE, format!("HTTPS client: {error}")))
}

/// Through whom people sign in, if the operator says so. The operator's providers may be in a
/// private network, where tenants' issuers must not lead.
fn providers(settings: &Settings, address: SocketAddr) -> Result<Option<Providers>, Stopped> {
    let Some(path) = &settings.oidc_file else {
        return Ok(None);
    };
    let reach = match settings.mode {
        Mode::Serve => Reach::Private,
        Mode::Dev => Reach::Insecure,
    };
    let by_name = oidc::read_file(path, reach)
        .map_err(|error| Stopped::new(exit::USAGE, format!("oidc_file: {error}")))?;
    let public_url = settings.public_url.clone().unwrap_or_else(|| {
        if address.ip().is_unspecified() {
            tracing::warn!("identity providers cannot send anybody back: set public_url");
        }
        let scheme = match settings.tls.public {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{address}")
    });
    let sign_in = SignIn::new(Jwks::new(outbound(reach)?));
    Ok(Some(Providers::new(by_name, public_url, sign_in)))
}

async fn bind(address: SocketAddr) -> Result<Server, Stopped> {
    Server::bind(address)
        .await
        .map_err(|error| Stopped::new(exit::USAGE, format!("cannot listen on {address}: {error}")))
}

/// Makes the node's broker a member of the cluster; who it is then.
async fn join(
    node: &Arc<Node>,
    registry: Arc<ClusterRegistry>,
    network: Arc<dyn Network>,
    member: Member,
) -> Result<rpc::Identity, Stopped> {
    let joined = membership::join(node, registry, network, member).await;
    let registered = joined.map_err(|error| {
        let code = match error {
            RegistryError::Taken(_) => exit::REPLACED,
            RegistryError::Unavailable(_) => exit::METADATA,
        };
        Stopped::new(code, error)
    })?;
    Ok(rpc::Identity {
        broker: node.id(),
        incarnation: registered.incarnation,
        cluster_id: registered.cluster_id,
    })
}

/// The object store. It need not answer yet: what is not uploaded stays on the disk.
fn open_tier(settings: &Settings, tier: &TierSettings, manifest: Store) -> Result<Tier, Stopped> {
    let opened = headwater_tiered::Store::open(&tier.url, StoreOptions::default());
    let store =
        opened.map_err(|error| Stopped::new(exit::USAGE, format!("object_store: {error}")))?;
    tracing::info!(object_store = %store, "sealed segments go into the object store");
    let options = TierOptions {
        cache_dir: settings.data_dir.join("cache"),
        cache_bytes_max: tier.cache_bytes,
        upload_bytes_per_second: tier.upload_bytes_per_second,
        object_delete_delay: tier.object_delete_delay,
    };
    Ok(Tier::new(store, Arc::new(manifest), options))
}

/// The cluster's name, which the first broker makes.
async fn cluster_id(store: &Store) -> Result<String, StoreError> {
    let mut told = false;
    loop {
        if let Some(cluster_id) = store.cluster_id().await? {
            return Ok(cluster_id);
        }
        if !told {
            tracing::warn!("waiting for the first broker of the cluster");
            told = true;
        }
        tokio::time::sleep(METADATA_POLL).await;
    }
}

/// A number above those of brokers, for a process that is none.
fn some_usage_node() -> i64 {
    let random = uuid::Uuid::now_v7().as_u64_pair().1;
    (random >> 2) as i64 | 1 << 40
}

async fn open_node(
    settings: &Settings,
    number: u32,
    clock: Arc<dyn Clock>,
    catalog: Arc<Catalog>,
) -> Result<(Arc<Node>, Vec<PartitionId>), Stopped> {
    // Records, hashes and the secrets that sign cursors: for nobody else on the machine.
    let mut directory = std::fs::DirBuilder::new();
    directory.recursive(true).mode(0o700);
    directory.create(&settings.data_dir).map_err(|error| {
        Stopped::new(
            exit::DATA_DIR,
            format!("{}: {error}", settings.data_dir.display()),
        )
    })?;
    let options = NodeOptions {
        id: number,
        log: LogOptions::new(settings.data_dir.join("log")),
        maintenance_interval: settings.maintenance_interval,
        move_bytes_per_second: settings.cluster.move_bytes_per_second,
        lag_max: membership::LAG_MAX,
        on_failure: Box::new(|failure| {
            tracing::error!(%failure, "the log failed; the process ends so that nothing is acknowledged");
            // Not a panic: no destructor may touch the disk again, and the code has a name.
            std::process::exit(i32::from(exit::DISK_FAILED));
        }),
    };
    // Replaying what a crash left blocks; nothing is served before it is done.
    let opened =
        tokio::task::block_in_place(|| Node::open(options, Arc::new(RealDisk), clock, catalog));
    let (node, recovery) = opened.map_err(|error: OpenError| {
        Stopped::new(
            exit::DATA_DIR,
            format!("{}: {error}", settings.data_dir.display()),
        )
    })?;
    let replay_ms = recovery.replay_elapsed.as_millis() as u64;
    let Recovery {
        partitions,
        groups,
        journal_bytes,
        records,
        torn_bytes,
        ..
    } = recovery;
    tracing::info!(
        partitions,
        groups,
        journal_bytes,
        records,
        torn_bytes,
        replay_ms,
        rebuilt = recovery.rebuilt,
        "log opened"
    );
    let mut damaged = Vec::new();
    for (partition, from, to) in recovery.damaged {
        tracing::error!(%partition, from, to, "acknowledged records are damaged on this disk");
        damaged.push(partition);
    }
    for path in recovery.ignored {
        tracing::warn!(path = %path.display(), "not a file of the log; left alone");
    }
    Ok((node, damaged))
}

/// Tells a person at a terminal where the service is, with a line to paste.
fn announce(address: SocketAddr, credentials: Option<&Credentials>) {
    let Some(credentials) = credentials else {
        return;
    };
    let mut out = std::io::stdout().lock();
    // Nobody may be reading.
    let _ = writeln!(
        out,
        "Headwater listens on http://{address}\n  API reference  http://{address}/docs\n\n\
         export BASE={} AUTH='Authorization: Bearer {}'\n\
         curl -X PUT $BASE/topics/hello -H \"$AUTH\" -d '{{\"partitions\":3}}'\n",
        credentials.base_url, credentials.api_key,
    );
    let _ = out.flush(); // as above
}

fn start_logging(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn warn_of_unknown_variables() {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("HEADWATER_") && !VARIABLES.contains(&&*name) {
            tracing::warn!(%name, "unknown environment variable");
        }
    }
}
