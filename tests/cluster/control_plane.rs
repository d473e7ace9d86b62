//! etcd, the API server, the controllers and the scheduler: their flags and files.
use crate::network::Network;
use crate::place::Place;
use crate::run::{Context, Result, line, output, write};
use crate::supervise::Component;
use serde_json::json;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Where the control plane listens.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// etcd for clients.
    pub etcd: SocketAddr,
    /// etcd for its peers, of which there are none.
    pub etcd_peer: SocketAddr,
    /// The address the API server binds.
    pub bind: SocketAddr,
    /// The address that it gives to others.
    pub advertise: SocketAddr,
    /// Addresses of Services.
    pub services: String,
}

impl Endpoints {
    /// In namespaces of its own a cluster has every port to itself.
    pub fn inside(network: Network) -> Self {
        let at = |ip, port| SocketAddr::new(std::net::IpAddr::V4(ip), port);
        Self {
            etcd: at(Ipv4Addr::LOCALHOST, 2379),
            etcd_peer: at(Ipv4Addr::LOCALHOST, 2380),
            bind: at(Ipv4Addr::UNSPECIFIED, 6443),
            advertise: at(network.inside(), 6443),
            services: network.services(),
        }
    }

    /// Free ports on loopback; held together so that they differ.
    pub fn loopback(network: Network) -> Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port");
        let (a, b, c) = (listen()?, listen()?, listen()?);
        let address = |listener: &TcpListener| listener.local_addr().context("looking for a free port");
        Ok(Self {
            etcd: address(&a)?,
            etcd_peer: address(&b)?,
            bind: address(&c)?,
            advertise: address(&c)?,
            services: network.services(),
        })
    }
}

/// Who may speak to the API server: name, user, groups. Components have exactly the roles that
/// Kubernetes ships for them; only `admin` may do everything.
const USERS: [(&str, &str, &str); 4] = [
    ("admin", "admin", "system:masters"),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
];

/// One line per answered request, without bodies; with them where a test replays what was written.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  omitManagedFields: true
  verbs: [create, update, patch]
  resources: [{group: mainstay.dev, resources: [signingidentities/status]}]
- level: Metadata
";

/// Writes tokens, kubeconfigs and the audit policy.
pub fn write_files(place: &Place, endpoints: &Endpoints, nodes: u32) -> Result<()> {
    let mut users: Vec<(String, String, &str)> =
        USERS.iter().map(|&(name, user, groups)| (name.into(), user.into(), groups)).collect();
    users.extend((1..=nodes).map(|n| (format!("kubelet-{n}"), format!("system:node:node{n}"), "system:nodes")));
    let mut tokens = String::new();
    let inside = SocketAddr::new([127, 0, 0, 1].into(), endpoints.bind.port());
    for (name, user, groups) in &users {
        let token = random_token()?;
        let _ = writeln!(tokens, "{token},{user},{name},\"{groups}\"");
        let (file, server) = if name == "admin" {
            ("kubeconfig".into(), endpoints.advertise)
        } else {
            (format!("{name}.kubeconfig"), inside)
        };
        write_kubeconfig(place, &file, server, &token)?;
    }
    write_secret(&place.at("tokens.csv"), &tokens)?;
    write(&place.at("audit-policy.yaml"), AUDIT_POLICY)
}

fn random_token() -> Result<String> {
    let token = output(&mut line("openssl rand -hex 24"))?;
    Ok(token.trim().to_owned())
}

fn write_kubeconfig(place: &Place, file: &str, server: SocketAddr, token: &str) -> Result<()> {
    // Within the file, so that a copy of it works elsewhere.
    let authority = output(line("openssl base64 -A -in ca.crt").current_dir(place.at("pki")))?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "mainstay",
        "clusters": [{"name": "mainstay", "cluster": {
            "server": format!("https://{server}"), "certificate-authority-data": authority.trim()}}],
        "users": [{"name": "mainstay", "user": {"token": token}}],
        "contexts": [{"name": "mainstay", "context": {"cluster": "mainstay", "user": "mainstay"}}],
    });
    write_secret(&place.at(file), &format!("{config:#}\n"))
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .context(format_args!("protecting {}", path.display()))
}

/// etcd. Without fsync: nothing here outlives the machine.
pub fn etcd(place: &Place, program: PathBuf, endpoints: &Endpoints) -> Component {
    let (client, peer) = (format!("http://{}", endpoints.etcd), format!("http://{}", endpoints.etcd_peer));
    let args = [
        format!("--data-dir={}", place.at("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".into(),
    ];
    Component { name: "etcd".into(), program, args: args.into(), listens: Some(endpoints.etcd) }
}

/// The API server. `bare` is the one without controllers and nodes.
pub fn apiserver(place: &Place, program: PathBuf, endpoints: &Endpoints, bare: bool) -> Component {
    let pki = |name: &str| place.at("pki").join(name).display().to_string();
    let mut args = vec![
        format!("--etcd-servers=http://{}", endpoints.etcd),
        format!("--bind-address={}", endpoints.bind.ip()),
        format!("--secure-port={}", endpoints.bind.port()),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--service-account-key-file={}", pki("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", pki("service-accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-cluster-ip-range={}", endpoints.services),
        format!("--token-auth-file={}", place.at("tokens.csv").display()),
        "--authorization-mode=Node,RBAC".into(),
        "--allow-privileged=true".into(),
        format!("--audit-policy-file={}", place.at("audit-policy.yaml").display()),
        format!("--audit-log-path={}", place.at("audit.log").display()),
    ];
    if bare {
        // Nobody makes the default service accounts here, and loopback can be no endpoint.
        args.push("--disable-admission-plugins=ServiceAccount".into());
        args.push("--endpoint-reconciler-type=none".into());
    } else {
        args.push(format!("--advertise-address={}", endpoints.advertise.ip()));
        args.push(format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")));
        args.push(format!("--kubelet-client-key={}", pki("kubelet-client.key")));
        // Node names are known to no DNS.
        args.push("--kubelet-preferred-address-types=InternalIP".into());
        args.push("--enable-admission-plugins=NodeRestriction".into());
    }
    let local = SocketAddr::new([127, 0, 0, 1].into(), endpoints.bind.port());
    Component { name: "kube-apiserver".into(), program, args, listens: Some(local) }
}

/// The controllers and the scheduler.
pub fn controllers(place: &Place, bin: &Path) -> Vec<Component> {
    let pki = |name: &str| place.at("pki").join(name).display().to_string();
    let kubeconfig = |name: &str| format!("--kubeconfig={}", place.at(&format!("{name}.kubeconfig")).display());
    let manager = vec![
        kubeconfig("kube-controller-manager"),
        "--bind-address=127.0.0.1".into(),
        "--leader-elect=false".into(),
        "--use-service-account-credentials=true".into(),
        format!("--service-account-private-key-file={}", pki("service-accounts.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
    ];
    let scheduler =
        vec![kubeconfig("kube-scheduler"), "--bind-address=127.0.0.1".into(), "--leader-elect=false".into()];
    [("kube-controller-manager", manager), ("kube-scheduler", scheduler)]
        .map(|(name, args)| Component { name: name.into(), program: bin.join(name), args, listens: None })
        .into()
}
