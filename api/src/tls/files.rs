//! What is in the files of a listener's TLS.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};
use zeroize::Zeroizing;

/// The largest file that is read: thousands of certificates.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The first second after all that a certificate can name.
const AFTER_ALL_S: u64 = 253_402_300_800;

/// The files of one listener's TLS, all of them PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead from it to its authority's.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities that other nodes' certificates are from: of the internal listener alone.
    pub ca: Option<PathBuf>,
}

/// What a listener does TLS with.
pub struct Loaded {
    /// Of connections that come in.
    pub server: Arc<ServerConfig>,
    /// Of connections to other nodes.
    pub client: Option<Arc<ClientConfig>>,
    /// The certificate, and those that lead from it to its authority's.
    pub chain: Vec<CertificateDer<'static>>,
    /// The authorities that other nodes' certificates are from.
    pub authorities: Option<Arc<RootCertStore>>,
    /// The first second in which the certificate is good.
    pub not_before_s: u64,
    /// The last one.
    pub not_after_s: u64,
    /// Tells contents of files apart.
    pub digest: [u8; 32],
}

impl TlsFiles {
    /// Reads the files, and checks that they belong together.
    ///
    /// # Errors
    /// One line that says which file is wrong, and how. It holds nothing of a key.
    pub fn load(&self) -> Result<Loaded, String> {
        let (cert_pem, key_pem) = (read(&self.cert)?, read(&self.key)?);
        let ca_pem = self.ca.as_deref().map(read).transpose()?;
        let mut digest = Sha256::new();
        for pem in [Some(&cert_pem), Some(&key_pem), ca_pem.as_ref()] {
            let pem = pem.map_or(&[][..], |pem| pem.as_slice());
            digest.update((pem.len() as u64).to_be_bytes());
            digest.update(pem);
        }
        let chain = certificates(&self.cert, &cert_pem)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|error| told(&self.key, format!("no private key: {error}")))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(chain.clone(), key, &provider)
            .map_err(|error| told(&self.key, format!("not the certificate's key: {error}")))?;
        let (not_before_s, not_after_s) =
            validity(&chain[0]).map_err(|error| told(&self.cert, error))?;
        let authorities = match (&self.ca, &ca_pem) {
            (Some(path), Some(pem)) => Some(Arc::new(roots(path, pem)?)),
            _ => None,
        };
        let certified = Arc::new(SingleCertAndKey::from(certified));
        let configs = configs(provider, certified, authorities.clone());
        let (server, client) = configs.map_err(|error| told(&self.cert, error))?;
        Ok(Loaded {
            server,
            client,
            chain,
            authorities,
            not_before_s,
            not_after_s,
            digest: digest.finalize().into(),
        })
    }
}

type Configs = (Arc<ServerConfig>, Option<Arc<ClientConfig>>);

fn configs(
    provider: Arc<CryptoProvider>,
    certified: Arc<SingleCertAndKey>,
    authorities: Option<Arc<RootCertStore>>,
) -> Result<Configs, Box<dyn std::error::Error>> {
    let server = ServerConfig::builder_with_provider(provider.clone());
    let (mut server, client) = match authorities {
        None => {
            let server = server.with_safe_default_protocol_versions()?;
            let server = server.with_no_client_auth();
            (server.with_cert_resolver(certified), None)
        }
        Some(authorities) => {
            // Whoever shows a certificate shows a good one. Health checks and scrapers need none: other
            // nodes are told apart, and refused without one, by what they say first.
            let verifier =
                WebPkiClientVerifier::builder_with_provider(authorities.clone(), provider.clone())
                    .allow_unauthenticated()
                    .build()?;
            let server = server.with_protocol_versions(&[&TLS13])?;
            let server = server
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(certified.clone());
            let client = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&TLS13])?
                .with_root_certificates(authorities)
                .with_client_cert_resolver(certified);
            (server, Some(Arc::new(client)))
        }
    };
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(server), client))
}

fn told(path: &Path, why: impl std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| told(path, error))?;
    let mut file = file.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes)
        .map_err(|error| told(path, error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(told(path, format!("has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| told(path, format!("no certificate: {error}")))?;
    match found.is_empty() {
        true => Err(told(path, "no certificate is in it")),
        false => Ok(found),
    }
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| told(path, error))?;
    }
    Ok(roots)
}

/// The first and the last second in which a certificate is good.
fn validity(certificate: &CertificateDer<'_>) -> Result<(u64, u64), webpki::Error> {
    let certificate = EndEntityCert::try_from(certificate)?;
    // The library tells the dates in its refusals: too early before all time, and too late after it.
    let refusal_at = |time_s| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time_s));
        let usage = KeyUsage::server_auth();
        let checked =
            certificate.verify_for_usage(ALL_VERIFICATION_ALGS, &[], &[], time, usage, None, None);
        checked.err().unwrap_or(webpki::Error::UnknownIssuer)
    };
    let not_after_s = match refusal_at(AFTER_ALL_S) {
        webpki::Error::CertExpired { not_after, .. } => not_after.as_secs(),
        error => return Err(error),
    };
    let not_before_s = match refusal_at(0) {
        webpki::Error::CertNotValidYet { not_before, .. } => not_before.as_secs(),
        // It was good at the epoch already.
        _ => 0,
    };
    Ok((not_before_s, not_after_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_of_a_certificate_are_read() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap();
        for (from, to) in [(1990, 2030), (2020, 2049), (2051, 2090)] {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
            let made = params.clone().self_signed(&key).unwrap();
            let seconds = |date: &str| date.parse::<jiff::Timestamp>().unwrap().as_second() as u64;
            assert_eq!(
                validity(made.der()),
                Ok((
                    seconds(&format!("{from}-01-01T00:00:00Z")),
                    seconds(&format!("{to}-01-01T00:00:00Z"))
                ))
            );
        }
    }
}
