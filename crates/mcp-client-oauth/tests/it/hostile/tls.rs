//! Servers with certificates, of an authority that is made for the case: good ones, and such that
//! prove nothing (H46).

use std::{
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
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        version::{TLS12, TLS13},
    },
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A server with a certificate. It ends with this.
pub(super) struct TlsServer {
    address: SocketAddr,
    /// The authority that a client is to trust, in PEM.
    pub(super) roots: String,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsServer {
    /// With a certificate of this `kind`, by its name in the cases.
    pub(super) async fn with(kind: &str) -> Self {
        let (authority, roots) = authority();
        let (stranger, _) = self::authority();
        let key = KeyPair::generate().unwrap();
        let certificate = match kind {
            "self-signed" => leaf(kind).self_signed(&key),
            "of-another-authority" => leaf(kind).signed_by(&key, &stranger),
            _ => leaf(kind).signed_by(&key, &authority),
        };
        let acceptor = acceptor(certificate.unwrap().der(), &key, kind);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(acceptor.clone(), stream, Arc::clone(&count)));
            }
        });
        Self {
            address,
            roots,
            requests,
            task,
        }
    }

    pub(super) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many requests came through TLS.
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

fn leaf(kind: &str) -> CertificateParams {
    let name = match kind {
        "of-another-host" => "as.example",
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
        | "self-signed"
        | "of-another-authority"
        | "of-another-host"
        | "for-clients" => {}
        other => panic!("no certificate is `{other}`"),
    }
    params
}

fn acceptor(certificate: &CertificateDer<'static>, key: &KeyPair, kind: &str) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let version = if kind == "good-1.2" { &TLS12 } else { &TLS13 };
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn converse(acceptor: TlsAcceptor, stream: TcpStream, requests: Arc<AtomicUsize>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    // A client that refuses the certificate may do so when the handshake is over here.
    let Ok(1..) = stream.read(&mut [0; 4096]).await else {
        return;
    };
    requests.fetch_add(1, Ordering::Relaxed);
    let _ = stream.write_all(ANSWER).await;
    let _ = stream.shutdown().await;
}
