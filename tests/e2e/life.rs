//! Mainstay's own life: an upgrade and an uninstall while something is under way.

use crate::{
    rig::{install, kubectl, remediations, uninstall, wait},
    stage::{SOON, Stage},
};

/// Waits until the removal of a pod was accepted and its replacement is waited for.
pub fn under_way(stage: &Stage, pod: &str) {
    wait(&format!("the healing of {pod} to be under way"), SOON, || {
        let all = remediations(&stage.namespace);
        let mine = |found: &&serde_json::Value| {
            found["spec"]["target"]["pod"] == pod && found["status"]["phase"] == "Verifying"
        };
        all.iter().find(mine).map(drop)
    })
    .expect("a remediation");
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn an_upgrade_and_an_uninstall_leave_nothing_stuck() {
    let stage = Stage::new("life");
    let guard = "{minHealthy: 1, warmUp: 5s, budget: [{actions: 10, per: 1h}]}";
    stage.full_nodes(guard);

    stage.hang("full-1");
    under_way(&stage, "full-1");
    let upgrade = ["--set-json", r#"podAnnotations={"example.org/upgraded":"yes"}"#];
    install(&stage.system, &[&stage.namespace], false, &upgrade).expect("an upgrade");
    stage.healed("full-1");
    assert_eq!(stage.removals().len(), 1, "the next leader resumes, and repeats nothing");
    assert_eq!(stage.seats(), 0);

    stage.healthy("full-nodes", 3);
    stage.hang("full-2");
    under_way(&stage, "full-2");
    // The last words of a process whose rights are gone already do not count.
    assert_eq!(stage.forbidden(), Vec::<String>::new());
    uninstall(&stage.system).expect("an uninstall");
    for remediation in remediations(&stage.namespace) {
        assert!(remediation["metadata"]["finalizers"].is_null(), "{remediation}");
        let phase = remediation["status"]["phase"].as_str().unwrap_or_default().to_owned();
        assert!(["Succeeded", "Failed", "Withdrawn"].contains(&phase.as_str()), "{remediation}");
    }
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.removals().len(), 2);
    let left =
        kubectl(&["-n", &stage.system, "get", "deploy,job,pod,cm,sa,role,rolebinding", "-o", "name"]).unwrap();
    let ours: Vec<_> =
        left.lines().filter(|name| name.contains("mainstay") && !name.starts_with("pod/")).collect();
    assert_eq!(ours, Vec::<&str>::new());
    // The definitions stay, and with them what people wrote.
    assert!(stage.kubectl(&["get", "nhp", "-o", "name"]).contains("full-nodes"));

    // A new installation, of whatever name, takes over where the old one was.
    install(&stage.system, &[&stage.namespace], false, &[]).expect("an installation");
    stage.healthy("full-nodes", 3);
}
