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
const OWN_TOKEN: &str = "mainstay-of-this-test";
const PLAIN_TOKEN: &str = "mainstay-without-a-group";

/// A control plane of one's own.
pub struct ApiServer {
    /// A client that may do everything.
    pub client: Client,
    url: String,
    // In this order: the API server goes before its store, the directory last.
    apiserver: Process,
    _etcd: Process,
    directory: TempDir,
}

/// The operator, until nobody needs it.
pub struct Operator(#[expect(dead_code, reason = "it ends with this")] Process);

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
        let (private, public) = (directory.path().join("sa.key"), directory.path().join("sa.pub"));
        write_keys(&private, &public);
        let tokens = directory.path().join("tokens.csv");
        let own = "system:serviceaccount:mainstay-system:mainstay";
        fs::write(
            &tokens,
            format!("{TOKEN},admin,admin,system:masters\n{OWN_TOKEN},{own},mainstay,system:masters\n{PLAIN_TOKEN},{own},mainstay\n"),
        )
        .unwrap();
        let apiserver = spawn(
            &assets,
            directory.path(),
            "kube-apiserver",
            &[
                &format!("--etcd-servers={store}"),
                "--bind-address=127.0.0.1",
                &format!("--secure-port={secure_port}"),
                &format!("--cert-dir={}", directory.path().join("certs").display()),
                &format!("--service-account-signing-key-file={}", private.display()),
                &format!("--service-account-key-file={}", public.display()),
                "--service-account-issuer=https://kubernetes.default.svc",
                &format!("--token-auth-file={}", tokens.display()),
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                "--endpoint-reconciler-type=none",
            ],
        );
        let url = format!("https://127.0.0.1:{secure_port}");
        let client = connect(&url, TOKEN);
        let mut this = Self { client, url, apiserver, _etcd: etcd, directory };
        this.ready().await;
        this
    }

    /// Starts the operator, which may do everything here, for all namespaces.
    pub fn operator(&self) -> Operator {
        self.start_operator("mainstay", TOKEN, &[])
    }

    /// Starts an operator that looks after failover groups, with no more rights than its account has been given.
    pub fn operator_of_groups(&self, replica: &str) -> Operator {
        self.start_operator(replica, PLAIN_TOKEN, &["--failover", "--node-off", "--identity", replica])
    }

    fn start_operator(&self, name: &str, token: &str, arguments: &[&str]) -> Operator {
        let log = fs::File::create(self.directory.path().join(format!("{name}.operator.log"))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_mainstay"))
            .args(["run", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig(name, token))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Operator(Process(child))
    }

    /// A command of an administrator's.
    pub fn mainstay(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(arguments).env("KUBECONFIG", self.kubeconfig("admin", TOKEN)).stdin(Stdio::null());
        command
    }

    fn kubeconfig(&self, name: &str, token: &str) -> PathBuf {
        let path = self.directory.path().join(format!("{name}.kubeconfig"));
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {{server: \"{}\", insecure-skip-tls-verify: true}}}}], \
             users: [{{name: u, user: {{token: {token}}}}}]}}",
            self.url
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// A client with a token that this API server has given.
    pub fn client_of(&self, token: &str) -> Client {
        connect(&self.url, token)
    }

    /// A client under the name of Mainstay's own account, which may do here whatever admission control lets it.
    pub fn own_account(&self) -> Client {
        connect(&self.url, OWN_TOKEN)
    }

    /// What the operators said so far.
    pub fn log(&self) -> String {
        let files = fs::read_dir(self.directory.path()).unwrap().map(|file| file.unwrap().path());
        let mut logs: Vec<_> = files.filter(|file| file.to_string_lossy().ends_with(".operator.log")).collect();
        logs.sort_by_key(|log| fs::metadata(log).and_then(|of| of.modified()).ok());
        logs.iter().map(|log| fs::read_to_string(log).unwrap_or_default()).collect()
    }

    async fn ready(&mut self) {
        let mut ended = None;
        for _ in 0..480 {
            ended = self.apiserver.0.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            if self.client.request_text(request).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let said = ["kube-apiserver", "etcd"].map(|name| {
            let path = self.directory.path().join(format!("{name}.log"));
            format!("{name}:\n{}", fs::read_to_string(path).unwrap_or_else(|error| error.to_string()))
        });
        // A full disk leaves empty logs: whether one more byte can be written tells it from a program that says nothing.
        let disk = fs::write(self.directory.path().join("room"), vec![0; 65536]);
        panic!("kube-apiserver is not ready (ended: {ended:?}; room on the disk: {disk:?})\n{}", said.join("\n"));
    }
}

fn connect(url: &str, token: &str) -> Client {
    let mut config = Config::new(url.parse().unwrap());
    config.accept_invalid_certs = true;
    config.auth_info.token = Some(token.to_owned().into());
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(config).unwrap()
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

/// A fresh pair of keys for service account tokens, as PEM.
fn write_keys(private: &Path, public: &Path) {
    let (algorithm, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = signature::EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    // SubjectPublicKeyInfo: id-ecPublicKey on prime256v1, then the point.
    let mut info = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00".to_vec();
    info.extend(signature::KeyPair::public_key(&pair).as_ref());
    fs::write(private, pem("PRIVATE KEY", pkcs8.as_ref())).unwrap();
    fs::write(public, pem("PUBLIC KEY", &info)).unwrap();
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = serde_json::to_value(k8s_openapi::ByteString(der.to_vec())).unwrap();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", text.as_str().unwrap())
}
