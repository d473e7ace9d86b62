use super::*;

fn args(what: &str, address: &str) -> Args {
    Args {
        what: what.into(),
        address: address.into(),
        rest: None,
        chain: None,
        vote_account: None,
        watch: None,
        timeout: 5,
        output: Output::Table,
    }
}

#[test]
fn a_subject_is_named_however_it_is_spelled() {
    for (what, source) in [
        ("CometBFT", "cometbft"),
        ("cometbft/validator", "cometbft"),
        ("ethereum-execution", "execution"),
        ("EthereumConsensus/FullNode", "consensus"),
        ("ethereum-consensus/signer", "web3signer"),
        ("substrate", "substrate"),
        ("solana", "solana"),
        ("cometbft/relayer", "scrape"),
        ("EthereumExecution/Oracle", "chainlink"),
        ("metrics/hermes", "scrape"),
    ] {
        let subject = subject(&args(what, "10.0.0.7:1")).unwrap();
        assert_eq!(subject.source.kind.name(), source, "{what}");
        assert_eq!(subject.base, "http://10.0.0.7:1", "{what}");
    }
}

#[test]
fn a_host_alone_means_the_usual_port() {
    for (what, address, base) in [
        ("cometbft", "localhost", "http://localhost:26657"),
        ("solana", "10.0.0.7", "http://10.0.0.7:8899"),
        ("cometbft", "[::1]", "http://[::1]:26657"),
        ("cometbft", "h:80", "http://h:80"),
        ("cometbft", "https://rpc.example.org", "https://rpc.example.org"),
        ("cometbft", "h/rpc", "http://h/rpc"),
    ] {
        assert_eq!(subject(&args(what, address)).unwrap().base, base, "{address}");
    }
}

#[test]
fn the_path_of_a_page_is_that_of_the_address() {
    for (address, base, path) in [
        ("http://h:1", "http://h:1", "/metrics"),
        ("h:6060/debug/metrics/prometheus", "http://h:6060", "/debug/metrics/prometheus"),
    ] {
        let subject = subject(&args("metrics/EthereumExecution", address)).unwrap();
        assert_eq!(subject.base, base);
        let SourceKind::Scrape { path: at, .. } = subject.source.kind else { panic!("no page") };
        assert_eq!(at, path);
    }
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let why = |what: &str, at: &str| subject(&args(what, at)).unwrap_err().to_string();
    assert!(why("bitcoin", "h:1").contains("CometBFT, EthereumExecution"), "{}", why("bitcoin", "h:1"));
    assert!(why("solana/king", "h:1").contains("FullNode"));
    assert!(why("metrics/x", "h:1").contains("Hermes"));
    assert!(why("other", "h:1").contains("names no source"));
    for address in ["ftp://h", "http://user:secret@h", "http://"] {
        assert!(why("solana", address).contains("is no address"), "{address}");
    }
}
