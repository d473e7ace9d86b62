//! PURE. Ends of a container after which a restart is no help, or does harm.
//!
//! The kubelet keeps the code and, with `terminationMessagePolicy: FallbackToLogsOnError`, the last lines of the log.
//! Codes are believed only together with the software they belong to.

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending<'a> {
    /// Its exit code.
    pub code: i32,
    /// The kubelet's word for it, such as `OOMKilled`.
    pub reason: &'a str,
    /// Its termination message.
    pub message: &'a str,
    /// The image it ran.
    pub image: &'a str,
}

/// Words in a message, in lower case, and what they mean.
const WORDS: &[(&str, &str)] = &[
    // CometBFT: a node whose key signed the last blocks elsewhere (`double_sign_check_height`).
    ("signature found in past blocks", "its key signed the last blocks: another process may hold it"),
    ("conflicting data", "its signer refused to sign twice"),
    ("doppelganger", "doppelganger protection: another process signs with its key"),
    ("slashing protection", "its slashing protection refused"),
    ("validator is slashed", "its validator is slashed"),
    ("has been slashed", "its validator is slashed"),
    // Cosmos SDK x/upgrade.
    ("needed at height", "it waits for the software of an upgrade"),
    ("wrong block.header.apphash", "its state is not the chain's: resync it"),
    ("wrong block.header.lastresultshash", "its state is not the chain's: resync it"),
    ("consensus failure!!!", "consensus failed: look before it runs again"),
    ("bad block", "it holds a block for invalid: look before it runs again"),
    ("no space left on device", "its disk is full"),
    ("too many open files", "it ran out of file descriptors"),
    ("database corruption", "its database is corrupt"),
    ("corrupted database", "its database is corrupt"),
    ("checksum mismatch", "its database is corrupt"),
];

/// Exit codes of one software, named by a part of its image.
const CODES: &[(&str, i32, &str)] = &[
    // nimbus-eth2: `QuitDoppelganger`.
    ("nimbus", 129, "doppelganger protection: another process signs with its key"),
    // Teku: `FATAL_EXIT_CODE`. Elsewhere 2 is also every Go panic.
    ("teku", 2, "Teku calls it fatal: slashed, or doppelganger protection"),
];

/// Why a restart after this end is no help; `None` where it may be.
#[must_use]
pub fn fatal(ending: &Ending<'_>) -> Option<&'static str> {
    let Ending { code, reason: _, message, image } = ending;
    if *code == 0 {
        return None;
    }
    let by_code = CODES.iter().find(|(of, fatal, _)| image.contains(of) && code == fatal);
    let message = message.to_lowercase();
    let by_words = || WORDS.iter().find(|(words, _)| message.contains(words)).map(|(_, meaning)| *meaning);
    by_code.map(|(_, _, meaning)| *meaning).or_else(by_words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending<'a>(code: i32, message: &'a str, image: &'a str) -> Ending<'a> {
        Ending { code, reason: "Error", message, image }
    }

    #[test]
    fn codes_are_believed_with_their_software_only() {
        assert!(fatal(&ending(129, "", "statusim/nimbus-validator-client:v24")).is_some());
        assert!(fatal(&ending(2, "", "consensys/teku:24.1")).is_some());
        assert_eq!(fatal(&ending(2, "panic: runtime error", "ghcr.io/cosmos/gaia:v19")), None);
        assert_eq!(fatal(&ending(129, "", "gaia")), None);
        assert_eq!(fatal(&ending(137, "", "gaia")), None);
    }

    #[test]
    fn words_of_the_software_are_believed() {
        for message in [
            "panic: UPGRADE \"v2\" NEEDED at height: 100: info",
            "ERR CONSENSUS FAILURE!!! err=\"+2/3 committed an invalid block: wrong Block.Header.AppHash\"",
            "CRIT Doppelganger detected",
            "write /data/000123.sst: no space left on device",
        ] {
            assert!(fatal(&ending(1, message, "gaia")).is_some(), "{message}");
        }
        assert_eq!(fatal(&ending(0, "UPGRADE \"v2\" NEEDED at height: 100", "gaia")), None);
        assert_eq!(fatal(&ending(1, "connection refused", "gaia")), None);
    }
}
