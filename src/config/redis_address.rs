//! Where Redis is, in each of its forms.

use url::Url;

const EXPECTED: &str = "expected redis://host, rediss://host, unix:///path, redis+sentinel://host:port,…/master or \
                        redis+cluster://host:port,…";
/// The port of a sentinel where none is written.
const SENTINEL: u16 = 26_379;
const SERVER: u16 = 6_379;

/// The parts of `redis.url`. Addresses hold the login: secret.
pub enum RedisAddress {
    /// One server.
    Server(String),
    /// The master that sentinels name.
    Sentinel {
        /// Their addresses, with the login and the database of the servers.
        sentinels: Vec<String>,
        /// The name they know it by.
        master: String,
    },
    /// A Cluster.
    Cluster {
        /// Some of its nodes, with the login.
        nodes: Vec<String>,
    },
}

impl RedisAddress {
    /// Reads a URL. What is wrong with it is said without quoting it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        match scheme {
            "redis+sentinel" => sentinel("redis", rest),
            "rediss+sentinel" => sentinel("rediss", rest),
            "redis+cluster" => cluster("redis", rest),
            "rediss+cluster" => cluster("rediss", rest),
            _ => server(text),
        }
    }
}

fn server(text: &str) -> Result<RedisAddress, String> {
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    match url.scheme() {
        "redis" | "rediss" if url.has_host() => Ok(RedisAddress::Server(text.to_owned())),
        "unix" | "redis+unix" if url.path().len() > 1 => Ok(RedisAddress::Server(text.to_owned())),
        _ => Err(EXPECTED.to_owned()),
    }
}

fn sentinel(scheme: &str, rest: &str) -> Result<RedisAddress, String> {
    let (hosts, path) =
        rest.split_once('/').ok_or("expected the name of the master: redis+sentinel://host:port,…/master")?;
    let (master, database) = path.split_once('/').unwrap_or((path, "0"));
    if master.is_empty() || master.contains(['?', '#']) {
        return Err("expected the name of the master: redis+sentinel://host:port,…/master".to_owned());
    }
    if database.parse::<u16>().is_err() {
        return Err("expected the number of a database behind the master's name".to_owned());
    }
    let sentinels = addresses(scheme, hosts, SENTINEL, database)?;
    Ok(RedisAddress::Sentinel { sentinels, master: master.to_owned() })
}

fn cluster(scheme: &str, rest: &str) -> Result<RedisAddress, String> {
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() {
        return Err("a cluster has no databases; expected redis+cluster://host:port,…".to_owned());
    }
    Ok(RedisAddress::Cluster { nodes: addresses(scheme, hosts, SERVER, "")? })
}

/// An address for each host, each with the login.
fn addresses(scheme: &str, hosts: &str, port: u16, database: &str) -> Result<Vec<String>, String> {
    let (login, hosts) = hosts.rsplit_once('@').map_or(("", hosts), |(login, hosts)| (login, hosts));
    let at = if login.is_empty() { "" } else { "@" };
    let one = |host: &str| {
        let host = host.trim();
        let has_port = host.rsplit_once(':').is_some_and(|(name, _)| !name.contains(':') || name.ends_with(']'));
        let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let address = format!("{scheme}://{login}{at}{host}/{database}");
        let url = Url::parse(&address).map_err(|_| EXPECTED)?;
        if url.host_str().is_none_or(str::is_empty) || url.port().is_none() {
            return Err(EXPECTED.to_owned());
        }
        Ok(address)
    };
    hosts.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let RedisAddress::Sentinel { sentinels, master } =
            RedisAddress::parse("redis+sentinel://ada:p%40ss@a:1,b,[::1]:3/mymaster/2").unwrap()
        else {
            panic!("not sentinels")
        };
        assert_eq!(master, "mymaster");
        let expected = ["redis://ada:p%40ss@a:1/2", "redis://ada:p%40ss@b:26379/2", "redis://ada:p%40ss@[::1]:3/2"];
        assert_eq!(sentinels, expected);
        let RedisAddress::Cluster { nodes } = RedisAddress::parse("rediss+cluster://a:7000,b").unwrap() else {
            panic!("not a cluster")
        };
        assert_eq!(nodes, ["rediss://a:7000/", "rediss://b:6379/"]);
        for server in ["redis://a", "rediss://u:p@a:1/3", "unix:///run/redis.sock", "redis+unix:///run/redis.sock"] {
            assert!(matches!(RedisAddress::parse(server), Ok(RedisAddress::Server(url)) if url == server));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_quoted() {
        for text in [
            "localhost:6379",
            "http://secret",
            "redis+sentinel://secret:1",
            "redis+sentinel://secret:1/",
            "redis+sentinel://secret:1/m/x",
            "redis+sentinel:///m",
            "redis+sentinel://secret:1,,b/m",
            "redis+cluster://",
            "redis+cluster://secret:port",
            "redis+cluster://secret:1/3",
        ] {
            let Err(message) = RedisAddress::parse(text) else { panic!("{text} was taken") };
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
