//! A server on loopback that answers as it is told, and counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What is done with a request.
#[derive(Clone)]
pub enum Act {
    /// These bytes, then the next request on the same connection.
    Say(Vec<u8>),
    /// These bytes, then the connection is closed.
    SayAndClose(Vec<u8>),
    /// These bytes, then a reset.
    SayAndReset(Vec<u8>),
    /// These bytes, then one byte every 50 ms for ever.
    Drip(Vec<u8>),
    /// These bytes, then zeros for ever, as fast as they are taken.
    Flood(Vec<u8>),
    /// Nothing, for ever.
    Hang,
}

pub struct Server {
    pub address: SocketAddr,
    /// Connections that were accepted.
    pub connections: Arc<AtomicUsize>,
    /// Bytes that the sockets took, in all.
    pub sent: Arc<AtomicUsize>,
    /// Connections that the client closed while the server was dripping, flooding or hanging.
    pub abandoned: Arc<AtomicUsize>,
    /// The requests, head and all.
    pub requests: Arc<Mutex<Vec<String>>>,
}

/// A 200 with this body.
pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer(200, body)
}

pub fn answer(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Server {
    /// Answers every request with what `act` says to its path.
    pub async fn start(act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            sent: Arc::default(),
            abandoned: Arc::default(),
            requests: Arc::default(),
        };
        let act = Arc::new(act);
        let (connections, sent, abandoned, requests) = (
            Arc::clone(&server.connections),
            Arc::clone(&server.sent),
            Arc::clone(&server.abandoned),
            Arc::clone(&server.requests),
        );
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, SeqCst);
                let (act, sent, abandoned, requests) =
                    (Arc::clone(&act), Arc::clone(&sent), Arc::clone(&abandoned), Arc::clone(&requests));
                tokio::spawn(async move {
                    while let Some(head) = request(&mut stream).await {
                        let path = question(&head);
                        requests.lock().unwrap().push(head);
                        if !perform(act(&path), &mut stream, &sent, &abandoned).await {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    /// A healthy node of the recording.
    pub async fn healthy() -> Self {
        Self::start(healthy).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until the client has closed a connection that the server would have kept.
    pub async fn abandoned(&self) {
        tokio::time::timeout(Duration::from_secs(20), async {
            while self.abandoned.load(SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the client keeps the connection");
    }
}

pub fn healthy(path: &str) -> Act {
    match path {
        "/status" => Act::Say(ok(super::STATUS)),
        "/net_info" => Act::Say(ok(super::NET_INFO)),
        _ => Act::Say(answer(404, "")),
    }
}

/// A request, head and body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).ok()?;
    let length = text.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(text + &String::from_utf8(body).ok()?)
}

/// What is asked: the path of a GET, or the method of a JSON-RPC call and its first parameter, if that is plain.
fn question(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    asked(head.split(' ').nth(1).unwrap_or_default(), body.as_bytes())
}

/// The same of a path and a body.
pub fn asked(path: &str, body: &[u8]) -> String {
    let Ok(call) = serde_json::from_slice::<serde_json::Value>(body) else {
        return path.to_owned();
    };
    let method = call["method"].as_str().unwrap_or_default();
    let first = &call["params"][0];
    let first = match first {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        other => other["commitment"].as_str().unwrap_or_default().to_owned(),
    };
    if first.is_empty() { method.to_owned() } else { format!("{method} {first}") }
}

/// Says whether another request may follow.
async fn perform(act: Act, stream: &mut TcpStream, sent: &AtomicUsize, abandoned: &AtomicUsize) -> bool {
    let (first, then): (Vec<u8>, Option<(Vec<u8>, Duration)>) = match act {
        Act::Say(bytes) => return stream.write_all(&bytes).await.is_ok(),
        Act::SayAndClose(bytes) => {
            let _closed = stream.write_all(&bytes).await;
            return false;
        }
        Act::SayAndReset(bytes) => {
            let _closed = stream.write_all(&bytes).await;
            // Let the client read what was said: a reset discards what is still under way.
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.set_zero_linger().unwrap();
            return false;
        }
        Act::Drip(first) => (first, Some((vec![b' '], Duration::from_millis(50)))),
        Act::Flood(first) => (first, Some((vec![0; 64 * 1024], Duration::ZERO))),
        Act::Hang => (Vec::new(), None),
    };
    if stream.write_all(&first).await.is_ok() {
        match then {
            Some((more, pause)) => {
                while let Ok(count @ 1..) = stream.write(&more).await {
                    sent.fetch_add(count, SeqCst);
                    tokio::time::sleep(pause).await;
                }
            }
            None => drop(stream.read_u8().await),
        }
    }
    abandoned.fetch_add(1, SeqCst);
    false
}
