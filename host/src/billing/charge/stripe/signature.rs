//! The signature of Stripe's webhooks: `t=…,v1=hex` over the time and the raw body. What is too old is refused, so a
//! request that was overheard cannot be sent again later.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::kit::{Code, Result, Secret};

pub const BAD_SIGNATURE: Code = Code::new(
    "bad_signature",
    400,
    "The signature of the webhook does not hold",
);

/// Signatures of one request that are looked at: one for each secret while they are rotated.
const SIGNATURES_MAX: usize = 16;
/// The bytes of a header that is looked at.
const HEADER_BYTES_MAX: usize = 4 << 10;

/// Refuses a body that was not signed with `secret` within `tolerance_s` of `now` (seconds since the epoch).
pub fn check(
    secret: &Secret,
    (header, body): (&str, &[u8]),
    (now, tolerance_s): (i64, u64),
) -> Result<()> {
    let wrong = |why: &str| Err(BAD_SIGNATURE.because(why));
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header
        .split(',')
        .filter(|_| header.len() <= HEADER_BYTES_MAX)
    {
        match part.trim().split_once('=') {
            Some(("t", text)) => time = text.parse::<i64>().ok().map(|seconds| (text, seconds)),
            Some(("v1", text)) if signatures.len() < SIGNATURES_MAX => {
                signatures.extend(hex::decode(text));
            }
            _ => {}
        }
    }
    let Some((text, seconds)) = time.filter(|_| !signatures.is_empty()) else {
        return wrong("Send `stripe-signature: t=…,v1=…`, as Stripe does.");
    };
    let signed = |signature: &Vec<u8>| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        mac.update(b".");
        mac.update(body);
        // In constant time.
        mac.verify_slice(signature).is_ok()
    };
    if !signatures.iter().any(signed) {
        return wrong(
            "No signature is of this body: compare `billing.stripe.webhook_secret` with the endpoint's at Stripe.",
        );
    }
    if now.abs_diff(seconds) > tolerance_s {
        return wrong(
            "The signature is too old, or of the future: compare the clocks of both sides.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::kit::Secret;

    /// `printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
    const HEX: &str = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;

    fn holds(header: &str, body: &[u8], now: i64) -> bool {
        check(&Secret::new("whsec_test"), (header, body), (now, 300)).is_ok()
    }

    #[test]
    fn only_what_was_signed_lately_holds() {
        let header = format!("t=1700000000,v1={HEX}");
        assert!(holds(&header, BODY, 1_700_000_000));
        assert!(holds(&header, BODY, 1_700_000_300) && holds(&header, BODY, 1_699_999_700));
        assert!(!holds(&header, BODY, 1_700_000_301) && !holds(&header, BODY, 1_699_999_699));
        assert!(!holds(&header, br#"{"id":"evt_2"}"#, 1_700_000_000));
        assert!(!holds(&header, b"", 1_700_000_000));
        let moved = header.replace("1700000000", "1700000001");
        assert!(!holds(&moved, BODY, 1_700_000_001), "the time is signed");
        let other = Secret::new("whsec_other");
        assert!(check(&other, (&header, BODY), (1_700_000_000, 300)).is_err());
    }

    #[test]
    fn one_of_several_is_enough_and_another_scheme_is_none() {
        let zeros = "00".repeat(32);
        for (header, good) in [
            (format!("t=1700000000,v0=00,v1={zeros},v1={HEX}"), true),
            (format!("t=1700000000, v1={HEX}, v1={zeros}"), true),
            (format!("t=1700000000,v0={HEX}"), false),
            (format!("t=1700000000,v1={zeros}"), false),
            (format!("t=1700000000,v1={}", &HEX[..62]), false),
            (format!("t=1700000000,v1={HEX}00"), false),
            (format!("t=x,v1={HEX}"), false),
            (format!("v1={HEX}"), false),
            (format!("t=1700000000{},v1={HEX}", ",".repeat(5_000)), false),
            ("t=1700000000,v1=zz".to_owned(), false),
            ("t=1700000000".to_owned(), false),
            (String::new(), false),
            // The seventeenth is not looked at.
            (
                format!("t=1700000000{},v1={HEX}", format!(",v1={zeros}").repeat(16)),
                false,
            ),
        ] {
            assert_eq!(holds(&header, BODY, 1_700_000_000), good, "{header:.120}");
        }
    }
}
