//! A validator without machines: a chain that goes on by itself, the gates of its members as they are in their pods, and a node
//! that tells how much of the power the key has.

use std::{
    collections::BTreeMap,
    net::{IpAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::ByteString;
use mainstay::{
    failover::{self, Height, Pod, gate},
    gate::registry::{Identity, Registry},
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use crate::stage::{KEY, Stage};

const BLOCK: Duration = Duration::from_millis(150);
const LOOK: Duration = Duration::from_millis(50);
/// As in the example.
const LIMITS: gate::Limits = gate::Limits { window: 20, jump: 1_000, reach: Height(u64::MAX) };

/// A signature, as a gate's own log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub height: u64,
    pub epoch: u64,
    pub member: String,
}

/// A chain that passes every height, with this key or without; or only with it.
pub struct Chain {
    head: AtomicU64,
    pub needs_us: AtomicBool,
    signatures: Mutex<Vec<Signature>>,
}

/// The gate in one pod, until it is killed or its owner goes.
pub struct Running(JoinHandle<()>);

/// Says how much of the power the key has and how many blocks may be missed, as a node does.
pub struct Node {
    pub port: u16,
    pub power: Arc<AtomicU64>,
    /// Whether it signs with another key than the identity's.
    pub other_key: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Chain ===

impl Chain {
    pub fn begin() -> Arc<Self> {
        let chain = Arc::new(Self {
            head: AtomicU64::new(0),
            needs_us: AtomicBool::new(false),
            signatures: Mutex::default(),
        });
        let of = Arc::downgrade(&chain);
        tokio::spawn(async move {
            while let Some(chain) = of.upgrade() {
                let next = chain.head.load(Ordering::SeqCst) + 1;
                let signed = chain.signatures().last().is_some_and(|last| last.height >= next);
                if signed || !chain.needs_us.load(Ordering::SeqCst) {
                    chain.head.store(next, Ordering::SeqCst);
                }
                drop(chain);
                tokio::time::sleep(BLOCK).await;
            }
        });
        chain
    }

    pub fn signatures(&self) -> Vec<Signature> {
        self.signatures.lock().unwrap().clone()
    }

    /// The last signature in an epoch.
    pub fn last(&self, epoch: u64) -> Option<Signature> {
        self.signatures().into_iter().rfind(|of| of.epoch == epoch)
    }

    /// No height was signed in two epochs, an epoch has one member, and later ones are above.
    pub fn is_innocent(&self) {
        let (mut heights, mut members) = (BTreeMap::new(), BTreeMap::new());
        for of in self.signatures() {
            let epoch = heights.entry(of.height).or_insert(of.epoch);
            assert_eq!(*epoch, of.epoch, "height {} was signed in two epochs", of.height);
            let member = members.entry(of.epoch).or_insert_with(|| of.member.clone());
            assert_eq!(*member, of.member, "epoch {} had two members", of.epoch);
        }
        let epochs: Vec<_> = heights.into_values().collect();
        assert!(epochs.is_sorted(), "the ranges of the epochs are not apart");
    }

    /// Starts a process of the gate in a pod: it follows the record, and its node asks it about every height.
    pub async fn gate(self: &Arc<Self>, stage: &Stage, pod: &Pod, boot: u128) -> Running {
        let identity = Identity::new(stage.client_of(pod).await, KEY);
        let me = gate::Me { pod: pod.clone().into(), boot: failover::Boot(boot) };
        let gate = gate::Gate::new(me, gate::Disk::default());
        Running(tokio::spawn(run(Arc::clone(self), identity, gate)))
    }
}

// === impl Node ===

impl Node {
    /// One that may be asked at the address of this machine.
    pub async fn start(chain: &Arc<Chain>) -> Self {
        let listener = TcpListener::bind((address(), 0)).await.unwrap();
        let (port, power) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(10)));
        let other_key = Arc::new(AtomicBool::new(false));
        let (told, chain, other) = (Arc::clone(&power), Arc::clone(chain), Arc::clone(&other_key));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = validators(told.load(Ordering::SeqCst));
                let status = status(chain.head.load(Ordering::SeqCst), other.load(Ordering::SeqCst));
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let read = stream.read(&mut request).await.unwrap_or_default();
                    let asks_the_application = request[..read].starts_with(b"GET /abci_query");
                    let asks_how_it_is = request[..read].starts_with(b"GET /status");
                    let answer = if asks_how_it_is { status } else { answer };
                    let answer = if asks_the_application { slashing() } else { answer };
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { port, power, other_key, task }
    }
}

/// An address of this machine that is not loopback, which no operator asks. Nothing is sent to find it.
pub fn address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.51.100.1:9").expect("a machine with a network");
    socket.local_addr().unwrap().ip()
}

/// The public key of the identity.
fn key() -> Vec<u8> {
    let (_, key) = failover::split(KEY).unwrap();
    let byte = |at: usize| u8::from_str_radix(&key[at..at + 2], 16).unwrap();
    (0..key.len()).step_by(2).map(byte).collect()
}

/// The key has so many of a hundred.
fn validators(power: u64) -> String {
    let key = key();
    let own: Vec<_> = digest(&SHA256, &key).as_ref()[..20].iter().map(|byte| format!("{byte:02X}")).collect();
    let validators = json!([{"address": own.concat(), "voting_power": power.to_string()},
                            {"address": "BB", "voting_power": (100 - power).to_string()}]);
    page(&json!({"result": {"total": "2", "validators": validators}}))
}

/// How far the chain is, and with which key the node signs.
fn status(head: u64, other_key: bool) -> String {
    let key = ByteString(if other_key { vec![7; 32] } else { key() });
    page(&json!({"result": {
        "node_info": {"network": "demo-1"},
        "sync_info": {"latest_block_height": head.to_string()},
        "validator_info": {"pub_key": {"type": "tendermint/PubKeyEd25519", "value": key}}}}))
}

/// Of 200 blocks half must be signed.
fn slashing() -> String {
    const PARAMS: &str = "ChcIyAESEjUwMDAwMDAwMDAwMDAwMDAwMA==";
    page(&json!({"result": {"response": {"code": 0, "value": PARAMS}}}))
}

fn page(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A gate's life: what cannot be read or written now may be at the next look.
async fn run(chain: Arc<Chain>, identity: Identity, mut gate: gate::Gate) {
    loop {
        let asked = Height(chain.head.load(Ordering::SeqCst) + 1);
        if let Ok(seen) = identity.read().await
            && let Some(record) = seen.record.clone()
            && let Some(wanted) = see(&mut gate, record, asked)
            && let Ok(written) = identity.write(&seen, &wanted).await
            && let Some(record) = written.record
        {
            see(&mut gate, record, asked);
        }
        for _ in 0..4 {
            sign(&chain, &mut gate);
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn see(gate: &mut gate::Gate, record: failover::Record, asked: Height) -> Option<failover::Record> {
    let (next, acts) = gate::step(gate, &gate::Event::Seen { record, asked }, &LIMITS);
    *gate = next;
    acts.into_iter().find_map(|act| match act {
        gate::Act::Put(record) => Some(record),
        gate::Act::Persist | gate::Act::Page(_) => None,
    })
}

fn sign(chain: &Chain, gate: &mut gate::Gate) {
    let height = chain.head.load(Ordering::SeqCst) + 1;
    let at = gate::Hrs { height: Height(height), round: 0, step: gate::Step::Precommit };
    let content = gate::Content { what: [0; 32], when: 0 };
    let (next, answer) = gate::decide(gate, &gate::Request::Sign(gate::Ask { at, content }), &LIMITS);
    if answer == gate::Answer::Sign {
        let epoch = next.hold().unwrap().tenure.epoch.0;
        let member = next.me.pod.member.clone();
        chain.signatures.lock().unwrap().push(Signature { height, epoch, member });
    }
    *gate = next;
}
