//! A node: containerd with its network plugin, and the kubelet. Several fit on one machine,
//! each with folders, a bridge, ports and a cgroup of its own.
use crate::host::CNI_PLUGINS;
use crate::image::pause_name;
use crate::network::Network;
use crate::place::Place;
use crate::run::{Result, make_dir, write};
use crate::supervise::Component;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The name of a node, counted from 1.
pub fn name(node: u32) -> String {
    format!("node{node}")
}

/// The socket of a node's containerd.
pub fn socket(place: &Place, node: u32) -> PathBuf {
    place.at(&name(node)).join("containerd.sock")
}

/// Writes a node's files and returns its components.
pub fn prepare(
    place: &Place,
    net: Network,
    node: u32,
    kubernetes: &Path,
    containerd: &Path,
) -> Result<Vec<Component>> {
    let dir = place.at(&name(node));
    for sub in ["cni", "kubelet", "pod-logs"] {
        make_dir(&dir.join(sub))?;
    }
    write(&dir.join("containerd.toml"), containerd_config(&dir, &pause_name()?))?;
    write(&dir.join("cni/10-bridge.conflist"), bridge(&dir, net, node))?;
    write(&dir.join("kubelet.json"), kubelet_config(place, &dir, net, node))?;
    // There is no DNS: a name asked for in a pod fails at once instead of after a timeout.
    write(&dir.join("resolv.conf"), "nameserver 127.0.0.1\n")?;
    // containerd finds its shim on the path, so it is started through env.
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", containerd.display());
    let kubeconfig = place.at(&format!("kubelet-{node}.kubeconfig"));
    Ok(vec![
        Component {
            name: format!("containerd-{node}"),
            program: "env".into(),
            args: vec![
                path,
                containerd.join("containerd").display().to_string(),
                format!("--config={}", dir.join("containerd.toml").display()),
            ],
            listens: None,
        },
        Component {
            name: format!("kubelet-{node}"),
            program: kubernetes.join("kubelet"),
            args: vec![
                format!("--config={}", dir.join("kubelet.json").display()),
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--hostname-override={}", name(node)),
                format!("--node-ip={}", net.node(node)),
                format!("--root-dir={}", dir.join("kubelet").display()),
            ],
            listens: None,
        },
    ])
}

fn containerd_config(dir: &Path, pause: &str) -> String {
    let at = |name: &str| dir.join(name).display().to_string();
    let (root, state, socket, cni) = (at("containerd"), at("containerd-state"), at("containerd.sock"), at("cni"));
    format!(
        "version = 3
root = {root:?}
state = {state:?}
disabled_plugins = ['io.containerd.nri.v1.nri']

[grpc]
  address = {socket:?}

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = {pause:?}

[plugins.'io.containerd.cri.v1.runtime']
  # A machine may forbid lowering this score even to root.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = [{CNI_PLUGINS:?}]
    conf_dir = {cni:?}
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
"
    )
}

fn bridge(dir: &Path, net: Network, node: u32) -> String {
    let config = json!({
        "cniVersion": "1.0.0", "name": format!("mainstay-{node}"),
        "plugins": [
            {"type": "bridge", "bridge": format!("pods{node}"), "isGateway": true, "hairpinMode": true,
             "ipam": {"type": "host-local", "dataDir": dir.join("addresses"),
                      "ranges": [[{"subnet": net.pods_of(node)}]],
                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    config.to_string()
}

fn kubelet_config(place: &Place, dir: &Path, net: Network, node: u32) -> String {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", dir.join("containerd.sock").display()),
        "address": net.node(node), "port": 10250,
        "healthzBindAddress": net.node(node), "healthzPort": 10248,
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true},
                           "x509": {"clientCAFile": place.at("pki/ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{}/{}", net.cgroup(), name(node)),
        "failCgroupV1": false, "failSwapOn": false, "localStorageCapacityIsolation": false,
        "enforceNodeAllocatable": [], "oomScoreAdj": 0,
        "podLogsDir": dir.join("pod-logs"),
        "clusterDomain": "cluster.local", "clusterDNS": ["127.0.0.1"], "resolvConf": dir.join("resolv.conf"),
        "maxPods": 110, "syncFrequency": "10s", "registerNode": true,
        // A full disk of the developer's must not evict pods or delete their images.
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
                         "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
    });
    config.to_string()
}

/// kube-proxy; one serves all nodes, since they share one network namespace.
pub fn proxy(place: &Place, net: Network, kubernetes: &Path) -> Result<Component> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": place.at("kube-proxy.kubeconfig")},
        "mode": "iptables", "clusterCIDR": net.pods(), "hostnameOverride": name(1),
        "bindAddress": net.node(1), "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        // These belong to the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s"},
    });
    write(&place.at("kube-proxy.json"), config.to_string())?;
    Ok(Component {
        name: "kube-proxy".into(),
        program: kubernetes.join("kube-proxy"),
        args: vec![format!("--config={}", place.at("kube-proxy.json").display())],
        listens: None,
    })
}
