//! The settings of TLS.

use std::{path::PathBuf, sync::Arc};

use crate::tls::{Tls, TlsFiles};

/// The flags of TLS.
#[derive(clap::Args, Default)]
pub struct TlsArgs {
    /// Certificate of the public address: with one, clients speak TLS there and nothing else
    ///
    /// PEM: the certificate first, then those that lead to its authority's. It is looked at every few
    /// seconds, as the other files of TLS are, and at SIGHUP, so that a new one needs no restart; one that
    /// cannot be used changes nothing but the log and a metric.
    #[arg(long, value_name = "PATH", env = "HEADWATER_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// Private key of that certificate
    #[arg(long, value_name = "PATH", env = "HEADWATER_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Certificate of the internal address: with one, the nodes of a cluster speak TLS among themselves
    ///
    /// It names the host that --advertise names and is for servers and clients, because nodes show it in
    /// both directions. All nodes of a cluster have one, or none has. Health checks and metrics are on TLS
    /// then, too, and need no certificate.
    #[arg(long, value_name = "PATH", env = "HEADWATER_TLS_INTERNAL_CERT")]
    tls_internal_cert: Option<PathBuf>,
    /// Private key of that certificate
    #[arg(long, value_name = "PATH", env = "HEADWATER_TLS_INTERNAL_KEY")]
    tls_internal_key: Option<PathBuf>,
    /// Certificates of the authorities that the nodes' certificates are from; no other node is let in
    #[arg(long, value_name = "PATH", env = "HEADWATER_TLS_INTERNAL_CA")]
    tls_internal_ca: Option<PathBuf>,
}

/// The files of both listeners.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// Of the public one.
    pub public: Option<TlsFiles>,
    /// Of the internal one, where other nodes are let in by their certificates.
    pub internal: Option<TlsFiles>,
}

impl TlsSettings {
    /// Takes the flags, or else what `file` says to their names.
    ///
    /// # Errors
    /// One line, if a certificate comes without what belongs to it, or the file is wrong.
    pub fn of(
        args: TlsArgs,
        mut file: impl FnMut(&str) -> Result<Option<String>, String>,
    ) -> Result<Self, String> {
        let mut path = |flag: Option<PathBuf>, key: &str| -> Result<_, String> {
            // What a flag says is taken out of the file all the same: it is not unknown.
            let in_file = file(key)?.map(PathBuf::from);
            Ok(flag.or(in_file))
        };
        let public = (
            path(args.tls_cert, "tls_cert")?,
            path(args.tls_key, "tls_key")?,
        );
        let internal = (
            path(args.tls_internal_cert, "tls_internal_cert")?,
            path(args.tls_internal_key, "tls_internal_key")?,
            path(args.tls_internal_ca, "tls_internal_ca")?,
        );
        let public = match public {
            (Some(cert), Some(key)) => Some(TlsFiles {
                cert,
                key,
                ca: None,
            }),
            (None, None) => None,
            _ => return Err("tls_cert and tls_key: give both or none".into()),
        };
        let internal = match internal {
            (Some(cert), Some(key), Some(ca)) => Some(TlsFiles {
                cert,
                key,
                ca: Some(ca),
            }),
            (None, None, None) => None,
            _ => {
                return Err(
                    "tls_internal_cert, tls_internal_key and tls_internal_ca: give all or none"
                        .into(),
                );
            }
        };
        Ok(Self { public, internal })
    }
}

/// The TLS of both listeners, as far as there is any.
#[derive(Clone)]
pub struct Listeners {
    /// Of the public one.
    pub public: Option<Arc<Tls>>,
    /// Of the internal one.
    pub internal: Option<Arc<Tls>>,
}

impl Listeners {
    /// Reads all files.
    ///
    /// # Errors
    /// One line that says which file is wrong, and how.
    pub fn open(settings: &TlsSettings) -> Result<Self, String> {
        let open = |listener, setting, files: &Option<TlsFiles>| {
            let opened = files.clone().map(|files| Tls::open(listener, files));
            opened
                .transpose()
                .map_err(|error| format!("{setting}: {error}"))
        };
        Ok(Self {
            public: open("public", "tls", &settings.public)?,
            internal: open("internal", "tls_internal", &settings.internal)?,
        })
    }

    /// Those that there are.
    pub fn all(&self) -> Vec<Arc<Tls>> {
        [&self.public, &self.internal]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}
