use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaSigningAlgorithm,
        KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
        VerificationAlgorithm,
    },
};

use super::*;

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).unwrap()
}

fn p256() -> EcdsaKeyPair {
    elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING)
}

fn pkcs8(key: &EcdsaKeyPair) -> String {
    pem("PRIVATE KEY", key.to_pkcs8v1().unwrap().as_ref())
}

fn at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn issuer() -> Issuer {
    Issuer::from("https://as.example/tenant")
}

fn assertion(key: &PrivateKey) -> String {
    let id = JwtId("jti".to_owned());
    let signed = key.client_assertion("client é", &issuer(), at(), &id);
    signed.unwrap().expose().clone()
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// Returns header and claims, if the key made the signature.
fn verified(
    jwt: &str,
    algorithm: &'static dyn VerificationAlgorithm,
    public_key: &[u8],
) -> (Value, Value) {
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(algorithm, public_key)
        .verify(message.as_bytes(), &decoded(signature))
        .unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let json = |part| serde_json::from_slice(&decoded(part)).unwrap();
    (json(header), json(claims))
}

#[test]
fn each_kind_of_key_signs_what_its_public_half_verifies() {
    let elliptic = p256();
    let edwards = Ed25519KeyPair::generate().unwrap();
    let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let rsa_der: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let cases: [(String, &str, &'static dyn VerificationAlgorithm, &[u8]); 3] = [
        (
            pkcs8(&elliptic),
            "ES256",
            &ECDSA_P256_SHA256_FIXED,
            elliptic.public_key().as_ref(),
        ),
        (
            pem("PRIVATE KEY", edwards.to_pkcs8v1().unwrap().as_ref()),
            "EdDSA",
            &ED25519,
            edwards.public_key().as_ref(),
        ),
        (
            pem("PRIVATE KEY", rsa_der.as_ref()),
            "RS256",
            &RSA_PKCS1_2048_8192_SHA256,
            rsa.public_key().as_ref(),
        ),
    ];
    for (pem, name, algorithm, public_key) in cases {
        let key = PrivateKey::from_pem(&pem).unwrap();
        assert_eq!(key.algorithm().as_str(), name);
        let (header, claims) = verified(&assertion(&key), algorithm, public_key);
        assert_eq!(header, json!({"typ": "JWT", "alg": name}));
        let expected = json!({
            "iss": "client é", "sub": "client é", "aud": "https://as.example/tenant",
            "iat": 1_800_000_000, "exp": 1_800_000_060, "jti": "jti",
        });
        assert_eq!(claims, expected);
    }
}

/// Verifies with the members of the JWK, in the form of each verifier.
#[test]
fn the_public_half_of_each_kind_of_key_verifies_what_it_signs() {
    let edwards = Ed25519KeyPair::generate().unwrap();
    let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let rsa_der: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let pems = [
        pkcs8(&p256()),
        pem("PRIVATE KEY", edwards.to_pkcs8v1().unwrap().as_ref()),
        pem("PRIVATE KEY", rsa_der.as_ref()),
    ];
    for pem in pems {
        let key = PrivateKey::from_pem(&pem).unwrap().with_key_id("2026");
        let jwk = key.public_jwk();
        let jwt = assertion(&key);
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let (message, signature) = (message.as_bytes(), decoded(signature));
        let part = |name: &str| decoded(jwk[name].as_str().unwrap());
        let verdict = match jwk["kty"].as_str().unwrap() {
            "EC" => {
                let point = [vec![4], part("x"), part("y")].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &signature)
            }
            "OKP" => UnparsedPublicKey::new(&ED25519, part("x")).verify(message, &signature),
            _ => RsaPublicKeyComponents {
                n: part("n"),
                e: part("e"),
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature),
        };
        verdict.unwrap();
        assert_eq!(jwk["alg"], key.algorithm().as_str());
        assert_eq!((&jwk["use"], &jwk["kid"]), (&json!("sig"), &json!("2026")));
        for secret in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(jwk.get(secret).is_none(), "{secret}");
        }
    }
}

#[test]
fn the_header_has_the_key_id_if_there_is_one() {
    let pair = p256();
    let key = PrivateKey::from_pem(&pkcs8(&pair)).unwrap();
    let jwt = assertion(&key.with_key_id("2026"));
    let (header, _) = verified(&jwt, &ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    assert_eq!(header["kid"], "2026");
}

#[test]
fn an_unsupported_key_is_refused() {
    let p384 = elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING);
    let p256 = pkcs8(&p256());
    let der: Vec<u8> = {
        let body = p256.split("-----").nth(2).unwrap().replace('\n', "");
        STANDARD.decode(body).unwrap()
    };
    for (text, expected) in [
        (pkcs8(&p384), PrivateKeyError::Unsupported),
        (
            pem("PRIVATE KEY", &der[..der.len() - 1]),
            PrivateKeyError::Unsupported,
        ),
        (pem("PRIVATE KEY", b""), PrivateKeyError::Unsupported),
        (pem("EC PRIVATE KEY", &der), PrivateKeyError::NotPkcs8),
        (
            pem("ENCRYPTED PRIVATE KEY", &der),
            PrivateKeyError::NotPkcs8,
        ),
        (pem("PUBLIC KEY", &der), PrivateKeyError::NotPkcs8),
        (p256.replace("END", "BEGIN"), PrivateKeyError::NotPkcs8),
        (p256.replace('M', "!"), PrivateKeyError::NotPkcs8),
        (String::new(), PrivateKeyError::NotPkcs8),
        ("x".repeat(LONGEST_PEM + 1), PrivateKeyError::NotPkcs8),
    ] {
        assert_eq!(PrivateKey::from_pem(&text), Err(expected), "{text}");
    }
    let crlf = format!("Bag attributes\r\n{}", p256.replace('\n', "\r\n"));
    assert!(PrivateKey::from_pem(&crlf).is_ok());
}

#[test]
fn a_key_survives_json_and_is_not_printed() {
    let key = PrivateKey::from_pem(&pkcs8(&p256())).unwrap();
    let key = key.with_key_id("2026");
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<PrivateKey>(&text).unwrap(), key);
    let body = STANDARD.encode(key.pkcs8.expose());
    let printed = format!("{key:?} {key:#?}");
    assert!(text.contains(&body) && !printed.contains(&body[..16]));
    assert!(printed.contains("[redacted]"), "{printed}");
    let corrupt = text.replace("\"pkcs8\":\"M", "\"pkcs8\":\"N");
    let error = serde_json::from_str::<PrivateKey>(&corrupt).unwrap_err();
    assert!(!error.to_string().contains(&body[1..16]), "{error}");
}

#[test]
fn no_two_ids_are_alike() {
    let (one, other) = (JwtId::generate().unwrap(), JwtId::generate().unwrap());
    assert!(one.0 != other.0 && one.0.len() >= 22);
}
