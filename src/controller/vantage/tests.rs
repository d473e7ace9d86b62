//! Another replica may be anybody, and may say anything or nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{serve, telemetry::address::Reach};

/// What a stranger does with a request.
#[derive(Clone)]
enum Does {
    Says(Vec<u8>),
    /// Says this, and then zeros for ever.
    Floods(&'static str),
    /// Says this, and then a byte now and then.
    Drips(&'static str),
    Hangs,
}

fn client() -> Client {
    Client::new(Reach::Anywhere, &[]).unwrap()
}

fn answer(status: u16, body: &str) -> Does {
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    Does::Says((head + body).into_bytes())
}

fn replica(name: &str, port: u16) -> PodView {
    let ports = vec![(Some("http".to_owned()), port)];
    PodView { name: name.into(), ip: Some("127.0.0.1".into()), ports, ..PodView::default() }
}

/// A replica that does so, and how often it was asked.
async fn stranger(name: &str, does: Does) -> (PodView, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            let does = does.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_err() {
                    return;
                }
                let (head, piece, pause) = match &does {
                    Does::Says(answer) => (answer.as_slice(), &b""[..], 60_000),
                    Does::Floods(head) => (head.as_bytes(), &[0; 4096][..], 0),
                    Does::Drips(head) => (head.as_bytes(), &b" "[..], 50),
                    Does::Hangs => (&b""[..], &b""[..], 60_000),
                };
                let mut open = stream.write_all(head).await.is_ok();
                while open {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    open = stream.write_all(piece).await.is_ok();
                }
            });
        }
    });
    (replica(name, port), asked)
}

async fn told(replicas: Vec<PodView>) -> Vec<Said> {
    let mut others = Others { found: Some(Ok(replicas)), ..Others::default() };
    match others.told(&client(), "p", "u").await {
        Vantage::Asked(said) => said,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_replica_is_asked_on_the_page_that_it_serves() {
    let vitals = serve::Vitals::default();
    let listener = serve::listen("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(serve::serve(listener, serve::router(vitals.clone()), std::future::pending()));
    let starting = told(vec![replica("m-2", port)]).await;
    assert_eq!(starting[0].told, Err("it answers with HTTP 503".into()), "{starting:?}");
    vitals.outlook.opens(|policy, pod| match (policy, pod) {
        ("p", "u") => Testimony::Silent { age: 7 },
        _ => Testimony::Reaches { age: 7 },
    });
    let said = told(vec![replica("m-2", port)]).await;
    assert_eq!(said, [Said { replica: "m-2".into(), told: Ok(Testimony::Silent { age: 7 }) }]);
    server.abort();
}

#[tokio::test]
async fn what_is_no_answer_is_none_and_costs_a_second_at_most() {
    let long = "HTTP/1.1 200 X\r\ncontent-length: 1000000000\r\n\r\n";
    let chunked = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n";
    let moved = "HTTP/1.1 302 X\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let table = [
        (answer(200, "<html>"), "makes no sense"),
        (answer(200, r#"{"silent":{"age":1}} and more"#), "makes no sense"),
        (answer(200, &"[".repeat(60_000)), "makes no sense"),
        (answer(200, &" ".repeat(70_000)), "larger than 65536 bytes"),
        (answer(404, r#"{"silent":{"age":1}}"#), "it answers with HTTP 404"),
        (Does::Says(b"\0\xff garbage\r\n\r\n".into()), "broken answer"),
        (Does::Says(moved.into()), "redirect"),
        (Does::Floods(long), "larger than 65536 bytes"),
        (Does::Floods(chunked), "larger than 65536 bytes"),
        (Does::Drips("HTTP/1.1 200 X\r\ncontent-length: 60\r\n\r\n"), "not complete within 1 s"),
        (Does::Hangs, "no answer in time"),
    ];
    let (mut replicas, mut expected) = (Vec::new(), Vec::new());
    for (index, (does, why)) in table.into_iter().enumerate() {
        replicas.push(stranger(&format!("m-{index}"), does).await.0);
        expected.push(why);
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    replicas.push(replica("closed", closed));
    expected.push("connection refused");
    replicas.push(PodView { ports: Vec::new(), ..replica("portless", 1) });
    expected.push("declares no container ports");
    replicas.push(PodView { ip: None, ..replica("nowhere", 1) });
    expected.push("it has no address");
    let begun = Instant::now();
    let said = told(replicas).await;
    // All at once; the machine that tests run on may be busy.
    assert!(begun.elapsed() < 5 * PATIENCE, "{:?}", begun.elapsed());
    for (said, expected) in said.iter().zip(expected) {
        let why = said.told.as_ref().unwrap_err();
        assert!(why.contains(expected), "{}: {why} and not {expected}", said.replica);
    }
}

#[tokio::test]
async fn one_that_did_not_answer_is_not_waited_for_again() {
    let ((mute, asked), (well, heard)) =
        (stranger("mute", answer(500, "")).await, stranger("well", answer(200, r#"{"silent":{"age":1}}"#)).await);
    let mut others = Others { found: Some(Ok(vec![mute, well])), ..Others::default() };
    let first = others.told(&client(), "p", "u1").await;
    let second = others.told(&client(), "p", "u2").await;
    assert_eq!(first, second);
    assert!(matches!(first, Vantage::Asked(said) if said[0].told.is_err() && said[1].told.is_ok()));
    assert_eq!((asked.load(SeqCst), heard.load(SeqCst)), (1, 2));
}

#[tokio::test]
async fn who_could_not_be_found_is_named_and_who_is_alone_asks_nobody() {
    let mut lost = Others { found: Some(Err("failed to read the replicas".into())), ..Others::default() };
    assert_eq!(lost.told(&client(), "p", "u").await, Vantage::Unfound("failed to read the replicas".into()));
    assert_eq!(told(Vec::new()).await, []);
}
