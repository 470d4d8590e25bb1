use headwater_record::{JsonErrorKind, check_json};
use proptest::prelude::*;

use crate::oracle;
use crate::sample::{damage, damaged, json_value};

const DEPTH_MAX: usize = 64;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn accepts_all_json(value in json_value()) {
        prop_assert!(oracle::is_json(value.as_bytes()));
        prop_assert_eq!(check_json(value.as_bytes(), DEPTH_MAX), Ok(()));
    }

    #[test]
    fn agrees_with_serde_on_damaged_json(value in json_value(), damage in damage()) {
        let text = damaged(value.as_bytes(), &damage);
        let accepted = check_json(&text, DEPTH_MAX).is_ok();
        prop_assert_eq!(accepted, oracle::is_json(&text), "{:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(check_json(&text, DEPTH_MAX).is_ok(), oracle::is_json(&text));
    }
}

#[test]
fn depth_is_counted_from_the_value() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        let nested = |depth: usize| {
            let n = depth / levels;
            format!("{}1{}", open.repeat(n), close.repeat(n))
        };
        assert!(check_json(nested(64).as_bytes(), 64).is_ok());
        let error = check_json(nested(66).as_bytes(), 64).unwrap_err();
        assert_eq!(error.kind, JsonErrorKind::TooDeep);
        assert!(check_json(nested(128).as_bytes(), usize::MAX).is_ok());
        assert!(check_json(nested(130).as_bytes(), usize::MAX).is_err());
    }
    assert!(check_json(b"1", 0).is_ok());
    assert!(check_json(b"[]", 0).is_err());
    assert!(check_json(b"[[],[[]],{}]", 3).is_ok());
    assert!(check_json("[".repeat(1 << 20).as_bytes(), 64).is_err());
}

#[test]
fn faults_are_placed() {
    for (text, at) in [
        ("", 0),
        ("  nul", 2),
        ("01", 1),
        ("-", 1),
        ("1.", 2),
        ("1e+", 3),
        (r#""\x""#, 2),
        (r#""\u12g4""#, 5),
        ("\"a\nb\"", 2),
        ("\"open", 5),
        ("[1,]", 3),
        ("[1 2]", 3),
        (r#"{"a" 1}"#, 5),
        (r#"{"a":1,}"#, 7),
        ("{a:1}", 1),
        ("[1}", 2),
        ("1 1", 2),
        ("\u{feff}1", 0),
    ] {
        let error = check_json(text.as_bytes(), 64).unwrap_err();
        assert_eq!(
            (error.kind, error.at),
            (JsonErrorKind::Syntax, at),
            "{text}: {error}"
        );
        assert_eq!(error.pointer, "");
    }
    let error = check_json(b"[\"abc\xff\"]", 64).unwrap_err();
    assert_eq!((error.kind, error.at), (JsonErrorKind::InvalidUtf8, 5));
}
