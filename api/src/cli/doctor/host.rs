//! The machine: open files, and addresses to listen on.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use super::report::Finding;
use crate::{auth::outbound::tls_client, limits::CONNECTIONS_MAX};

/// Open files that a busy node may want: its connections, and the segments of thousands of partitions.
const FILES_WANTED: u64 = 65_536;
/// Below this a node cannot have as many connections as it would take.
const FILES_NEEDED: u64 = CONNECTIONS_MAX as u64 + 2_048;
/// How long whoever has an address may take to say who it is.
const WHO_TIMEOUT: Duration = Duration::from_secs(3);

/// Looks how many files a process may have open.
pub fn open_files() -> Finding {
    match rlimit::Resource::NOFILE.get() {
        // The node raises the first to the second.
        Ok((_, most)) => files(most),
        Err(error) => Finding::failed("open_files", error.to_string(), "the system does not say"),
    }
}

fn files(most: u64) -> Finding {
    const CHECK: &str = "open_files";
    const ADVICE: &str =
        "raise it: `LimitNOFILE=1048576` in a unit of systemd, `ulimits` in a compose file";
    let found = format!("a process may have {most} files open");
    let finding = if most < FILES_NEEDED {
        Finding::failed(CHECK, found, ADVICE)
    } else if most < FILES_WANTED {
        Finding::warning(CHECK, found, ADVICE)
    } else {
        Finding::ok(CHECK, found)
    };
    finding.with("open_files_max", most as f64)
}

/// Looks whether a node can listen there, or does already.
pub async fn address(check: &'static str, address: SocketAddr, is_tls: bool) -> Finding {
    let Err(error) = TcpListener::bind(address) else {
        return Finding::ok(check, format!("{address} is free"));
    };
    if error.kind() == ErrorKind::AddrInUse {
        if is_node(address, is_tls).await {
            return Finding::ok(check, format!("a node listens on {address}"));
        }
        let port = address.port();
        return Finding::failed(
            check,
            format!("something else listens on {address}"),
            format!(
                "stop it (`ss -ltnp 'sport = :{port}'` says what it is), or choose another address"
            ),
        );
    }
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => {
            "ports below 1024 are for root: choose one above, or give the program CAP_NET_BIND_SERVICE"
        }
        _ => "choose an address of this machine, or 0.0.0.0 for all of them",
    };
    Finding::failed(check, format!("{address}: {error}"), advice)
}

/// Whether a node answers there. Nothing is told to whoever it is, so no certificate is asked for.
async fn is_node(mut address: SocketAddr, is_tls: bool) -> bool {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let client = tls_client(|builder| {
        builder
            .timeout(WHO_TIMEOUT)
            .no_proxy()
            .tls_danger_accept_invalid_certs(is_tls)
    });
    let Ok(client) = client else {
        return false;
    };
    let scheme = if is_tls { "https" } else { "http" };
    let url = format!("{scheme}://{address}/healthz");
    let Ok(answer) = client.get(url).send().await else {
        return false;
    };
    let body: Result<serde_json::Value, _> = answer.json().await;
    body.is_ok_and(|body| body["status"] == "ok")
}

#[cfg(test)]
mod tests {
    use super::{super::report::Status, *};

    #[test]
    fn few_open_files_are_told() {
        assert_eq!(files(1_048_576).status, Status::Ok);
        assert_eq!(files(20_000).status, Status::Warning);
        assert_eq!(files(1_024).status, Status::Failed);
    }
}
