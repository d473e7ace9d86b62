//! Three clients of one API server, and what they learn on the way: its clock, and how old the caches are.

mod cache_age;
mod server_clock;

use std::{future::Future, sync::Arc, time::Duration};

use http::header::{HeaderValue, USER_AGENT};
use kube::{Client, Config, client::ClientBuilder};
use tower::util::MapResponseLayer;

pub use cache_age::{CacheAge, Pulse};
pub use server_clock::ServerClock;

use crate::signal::Mono;

/// Reads this process's monotonic clock.
pub type MonoClock = Arc<dyn Fn() -> Mono + Send + Sync>;

/// How long a unary call may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Silence on a connection of a unary call after which it is given up. The deadlines are shorter; this one only
/// empties the connection pool of the dead.
const SILENCE: Duration = Duration::from_secs(30);

/// The clients, and what all of them learn.
#[derive(Clone)]
pub struct Clients {
    /// For reads: 429, 503 and 504 are tried again inside the deadline.
    pub reader: Client,
    /// For whatever changes something, and for the reads just before. One request is one attempt: kube's default
    /// would send an eviction again for minutes after the evidence for it was taken.
    pub actuator: Client,
    /// For watches: no limit on silence, which `watch` measures itself, and no retry, so that a 504 "too large
    /// resource version" reaches the loop that can do something about it.
    pub watcher: Client,
    /// The API server's clock.
    pub server: ServerClock,
    /// How old the caches are.
    pub cache_age: CacheAge,
}

/// The clients could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up a client of the API server: {0}")]
pub struct ConnectError(#[from] kube::Error);

/// A call to the API server came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer in time: whether it was carried out is not known.
    #[error("failed to hear from the API server within {} s", .0.as_secs())]
    Deadline(Duration),
    /// It was answered with an error, or the connection broke.
    #[error("failed to call the API server: {0}")]
    Kube(#[from] kube::Error),
}

impl Clients {
    /// Sets the clients up; nothing is sent yet. Each keeps its own credentials fresh: kube reads the file of a
    /// mounted token again within a minute.
    pub fn connect(mut config: Config, clock: &MonoClock) -> Result<Self, ConnectError> {
        let agent = HeaderValue::from_static(concat!("mainstay/", env!("CARGO_PKG_VERSION")));
        config.headers.push((USER_AGENT, agent));
        let mut watcher = config.clone();
        (watcher.default_retry, watcher.read_timeout) = (false, None);
        let mut reader = config;
        (reader.default_retry, reader.read_timeout) = (true, Some(SILENCE));
        // Else the silence before a request counts against its answer.
        reader.reset_reader_on_write = true;
        let mut actuator = reader.clone();
        actuator.default_retry = false;
        let server = ServerClock::default();
        Ok(Self {
            reader: client(reader, &server, clock)?,
            actuator: client(actuator, &server, clock)?,
            watcher: client(watcher, &server, clock)?,
            server,
            cache_age: CacheAge::default(),
        })
    }
}

fn client(config: Config, server: &ServerClock, clock: &MonoClock) -> Result<Client, kube::Error> {
    let hears = server.hears(clock);
    Ok(ClientBuilder::try_from(config)?.with_layer(&MapResponseLayer::new(hears)).build())
}

/// Waits for a call at most `limit`. There is no limit without this: one hung call would freeze its object for ever.
pub async fn deadline<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Deadline(limit)),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;
    use crate::signal::Server;

    /// An API server that answers every request with the same bytes and tells what it was asked.
    async fn server(answer: &'static str) -> (Config, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let _ = asked.send(String::from_utf8_lossy(&request[..length]).to_lowercase());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (Config::new(format!("http://{address}").parse().unwrap()), heard)
    }

    fn clock() -> MonoClock {
        Arc::new(|| Mono(1_000))
    }

    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                        content-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn the_actuator_asks_once_and_hears_the_date() {
        let (config, mut heard) = server(BUSY).await;
        let clients = Clients::connect(config, &clock()).unwrap();
        assert_eq!(clients.server.now(Mono(1_000)), None);
        let maps: Api<ConfigMap> = Api::namespaced(clients.actuator.clone(), "default");
        let answer = deadline(DEADLINE, maps.get("a")).await;
        assert!(matches!(answer, Err(CallError::Kube(kube::Error::Api(status))) if status.code == 503));
        let request = heard.recv().await.unwrap();
        assert!(request.contains(concat!("user-agent: mainstay/", env!("CARGO_PKG_VERSION"))), "{request}");
        assert!(heard.try_recv().is_err(), "one attempt");
        assert_eq!(clients.server.now(Mono(1_500)), Some(Server(784_111_777_500)));
    }

    #[tokio::test]
    async fn the_reader_asks_again_and_the_watcher_does_not() {
        let (config, mut heard) = server(BUSY).await;
        let clients = Clients::connect(config, &clock()).unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(clients.reader.clone(), "default");
        let answer = deadline(Duration::from_millis(200), maps.get("a")).await;
        assert!(matches!(answer, Err(CallError::Deadline(_))));
        assert!(heard.recv().await.is_some() && heard.recv().await.is_some());
        // A server of its own: what the reader sent when it was cut off may still arrive at the other.
        let (config, mut heard) = server(BUSY).await;
        let clients = Clients::connect(config, &clock()).unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(clients.watcher.clone(), "default");
        assert!(deadline(DEADLINE, maps.get("a")).await.is_err());
        assert!(heard.try_recv().is_ok() && heard.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_with_the_deadline() {
        let answer = deadline(DEADLINE, std::future::pending::<Result<(), kube::Error>>()).await;
        assert_eq!(answer.unwrap_err().to_string(), "failed to hear from the API server within 10 s");
    }
}
