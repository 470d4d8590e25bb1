//! Names of objects, and URLs of stores.

use headwater_tiered::{SegmentKey, Store, StoreErrorKind, StoreOptions};
use proptest::prelude::*;

use crate::source::descriptor;

#[test]
fn a_key_is_as_it_is_documented() {
    let key = SegmentKey::with_random(&descriptor(17, 42), 0xabc);
    assert_eq!(
        key.to_string(),
        "segments/07070707070707070707070707070707/00004/\
         00000000000000000017-00000000000000000042-0000000005-0000000000000abc.segment"
    );
}

#[test]
fn foreign_keys_are_told_apart() {
    let key = SegmentKey::with_random(&descriptor(17, 42), 0xabc).to_string();
    for foreign in [
        String::new(),
        "headwater.json".to_owned(),
        key.replace(".segment", ""),
        key.replace("segments/", "segment/"),
        key.replace("0abc", "0ABC"),
        key.replace("00004", "4"),
        key.replace("00004", "+0004"),
        format!("{key}/"),
        format!("{key}.tmp"),
        format!("/{key}"),
    ] {
        assert_eq!(SegmentKey::parse(&foreign), None, "{foreign}");
    }
}

proptest! {
    #[test]
    fn keys_survive_being_written(base: u64, end: u64, epoch: u32, partition: u32, random: u64) {
        let mut described = descriptor(base, end);
        described.leader_epoch = epoch;
        described.partition = partition;
        let key = SegmentKey::with_random(&described, random);
        prop_assert_eq!(SegmentKey::parse(&key.to_string()), Some(key));
    }

    #[test]
    fn parsing_is_total(text in "(segments/)?[0-9a-f]{0,40}/[0-9+]{0,6}/[0-9a-f-]{0,80}(.segment)?|.*") {
        if let Some(key) = SegmentKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text);
        }
    }
}

#[test]
fn bad_urls_are_refused_in_one_line_without_secrets() {
    let open = |url: &str, settings: &[(&str, &str)]| {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let options = StoreOptions {
            settings: settings.collect(),
            ..StoreOptions::default()
        };
        let error = Store::open(url, options).expect_err(url);
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{url}");
        let text = error.to_string();
        assert!(!text.contains('\n') && !text.contains("hunter2"), "{text}");
        text
    };
    open("", &[]);
    open("bucket", &[]);
    open("s3://", &[]);
    open("s3:///prefix", &[]);
    open("memory:somewhere", &[]);
    open("file:relative", &[]);
    open("file://host/dir", &[]);
    open("s3://bucket?key=hunter2", &[]);
    open("s3://someone:hunter2@bucket/", &[]);
    assert!(open("ftp://bucket/", &[]).contains("s3://bucket/prefix"));
    let http = [
        ("aws_endpoint", "http://localhost:1"),
        ("aws_allow_http", "false"),
    ];
    assert!(open("s3://bucket", &http).contains("AWS_ALLOW_HTTP"));
    open(
        "s3://bucket",
        &[("aws_endpoint", "http://someone:hunter2@localhost")],
    );
    assert!(open("s3://bucket", &[("aws_no_such_thing", "hunter2")]).contains("aws_no_such_thing"));
    if cfg!(not(feature = "gcp")) {
        assert!(open("gs://bucket", &[]).contains("feature `gcp`"));
    }
    if cfg!(not(feature = "azure")) {
        assert!(open("az://container", &[]).contains("feature `azure`"));
    }
}

#[test]
fn debug_output_holds_no_secrets() {
    let options = StoreOptions {
        settings: vec![
            ("aws_access_key_id".to_owned(), "someone".to_owned()),
            ("aws_secret_access_key".to_owned(), "hunter2".to_owned()),
        ],
        ..StoreOptions::default()
    };
    let printed = format!("{options:?}");
    assert!(printed.contains("aws_secret_access_key") && !printed.contains("hunter2"));
    let store = Store::open("s3://bucket/prefix", options).unwrap();
    assert_eq!(format!("{store:?}"), "Store(s3://bucket/prefix)");
}
