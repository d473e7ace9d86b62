//! Starting a cluster.
use crate::client::kubectl;
use crate::control_plane::Endpoints;
use crate::kind::Kind;
use crate::network::Network;
use crate::place::{Place, Process, State, cache};
use crate::run::{Context, Failure, Result, command, make_dir, output, tail, wait_for};
use crate::supervise::Component;
use crate::tools::{COMETBFT, CONTAINERD, KUBERNETES, PAUSE};
use crate::{client, ending, host, image, node, plan, process, sandbox};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What `up` is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How many nodes, 1 or 2.
    pub nodes: u32,
    /// Only etcd and the API server.
    pub control_plane_only: bool,
}

/// Starts a cluster and waits until it can be used.
pub fn up(place: &Place, wanted: Wanted) -> Result<()> {
    if let Some(state) = place.running().filter(|state| state.ready) {
        let same = state.control_plane_only == wanted.control_plane_only
            && (state.control_plane_only || state.nodes == wanted.nodes);
        let text = describe(place, &state);
        if !same {
            return Err(Failure::refused(format!(
                "another kind of cluster is already up: end it with `cluster down`\n{text}"
            )));
        }
        say!("already up\n{text}");
        return Ok(());
    }
    let _lock = if wanted.control_plane_only { None } else { Some(lock()?) };
    let started = Instant::now();
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").filter(|_| wanted.control_plane_only).map(PathBuf::from);
    let families =
        if wanted.control_plane_only { &[KUBERNETES][..] } else { &[KUBERNETES, CONTAINERD, COMETBFT, PAUSE] };
    let build = assets.is_none() && families.iter().any(|family| family.dir().is_ok_and(|dir| !dir.is_dir()));
    host::require(wanted.control_plane_only, build)?;
    if assets.is_none() {
        for family in families {
            family.ensure()?;
        }
    }
    ending::clean(place)?;
    make_dir(&place.at("logs"))?;
    let network = if wanted.control_plane_only { Network::default() } else { Network::free()? };
    let endpoints =
        if wanted.control_plane_only { Endpoints::loopback(network)? } else { Endpoints::inside(network) };
    let mut state = State {
        network,
        control_plane_only: wanted.control_plane_only,
        nodes: if wanted.control_plane_only { 0 } else { wanted.nodes },
        server: format!("https://{}", endpoints.advertise),
        kubeconfig: place.at("kubeconfig"),
        audit_log: place.at("audit.log"),
        ready: false,
        init: None,
    };
    place.write(&state)?;
    if !wanted.control_plane_only {
        sandbox::make_cgroups(network, wanted.nodes)?;
    }
    let plan = plan::components(place, &state, &endpoints, assets.as_deref())?;
    crate::run::write(&place.at("plan.json"), serde_json::to_string_pretty(&plan).context("plan.json")?)?;
    state.init = Some(start(place, &state)?);
    place.write(&state)?;
    settle(place, &state).map_err(|error| explain(place, &plan, &error))?;
    state.ready = true;
    place.write(&state)?;
    say!("up in {} s\n{}", started.elapsed().as_secs(), describe(place, &state));
    Ok(())
}

/// Held while a cluster with nodes starts or ends: two at once could choose the same addresses.
fn lock() -> Result<File> {
    let dir = cache()?;
    make_dir(&dir)?;
    let lock = File::create(dir.join("up.lock")).context("making a lock file")?;
    lock.lock().context("waiting for another `cluster up`")?;
    Ok(lock)
}

/// Starts the supervisor in a session of its own and returns the process all others die with.
fn start(place: &Place, state: &State) -> Result<Process> {
    let program = std::env::current_exe().context("finding this program")?;
    let supervisor: Vec<String> =
        [&program.display().to_string(), "supervise", "--dir", &place.0.display().to_string()]
            .map(String::from)
            .into();
    let mut wrapped =
        if state.control_plane_only { command("setsid", &supervisor) } else { sandbox::wrap(&supervisor) };
    let log = place.log("supervisor");
    let log = File::create(&log).context(format_args!("making {}", log.display()))?;
    let child = wrapped
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("sharing a log")?)
        .stderr(log)
        .current_dir("/")
        .spawn()
        .context("starting the supervisor")?;
    if state.control_plane_only {
        return Process::of(child.id()).ok_or_else(|| "the supervisor ended at once".into());
    }
    sandbox::connect(state.network, child.id())
}

/// Waits until the API server is ready, images are in place and nodes are.
fn settle(place: &Place, state: &State) -> Result<()> {
    wait_for("the API server", Duration::from_secs(90), || {
        if state.init.as_ref().is_some_and(Process::alive) {
            output(kubectl(state)?.args(["get", "--raw", "/readyz"])).map(|_| true)
        } else {
            Ok(false)
        }
    })?
    .then_some(())
    .ok_or("the supervisor has ended")?;
    for tar in
        if state.control_plane_only { vec![] } else { vec![image::pause()?, image::chain(Kind::default())?] }
    {
        client::load(place, state, &tar)?;
    }
    for n in 1..=state.nodes {
        let name = node::name(n);
        wait_for(&format!("{name} to be Ready"), Duration::from_secs(90), || {
            let query = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
            let status = output(kubectl(state)?.args(["get", "node", &name, "-o", query]))?;
            if status == "True" { Ok(()) } else { Err(format!("Ready={status}").into()) }
        })?;
    }
    if state.nodes > 0 {
        // Pods are refused until this exists.
        wait_for("the default service account", Duration::from_secs(60), || {
            output(kubectl(state)?.args(["get", "serviceaccount", "default", "-n", "default"])).map(drop)
        })?;
    }
    Ok(())
}

/// Puts the logs of whatever may be to blame behind an error.
fn explain(place: &Place, plan: &[Component], error: &Failure) -> Failure {
    let mut text = format!("{error}\nlogs are in {}", place.at("logs").display());
    for name in ["supervisor"].into_iter().chain(plan.iter().take(2).map(|component| component.name.as_str())) {
        let _ = write!(text, "\nthe end of {name}.log:\n  {}", tail(&place.log(name)));
    }
    text.into()
}

/// How to use a running cluster.
pub fn describe(place: &Place, state: &State) -> String {
    let kind = match state.nodes {
        0 => "control plane only".to_owned(),
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    };
    format!(
        "  {kind}, {}\n  state   {}\n  audit   {}\n  export KUBECONFIG={}",
        state.server,
        place.0.display(),
        state.audit_log.display(),
        state.kubeconfig.display()
    )
}

/// The processes of the cluster by component, as the machine numbers them.
pub fn components(place: &Place, state: &State) -> Result<BTreeMap<String, u32>> {
    let text = fs::read(place.at("pids.json")).context("reading pids.json")?;
    let inner: BTreeMap<String, Process> = serde_json::from_slice(&text).context("reading pids.json")?;
    let init = state.init.as_ref().map_or(0, |init| init.pid);
    let outer = |pid| {
        if state.control_plane_only { Some(pid) } else { process::of_component(init, pid) }
    };
    Ok(inner.into_iter().filter_map(|(name, process)| Some((name, outer(process.pid)?))).collect())
}
