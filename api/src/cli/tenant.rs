//! The tenant that `headwater dev` makes for its user.

use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    auth::{ApiKey, generate_api_key, hash_password, random_password},
    metadata::{KeyRow, Kind, Store, StoreError, UserRow},
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

/// Name of the key in the file.
const KEY_NAME: &str = "default";

async fn create(store: &Store, credentials: &Credentials) -> Result<(), StoreError> {
    let key = ApiKey::parse(&credentials.api_key)
        .ok_or_else(|| StoreError("credentials.json: api_key is not a key".into()))?;
    let mut connection = store.connection().await?;
    if KeyRow::get(&mut connection, key.id).await?.is_some() {
        return Ok(()); // hashing a password takes its time
    }
    drop(connection);
    let now_ms = headwater_broker::Clock::now_ms(&headwater_broker::SystemClock);
    let mut change = store.change(now_ms).await?;
    let (email, password) = (credentials.email.as_str(), credentials.password.as_str());
    let created = change.provision(NAME, NAME, email, Some(password)).await;
    let created = created.map_err(|error| StoreError(error.to_string()))?;
    if created.is_none() {
        // The file was lost, the tenant was not: it gets what the new file says.
        if let Some(mut user) = UserRow::get(&mut change, email).await? {
            user.password_hash = hash_password(password);
            user.update(&mut change).await?;
        }
    }
    if let Some(lost) = KeyRow::named(&mut change, NAME, KEY_NAME).await? {
        KeyRow::delete(&mut change, &lost.id).await?;
        change.touch(Kind::Key, &lost.id).await?;
    }
    change.add_full_key(NAME, KEY_NAME, &key, email).await?;
    change.commit().await
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
