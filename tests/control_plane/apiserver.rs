//! A real etcd and kube-apiserver on loopback, for as long as a test runs. No kubelet and no controllers.

use std::{
    env, fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kube::{Client, Config};
use ring::{rand::SystemRandom, signature};
use tempfile::TempDir;

const TOKEN: &str = "only-for-this-test";

/// A control plane of one's own.
pub struct ApiServer {
    /// A client that may do everything.
    pub client: Client,
    // In this order: the API server goes before its store, the directory last.
    _apiserver: Process,
    _etcd: Process,
    directory: TempDir,
}

/// A child that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ApiServer {
    /// Starts both and waits until they are ready.
    pub async fn start() -> Self {
        let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let assets = assets.expect("KUBEBUILDER_ASSETS must name a directory with etcd and kube-apiserver");
        let directory = TempDir::new().unwrap();
        let [client_port, peer_port, secure_port] = free_ports();
        let store = format!("http://127.0.0.1:{client_port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let etcd = spawn(
            &assets,
            directory.path(),
            "etcd",
            &[
                &format!("--data-dir={}", directory.path().join("data").display()),
                &format!("--listen-client-urls={store}"),
                &format!("--advertise-client-urls={store}"),
                &format!("--listen-peer-urls={peer}"),
                &format!("--initial-advertise-peer-urls={peer}"),
                &format!("--initial-cluster=default={peer}"),
                "--unsafe-no-fsync",
            ],
        );
        let key = directory.path().join("service-account.pem");
        fs::write(&key, private_key()).unwrap();
        let tokens = directory.path().join("tokens.csv");
        fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n")).unwrap();
        let apiserver = spawn(
            &assets,
            directory.path(),
            "kube-apiserver",
            &[
                &format!("--etcd-servers={store}"),
                "--bind-address=127.0.0.1",
                &format!("--secure-port={secure_port}"),
                &format!("--cert-dir={}", directory.path().join("certs").display()),
                &format!("--service-account-key-file={}", key.display()),
                &format!("--service-account-signing-key-file={}", key.display()),
                "--service-account-issuer=https://kubernetes.default.svc",
                &format!("--token-auth-file={}", tokens.display()),
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                "--endpoint-reconciler-type=none",
            ],
        );
        let mut config = Config::new(format!("https://127.0.0.1:{secure_port}").parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(TOKEN.to_owned().into());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_from(config).unwrap();
        let this = Self { client, _apiserver: apiserver, _etcd: etcd, directory };
        this.ready().await;
        this
    }

    async fn ready(&self) {
        for _ in 0..480 {
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            if self.client.request_text(request).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let log = self.directory.path().join("kube-apiserver.log");
        panic!("kube-apiserver is not ready:\n{}", fs::read_to_string(log).unwrap_or_default());
    }
}

/// Starts a program of the assets, or else of the PATH; its output goes to a file.
fn spawn(assets: &Path, directory: &Path, name: &str, arguments: &[&str]) -> Process {
    let program = Some(assets.join(name)).filter(|path| path.exists()).unwrap_or_else(|| name.into());
    let log = fs::File::create(directory.join(format!("{name}.log"))).unwrap();
    let child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error: io::Error| panic!("failed to start {}: {error}", program.display()));
    Process(child)
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A fresh key for service account tokens, as PEM.
fn private_key() -> String {
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = signature::EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let text = serde_json::to_value(k8s_openapi::ByteString(key.as_ref().to_vec())).unwrap();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", text.as_str().unwrap())
}
