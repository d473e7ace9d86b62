//! Against `CometBFT`'s own half of the socket, as a node runs it. Needs Go: `make parity`.

use std::{path::Path, process::Stdio};

use mainstay::gate::{Counts, Outcome, dial};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::{arbiters::LikeCometBft, signer};

#[tokio::test]
#[ignore = "needs Go and CometBFT's module"]
async fn a_node_takes_what_we_sign() {
    let folder = tempfile::tempdir().unwrap();
    let (program, socket) = (folder.path().join("peer"), folder.path().join("privval.sock"));
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate/vectors");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg("./peer").current_dir(vectors).status();
    assert!(built.await.unwrap().success());

    let (counts, stop) = (Counts::default(), CancellationToken::new());
    let mut arbiter = LikeCometBft::default();
    let node = async {
        let node = Command::new(&program).arg(&socket).stdin(Stdio::null()).output().await.unwrap();
        stop.cancel();
        node
    };
    let (node, ()) = tokio::join!(node, dial(&socket, signer(), &mut arbiter, &counts, &stop));
    let said = String::from_utf8_lossy(&node.stdout).into_owned() + &String::from_utf8_lossy(&node.stderr);
    assert!(node.status.success(), "{said}");
    println!("{said}");
    assert_eq!(counts.connections.get(), 2);
    assert_eq!((counts.of(Outcome::Signed), counts.of(Outcome::Refused)), (2004, 1));
}
