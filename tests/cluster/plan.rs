//! What a cluster consists of.
use crate::control_plane::{self, Endpoints};
use crate::place::{Place, State};
use crate::run::Result;
use crate::supervise::Component;
use crate::tools::{CONTAINERD, KUBERNETES};
use crate::{certs, host, node};
use std::path::Path;

/// Everything that runs, in the order in which it starts.
pub fn components(
    place: &Place,
    state: &State,
    endpoints: &Endpoints,
    assets: Option<&Path>,
) -> Result<Vec<Component>> {
    let advertised = endpoints.advertise.ip().to_string();
    let service = state.network.kubernetes().to_string();
    certs::create(
        place,
        &[
            "127.0.0.1",
            &advertised,
            &service,
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
    )?;
    control_plane::write_files(place, endpoints, state.nodes)?;
    let (etcd, bin) = match assets {
        Some(dir) => (dir.join("etcd"), dir.to_owned()),
        None => (host::find("etcd").unwrap_or_else(|| "etcd".into()), KUBERNETES.dir()?),
    };
    let bare = state.control_plane_only;
    let mut plan = vec![
        control_plane::etcd(place, etcd, endpoints),
        control_plane::apiserver(place, bin.join("kube-apiserver"), endpoints, bare),
    ];
    if !bare {
        plan.extend(control_plane::controllers(place, &bin));
        plan.push(node::proxy(place, state.network, &bin)?);
        for n in 1..=state.nodes {
            plan.extend(node::prepare(place, state.network, n, &bin, &CONTAINERD.dir()?)?);
        }
    }
    Ok(plan)
}
