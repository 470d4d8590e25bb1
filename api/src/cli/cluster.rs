//! What a node needs to be one of several.

use std::{os::unix::fs::PermissionsExt, path::Path};

use headwater_broker::rpc::Secret;

/// How a node is one of several; a node alone needs none of it.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// The file with the secret that the cluster's nodes share.
    pub secret_file: Option<std::path::PathBuf>,
    /// Where other nodes reach this one, `host:port`.
    pub advertise: Option<String>,
    /// Where the node stands.
    pub rack: Option<String>,
    /// How fast copies that move here may come, in bytes a second.
    pub move_bytes_per_second: u64,
}

/// Copies that move leave room on disks and networks for those that have to keep up.
pub const MOVE_BYTES_PER_SECOND: u64 = 100 << 20;

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            secret_file: None,
            advertise: None,
            rack: None,
            move_bytes_per_second: MOVE_BYTES_PER_SECOND,
        }
    }
}

/// Reads the cluster's secret.
///
/// # Errors
/// One line that says what is wrong with the file.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let told = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = std::fs::read(path).map_err(|error| told(&error))?;
    let mode = std::fs::metadata(path).map_err(|error| told(&error))?;
    if mode.permissions().mode() & 0o007 != 0 {
        tracing::warn!(
            path = %path.display(),
            "everybody on this machine may read or change the cluster's secret: chmod 600 it"
        );
    }
    Secret::new(&text).map_err(|error| told(&error))
}

/// Checks where other nodes are to reach this one.
///
/// # Errors
/// It is no `host:port` that another machine could use.
pub fn address(text: &str) -> Result<String, String> {
    let wrong = || "must be HOST:PORT, as other nodes reach this one".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let named = bare.is_none() && !host.is_empty() && !host.contains([':', '/', '@', ' ', '[']);
    let v6 = bare.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    if !(named || v6) || !port.parse::<u16>().is_ok_and(|port| port != 0) {
        return Err(wrong());
    }
    if matches!(host, "0.0.0.0" | "[::]") {
        return Err("0.0.0.0 and [::] are where a node listens, not where others reach it".into());
    }
    Ok(text.to_owned())
}

/// Checks the name of a rack.
///
/// # Errors
/// It is empty, or too long to be a name.
pub fn rack(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 100 || text.contains(char::is_control) {
        return Err("must be a name of at most 100 bytes".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_others_can_use() {
        for good in ["broker-1.internal:7070", "10.0.0.4:7070", "[fd00::1]:7070"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in [
            "broker-1",
            ":7070",
            "broker-1:",
            "broker-1:0",
            "broker-1:70700",
            "fd00::1:7070",
            "http://b:1",
            "0.0.0.0:7070",
            "[::]:7070",
            "[fd00:1",
            "",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_long_and_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        assert!(read_secret(&path).unwrap_err().contains("secret: "));
        std::fs::write(&path, "  fifteen bytes..  \n").unwrap();
        assert!(read_secret(&path).unwrap_err().contains("16 bytes"));
        std::fs::write(&path, "sixteen bytes...\n").unwrap();
        assert_eq!(format!("{:?}", read_secret(&path).unwrap()), "Secret");
    }

    #[test]
    fn a_rack_has_a_name() {
        assert_eq!(rack(" eu-1a ").as_deref(), Ok("eu-1a"));
        assert!(rack(" ").is_err() && rack("a\nb").is_err());
    }
}
