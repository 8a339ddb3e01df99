//! Which addresses a name leads to, and which of them may be connected to (H35-H37).

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Reach, UnsafeUrl};

/// Finds the addresses of a host, in the place of the system: by a directory of services, say, or a
/// DNS of its own. It is asked once for each connection, and the network policy judges what it
/// answers: it opens no way to a place that is forbidden.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of `host`, the best first.
    ///
    /// # Errors
    /// Why there are none.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the system does it: its files, its DNS.
#[derive(Debug)]
pub(super) struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Lets only those addresses through that the rule allows: the check and the connection use the same
/// answer, so that a name which is rebound in between gains nothing.
#[derive(Debug)]
pub(super) struct PolicedResolver {
    pub(super) names: Arc<dyn Resolver>,
    pub(super) rule: Rule,
}

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Those that are no more private than this.
    UpTo(Reach),
    /// Private ones alone: what goes there is not encrypted.
    PrivateAlone,
}

impl Resolve for PolicedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, rule) = (Arc::clone(&self.names), self.rule);
        Box::pin(async move {
            let host = name.as_str();
            let found = names.addresses(host).await?;
            let allowed = rule.allowed(host, found)?;
            // The port is that of the URL.
            let allowed = allowed
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(allowed) as Addrs)
        })
    }
}

impl Rule {
    fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::UpTo(reach) => Reach::of(address) <= reach,
            Self::PrivateAlone => Reach::of(address) == Reach::Private,
        }
    }

    /// Of what a name leads to, what may be connected to.
    fn allowed(self, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, UnsafeUrl> {
        let (allowed, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| self.allows(*address));
        match (allowed.is_empty(), refused.first()) {
            (true, Some(&address)) => Err(self.refusal(host, Reach::of(address))),
            _ => Ok(allowed),
        }
    }

    fn refusal(self, host: &str, place: Reach) -> UnsafeUrl {
        match self {
            Self::UpTo(_) => UnsafeUrl::Address(host.to_owned(), place),
            Self::PrivateAlone => UnsafeUrl::InClear(host.to_owned(), place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_name_is_judged_by_the_address_that_it_resolves_to() {
        let resolve = async |reach| {
            let names = Arc::new(SystemResolver);
            let rule = Rule::UpTo(reach);
            let name = "localhost".parse().unwrap();
            PolicedResolver { names, rule }.resolve(name).await
        };
        let found = resolve(Reach::Loopback).await.unwrap();
        assert!(found.count() > 0);
        for reach in [Reach::Public, Reach::Private, Reach::LinkLocal] {
            let Err(error) = resolve(reach).await else {
                panic!("{reach:?}");
            };
            let forbidden = error.downcast_ref::<UnsafeUrl>();
            let is_address = matches!(forbidden, Some(UnsafeUrl::Address(_, Reach::Loopback)));
            assert!(is_address, "{reach:?}: {error}");
        }
    }

    #[test]
    fn of_mixed_addresses_only_the_allowed_are_connected_to() {
        let all = addresses(&["169.254.169.254", "93.184.215.14", "::1", "::ffff:10.0.0.1"]);
        let judged = |found: &[IpAddr], rule: Rule| rule.allowed("h", found.to_vec());
        let up_to = Rule::UpTo;
        assert_eq!(judged(&all, up_to(Reach::Public)), Ok(vec![all[1]]));
        let private = Ok(vec![all[1], all[3]]);
        assert_eq!(judged(&all, up_to(Reach::Private)), private);
        assert_eq!(judged(&all, up_to(Reach::Loopback)), Ok(all.clone()));
        assert_eq!(judged(&all, Rule::PrivateAlone), Ok(vec![all[3]]));
        assert_eq!(judged(&[], up_to(Reach::Public)), Ok(Vec::new()));
        assert_eq!(
            judged(&[all[0], all[2]], up_to(Reach::Public)),
            Err(UnsafeUrl::Address("h".to_owned(), Reach::LinkLocal))
        );
        assert_eq!(
            judged(&[all[1]], Rule::PrivateAlone),
            Err(UnsafeUrl::InClear("h".to_owned(), Reach::Public))
        );
    }
}
