//! Certificates: whether they can be used, for how long, and for which names.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{ServerName, UnixTime};
use webpki::EndEntityCert;

use super::report::Finding;
use crate::tls::{Loaded, TlsFiles};

/// A certificate that ends within this time should have been replaced.
const SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Looks at the certificate of a listener, which others reach under `name`.
pub fn check(check: &'static str, files: &TlsFiles, name: Option<&str>) -> Finding {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    check_at(check, files, name, since.map_or(0, |since| since.as_secs()))
}

fn check_at(check: &'static str, files: &TlsFiles, name: Option<&str>, now_s: u64) -> Finding {
    let path = files.cert.display();
    let loaded = match files.load() {
        Ok(loaded) => loaded,
        Err(why) => {
            let advice = "write the certificate, its chain and its key anew, as PEM";
            return Finding::failed(check, why, advice);
        }
    };
    let until = match jiff::Timestamp::from_second(loaded.not_after_s as i64) {
        Ok(until) => until.strftime("%Y-%m-%d").to_string(),
        Err(_) => "for ever".into(),
    };
    let finding = if now_s > loaded.not_after_s {
        let found = format!("{path} ended on {until}");
        Finding::failed(check, found, "replace it: that needs no restart")
    } else if now_s < loaded.not_before_s {
        let found = format!("{path} is not good yet");
        Finding::failed(check, found, "check this machine's clock, or wait")
    } else if let Err(why) = as_others_see_it(&loaded, name, now_s) {
        Finding::failed(
            check,
            format!("{path}: {why}"),
            "have one made that is of the listener's authority and has the name that others use",
        )
    } else if loaded.not_after_s - now_s < SOON.as_secs() {
        let found = format!("{path} ends on {until}");
        Finding::warning(check, found, "replace it soon: that needs no restart")
    } else {
        let found = match name {
            Some(name) => format!("{path} is good for {name} until {until}"),
            None => format!("{path} is good until {until}"),
        };
        Finding::ok(check, found)
    };
    finding.with("not_after_s", loaded.not_after_s as f64)
}

/// Checks the certificate as others do: of the internal listener those whom this node calls, and those
/// who call it by `name`.
fn as_others_see_it(loaded: &Loaded, name: Option<&str>, now_s: u64) -> Result<(), String> {
    let told = |error: rustls::Error| error.to_string();
    let server = name.map(|name| ServerName::try_from(name).map_err(|error| error.to_string()));
    let server = server.transpose()?;
    let Some((first, others)) = loaded.chain.split_first() else {
        return Err("no certificate is in it".into());
    };
    let Some(authorities) = &loaded.authorities else {
        // Who the public one's authority is, only clients know.
        let certificate = EndEntityCert::try_from(first).map_err(|error| error.to_string())?;
        return match (server, name) {
            (Some(server), Some(name)) => certificate
                .verify_is_valid_for_subject_name(&server)
                .map_err(|_| format!("it is not one of {name}")),
            _ => Ok(()),
        };
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
    let (roots, crypto) = (authorities.clone(), provider.clone());
    let called = WebPkiClientVerifier::builder_with_provider(roots, crypto).build();
    let called = called.map_err(|error| error.to_string())?;
    called
        .verify_client_cert(first, others, now)
        .map_err(told)?;
    let Some(server) = server else {
        return Ok(());
    };
    let caller = WebPkiServerVerifier::builder_with_provider(authorities.clone(), provider).build();
    let caller = caller.map_err(|error| error.to_string())?;
    let seen = caller.verify_server_cert(first, others, &server, &[], now);
    seen.map(drop).map_err(told)
}
