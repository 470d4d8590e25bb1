//! What a reader may rely on about the tree itself.

#![allow(missing_docs, reason = "tests are read, not linked to")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test of files needs no simulated clock"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// No Rust file is longer than this.
const LINES_MAX: usize = 800;

/// Words that belong to the machine that something was written on, not into the repository; in two
/// halves, so that this file holds none of them.
const FORBIDDEN: &[(&str, &str)] = &[
    ("../", "shared"),
    ("/work", "/main"),
    ("/work", "/shared"),
    ("/root", "/."),
    ("arti", "factory"),
    ("registry.", "npmjs"),
    ("index.", "crates.io"),
    ("files.", "pythonhosted"),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository exists")
}

/// Every file that git knows or would take.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(repository())
        .output()
        .expect("git runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).expect("UTF-8");
    let mut files: Vec<_> = names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect();
    files.retain(|path| repository().join(path).is_file());
    assert!(files.len() > 20, "the listing works: {}", files.len());
    files
}

fn read(path: &Path) -> String {
    let bytes = fs::read(repository().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

#[test]
fn the_layout_table_equals_the_tree() {
    let architecture = read(Path::new("docs/ARCHITECTURE.md"));
    let rows: BTreeSet<String> = architecture
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(path, _)| path.trim_end_matches('/').to_owned())
        .collect();
    assert!(
        rows.len() > 5,
        "docs/ARCHITECTURE.md has the table of directories"
    );
    for row in &rows {
        assert!(
            repository().join(row).exists(),
            "docs/ARCHITECTURE.md names `{row}`, which does not exist"
        );
    }
    let mut expected = BTreeSet::new();
    for file in files() {
        let top = file
            .components()
            .next()
            .expect("a component")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        // Tools insist on their dotted directories.
        if repository().join(&top).is_dir() && !top.starts_with('.') {
            expected.insert(top);
        }
        if file.file_name().is_some_and(|name| name == "Cargo.toml") {
            let directory = file
                .parent()
                .expect("a parent")
                .to_string_lossy()
                .into_owned();
            expected.insert(directory);
        }
    }
    expected.remove("");
    let missing: Vec<_> = expected.difference(&rows).collect();
    assert!(
        missing.is_empty(),
        "docs/ARCHITECTURE.md has no row for {missing:?}"
    );
}

#[test]
fn every_crate_has_a_readme_of_a_page() {
    let files = files();
    let manifests = files.iter().filter(|file| file.ends_with("Cargo.toml"));
    // A fuzz crate is part of the crate around it.
    for file in manifests.filter(|file| !file.ends_with("fuzz/Cargo.toml")) {
        let readme = file.with_file_name("README.md");
        let lines = read(&readme).lines().count();
        assert!(
            lines <= 120,
            "{} has {lines} lines; a page is enough",
            readme.display()
        );
    }
}

#[test]
fn rust_files_stay_short() {
    for file in files().iter().filter(|file| is(file, "rs")) {
        let lines = read(file).lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines: split it",
            file.display()
        );
    }
}

#[test]
fn nothing_is_left_over() {
    let leftovers = ["dbg", "todo", "unimplemented"].map(|name| format!("{name}!("));
    for file in files().iter().filter(|file| is(file, "rs")) {
        let text = read(file);
        for leftover in &leftovers {
            assert!(
                !text.contains(leftover),
                "{} contains {leftover}",
                file.display()
            );
        }
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let words: Vec<String> = FORBIDDEN
        .iter()
        .map(|(start, end)| format!("{start}{end}"))
        .collect();
    for file in files() {
        let text = read(&file);
        for word in &words {
            assert!(!text.contains(word), "{} contains {word}", file.display());
        }
    }
}

#[test]
fn the_checked_in_documents_are_the_generated_ones() {
    for name in ["streaming", "management"] {
        let output = Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(["openapi", name])
            .output()
            .expect("it runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        let path = format!("openapi/{name}.json");
        let checked_in = read(Path::new(&path));
        assert!(
            printed.trim_end() == checked_in.trim_end(),
            "{path} is old: run `make openapi`"
        );
    }
}

#[test]
fn decisions_are_numbered_and_listed() {
    let index = read(Path::new("docs/decisions/README.md"));
    let mut numbers = Vec::new();
    for file in files()
        .iter()
        .filter(|file| file.starts_with("docs/decisions"))
    {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if name == "README.md" {
            continue;
        }
        let number = name
            .get(..4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let number = number.unwrap_or_else(|| panic!("{name} is not named NNNN-*.md"));
        assert!(
            name[4..].starts_with('-') && is(file, "md"),
            "{name} is not named NNNN-*.md"
        );
        assert!(
            index.contains(&format!("({name})")),
            "docs/decisions/README.md does not link {name}"
        );
        numbers.push(number.to_owned());
    }
    let total = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), total, "no number twice");
    assert!(total > 0, "there are decisions");
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    let mut numbers: Vec<usize> = files()
        .iter()
        .filter(|file| file.starts_with("migrations/sqlite"))
        .map(|file| {
            let name = file
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let (number, rest) = name
                .split_once('_')
                .unwrap_or_else(|| panic!("{name} is not NNNN_name.sql"));
            assert!(
                number.len() == 4 && rest.ends_with(".sql"),
                "{name} is not NNNN_name.sql"
            );
            number
                .parse()
                .unwrap_or_else(|_| panic!("{name} is not NNNN_name.sql"))
        })
        .collect();
    numbers.sort_unstable();
    assert!(!numbers.is_empty(), "there are migrations");
    let expected: Vec<usize> = (1..=numbers.len()).collect();
    assert_eq!(numbers, expected);
}
