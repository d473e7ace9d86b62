//! The Go programs of the cluster: built once from the module files beside this one, kept
//! outside the checkout, named by what they were built from.
use crate::image;
use crate::kind::Kind;
use crate::place;
use crate::run::{Context, Failure, Result, command, make_dir, output, tail};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// One Go module of `tools/`: its own, because the families' dependencies disagree.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Folder under `tools/`.
    pub name: &'static str,
    /// The module whose version names the family; none for our own code.
    module: Option<&'static str>,
    /// What `go build` is asked for: the module's `tool` lines or its own `main`.
    package: &'static str,
    /// Further names of the one binary.
    links: &'static [&'static str],
    /// Roughly how long a cold build takes on two cores.
    cold: &'static str,
}

/// Kubernetes as one binary, under the names of its parts.
pub const KUBERNETES: Family = Family {
    name: "kubernetes",
    module: Some("k8s.io/kubernetes"),
    package: ".",
    links: &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"],
    cold: "6 minutes",
};
/// containerd, its shim and `ctr`.
pub const CONTAINERD: Family = Family {
    name: "containerd",
    module: Some("github.com/containerd/containerd/v2"),
    package: "tool",
    links: &[],
    cold: "1 minute",
};
/// The `CometBFT` node.
pub const COMETBFT: Family = Family {
    name: "cometbft",
    module: Some("github.com/cometbft/cometbft"),
    package: "tool",
    links: &[],
    cold: "30 seconds",
};
/// Helm, for installing the chart as a user would.
pub const HELM: Family =
    Family { name: "helm", module: Some("helm.sh/helm/v4"), package: "tool", links: &[], cold: "2 minutes" };
/// The process that holds a pod's namespaces.
pub const PAUSE: Family = Family { name: "pause", module: None, package: ".", links: &[], cold: "5 seconds" };

/// Prometheus' own parser of pages of metrics: the judge of ours, and its rival. Not a part of the cluster.
pub const PROMPARSE: Family = Family {
    name: "promparse",
    module: Some("github.com/prometheus/prometheus"),
    package: ".",
    links: &[],
    cold: "20 seconds",
};

/// Every family of the cluster, the quick ones first.
pub const ALL: [Family; 5] = [PAUSE, COMETBFT, CONTAINERD, HELM, KUBERNETES];
/// An Ethereum execution client.
pub const GETH: Family = Family {
    name: "geth",
    module: Some("github.com/ethereum/go-ethereum"),
    package: "tool",
    links: &[],
    cold: "90 seconds",
};
/// A Cosmos SDK chain with slashing, governance and upgrades. Its virtual machine is a library of C that the linker
/// takes from the module's own folder.
pub const WASMD: Family = Family {
    name: "wasmd",
    module: Some("github.com/CosmWasm/wasmd"),
    package: "tool",
    links: &[],
    cold: "6 minutes",
};
/// What tests and other kinds of chains use, built when it is asked for.
pub const OTHERS: [Family; 3] = [PROMPARSE, GETH, WASMD];

/// The path of a program such as `helm` or `kubectl`, built first if it is not there.
pub fn path(program: &str) -> Result<PathBuf> {
    let mut families = ALL.iter().chain(&OTHERS);
    let family = families.find(|family| family.name == program || family.links.contains(&program));
    let family =
        family.ok_or_else(|| Failure::refused(format!("{program} is not built here: try helm or kubectl")))?;
    Ok(family.ensure()?.join(program))
}

impl Family {
    /// What the nodes of a chain are.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Cometbft => COMETBFT,
            Kind::Wasmd => WASMD,
        }
    }

    /// Whether its program loads libraries, among them one that came with its module.
    pub fn is_linked(self) -> bool {
        self.name == WASMD.name
    }

    fn sources(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/tools").join(self.name)
    }

    /// The version that `go.mod` asks for, without its `v`.
    pub fn version(self) -> Result<String> {
        let Some(module) = self.module else {
            return Ok("1".into());
        };
        let path = self.sources().join("go.mod");
        let text = fs::read_to_string(&path).context(format_args!("reading {}", path.display()))?;
        text.lines()
            .filter(|line| !line.contains("=>"))
            .find_map(|line| {
                line.trim().trim_start_matches("require ").strip_prefix(module)?.trim().strip_prefix('v')
            })
            .map(|rest| rest.split_whitespace().next().unwrap_or(rest).to_owned())
            .ok_or_else(|| format!("{}: no version of {module}", path.display()).into())
    }

    fn ldflags(self, version: &str) -> String {
        let mut flags = "-s -w".to_owned();
        if self.is_linked() {
            // Its own library is beside it, whatever becomes of the module's folder.
            flags.push_str(" -extldflags -Wl,-rpath,$ORIGIN");
        }
        if self.name == KUBERNETES.name {
            let mut parts = version.split('.');
            let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            // Without these the kubelet reports v0.0.0 and version checks misfire.
            for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
                let _ = write!(flags, " -X {package}.gitVersion=v{version} -X {package}.gitCommit=v{version}");
                let _ = write!(flags, " -X {package}.gitMajor={major} -X {package}.gitMinor={minor}");
            }
        }
        flags
    }

    /// Where the family's programs are, or will be once built.
    pub fn dir(self) -> Result<PathBuf> {
        let version = self.version()?;
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum", "main.go"] {
            hash.update(fs::read(self.sources().join(file)).unwrap_or_default());
        }
        hash.update(self.ldflags(&version));
        let hash = format!("{:x}", hash.finalize());
        Ok(place::cache()?.join("bin").join(format!("{}-{version}-{hash:.12}", self.name)))
    }

    /// The path of one program, which must have been built.
    pub fn program(self, name: &str) -> Result<PathBuf> {
        Ok(self.dir()?.join(name))
    }

    /// Builds the family unless it is there; returns its folder.
    pub fn ensure(self) -> Result<PathBuf> {
        let dir = self.dir()?;
        if dir.is_dir() {
            return Ok(dir);
        }
        let bin = place::cache()?.join("bin");
        make_dir(&bin)?;
        let lock = File::create(bin.join(format!("{}.lock", self.name))).context("making a lock file")?;
        lock.lock().context("waiting for another build")?;
        if !dir.is_dir() {
            self.build(&bin, &dir)?;
        }
        Ok(dir)
    }

    fn build(self, bin: &Path, dir: &Path) -> Result<()> {
        output(&mut command("go", ["version"]))
            .context("Go 1.26 or newer is needed to build the local cluster")?;
        let version = self.version()?;
        let (name, start) = (self.name, Instant::now());
        say!("building {name} {version} (about {} when nothing is cached) …", self.cold);
        // Renamed when complete: nobody ever sees half a family.
        let work = bin.join(format!(".{name}.new"));
        let _ = fs::remove_dir_all(&work);
        make_dir(&work)?;
        let log = bin.join(format!("{name}.log"));
        let out = File::create(&log).context(format_args!("making {}", log.display()))?;
        let mut child = command("go", ["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags"])
            .arg(self.ldflags(&version))
            .arg("-o")
            .arg(format!("{}/", work.display()))
            .arg(self.package)
            .current_dir(self.sources())
            .env("CGO_ENABLED", if self.is_linked() { "1" } else { "0" })
            .env("GOWORK", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .context("starting go")?;
        let mut said = Duration::ZERO;
        let status = loop {
            if let Some(status) = child.try_wait().context("waiting for go")? {
                break status;
            }
            std::thread::sleep(Duration::from_millis(200));
            if start.elapsed() > said + Duration::from_secs(30) {
                said = start.elapsed();
                say!("  still building {name}, {} s", said.as_secs());
            }
        };
        if !status.success() {
            return Err(format!("building {name} failed; the end of {}:\n  {}", log.display(), tail(&log)).into());
        }
        if self.is_linked() {
            for library in image::libraries(&work.join(name))?.iter().filter(|library| !image::is_system(library))
            {
                let copy = work.join(library.file_name().unwrap_or_default());
                fs::copy(library, &copy).context(format_args!("copying {}", library.display()))?;
            }
        }
        for link in self.links {
            std::os::unix::fs::symlink(name, work.join(link)).context(format_args!("linking {link}"))?;
        }
        fs::rename(&work, dir).context(format_args!("moving {} into place", work.display()))?;
        say!("built {name} {version} in {} s", start.elapsed().as_secs());
        Ok(())
    }
}
