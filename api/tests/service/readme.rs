//! Every command that the documents show is run as it stands.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::client::{Api, reply};
use crate::harness::{BINARY, Server, repository, soon};

/// The commands of all ```sh blocks, continued lines joined.
fn commands(document: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut in_block = false;
    let mut pending = String::new();
    for line in document.lines() {
        match line.trim() {
            "```sh" => in_block = true,
            "```" => in_block = false,
            text if in_block && !text.is_empty() && !text.starts_with('#') => {
                pending.push_str(line);
                if pending.ends_with('\\') || unclosed_quote(&pending) {
                    pending.push('\n');
                } else {
                    commands.push(std::mem::take(&mut pending));
                }
            }
            _ => {}
        }
    }
    assert!(pending.is_empty(), "a command has no end: {pending}");
    commands
}

fn unclosed_quote(text: &str) -> bool {
    text.matches('\'').count() % 2 == 1
}

fn is_assignment(command: &str) -> bool {
    let command = command.trim_start_matches("export ");
    let name: String = command
        .chars()
        .take_while(|c| c.is_ascii_uppercase() || *c == '_')
        .collect();
    !name.is_empty() && command[name.len()..].starts_with('=')
}

/// What a reader would have around him: the binary on the path, the data directory in place.
struct Reader {
    server: Server,
    settings: String,
}

impl Reader {
    async fn new() -> Self {
        Self {
            server: Server::start().await,
            settings: String::new(),
        }
    }

    fn bash(&self, command: &str) -> Command {
        let directory = Path::new(BINARY)
            .parent()
            .expect("a directory")
            .display()
            .to_string();
        let address = format!("127.0.0.1:{}", self.server.port);
        let script = format!("set -eo pipefail\n{}{command}\n", self.settings)
            .replace("127.0.0.1:8080", &address);
        let path = std::env::var("PATH").unwrap_or_default();
        // When told to end, `timeout` ends the whole pipeline; it is also the bound of every command.
        let mut bash = Command::new("timeout");
        bash.args(["--kill-after=1", "50", "bash", "-c"])
            .arg(script.replace("localhost:8080", &address));
        bash.current_dir(self.server.work_dir())
            .env("PATH", format!("{directory}:{path}"));
        if let Some(flights) = std::env::var_os("HEADWATER_FLIGHTS") {
            bash.env("HEADWATER_FLIGHTS", flights);
        } else {
            bash.env(
                "HEADWATER_FLIGHTS",
                repository().join("target/testdata/flights-200k.json"),
            );
        }
        bash.env("HEADWATER_URL", &self.server.api().base)
            .env("HEADWATER_KEY", &self.server.api().key);
        bash.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        bash
    }

    async fn follow_along(&mut self, document: &Path) -> usize {
        let text = fs::read_to_string(document)
            .unwrap_or_else(|error| panic!("{}: {error}", document.display()));
        let text = match text.split_once("<!-- first-screen -->") {
            Some((_, rest)) => rest
                .split_once("<!-- /first-screen -->")
                .expect("the end marker")
                .0
                .to_owned(),
            None => text,
        };
        let commands = commands(&text);
        for command in &commands {
            if is_assignment(command) {
                self.settings.push_str(command);
                self.settings.push('\n');
                self.done(command, self.bash("true").output().await.expect("bash"));
            } else if command.contains("curl -N") || command.contains("--follow") {
                self.watch(command).await;
            } else {
                let output = soon(command, self.bash(command).output())
                    .await
                    .expect("bash");
                self.done(command, output);
            }
        }
        commands.len()
    }

    fn done(&self, command: &str, output: Output) {
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{command}\n{}\n{said}{complained}",
            output.status
        );
        assert!(
            !said.contains("\"outcome\":\"not_applied\""),
            "{command}\n{said}"
        );
        let speaks = !is_assignment(command)
            && command.contains("curl ")
            && !command.contains("> ")
            && !command.contains("DELETE");
        assert!(
            !speaks || !said.trim().is_empty(),
            "{command}\nprints nothing"
        );
    }

    /// A command that never ends: it must print a record while others produce to its topic.
    async fn watch(&self, command: &str) {
        let mut child = self.bash(command).spawn().expect("bash");
        let timeout = child.id().expect("running");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let topic = topic_of(command);
        let api = self.server.api();
        let printed = soon(command, async {
            loop {
                tokio::select! {
                    line = lines.next_line() => {
                        let line = line.expect("output").unwrap_or_else(|| panic!("{command}\nended without a record"));
                        if line.contains("value") || line.contains("delay") { return line; }
                    }
                    () = tokio::time::sleep(Duration::from_millis(300)) => produce_one(&api, &topic).await,
                }
            }
        });
        let printed = printed.await;
        assert!(!printed.contains("\"code\":"), "{command}\n{printed}");
        let told = std::process::Command::new("kill")
            .args(["-TERM", &timeout.to_string()])
            .status();
        assert!(told.expect("kill runs").success());
        let _ = child.wait().await;
    }
}

/// The topic in a URL, or the argument of `consume`.
fn topic_of(command: &str) -> String {
    let rest = match command.split_once("/topics/") {
        Some((_, rest)) => rest,
        None => command.split_once("consume ").expect("a topic").1,
    };
    rest.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .collect()
}

async fn produce_one(api: &Api, topic: &str) {
    let body = r#"{"records":[{"key":"live","value":{"delay":1,"distance":2,"time":3}}]}"#;
    let request = api
        .request("POST", &format!("/topics/{topic}/records"))
        .body(body);
    reply(request).await.expect(200);
}

#[tokio::test]
async fn the_readme_does_what_it_says() {
    let mut reader = Reader::new().await;
    let readme = repository().join("README.md");
    let text = fs::read_to_string(&readme).expect("README.md");
    assert!(
        text.contains("<!-- first-screen -->"),
        "the first screen is marked"
    );
    let count = reader.follow_along(&readme).await;
    assert!(
        count >= 6,
        "create, produce, raw, bulk, read, live tail: {count} commands"
    );
}

#[tokio::test]
async fn quick_starts_do_what_they_say() {
    let directory = repository().join("docs/quickstart");
    let mut documents: Vec<_> = fs::read_dir(&directory)
        .expect("docs/quickstart")
        .map(|e| e.unwrap().path())
        .collect();
    // Those that want clients or a store are followed by `make test-sdks` and `make test-examples`.
    let elsewhere = ["minio.md", "python.md", "typescript.md"];
    documents.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with(".md") && !elsewhere.contains(&name))
    });
    documents.sort();
    assert!(!documents.is_empty());
    for document in documents {
        let mut reader = Reader::new().await;
        assert!(
            reader.follow_along(&document).await > 0,
            "{} has commands",
            document.display()
        );
    }
}

#[tokio::test]
async fn the_line_that_a_start_prints_can_be_pasted() {
    let reader = Reader::new().await;
    let log = reader.server.log();
    let pasted = |line: &&str| line.starts_with("export ") || line.starts_with("curl ");
    let lines: Vec<&str> = log.lines().filter(pasted).collect();
    assert!(
        lines.last().is_some_and(|line| line.starts_with("curl ")),
        "{log}"
    );
    let line = &lines.join("\n");
    let output = soon(line, reader.bash(line).output()).await.expect("bash");
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: Value = serde_json::from_slice(&output.stdout).expect("a JSON answer");
    assert!(answer.get("code").is_none(), "{line}: {answer}");
}
