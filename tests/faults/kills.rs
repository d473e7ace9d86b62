//! Faults that kill the client: nothing it did not say before leaves it after.

use std::future::ready;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Notify};

use crate::proxy::{Fault, Outcome, request};
use crate::rig::{POD, PODS, Rig, SOON, client, is_reset};

const SIGKILL: i32 = 9;

/// A process that stands for the operator, and the proxy told how to kill it.
fn operator(rig: &Rig) -> Arc<Mutex<Child>> {
    let child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("a process");
    let child = Arc::new(Mutex::new(child));
    let victim = child.clone();
    rig.proxy.on_kill(move || {
        let victim = victim.clone();
        async move { victim.lock().await.kill().await.expect("it lived") }
    });
    child
}

async fn end_of(child: &Mutex<Child>) -> Option<ExitStatus> {
    child.lock().await.try_wait().expect("a child of ours")
}

#[tokio::test]
async fn killed_before_the_request_left() {
    let rig = Rig::start().await;
    let operator = operator(&rig);
    rig.proxy.on(request().delete().resource("pods").nth(1), Fault::KillBefore);
    rig.get(PODS).await;
    assert_eq!(end_of(&operator).await, None);

    let error = rig.send(Method::DELETE, POD).await.expect_err("no answer");
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(end_of(&operator).await.and_then(|status| status.signal()), Some(SIGKILL));
    assert_eq!(rig.mock.saw("DELETE"), 0);
    let record = rig.proxy.wait_for(request().faulted(), SOON).await.expect("it fired");
    assert_eq!((record.k, record.upstream, record.outcome), (2, None, Outcome::Reset));
}

#[tokio::test]
async fn killed_after_the_act_and_before_the_answer() {
    let rig = Rig::start().await;
    let operator = operator(&rig);
    rig.proxy.on(request().delete().resource("pods").nth(1), Fault::KillAfter);
    let error = rig.send(Method::DELETE, POD).await.expect_err("no answer");
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(end_of(&operator).await.and_then(|status| status.signal()), Some(SIGKILL));
    let record = rig.proxy.wait_for(request().faulted(), SOON).await.expect("it fired");
    assert_eq!((record.upstream, record.outcome), (Some(200), Outcome::Reset));

    // The next operator finds the act done.
    let next = Rig { client: client(), ..rig };
    assert_eq!(next.send(Method::GET, POD).await.expect("an answer").0, 404);
    assert_eq!(next.mock.saw("DELETE"), 1);
}

#[tokio::test]
async fn the_dead_say_nothing_more() {
    for (fault, deletes) in [(Fault::KillBefore, 0), (Fault::KillAfter, 1)] {
        last_words(fault, deletes).await;
    }
}

async fn last_words(fault: Fault, deletes: usize) {
    let rig = Rig::start().await;
    let (dying, dead) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, ends) = (dying.clone(), dead.clone());
    rig.proxy.on_kill(move || {
        let (begins, ends) = (begins.clone(), ends.clone());
        async move {
            begins.notify_one();
            ends.notified().await;
        }
    });
    rig.proxy.on(request().delete().resource("pods"), fault);

    // Another connection of the same operator, proven open.
    let mut other = TcpStream::connect(rig.proxy.url().trim_start_matches("http://")).await.expect("a connection");
    let say = |method: &str| format!("{method} {PODS} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    other.write_all(say("GET").as_bytes()).await.expect("sent");
    assert!(other.read(&mut [0; 1024]).await.expect("an answer") > 0);

    let last_words = async {
        dying.notified().await;
        other.write_all(say("POST").as_bytes()).await.expect("sent");
        // Time for it to slip through.
        tokio::time::sleep(Duration::from_millis(20)).await;
        dead.notify_one();
        other.read(&mut [0; 1024]).await
    };
    let (killed, last_words) = tokio::join!(rig.send(Method::DELETE, POD), last_words);
    assert!(killed.is_err_and(|error| is_reset(&error)));
    assert!(last_words.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    assert_eq!((rig.mock.saw("POST"), rig.mock.saw("DELETE")), (0, deletes));
    assert_eq!(rig.proxy.log().len(), 2, "the list and the delete");

    // The next operator comes on new connections.
    let next = Rig { client: client(), ..rig };
    assert!(next.get(PODS).await.contains("node-1"));
}

#[tokio::test]
async fn what_was_forwarded_is_seen_through_though_the_client_is_gone() {
    let rig = Rig::start().await;
    // The client goes away while the proxy is busy with its request.
    let gone = Arc::new(Notify::new());
    let client_gone = gone.clone();
    rig.proxy.on_kill(move || {
        let gone = client_gone.clone();
        async move { gone.notified().await }
    });
    rig.proxy.on(request().delete(), Fault::KillAfter);
    let sending = tokio::spawn(rig.open(Method::DELETE, POD));
    while rig.mock.saw("DELETE") == 0 {
        tokio::task::yield_now().await;
    }
    sending.abort();
    assert!(sending.await.is_err_and(|error| error.is_cancelled()));
    // Time for the proxy to notice.
    tokio::time::sleep(Duration::from_millis(50)).await;
    gone.notify_one();
    let record = rig.proxy.wait_for(request().faulted(), SOON).await.expect("settled all the same");
    assert_eq!((record.upstream, record.outcome), (Some(200), Outcome::Reset));
}

#[tokio::test]
#[should_panic(expected = "on_kill() first")]
async fn a_fault_that_kills_needs_to_know_how() {
    let rig = Rig::start().await;
    rig.proxy.on(request(), Fault::KillBefore);
}

#[tokio::test]
async fn a_kill_may_be_told_anew() {
    let rig = Rig::start().await;
    rig.proxy.on_kill(|| async { panic!("the first operator is long gone") });
    rig.proxy.on_kill(|| ready(()));
    rig.proxy.on(request(), Fault::KillAfter);
    assert!(rig.send(Method::GET, PODS).await.is_err());
    assert!(rig.proxy.wait_for(request().faulted(), SOON).await.is_ok());
}
