//! Name resolution under the address policy (MCP security best practices, Server-Side Request
//! Forgery).

use std::{fmt, io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address_policy::{AddressSpace, UrlPolicyError};

/// Resolves host names instead of the system: by a service directory, for example. It is called once for
/// each connection. The address policy is applied to its results, so it cannot allow a forbidden address.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Returns the addresses of `host`, the best first. Their port is ignored: the URL has it.
    ///
    /// # Errors
    /// The reason why there are none.
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the system.
#[derive(Debug)]
pub(super) struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.collect())
    }
}

/// Returns only the addresses that the policy allows. The check and the connection use the same result, so
/// DNS rebinding between them is impossible.
#[derive(Debug)]
pub(super) struct PolicedResolver {
    pub(super) inner: Arc<dyn Resolver>,
    /// The limit. [`AddressSpace::PrivateOverHttp`] is for plain http.
    pub(super) address_space: AddressSpace,
}

impl Resolve for PolicedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (inner, address_space) = (Arc::clone(&self.inner), self.address_space);
        Box::pin(async move {
            let host = name.as_str();
            let found = inner.addresses(host).await?;
            let allowed = allowed(host, found, address_space)?;
            Ok(Box::new(allowed.into_iter().map(without_port)) as Addrs)
        })
    }
}

/// Returns the addresses that may be connected to.
fn allowed(
    host: &str,
    found: Vec<SocketAddr>,
    address_space: AddressSpace,
) -> Result<Vec<SocketAddr>, UrlPolicyError> {
    let mut allowed = Vec::new();
    let mut refusal = None;
    for address in found {
        match address_space.check_resolved(host, address.ip()) {
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
    async fn a_name_is_checked_by_the_address_that_it_resolves_to() {
        let resolve = async |address_space| {
            let inner = Arc::new(SystemResolver);
            let name = "localhost".parse().unwrap();
            PolicedResolver {
                inner,
                address_space,
            }
            .resolve(name)
            .await
        };
        let found = resolve(AddressSpace::Loopback).await.unwrap();
        assert!(found.count() > 0);
        for address_space in [
            AddressSpace::Public,
            AddressSpace::Private,
            AddressSpace::LinkLocal,
        ] {
            let Err(error) = resolve(address_space).await else {
                panic!("{address_space:?}");
            };
            let forbidden = error.downcast_ref::<UrlPolicyError>();
            let is_address = matches!(
                forbidden,
                Some(UrlPolicyError::Address(_, AddressSpace::Loopback))
            );
            assert!(is_address, "{address_space:?}: {error}");
        }
    }

    #[test]
    fn only_the_allowed_addresses_of_a_name_are_connected_to() {
        let all = addresses(&["169.254.169.254", "93.184.215.14", "::1", "::ffff:10.0.0.1"]);
        let check =
            |found: &[SocketAddr], address_space| allowed("h", found.to_vec(), address_space);
        assert_eq!(check(&all, AddressSpace::Public), Ok(vec![all[1]]));
        assert_eq!(check(&all, AddressSpace::Private), Ok(vec![all[1], all[3]]));
        assert_eq!(check(&all, AddressSpace::Loopback), Ok(all.clone()));
        assert_eq!(check(&all, AddressSpace::PrivateOverHttp), Ok(vec![all[3]]));
        assert_eq!(check(&[], AddressSpace::Public), Ok(Vec::new()));
        assert_eq!(
            check(&[all[0], all[2]], AddressSpace::Public),
            Err(UrlPolicyError::Address(
                "h".to_owned(),
                AddressSpace::LinkLocal
            ))
        );
        assert_eq!(
            check(&[all[1]], AddressSpace::PrivateOverHttp),
            Err(UrlPolicyError::Plaintext(
                "h".to_owned(),
                AddressSpace::Public
            ))
        );
    }
}
