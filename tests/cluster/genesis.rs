//! The homes of a chain's nodes: keys, genesis and configuration.
use crate::chain::{Member, Spec};
use crate::image::USER;
use crate::run::{Context, Failure, Result, command, output, write};
use crate::tools::COMETBFT;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Makes the homes of all `members` in `dir`, each reached at its Service's address.
pub fn create(dir: &Path, spec: &Spec, members: &[(Member, String)]) -> Result<()> {
    // Made aside and renamed: a half-made chain must not be taken for one.
    let work = dir.with_extension("new");
    let _ = fs::remove_dir_all(&work);
    crate::run::make_dir(dir.parent().unwrap_or(dir))?;
    let gated = u32::from(spec.gated);
    output(
        command(COMETBFT.program("cometbft")?, ["testnet", "--hostname-prefix=node", "--node-dir-prefix=node"])
            .args([format!("--v={}", spec.validators + gated), format!("--n={}", spec.full_nodes + gated)])
            .arg("--o")
            .arg(&work),
    )?;
    for (index, (member, _)) in members.iter().enumerate() {
        let home = work.join(member.pod());
        fs::rename(work.join(format!("node{index}")), &home).context(format_args!("making {}", home.display()))?;
        configure(&home, spec, member, members)?;
        give_away(&home)?;
    }
    if spec.gated {
        lay_aside(&work)?;
    }
    fs::rename(&work, dir).context(format_args!("making {}", dir.display()))
}

/// The guarded validator's key, out of its nodes' reach: they get the one of a full node, which nobody knows.
fn lay_aside(work: &Path) -> Result<()> {
    let name = "priv_validator_key.json";
    let [a, b] = ["a-0", "b-0"].map(|home| work.join(home).join("config").join(name));
    let key = work.join("signer").join(name);
    crate::run::make_dir(&work.join("signer"))?;
    fs::rename(&a, &key).context(format_args!("making {}", key.display()))?;
    fs::copy(&b, &a).context(format_args!("making {}", a.display()))?;
    give_away(&a)
}

fn configure(home: &Path, spec: &Spec, member: &Member, members: &[(Member, String)]) -> Result<()> {
    let path = home.join("config/config.toml");
    let mut text = fs::read_to_string(&path).context(format_args!("reading {}", path.display()))?;
    for (index, (_, address)) in members.iter().enumerate() {
        text = text.replace(&format!("@node{index}:"), &format!("@{address}:"));
    }
    let pod = member.pod();
    let commit = format!("\"{}ms\"", spec.block_time);
    for (key, value) in [
        ("moniker", format!("{pod:?}").as_str()),
        ("timeout_commit", &commit),
        // Every node knows every other; addresses of pods that are gone need not go round.
        ("pex", "false"),
        // A restarted node is found again at once.
        ("persistent_peers_max_dial_period", "\"3s\""),
        ("prometheus", "true"),
    ] {
        text = set(&text, key, value).context(path.display())?;
    }
    let loopback = "\"tcp://127.0.0.1:26657\"";
    if !text.contains(loopback) {
        return Err(format!("{}: no RPC address {loopback}: has CometBFT changed?", path.display()).into());
    }
    write(&path, text.replace(loopback, "\"tcp://0.0.0.0:26657\""))?;

    let path = home.join("config/genesis.json");
    let text = fs::read(&path).context(format_args!("reading {}", path.display()))?;
    let mut genesis: Value = serde_json::from_slice(&text).context(format_args!("reading {}", path.display()))?;
    genesis["chain_id"] = spec.chain_id().into();
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
