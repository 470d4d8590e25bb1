//! A real identity provider, as a process: the npm package `oidc-provider`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::harness::free_port;

/// What the provider knows the client `headwater` by.
pub const SECRET: &str = "a secret of the tests";

/// A provider on a port of its own. Dropping it ends it.
pub struct Provider {
    child: Child,
    /// Ends the provider when this test process ends in any way.
    reaper: Child,
    /// Open for as long as it runs: it may have more to say, and would die of a closed pipe.
    _output: BufReader<ChildStdout>,
    /// As its tokens name it.
    pub issuer: String,
}

impl Provider {
    /// Starts one that sends browsers back to these addresses, and waits until it listens.
    pub fn start(redirect_uris: &[String]) -> Self {
        install();
        let port = free_port();
        let mut child = Command::new("node")
            .arg("provider.mjs")
            .current_dir(directory())
            .env("PORT", port.to_string())
            .env("REDIRECT_URIS", redirect_uris.join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let reaper = Command::new("sh")
            .args(["-c", &format!("read _; kill -9 {} 2>/dev/null", child.id())])
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("a line of text");
        let issuer = format!("http://127.0.0.1:{port}");
        assert_eq!(line.trim(), format!("listening on {issuer}"));
        Self {
            child,
            reaper,
            _output: output,
            issuer,
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        for process in [&mut self.child, &mut self.reaper] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/oidc/provider")
}

/// Installs the package at the locked version, once, and again when the lock file changes.
fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let changed = |name: &str| -> Option<SystemTime> {
            directory().join(name).metadata().ok()?.modified().ok()
        };
        if changed("node_modules/.package-lock.json") >= changed("package-lock.json") {
            return;
        }
        let output = Command::new("npm")
            .arg("ci")
            .current_dir(directory())
            .output()
            .expect("npm starts");
        assert!(
            output.status.success(),
            "npm ci: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
}
