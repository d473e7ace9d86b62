//! The parent of all components: starts them in order and starts again what stops.
use crate::place::{Place, Process};
use crate::run::{Context, Result, make_dir, write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that runs as long as the cluster does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Component {
    /// Its name, also its log's.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The next component starts once this accepts connections.
    pub listens: Option<SocketAddr>,
}

/// How long a component may take to listen before the next is started all the same.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs what `plan.json` holds, for ever.
pub fn run(place: &Place) -> Result<()> {
    let plan = fs::read(place.at("plan.json")).context("reading plan.json")?;
    let plan: Vec<Component> = serde_json::from_slice(&plan).context("reading plan.json")?;
    make_dir(&place.at("logs"))?;
    let mut children: BTreeMap<String, Child> = BTreeMap::new();
    for component in &plan {
        children.insert(component.name.clone(), start(place, component)?);
        record(place, &children)?;
        let asked = Instant::now();
        while let Some(address) = component.listens {
            let open = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            if open || asked.elapsed() > PATIENCE {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    loop {
        std::thread::sleep(Duration::from_millis(500));
        for component in &plan {
            let Some(child) = children.get_mut(&component.name) else {
                continue;
            };
            if let Some(status) = child.try_wait().context(format_args!("waiting for {}", component.name))? {
                eprintln!("{} stopped ({status}); starting it again", component.name);
                *child = start(place, component)?;
                record(place, &children)?;
            }
        }
    }
}

/// Each child asks the kernel for SIGKILL when this process dies, however it dies. The request
/// is tied to the thread that starts the child, so all are started from this one.
fn start(place: &Place, component: &Component) -> Result<Child> {
    let path = place.log(&component.name);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(format_args!("opening {}", path.display()))?;
    let copy = log.try_clone().context("sharing a log")?;
    eprintln!("starting {}", component.name);
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&component.program)
        .args(&component.args)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy)
        .spawn()
        .context(format_args!("starting {}", component.name))
}

/// Writes `pids.json`; the numbers are those that this process sees.
fn record(place: &Place, children: &BTreeMap<String, Child>) -> Result<()> {
    let pids: BTreeMap<&str, Process> =
        children.iter().filter_map(|(name, child)| Some((name.as_str(), Process::of(child.id())?))).collect();
    let text = serde_json::to_string_pretty(&pids).context("writing pids.json")?;
    let new = place.at("pids.json.new");
    write(&new, text)?;
    fs::rename(&new, place.at("pids.json")).context("replacing pids.json")
}
