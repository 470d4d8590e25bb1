//! A server that is killed in the middle of an upload.

use headwater_tiered::SegmentKey;
use tokio::sync::watch;

use crate::proxy::{Fault, Proxy, Seen};
use crate::servers::{Kind, Server, store_at};
use crate::source::{Source, read_all, reader};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_saw_its_server_killed_can_be_done_again() {
    let mut server = Server::start(Kind::S3sFs).await;
    let proxy = Proxy::before(server.address).await;
    let mut options = headwater_tiered::StoreOptions::default();
    options.background.total = options.background.attempt;
    let store = store_at(proxy.address, "", options);
    let source = Source::dense(0, 40 << 20, 60_000);
    let key = SegmentKey::fresh(&source.descriptor);
    let part = |seen: &Seen| seen.method == "PUT" && seen.target.contains("partNumber");

    // Two parts pass, the others are held until the server has been killed and is back.
    let (go, held) = watch::channel(false);
    let mut parts = 0;
    proxy.rule(move |seen| {
        parts += usize::from(part(seen));
        (part(seen) && parts > 2).then(|| Fault::Hold(held.clone()))
    });
    let uploading = {
        let (store, descriptor, chunks) =
            (store.clone(), source.descriptor.clone(), source.chunks());
        tokio::spawn(async move { store.upload(&key, &descriptor, chunks, None).await })
    };
    proxy.until(3, part).await;
    server.kill();
    server.restart().await;
    proxy.heal();
    go.send(true).unwrap();
    let first = uploading.await.unwrap();

    // Whatever became of that one, the same name can be written again.
    let segment = store
        .upload(&key, &source.descriptor, source.chunks(), None)
        .await
        .unwrap();
    if let Ok(first) = first {
        assert_eq!(first, segment);
    }
    store.verify(&segment).await.unwrap();
    let (cold, _dir) = reader(&store, 8 << 20);
    assert!(read_all(&cold, &[segment], 0, 1 << 20).await == source.batches);
}
