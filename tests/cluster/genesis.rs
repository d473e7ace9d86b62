//! The homes of a chain's nodes: keys, genesis and configuration.
use crate::chain::{Member, Spec};
use crate::image::USER;
use crate::kind::Kind;
use crate::run::{Context, Failure, Result, command, make_dir, output, write};
use crate::tools;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Makes the homes of all `members` in `dir`, each reached at its Service's address.
pub fn create(dir: &Path, spec: &Spec, members: &[(Member, String)]) -> Result<()> {
    // Made aside and renamed: a half-made chain must not be taken for one.
    let work = dir.with_extension("new");
    let _ = fs::remove_dir_all(&work);
    make_dir(&work)?;
    let gated = u32::from(spec.gated);
    let (validators, others) = (spec.validators + gated, spec.full_nodes + gated);
    let program = tools::path(spec.kind.program())?;
    match spec.kind {
        Kind::Cometbft => {
            let args = ["testnet", "--node-dir-prefix=node", "--populate-persistent-peers=false"];
            let numbers = [format!("--v={validators}"), format!("--n={others}")];
            output(command(&program, args).args(numbers).arg("--o").arg(&work))?;
        }
        Kind::Wasmd => wasmd(&program, &work, spec.chain_id(), validators, others)?,
    }
    let mut peers = Vec::new();
    for (index, (member, address)) in members.iter().enumerate() {
        let home = work.join(member.pod());
        fs::rename(work.join(format!("node{index}")), &home).context(format_args!("making {}", home.display()))?;
        let id = output(command(&program, spec.kind.node_id()).arg("--home").arg(&home))?;
        peers.push(format!("{}@{address}:26656", id.trim()));
    }
    for (index, (member, _)) in members.iter().enumerate() {
        let home = work.join(member.pod());
        let but_itself: Vec<_> = peers.iter().filter(|peer| **peer != peers[index]).map(String::as_str).collect();
        configure(&home, spec, member, &but_itself.join(","))?;
        give_away(&home)?;
    }
    if spec.gated {
        lay_aside(&work)?;
    }
    fs::rename(&work, dir).context(format_args!("making {}", dir.display()))
}

/// Homes of validators with equal stake, made by wasmd itself, and after them homes of nodes without any.
fn wasmd(program: &Path, work: &Path, chain: &str, validators: u32, others: u32) -> Result<()> {
    let testnet = |count: u32, folder: &Path| {
        let args =
            ["testnet", "init-files", "--keyring-backend=test", "--node-daemon-home=.", "--chain-id", chain];
        let mut command = command(program, args);
        command.args([format!("--v={count}"), "--minimum-gas-prices=0stake".into()]).arg("--output-dir");
        output(command.arg(folder)).map(drop)
    };
    testnet(validators, work)?;
    if others == 0 {
        return Ok(());
    }
    // Validators of a chain that nobody runs: only their homes and keys are of use.
    let aside = work.join("others");
    testnet(others, &aside)?;
    let genesis = work.join("node0/config/genesis.json");
    for index in 0..others {
        let home = work.join(format!("node{}", validators + index));
        fs::rename(aside.join(format!("node{index}")), &home)
            .context(format_args!("making {}", home.display()))?;
        fs::copy(&genesis, home.join("config/genesis.json"))
            .context(format_args!("copying {}", genesis.display()))?;
    }
    fs::remove_dir_all(&aside).context(format_args!("removing {}", aside.display()))
}

/// The guarded validator's key, out of its nodes' reach: they get the one of a full node, which nobody knows.
fn lay_aside(work: &Path) -> Result<()> {
    let name = "priv_validator_key.json";
    let [a, b] = ["a-0", "b-0"].map(|home| work.join(home).join("config").join(name));
    let key = work.join("signer").join(name);
    make_dir(&work.join("signer"))?;
    fs::rename(&a, &key).context(format_args!("making {}", key.display()))?;
    fs::copy(&b, &a).context(format_args!("making {}", a.display()))?;
    give_away(&a)
}

fn configure(home: &Path, spec: &Spec, member: &Member, peers: &str) -> Result<()> {
    let path = home.join("config/config.toml");
    let mut text = fs::read_to_string(&path).context(format_args!("reading {}", path.display()))?;
    let quoted = |text: &str| format!("{text:?}");
    let commit = format!("{}ms", spec.block_time);
    for (key, value) in [
        ("moniker", quoted(&member.pod()).as_str()),
        ("timeout_commit", &quoted(&commit)),
        ("persistent_peers", &quoted(peers)),
        // Every node knows every other; addresses of pods that are gone need not go round.
        ("pex", "false"),
        // All addresses are private ones, and may be shared.
        ("addr_book_strict", "false"),
        ("allow_duplicate_ip", "true"),
        // A restarted node is found again at once.
        ("persistent_peers_max_dial_period", "\"3s\""),
        // A member that takes over finds the other one's signatures, and must not stop for them.
        ("double_sign_check_height", "0"),
        ("prometheus", "true"),
    ] {
        text = set(&text, key, value).context(path.display())?;
    }
    let (loopback, all) = ("\"tcp://127.0.0.1:26657\"", "\"tcp://0.0.0.0:26657\"");
    text = text.replace(loopback, all);
    if !text.contains(all) {
        return Err(format!("{}: no RPC address {loopback}: has CometBFT changed?", path.display()).into());
    }
    write(&path, text)?;

    let path = home.join("config/genesis.json");
    let text = fs::read(&path).context(format_args!("reading {}", path.display()))?;
    let mut genesis: Value = serde_json::from_slice(&text).context(format_args!("reading {}", path.display()))?;
    genesis["chain_id"] = spec.chain_id().into();
    if spec.kind == Kind::Wasmd {
        // Who is silent for half of it is jailed: of ten minutes, as the default of a hundred blocks means it, however
        // fast blocks are here.
        let window = 600_000 / spec.block_time;
        genesis["app_state"]["slashing"]["params"]["signed_blocks_window"] = window.to_string().into();
    }
    write(&path, format!("{genesis:#}\n"))
}

/// Replaces the value of a key that occurs once.
fn set(text: &str, key: &str, value: &str) -> Result<String> {
    let prefix = format!("{key} = ");
    let mut found = 0;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let hit = line.starts_with(&prefix);
            found += usize::from(hit);
            if hit { format!("{prefix}{value}") } else { line.to_owned() }
        })
        .collect();
    if found == 1 {
        Ok(lines.join("\n") + "\n")
    } else {
        Err(Failure::from(format!("{key} occurs {found} times")))
    }
}

/// Makes the pods' user the owner.
fn give_away(path: &Path) -> Result<()> {
    std::os::unix::fs::chown(path, Some(USER), Some(USER))
        .context(format_args!("giving away {}", path.display()))?;
    if path.is_dir() {
        for entry in fs::read_dir(path).context(path.display())?.flatten() {
            give_away(&entry.path())?;
        }
    }
    Ok(())
}
