//! Certificates and keys, made with the `openssl` program.
use crate::place::Place;
use crate::run::{Result, command, make_dir, output, write};
use std::path::Path;

/// Makes a certificate authority, the API server's certificate for `names`, its client
/// certificate for kubelets and the service accounts' key.
pub fn create(place: &Place, names: &[&str]) -> Result<()> {
    let dir = place.at("pki");
    make_dir(&dir)?;
    openssl(
        &dir,
        &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        &[
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-days",
            "3650",
            "-subj",
            "/CN=mainstay-test-ca",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        ],
    )?;
    let alternatives: Vec<String> =
        names
            .iter()
            .map(|name| {
                if name.parse::<std::net::IpAddr>().is_ok() { format!("IP:{name}") } else { format!("DNS:{name}") }
            })
            .collect();
    let serving = format!("extendedKeyUsage=serverAuth\nsubjectAltName={}\n", alternatives.join(","));
    leaf(&dir, "apiserver", "/CN=kube-apiserver", &serving)?;
    leaf(
        &dir,
        "kubelet-client",
        "/O=system:masters/CN=kube-apiserver-kubelet-client",
        "extendedKeyUsage=clientAuth\n",
    )?;
    openssl(&dir, &["ecparam", "-name", "prime256v1", "-genkey", "-noout"], &["-out", "service-accounts.key"])?;
    openssl(&dir, &["ec", "-in", "service-accounts.key", "-pubout"], &["-out", "service-accounts.pub"])
}

/// A certificate that cannot sign others: strict clients refuse an authority as a server.
fn leaf(dir: &Path, name: &str, subject: &str, usage: &str) -> Result<()> {
    let extensions = format!("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n{usage}");
    write(&dir.join("extensions"), extensions)?;
    let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
    openssl(
        dir,
        &["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        &["-keyout", &key, "-out", &request, "-subj", subject],
    )?;
    openssl(
        dir,
        &["x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650"],
        &["-in", &request, "-out", &certificate, "-extfile", "extensions"],
    )
}

fn openssl(dir: &Path, first: &[&str], rest: &[&str]) -> Result<()> {
    output(command("openssl", first).args(rest).current_dir(dir)).map(drop)
}
