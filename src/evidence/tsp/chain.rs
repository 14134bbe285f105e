//! The signature of a token, and the way from its certificate to one that is trusted.

use super::token::Token;
use super::{TokenFault, fault};
use der::asn1::ObjectIdentifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use std::time::Duration;
use webpki::ring as algorithms;
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage as Usage};

const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// The same as it stands in a certificate.
const TIME_STAMPING_DER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];
const RSA: [&str; 4] =
    ["1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13"];
const ECDSA: [&str; 3] = ["1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4"];

/// Certificates that are trusted to vouch for an authority, or are the authority's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots(Vec<Vec<u8>>);

impl Roots {
    /// Every certificate of a PEM file.
    ///
    /// # Errors
    /// When a certificate in it cannot be read, or there is none.
    pub fn from_pem(text: &[u8]) -> Result<Roots, TokenFault> {
        let mut roots = Roots::default();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|_| TokenFault("is no PEM file of certificates".into()))?;
            if webpki::anchor_from_trusted_cert(&certificate).is_err() {
                return fault("holds a certificate that cannot be read");
            }
            roots.0.push(certificate.to_vec());
        }
        if roots.is_empty() { fault("holds no certificate in PEM form") } else { Ok(roots) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// DER of each.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// These and others, each once.
    pub fn extend(&mut self, others: &[Vec<u8>]) {
        for other in others {
            if !self.0.contains(other) {
                self.0.push(other.clone());
            }
        }
    }
}

/// Certificates as a PEM file.
pub fn pem(certificates: &[Vec<u8>]) -> String {
    certificates.iter().map(|der| super::super::key::pem("CERTIFICATE", der)).collect()
}

/// Whether the chain leads to a trusted certificate; `false` only when none is given.
pub(super) fn check(token: &Token, roots: &Roots) -> Result<bool, TokenFault> {
    const UNREADABLE: &str = "carries a certificate that cannot be read";
    purpose(token)?;
    let der = CertificateDer::from(token.certificates[0].as_slice());
    let certificate = EndEntityCert::try_from(&der).map_err(|_| TokenFault(UNREADABLE.into()))?;
    let good = candidates(token)?
        .iter()
        .any(|algorithm| certificate.verify_signature(*algorithm, &token.signed, &token.signature).is_ok());
    if !good {
        return fault("is not signed by the certificate it carries");
    }
    let seconds = u64::try_from(token.at.timestamp()).unwrap_or(0);
    let validity = &token.signer.tbs_certificate.validity;
    let (from, until) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    if Duration::from_secs(seconds) < from || Duration::from_secs(seconds) > until {
        return fault("states a time at which its certificate was not valid");
    }
    if roots.is_empty() {
        return Ok(false);
    }
    if roots.0.contains(&token.certificates[0]) {
        return Ok(true);
    }
    let trusted: Vec<CertificateDer<'_>> = roots.0.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let anchors: Vec<_> = trusted.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let between: Vec<CertificateDer<'_>> =
        token.certificates[1..].iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let usage = KeyUsage::required(TIME_STAMPING_DER);
    match certificate.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &between, time, usage, None, None) {
        Ok(_) => Ok(true),
        Err(error) => fault(format!("does not lead to a trusted certificate: {error:?}")),
    }
}

/// RFC 3161 section 2.3: time stamping, critical, and nothing else.
fn purpose(token: &Token) -> Result<(), TokenFault> {
    let tbs = &token.signer.tbs_certificate;
    let only = matches!(tbs.get::<ExtendedKeyUsage>(), Ok(Some((true, usage))) if usage.0 == [TIME_STAMPING]);
    if !only {
        return fault("is signed by a certificate that is not for time stamping alone");
    }
    match tbs.get::<Usage>() {
        Ok(None) => Ok(()),
        Ok(Some((_, usage))) if usage.digital_signature() || usage.non_repudiation() => Ok(()),
        _ => fault("is signed by a certificate that is not for signing"),
    }
}

/// Signature algorithms the token may mean: a curve is named by the key alone.
fn candidates(token: &Token) -> Result<Vec<&'static dyn SignatureVerificationAlgorithm>, TokenFault> {
    let oid = token.signature_algorithm.to_string();
    let named = |list: &[&str]| list.iter().position(|known| *known == oid);
    // by length: no two of the hashes accepted have the same
    let size = match (named(&RSA), named(&ECDSA)) {
        (Some(0), _) => token.digest.output_len(),
        (Some(at), _) => [32, 48, 64][at - 1],
        (_, Some(at)) => [32, 48, 64][at],
        _ => return fault(format!("is signed by algorithm {oid}, which is not accepted")),
    };
    if size != token.digest.output_len() {
        return fault("names two different hashes for its signature");
    }
    let rsa = named(&RSA).is_some();
    Ok(match (rsa, size) {
        (true, 32) => vec![algorithms::RSA_PKCS1_2048_8192_SHA256],
        (true, 48) => vec![algorithms::RSA_PKCS1_2048_8192_SHA384],
        (true, _) => vec![algorithms::RSA_PKCS1_2048_8192_SHA512],
        (false, 32) => vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256],
        (false, 48) => vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384],
        (false, _) => return fault("is signed by ECDSA with SHA-512, which is not accepted"),
    })
}
