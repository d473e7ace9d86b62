use std::fmt::Write;

use super::*;
use crate::{judge::VerdictKind, plan::Step};

const POLICY: &str = "
apiVersion: mainstay.dev/v1alpha1
kind: Network
metadata: {name: hub}
spec: {family: CometBFT, chainId: hub-1, blockTime: 6s, allowedNamespaces: [cosmos]}
---
apiVersion: mainstay.dev/v1alpha1
kind: NodeHealthPolicy
metadata: {name: rpc, namespace: cosmos}
spec:
  network: hub
  role: FullNode
  selector: {matchLabels: {app: node}}
";

fn args() -> Args {
    Args {
        files: Vec::new(),
        policy: None,
        scenario: None,
        recordings: Vec::new(),
        label: None,
        targets: 5,
        lasts: Duration::from_millis(4 * 3_600_000),
        family: None,
        output: Output::Text,
        svg: None,
    }
}

fn scenario(name: &str) -> Story {
    let (policy, mut network) = subject(&args(), POLICY).unwrap();
    made_up(&args(), name, policy, &mut network).unwrap()
}

fn steps(story: &Story, step: Step) -> u32 {
    story.tracks.values().map(|track| track.count(step)).sum()
}

fn is_well(story: &Story) -> bool {
    story.tracks.values().all(|track| track.verdicts.last().is_some_and(|(_, kind)| *kind == VerdictKind::Healthy))
}

#[test]
fn a_node_that_hangs_leaves_its_services_is_restarted_once_and_comes_back() {
    for name in ["hung", "stuck"] {
        let story = scenario(name);
        let counts = [Step::Reroute, Step::Restart, Step::Rejoin, Step::Page].map(|step| steps(&story, step));
        assert_eq!(counts[1..2], [1], "{name}: {counts:?}");
        assert_eq!(counts[3], 0, "{name}: nobody is called");
        assert!(is_well(&story), "{name}");
    }
}

#[test]
fn what_no_restart_mends_ends_with_one_call() {
    let story = scenario("wedged");
    assert!(steps(&story, Step::Restart) >= 2 && steps(&story, Step::Page) == 1, "{story:?}");
    let last = story.events.iter().rev().find_map(|event| match event.what {
        sim::What::Begun(step, _) => Some(step),
        _ => None,
    });
    assert_eq!(last, Some(Step::Page), "and there it stops");
}

#[test]
fn what_must_not_be_restarted_is_not() {
    for name in ["behind", "all", "cut", "halt"] {
        let story = scenario(name);
        assert_eq!(steps(&story, Step::Restart), 0, "{name}");
    }
    for name in ["behind", "cut", "halt"] {
        assert!(is_well(&scenario(name)), "{name}");
    }
}

#[test]
fn half_of_a_fleet_is_helped_one_by_one() {
    let story = scenario("half");
    let restarts: Vec<_> = story
        .events
        .iter()
        .filter_map(|event| match event.what {
            sim::What::Begun(Step::Restart, _) => Some(event.at),
            _ => None,
        })
        .collect();
    assert!(restarts.windows(2).all(|pair| pair[1] > pair[0]), "{restarts:?}");
}

#[test]
fn the_same_policy_has_the_same_story() {
    assert_eq!(scenario("hung"), scenario("hung"));
}

/// Three targets of which the second stands still after two minutes.
fn csv() -> String {
    let mut csv = "time,target,signal,value\n".to_owned();
    for second in (0..1800).step_by(10) {
        let at = 1_767_571_200 + second;
        for target in 0..3 {
            let height = 1_000 + if target == 1 { second.min(600) } else { second } / 6;
            writeln!(csv, "{at},full-{target},head,{height}\n{at},full-{target},peers,20").unwrap();
        }
    }
    csv
}

#[test]
fn a_recording_tells_what_would_have_been_done() {
    let recording = Recording::of(read::csv("x.csv", &csv()).unwrap()).unwrap();
    let (mut policy, mut network) = subject(&args(), POLICY).unwrap();
    policy.mode = Mode::DryRun;
    let story = recorded(recording, &policy, &mut network).unwrap();
    assert!(story.tracks["full-1"].count(Step::Restart) >= 1, "{story:?}");
    assert_eq!(story.tracks["full-0"].steps.len() + story.tracks["full-2"].steps.len(), 0);
    let text = table::text(&policy, &network, &story, None);
    assert!(text.contains("would have been done") && text.contains("preset/stalled"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&table::json(&story)).unwrap();
    assert_eq!(json["targets"].as_array().unwrap().len(), 3);
    let svg = picture::draw("a<b>", &story);
    assert!(svg.contains("a&lt;b&gt;") && svg.ends_with("</svg>\n"), "{svg}");
}

#[test]
fn prometheus_names_the_signals_itself() {
    let values: Vec<_> = (0..60).map(|step| (1_767_571_200 + step * 15, (100 + step).to_string())).collect();
    let body = serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {"__name__": "cometbft_consensus_height", "pod": "full-0"}, "values": values},
        {"metric": {"__name__": "something_else", "pod": "full-0"}, "values": values},
    ]}})
    .to_string();
    let points = read::answer("x.json", &body, None, None).unwrap();
    assert_eq!(points.len(), 60);
    assert!(points.iter().all(|(target, signal, ..)| target == "full-0" && signal.name() == "head"));
    let named = read::answer("x.json", &body, crate::signal::Signal::named("peers"), None).unwrap();
    assert!(named.iter().all(|(_, signal, ..)| signal.name() == "peers"));
    let wrong = read::answer("x.json", &body, None, Some("node")).unwrap_err().to_string();
    assert!(wrong.contains("--label"), "{wrong}");
}

#[test]
fn what_is_wrong_with_a_recording_is_said() {
    let say = |text: &str| read::csv("x.csv", text).unwrap_err().to_string();
    assert!(say("1,full-0,heat,7").contains("x.csv, line 1: heat is no signal"));
    assert!(say("1,full-0,head").contains("it has 3 fields"));
    assert!(say("1,full-0,head,-7").contains("negative"));
    assert!(say("noon,full-0,head,7").contains("noon is neither"));
    assert!(say("1,full-0,head_lag,7").contains("follows from other signals"));
    assert!(
        Recording::of(read::csv("x.csv", "1,@hub,head,7").unwrap()).is_none(),
        "references alone are no targets"
    );
    let vector = r#"{"data": {"resultType": "vector", "result": []}}"#;
    assert!(read::answer("x.json", vector, None, None).unwrap_err().to_string().contains("query_range"));
}
