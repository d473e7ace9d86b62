//! What people have a part in: a job that a node's owner wrote for it, steps that wait for approval, and steps that are
//! asked for by hand.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    rig::{apply, get, launcher, now, remediations, run, signal, state, time, wait},
    sink::Sink,
    stage::{LATER, SILENT, SOON, Stage},
};

/// Fewer nodes make less noise: what waits for people must not be withdrawn because a busy machine held up the chain.
const CHAIN: [&str; 2] = ["--validators", "2"];
/// The annotations of a job and its pods.
const ABOUT: [&str; 3] = ["mainstay.dev/target", "mainstay.dev/slot", "mainstay.dev/remediation"];

/// Several looks at what people have said, and several rounds of decisions: nothing comes any more.
fn quiet() {
    thread::sleep(Duration::from_secs(25));
}

/// What was written down about a slot, oldest first.
pub fn journal(stage: &Stage, slot: &str) -> Vec<Value> {
    let mut all = remediations(&stage.namespace);
    all.retain(|of| of["spec"]["target"]["slot"] == slot);
    all.sort_by_key(|of| of["spec"]["attempt"].as_i64());
    all
}

/// The name of an object.
fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}

/// Where a remediation stands, and why.
fn stands(stage: &Stage, name: &str) -> (String, String) {
    let status = get(&["-n", &stage.namespace, "nrem", name])["status"].clone();
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    (text("phase"), text("reason"))
}

/// Waits until a slot's remediation with this action has ended and holds nothing, and returns it.
fn ended(stage: &Stage, slot: &str, action: &str) -> Value {
    wait(&format!("the {action} of {slot} to end"), LATER, || {
        journal(stage, slot).into_iter().find(|of| {
            let phase = of["status"]["phase"].as_str().unwrap_or_default();
            !of["spec"]["action"][action].is_null()
                && ["Succeeded", "Failed", "Withdrawn", "Superseded"].contains(&phase)
                && of["metadata"]["finalizers"].is_null()
        })
    })
    .expect("an end")
}

// ---- a job of the owner's

/// A suspended `CronJob` whose container works on the home of the node that it is told of.
fn cron_job(stage: &Stage, name: &str, args: &[&str]) {
    let path = format!("metadata.annotations['{}']", ABOUT[0]);
    let pod = json!({
        "restartPolicy": "Never", "automountServiceAccountToken": false,
        "containers": [{
            "name": name, "image": "mainstay:dev", "imagePullPolicy": "Never", "args": args,
            "env": [{"name": "TARGET", "valueFrom": {"fieldRef": {"fieldPath": path}}}],
            "volumeMounts": [{"name": "homes", "mountPath": "/home/node", "subPathExpr": "$(TARGET)"}],
        }],
        "volumes": [{"name": "homes", "hostPath": {"path": homes(stage), "type": "Directory"}}],
    });
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": name, "namespace": stage.namespace},
        "spec": {
            "schedule": "0 0 1 1 *", "suspend": true,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    });
    apply(&cron_job.to_string()).expect("a CronJob");
}

/// The folder with the homes of a chain's nodes.
fn homes(stage: &Stage) -> PathBuf {
    state().join("chains").join(&stage.namespace)
}

/// The jobs that were made of a `CronJob`.
fn jobs(stage: &Stage, cron_job: &str) -> Vec<Value> {
    let mut all = get(&["-n", &stage.namespace, "jobs"])["items"].as_array().cloned().unwrap_or_default();
    all.retain(|job| job["metadata"]["ownerReferences"][0]["name"] == cron_job);
    all
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_job_of_the_owners_is_run_once_and_only_a_node_that_answers_is_healed() {
    let sink = Sink::listen();
    let helm = ["--set", "jobs.enabled=true", "--set-json", &sink.values()];
    let stage = Stage::with("jobs", &CHAIN, &helm);
    cron_job(&stage, "resync", &["crds", "--out", "/home/node/resynced"]);
    cron_job(&stage, "broken", &["check", "/nowhere"]);
    stage.policy_on(
        "full-nodes",
        "FullNode",
        "Enforce",
        "{app: cometbft, role: full}",
        SILENT,
        "{job: {cronJob: resync, within: 3m}, page: {}}",
        "{minHealthy: 1, warmUp: 5s, budget: [{actions: 10, per: 1h}]}",
    );
    stage.healthy("full-nodes", 3);

    // It does its work on the node that it is told of. That alone is no healing.
    let (pid, _) = stage.hang("full-0");
    let job = wait("the job to do its work", SOON, || {
        jobs(&stage, "resync").into_iter().find(|job| job["status"]["succeeded"] == 1)
    })
    .expect("a job");
    let written = journal(&stage, "full-0");
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(name(&job), name(&written[0]), "the remediation's own name");
    let about = [json!("full-0"), json!("full-0"), written[0]["metadata"]["uid"].clone()];
    for object in [&job, &job["spec"]["template"]] {
        let told = ABOUT.map(|key| object["metadata"]["annotations"][key].clone());
        assert_eq!(told, about, "{object}");
    }
    let resynced = |pod: &str| homes(&stage).join(pod).join("resynced").is_dir();
    assert_eq!(["full-0", "full-1", "full-2"].map(resynced), [true, false, false]);
    assert_eq!(stands(&stage, name(&job)).0, "Verifying", "the node does not answer yet");
    signal(pid, "CONT").expect("a signal");
    let done = ended(&stage, "full-0", "job");
    assert_eq!(done["status"]["phase"], "Succeeded", "{done}");
    assert_eq!(stage.seats(), 0);
    assert_eq!(jobs(&stage, "resync").len(), 1);
    assert_eq!(sink.alerts(), BTreeSet::new(), "nobody had to come");

    // One that gives up ends the step at once, and a person is called.
    stage.healthy("full-nodes", 3);
    let runs = |cron_job: &str| {
        let spec = json!({"spec": {"remediation": {"job": {"cronJob": cron_job}}}}).to_string();
        stage.kubectl(&["patch", "nhp", "full-nodes", "--type=merge", "-p", &spec]);
    };
    runs("broken");
    let (pid, _) = stage.hang("full-1");
    let failed = ended(&stage, "full-1", "job");
    assert_eq!((&failed["status"]["phase"], &failed["status"]["reason"]), (&json!("Failed"), &json!("JobFailed")));
    let why = failed["status"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("BackoffLimitExceeded"), "{why}");
    assert_eq!(ended(&stage, "full-1", "page")["status"]["reason"], "Paged");
    quiet();
    assert_eq!(journal(&stage, "full-1").len(), 2, "a job and a page, and it stops there");
    assert_eq!(jobs(&stage, "broken").len(), 1);
    assert_eq!(sink.alerts().len(), 1, "one page: {:?}", sink.heard("page"));
    assert_eq!(stage.seats(), 0);
    signal(pid, "CONT").expect("a signal");
    stage.healthy("full-nodes", 3);

    // What runs by itself is none of ours: a person is called, and the step stays due.
    stage.kubectl(&["patch", "cronjob", "resync", "-p", r#"{"spec": {"suspend": false}}"#]);
    runs("resync");
    stage.hang("full-2");
    let why = stage.held("full-nodes", "full-2", "CronJob");
    assert!(why.contains("resync") && why.contains("suspend: true"), "{why}");
    assert_eq!(ended(&stage, "full-2", "page")["status"]["reason"], "Paged");
    quiet();
    assert_eq!(journal(&stage, "full-2").len(), 1, "a page and nothing else");
    assert_eq!(jobs(&stage, "resync").len(), 1, "the one of before");
    assert_eq!(sink.alerts().len(), 2, "one page more: {:?}", sink.heard("page"));
    assert_eq!(stage.removals(), Vec::new());
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

// ---- people with names

/// One rule of a Role.
fn right(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
}

/// Somebody who may do what a Role says, and nothing else.
struct Person {
    name: &'static str,
    namespace: String,
    kubeconfig: PathBuf,
}

impl Person {
    fn with(stage: &Stage, name: &'static str, rules: &Value) -> Self {
        const RBAC: &str = "rbac.authorization.k8s.io";
        let (api, meta) = (format!("{RBAC}/v1"), json!({"name": name, "namespace": stage.namespace}));
        let all = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": api, "kind": "Role", "metadata": meta, "rules": rules},
            {"apiVersion": api, "kind": "RoleBinding", "metadata": meta,
                "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": name}]},
        ]});
        apply(&all.to_string()).expect("a role");
        // The administrator's, spoken under that name; it lies beside it and goes with the cluster.
        let config = fs::read_to_string(state().join("kubeconfig")).expect("a kubeconfig");
        let mut config: Value = serde_yaml::from_str(&config).expect("a kubeconfig");
        config["users"][0]["user"]["as"] = name.into();
        let kubeconfig = state().join(format!("{}-{name}.kubeconfig", stage.namespace));
        fs::write(&kubeconfig, config.to_string()).expect("a kubeconfig");
        Self { name, namespace: stage.namespace.clone(), kubeconfig }
    }

    /// `mainstay approve`, as this person.
    fn approve(&self, remediation: &str) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        run(
            command.env("KUBECONFIG", &self.kubeconfig).args(["approve", remediation, "-n", &self.namespace]),
            None,
        )
    }

    /// `kubectl create`, as this person.
    fn create(&self, object: &Value) -> Result<String, String> {
        let mut command = Command::new(launcher());
        run(command.args(["kubectl", "--as", self.name, "create", "-f", "-"]), Some(&object.to_string()))
    }

    /// When the API server wrote down this person's last approval (milliseconds since the epoch).
    fn approved_at(&self) -> i64 {
        let text = fs::read_to_string(state().join("audit.log")).expect("an audit log");
        let lines = text.lines().filter(|line| line.contains("remediationapprovals"));
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut mine = lines.filter(|line| {
            line["verb"] == "create"
                && line["objectRef"]["namespace"] == self.namespace
                && line["impersonatedUser"]["username"] == self.name
                && line["responseStatus"]["code"] == 201
        });
        time(&mine.next_back().expect("an approval"))
    }
}

/// Waits until people are asked about a slot, and returns the name of what they are asked.
fn asked(stage: &Stage, slot: &str) -> String {
    wait(&format!("a question about {slot}"), SOON, || {
        let all = journal(stage, slot);
        all.iter().find(|of| of["status"]["phase"] == "AwaitingApproval").map(|of| name(of).to_owned())
    })
    .expect("a question")
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn what_people_are_to_approve_waits_until_enough_of_them_have() {
    let sink = Sink::listen();
    let stage = Stage::with("approve", &CHAIN, &["--set-json", &sink.values()]);
    let may = |resource: &str, verbs: &[&str]| right("mainstay.dev", resource, verbs);
    let says = may("remediationapprovals", &["create"]);
    let both = json!([may("noderemediations", &["get", "list", "approve"]), says]);
    let (ann, ben) = (Person::with(&stage, "ann", &both), Person::with(&stage, "ben", &both));
    let carol = Person::with(&stage, "carol", &json!([may("noderemediations", &["get", "list"]), says]));
    stage.policy(
        "full-nodes",
        "FullNode",
        "full",
        "Approve",
        "{minHealthy: 1, warmUp: 5s, approvals: {required: 2}}",
    );
    stage.healthy("full-nodes", 3);

    // It waits, and says whom it waits for.
    stage.hang("full-1");
    let first = asked(&stage, "full-1");
    quiet();
    assert_eq!(stands(&stage, &first), ("AwaitingApproval".into(), "Approval".into()));
    assert_eq!(stage.removals(), Vec::new());
    let how = format!("mainstay approve {first} -n {}", stage.namespace);
    let told = sink.heard("page");
    assert!(told.iter().any(|page| page["text"].as_str().unwrap_or_default().contains(&how)), "{told:?}");

    // What was asked is not what would be done any more.
    let edited = r#"{"spec": {"guard": {"warmUp": "6s"}}}"#;
    stage.kubectl(&["patch", "nhp", "full-nodes", "--type=merge", "-p", edited]);
    wait("the question to be void", SOON, || (stands(&stage, &first).0 == "Withdrawn").then_some(()))
        .expect("an end");
    assert_eq!(stands(&stage, &first).1, "Approval");
    let late = ann.approve(&first).expect_err("nobody waits for that");
    assert!(late.contains("waits for no approval"), "{late}");
    assert_eq!(stage.removals(), Vec::new());

    // Whoever may not approve, or not as whom they say, is refused.
    let second = asked(&stage, "full-1");
    assert_ne!(first, second);
    let why = carol.approve(&second).expect_err("she may not");
    assert!(why.contains("carol may not approve remediations"), "{why}");
    let uid = get(&["-n", &stage.namespace, "nrem", &second])["metadata"]["uid"].clone();
    let forged = json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "RemediationApproval",
        "metadata": {"name": format!("{second}.forged"), "namespace": stage.namespace},
        "spec": {"approver": "ann", "remediation": {"name": second, "uid": uid}},
    });
    let why = ben.create(&forged).expect_err("he is not ann");
    assert!(why.contains("write approver: ben"), "{why}");

    // One of two is not enough, however often she says so.
    for said in ["approved as ann", "said so already as ann"] {
        let words = ann.approve(&second).expect("an approval");
        assert!(words.contains(said), "{words}");
    }
    thread::sleep(Duration::from_secs(12));
    assert_eq!(stands(&stage, &second).0, "AwaitingApproval");
    assert_eq!(stage.removals(), Vec::new());

    // The second word is what it waited for.
    ben.approve(&second).expect("an approval");
    stage.healed("full-1");
    assert_eq!(stands(&stage, &second).0, "Succeeded");
    let removed = stage.removals();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!(removed[0].0, "full-1");
    let approved = ben.approved_at();
    println!("from the last approval to the accepted eviction: {} ms", removed[0].1 - approved);
    assert!(ann.approved_at() < approved && approved <= removed[0].1, "approved at {approved}: {removed:?}");
    let words = get(&["-n", &stage.namespace, "rapp"])["items"].as_array().cloned().unwrap_or_default();
    let who: BTreeSet<_> = words.iter().filter_map(|word| word["spec"]["approver"].as_str()).collect();
    assert_eq!((words.len(), who), (2, BTreeSet::from(["ann", "ben"])), "the record of who said yes");
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}

// ---- by hand

/// A restart of `full-1` as `mainstay ask` writes it down, asked for by somebody.
fn request(stage: &Stage, name: &str, by: Option<&str>) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.env("KUBECONFIG", state().join("kubeconfig"));
    command.args(["ask", "restart", "full-1", "--policy", "full-nodes", "-n", &stage.namespace, "--dry-run"]);
    let mut request: Value =
        serde_yaml::from_str(&run(&mut command, None).expect("a request")).expect("a request");
    request["metadata"] = json!({"name": name, "namespace": stage.namespace});
    let spec = request["spec"].as_object_mut().expect("a request");
    spec.remove("requestedBy");
    spec.extend(by.map(|by| ("requestedBy".to_owned(), by.into())));
    request
}

#[test]
#[ignore = "needs the local cluster: make e2e"]
fn a_step_by_hand_bypasses_the_mode_and_no_guard() {
    let stage = Stage::with("by-hand", &CHAIN, &[]);
    let asks = right("mainstay.dev", "noderemediations", &["create"]);
    let deletes = right("", "pods", &["delete"]);
    let dora = Person::with(&stage, "dora", &json!([asks, deletes]));
    let eve = Person::with(&stage, "eve", &json!([asks]));
    stage.policy("full-nodes", "FullNode", "full", "Observe", "{minHealthy: 1, warmUp: 5s}");
    stage.healthy("full-nodes", 3);

    // Everybody asks under their own name, and for no more than they might do themselves.
    for by in [None, Some("mainstay"), Some("ann")] {
        let why = dora.create(&request(&stage, "by-hand-0", by)).expect_err("that is not her name");
        assert!(why.contains("write requestedBy: dora"), "{by:?}: {why}");
    }
    let why = eve.create(&request(&stage, "by-hand-0", Some("eve"))).expect_err("she may not delete pods");
    assert!(why.contains("on behalf of eve"), "{why}");
    assert_eq!(remediations(&stage.namespace), Vec::<Value>::new());

    // What is well is not restarted.
    dora.create(&request(&stage, "by-hand-1", Some("dora"))).expect("a request");
    let refused = ended(&stage, "full-1", "restart");
    assert_eq!(refused["status"]["phase"], "Withdrawn", "{refused}");
    assert_eq!(refused["status"]["reason"], "Evidence", "{refused}");
    assert_eq!(stage.removals(), Vec::new());

    // Nobody chooses the record that limits rest on.
    let mut elsewhere = request(&stage, "by-hand-3", Some("dora"));
    elsewhere["spec"]["network"] = "elsewhere".into();
    dora.create(&elsewhere).expect("a request");
    wait("a request with a ledger of its own to be refused", SOON, || {
        (stands(&stage, "by-hand-3") == ("Withdrawn".into(), "Request".into())).then_some(())
    })
    .expect("an end");

    // Mainstay by itself only looks at what hangs; she lets it be made anew, once.
    stage.hang("full-1");
    stage.held("full-nodes", "full-1", "Mode");
    let asked_at = now();
    dora.create(&request(&stage, "by-hand-2", Some("dora"))).expect("a request");
    stage.healed("full-1");
    quiet();
    let removed = stage.removals();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert!(removed[0].0 == "full-1" && removed[0].1 >= asked_at, "asked for at {asked_at}: {removed:?}");
    assert_eq!(journal(&stage, "full-1").len(), 3, "nothing but what she asked for");
    assert_eq!(stage.seats(), 0);
    assert_eq!(stage.forbidden(), Vec::<String>::new());
}
