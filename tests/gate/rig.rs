//! The real process of a gate, between an API server that keeps one object and a node that asks.

use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::OpenOptionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use mainstay::{
    api::{SigningIdentity, SigningIdentitySpec, SigningIdentityStatus},
    failover::{Activation, Epoch, Event, HandOver, Height, Pod, Record, step},
    gate::{diary::Line, encoding::to_hex},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{CHAIN, key, vectors::files};

pub const POD: &str = "uid-a";
/// Where a page is served that nobody asks for.
pub const ANYWHERE: &str = "127.0.0.1:0";

/// The API server, on loopback and without TLS.
#[derive(Clone)]
pub struct Server {
    object: Arc<Mutex<SigningIdentity>>,
    /// Whether it keeps everybody waiting.
    pub hangs: Arc<AtomicBool>,
    /// When the last question came that was answered.
    pub asked: Arc<Mutex<Option<Instant>>>,
    pub port: u16,
}

impl Server {
    /// The place is the pod's, above `floor`.
    pub fn start(floor: u64) -> Self {
        let server = Self::of_nobody(floor);
        server.offer();
        server
    }

    /// Nobody has the place yet.
    pub fn of_nobody(floor: u64) -> Self {
        let record = Record::adopted(Epoch(0), Activation(1), Height(floor));
        let spec =
            SigningIdentitySpec { network: "n".into(), namespace: "ns".into(), group: "g".into(), window: 10 };
        let mut object = SigningIdentity::new(&identity(), spec);
        object.metadata.resource_version = Some("1".into());
        object.status = Some(SigningIdentityStatus::from(&record));
        let listener = TcpListener::bind(ANYWHERE).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server =
            Self { object: Arc::new(Mutex::new(object)), hangs: Arc::default(), asked: Arc::default(), port };
        let path = "/apis/mainstay.dev/v1alpha1/signingidentities/{name}";
        let router = Router::new()
            .route(path, get(read))
            .route(&format!("{path}/status"), put(write))
            .with_state(server.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        server
    }

    pub fn offer(&self) {
        self.offer_to(POD, HandOver::Gate);
    }

    pub fn offer_to(&self, uid: &str, hand_over: HandOver) {
        let pod = Arc::new(Pod { member: "a".into(), uid: uid.into(), node: "n1".into() });
        self.step(Event::Offered { pod, activation: Activation(2), hand_over });
    }

    pub fn record(&self) -> Record {
        Record::try_from(self.object.lock().unwrap().status.as_ref().unwrap()).unwrap()
    }

    pub fn step(&self, event: Event) {
        let next = step(&self.record(), event).0;
        keep(&mut self.object.lock().unwrap(), SigningIdentityStatus::from(&next));
    }
}

fn keep(object: &mut SigningIdentity, status: SigningIdentityStatus) {
    let version: u64 = object.metadata.resource_version.as_ref().unwrap().parse().unwrap();
    (object.metadata.resource_version, object.status) = (Some((version + 1).to_string()), Some(status));
}

async fn patience(server: &Server) {
    while server.hangs.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn read(State(server): State<Server>) -> Response {
    let came = Instant::now();
    patience(&server).await;
    *server.asked.lock().unwrap() = Some(came);
    Json(server.object.lock().unwrap().clone()).into_response()
}

async fn write(State(server): State<Server>, Json(wanted): Json<SigningIdentity>) -> Response {
    patience(&server).await;
    let mut object = server.object.lock().unwrap();
    if wanted.metadata.resource_version != object.metadata.resource_version {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409});
        return (StatusCode::CONFLICT, Json(status)).into_response();
    }
    keep(&mut object, wanted.status.unwrap());
    Json(object.clone()).into_response()
}

pub fn identity() -> String {
    format!("{CHAIN}.{}", to_hex(key().public()).to_ascii_lowercase())
}

/// A gate of either form, against the API server on this port, which serves its page there.
pub fn gate(config: &Path, port: u16, identity: &str, listen: &str) -> Command {
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]});
    fs::write(config, text.to_string()).unwrap();
    let program = env::var_os("MAINSTAY").unwrap_or_else(|| env!("CARGO_BIN_EXE_mainstay").into());
    let mut command = Command::new(program);
    command.env("KUBECONFIG", config).env("NODE_NAME", "n1").env("POD_UID", POD).env("MAINSTAY_LOG", "info");
    command.args(["gate", "--identity", identity, "--member", "a", "--listen", listen, "--every", "100"]);
    command
}

/// Where a gate runs: its key, its state and its socket.
pub struct Site {
    pub folder: TempDir,
    listener: UnixListener,
    listen: String,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut file = fs::OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(folder.path().join("key.json")).unwrap();
        file.write_all(files()["key"].as_str().unwrap().as_bytes()).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let listener = UnixListener::bind(folder.path().join("privval.sock")).unwrap();
        Self { folder, listener, listen: ANYWHERE.into() }
    }

    /// The same, for one gate whose page can be read.
    pub fn with_page() -> Self {
        // Free a moment ago, and others let the kernel choose.
        let free = TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap();
        Self { listen: free.to_string(), ..Self::new() }
    }

    /// What its gate says of itself.
    pub fn page(&self) -> String {
        let mut stream = TcpStream::connect(&self.listen).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A gate as it is started, against the API server on this port.
    pub fn command(&self, port: u16, identity: &str) -> Command {
        let mut command = gate(&self.path("kubeconfig"), port, identity, &self.listen);
        // Nobody listens there.
        command.args(["--state-may-vanish", "--rpc", "http://127.0.0.1:1"]);
        command.arg("--key").arg(self.path("key.json")).arg("--state").arg(self.path("state"));
        command.arg("--socket").arg(self.path("privval.sock"));
        command
    }

    /// A gate that runs.
    pub fn start(&self, port: u16) -> Gate {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.path("log")).unwrap();
        Gate::of(self.command(port, &identity()).stdout(log.try_clone().unwrap()).stderr(log))
    }

    /// The next connection of a gate.
    pub fn accept(&self) -> Node {
        self.listener.set_nonblocking(false).unwrap();
        let stream = self.listener.accept().unwrap().0;
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Node(stream)
    }

    /// Connections that nobody took are taken and dropped, as by a node that starts anew.
    pub fn forget(&self) {
        self.listener.set_nonblocking(true).unwrap();
        while self.listener.accept().is_ok() {}
    }

    pub fn lines(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.path("state/signatures.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A process that ends with its owner.
pub struct Gate {
    child: Child,
    pub begun: Instant,
}

impl Gate {
    pub fn of(command: &mut Command) -> Self {
        let begun = Instant::now();
        Self { child: command.spawn().unwrap(), begun }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let signal = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(signal.unwrap().success());
    }

    /// Waits until it has ended by itself; how it did, and how long that took.
    pub fn end(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), begun.elapsed());
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Memory of its own (kB).
    pub fn anonymous(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The node's end of a connection.
pub struct Node(pub UnixStream);

impl Node {
    /// The whole answer to one request; none if the connection has ended.
    pub fn ask(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        self.0.write_all(frame).ok()?;
        self.answer()
    }

    pub fn answer(&mut self) -> Option<Vec<u8>> {
        let (mut length, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            match self.0.read_exact(&mut byte) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer in time"),
                Err(_) => return None,
            }
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut message = vec![0; length];
        self.0.read_exact(&mut message).ok()?;
        Some(message)
    }
}

/// What a gate says that does not even start.
pub fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(status.code(), Some(2));
    String::from_utf8(stderr).unwrap()
}

/// How long one durable write takes in this folder: what every signature costs anyway.
pub fn durable_write(folder: &Path) -> Duration {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(folder.join("probe")).unwrap();
    let slot = [7; 4096];
    file.write_all_at(&[0; 8192], 0).unwrap();
    file.sync_all().unwrap();
    let mut times: Vec<_> = (0..500_u64)
        .map(|turn| {
            let begun = Instant::now();
            file.write_all_at(&slot, turn % 2 * 4096).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    median(&mut times)
}

pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
