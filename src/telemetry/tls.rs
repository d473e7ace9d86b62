//! The one cryptography provider of the process.

/// Makes ring the provider of TLS, once; later calls do nothing. Without it the first TLS client would panic.
pub fn install() {
    // An error means that a provider is installed already: by an earlier call, or by the program that embeds us.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    #[test]
    fn installing_twice_is_harmless() {
        super::install();
        super::install();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
