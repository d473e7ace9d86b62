//! A webhook that writes down what it is told.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::Value;

use crate::rig::server;

/// The sink; it listens until the test's process ends.
#[derive(Clone)]
pub struct Sink {
    url: String,
    notices: Arc<Mutex<Vec<Value>>>,
}

impl Sink {
    /// Listens where the cluster's pods can reach this machine: on its end of the link to the cluster.
    pub fn listen() -> Self {
        let probe = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        probe.connect(server()).expect("a route to the cluster");
        let here = probe.local_addr().expect("an address").ip();
        let listener = TcpListener::bind((here, 0)).expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let notices = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&notices);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(notice) = take(stream) {
                    known.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
                }
            }
        });
        Self { url, notices }
    }

    /// What the chart is told, so that policies may name it `test`.
    pub fn values(&self) -> String {
        format!(r#"config={{"sinks":{{"test":{{"webhook":{{"url":"{}"}}}}}}}}"#, self.url)
    }

    /// The alerts that called a person, each once however often it was delivered.
    pub fn alerts(&self) -> BTreeSet<String> {
        self.heard("page").iter().map(|notice| notice["dedupeKey"].to_string()).collect()
    }

    /// Once an alert was resolved.
    pub fn is_over(&self) -> Option<()> {
        self.heard("page").iter().any(|notice| notice["state"] == "resolved").then_some(())
    }

    /// What came in, of one severity.
    pub fn heard(&self, severity: &str) -> Vec<Value> {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.iter().filter(|notice| notice["severity"] == severity).cloned().collect()
    }
}

/// Reads one request and thanks for it.
fn take(mut stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}
