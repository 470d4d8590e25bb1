//! The tenant that `headwater dev` makes for its user.

use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    auth::{ApiKey, encode_hex, generate_api_key, hash_password, random_password, random_secret},
    metadata::{NewTenant, Store, StoreError},
};

const NAME: &str = "demo";
const EMAIL: &str = "demo@localhost";

/// What `credentials.json` holds.
#[derive(Serialize, Deserialize)]
pub struct Credentials {
    /// The project's base URL.
    pub base_url: String,
    /// The project's API key.
    pub api_key: String,
    /// Where the console is.
    pub console_url: String,
    /// The console user.
    pub email: String,
    /// The console user's password.
    pub password: String,
}

/// Creates organization, project, user and key at the first start; reads them back at others.
///
/// # Errors
/// The database failed, or `credentials.json` cannot be written or read.
pub async fn ensure(store: &Store, data_dir: &Path, url: &str) -> Result<Credentials, StoreError> {
    let path = data_dir.join("credentials.json");
    let failed = |error: &dyn std::fmt::Display| StoreError(format!("{}: {error}", path.display()));
    let base_url = format!("{url}/v1/projects/{NAME}");
    let console_url = format!("{url}/");
    if path.exists() {
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
        let stored: Credentials = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        let current = Credentials {
            base_url,
            console_url,
            ..stored
        };
        write(&path, &current).map_err(|error| failed(&error))?;
        create(store, &current).await?;
        return Ok(current);
    }
    let credentials = Credentials {
        base_url,
        api_key: generate_api_key(),
        console_url,
        email: EMAIL.into(),
        password: random_password(),
    };
    // Written before the database knows them: a crash in between leaves credentials that do not
    // work yet, and the next start creates exactly those.
    write(&path, &credentials).map_err(|error| failed(&error))?;
    create(store, &credentials).await?;
    Ok(credentials)
}

async fn create(store: &Store, credentials: &Credentials) -> Result<(), StoreError> {
    let key = ApiKey::parse(&credentials.api_key)
        .ok_or_else(|| StoreError("credentials.json: api_key is not a key".into()))?;
    if store.key(key.id).await?.is_some() {
        return Ok(()); // hashing a password takes its time
    }
    let now_ms = headwater_broker::Clock::now_ms(&headwater_broker::SystemClock);
    let tenant = NewTenant {
        organization: NAME,
        project: NAME,
        cursor_secret: encode_hex(&random_secret()),
        email: &credentials.email,
        password_hash: hash_password(&credentials.password),
        key_id: key.id.to_owned(),
        key_secret_sha256: encode_hex(&key.secret_sha256()),
        now_ms,
    };
    if !store.create_tenant(&tenant).await? {
        // The file was lost, the tenant was not: it gets what the new file says.
        store.replace_credentials(&tenant).await?;
    }
    Ok(())
}

/// Replaces the file as a whole, readable by its owner alone.
fn write(path: &Path, credentials: &Credentials) -> std::io::Result<()> {
    let new = path.with_extension("json.new");
    if new.exists() {
        std::fs::remove_file(&new)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&serde_json::to_vec(credentials)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(new, path)
}
