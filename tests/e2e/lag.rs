//! Nodes that are behind: one that catches up, and one that only says so.

use std::{fs, path::PathBuf, thread, time::Duration};

use crate::{
    rig::{now, state, wait},
    stage::{SOON, Stage},
};

/// How long a node may say that it catches up and show nothing for it.
const PROGRESS_WITHIN: i64 = 30_000;

/// The home of a node, which outlives its pods.
fn home(stage: &Stage, pod: &str) -> PathBuf {
    state().join("chains").join(&stage.namespace).join(pod)
}

/// Writes one setting of a node; it counts when the node starts. Returns the file as it was.
fn configure(stage: &Stage, pod: &str, settings: &[(&str, &str)]) -> String {
    let path = home(stage, pod).join("config/config.toml");
    let before = fs::read_to_string(&path).expect("a configuration");
    let lines = before.lines().map(|line| {
        let set = settings.iter().find(|(start, _)| line.starts_with(start));
        set.map_or_else(|| line.to_owned(), |(_, line)| (*line).to_owned())
    });
    fs::write(&path, lines.collect::<Vec<_>>().join("\n") + "\n").expect("a configuration");
    before
}

/// Lets a node begin anew, at the first block.
fn forget(stage: &Stage, pod: &str) {
    let data = home(stage, pod).join("data");
    // The new pod may be faster than we are: the second one starts on nothing for certain.
    for _ in 0..2 {
        stage.kubectl(&["delete", "pod", pod, "--grace-period=1"]);
        for entry in fs::read_dir(&data).expect("data").flatten().filter(|entry| entry.path().is_dir()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// The setting that names a node's first peer alone.
fn first_peer(stage: &Stage, pod: &str) -> String {
    let text = fs::read_to_string(home(stage, pod).join("config/config.toml")).expect("a configuration");
    let line = text.lines().find(|line| line.starts_with("persistent_peers = ")).expect("peers");
    format!("{}\"", line.split(',').next().expect("a peer").trim_end_matches('"'))
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_node_that_catches_up_is_left_alone_and_one_that_only_says_so_is_not() {
    let stage = Stage::with("lag", &["--validators", "2", "--block-time", "500"], &[]);
    stage.policy_on(
        "full-nodes",
        "FullNode",
        "Enforce",
        "{app: cometbft, role: full}",
        "{name: behind, signal: head_lag, above: 10, for: 5s, clear: {below: 5, for: 2s}}",
        "{restart: {within: 2m, attempts: 2, cooldown: 30s}}",
        "{minHealthy: 1, warmUp: 1s, progress: {within: 30s}, budget: [{actions: 10, per: 1h}]}",
    );
    // Blocks to catch up with.
    thread::sleep(Duration::from_secs(60));

    // One starts anew, and reads slowly from one peer.
    let alone = (r#"laddr = "tcp://0.0.0.0:26656""#, r#"laddr = "tcp://127.0.0.1:26656""#);
    let peer = first_peer(&stage, "full-1");
    let quick =
        configure(&stage, "full-1", &[alone, ("recv_rate = ", "recv_rate = 300"), ("persistent_peers = ", &peer)]);
    forget(&stage, "full-1");
    let why = stage.held("full-nodes", "full-1", "Progress");
    assert!(why.contains("catching up"), "{why}");
    // So slowly it would never keep up with the chain: its owner mends that.
    thread::sleep(Duration::from_secs(15));
    fs::write(home(&stage, "full-1").join("config/config.toml"), quick).expect("a configuration");
    stage.kubectl(&["delete", "pod", "full-1", "--grace-period=1"]);
    stage.healthy("full-nodes", 3);
    assert_eq!(stage.removals(), Vec::new(), "nobody touched the one that caught up");

    // Another has nobody to read from, and says that it catches up for as long as it lives.
    let before = configure(&stage, "full-0", &[alone, ("persistent_peers = ", r#"persistent_peers = """#)]);
    stage.kubectl(&["delete", "pod", "full-0", "--grace-period=1"]);
    let begun = now();
    stage.held("full-nodes", "full-0", "Progress");
    // Its settings are right again, but it does not know: only a restart helps.
    fs::write(home(&stage, "full-0").join("config/config.toml"), before).expect("a configuration");
    let removed = wait("the one that shows nothing to be restarted", SOON, || stage.removals().into_iter().next());
    let removed = removed.expect("a removal");
    assert_eq!(removed.0, "full-0");
    assert!(removed.1 - begun >= PROGRESS_WITHIN, "it had its time: {} ms", removed.1 - begun);
    stage.healed("full-0");
    stage.healthy("full-nodes", 3);
    assert_eq!(stage.removals().len(), 1);
}
