//! `headwater doctor`: what of a deployment has to be fixed, and how.

mod bucket;
mod certificates;
mod database;
mod disk;
mod host;
mod peers;
mod report;

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use headwater_broker::rpc;
use report::{Finding, Report};

use super::{
    exit,
    settings::{ServeArgs, Settings},
    tls::Listeners,
};
use crate::metadata::store::{Engine, Examined};

/// How long the database may take.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long everything else may take that is asked over a network.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// `headwater doctor`
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: ServeArgs,
}

/// Checks what a node with these settings needs, prints it, and ends with 1 if something must be fixed.
/// The node may be running.
pub async fn run(args: Args) -> ExitCode {
    let settings = match Settings::of_serve(args.node) {
        Ok(settings) => settings,
        Err(error) => return exit::usage(&error),
    };
    let report = Report::new(examine(&settings).await);
    let out = io::stdout().lock();
    let written = match args.json {
        true => report.write_json(out),
        false => report.write_text(out),
    };
    match written {
        Ok(()) if report.ok => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(exit::FINDINGS),
        Err(error) => exit::fail(exit::OUTPUT, &format!("cannot print findings: {error}")),
    }
}

async fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![host::open_files()];
    if settings.broker_id.is_some() {
        let data_dir = settings.data_dir.clone();
        let looked = tokio::task::spawn_blocking(move || disk::check(&data_dir)).await;
        findings.extend(looked.unwrap_or_else(|error| {
            let advice = "this is a fault of the program";
            vec![Finding::failed("data_dir", error.to_string(), advice)]
        }));
    }
    if settings.is_gateway {
        let is_tls = settings.tls.public.is_some();
        findings.push(host::address("listen", settings.listen, is_tls).await);
    }
    if let Some(address) = settings.internal_listen {
        let is_tls = settings.tls.internal.is_some();
        findings.push(host::address("internal_listen", address, is_tls).await);
    }
    findings.extend(certificates(settings));
    let asked = tokio::time::timeout(DATABASE_TIMEOUT, Examined::ask(&settings.database));
    let database = match asked.await {
        Ok(Ok(database)) => Some(database),
        Ok(Err(error)) => {
            findings.push(database::away(&settings.database, error));
            None
        }
        Err(_) => {
            findings.push(database::away(&settings.database, "no answer in time"));
            None
        }
    };
    if let Some(database) = &database {
        findings.extend(database::check(database));
    }
    if let Some(tier) = &settings.tier {
        let cluster_id = database.as_ref().and_then(|one| one.cluster_id.as_deref());
        let checked = bucket::check(&tier.url, cluster_id);
        findings.extend(within("object_store", checked).await);
    }
    findings.extend(within("peers", peers(settings, database.as_ref())).await);
    findings
}

/// Bounds a check that asks somebody else.
async fn within(check: &'static str, checking: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let checked = tokio::time::timeout(CHECK_TIMEOUT, checking).await;
    checked.unwrap_or_else(|_| {
        let advice = "check the network between this machine and what it needs";
        vec![Finding::failed(check, "no answer in time", advice)]
    })
}

fn certificates(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(files) = &settings.tls.public {
        let url = settings.public_url.as_deref();
        let url = url.and_then(|url| url::Url::parse(url).ok());
        let host = url.as_ref().and_then(url::Url::host_str);
        let host = host.map(bare);
        findings.push(certificates::check("certificate", files, host));
    }
    if let Some(files) = &settings.tls.internal {
        let listens = settings.internal_listen.map(|address| address.to_string());
        // Nobody dials a gateway.
        let is_dialled = settings.broker_id.is_some();
        let reached = settings.cluster.advertise.clone().or(listens);
        let reached = reached.filter(|_| is_dialled);
        let host = reached
            .as_deref()
            .and_then(|address| address.rsplit_once(':'));
        let host = host.map(|(host, _)| bare(host));
        findings.push(certificates::check("internal_certificate", files, host));
    }
    findings
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn peers(settings: &Settings, database: Option<&Examined>) -> Vec<Finding> {
    let Some(path) = settings.cluster.secret_file.as_deref() else {
        let others = database.is_some_and(|one| one.brokers.len() > 1);
        if !others && settings.broker_id.is_some() {
            return Vec::new();
        }
        return vec![Finding::failed(
            "cluster_secret",
            "there is none, and other nodes let nobody in without it",
            "give --cluster-secret-file the same contents as on the other nodes",
        )];
    };
    let (secret, found) = match peers::secret(path) {
        Ok(found) => found,
        Err(finding) => return vec![finding],
    };
    let mut findings = vec![found];
    let shared = database.filter(|one| one.engine == Engine::Postgres);
    // Certificates that cannot be used are told already.
    if let (Some(database), Ok(tls)) = (shared, Listeners::open(&settings.tls)) {
        let encryption = (tls.internal).map(|tls| tls as Arc<dyn rpc::Encryption>);
        let brokers = &database.brokers;
        let checked = peers::check(brokers, settings.broker_id, &secret, encryption);
        findings.extend(checked.await);
    }
    findings
}
