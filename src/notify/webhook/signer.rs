//! Signatures of Standard Webhooks 1.0.0.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs as one of the two schemes of the specification.
pub(super) enum Signer {
    /// `v1`: HMAC-SHA256.
    Shared(Hmac<Sha256>),
    /// `v1a`: Ed25519.
    Private(Box<SigningKey>),
}

impl Signer {
    /// A secret as configured. The error says what is wrong with it, without any part of it.
    pub(super) fn parse(secret: &str) -> Result<Signer, String> {
        let decode = |text: &str| BASE64.decode(text).map_err(|_| "is not base64 after its prefix".to_string());
        if let Some(text) = secret.strip_prefix("whsec_") {
            let key = decode(text)?;
            if !(24..=64).contains(&key.len()) {
                return Err(format!("has {} bytes; a `whsec_` secret has 24 to 64", key.len()));
            }
            return Ok(Signer::Shared(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")));
        }
        let Some(text) = secret.strip_prefix("whsk_") else {
            return Err("begins with neither `whsec_` nor `whsk_`".to_string());
        };
        let key = decode(text)?;
        // some tools write the public key behind the seed
        let whole: Option<&[u8; 64]> = key.as_slice().try_into().ok();
        match (<&[u8; 32]>::try_from(key.as_slice()), whole) {
            (Ok(seed), _) => Ok(Signer::Private(Box::new(SigningKey::from_bytes(seed)))),
            (_, Some(pair)) => SigningKey::from_keypair_bytes(pair)
                .map(|key| Signer::Private(Box::new(key)))
                .map_err(|_| "holds a public key that does not belong to its private key".to_string()),
            _ => Err(format!("has {} bytes; a `whsk_` secret has 32 or 64", key.len())),
        }
    }

    fn sign(&self, content: &[u8]) -> String {
        match self {
            Signer::Shared(keyed) => {
                let mut mac = keyed.clone();
                mac.update(content);
                format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
            }
            Signer::Private(key) => format!("v1a,{}", BASE64.encode(key.sign(content).to_bytes())),
        }
    }
}

/// The `webhook-signature` header: one entry per secret over `id.timestamp.body`.
pub(super) fn signature(signers: &[Signer], id: &str, timestamp: i64, body: &str) -> String {
    let content = format!("{id}.{timestamp}.{body}");
    signers.iter().map(|signer| signer.sign(content.as_bytes())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signature_as_published() {
        let signers = [Signer::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("valid")];
        let got = signature(&signers, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(got, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
