//! The certificates of connections: the authorities that they trust, and the client certificate.

use std::path::PathBuf;

use clap::Args;

/// The flags of certificates, which every command has.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct NetworkFlags {
    /// Trust the certificate authorities in this PEM file too.
    ///
    /// It is not stored with a name; `MCP_OAUTH_CA_CERT` is for every command.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Use the client certificate in this PEM file (mutual TLS).
    ///
    /// The file has the key too, unless --client-key is given.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Read the key of that certificate from this PEM file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
}

impl NetworkFlags {
    /// Returns these flags, with `others` for those that are not given. The key of a certificate is
    /// never taken from elsewhere than the certificate.
    pub(crate) fn or(&self, others: Self) -> Self {
        let own = self.client_cert.is_some();
        Self {
            ca_cert: self.ca_cert.clone().or(others.ca_cert),
            client_cert: self.client_cert.clone().or(others.client_cert),
            client_key: self
                .client_key
                .clone()
                .or(others.client_key.filter(|_| !own)),
        }
    }

    /// Returns each flag that is given, with its file.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let all = [
            ("--ca-cert", &self.ca_cert),
            ("--client-cert", &self.client_cert),
            ("--client-key", &self.client_key),
        ];
        all.into_iter()
            .filter_map(|(flag, file)| Some((flag, file.as_ref()?)))
    }
}
