//! The demonstration: a real cluster, a real chain, a full node that hangs in a way that Kubernetes never notices, and
//! its healing, told as it happens. Ends with exit code 0 and one line `healed <pod> in <seconds> s (…)`; any other
//! end says what went wrong. It leaves the cluster up.

#![allow(clippy::disallowed_methods)]

mod picture;
#[expect(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../e2e/rig.rs"]
mod rig;

use std::{path::Path, process::ExitCode, time::Duration};

use picture::{Healing, draw};
use rig::{all_healthy, apply, cluster, get, install, launcher, now, pid, remediations, signal, wait};

const NAMESPACE: &str = "demo";
const SYSTEM: &str = "mainstay-system";
const VICTIM: &str = "full-1";

fn main() -> ExitCode {
    match demonstrate() {
        Ok(healed) => {
            println!("\n{healed}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("\nthe demonstration failed: {why}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<String, String> {
    let image = std::env::args().nth(1).ok_or("usage: demo IMAGE.tar")?;
    if std::env::var_os("KUBECONFIG").is_some() {
        eprintln!(
            "KUBECONFIG is set: the demonstration needs an image that your cluster can pull, so it stops here."
        );
        eprintln!("Unset KUBECONFIG for the local cluster, or install charts/mainstay with an image of your own.");
        std::process::exit(2);
    }
    say("a Kubernetes cluster");
    print!("{}", cluster(&["up"])?);
    cluster(&["load-image", &image])?;
    say("a CometBFT chain: 4 validators, 3 full nodes, a block a second");
    cluster(&["chain", "up", "--namespace", NAMESPACE, "--chain-id", "demo-1"])?;
    say("Mainstay, from its Helm chart, and the manifests in examples/");
    // The scenarios leave the definitions on the cluster, as nobody's.
    install(SYSTEM, &[], true, &["--take-ownership"])?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for file in ["full-nodes/network.yaml", "full-nodes/full-nodes.yaml", "validators/validators.yaml"] {
        let manifest = std::fs::read_to_string(examples.join(file)).map_err(|error| format!("{file}: {error}"))?;
        apply(&manifest)?;
    }
    wait("three healthy full nodes", Duration::from_secs(120), || all_healthy(NAMESPACE, "full-nodes", 3))?;
    wait("four healthy validators", Duration::from_secs(120), || all_healthy(NAMESPACE, "validators", 4))?;
    // The example's warm-up: a pod this young is not touched.
    std::thread::sleep(Duration::from_secs(15));

    let before: Vec<_> = remediations(NAMESPACE).iter().map(|known| known["metadata"]["uid"].clone()).collect();
    signal(pid(NAMESPACE, VICTIM)?, "STOP")?;
    let stopped = now();
    say(&format!(
        "{VICTIM} hangs: its process is stopped, its port still accepts connections, its probe stays green"
    ));

    let mut told = String::new();
    let done = wait("the healing", Duration::from_secs(240), || {
        let all = remediations(NAMESPACE);
        let mine = all.into_iter().find(|found| {
            found["spec"]["target"]["pod"] == VICTIM && !before.contains(&found["metadata"]["uid"])
        })?;
        let phase = mine["status"]["phase"].as_str().unwrap_or("Pending").to_owned();
        let message = mine["status"]["message"].as_str().unwrap_or("written down");
        if phase != told {
            say(&format!("+{:>5.1} s  {phase}: {message}", seconds(now() - stopped)));
            told.clone_from(&phase);
        }
        ["Succeeded", "Failed", "Withdrawn", "Superseded"].contains(&phase.as_str()).then_some(mine)
    })?;
    if done["status"]["phase"] != "Succeeded" {
        return Err(format!("{}: {}", done["status"]["reason"], done["status"]["message"]));
    }
    let at = |value: &serde_json::Value| value.as_i64().unwrap_or(stopped) - stopped;
    let timeline = done["status"]["timeline"].as_array().cloned().unwrap_or_default();
    let healthy = timeline.iter().find(|entry| entry["phase"] == "Succeeded");
    let healthy: jiff::Timestamp =
        healthy.and_then(|entry| entry["at"].as_str()?.parse().ok()).ok_or("the journal has no end")?;
    let pod = get(&["-n", NAMESPACE, "pod", VICTIM]);
    let since = |value: &serde_json::Value| {
        let time = value.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        seconds(time.map_or(stopped, jiff::Timestamp::as_millisecond) - stopped)
    };
    let removed = seconds(at(&done["status"]["actedAt"]));
    let healing = Healing {
        breach: seconds(at(&done["spec"]["breachAt"])).max(0.0),
        detected: seconds(at(&done["spec"]["detectedAt"])),
        removed,
        // Kubernetes writes these two in whole seconds.
        made: since(&pod["metadata"]["creationTimestamp"]).max(removed),
        started: since(&pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]).max(removed),
        healthy: seconds(healthy.as_millisecond() - stopped),
    };
    // The folder of everything that is built: beside `debug/examples/`.
    let file = launcher().ancestors().nth(3).unwrap_or(Path::new(".")).join("healing.svg");
    std::fs::write(&file, draw(VICTIM, &healing)).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("\nThe picture:  {}", file.display());
    println!("Look around:  export KUBECONFIG=$(cargo run -q --example cluster -- kubeconfig)");
    println!("              cargo run -q --example cluster -- kubectl get nhp,nrem,net -A");
    println!("Remove it:    make down");
    Ok(format!(
        "healed {VICTIM} in {:.1} s (detected {:.1}, acted {:.1}, healthy {:.1})",
        seconds(healthy.as_millisecond() - stopped),
        seconds(at(&done["spec"]["detectedAt"])),
        seconds(at(&done["status"]["actedAt"])),
        seconds(healthy.as_millisecond() - stopped),
    ))
}

fn say(what: &str) {
    println!("• {what}");
}

#[expect(clippy::cast_precision_loss, reason = "minutes of milliseconds")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
