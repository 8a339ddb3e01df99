//! Networks with a private certificate authority, with client certificates, and with a proxy.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use mcp_oauth_testbed::{Builder, PrmForm, Testbed};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::PrivatePkcs8KeyDer,
        server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};

use crate::{
    proxy::{App, add, sum},
    support::Home,
};

/// The name of the server in its certificate, beside its address.
const NAME: &str = "mcp.example";

/// A private certificate authority, which signs for servers and for clients.
struct Authority {
    pem: String,
    der: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = "a private authority";
        params.distinguished_name.push(DnType::CommonName, name);
        let der = params.self_signed(&key).unwrap();
        Self {
            pem: der.pem(),
            der,
            issuer: Issuer::new(params, key),
        }
    }

    /// Returns a certificate and its key.
    fn signed(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn trusted_by(&self, home: &Home) -> String {
        home.file("authority.pem", &self.pem)
    }
}

/// A TLS proxy in front of an MCP server without TLS.
struct TlsProxy {
    authority: Authority,
    address: SocketAddr,
    behind: Arc<Mutex<Option<SocketAddr>>>,
}

impl TlsProxy {
    async fn open() -> Self {
        Self::with(Authority::new(), Arc::new(NoClientAuth)).await
    }

    /// Opens one that requires a client certificate of its authority.
    async fn requiring_client_certificate() -> Self {
        let authority = Authority::new();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        Self::with(authority, clients.build().unwrap()).await
    }

    async fn with(authority: Authority, clients: Arc<dyn ClientCertVerifier>) -> Self {
        let names = ["127.0.0.1", NAME];
        let (own, key) = authority.signed(&names, ExtendedKeyUsagePurpose::ServerAuth);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![own.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind = Arc::<Mutex<Option<SocketAddr>>>::default();
        let lead = Arc::clone(&behind);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, lead) = (acceptor.clone(), *lead.lock().unwrap());
                tokio::spawn(async move {
                    let mut outside = acceptor.accept(stream).await?;
                    let mut inside = TcpStream::connect(lead.unwrap()).await?;
                    copy_bidirectional(&mut outside, &mut inside).await
                });
            }
        });
        Self {
            authority,
            address,
            behind,
        }
    }

    fn url(&self) -> String {
        format!("https://{}/mcp", self.address)
    }

    /// Returns a home with a server behind this proxy; its metadata has the URL of the proxy.
    async fn home(&self, testbed: Builder) -> Home {
        let behind = testbed.resource(self.url()).prm_at(PrmForm::PathOnly);
        let home = Home::with(behind).await;
        let own = home.testbed.server_url();
        let address = own.socket_addrs(|| None).unwrap()[0];
        *self.behind.lock().unwrap() = Some(address);
        home
    }
}

#[tokio::test]
async fn a_private_certificate_authority_is_trusted_by_its_file() {
    let connection = TlsProxy::open().await;
    let home = connection.home(Testbed::builder()).await;
    let (url, file) = (connection.url(), connection.authority.trusted_by(&home));
    let unknown = home.run(&["login", "notes", &url]).await.ended(1);
    unknown
        .says("the server certificate is not accepted")
        .says("--ca-cert FILE");
    let login = home.login(&["notes", &url, "--ca-cert", &file]).await;
    login
        .succeeded()
        .says(&format!("mcp-oauth tools notes --ca-cert {file}"));
    for command in ["test", "tools", "refresh", "token"] {
        home.run(&[command, "notes", "--ca-cert", &file])
            .await
            .succeeded();
    }
    home.run(&["request", "notes", "notes", "--ca-cert", &file])
        .await
        .succeeded();
    for command in ["test", "tools"] {
        let unknown = home.run(&[command, "notes"]).await.ended(1);
        unknown.says("certificate").says("--ca-cert FILE");
    }
    let mut app = App::at(&home, "notes", &["--ca-cert", &file]);
    app.handshake().await;
    assert_eq!(sum(&app.request(&add(41)).await), Some(42));
    for variable in ["MCP_OAUTH_CA_CERT", "SSL_CERT_FILE"] {
        // Other systems have their own trust store.
        if cfg!(target_os = "linux") || variable != "SSL_CERT_FILE" {
            home.run_with(variable, &file, &["tools", "notes"])
                .await
                .succeeded();
        }
    }
}

#[tokio::test]
async fn a_server_that_requires_a_client_certificate_gets_it() {
    let connection = TlsProxy::requiring_client_certificate().await;
    let home = connection.home(Testbed::builder()).await;
    let (url, authority) = (connection.url(), connection.authority.trusted_by(&home));
    let (own, key) = connection
        .authority
        .signed(&["me"], ExtendedKeyUsagePurpose::ClientAuth);
    let certificate = home.file("certificate.pem", own.pem());
    let key = home.file("key.pem", key.serialize_pem());
    let trusting = ["notes", &url, "--ca-cert", &authority];
    let unknown = home.run(&[&["login"], &trusting[..]].concat()).await;
    unknown
        .ended(1)
        .says("the server requires a client certificate")
        .says("--client-cert FILE");
    let shown = [&trusting[..], &["--client-cert", &certificate]].concat();
    let incomplete = home.run(&[&["login"], &shown[..]].concat()).await;
    incomplete.ended(2).says("a certificate and its key");
    close(&key);
    let whole = [&shown[..], &["--client-key", &key]].concat();
    home.login(&whole).await.succeeded();
    let no_certificate = ["tools", "notes", "--client-key", &key];
    home.run(&no_certificate)
        .await
        .ended(2)
        .says("--client-cert");
    let set = [
        ("MCP_OAUTH_CA_CERT", authority.as_str()),
        ("MCP_OAUTH_CLIENT_CERT", &certificate),
        ("MCP_OAUTH_CLIENT_KEY", &key),
    ];
    home.run_in(&set, &["tools", "notes"]).await.succeeded();
    let both = home.file(
        "both.pem",
        [own.pem(), std::fs::read_to_string(&key).unwrap()].concat(),
    );
    close(&both);
    let shown = ["--ca-cert", &authority, "--client-cert", &both];
    home.run(&[&["tools", "notes"], &shown[..]].concat())
        .await
        .succeeded();
    let mut app = App::at(&home, "notes", &shown);
    app.handshake().await;
    assert_eq!(sum(&app.request(&add(41)).await), Some(42));
}

/// `docs/hostile.md` H180, for a TLS client key.
#[cfg(unix)]
#[tokio::test]
async fn a_client_key_that_others_can_read_is_refused() {
    let home = Home::new().await;
    let (own, key) = Authority::new().signed(&["me"], ExtendedKeyUsagePurpose::ClientAuth);
    let both = home.file("both.pem", [own.pem(), key.serialize_pem()].concat());
    open_to_others(&both);
    let refused = home.run(&["list", "--client-cert", &both]).await;
    refused
        .ended(2)
        .says("other users can read")
        .says("chmod 600");
}

#[cfg(unix)]
fn open_to_others(file: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
}

fn close(file: &str) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let _ = file;
}

/// A proxy that opens tunnels to one target, for any requested host, and records the requests.
struct Tunnels {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, target, Arc::clone(&log)));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn tunnel(
    stream: TcpStream,
    target: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    log.lock().unwrap().push(line.trim().to_owned());
    while line.trim() != "" {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    stream.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await?;
    let mut other = TcpStream::connect(target).await?;
    copy_bidirectional(&mut stream, &mut other).await?;
    Ok(())
}

/// Only the proxy can resolve the host (`docs/hostile.md` H45).
#[tokio::test]
async fn an_https_proxy_from_the_environment_is_used_as_a_tunnel() {
    let connection = TlsProxy::open().await;
    let home = connection.home(Testbed::builder().unprotected(true)).await;
    let authority = connection.authority.trusted_by(&home);
    let tunnels = Tunnels::to(connection.address).await;
    let proxy = format!("http://{}", tunnels.address);
    let url = format!("https://{NAME}/mcp");
    let typed = [
        "--ca-cert",
        &authority,
        "-H",
        "Authorization: Bearer of-another-login",
    ];
    let mut app = App::in_environment(&home, &url, &typed, &[("HTTPS_PROXY", &proxy)]);
    app.handshake().await;
    assert_eq!(sum(&app.request(&add(41)).await), Some(42));
    app.close().await;
    let asked = tunnels.asked();
    assert!(!asked.is_empty());
    for line in &asked {
        assert_eq!(line, &format!("CONNECT {NAME}:443 HTTP/1.1"));
    }
}

#[tokio::test]
async fn plaintext_http_needs_a_flag_and_a_private_address() {
    let home = Home::new().await;
    let refused = home.run(&["login", "x", "http://mcp.example/mcp"]).await;
    refused.ended(2).says("is not https").says("--allow-http");
    for (url, why) in [
        ("http://8.8.8.8/mcp", "8.8.8.8 is a public one"),
        ("http://169.254.169.254/mcp", "is a link-local one"),
    ] {
        let refused = home.run(&["login", "x", url, "--allow-http"]).await;
        refused
            .ended(1)
            .says("plain http is allowed to private addresses only")
            .says(why);
    }
    let config = ["config", "http://mcp.example/mcp", "--for", "cursor"];
    home.run(&config).await.ended(2).says("--allow-http");
    let allowed = home.run(&[&config[..], &["--allow-http"]].concat()).await;
    let arguments = &allowed.succeeded().json()["mcpServers"]["example"]["args"];
    assert_eq!(arguments[2], "--allow-http");
    // Loopback needs no flag.
    home.login(&["notes", &home.url()]).await.succeeded();
}
