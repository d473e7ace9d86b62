//! A real Kubernetes and real chains on one machine, for the demo and the end-to-end
//! tests. `README.md` beside this file tells how to use it.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]
/// Prints a line; whoever reads may stop reading.
macro_rules! say {
    ($($arg:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($arg)*)));
    }};
}

mod certs;
mod chain;
mod client;
mod control_plane;
mod ending;
mod genesis;
mod host;
mod image;
mod kind;
mod lifecycle;
mod manifest;
mod network;
mod node;
mod place;
mod plan;
mod process;
mod run;
mod sandbox;
mod supervise;
mod tools;

use clap::{Args, Parser, Subcommand};
use kind::Kind;
use lifecycle::Wanted;
use place::Place;
use run::{Result, make_dir};
use std::path::PathBuf;
use std::process::ExitCode;

/// A local Kubernetes with real chains.
#[derive(Debug, Parser)]
#[command(name = "cluster")]
struct Cli {
    /// State folder; `cluster` in the cache when not given.
    #[arg(long, env = "MAINSTAY_CLUSTER_DIR", global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the Go programs and images, once.
    Build,
    /// Starts a cluster and waits until it is ready.
    Up {
        /// Number of nodes.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2))]
        nodes: u32,
        /// Only etcd and the API server, on loopback; needs no root.
        #[arg(long, conflicts_with = "nodes")]
        control_plane_only: bool,
    },
    /// Ends the cluster and leaves nothing of it.
    Down,
    /// Tells whether a cluster runs, and its processes.
    Status,
    /// Prints the path of the administrator's kubeconfig.
    Kubeconfig,
    /// Runs kubectl as administrator.
    #[command(trailing_var_arg = true, allow_hyphen_values = true)]
    Kubectl {
        /// Passed on.
        #[arg(allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Prints the path of a program such as helm, kubectl or cometbft.
    Tool {
        /// Its name.
        name: String,
    },
    /// Imports an image archive into every node.
    LoadImage {
        /// A docker-archive file.
        tar: PathBuf,
    },
    /// Makes an image archive.
    #[command(subcommand)]
    Image(Image),
    /// Runs chains on the cluster.
    #[command(subcommand)]
    Chain(Chain),
    /// Prints the process of a pod's container, or of a component such as kubelet-2.
    Pid {
        /// Namespace of the pod.
        #[arg(long, required_unless_present = "component")]
        namespace: Option<String>,
        /// Container; the first one when not given.
        #[arg(long)]
        container: Option<String>,
        /// A component of the cluster instead of a pod.
        #[arg(long, conflicts_with_all = ["namespace", "pod"])]
        component: Option<String>,
        /// The pod.
        #[arg(required_unless_present = "component")]
        pod: Option<String>,
    },
    #[command(hide = true)]
    Supervise,
}

#[derive(Debug, Subcommand)]
enum Image {
    /// The image that holds a pod's namespaces.
    Pause,
    /// The image of the nodes of a chain of this kind.
    Chain {
        /// The kind.
        #[arg(value_enum)]
        kind: Kind,
        /// A program that is to be in it as well: the image's name then ends with that program's.
        #[arg(long, value_name = "PROGRAM")]
        beside: Option<PathBuf>,
    },
    /// A dynamically linked program with its libraries.
    Program {
        /// The program.
        #[arg(long)]
        bin: PathBuf,
        /// A folder that it reads, and where; any number of them.
        #[arg(long, value_name = "FOLDER:PLACE")]
        with: Vec<image::Folder>,
        /// Name with tag.
        #[arg(long)]
        name: String,
        /// Where to write the archive.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Chain {
    /// Starts a chain in a namespace and waits for its first blocks.
    Up(chain::Spec),
    /// Prints the height of each node.
    Status(InNamespace),
    /// Ends the chain and removes its data.
    Down(InNamespace),
}

#[derive(Args, Debug)]
struct InNamespace {
    /// The chain's namespace.
    #[arg(long)]
    namespace: String,
}

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("cluster: {failure}");
            failure.exit_code()
        }
    }
}

fn execute(cli: Cli) -> Result<ExitCode> {
    let place = Place::new(cli.dir.as_deref())?;
    let foreign = client::foreign(&place);
    match (cli.command, foreign) {
        (Command::Build, _) => {
            for family in tools::ALL {
                say!("{}", family.ensure()?.display());
            }
            say!("{}\n{}", image::pause()?.display(), image::chain(Kind::default())?.display());
        }
        (Command::Up { control_plane_only: false, .. }, Some(kubeconfig)) => client::verify(&kubeconfig)?,
        (Command::Up { nodes, control_plane_only }, _) => {
            lifecycle::up(&place, Wanted { nodes, control_plane_only })?;
        }
        (Command::LoadImage { .. } | Command::Chain(Chain::Up(_)), Some(kubeconfig)) => {
            return Err(client::refuse_images(&kubeconfig));
        }
        (Command::LoadImage { tar }, None) => client::load(&place, &place.required()?, &tar)?,
        (Command::Tool { name }, _) => say!("{}", tools::path(&name)?.display()),
        (Command::Down, _) => ending::down(&place)?,
        (Command::Status, _) => return status(&place),
        (Command::Kubeconfig, _) => say!("{}", place.required()?.kubeconfig.display()),
        (Command::Kubectl { args }, _) => {
            let status = client::kubectl(&place.required()?)?.args(args).status();
            let code = run::Context::context(status, "starting kubectl")?.code();
            return Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
        }
        (Command::Image(wanted), _) => image(&wanted)?,
        (Command::Chain(wanted), _) => {
            let state = place.required()?;
            match wanted {
                Chain::Up(spec) => chain::up(&place, &state, &spec)?,
                Chain::Status(chain) => chain::status(&state, &chain.namespace)?,
                Chain::Down(chain) => chain::down(&place, &state, &chain.namespace)?,
            }
        }
        (Command::Pid { namespace, container, component, pod }, _) => {
            let state = place.required()?;
            let pid = if let Some(component) = component {
                *lifecycle::components(&place, &state)?.get(&component).ok_or_else(|| {
                    run::Failure::from(format!("no component {component} runs: see `cluster status`"))
                })?
            } else {
                let (namespace, pod) = (namespace.unwrap_or_default(), pod.unwrap_or_default());
                client::pod_process(&state, &namespace, &pod, container.as_deref())?
            };
            say!("{pid}");
        }
        (Command::Supervise, _) => {
            if let Some(state) = place.read().filter(|state| !state.control_plane_only) {
                sandbox::furnish(&place, state.network, state.nodes)?;
            }
            supervise::run(&place)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn status(place: &Place) -> Result<ExitCode> {
    let Some(state) = place.running() else {
        say!("no cluster runs in {}", place.0.display());
        return Ok(ExitCode::FAILURE);
    };
    say!("up\n{}", lifecycle::describe(place, &state));
    for (name, pid) in lifecycle::components(place, &state)? {
        say!("  {pid:>8} {name}");
    }
    Ok(ExitCode::SUCCESS)
}

fn image(wanted: &Image) -> Result<()> {
    match wanted {
        Image::Pause => say!("{}", image::pause()?.display()),
        Image::Chain { kind, beside: None } => say!("{}", image::chain(*kind)?.display()),
        Image::Chain { kind, beside: Some(other) } => say!("{}", image::chain_beside(*kind, other)?.display()),
        Image::Program { bin, with, name, out } => {
            make_dir(out.parent().unwrap_or(out))?;
            image::program(bin, with, name, out)?;
            say!("{}", out.display());
        }
    }
    Ok(())
}
