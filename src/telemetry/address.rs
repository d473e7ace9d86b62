//! Where a probe may go. Policies name ports, never hosts; networks name URLs, but not of everything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;

use super::text::excerpt;
use crate::{api::policy::PortName, signal::Unknown};

/// How far the client may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Neither this machine, nor its link, nor a cloud's metadata service.
    PodsOnly,
    /// Anywhere that is not expressly denied. For tests on loopback.
    Anywhere,
}

/// Why an address may not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The address belongs to a kind that is never a node.
    #[error("{0} is {1}: it is never asked")]
    Kind(IpAddr, &'static str),
    /// The address is on the deny list, such as the API server's.
    #[error("{0} is on the deny list: it is never asked")]
    Denied(IpAddr),
    /// Not a URL, or one of another kind than is asked.
    #[error("\"{0}\" is not an http:// or https:// address with a host and without credentials")]
    Url(String),
    /// The name leads nowhere, or only to addresses that may not be asked.
    #[error("{0} resolves to no address that may be asked{1}")]
    Name(String, String),
}

/// Metadata services that have addresses of their own kind; 169.254.169.254 is link-local anyway.
const METADATA: [IpAddr; 4] = [
    // Amazon and Google over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Azure's host agent and Alibaba.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// Says whether `ip` may be asked at all. IPv4 addresses in IPv6 clothing are judged as what they are.
pub fn permit(ip: IpAddr, reach: Reach, denied: &[IpAddr]) -> Result<(), Forbidden> {
    let plain = plain(ip);
    if denied.iter().any(|denied| denied.to_canonical() == plain) {
        return Err(Forbidden::Denied(ip));
    }
    match kind(plain) {
        Some(kind) if reach == Reach::PodsOnly => Err(Forbidden::Kind(ip, kind)),
        _ => Ok(()),
    }
}

/// Base address, without a final slash, of an endpoint of the pod that has `ip`.
pub fn probe_url(ip: IpAddr, port: u16, reach: Reach, denied: &[IpAddr]) -> Result<String, Unknown> {
    permit(ip, reach, denied).map_err(|why| Unknown::OurSide(why.to_string()))?;
    Ok(format!("http://{}", SocketAddr::new(ip, port)))
}

/// The number of the port that a policy names, among the container ports that the target declares.
///
/// A number must be declared too, so that a policy cannot aim at whatever happens to listen on a pod; only a pod that
/// declares nothing at all is taken at the policy's word, because declaring ports is optional in Kubernetes.
pub fn resolve_port(wanted: &PortName, declared: &[(Option<String>, u16)]) -> Result<u16, Unknown> {
    let found = match wanted {
        PortName::Number(number) if declared.is_empty() && *number > 0 => Some(*number),
        PortName::Number(number) => declared.iter().map(|(_, port)| *port).find(|port| port == number),
        PortName::Name(wanted) => {
            declared.iter().find(|(name, _)| name.as_deref() == Some(wanted.as_str())).map(|(_, port)| *port)
        }
    };
    found.filter(|port| *port > 0).ok_or_else(|| Unknown::OurSide(no_such_port(wanted, declared)))
}

/// Parses an address, and refuses those that are not for asking. Names are judged when they are resolved.
pub(super) fn parse(url: &str, reach: Reach, denied: &[IpAddr]) -> Result<Url, Forbidden> {
    let refuse = || Forbidden::Url(excerpt(url.as_bytes()));
    let parsed = Url::parse(url).map_err(|_| refuse())?;
    // A user name in a URL would be sent as an Authorization header.
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.username().is_empty() || parsed.password().is_some()
    {
        return Err(refuse());
    }
    let host = parsed.host_str().ok_or_else(refuse)?;
    // An address in place of a name is never resolved, so it is judged here.
    if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        permit(ip, reach, denied)?;
    }
    Ok(parsed)
}

/// What no node's address is, if `ip` is that.
fn kind(ip: IpAddr) -> Option<&'static str> {
    if METADATA.contains(&ip) {
        return Some("a metadata service");
    }
    if ip.is_unspecified() {
        return Some("unspecified");
    }
    if ip.is_loopback() {
        return Some("loopback");
    }
    if ip.is_multicast() {
        return Some("multicast");
    }
    match ip {
        IpAddr::V4(ip) if ip.is_link_local() => Some("link-local"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("link-local"),
        // All of 0.0.0.0/8 is "this network", which Linux takes for itself.
        IpAddr::V4(ip) if ip.is_broadcast() || ip.octets()[0] == 0 => Some("not a host"),
        _ => None,
    }
}

/// The IPv4 address that an IPv6 address stands for (mapped, or through NAT64), or the address itself.
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
            }
            _ => ip.to_canonical(),
        },
        IpAddr::V4(_) => ip,
    }
}

fn no_such_port(wanted: &PortName, declared: &[(Option<String>, u16)]) -> String {
    let wanted = match wanted {
        PortName::Number(number) => number.to_string(),
        PortName::Name(name) => format!("\"{}\"", excerpt(name.as_bytes())),
    };
    if declared.is_empty() {
        return format!(
            "the target declares no container ports, so there is none called {wanted}: write a number"
        );
    }
    let known: Vec<_> = declared
        .iter()
        .map(|(name, port)| name.as_ref().map_or_else(|| port.to_string(), |name| format!("{name} ({port})")))
        .collect();
    format!("the target declares no container port {wanted}; it declares {}", excerpt(known.join(", ").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ports() -> Vec<(Option<String>, u16)> {
        vec![(Some("p2p".into()), 26656), (Some("rpc".into()), 26657), (None, 9090)]
    }

    /// T14, T15
    #[test]
    fn what_is_never_a_node_is_never_asked() {
        for forbidden in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            let refused = permit(ip(forbidden), Reach::PodsOnly, &[]);
            assert!(matches!(refused, Err(Forbidden::Kind(..))), "{forbidden}: {refused:?}");
        }
        for allowed in ["10.0.0.7", "192.168.1.1", "172.16.0.1", "8.8.8.8", "fd12::7", "2001:db8::1"] {
            assert_eq!(permit(ip(allowed), Reach::PodsOnly, &[]), Ok(()), "{allowed}");
        }
    }

    /// T15
    #[test]
    fn the_api_server_is_never_asked_however_its_address_is_written() {
        let denied = [ip("10.96.0.1")];
        for written in ["10.96.0.1", "::ffff:10.96.0.1"] {
            assert!(probe_url(ip(written), 443, Reach::Anywhere, &denied).is_err(), "{written}");
        }
    }

    #[test]
    fn a_probe_goes_to_the_pods_own_address() {
        assert_eq!(probe_url(ip("10.0.0.7"), 26657, Reach::PodsOnly, &[]), Ok("http://10.0.0.7:26657".into()));
        assert_eq!(probe_url(ip("fd12::7"), 26657, Reach::PodsOnly, &[]), Ok("http://[fd12::7]:26657".into()));
    }

    #[test]
    fn a_port_is_one_that_the_target_declares() {
        assert_eq!(resolve_port(&PortName::Name("rpc".into()), &ports()), Ok(26657));
        assert_eq!(resolve_port(&PortName::Number(9090), &ports()), Ok(9090));
        assert_eq!(
            resolve_port(&PortName::Number(22), &ports()).unwrap_err().to_string(),
            "could not ask: the target declares no container port 22; it declares p2p (26656), rpc (26657), 9090"
        );
        assert_eq!(
            resolve_port(&PortName::Name("http".into()), &ports()).unwrap_err().to_string(),
            "could not ask: the target declares no container port \"http\"; it declares p2p (26656), rpc (26657), 9090"
        );
    }

    #[test]
    fn a_target_that_declares_nothing_is_taken_at_the_policys_word() {
        assert_eq!(resolve_port(&PortName::Number(26657), &[]), Ok(26657));
        assert!(resolve_port(&PortName::Name("rpc".into()), &[]).is_err());
        assert!(resolve_port(&PortName::Number(0), &[]).is_err());
    }

    /// T16, and addresses in disguise.
    #[test]
    fn only_plain_web_addresses_are_parsed() {
        for refused in [
            "file:///etc/passwd",
            "gopher://host:70/",
            "http://user:secret@host/",
            "http://user@host/",
            "http://:secret@host/",
            "host:26657",
            "",
            "http://",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]:80/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert!(parse(refused, Reach::PodsOnly, &[]).is_err(), "{refused}");
        }
        assert!(parse("https://rpc.example.org/cosmos/status", Reach::PodsOnly, &[]).is_ok());
    }
}
