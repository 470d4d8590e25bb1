//! From a URL to a client.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};
use url::Url;

use super::StoreOptions;
use crate::error::StoreError;

/// A client, and the part of the store that is meant.
pub(super) struct Backend {
    pub objects: Arc<dyn ObjectStore>,
    pub multipart: MultipartBackend,
    pub prefix: Path,
    pub name: String,
}

/// How large objects are written.
#[derive(Clone)]
pub(super) enum MultipartBackend {
    /// In numbered parts, each of which can be sent again.
    Numbered(Arc<dyn MultipartStore>),
    /// In order, to a file that gets its name at the end.
    File(Arc<LocalFileSystem>),
}

pub(super) fn open(url: &str, options: &StoreOptions) -> Result<Backend, StoreError> {
    let parsed = Url::parse(url)
        .map_err(|error| StoreError::invalid(format!("no URL of an object store: {error}")))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(StoreError::invalid(
            "the URL of an object store holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(StoreError::invalid(
            "the URL of an object store ends with its path: no ? and no #",
        ));
    }
    let invalid = |why: &dyn fmt::Display| StoreError::invalid(format!("{url}: {why}"));
    let prefix = || Path::from_url_path(parsed.path()).map_err(|error| invalid(&error));
    match parsed.scheme() {
        "memory" if parsed.path().is_empty() && !parsed.has_host() => {
            let objects = Arc::new(InMemory::new());
            Ok(numbered(objects, Path::default(), url))
        }
        "memory" => Err(invalid(&"a store in memory has no path")),
        "file" => {
            if !url.starts_with("file:///") {
                return Err(invalid(&"write file:///directory, with three slashes"));
            }
            let objects = Arc::new(open_directory(&parsed).map_err(|error| invalid(&error))?);
            Ok(Backend {
                multipart: MultipartBackend::File(objects.clone()),
                objects,
                prefix: Path::default(),
                name: url.to_owned(),
            })
        }
        "s3" => {
            let bucket = bucket(&parsed)?;
            let objects = open_s3(bucket, options).map_err(|error| invalid(&error))?;
            Ok(numbered(objects, prefix()?, url))
        }
        #[cfg(feature = "gcp")]
        "gs" => {
            let objects = open_gcp(bucket(&parsed)?, options).map_err(|error| invalid(&error))?;
            Ok(numbered(objects, prefix()?, url))
        }
        #[cfg(feature = "azure")]
        "az" => {
            let objects = open_azure(bucket(&parsed)?, options).map_err(|error| invalid(&error))?;
            Ok(numbered(objects, prefix()?, url))
        }
        #[cfg(not(feature = "gcp"))]
        "gs" => Err(invalid(
            &"this build has no Google Cloud Storage: build it with the feature `gcp`",
        )),
        #[cfg(not(feature = "azure"))]
        "az" => Err(invalid(
            &"this build has no Azure Blob Storage: build it with the feature `azure`",
        )),
        other => Err(StoreError::invalid(format!(
            "{other}: is no object store: use s3://bucket/prefix, file:///directory or memory:"
        ))),
    }
}

fn numbered<S: ObjectStore + MultipartStore>(objects: Arc<S>, prefix: Path, url: &str) -> Backend {
    Backend {
        multipart: MultipartBackend::Numbered(objects.clone()),
        objects,
        prefix,
        name: url.to_owned(),
    }
}

fn bucket(url: &Url) -> Result<&str, StoreError> {
    url.host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| StoreError::invalid(format!("{url}: the bucket is missing")))
}

fn open_directory(url: &Url) -> Result<LocalFileSystem, String> {
    let directory = url
        .to_file_path()
        .map_err(|()| "it is no path of this system")?;
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    // Local copies of a segment go once it is uploaded: it has to survive a crash here, too.
    LocalFileSystem::new_with_prefix(directory)
        .map(|store| store.with_fsync(true))
        .map_err(|error| error.to_string())
}

fn open_s3(
    bucket: &str,
    options: &StoreOptions,
) -> Result<Arc<object_store::aws::AmazonS3>, StoreError> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(no_retries());
    for (key, value) in client_settings(options) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    builder = configure(builder, options, AmazonS3Builder::with_config)?;
    if builder
        .get_config_value(&AmazonS3ConfigKey::Checksum)
        .is_none()
    {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    let endpoint = builder
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    if let Some(endpoint) = endpoint {
        let allow_http = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
        let allow_http = builder.get_config_value(&allow_http).is_some_and(|value| {
            ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
        });
        check_endpoint(&endpoint, allow_http)?;
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(feature = "gcp")]
fn open_gcp(
    bucket: &str,
    options: &StoreOptions,
) -> Result<Arc<object_store::gcp::GoogleCloudStorage>, StoreError> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_retry(no_retries());
    for (key, value) in client_settings(options) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    builder = configure(builder, options, GoogleCloudStorageBuilder::with_config)?;
    Ok(Arc::new(builder.build()?))
}

#[cfg(feature = "azure")]
fn open_azure(
    container: &str,
    options: &StoreOptions,
) -> Result<Arc<object_store::azure::MicrosoftAzure>, StoreError> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(container)
        .with_retry(no_retries());
    for (key, value) in client_settings(options) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    builder = configure(builder, options, MicrosoftAzureBuilder::with_config)?;
    Ok(Arc::new(builder.build()?))
}

fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<(), StoreError> {
    let url = Url::parse(endpoint)
        .map_err(|error| StoreError::invalid(format!("AWS_ENDPOINT is no URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(StoreError::invalid("AWS_ENDPOINT holds no credentials"));
    }
    if url.scheme() == "http" && !allow_http {
        return Err(StoreError::invalid(
            "AWS_ENDPOINT is not encrypted: set AWS_ALLOW_HTTP=true if that is meant",
        ));
    }
    Ok(())
}

/// Applies the settings, which are those of this kind of store alone.
fn configure<B, K: FromStr>(
    builder: B,
    options: &StoreOptions,
    with: impl Fn(B, K, String) -> B,
) -> Result<B, StoreError> {
    options
        .settings
        .iter()
        .try_fold(builder, |builder, (name, value)| {
            let key = name
                .parse()
                .map_err(|_| StoreError::invalid(format!("{name} is no setting of this store")))?;
            Ok(with(builder, key, value.clone()))
        })
}

/// Bounds of the connection. A request is bounded where it is made; the client's own bound must
/// only not come before that.
fn client_settings(options: &StoreOptions) -> [(ClientConfigKey, String); 2] {
    let attempt = options.foreground.attempt.max(options.background.attempt);
    let connect = options.connect_timeout;
    [
        (
            ClientConfigKey::ConnectTimeout,
            format!("{}ms", connect.as_millis()),
        ),
        (
            ClientConfigKey::Timeout,
            format!("{}ms", attempt.as_millis()),
        ),
    ]
}

/// One try is ours to bound and to repeat, over all kinds of stores alike.
fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}
