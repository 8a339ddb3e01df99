//! TLS servers with valid and invalid certificates, issued by an authority that is generated for the
//! case (docs/hostile.md H46). With a valid certificate a server can also use HTTP/2 (H48).

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};

use super::http2;

/// Certificates that no current library generates.
const OLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/sha1");
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A TLS server. Dropping it stops the server.
pub(super) struct TlsServer {
    address: SocketAddr,
    /// The certificate of the authority that a client must trust, in PEM.
    pub(super) roots: String,
    /// Says whether its certificate is valid.
    pub(super) has_valid_certificate: bool,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// The protocol of the server.
#[derive(Clone)]
enum Protocol {
    /// HTTP/1.1, after a handshake.
    Http1(TlsAcceptor),
    /// HTTP/2 in this manner, after a handshake.
    Http2(TlsAcceptor, String),
    /// TLS 1.0, which no current library supports.
    OldTls,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsServer {
    /// Starts a server with a certificate of this `kind`, by its name in the cases; a manner of HTTP/2
    /// follows `h2-`.
    pub(super) async fn with(kind: &str) -> Self {
        let (protocol, roots) = match kind {
            "sha1" | "sha256" => old_hash(kind),
            "tls-1.0" => (Protocol::OldTls, authority().1),
            _ => generated(kind),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let has_valid_certificate = matches!(protocol, Protocol::Http2(..))
            || ["good", "good-1.2", "of-as.example", "sha256"].contains(&kind);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (protocol, count) = (protocol.clone(), Arc::clone(&count));
                tokio::spawn(async move { serve(protocol, stream, &count).await });
            }
        });
        Self {
            address,
            roots,
            has_valid_certificate,
            requests,
            task,
        }
    }

    pub(super) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the number of requests that arrived over TLS.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "an authority");
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// Generates a certificate and its authority.
fn generated(kind: &str) -> (Protocol, String) {
    let ((authority, roots), (other_authority, _)) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let certificate = match kind {
        "self-signed" => leaf(kind).self_signed(&key),
        "of-another-authority" => leaf(kind).signed_by(&key, &other_authority),
        _ => leaf(kind).signed_by(&key, &authority),
    };
    let certificate = certificate.unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let mut config = config(certificate, key, kind);
    let protocol = match kind.strip_prefix("h2-") {
        None => Protocol::Http1(acceptor(config)),
        Some(manner) => {
            config.alpn_protocols = vec![b"h2".to_vec()];
            Protocol::Http2(acceptor(config), manner.to_owned())
        }
    };
    (protocol, roots)
}

/// Reads a certificate that was signed with this hash, and its authority.
fn old_hash(kind: &str) -> (Protocol, String) {
    let file = |name: &str| std::fs::read(format!("{OLD}/{name}")).unwrap();
    let certificate = CertificateDer::from_pem_slice(&file(&format!("{kind}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&file("server.key")).unwrap();
    let roots = String::from_utf8(file("authority.pem")).unwrap();
    (
        Protocol::Http1(acceptor(config(certificate, key, kind))),
        roots,
    )
}

fn leaf(kind: &str) -> CertificateParams {
    let name = match kind {
        "of-another-host" | "of-as.example" => "as.example",
        _ => "127.0.0.1",
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![match kind {
        "for-clients" => ExtendedKeyUsagePurpose::ClientAuth,
        _ => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    match kind {
        "expired" => params.not_after = date_time_ymd(2020, 1, 1),
        "not-yet-valid" => params.not_before = date_time_ymd(2999, 1, 1),
        "without-a-name" => params.subject_alt_names.clear(),
        "good"
        | "good-1.2"
        | "of-as.example"
        | "self-signed"
        | "of-another-authority"
        | "of-another-host"
        | "for-clients" => {}
        http2 if http2.starts_with("h2-") => {}
        other => panic!("no certificate is `{other}`"),
    }
    params
}

fn config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    kind: &str,
) -> ServerConfig {
    let version = if kind == "good-1.2" { &TLS12 } else { &TLS13 };
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

fn acceptor(config: ServerConfig) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(protocol: Protocol, stream: TcpStream, requests: &AtomicUsize) {
    // The client may close the connection, or refuse the certificate.
    let _ = match protocol {
        Protocol::Http1(acceptor) => respond_once(acceptor, stream, requests).await,
        Protocol::Http2(acceptor, manner) => match acceptor.accept(stream).await {
            Ok(stream) => http2::serve(stream, &manner, requests).await,
            Err(refused) => Err(refused),
        },
        Protocol::OldTls => choose_old_tls(stream, requests).await,
    };
}

async fn respond_once(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    requests: &AtomicUsize,
) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    // A client that refuses the certificate may do so when the handshake is over here.
    if stream.read(&mut [0; 4096]).await? == 0 {
        return Ok(());
    }
    requests.fetch_add(1, Ordering::Relaxed);
    stream.write_all(RESPONSE).await?;
    stream.shutdown().await
}

/// Responds to the first message of a handshake like a server of 1999: with version 3.1, which is
/// TLS 1.0, and `TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA` (RFC 2246 §7.4.1.3, RFC 4492 §6).
/// Any message of the client other than an alert counts as a request.
async fn choose_old_tls(mut stream: TcpStream, requests: &AtomicUsize) -> io::Result<()> {
    const ALERT: u8 = 21;
    let mut piece = [0; 4096];
    if stream.read(&mut piece).await? == 0 {
        return Ok(());
    }
    let hello = [&[3, 1][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let message = [&[2, 0, 0, 38][..], &hello].concat();
    let record = [&[22, 3, 1, 0, 42][..], &message].concat();
    stream.write_all(&record).await?;
    let count = stream.read(&mut piece).await?;
    if piece[..count].first().is_some_and(|kind| *kind != ALERT) {
        requests.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
