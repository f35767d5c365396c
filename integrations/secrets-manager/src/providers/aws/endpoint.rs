//! Where AWS's services are, by region. Knows nothing of what they are asked.

use url::Url;

use crate::types::ConfigurationError;

/// Regions whose names begin so, with the domains of their services: over IPv4, and over both versions of IP.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    // All others, GovCloud among them.
    ("", "amazonaws.com", "api.aws"),
];

/// Which of a service's endpoints is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kind {
    pub(super) fips: bool,
    pub(super) dual_stack: bool,
}

/// The address of a service in a region.
pub(super) fn of(service: &str, region: &str, kind: Kind) -> Result<Url, ConfigurationError> {
    let wrong = || ConfigurationError::MissingEndpoint { detail: format!("{region:?} is no region of AWS") };
    let is_name = !region.is_empty()
        && region.len() <= 63
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_name {
        return Err(wrong());
    }
    let partition = PARTITIONS.iter().find(|(begin, ..)| region.starts_with(begin)).ok_or_else(wrong)?;
    let domain = if kind.dual_stack { partition.2 } else { partition.1 };
    let fips = if kind.fips { "-fips" } else { "" };
    Url::parse(&format!("https://{service}{fips}.{region}.{domain}/")).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(region: &str, fips: bool, dual_stack: bool) -> String {
        of("secretsmanager", region, Kind { fips, dual_stack }).unwrap().host_str().unwrap().to_owned()
    }

    #[test]
    fn each_partition_has_its_domain() {
        assert_eq!(host("eu-central-1", false, false), "secretsmanager.eu-central-1.amazonaws.com");
        assert_eq!(host("us-gov-west-1", false, false), "secretsmanager.us-gov-west-1.amazonaws.com");
        assert_eq!(host("cn-north-1", false, false), "secretsmanager.cn-north-1.amazonaws.com.cn");
        assert_eq!(host("us-iso-east-1", false, false), "secretsmanager.us-iso-east-1.c2s.ic.gov");
        assert_eq!(host("us-isob-east-1", false, false), "secretsmanager.us-isob-east-1.sc2s.sgov.gov");
        assert_eq!(host("eusc-de-east-1", false, false), "secretsmanager.eusc-de-east-1.amazonaws.eu");
    }

    #[test]
    fn fips_and_dual_stack_have_names_of_their_own() {
        assert_eq!(host("us-east-1", true, false), "secretsmanager-fips.us-east-1.amazonaws.com");
        assert_eq!(host("us-east-1", false, true), "secretsmanager.us-east-1.api.aws");
        assert_eq!(host("us-gov-west-1", true, true), "secretsmanager-fips.us-gov-west-1.api.aws");
        assert_eq!(host("cn-north-1", false, true), "secretsmanager.cn-north-1.api.amazonwebservices.com.cn");
    }

    #[test]
    fn what_would_lead_to_another_host_is_no_region() {
        for region in ["", "evil.example/", "eu-central-1.evil.example", "EU-CENTRAL-1", "a@b"] {
            assert!(of("secretsmanager", region, Kind::default()).is_err(), "{region}");
        }
    }
}
