//! Speaking to the cluster: the one of this folder, or one of the user's own.
use crate::image;
use crate::kind::Kind;
use crate::node;
use crate::place::{Place, State};
use crate::run::{Context, Failure, Result, command, output, wait_for};
use crate::tools::{CONTAINERD, KUBERNETES};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The user's own cluster, when `KUBECONFIG` names one that no launcher made.
pub fn foreign(place: &Place) -> Option<PathBuf> {
    let set = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty())?;
    let set = PathBuf::from(set);
    let ours = set == place.at("kubeconfig") || set.with_file_name("cluster.json").is_file();
    (!ours).then_some(set)
}

/// Checks that the user's own cluster answers, and leaves it at that.
pub fn verify(kubeconfig: &Path) -> Result<()> {
    let kubectl =
        crate::host::find("kubectl").map_or_else(|| KUBERNETES.ensure().map(|dir| dir.join("kubectl")), Ok)?;
    let shown = kubeconfig.display();
    output(command(kubectl, ["--request-timeout=10s", "get", "--raw", "/version"]).env("KUBECONFIG", kubeconfig))
        .map_err(|error| Failure::refused(format!("KUBECONFIG={shown} does not answer: {error}")))?;
    say!("KUBECONFIG={shown} answers: using that cluster, starting none");
    Ok(())
}

/// Refuses where images cannot be put: on a cluster of the user's own.
pub fn refuse_images(kubeconfig: &Path) -> Failure {
    Failure::refused(format!(
        "KUBECONFIG={} is a cluster of your own, and images cannot be loaded into it from here: push the image to a \
         registry that it pulls from, or unset KUBECONFIG to use the local cluster",
        kubeconfig.display()
    ))
}

/// `kubectl` as the cluster's administrator.
pub fn kubectl(state: &State) -> Result<Command> {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(|dir| Path::new(&dir).join("kubectl"));
    let program = match given.filter(|program| state.control_plane_only && program.is_file()) {
        Some(program) => program,
        None => KUBERNETES.ensure()?.join("kubectl"),
    };
    let mut command = Command::new(program);
    command.env("KUBECONFIG", &state.kubeconfig).arg("--request-timeout=20s");
    Ok(command)
}

/// Reads objects as JSON.
pub fn get(state: &State, args: &[&str]) -> Result<Value> {
    let text = output(kubectl(state)?.arg("get").args(args).args(["-o", "json"]))?;
    serde_json::from_str(&text).context("reading the answer of kubectl")
}

/// `ctr` against one node's containerd.
fn ctr(place: &Place, n: u32) -> Result<Command> {
    let mut command = Command::new(CONTAINERD.program("ctr")?);
    command.arg("--address").arg(node::socket(place, n)).args(["--namespace", "k8s.io"]);
    Ok(command)
}

/// Imports an image archive into every node.
pub fn load(place: &Place, state: &State, tar: &Path) -> Result<()> {
    if state.nodes == 0 {
        return Err(Failure::refused("this cluster has no nodes to load images into"));
    }
    if !tar.is_file() {
        return Err(Failure::refused(format!("{}: no such file", tar.display())));
    }
    for n in 1..=state.nodes {
        wait_for("containerd", Duration::from_secs(30), || output(ctr(place, n)?.arg("version")).map(drop))?;
        output(ctr(place, n)?.args(["images", "import", "--digests=false"]).arg(tar)).context(format_args!(
            "loading {} into {}",
            tar.display(),
            node::name(n)
        ))?;
    }
    Ok(())
}

/// Loads the image of a chain's nodes where it is not there yet: the everyday kind's comes with the cluster.
pub fn provide(place: &Place, state: &State, kind: Kind) -> Result<()> {
    let name = image::chain_name(kind)?;
    for n in 1..=state.nodes {
        let known = output(ctr(place, n)?.args(["images", "list", "--quiet"]))?;
        if !known.lines().any(|known| known == name) {
            return load(place, state, &image::chain(kind)?);
        }
    }
    Ok(())
}

/// The process of a pod's container, as the machine numbers it.
pub fn pod_process(state: &State, namespace: &str, pod: &str, container: Option<&str>) -> Result<u32> {
    let object = get(state, &["pod", pod, "-n", namespace])?;
    // Sidecars stand among the containers that initialise.
    let status = ["containerStatuses", "initContainerStatuses"]
        .iter()
        .filter_map(|list| object["status"][list].as_array())
        .flatten()
        .find(|status| container.is_none_or(|name| status["name"] == name))
        .ok_or_else(|| Failure::from(format!("pod {namespace}/{pod} has no such container yet")))?;
    let id = status["containerID"].as_str().unwrap_or_default();
    crate::process::of_container(id)
        .ok_or_else(|| format!("pod {namespace}/{pod}: no process runs for container {id:?}").into())
}
