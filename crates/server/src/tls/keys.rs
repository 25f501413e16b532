//! Certificates and keys out of PEM.
//!
//! What rustls does not read itself is done here: keys with a password (PKCS #8, as OpenSSL 3 and
//! `ssh-keygen -m PKCS8` write them; the older form with `DEK-Info` lines is refused), and
//! directories of authorities. The key must belong to the certificate. A server's own certificate
//! is not looked at beyond that: old ones of version 1, which rustls would not trust, are served.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use pannier_engine::Certificate;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use pkcs8::der::{Decode, SliceReader, Tag, Tagged};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::options::{Pem, TlsOptions};
use crate::error::TlsError;

/// The server's certificate with its key.
pub(super) fn certified_key(
    options: &TlsOptions,
    provider: &rustls::crypto::CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let TlsOptions { certificate, key, .. } = options;
    let refused =
        |reason: String| TlsError::Certificate { place: format!("{certificate:?}"), reason };
    let chain = certificates(&certificate.read().map_err(refused)?).map_err(refused)?;
    if chain.is_empty() {
        return Err(refused("there is no certificate in it".into()));
    }
    let refused = |reason: String| TlsError::Key { place: format!("{key:?}"), reason };
    let key = private_key(&key.read().map_err(refused)?, options.key_password.0.as_deref());
    let key = provider.key_provider.load_private_key(key.map_err(refused)?);
    let key = key.map_err(|error| refused(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(refused("it is not the key of the certificate".into()))
        }
        _ => Ok(Arc::new(certified)),
    }
}

/// The authorities that clients' certificates may come from, and what is to be told of the first.
pub(super) fn authorities(
    options: &TlsOptions,
) -> Result<(RootCertStore, Option<Certificate>), TlsError> {
    let mut trusted = RootCertStore::empty();
    let mut first = None;
    for pem in &options.authorities {
        let texts = match pem {
            Pem::File(path) if path.is_dir() => directory(path),
            _ => pem.read().map(|text| vec![text]),
        };
        for text in texts.map_err(TlsError::Authorities)? {
            let found = certificates(&text).map_err(TlsError::Authorities)?;
            first = first.or_else(|| found.first().and_then(|cert| facts(cert)));
            trusted.add_parsable_certificates(found);
        }
    }
    if trusted.is_empty() && !options.authorities.is_empty() {
        return Err(TlsError::Authorities("there is no certificate in it".into()));
    }
    Ok((trusted, first))
}

/// What INFO tells of a certificate (RFC 5280, 4.1); `None` when it cannot be read.
pub(super) fn facts(cert: &[u8]) -> Option<Certificate> {
    let whole = AnyRef::from_der(cert).ok()?;
    let signed = AnyRef::decode(&mut SliceReader::new(whole.value()).ok()?).ok()?;
    let mut fields = SliceReader::new(signed.value()).ok()?;
    let mut next = || AnyRef::decode(&mut fields).ok();
    let mut serial = next()?;
    if serial.tag() != Tag::Integer {
        // The version stood before it.
        serial = next()?;
    }
    let (_algorithm, _issuer, validity) = (next()?, next()?, next()?);
    let mut validity = SliceReader::new(validity.value()).ok()?;
    let (_begin, end) = (AnyRef::decode(&mut validity).ok()?, AnyRef::decode(&mut validity).ok()?);
    let end = match end.tag() {
        Tag::UtcTime => end.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        _ => end.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
    };
    let digits = serial.value().iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let digits = digits.strip_prefix("00").map(str::to_owned).unwrap_or(digits);
    Some(Certificate { serial: digits, expires_s: end.as_secs() })
}

/// The texts of all files of a directory.
fn directory(path: &Path) -> Result<Vec<Cow<'_, [u8]>>, String> {
    let files = fs::read_dir(path).map_err(|error| error.to_string())?;
    let files = files.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file());
    files.map(|path| fs::read(path).map(Cow::Owned).map_err(|error| error.to_string())).collect()
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|e| e.to_string())
}

fn private_key(text: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    if let Ok(key) = PrivateKeyDer::from_pem_slice(text)
        && !text.windows(LEGACY.len()).any(|window| window == LEGACY)
    {
        return Ok(key);
    }
    // The first section of that name; others may stand before it.
    let text = std::str::from_utf8(text).unwrap_or_default();
    let Some(start) = text.find(ENCRYPTED) else {
        let legacy = text.as_bytes().windows(LEGACY.len()).any(|window| window == LEGACY);
        return Err(if legacy { NOT_PKCS8 } else { "there is no private key in it" }.into());
    };
    let Some(password) = password else { return Err("it is encrypted: set its password".into()) };
    let end =
        text[start..].find(ENCRYPTED_END).map_or(text.len(), |at| start + at + ENCRYPTED_END.len());
    let (_, document) =
        pkcs8::SecretDocument::from_pem(&text[start..end]).map_err(|error| error.to_string())?;
    let encrypted = document.decode_msg::<EncryptedPrivateKeyInfoRef<'_>>();
    let encrypted = encrypted.map_err(|error| error.to_string())?;
    let decrypted = encrypted.decrypt(password).map_err(|error| error.to_string())?;
    Ok(PrivatePkcs8KeyDer::from(decrypted.as_bytes().to_vec()).into())
}

impl Pem {
    fn read(&self) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::File(path) => fs::read(path).map(Cow::Owned).map_err(|error| error.to_string()),
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }
}

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// What OpenSSL 1 wrote above a key with a password.
const LEGACY: &[u8] = b"Proc-Type: 4,ENCRYPTED";

const NOT_PKCS8: &str = "a key with a password must be PKCS #8 (openssl pkcs8 -topk8)";
