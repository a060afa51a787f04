// SPDX-License-Identifier: GPL-3.0-or-later
//! Where Redis is: one server, one that Sentinels watch, or a cluster. The only file that tells them apart, besides
//! [`super::connection`], which sends to a cluster what it sends to a server in one pipeline.

use super::settings::{Access, Redis, RedisUrl};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode,
    aio::{MultiplexedConnection, PubSub},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::sync::Mutex;

/// A deployment of Redis, by its addresses.
pub(super) enum Target {
    /// One server.
    Server(Client),
    /// The master that Sentinels name; they are asked at every new connection.
    Sentinel(Mutex<SentinelClient>),
    /// Some nodes of a cluster, and the certificates for all of them.
    Cluster(Vec<ConnectionInfo>, Option<TlsCertificates>),
}

/// One open connection, shared by cloning.
#[derive(Clone)]
pub(super) enum Wire {
    /// To a server.
    Server(MultiplexedConnection),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

impl Target {
    /// Reads addresses, connects to nothing.
    pub(super) fn new(redis: &Redis, access: &Access) -> RedisResult<Self> {
        let entry = Entry { redis, access, certificates: certificates(access) };
        match &redis.url {
            RedisUrl::One(url) => match url.expose_secret().split_once("+sentinel://") {
                Some((scheme @ ("redis" | "rediss"), rest)) => entry.sentinels(scheme, rest),
                _ => Ok(Self::Server(Client::open(entry.address(url.expose_secret())?)?)),
            },
            RedisUrl::Cluster(nodes) if nodes.is_empty() => Err(wrong("a cluster without nodes")),
            RedisUrl::Cluster(nodes) => {
                let nodes: Vec<_> = nodes
                    .iter()
                    .map(|node| entry.address(node.expose_secret()))
                    .collect::<RedisResult<_>>()?;
                ClusterClient::new(nodes.clone())?;
                Ok(Self::Cluster(nodes, entry.certificates))
            }
        }
    }

    /// Whether its keys are spread over several servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(..))
    }

    /// A new connection whose commands may take `patience`, itself `connecting`.
    pub(super) async fn connect(&self, patience: Duration, connecting: Duration) -> RedisResult<Wire> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connecting))
            .set_response_timeout(Some(patience));
        let client = match self {
            Self::Server(client) => client.clone(),
            Self::Sentinel(sentinels) => sentinels.lock().await.async_get_client().await?,
            Self::Cluster(nodes, certificates) => {
                return cluster(nodes, certificates.as_ref(), patience, connecting).await.map(Wire::Cluster);
            }
        };
        client.get_multiplexed_async_connection_with_config(&config).await.map(Wire::Server)
    }

    /// A new connection to one node of a cluster, itself `connecting`.
    pub(super) async fn node(&self, host: &str, port: u16, connecting: Duration) -> RedisResult<Wire> {
        let Self::Cluster(nodes, _) = self else { return Err(wrong("no cluster")) };
        let named = &nodes[0];
        let place = match named.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        let client = Client::open(named.clone().set_addr(place))?;
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(connecting));
        client.get_multiplexed_async_connection_with_config(&config).await.map(Wire::Server)
    }

    /// A new connection for announcements; in a cluster to any node, since all of them hear every announcement.
    pub(super) async fn listen(&self) -> RedisResult<PubSub> {
        let client = match self {
            Self::Server(client) => client.clone(),
            Self::Sentinel(sentinels) => sentinels.lock().await.async_get_client().await?,
            Self::Cluster(nodes, _) => Client::open(nodes[fastrand::usize(..nodes.len())].clone())?,
        };
        client.get_async_pubsub().await
    }
}

async fn cluster(
    nodes: &[ConnectionInfo],
    certificates: Option<&TlsCertificates>,
    patience: Duration,
    connecting: Duration,
) -> RedisResult<ClusterConnection> {
    let builder = ClusterClient::builder(nodes.iter().cloned())
        .connection_timeout(connecting)
        .response_timeout(patience)
        .tcp_settings(tcp());
    let builder = match certificates {
        Some(certificates) => builder.certs(certificates.clone()),
        None => builder,
    };
    builder.build()?.get_async_connection().await
}

fn certificates(access: &Access) -> Option<TlsCertificates> {
    let client_tls = access.certificate.as_ref().map(|certificate| ClientTlsConfig {
        client_cert: certificate.chain.clone(),
        client_key: certificate.key.expose_secret().to_vec(),
    });
    let certificates = TlsCertificates { client_tls, root_cert: access.ca.clone() };
    (certificates.client_tls.is_some() || certificates.root_cert.is_some()).then_some(certificates)
}

/// How a process comes to its Redis, whatever kind of deployment that is.
struct Entry<'a> {
    redis: &'a Redis,
    access: &'a Access,
    certificates: Option<TlsCertificates>,
}

impl Entry<'_> {
    /// `url` with what the other keys say over it.
    fn address(&self, url: &str) -> RedisResult<ConnectionInfo> {
        let address = url.into_connection_info()?;
        let login = self.login(address.redis_settings())?;
        let address = self.secured(address.set_redis_settings(login))?;
        match address.addr() {
            ConnectionAddr::Unix(_) => Ok(address),
            _ => Ok(address.set_tcp_settings(tcp())),
        }
    }

    /// The client crate would log nobody in where there is a user and no password.
    fn login(&self, from_url: &RedisConnectionInfo) -> RedisResult<RedisConnectionInfo> {
        let mut login = from_url.clone();
        if let Some(username) = &self.redis.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.access.password {
            login = login.set_password(password.expose_secret());
        }
        match (login.username(), login.password()) {
            (Some(_), None) => Err(wrong("a user without a password, see redis.password_file")),
            _ => Ok(login),
        }
    }

    fn secured(&self, address: ConnectionInfo) -> RedisResult<ConnectionInfo> {
        match (address.addr(), &self.certificates) {
            (ConnectionAddr::TcpTls { insecure: true, .. }, _) => {
                Err(wrong("certificates are always checked, there is no #insecure"))
            }
            (ConnectionAddr::TcpTls { .. }, certificates) => {
                install_tls();
                match certificates {
                    Some(certificates) => {
                        let client = Client::build_with_tls(address, certificates.clone())?;
                        Ok(client.get_connection_info().clone())
                    }
                    None => Ok(address),
                }
            }
            (_, None) => Ok(address),
            (_, Some(_)) => {
                Err(wrong("ca_file, cert_file and key_file are for rediss:// and rediss+sentinel://"))
            }
        }
    }

    /// Reads `[user:password@]host:port,host:port/service[?db=N]`. User and password are those of the watched servers.
    fn sentinels(&self, scheme: &str, rest: &str) -> RedisResult<Target> {
        let (credentials, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, service) =
            rest.split_once('/').ok_or_else(|| wrong("a Sentinel URL without a service"))?;
        let (service, db) = match service.split_once("?db=") {
            Some((service, db)) => (service, db.parse().map_err(|_| wrong("a database that is no number"))?),
            None => (service, 0),
        };
        if service.is_empty() {
            return Err(wrong("a Sentinel URL without a service"));
        }
        let place = |host| format!("{scheme}://{host}").into_connection_info();
        let places = hosts.split(',').map(|host| Ok(self.secured(place(host)?)?.addr().clone()));
        let places = places.collect::<RedisResult<Vec<_>>>()?;
        let builder = SentinelClientBuilder::new(places, service, SentinelServerType::Master)?
            .set_client_to_redis_db(db)
            .set_client_to_redis_tcp_settings(tcp())
            .set_client_to_sentinel_tcp_settings(tcp());
        // The client crate's own reading of user and password, percent signs included.
        let login = format!("redis://{credentials}@host").into_connection_info()?;
        let builder = self.identified(builder, &self.login(login.redis_settings())?);
        let builder = if scheme == "rediss" { self.encrypted(builder) } else { builder };
        Ok(Target::Sentinel(Mutex::new(builder.build()?)))
    }

    fn identified(
        &self,
        mut builder: SentinelClientBuilder,
        login: &RedisConnectionInfo,
    ) -> SentinelClientBuilder {
        if let Some(username) = login.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = login.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(username) = &self.redis.sentinel_username {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = &self.access.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.expose_secret());
        }
        builder
    }

    /// The Sentinels' addresses have theirs already.
    fn encrypted(&self, builder: SentinelClientBuilder) -> SentinelClientBuilder {
        let builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        match &self.certificates {
            Some(certificates) => builder.set_client_to_redis_certificates(certificates.clone()),
            None => builder,
        }
    }
}

/// rustls wants to be told whose cryptography it uses; where the program has said so, this changes nothing.
fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Small commands must not wait for the acknowledgement of the ones before.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn wrong(what: &'static str) -> RedisError {
    (ErrorKind::InvalidClientConfig, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(redis: &Redis) -> RedisResult<Target> {
        Target::new(redis, &redis.access().map_err(|_| wrong("a file"))?)
    }

    fn target(url: &str) -> RedisResult<Target> {
        reached(&Redis::at(RedisUrl::One(url.into())))
    }

    fn cluster_of(nodes: &[&str]) -> RedisResult<Target> {
        let nodes = nodes.iter().map(|&node| node.into()).collect();
        reached(&Redis::at(RedisUrl::Cluster(nodes)))
    }

    #[test]
    fn every_kind_of_address_is_read() {
        for url in
            ["redis://127.0.0.1:6379/0", "rediss://user:secret@redis.example", "unix:///run/redis.sock"]
        {
            assert!(matches!(target(url), Ok(Target::Server(_))), "{url}");
        }
        for url in [
            "redis+sentinel://a:26379,b:26379/main",
            "redis+sentinel://u:p%40@a/main?db=3",
            "rediss+sentinel://a:26379/main",
        ] {
            assert!(matches!(target(url), Ok(Target::Sentinel(_))), "{url}");
        }
        for nodes in [["redis://a:7000", "redis://b:7000"], ["rediss://a:7000", "rediss://b:7000"]] {
            assert!(matches!(cluster_of(&nodes), Ok(Target::Cluster(..))), "{nodes:?}");
        }
    }

    #[test]
    fn a_wrong_address_is_an_error() {
        for url in [
            "",
            "http://a",
            "redis+sentinel://a:26379",
            "redis+sentinel://a/",
            "redis+sentinel://a/s?db=x",
            "http+sentinel://a/s",
            "rediss://a/#insecure",
        ] {
            assert!(target(url).is_err(), "{url}");
        }
        assert!(cluster_of(&[]).is_err());
        assert!(cluster_of(&["redis://a:7000", "rediss://b:7000"]).is_err());
    }

    #[test]
    fn user_and_password_of_their_own_keys_go_over_the_urls() {
        let redis = Redis {
            username: Some("milter".into()),
            ..Redis::at(RedisUrl::One("redis://other:secret@h".into()))
        };
        let access = Access { password: Some("better".into()), ..Access::default() };
        let Ok(Target::Server(client)) = Target::new(&redis, &access) else { panic!("no server") };
        let settings = client.get_connection_info().redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("milter"), Some("better")));
        assert!(!format!("{access:?} {client:?}").contains("better"));
    }

    #[test]
    fn a_user_without_a_password_is_an_error() {
        for url in ["redis://user@h", "redis+sentinel://user@h/main", "unix:///run/redis.sock?user=user"] {
            assert!(target(url).is_err(), "{url}");
        }
        for url in ["redis://:secret@h", "redis+sentinel://:secret@h/main"] {
            let url = RedisUrl::One(url.into());
            let redis = Redis { username: Some("user".into()), ..Redis::at(url) };
            assert!(reached(&redis).is_ok());
        }
    }

    #[test]
    fn certificates_without_tls_are_an_error() {
        let access = Access { ca: Some(b"PEM".to_vec()), ..Access::default() };
        let refused = |url: &str| {
            let redis = Redis::at(RedisUrl::One(url.into()));
            Target::new(&redis, &access).err().map(|error| error.to_string()).unwrap_or_default()
        };
        for url in ["redis://h", "unix:///run/redis.sock", "redis+sentinel://h/main"] {
            assert!(refused(url).contains("are for rediss://"), "{url}: {}", refused(url));
        }
    }
}
