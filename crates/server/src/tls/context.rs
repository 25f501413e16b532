//! From options to what rustls works with.
//!
//! Cipher suites are named as OpenSSL names them, because configurations do. rustls has the nine
//! that are beyond doubt; of a list, those count that it has, and a list that leaves none is
//! refused. Words for groups (`HIGH`, `DEFAULT`) mean all nine, since there are no weak ones to
//! leave out.

use std::sync::Arc;

use pannier_clock::Clock;
use pannier_engine::Certificate;
use pannier_engine::config::TlsAuth;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::keys::{authorities, certified_key, facts};
use super::options::TlsOptions;
use super::sessions::Sessions;
use crate::error::TlsError;

/// What new connections begin with.
pub(super) struct Context {
    pub(super) config: Arc<rustls::ServerConfig>,
    certificates: [Option<Certificate>; 2],
}

impl Context {
    /// What INFO tells of the certificates: the server's, and the first authority's.
    pub(super) fn certificates(&self) -> [Option<Certificate>; 2] {
        self.certificates.clone()
    }
}

/// Makes a context; reads the files.
pub(super) fn build(options: &TlsOptions, clock: &Clock) -> Result<Context, TlsError> {
    let versions = versions(&options.protocols)?;
    let mut provider = ring::default_provider();
    provider.cipher_suites = suites(options, &versions)?;
    let provider = Arc::new(provider);
    let key = certified_key(options, &provider)?;
    let (trusted, first) = authorities(options)?;
    let certificates = [key.cert.first().and_then(|cert| facts(cert)), first];
    let verifier = verifier(options, trusted, &provider)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| TlsError::Protocols(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(One(key)));
    config.ignore_client_order = options.prefers_own_order;
    match options.sessions_max {
        None => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Some(max) => {
            let max = if max == 0 { usize::MAX } else { max };
            config.session_storage = Arc::new(Sessions::new(clock, max, options.session_s));
            config.send_tls13_tickets = TICKETS;
        }
    }
    Ok(Context { config: Arc::new(config), certificates })
}

/// The server's one certificate, whatever name the client asks for.
#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn verifier(
    options: &TlsOptions,
    trusted: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let auth = match options.auth {
        Some(auth) => auth,
        None if trusted.is_empty() => TlsAuth::No,
        None => TlsAuth::Yes,
    };
    if auth == TlsAuth::No {
        return Ok(WebPkiClientVerifier::no_client_auth());
    } else if trusted.is_empty() {
        return Err(TlsError::NoAuthorities);
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(provider));
    let verifier =
        if auth == TlsAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
    verifier.build().map_err(|error| TlsError::Authorities(error.to_string()))
}

fn versions(words: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let (mut old, mut new) = (false, false);
    for word in words.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => old = true,
            "tlsv1.3" => new = true,
            "tlsv1" | "tlsv1.1" => {
                return Err(TlsError::Protocols(format!("{word} is not secure and not spoken")));
            }
            _ => return Err(TlsError::Protocols(format!("there is no {word}"))),
        }
    }
    Ok(match (old, new) {
        (true, false) => vec![&version::TLS12],
        (false, true) => vec![&version::TLS13],
        _ => vec![&version::TLS13, &version::TLS12],
    })
}

/// The suites that the options leave, in their order.
fn suites(
    options: &TlsOptions,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let of = |version: &SupportedProtocolVersion| {
        let all = ring::ALL_CIPHER_SUITES.iter().copied();
        all.filter(|suite| suite.version().version == version.version).collect::<Vec<_>>()
    };
    let new = chosen(&options.ciphersuites, of(&version::TLS13))
        .ok_or_else(|| TlsError::Ciphersuites(options.ciphersuites.clone()))?;
    let old = chosen(&options.ciphers, of(&version::TLS12))
        .ok_or_else(|| TlsError::Ciphers(options.ciphers.clone()))?;
    let spoken = |suite: &SupportedCipherSuite| versions.contains(&suite.version());
    Ok(new.into_iter().chain(old).filter(spoken).collect())
}

/// Those of `all` that a list of OpenSSL's leaves; `None` when it leaves none.
fn chosen(list: &str, all: Vec<SupportedCipherSuite>) -> Option<Vec<SupportedCipherSuite>> {
    let words = || list.split([':', ',', ' ']).filter(|word| !word.is_empty());
    if words().next().is_none() {
        return Some(all);
    }
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    for word in words() {
        if let Some(word) = word.strip_prefix(['!', '-']) {
            chosen.retain(|suite| openssl_name(suite.suite()) != Some(word));
            continue;
        }
        let group = GROUPS.contains(&word) || word.starts_with("DEFAULT@");
        let named = |suite: &&SupportedCipherSuite| openssl_name(suite.suite()) == Some(word);
        for suite in all.iter().filter(|suite| group || named(suite)) {
            if !chosen.contains(suite) {
                chosen.push(*suite);
            }
        }
    }
    (!chosen.is_empty()).then_some(chosen)
}

/// OpenSSL's name of a suite.
fn openssl_name(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

/// OpenSSL's words for groups to which all suites here belong.
const GROUPS: &[&str] = &["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "AEAD"];

/// Tickets that a client of TLS 1.3 gets to resume its session. Each can be used once, and a
/// resumed session gets another.
const TICKETS: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Option<Vec<&'static str>> {
        let all = ring::ALL_CIPHER_SUITES.to_vec();
        let chosen = chosen(list, all)?;
        Some(chosen.iter().map(|suite| openssl_name(suite.suite()).unwrap()).collect())
    }

    #[test]
    fn lists_of_suites_are_read_as_openssl_writes_them() {
        assert_eq!(names("").unwrap().len(), 9);
        assert_eq!(names("HIGH:!aNULL:!MD5").unwrap().len(), 9);
        let two = "ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-SHA:TLS_AES_128_GCM_SHA256";
        let expected = vec!["ECDHE-RSA-AES256-GCM-SHA384", "TLS_AES_128_GCM_SHA256"];
        assert_eq!(names(two), Some(expected));
        let without = names("DEFAULT:!ECDHE-RSA-CHACHA20-POLY1305").unwrap();
        assert!(without.len() == 8 && !without.contains(&"ECDHE-RSA-CHACHA20-POLY1305"));
        assert_eq!(names("AES128-SHA"), None);
    }

    #[test]
    fn old_versions_are_refused_by_name() {
        assert_eq!(versions("").unwrap().len(), 2);
        assert_eq!(versions("tlsv1.3").unwrap(), [&version::TLS13]);
        let refused = versions("TLSv1.1 TLSv1.2").err().unwrap().to_string();
        assert!(refused.contains("TLSv1.1 is not secure"), "{refused}");
        assert!(versions("SSLv3").is_err());
    }
}
