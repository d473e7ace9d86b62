//! Chains with `CometBFT`: validators and full nodes as `StatefulSets`, as one would run them.
use crate::client::{get, kubectl, provide};
use crate::genesis;
use crate::kind::Kind;
use crate::manifest::{RPC, governing, service, stateful_set};
use crate::place::{Place, State};
use crate::run::{Context, Failure, Result, feed, output, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a node may take to connect, and to answer.
const LIMIT: Duration = Duration::from_secs(2);
/// The role of the members of a guarded validator.
pub const GATED: &str = "gated";
/// Marks a namespace that was made for its chain and goes with it.
const OURS: &str = "mainstay.test/made-for-chain";

/// The chain to start.
#[derive(clap::Args, Debug)]
pub struct Spec {
    /// Namespace; made when there is none.
    #[arg(long)]
    pub namespace: String,
    /// What its nodes run. wasmd is built when it is first asked for, which takes minutes.
    #[arg(long, value_enum, default_value_t)]
    pub kind: Kind,
    /// Number of validators, in the `StatefulSet` `val`.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub validators: u32,
    /// Number of full nodes, in the `StatefulSet` `full`.
    #[arg(long, default_value_t = 3)]
    pub full_nodes: u32,
    /// One validator more, whose key is left in `signer/` of the homes, and whose two members `a` and `b` have homes,
    /// Services and throw-away keys, but no pods yet: whoever tests failing over makes them.
    #[arg(long)]
    pub gated: bool,
    /// Chain id; the namespace when not given.
    #[arg(long)]
    chain_id: Option<String>,
    /// Milliseconds between blocks.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub block_time: u32,
}

impl Spec {
    /// The chain's id.
    pub fn chain_id(&self) -> &str {
        self.chain_id.as_deref().unwrap_or(&self.namespace)
    }

    fn members(&self) -> Vec<Member> {
        let role = |set, role, count| (0..count).map(move |ordinal| Member { set, role, ordinal });
        let others = role("val", "validator", self.validators);
        let gated = u32::from(self.gated);
        // The first of both has a validator's key when it is made, like those before it.
        others
            .chain(role("a", GATED, gated))
            .chain(role("full", "full", self.full_nodes))
            .chain(role("b", GATED, gated))
            .collect()
    }
}

/// One node of a chain.
#[derive(Clone, Debug)]
pub struct Member {
    set: &'static str,
    /// `validator` or `full`.
    pub role: &'static str,
    ordinal: u32,
}

impl Member {
    /// Its pod, its Service and its home folder.
    pub fn pod(&self) -> String {
        format!("{}-{}", self.set, self.ordinal)
    }
}

/// Starts a chain and waits for its first blocks.
pub fn up(place: &Place, state: &State, spec: &Spec) -> Result<()> {
    let started = Instant::now();
    if state.nodes == 0 {
        return Err(Failure::refused("this cluster has no nodes to run a chain on"));
    }
    let homes = place.at("chains").join(&spec.namespace);
    if homes.is_dir() {
        say!("a chain is already there in {}", spec.namespace);
        return status(state, &spec.namespace);
    }
    provide(place, state, spec.kind)?;
    let members = spec.members();
    if output(kubectl(state)?.args(["get", "namespace", &spec.namespace])).is_err() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": spec.namespace, "labels": {OURS: "true"}}});
        apply(state, &spec.namespace, &[namespace])?;
    }
    // Services first: their addresses go into the nodes' configuration.
    let mut services: Vec<Value> = members.iter().map(|member| service(spec.kind, member)).collect();
    services.extend(["val", "full"].map(governing));
    apply(state, &spec.namespace, &services)?;
    let nodes = members.iter().filter(|member| member.role != GATED).count();
    let mut addressed = Vec::new();
    for member in members {
        let service = get(state, &["service", &member.pod(), "-n", &spec.namespace])?;
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
        addressed.push((member, address));
    }
    genesis::create(&homes, spec, &addressed)?;
    let sets = [("val", "validator", spec.validators), ("full", "full", spec.full_nodes)]
        .into_iter()
        .filter(|&(_, _, count)| count > 0)
        .map(|(set, role, count)| stateful_set(spec.kind, (set, role), count, &homes.display().to_string()))
        .collect::<Result<Vec<Value>>>()?;
    apply(state, &spec.namespace, &sets)?;
    wait_for("every node's second block", Duration::from_secs(120), || {
        let found = heights(state, &spec.namespace)?;
        match found.iter().find(|node| node.height.is_none_or(|height| height < 2)) {
            Some(node) => Err(format!("{} {}", node.pod, node.said).into()),
            None if found.len() < nodes => Err(format!("{} pods", found.len()).into()),
            None => Ok(()),
        }
    })?;
    say!("chain {} makes blocks after {} s", spec.chain_id(), started.elapsed().as_secs());
    status(state, &spec.namespace)
}

/// Prints the height of each node.
pub fn status(state: &State, namespace: &str) -> Result<()> {
    for node in heights(state, namespace)? {
        say!("{:<10} {:<15} {}", node.pod, node.address, node.said);
    }
    Ok(())
}

/// Ends a chain and removes its data.
pub fn down(place: &Place, state: &State, namespace: &str) -> Result<()> {
    let kinds = "statefulset,service,pod";
    output(
        kubectl(state)?
            .args(["delete", kinds, "-n", namespace, "-l", "app=cometbft"])
            .args(["--request-timeout=0", "--timeout=90s"]),
    )?;
    let found = get(state, &["namespace", "--field-selector", &format!("metadata.name={namespace}"), "-l", OURS])?;
    if found["items"].as_array().is_some_and(|items| !items.is_empty()) {
        output(kubectl(state)?.args(["delete", "namespace", namespace, "--request-timeout=0", "--timeout=90s"]))?;
    }
    let homes = place.at("chains").join(namespace);
    if homes.is_dir() {
        fs::remove_dir_all(&homes).context(format_args!("removing {}", homes.display()))?;
    }
    say!("chain in {namespace} removed");
    Ok(())
}

fn apply(state: &State, namespace: &str, items: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let args = ["apply", "-n", namespace, "--server-side", "-f", "-"];
    feed(kubectl(state)?.args(args), list.to_string().as_bytes()).map(drop)
}

/// What one node says of itself.
struct Report {
    pod: String,
    address: String,
    height: Option<u64>,
    said: String,
}

fn heights(state: &State, namespace: &str) -> Result<Vec<Report>> {
    let pods = get(state, &["pods", "-n", namespace, "-l", "app=cometbft"])?;
    let pods = pods["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(pods
        .iter()
        .map(|pod| {
            let address = pod["status"]["podIP"].as_str().unwrap_or_default().to_owned();
            let answer = address.parse().context("no address yet").and_then(rpc_status);
            let (height, said) = match answer {
                Ok((height, catching_up)) => {
                    (Some(height), format!("{height}{}", if catching_up { " (catching up)" } else { "" }))
                }
                Err(error) => (None, error.to_string()),
            };
            Report { pod: pod["metadata"]["name"].as_str().unwrap_or_default().into(), address, height, said }
        })
        .collect())
}

/// Asks a node's RPC for its height and whether it is catching up.
fn rpc_status(address: IpAddr) -> Result<(u64, bool)> {
    let target = SocketAddr::new(address, RPC);
    let mut stream = TcpStream::connect_timeout(&target, LIMIT).context("cannot connect")?;
    stream.set_read_timeout(Some(LIMIT)).context("setting a time limit")?;
    let request = format!("GET /status HTTP/1.0\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).context("cannot ask")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "connects but does not answer".to_owned(),
        _ => error.to_string(),
    })?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).context("answers garbage")?;
    let sync = &body["result"]["sync_info"];
    let height = sync["latest_block_height"].as_str().and_then(|height| height.parse().ok());
    let height = height.ok_or_else(|| Failure::from("answers without a height"))?;
    Ok((height, sync["catching_up"] == true))
}
