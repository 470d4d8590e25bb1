//! Being told of changes by Postgres, sooner than by asking. It is never relied on.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;

use super::Store;

/// Where changes are told of.
pub(super) const CHANNEL: &str = "headwater_changes";
/// How long a listener that failed waits before it tries again.
const RETRY: Duration = Duration::from_secs(2);

impl Store {
    /// Tells `told` whenever another process has changed something, for as long as it is awaited. On
    /// an engine that tells of nothing it only waits.
    pub async fn listen(&self, told: &Notify) {
        let Some(url) = &self.notices else {
            return std::future::pending().await;
        };
        loop {
            if let Err(error) = self.listen_once(url, told).await {
                tracing::debug!(%error, "changes are not told of; they are asked for");
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn listen_once(&self, url: &str, told: &Notify) -> sqlx::Result<()> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen(CHANNEL).await?;
        loop {
            match listener.try_recv().await? {
                // The own ones are known.
                Some(notice) if notice.payload() == &*self.notice => {}
                Some(_) => told.notify_one(),
                // The connection was lost, and with it what was told meanwhile.
                None => {
                    told.notify_one();
                    return Ok(());
                }
            }
        }
    }
}
