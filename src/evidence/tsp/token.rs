//! Reading a response: status, the signed structure, and what the signature covers. Nothing is trusted here.

use super::super::{Hash, Timestamp};
use super::{TokenFault, fault};
use chrono::NaiveDate;
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use ring::digest;
use x509_cert::Certificate;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// A token as read: its attributes fit its content and name its certificate. The signature over `signed` is unchecked.
pub(super) struct Token {
    pub imprint: Hash,
    pub at: Timestamp,
    pub time: String,
    pub policy: String,
    pub serial: String,
    pub nonce: Option<Vec<u8>>,
    /// DER; the signer's first.
    pub certificates: Vec<Vec<u8>>,
    pub signer: Certificate,
    /// What the signature is over: the signed attributes as a SET.
    pub signed: Vec<u8>,
    pub digest: &'static digest::Algorithm,
    pub signature_algorithm: ObjectIdentifier,
    pub signature: Vec<u8>,
}

fn broken(_: der::Error) -> TokenFault {
    TokenFault("is no time stamp: its DER is broken".into())
}

pub(super) fn read(response: &[u8]) -> Result<Token, TokenFault> {
    let signed = granted(response)?;
    if signed.encap_content_info.econtent_type != TST_INFO {
        return fault("signs something that is no time stamp");
    }
    let content = signed.encap_content_info.econtent.as_ref();
    let Some(content) = content.filter(|content| content.tag() == Tag::OctetString) else {
        return fault("has no content");
    };
    let info = TstInfo::read(content.value()).map_err(broken)?;
    let [signer] = signed.signer_infos.0.as_slice() else { return fault("is not signed by exactly one authority") };
    let mut certificates = Vec::new();
    let mut found = None;
    for choice in signed.certificates.iter().flat_map(|set| set.0.iter()) {
        let CertificateChoices::Certificate(certificate) = choice else { continue };
        let der = certificate.to_der().map_err(broken)?;
        if found.is_none() && is_of(signer, certificate) {
            certificates.insert(0, der);
            found = Some(certificate.clone());
        } else {
            certificates.push(der);
        }
    }
    let Some(certificate) = found else { return fault("does not carry the certificate that signed it") };
    let digest = algorithm(&signer.digest_alg.oid)?;
    let signed = attributes(signer, content.value(), digest, &certificates[0])?;
    let Some(imprint) = info.imprint else { return fault("is not over a SHA-256") };
    Ok(Token {
        imprint,
        at: info.at,
        time: info.time,
        policy: info.policy,
        serial: info.serial,
        nonce: info.nonce,
        certificates,
        signer: certificate,
        signed,
        digest,
        signature_algorithm: signer.signature_algorithm.oid,
        signature: signer.signature.as_bytes().to_vec(),
    })
}

/// `TimeStampResp { PKIStatusInfo, ContentInfo OPTIONAL }` with a status that grants.
fn granted(response: &[u8]) -> Result<SignedData, TokenFault> {
    let mut reader = SliceReader::new(response).map_err(broken)?;
    let (status, content) = reader
        .sequence(|resp| {
            let status = resp.sequence(|info| {
                let status = u8::decode(info)?;
                // words and failure bits for people
                while !info.is_finished() {
                    AnyRef::decode(info)?;
                }
                Ok(status)
            })?;
            let content = if resp.is_finished() { None } else { Some(ContentInfo::decode(resp)?) };
            Ok((status, content))
        })
        .map_err(broken)?;
    reader.finish(()).map_err(broken)?;
    // 0 granted, 1 granted with modifications
    if status > 1 {
        return fault(format!("was refused by the authority with status {status}"));
    }
    let Some(content) = content else { return fault("holds no token") };
    if content.content_type != SIGNED_DATA {
        return fault("is not signed");
    }
    content.content.decode_as::<SignedData>().map_err(broken)
}

fn is_of(signer: &SignerInfo, certificate: &Certificate) -> bool {
    let tbs = &certificate.tbs_certificate;
    match &signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => id.issuer == tbs.issuer && id.serial_number == tbs.serial_number,
        SignerIdentifier::SubjectKeyIdentifier(id) => matches!(
            tbs.get::<x509_cert::ext::pkix::SubjectKeyIdentifier>(), Ok(Some((_, key))) if key == *id
        ),
    }
}

fn algorithm(oid: &ObjectIdentifier) -> Result<&'static digest::Algorithm, TokenFault> {
    match *oid {
        SHA256 => Ok(&digest::SHA256),
        SHA384 => Ok(&digest::SHA384),
        SHA512 => Ok(&digest::SHA512),
        other => fault(format!("is made with hash {other}, which is not accepted")),
    }
}

/// The signed attributes: of a time stamp, with the digest of its content and the hash of the signer's certificate, so
/// that no other certificate can be put in its place. Answers the bytes that are signed.
fn attributes(
    signer: &SignerInfo,
    content: &[u8],
    digest: &'static digest::Algorithm,
    certificate: &[u8],
) -> Result<Vec<u8>, TokenFault> {
    let Some(attributes) = &signer.signed_attrs else { return fault("has no signed attributes") };
    let one = |oid: ObjectIdentifier| {
        let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
        let (Some(attribute), None) = (found.next(), found.next()) else { return None };
        let [value] = attribute.values.as_slice() else { return None };
        Some(value)
    };
    if one(CONTENT_TYPE).and_then(|value| value.decode_as::<ObjectIdentifier>().ok()) != Some(TST_INFO) {
        return fault("says of itself that it is no time stamp");
    }
    let told = one(MESSAGE_DIGEST).filter(|value| value.tag() == Tag::OctetString).map(|value| value.value());
    if told != Some(digest::digest(digest, content).as_ref()) {
        return fault("was changed: its content is not the one that was signed");
    }
    let (old, new) = (one(SIGNING_CERTIFICATE), one(SIGNING_CERTIFICATE_V2));
    if old.is_none() && new.is_none() {
        return fault("does not name its certificate");
    }
    let names = |named: Option<&der::Any>, default| {
        let Some(named) = named else { return Ok(true) };
        let (algorithm, hash) = first_certificate_id(&named.to_der()?)?;
        let algorithm = match algorithm {
            None => default,
            Some(oid) => match algorithm_of(&oid) {
                Some(algorithm) => algorithm,
                None => return Ok(false),
            },
        };
        Ok(digest::digest(algorithm, certificate).as_ref() == hash)
    };
    let good = names(old, &digest::SHA1_FOR_LEGACY_USE_ONLY).map_err(broken)?
        && names(new, &digest::SHA256).map_err(broken)?;
    if !good {
        return fault("names another certificate than the one it carries");
    }
    attributes.to_der().map_err(broken)
}

fn algorithm_of(oid: &ObjectIdentifier) -> Option<&'static digest::Algorithm> {
    algorithm(oid).ok()
}

/// `SigningCertificate[V2] { SEQUENCE OF ESSCertID[v2], ... }`: hash and algorithm of the first, which is the signer's.
fn first_certificate_id(der: &[u8]) -> der::Result<(Option<ObjectIdentifier>, Vec<u8>)> {
    let mut reader = SliceReader::new(der)?;
    let mut first = None;
    reader.sequence(|outer| {
        outer.sequence(|ids| {
            while !ids.is_finished() {
                let id = ids.sequence(|id| {
                    let algorithm = if id.peek_tag()? == Tag::Sequence {
                        Some(id.sequence(|algorithm| {
                            let oid = ObjectIdentifier::decode(algorithm)?;
                            rest(algorithm)?;
                            Ok(oid)
                        })?)
                    } else {
                        None
                    };
                    let hash = OctetStringRef::decode(id)?.as_bytes().to_vec();
                    rest(id)?;
                    Ok((algorithm, hash))
                })?;
                first.get_or_insert(id);
            }
            Ok(())
        })?;
        rest(outer)
    })?;
    first.ok_or_else(|| Tag::Sequence.value_error())
}

fn rest<'a>(reader: &mut impl Reader<'a>) -> der::Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}

/// What the authority states. Read by hand because the ready-made types refuse fractions of a second.
struct TstInfo {
    /// `None` for another hash than SHA-256.
    imprint: Option<Hash>,
    at: Timestamp,
    time: String,
    policy: String,
    serial: String,
    nonce: Option<Vec<u8>>,
}

impl TstInfo {
    fn read(der: &[u8]) -> der::Result<TstInfo> {
        let mut reader = SliceReader::new(der)?;
        let info = reader.sequence(|info| {
            if u8::decode(info)? != 1 {
                return Err(Tag::Integer.value_error());
            }
            let policy = ObjectIdentifier::decode(info)?.to_string();
            let imprint = info.sequence(|imprint| {
                let algorithm = imprint.sequence(|algorithm| {
                    let oid = ObjectIdentifier::decode(algorithm)?;
                    rest(algorithm)?;
                    Ok(oid)
                })?;
                let hash = OctetStringRef::decode(imprint)?.as_bytes();
                Ok((algorithm == SHA256).then(|| hash.try_into().ok()).flatten())
            })?;
            let serial = super::super::hex(tagged(info, Tag::Integer)?);
            let written = tagged(info, Tag::GeneralizedTime)?;
            let (at, time) = general_time(written).ok_or(Tag::GeneralizedTime.value_error())?;
            let mut nonce = None;
            // accuracy, ordering, nonce, tsa, extensions: all may be absent
            while !info.is_finished() {
                let part = AnyRef::decode(info)?;
                if part.tag() == Tag::Integer {
                    nonce = Some(part.value().to_vec());
                }
            }
            Ok(TstInfo { imprint, at, time, policy, serial, nonce })
        })?;
        reader.finish(info)
    }
}

fn tagged<'a>(reader: &mut impl Reader<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    let any = AnyRef::decode(reader)?;
    any.tag().assert_eq(tag)?;
    Ok(any.value())
}

/// `YYYYMMDDhhmmss[.f…]Z`, the one form RFC 3161 allows; and the same as RFC 3339 writes it.
fn general_time(text: &[u8]) -> Option<(Timestamp, String)> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    if whole.len() != 14 || !whole.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| whole[from..to].parse::<u32>().ok();
    let micros = match fraction {
        None => 0,
        Some(digits) => {
            if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|c| c.is_ascii_digit()) {
                return None;
            }
            format!("{digits:0<6}")[..6].parse().ok()?
        }
    };
    let day = NaiveDate::from_ymd_opt(number(0, 4)? as i32, number(4, 6)?, number(6, 8)?)?;
    let at = day.and_hms_micro_opt(number(8, 10)?, number(10, 12)?, number(12, 14)?, micros)?.and_utc();
    let fraction = fraction.map(|digits| format!(".{digits}")).unwrap_or_default();
    Some((at, format!("{}{fraction}Z", at.format("%Y-%m-%dT%H:%M:%S"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_form_of_a_time() {
        for (text, wanted) in [
            ("20261128152300Z", Some("2026-11-28T15:23:00Z")),
            ("20261128152300.5Z", Some("2026-11-28T15:23:00.500Z")),
            ("20261128152300.1234567Z", Some("2026-11-28T15:23:00.123456Z")),
            ("20261128152300", None),
            ("20261128152300.Z", None),
            ("20261128152300+0100", None),
            ("20261328152300Z", None),
            ("2026112815230Z", None),
        ] {
            let (read, written) = general_time(text.as_bytes()).unzip();
            assert_eq!(read, wanted.map(|text| text.parse::<Timestamp>().expect("RFC 3339")), "{text}");
            assert_eq!(written.is_some(), wanted.is_some());
            if let Some(written) = written {
                let digits: String = written.chars().filter(|c| !"-:T".contains(*c)).collect();
                assert_eq!(digits, text, "the fraction as it was given");
            }
        }
    }
}
