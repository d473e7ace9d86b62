//! Nodes that are behind: one that catches up, and one that only says so.

use std::{fs, path::PathBuf, thread, time::Duration};

use crate::{
    rig::{now, state, wait},
    stage::{LATER, SOON, Stage},
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

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_node_that_catches_up_is_left_alone_and_one_that_only_says_so_is_not() {
    let stage = Stage::with("lag", &["--validators", "2", "--block-time", "500"], &[]);
    // Blocks to catch up with.
    thread::sleep(Duration::from_secs(70));

    // One starts anew and reads slowly; the other has nobody to read from.
    configure(&stage, "full-1", &[("recv_rate = ", "recv_rate = 300")]);
    let deaf = [
        ("persistent_peers = ", r#"persistent_peers = """#),
        (r#"laddr = "tcp://0.0.0.0:26656""#, r#"laddr = "tcp://127.0.0.1:26656""#),
    ];
    let before = configure(&stage, "full-0", &deaf);
    stage.kubectl(&["delete", "pod", "full-0", "full-1", "--grace-period=1"]);
    let data = home(&stage, "full-1").join("data");
    for entry in fs::read_dir(&data).expect("data").flatten() {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).expect("an empty store");
        }
    }
    // The kubelet may have been faster; now it starts on nothing for certain.
    stage.kubectl(&["delete", "pod", "full-1", "--grace-period=1"]);

    let begun = now();
    stage.policy_on(
        "full-nodes",
        "FullNode",
        "Enforce",
        "{app: cometbft, role: full}",
        "{name: behind, signal: head_lag, above: 10, for: 5s, clear: {below: 5, for: 2s}}",
        "{restart: {within: 2m, attempts: 2, cooldown: 30s}}",
        "{minHealthy: 1, warmUp: 1s, progress: {within: 30s}, budget: [{actions: 10, per: 1h}]}",
    );
    let why = stage.held("full-nodes", "full-1", "Progress");
    assert!(why.contains("catching up"), "{why}");
    stage.held("full-nodes", "full-0", "Progress");

    // Its settings are right again, but it does not know: only a restart helps.
    fs::write(home(&stage, "full-0").join("config/config.toml"), before).expect("a configuration");
    let removed = wait("the one that shows nothing to be restarted", SOON, || stage.removals().into_iter().next())
        .expect("a removal");
    assert_eq!(removed.0, "full-0");
    assert!(removed.1 - begun >= PROGRESS_WITHIN, "it had its time: {} ms", removed.1 - begun);
    stage.healed("full-0");
    wait("all of them to be well", LATER, || crate::rig::all_healthy(&stage.namespace, "full-nodes", 3))
        .expect("health");
    assert_eq!(stage.removals().len(), 1, "nobody touched the one that caught up");
}
