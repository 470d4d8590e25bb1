//! Stands between a client and a server, and does what networks and servers do at times.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answered with this status, not handed on.
    Status(u16),
    /// The connection breaks before anything is handed on.
    Reset,
    /// Nothing is ever answered.
    Hang,
    /// The answer's head comes, its body never.
    HangAfterHead,
    /// The connection ends after half of the answer's body.
    CutBody,
    /// Handed on after a while.
    Delay(Duration),
    /// Handed on and applied; the connection breaks before the answer.
    LoseAnswer,
    /// Handed on when somebody says so.
    Hold(watch::Receiver<bool>),
}

/// A request as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// The whole head, in small letters.
    pub head: String,
}

type Rule = Box<dyn FnMut(&Seen) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    rule: Mutex<Option<Rule>>,
    seen: Mutex<Vec<Seen>>,
    came: Notify,
}

pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let serving = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = serving.clone();
                // Ends with an error wherever a connection breaks, which is what it is for.
                tokio::spawn(async move { serve(client, server, &state).await });
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    /// From now on this says what happens to each request.
    pub fn rule(&self, rule: impl FnMut(&Seen) -> Option<Fault> + Send + 'static) {
        *self.state.rule.lock() = Some(Box::new(rule));
    }

    /// So many requests that fit have this fault.
    pub fn times(
        &self,
        mut times: usize,
        fault: Fault,
        fits: impl Fn(&Seen) -> bool + Send + 'static,
    ) {
        self.rule(move |seen| {
            let now = times > 0 && fits(seen);
            times -= usize::from(now);
            now.then(|| fault.clone())
        });
    }

    /// No faults from now on.
    pub fn heal(&self) {
        *self.state.rule.lock() = None;
    }

    /// How many requests that fit have come.
    pub fn count(&self, fits: impl Fn(&Seen) -> bool) -> usize {
        self.state
            .seen
            .lock()
            .iter()
            .filter(|seen| fits(seen))
            .count()
    }

    /// Waits until so many requests that fit have come.
    pub async fn until(&self, count: usize, fits: impl Fn(&Seen) -> bool) {
        loop {
            let came = self.state.came.notified();
            if self.count(&fits) >= count {
                return;
            }
            came.await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(client: TcpStream, server: SocketAddr, state: &State) -> io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let (head, body) = read_message(&mut client, false).await?;
        let mut words = head.split(' ').map(str::to_owned);
        let seen = Seen {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            head: head.to_ascii_lowercase(),
        };
        let fault = state.rule.lock().as_mut().and_then(|rule| rule(&seen));
        state.seen.lock().push(seen.clone());
        state.came.notify_waiters();
        match &fault {
            Some(Fault::Status(status)) => {
                let code = "<Error><Code>SlowDown</Code></Error>";
                let length = code.len();
                let answer =
                    format!("HTTP/1.1 {status} Fault\r\ncontent-length: {length}\r\n\r\n{code}");
                client.write_all(answer.as_bytes()).await?;
                continue;
            }
            Some(Fault::Reset) => return reset(client),
            Some(Fault::Hang) => return gone(client).await,
            Some(Fault::Delay(pause)) => tokio::time::sleep(*pause).await,
            Some(Fault::Hold(go)) => {
                // Whoever would say so may be gone: then it goes on, too.
                let _ = go.clone().wait_for(|go| *go).await;
            }
            _ => {}
        }
        let mut upstream = BufReader::new(TcpStream::connect(server).await?);
        upstream.write_all(head.as_bytes()).await?;
        upstream.write_all(&body).await?;
        let (head, body) = read_message(&mut upstream, seen.method == "HEAD").await?;
        match fault {
            Some(Fault::LoseAnswer) => return reset(client),
            Some(Fault::HangAfterHead) => {
                client.write_all(head.as_bytes()).await?;
                return gone(client).await;
            }
            Some(Fault::CutBody) => {
                client.write_all(head.as_bytes()).await?;
                return client.write_all(&body[..body.len() / 2]).await;
            }
            _ => {
                client.write_all(head.as_bytes()).await?;
                client.write_all(&body).await?;
            }
        }
    }
}

/// Breaks the connection in the way that the other end notices at once.
fn reset(client: BufReader<TcpStream>) -> io::Result<()> {
    client.into_inner().set_zero_linger()
}

/// Waits until the client goes.
async fn gone(mut client: BufReader<TcpStream>) -> io::Result<()> {
    client.read_u8().await.map(drop)
}

/// A request or an answer: its head as it came, and its body.
async fn read_message(
    from: &mut BufReader<TcpStream>,
    no_body: bool,
) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    let head = String::from_utf8(head).expect("heads are text");
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let mut body = Vec::new();
    if no_body || head.starts_with("HTTP/1.1 204") {
        return Ok((head, body));
    }
    if let Some(length) = field("content-length") {
        body.resize(length.parse().expect("a length"), 0);
        from.read_exact(&mut body).await?;
    } else if field("transfer-encoding").is_some() {
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(from.read_u8().await?);
        }
    }
    Ok((head, body))
}
