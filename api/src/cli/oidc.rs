//! The operator's file of identity providers, and the address that they send browsers back to.

use std::{collections::BTreeMap, fs::File, io::Read, os::unix::fs::PermissionsExt, path::Path};

use zeroize::Zeroizing;

use crate::auth::{
    oidc::{Provider, read_providers},
    outbound::Reach,
};

/// A service's address, in bytes.
const PUBLIC_URL_BYTES_MAX: usize = 512;

/// Reads the file. One that has secrets and is for everybody to read is used, and warned of.
///
/// # Errors
/// One line that says what is wrong, without anything that the file says.
pub fn read_file(path: &Path, reach: Reach) -> Result<BTreeMap<String, Provider>, String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(|error| said(&error))?;
    let mode = file.metadata().map_err(|error| said(&error))?.permissions();
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)
        .map_err(|error| said(&error))?;
    let providers = read_providers(&text, reach).map_err(|error| said(&error))?;
    let has_secrets = providers
        .values()
        .any(|provider| provider.client_secret.is_some());
    if has_secrets && mode.mode() & 0o004 != 0 {
        tracing::warn!(path = %path.display(), "client secrets that everybody on this machine may read: chmod o-r");
    }
    Ok(providers)
}

/// Reads the service's own address: scheme, host and port. Answers it without a slash at its end.
///
/// # Errors
/// What is wrong with it.
pub fn public_url(text: &str) -> Result<String, String> {
    if text.len() > PUBLIC_URL_BYTES_MAX {
        return Err(format!("must have {PUBLIC_URL_BYTES_MAX} bytes at most"));
    }
    let url = Reach::Insecure.check_url(text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err("must be scheme, host and port alone, as https://streams.example.com".into());
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        for (text, expected) in [
            ("https://Streams.example.com", "https://streams.example.com"),
            (
                "https://streams.example.com/",
                "https://streams.example.com",
            ),
            (
                "https://streams.example.com:443",
                "https://streams.example.com",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            assert_eq!(public_url(text).unwrap(), expected);
        }
        let long = format!("https://{}.example", "a".repeat(600));
        for bad in [
            "",
            "streams.example.com",
            "ftp://streams.example.com",
            "https://streams.example.com/below",
            "https://streams.example.com/?a",
            "https://streams.example.com/#a",
            "https://user@streams.example.com",
            "https://user:secret@streams.example.com",
            &long,
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_file_is_told_by_its_name_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("oidc.toml");
        let error = read_file(&path, Reach::Private).unwrap_err();
        assert!(error.contains("oidc.toml"), "{error}");
        let good = "[corp]\nissuer = \"https://id.example\"\nclient_id = \"c\"\n";
        std::fs::write(&path, format!("{good}client_secret = \"s3cret\n")).unwrap();
        let error = read_file(&path, Reach::Private).unwrap_err();
        assert!(
            error.contains("oidc.toml: line 4:") && !error.contains("s3cret"),
            "{error}"
        );
        std::fs::write(&path, b"\xff").unwrap();
        assert!(read_file(&path, Reach::Private).is_err());
        std::fs::write(&path, good).unwrap();
        assert_eq!(read_file(&path, Reach::Private).unwrap().len(), 1);
    }
}
