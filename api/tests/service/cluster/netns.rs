//! A network for one cluster: a namespace for each broker, a bridge between them, ways that can be
//! closed one by one. The database is at the bridge. So are the clients, on a subnet of their own, of
//! which no way is ever closed.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::harness::Place;

/// Dropping it removes everything that was made for it.
pub struct Network {
    /// What the names of its devices and namespaces begin with.
    name: String,
    /// The first three bytes of its addresses.
    prefix: String,
    /// The first of its 32 addresses; one half is for the cluster, the other for clients.
    first: u32,
    /// Removes it when this test process ends in any way.
    remover: Child,
}

/// Who is at the end of a way. Brokers count from 0.
#[derive(Clone, Copy)]
pub enum End {
    Database,
    Broker(usize),
}

/// What becomes of packets on a way that is closed.
#[derive(Clone, Copy)]
pub enum Closed {
    /// They vanish.
    Silently,
    /// Whoever sends them is told that there is no way.
    Loudly,
}

impl Network {
    /// A network for so many brokers. Where none can be made, says so for `test`, and answers nothing.
    pub fn start(test: &str, brokers: usize) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(next < 8, "more networks than have addresses");
        // Test processes that run beside each other have names and addresses of their own.
        let own = std::process::id();
        let name = format!("hw{own}{}", char::from(b'a' + next as u8));
        let remover = Command::new("sh")
            .args(["-c", REMOVER, "remover", &name, &brokers.to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let network = Self {
            name,
            prefix: format!("10.{}.{}", 64 + (own >> 8) % 64, own % 256),
            first: next * 32,
            remover,
        };
        match network.make(brokers) {
            Ok(()) => Some(network),
            Err(why) => {
                // Not by a macro: the harness would keep it to itself.
                let line = format!("skipped: {test}: no network namespaces: {why}\n");
                std::io::stderr().write_all(line.as_bytes()).expect("said");
                None
            }
        }
    }

    fn make(&self, brokers: usize) -> Result<(), String> {
        let (name, bridge) = (&self.name, self.bridge());
        ip(&format!("link add {bridge} type bridge"))?;
        for address in [self.address(End::Database), self.clients()] {
            ip(&format!("address add {address}/28 dev {bridge}"))?;
        }
        ip(&format!("link set {bridge} up"))?;
        for broker in 0..brokers {
            let (space, port) = (self.namespace(broker), format!("{name}v{broker}"));
            ip(&format!("netns add {space}"))?;
            ip(&format!(
                "link add {port} type veth peer name eth0 netns {space}"
            ))?;
            ip(&format!("link set {port} master {bridge} up"))?;
            for address in [self.address(End::Broker(broker)), self.public(broker)] {
                ip(&format!("-n {space} address add {address}/28 dev eth0"))?;
            }
            ip(&format!("-n {space} link set lo up"))?;
            ip(&format!("-n {space} link set eth0 up"))?;
        }
        Ok(())
    }

    /// Where a broker runs.
    pub fn place(&self, broker: usize) -> Place {
        Place {
            namespace: Some(self.namespace(broker)),
            public_host: self.public(broker),
            internal_host: self.address(End::Broker(broker)),
        }
    }

    /// Where the database listens.
    pub fn database_host(&self) -> String {
        self.address(End::Database)
    }

    /// Lets nothing through any more from one end to the other; the way back stays as it is.
    pub fn close(&self, (from, to): (End, End), closed: Closed) {
        let (space, device, to) = (self.space(from), self.device(from), self.address(to));
        let done = match closed {
            // To a hardware address that nobody has.
            Closed::Silently => ip(&format!(
                "{space} neigh replace {to} lladdr 02:00:00:00:00:99 dev {device} nud permanent"
            )),
            Closed::Loudly => ip(&format!("{space} route add unreachable {to}/32")),
        };
        done.expect("the way is closed");
    }

    /// Opens a way that was closed.
    pub fn open(&self, (from, to): (End, End), closed: Closed) {
        let (space, device, to) = (self.space(from), self.device(from), self.address(to));
        let done = match closed {
            Closed::Silently => ip(&format!("{space} neigh del {to} dev {device}")),
            Closed::Loudly => ip(&format!("{space} route del unreachable {to}/32")),
        };
        done.expect("the way is open");
    }

    fn bridge(&self) -> String {
        format!("{}b", self.name)
    }

    fn namespace(&self, broker: usize) -> String {
        format!("{}n{broker}", self.name)
    }

    fn space(&self, end: End) -> String {
        match end {
            End::Database => String::new(),
            End::Broker(broker) => format!("-n {}", self.namespace(broker)),
        }
    }

    fn device(&self, end: End) -> String {
        match end {
            End::Database => self.bridge(),
            End::Broker(_) => "eth0".into(),
        }
    }

    /// The address for the cluster.
    fn address(&self, end: End) -> String {
        self.nth(match end {
            End::Broker(broker) => 1 + broker as u32,
            End::Database => 14,
        })
    }

    /// A broker's address for clients.
    fn public(&self, broker: usize) -> String {
        self.nth(17 + broker as u32)
    }

    /// Where clients are.
    fn clients(&self) -> String {
        self.nth(30)
    }

    fn nth(&self, host: u32) -> String {
        format!("{}.{}", self.prefix, self.first + host)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
    }
}

/// Waits for the end of its input, which is the end of the network or of the test process. What was
/// not made is not there to be removed.
const REMOVER: &str = r#"
trap '' INT TERM HUP
read -r _
for n in $(seq 0 "$(($2 - 1))"); do
    ip link del "$1v$n"
    ip netns del "$1n$n"
done
ip link del "$1b"
"#;

/// Runs one command of `ip`.
fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
