//! Providers as the operator configures them.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use zeroize::Zeroize;

use crate::auth::{jwks::check_issuer, outbound::Reach};

/// A secret of the configuration: not shown, and wiped from memory when it is dropped.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A provider as the operator configures it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its table's name, which stands in URLs: 1 to 32 of a-z, 0-9 and `-`.
    #[serde(skip)]
    pub name: String,
    /// The issuer, exactly as its discovery document and tokens have it.
    pub issuer: String,
    /// What the provider knows this service by.
    pub client_id: String,
    /// Absent for a public client.
    pub client_secret: Option<Secret>,
    /// What is asked for, separated by spaces, `openid` among it.
    #[serde(default = "default_scopes")]
    pub scopes: String,
}

fn default_scopes() -> String {
    "openid email profile".to_owned()
}

/// Reads TOML with one table a provider.
///
/// # Errors
/// What is wrong with it, for the operator. Never holds a line of the file: it may have a secret.
pub fn read_providers(text: &str, reach: Reach) -> Result<BTreeMap<String, Provider>, String> {
    let mut providers: BTreeMap<String, Provider> = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        format!("line {line}: not a provider's table with its fields")
    })?;
    for (name, provider) in &mut providers {
        let character = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=32).contains(&name.len()) || !name.bytes().all(character) {
            return Err(format!("[{name}]: a name has 1 to 32 of a-z, 0-9 and -"));
        }
        check_issuer(reach, &provider.issuer).map_err(|why| format!("[{name}] issuer: {why}"))?;
        if provider.client_id.is_empty() {
            return Err(format!("[{name}] client_id: it is empty"));
        }
        if provider
            .client_secret
            .as_ref()
            .is_some_and(|s| s.0.is_empty())
        {
            return Err(format!("[{name}] client_secret: it is empty"));
        }
        if !provider.scopes.split(' ').any(|scope| scope == "openid") {
            return Err(format!("[{name}] scopes: `openid` is missing"));
        }
        provider.name.clone_from(name);
    }
    Ok(providers)
}
