//! What is signed is on the disk before it leaves.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use mainstay::{
    failover::{Boot, Pod, gate::Me},
    gate::{
        Arbiter, Counts, converse, desk::Desk, diary::Diary, follow::look, privval::message::PRECOMMIT,
        store::Medium,
    },
};
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use crate::{
    node::{Ask, Signatures, prevote},
    pieces::{Disk, Memory},
    signer,
};

/// What a gate has done, as soon as it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Write,
    Sync,
    Answer,
}

/// All of it, in order.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<Did>>>);

impl Order {
    fn note(&self, did: Did) {
        self.0.lock().unwrap().push(did);
    }

    fn since(&self) -> Vec<Did> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A disk that is looked at.
struct Watched(Disk, Order);

impl Medium for Watched {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.0.read()
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(at, bytes)?;
        self.1.note(Did::Write);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()?;
        self.1.note(Did::Sync);
        Ok(())
    }
}

/// What the node hears.
struct Heard(Vec<u8>, Order);

impl AsyncWrite for Heard {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.0.extend_from_slice(bytes);
        this.1.note(Did::Answer);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What becomes of one request: how many signatures, and in which order things were done.
async fn ask(asked: &Ask, desk: &mut impl Arbiter, order: &Order) -> (usize, Vec<Did>) {
    let (said, mut heard, stop) = (asked.frame(), Heard(Vec::new(), order.clone()), CancellationToken::new());
    order.since();
    converse(tokio::io::join(&said[..], &mut heard), signer(), desk, &Counts::default(), &stop).await.unwrap();
    let mut signatures = Signatures::default();
    let signed = crate::messages(&heard.0).into_iter().filter(|message| signatures.read(message)).count();
    (signed, order.since())
}

#[tokio::test]
async fn a_signature_is_written_then_durable_and_only_then_it_leaves() {
    let (record, order, folder) = (Memory::adopted(100), Order::default(), tempfile::tempdir().unwrap());
    record.offer("a");
    let pod = Arc::new(Pod { member: "a".into(), uid: "uid-a".into(), node: "n1".into() });
    let (medium, diary) = (Watched(Disk::default(), order.clone()), Diary::open(folder.path()).unwrap());
    let desk = Desk::open(Me { pod, boot: Boot(1) }, medium, diary, Counts::default(), || 0).unwrap();
    let mut desk = Arc::new(Mutex::new(desk));
    assert_eq!(ask(&prevote(101, 1), &mut desk, &order).await, (0, vec![Did::Answer]), "a refusal needs no disk");
    look(&desk, &record).await.unwrap();
    for height in 101..=105 {
        for asked in [prevote(height, 1), Ask { kind: PRECOMMIT, ..prevote(height, 1) }] {
            let did = ask(&asked, &mut desk, &order).await;
            assert_eq!(did, (1, vec![Did::Write, Did::Sync, Did::Answer]), "{asked:?}");
            let again = ask(&asked, &mut desk, &order).await;
            assert_eq!(again, (1, vec![Did::Answer]), "it is durable already: {asked:?}");
        }
    }
}
