//! Passwords: what may be one, and what is kept of it (Argon2id, RFC 9106, with OWASP's first parameters).
//!
//! Absent: choosing a password for somebody, and where the salt comes from.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::OnceLock;

/// Shorter ones are guessed; longer ones are hashed whole, up to the bound.
const SHORTEST: usize = 12;
const LONGEST: usize = 1024;
/// 19 MiB, two passes, one lane: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// # Errors
/// Why this may not be a password.
pub fn judge(password: &str, login: &str) -> Result<(), String> {
    let (length, lower) = (password.chars().count(), password.to_lowercase());
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if length < SHORTEST {
        return Err(format!(
            "a password has at least {SHORTEST} characters; four words in a row are easier to remember"
        ));
    }
    if password.len() > LONGEST {
        return Err(format!("a password has at most {LONGEST} bytes"));
    }
    if letters.len() < 5 || lower.contains(&login.to_lowercase()) && lower.len() < login.len() + SHORTEST {
        return Err("this password is guessed at once; it repeats few characters, or the login".into());
    }
    Ok(())
}

/// What is kept: a PHC string. Takes tens of milliseconds and 19 MiB, on purpose.
pub fn hash(password: &str, salt: &[u8; 16]) -> String {
    hasher().hash_password_with_salt(password.as_bytes(), salt).expect("the parameters are in range").to_string()
}

/// Whether `password` is the one `kept` was made of. As slow when nothing is kept, so that nobody learns who exists.
pub fn verify(password: &str, kept: Option<&str>) -> bool {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let text = kept.unwrap_or_else(|| NOBODY.get_or_init(|| hash("nobody", &[0; 16])));
    let Ok(parsed) = PasswordHash::new(text) else { return false };
    let fits = password.len() <= LONGEST && hasher().verify_password(password.as_bytes(), &parsed).is_ok();
    fits && kept.is_some()
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("the parameters are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits() {
        let kept = hash("correct horse battery", &[3; 16]);
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify("correct horse battery", Some(&kept)));
        for wrong in ["correct horse batter", "Correct horse battery", "", "correct horse battery "] {
            assert!(!verify(wrong, Some(&kept)), "{wrong}");
        }
        // nobody's password is nobody's
        assert!(!verify("nobody", None) && !verify("x", Some("not a hash")));
        assert!(!verify(&"x".repeat(LONGEST + 1), Some(&hash(&"x".repeat(LONGEST + 1), &[1; 16]))));
    }

    #[test]
    fn what_is_guessed_is_refused() {
        for bad in ["short", "aaaaaaaaaaaaaaaa", "abababababababab", "lea.fontaine12", &"long".repeat(300)] {
            assert!(judge(bad, "lea.fontaine").is_err(), "{bad}");
        }
        for good in ["correct horse battery", "ein ganzer Satz mit Umlauten: äöü", "lea.fontaine rides a red bicycle"]
        {
            assert_eq!(judge(good, "lea.fontaine"), Ok(()), "{good}");
        }
    }
}
