//! Authorities, and certificates in files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

use crate::harness::unique;

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Issued {
    pub cert: String,
    pub key: String,
    pub der: Vec<u8>,
}

impl Authority {
    pub fn generate() -> Self {
        let mut params = CertificateParams::default();
        let name = unique("authority");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of this machine, for servers and clients.
    pub fn issue(&self) -> Issued {
        self.issue_with(&["127.0.0.1", "localhost"], |_| ())
    }

    /// One of these names, and with other particulars.
    pub fn issue_with(&self, names: &[&str], adapt: impl Fn(&mut CertificateParams)) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        adapt(&mut params);
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("a certificate");
        Issued {
            cert: made.pem(),
            key: key.serialize_pem(),
            der: made.der().to_vec(),
        }
    }
}

/// Files of a listener's TLS in a directory.
pub struct Files {
    pub directory: tempfile::TempDir,
}

impl Files {
    /// A certificate with its key and authority.
    pub fn of(authority: &Authority, issued: &Issued) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Self { directory };
        fs::write(files.path("ca.pem"), authority.pem()).expect("written");
        files.replace(issued);
        files
    }

    /// Another certificate with its key.
    pub fn replace(&self, issued: &Issued) {
        fs::write(self.path("key.pem"), &issued.key).expect("written");
        fs::write(self.path("cert.pem"), &issued.cert).expect("written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The settings of the public listener, by the names of their variables.
    pub fn public(&self) -> Vec<(&'static str, String)> {
        let text = |name: &str| text(&self.path(name));
        vec![
            ("HEADWATER_TLS_CERT", text("cert.pem")),
            ("HEADWATER_TLS_KEY", text("key.pem")),
        ]
    }

    /// The same of the internal one.
    pub fn internal(&self) -> Vec<(&'static str, String)> {
        let text = |name: &str| text(&self.path(name));
        vec![
            ("HEADWATER_TLS_INTERNAL_CERT", text("cert.pem")),
            ("HEADWATER_TLS_INTERNAL_KEY", text("key.pem")),
            ("HEADWATER_TLS_INTERNAL_CA", text("ca.pem")),
        ]
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path").to_owned()
}
