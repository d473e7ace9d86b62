//! A fake validator client with a key manager, built from the Eth2 Keymanager API's description. Its process is real, in the eyes
//! of the kernel: it is ended, and started anew by a fake kubelet.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::container::Container;

pub const TOKEN: &str = "api-token-0x02c21feda59e";
pub const PASSWORD: &str = "correct horse";

pub fn key() -> String {
    "ab".repeat(48)
}

/// A client with a key manager, as the description wants it.
#[derive(Default)]
pub struct Client {
    /// What it signs with.
    pub active: bool,
    /// What it finds when it starts.
    pub on_disk: bool,
    /// Whether it has them out of a folder that the API does not touch.
    pub haunted: bool,
    /// Slots that were signed; kept when the key goes, as the description wants it.
    pub history: Vec<u64>,
    /// With what it was last imported.
    pub imported_with: Option<String>,
    /// Answers so instead.
    pub instead: BTreeMap<&'static str, (u16, Value)>,
    pub calls: Vec<&'static str>,
}

pub type Shared = Arc<Mutex<Client>>;

pub fn of(client: &Shared) -> MutexGuard<'_, Client> {
    client.lock().unwrap()
}

impl Client {
    pub fn interchange(&self) -> String {
        let blocks: Vec<_> = self.history.iter().map(|slot| json!({"slot": slot.to_string()})).collect();
        let data = if blocks.is_empty() {
            json!([])
        } else {
            json!([{"pubkey": format!("0x{}", key()), "signed_blocks": blocks, "signed_attestations": []}])
        };
        let root = format!("0x{}", "0".repeat(64));
        json!({"metadata": {"interchange_format_version": "5", "genesis_validators_root": root}, "data": data})
            .to_string()
    }

    /// What is wrong with a request before anybody looks into it.
    fn refuses(&mut self, call: &'static str, headers: &HeaderMap) -> Option<Response> {
        self.calls.push(call);
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
        if bearer != Some(&format!("Bearer {TOKEN}")) {
            return Some((StatusCode::UNAUTHORIZED, Json(json!({"message": "no such token"}))).into_response());
        }
        let (code, body) = self.instead.get(call)?.clone();
        Some((StatusCode::from_u16(code).unwrap(), Json(body)).into_response())
    }
}

async fn list(State(client): State<Shared>, headers: HeaderMap) -> Response {
    let mut client = of(&client);
    if let Some(refusal) = client.refuses("list", &headers) {
        return refusal;
    }
    let keys = client
        .active
        .then(|| json!({"validating_pubkey": format!("0x{}", key().to_uppercase()), "readonly": false}));
    Json(json!({"data": keys.into_iter().collect::<Vec<_>>()})).into_response()
}

async fn import(State(client): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut client = of(&client);
    if let Some(refusal) = client.refuses("import", &headers) {
        return refusal;
    }
    let store: Value = serde_json::from_str(body["keystores"][0].as_str().unwrap()).unwrap();
    assert_eq!(store["pubkey"], key());
    client.imported_with = body["slashing_protection"].as_str().map(Into::into);
    let status = if body["passwords"] != json!([PASSWORD]) {
        json!({"status": "error", "message": "it does not unlock"})
    } else if client.active {
        json!({"status": "duplicate"})
    } else {
        (client.active, client.on_disk) = (true, true);
        json!({"status": "imported"})
    };
    Json(json!({"data": [status]})).into_response()
}

async fn delete(State(client): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut client = of(&client);
    if let Some(refusal) = client.refuses("delete", &headers) {
        return refusal;
    }
    assert_eq!(body, json!({"pubkeys": [format!("0x{}", key())]}));
    let status = match (client.active, client.history.is_empty()) {
        (true, _) => "deleted",
        (false, false) => "not_active",
        (false, true) => "not_found",
    };
    (client.active, client.on_disk) = (false, false);
    Json(json!({"data": [{"status": status}], "slashing_protection": client.interchange()})).into_response()
}

/// Serves it on loopback; its address.
pub fn serve(client: &Shared) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/eth/v1/keystores", get(list).post(import).delete(delete))
        .with_state(Arc::clone(client));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    url
}

/// Runs it: what it finds when it starts it has, and what it has in memory ends with it.
pub fn begin(folder: &TempDir, client: &Shared) -> Container {
    let (started, ended) = (Arc::clone(client), Arc::clone(client));
    let start = move || {
        let mut client = of(&started);
        client.active = client.on_disk || client.haunted;
    };
    Container::start(folder, start, move || of(&ended).active = false)
}
