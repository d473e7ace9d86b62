//! A reference that lies: it passes questions on to an honest node, and changes the answers.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, Uri},
    response::IntoResponse,
};

type Lie = dyn Fn(&str, String) -> String + Send + Sync;

#[derive(Clone)]
struct Liar {
    honest: String,
    client: reqwest::Client,
    lie: Arc<Lie>,
}

/// The address of a node that answers as `honest` does, except that `lie` has the last word. It is told what was asked
/// (a method or a path) and the honest answer.
pub async fn liar(honest: String, lie: impl Fn(&str, String) -> String + Send + Sync + 'static) -> SocketAddr {
    let liar = Liar { honest, client: crate::process::http(), lie: Arc::new(lie) };
    let router = Router::new().fallback(answer).with_state(liar);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(State(liar): State<Liar>, method: Method, uri: Uri, body: Bytes) -> impl IntoResponse {
    let question = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|call| call["method"].as_str().map(str::to_owned))
        .unwrap_or_else(|| uri.path().to_owned());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = liar
        .client
        .request(method, format!("{}{path}", liar.honest))
        .header("content-type", "application/json")
        .body(body);
    let honest = match request.send().await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    (liar.lie)(&question, honest)
}
