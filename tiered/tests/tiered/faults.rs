//! Networks and servers that fail: every call ends, with the right kind of error, and nothing wrong
//! is handed out or left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use headwater_tiered::{
    ReadError, SegmentKey, SegmentRef, Store, StoreErrorKind, StoreOptions, UploadError,
    VerifyError,
};
use tokio::sync::watch;

use crate::proxy::{Fault, Proxy, Seen};
use crate::servers::{Kind, SECRET, Server, impatient, store_at};
use crate::source::{Source, read_all, reader};

/// Long after every bound of a test has passed: whoever is still waiting then hangs.
const FOREVER: Duration = Duration::from_secs(60);

fn get(seen: &Seen) -> bool {
    seen.method == "GET" && seen.target.contains(".segment")
}

fn put(seen: &Seen) -> bool {
    seen.method == "PUT"
}

struct Fixture {
    server: Server,
    proxy: Proxy,
    /// Through the proxy. Its bounds are those of a service, which no slow machine reaches.
    store: Store,
}

impl Fixture {
    async fn new(kind: Kind) -> Self {
        let server = Server::start(kind).await;
        let proxy = Proxy::before(server.address).await;
        let store = store_at(proxy.address, "", StoreOptions::default());
        Self {
            server,
            proxy,
            store,
        }
    }

    async fn uploaded(&self, bytes: usize) -> (Source, SegmentRef) {
        let source = Source::dense(0, bytes, 30_000);
        let segment = source.upload(&self.server.store("")).await;
        (source, segment)
    }
}

/// One with bounds that pass within a test, and one whose tries end as soon, but that goes on for
/// longer than the faults do.
fn stores(proxy: &Proxy) -> (Store, Store) {
    let mut patience = impatient();
    patience.foreground.total = FOREVER;
    patience.background.total = FOREVER;
    let impatient = store_at(proxy.address, "", impatient());
    (impatient, store_at(proxy.address, "", patience))
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_end_in_time_and_succeed_when_it_is_over() {
    let fixture = Fixture::new(Kind::S3sFs).await;
    let (source, segment) = fixture.uploaded(1 << 20).await;
    let segments = [segment];
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Reset,
        Fault::Hang,
        Fault::HangAfterHead,
        Fault::CutBody,
        Fault::LoseAnswer,
        Fault::Delay(Duration::from_secs(5)),
    ];
    let reads = faults.map(|fault| reads_with(fault, &fixture.server, &source, &segments));
    futures_util::future::join_all(reads).await;
}

async fn reads_with(fault: Fault, server: &Server, source: &Source, segments: &[SegmentRef]) {
    let proxy = Proxy::before(server.address).await;
    let (store, patient) = stores(&proxy);
    // It lasts.
    let (cold, _dir) = reader(&store, 4 << 20);
    proxy.times(usize::MAX, fault.clone(), get);
    let read = tokio::time::timeout(FOREVER, cold.read(segments, 0, 1 << 20)).await;
    match read.expect("it ends") {
        Err(ReadError::Store(error)) => {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{fault:?}");
            assert!(!error.to_string().contains(SECRET));
        }
        other => panic!("{fault:?}: {other:?}"),
    }
    // It strikes twice and passes. Nothing of a failure is kept.
    let (fresh, _dir) = reader(&patient, 4 << 20);
    for cold in [cold, fresh] {
        let tries = async {
            proxy.times(2, fault.clone(), get);
            // An impatient reader may have to be asked again.
            while cold.read(segments, 0, 1).await.is_err() {}
            read_all(&cold, segments, 0, 300_000).await
        };
        let read = tokio::time::timeout(FOREVER, tries)
            .await
            .expect("it passes");
        assert!(read == source.batches, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_end_in_time_and_succeed_when_it_is_over() {
    let fixture = Fixture::new(Kind::S3sFs).await;
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Reset,
        Fault::Hang,
        Fault::LoseAnswer,
    ];
    // One request, and several.
    for bytes in [1 << 20, 18 << 20] {
        let source = Source::dense(0, bytes, 60_000);
        let uploads = faults
            .clone()
            .map(|fault| upload_with(fault, &fixture.server, &source));
        futures_util::future::join_all(uploads).await;
    }
}

async fn upload_with(fault: Fault, server: &Server, source: &Source) {
    let proxy = Proxy::before(server.address).await;
    let (store, patient) = stores(&proxy);
    let key = SegmentKey::fresh(&source.descriptor);
    let upload = async |store: &Store| {
        let upload = store.upload(&key, &source.descriptor, source.chunks(), None);
        tokio::time::timeout(FOREVER, upload)
            .await
            .expect("it ends")
    };
    proxy.times(usize::MAX, fault.clone(), put);
    match upload(&store).await {
        Err(UploadError::Store(error)) => {
            assert_eq!(
                error.kind(),
                StoreErrorKind::Unavailable,
                "{fault:?}: {error}"
            );
            assert!(!error.to_string().contains(SECRET));
        }
        other => panic!("{fault:?}: {other:?}"),
    }
    proxy.times(2, fault.clone(), put);
    let done = async {
        loop {
            match upload(&patient).await {
                Ok(segment) => break segment,
                // A busy machine made the server look hung.
                Err(UploadError::Store(error)) => {
                    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let segment = tokio::time::timeout(FOREVER, done)
        .await
        .expect("it passes");
    server.store("").verify(&segment).await.unwrap();
}

/// Beginning and finishing an upload in parts can fail, too, and finishing can have been applied.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_around_parts() {
    for kind in [Kind::S3sFs, Kind::Moto] {
        let fixture = Fixture::new(kind).await;
        let source = Source::dense(0, 17 << 20, 60_000);
        for (what, fits) in [
            (
                "begin",
                (|seen: &Seen| seen.method == "POST" && seen.target.contains("uploads"))
                    as fn(&Seen) -> bool,
            ),
            ("finish", |seen| {
                seen.method == "POST" && seen.target.contains("uploadId")
            }),
        ] {
            for fault in [Fault::LoseAnswer, Fault::Status(503), Fault::Reset] {
                fixture.proxy.times(1, fault.clone(), fits);
                let segment = source.upload(&fixture.store).await;
                fixture.proxy.heal();
                let verified = fixture.server.store("").verify(&segment).await;
                assert_eq!(verified, Ok(()), "{kind:?}, {what}, {fault:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_calls_end_too() {
    let fixture = Fixture::new(Kind::S3sFs).await;
    let (_, segment) = fixture.uploaded(1 << 20).await;
    let faults = [Fault::Status(503), Fault::Hang, Fault::Reset];
    let calls = faults.map(|fault| calls_with(fault, &fixture.server, &segment));
    futures_util::future::join_all(calls).await;

    // Two of five requests fail, and all succeeds in the end.
    let mut requests = 0;
    fixture.proxy.rule(move |_| {
        requests += 1;
        [Fault::Status(500), Fault::Reset]
            .get(requests % 5)
            .cloned()
    });
    let store = &fixture.store;
    store.claim("cluster").await.unwrap();
    store.verify(&segment).await.unwrap();
    assert_eq!(store.inspect(&segment.key).await.unwrap().segment, segment);
    let listed: Vec<_> = store.list().try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    store.delete(vec![segment.key.clone()]).await.unwrap();
    assert_eq!(store.verify(&segment).await, Err(VerifyError::Missing));
}

async fn calls_with(fault: Fault, server: &Server, segment: &SegmentRef) {
    let proxy = Proxy::before(server.address).await;
    let (store, _) = stores(&proxy);
    proxy.times(usize::MAX, fault.clone(), |_| true);
    let mut list = store.list();
    let calls = async {
        tokio::join!(
            store.verify(segment),
            store.inspect(&segment.key),
            store.claim("cluster"),
            store.delete(vec![segment.key.clone()]),
            list.try_next(),
        )
    };
    let ended = tokio::time::timeout(FOREVER, calls).await;
    let (verified, inspected, claimed, deleted, listed) = ended.expect("they end");
    let verified = match verified {
        Err(VerifyError::Store(error)) => error,
        other => panic!("{fault:?}: {other:?}"),
    };
    for error in [
        verified,
        inspected.unwrap_err(),
        claimed.unwrap_err(),
        deleted.unwrap_err(),
        listed.unwrap_err(),
    ] {
        assert_eq!(
            error.kind(),
            StoreErrorKind::Unavailable,
            "{fault:?}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_address() {
    let server = Server::start(Kind::S3sFs).await;
    let (address, mut server) = (server.address, server);
    server.kill();
    let error = store_at(address, "", impatient())
        .claim("cluster")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_and_not_told() {
    let server = Server::start(Kind::S3sFs).await;
    let wrong = "another-secret-that-no-message-holds";
    for (name, value) in [
        ("aws_secret_access_key", wrong),
        ("aws_access_key_id", "nobody"),
    ] {
        let mut options = StoreOptions::default();
        options.settings.push((name.to_owned(), value.to_owned()));
        let error = store_at(server.address, "", options)
            .claim("cluster")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
        assert!(!format!("{error} {error:?}").contains("no-message-holds"));
    }
}

/// The server is given the means to refuse what was damaged on its way.
#[tokio::test(flavor = "multi_thread")]
async fn writes_carry_checksums() {
    let fixture = Fixture::new(Kind::Moto).await;
    for bytes in [1 << 20, 9 << 20] {
        Source::dense(0, bytes, 60_000).upload(&fixture.store).await;
    }
    let checked = |seen: &Seen| put(seen) && seen.head.contains("\nx-amz-checksum-sha256: ");
    // The small one, and two parts.
    assert_eq!(
        (fixture.proxy.count(put), fixture.proxy.count(checked)),
        (3, 3)
    );
}

/// What was sent of an upload that failed or was given up is taken away again.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_parts_are_removed() {
    let fixture = Fixture::new(Kind::Moto).await;
    let source = Source::dense(0, 20 << 20, 60_000);
    let key = SegmentKey::fresh(&source.descriptor);
    let begun = |seen: &Seen| seen.method == "POST" && seen.target.contains("uploads");
    let aborted = |seen: &Seen| seen.method == "DELETE" && seen.target.contains("uploadId");

    // The local segment turns out to be rotten near its end.
    let mut data = source.data().to_vec();
    let at = data.len() - 100;
    data[at] ^= 1;
    let chunks = crate::source::chunks(data.into());
    let failed = fixture
        .store
        .upload(&key, &source.descriptor, chunks, None)
        .await;
    assert!(
        matches!(failed, Err(UploadError::Damaged { .. })),
        "{failed:?}"
    );
    assert_eq!(
        (fixture.proxy.count(begun), fixture.proxy.count(aborted)),
        (1, 1)
    );

    // The upload is dropped while parts are under way.
    fixture.proxy.times(usize::MAX, Fault::Hang, put);
    let store = fixture.store.clone();
    let (descriptor, chunks) = (source.descriptor.clone(), source.chunks());
    // A name of its own: parts of the first upload may still come.
    let key = SegmentKey::fresh(&descriptor);
    let name = key.to_string();
    let upload = tokio::spawn(async move { store.upload(&key, &descriptor, chunks, None).await });
    let part = |seen: &Seen| put(seen) && seen.target.contains(&name);
    fixture.proxy.until(1, part).await;
    upload.abort();
    assert!(upload.await.is_err());
    tokio::time::timeout(FOREVER, fixture.proxy.until(2, aborted))
        .await
        .expect("it is aborted");
    // Asked until the last abort is through.
    let none_left = async {
        while fixture
            .server
            .send("GET", "/headwater?uploads")
            .await
            .contains("<UploadId>")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(FOREVER, none_left)
        .await
        .expect("nothing is left");
    assert!(fixture.server.store("").list().next().await.is_none());
}

/// The read that began a request goes; those that wait for the same request have their bytes from it.
#[tokio::test(flavor = "multi_thread")]
async fn one_request_for_all_who_wait() {
    let fixture = Fixture::new(Kind::S3sFs).await;
    let (source, segment) = fixture.uploaded(200_000).await;
    let (cold, _dir) = reader(&fixture.store, 4 << 20);
    let cold = Arc::new(cold);
    let (go, held) = watch::channel(false);
    let index_read = AtomicBool::new(false);
    // The index passes, the data waits for a word.
    fixture.proxy.rule(move |seen| {
        (get(seen) && index_read.swap(true, Ordering::Relaxed)).then(|| Fault::Hold(held.clone()))
    });
    let read = || {
        let (cold, segment) = (cold.clone(), segment.clone());
        tokio::spawn(async move { cold.read(&[segment], 0, 1 << 20).await })
    };
    let first = read();
    fixture.proxy.until(2, get).await;
    first.abort();
    assert!(first.await.is_err());
    let others = [read(), read(), read()];
    // Each of them counts its block when it looks for it.
    while cold.stats().hits < 3 {
        tokio::task::yield_now().await;
    }
    go.send(true).unwrap();
    for other in others {
        assert!(other.await.unwrap().unwrap() == source.batches);
    }
    assert_eq!(
        fixture.proxy.count(get),
        2,
        "one for the index, one for the data"
    );
}

/// A request that fails fails for all who waited for it, and is not kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_request_fails_all_who_wait() {
    let fixture = Fixture::new(Kind::S3sFs).await;
    let (source, segment) = fixture.uploaded(200_000).await;
    let (cold, _dir) = reader(&fixture.store, 4 << 20);
    let segments = [segment];
    fixture.proxy.times(usize::MAX, Fault::Status(403), get);
    let reads = (0..5).map(|_| cold.read(&segments, 0, 1 << 20));
    let results = futures_util::future::join_all(reads).await;
    for result in results {
        match result {
            Err(ReadError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Denied),
            other => panic!("{other:?}"),
        }
    }
    fixture.proxy.heal();
    assert!(cold.read(&segments, 0, 1 << 20).await.unwrap() == source.batches);
}
