//! The way to the node, over real sockets.

use std::{fs, path::Path, time::Duration};

use mainstay::gate::{Counts, dial};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{arbiters::Yes, signer};

struct Dialler {
    counts: Counts,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Dialler {
    fn start(socket: &Path) -> Self {
        let (counts, stop) = (Counts::default(), CancellationToken::new());
        let (socket, ours, until) = (socket.to_owned(), counts.clone(), stop.clone());
        let task = tokio::spawn(async move {
            dial(&socket, signer(), &mut Yes, &ours, &until).await;
        });
        Self { counts, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(5), self.task).await.expect("it stops").unwrap();
    }
}

async fn accept(listener: &UnixListener) -> UnixStream {
    timeout(Duration::from_secs(5), listener.accept()).await.expect("somebody dials").unwrap().0
}

async fn ping(node: &mut UnixStream) {
    node.write_all(&[2, 0x3a, 0]).await.unwrap();
    let mut answer = [0; 3];
    node.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [2, 0x42, 0]);
}

#[tokio::test]
async fn it_dials_until_a_node_listens_and_again_when_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("privval.sock");
    let dialler = Dialler::start(&socket);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!socket.exists());

    // A node starts.
    let listener = UnixListener::bind(&socket).unwrap();
    let begun = Instant::now();
    let mut node = accept(&listener).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    ping(&mut node).await;
    ping(&mut node).await;

    // It drops the connection, and gets another.
    drop(node);
    let mut node = accept(&listener).await;
    ping(&mut node).await;

    // It dies, and leaves its socket behind.
    drop((node, listener));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(socket.exists(), "the socket is the node's");

    // Its successor clears that away, as its command does, and binds its own.
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    ping(&mut accept(&listener).await).await;
    assert_eq!(dialler.counts.connections.get(), 3);
    dialler.stop().await;
    assert!(socket.exists(), "the socket is the node's");
}

#[tokio::test]
async fn it_has_one_connection_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("privval.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let dialler = Dialler::start(&socket);
    let mut node = accept(&listener).await;
    assert!(timeout(Duration::from_millis(400), listener.accept()).await.is_err(), "a second connection");
    ping(&mut node).await;
    dialler.stop().await;
    assert_eq!(node.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn garbage_costs_the_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("privval.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let dialler = Dialler::start(&socket);
    for _ in 0..3 {
        let mut node = accept(&listener).await;
        node.write_all(b"\x05hello, and more").await.unwrap();
        // It is closed, or reset because there is something that was not read.
        assert!(!matches!(node.read(&mut [0]).await, Ok(1)));
    }
    ping(&mut accept(&listener).await).await;
    let broken = ["malformed", "truncated", "too_long"].map(|why| dialler.counts.given_up(why));
    assert_eq!(broken.iter().sum::<u64>(), 3);
    dialler.stop().await;
}
