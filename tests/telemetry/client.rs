//! The HTTP client: what it tells apart, where it stops reading, and what it never sends.

use std::{
    net::SocketAddr,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use mainstay::telemetry::{BODY_CAP, Client, Deadline, Failure, address::Reach};
use tokio::net::{TcpListener, TcpSocket};

use crate::{
    client,
    hostile::{Act, Server, answer, ok},
};

const SECOND: Duration = Duration::from_secs(1);

async fn get(act: Act) -> (Result<mainstay::telemetry::Answer, Failure>, Server) {
    let server = Server::start(move |_| act.clone()).await;
    (client().get(&server.url("/x"), Deadline::within(SECOND), BODY_CAP).await, server)
}

/// T01
#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failed = client().get(&format!("http://{address}/"), Deadline::within(SECOND), BODY_CAP).await;
    assert!(matches!(failed, Err(Failure::Refused)), "{failed:?}");
}

/// T01
#[tokio::test]
async fn a_reset_instead_of_an_answer_is_a_refusal() {
    let (failed, _) = get(Act::SayAndReset(Vec::new())).await;
    assert!(matches!(failed, Err(Failure::Refused)), "{failed:?}");
}

/// T01
#[tokio::test]
async fn a_name_that_does_not_resolve_is_our_side() {
    let failed = client().get("http://nowhere.invalid/", Deadline::within(10 * SECOND), BODY_CAP).await;
    // Where the resolver itself does not answer, the test only sees time run out.
    assert!(matches!(failed, Err(Failure::OurSide(_) | Failure::Silent)), "{failed:?}");
}

/// T03
#[tokio::test]
async fn a_hung_process_is_silent_and_its_connection_is_given_up() {
    let (failed, server) = get(Act::Hang).await;
    assert!(matches!(failed, Err(Failure::Silent)), "{failed:?}");
    server.abandoned().await;
}

/// T03: a stopped process whose kernel still completes handshakes, until the backlog is full.
#[tokio::test]
async fn a_port_that_nobody_accepts_on_is_silent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = client();
    let deadline = Deadline::within(SECOND);
    let all = futures::future::join_all((0..6).map(|_| client.get(&url, deadline, BODY_CAP))).await;
    assert!(all.iter().all(|failed| matches!(failed, Err(Failure::Silent))), "{all:?}");
}

/// T04
#[tokio::test]
async fn a_dripping_body_is_cut_at_the_total_deadline() {
    let begun = Instant::now();
    let (failed, server) = get(Act::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec())).await;
    assert_eq!(failed.unwrap_err().to_string(), "answer not complete within 1 s");
    assert!(begun.elapsed() < 20 * SECOND);
    server.abandoned().await;
}

/// T04
#[tokio::test]
async fn a_dripping_head_is_cut_too() {
    let (failed, server) = get(Act::Drip(b"HTTP/1.1 200 OK\r\nX:".to_vec())).await;
    assert!(matches!(failed, Err(Failure::Silent)), "{failed:?}");
    server.abandoned().await;
}

/// T12
#[tokio::test]
async fn an_endless_body_costs_the_cap_and_no_more() {
    let (failed, server) = get(Act::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    assert!(matches!(failed, Err(Failure::TooLarge(BODY_CAP))), "{failed:?}");
    server.abandoned().await;
    let sent = server.sent.load(SeqCst);
    assert!(sent < 8 * BODY_CAP, "the client went on reading: {sent} bytes");
}

/// T12
#[tokio::test]
async fn an_announced_gibibyte_is_refused_before_it_is_read() {
    let (failed, server) =
        get(Act::Flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n".to_vec())).await;
    assert!(matches!(failed, Err(Failure::TooLarge(BODY_CAP))), "{failed:?}");
    server.abandoned().await;
    assert!(server.sent.load(SeqCst) < 8 * BODY_CAP);
}

/// T12
#[tokio::test]
async fn an_endless_head_is_broken() {
    let (failed, server) = get(Act::Flood(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await;
    assert!(matches!(failed, Err(Failure::BrokenAnswer(_))), "{failed:?}");
    server.abandoned().await;
    assert!(server.sent.load(SeqCst) < 8 * BODY_CAP);
}

#[tokio::test]
async fn a_body_as_large_as_the_cap_is_read() {
    let (answered, _) = get(Act::Say(ok(vec![b' '; BODY_CAP]))).await;
    assert_eq!(answered.unwrap().body.len(), BODY_CAP);
    let (failed, _) = get(Act::Say(ok(vec![b' '; BODY_CAP + 1]))).await;
    assert!(matches!(failed, Err(Failure::TooLarge(BODY_CAP))));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_and_not_refused() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"half\":".to_vec();
    for act in [
        Act::SayAndReset(half.clone()),
        Act::SayAndClose(half),
        Act::SayAndClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        Act::SayAndClose(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        Act::SayAndClose(Vec::new()),
    ] {
        let (failed, _) = get(act).await;
        assert!(matches!(failed, Err(Failure::BrokenAnswer(_))), "{failed:?}");
    }
}

/// T13
#[tokio::test]
async fn nothing_is_ever_decompressed() {
    let body = [0x1f, 0x8b, 8, 0];
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n".to_vec();
    bytes.extend_from_slice(&body);
    let (answered, _) = get(Act::Say(bytes)).await;
    assert_eq!(answered.unwrap().body, body);
}

/// T14
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::healthy().await;
    let head =
        format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url("/status"));
    let (failed, _) = get(Act::Say(head.into_bytes())).await;
    assert!(matches!(failed, Err(Failure::Redirected)), "{failed:?}");
    assert_eq!(elsewhere.connections.load(SeqCst), 0);
}

/// T15
#[tokio::test]
async fn neither_a_name_nor_an_address_leads_to_loopback() {
    let server = Server::healthy().await;
    let port = server.address.port();
    let client = Client::new(Reach::PodsOnly, &[]).unwrap();
    for host in ["localhost", "127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let failed =
            client.get(&format!("http://{host}:{port}/status"), Deadline::within(10 * SECOND), BODY_CAP).await;
        let Err(Failure::OurSide(why)) = failed else { panic!("{host}: {failed:?}") };
        assert!(why.contains("never asked"), "{why}");
    }
    assert_eq!(server.connections.load(SeqCst), 0);
}

/// T16
#[tokio::test]
async fn a_url_with_credentials_is_refused_unsent() {
    let server = Server::healthy().await;
    let failed = client().get(&format!("http://me:secret@{}/", server.address), Deadline::within(SECOND), 1).await;
    assert!(matches!(failed, Err(Failure::OurSide(_))), "{failed:?}");
    assert_eq!(server.connections.load(SeqCst), 0);
}

#[tokio::test]
async fn a_request_says_who_asks_and_nothing_else() {
    let (_, server) = get(Act::Say(answer(200, ""))).await;
    let head = server.requests.lock().unwrap()[0].to_lowercase();
    let names: Vec<_> =
        head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| ["accept", "user-agent", "host"].contains(name)), "{names:?}");
}

/// T26: no downgrade, and not the target's silence either.
#[tokio::test]
async fn a_port_without_tls_is_no_answer_to_https() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &answer(400, "speak up")).await.unwrap();
        tokio::time::sleep(20 * SECOND).await;
    });
    let failed = client().get(&format!("https://{plain}/"), Deadline::within(10 * SECOND), BODY_CAP).await;
    assert!(matches!(failed, Err(Failure::BrokenAnswer(_))), "{failed:?}");
}

#[tokio::test]
async fn an_address_without_a_route_is_our_side() {
    let failed = client().get("http://255.255.255.255/", Deadline::within(10 * SECOND), BODY_CAP).await;
    assert!(matches!(failed, Err(Failure::OurSide(_))), "{failed:?}");
}

/// A minimal image holds no certificate authorities. Runs another test of this binary as if there were none.
#[test]
fn without_certificate_authorities_pods_are_polled_all_the_same() {
    let empty = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cometbft::a_healthy_node_tells_everything_over_one_connection"])
        .env("SSL_CERT_DIR", empty.path())
        .env_remove("SSL_CERT_FILE")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
