//! Which addresses a name leads to, and which of them may be connected to (H35-H37).

use std::{fmt, io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address_policy::{AddressSpace, UrlPolicyError};

/// Finds the addresses of a host, in the place of the system: by a directory of services, say, or a
/// DNS of its own. It is asked once for each connection, and the network policy judges what it
/// answers: it opens no way to a place that is forbidden.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Returns the addresses of `host`, the best first. Their port is of no account: it is that of the URL.
    ///
    /// # Errors
    /// Why there are none.
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>>;
}

/// As the system does it: its files, its DNS.
#[derive(Debug)]
pub(super) struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.collect())
    }
}

/// Lets only those addresses through that the rule allows: the check and the connection use the same
/// answer, so that a name which is rebound in between gains nothing.
#[derive(Debug)]
pub(super) struct PolicedResolver {
    pub(super) names: Arc<dyn Resolver>,
    /// [`AddressSpace::PrivateOverHttp`] is for what is not encrypted.
    pub(super) reach: AddressSpace,
}

impl Resolve for PolicedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, reach) = (Arc::clone(&self.names), self.reach);
        Box::pin(async move {
            let host = name.as_str();
            let found = names.addresses(host).await?;
            let allowed = allowed(host, found, reach)?;
            Ok(Box::new(allowed.into_iter().map(without_port)) as Addrs)
        })
    }
}

/// Of what a name leads to, what may be connected to.
fn allowed(
    host: &str,
    found: Vec<SocketAddr>,
    reach: AddressSpace,
) -> Result<Vec<SocketAddr>, UrlPolicyError> {
    let mut allowed = Vec::new();
    let mut refusal = None;
    for address in found {
        match reach.judge(host, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(refused) => drop(refusal.get_or_insert(refused)),
        }
    }
    match refusal {
        Some(refusal) if allowed.is_empty() => Err(refusal),
        _ => Ok(allowed),
    }
}

fn without_port(mut address: SocketAddr) -> SocketAddr {
    address.set_port(0);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 7);
        texts.iter().map(address).collect()
    }

    #[tokio::test]
    async fn a_name_is_judged_by_the_address_that_it_resolves_to() {
        let resolve = async |reach| {
            let names = Arc::new(SystemResolver);
            let name = "localhost".parse().unwrap();
            PolicedResolver { names, reach }.resolve(name).await
        };
        let found = resolve(AddressSpace::Loopback).await.unwrap();
        assert!(found.count() > 0);
        for reach in [
            AddressSpace::Public,
            AddressSpace::Private,
            AddressSpace::LinkLocal,
        ] {
            let Err(error) = resolve(reach).await else {
                panic!("{reach:?}");
            };
            let forbidden = error.downcast_ref::<UrlPolicyError>();
            let is_address = matches!(
                forbidden,
                Some(UrlPolicyError::Address(_, AddressSpace::Loopback))
            );
            assert!(is_address, "{reach:?}: {error}");
        }
    }

    #[test]
    fn of_mixed_addresses_only_the_allowed_are_connected_to() {
        let all = addresses(&["169.254.169.254", "93.184.215.14", "::1", "::ffff:10.0.0.1"]);
        let judged = |found: &[SocketAddr], reach| allowed("h", found.to_vec(), reach);
        assert_eq!(judged(&all, AddressSpace::Public), Ok(vec![all[1]]));
        assert_eq!(
            judged(&all, AddressSpace::Private),
            Ok(vec![all[1], all[3]])
        );
        assert_eq!(judged(&all, AddressSpace::Loopback), Ok(all.clone()));
        assert_eq!(
            judged(&all, AddressSpace::PrivateOverHttp),
            Ok(vec![all[3]])
        );
        assert_eq!(judged(&[], AddressSpace::Public), Ok(Vec::new()));
        assert_eq!(
            judged(&[all[0], all[2]], AddressSpace::Public),
            Err(UrlPolicyError::Address(
                "h".to_owned(),
                AddressSpace::LinkLocal
            ))
        );
        assert_eq!(
            judged(&[all[1]], AddressSpace::PrivateOverHttp),
            Err(UrlPolicyError::InClear(
                "h".to_owned(),
                AddressSpace::Public
            ))
        );
    }
}
