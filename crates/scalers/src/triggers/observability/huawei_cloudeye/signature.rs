//! How a request is signed with an access key and its secret key (SDK-HMAC-SHA256).

use aws_lc_rs::{digest, hmac};

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// A request, as far as it is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// The query, sorted by its keys.
    pub(super) query: &'a str,
    /// Names in small letters, sorted; `host` and `x-sdk-date` among them.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

impl Signed<'_> {
    /// The header `Authorization`, where `date` is what the header `x-sdk-date` says.
    pub(super) fn authorization(&self, date: &str, access_key: &str, secret_key: &str) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let slash = if self.path.ends_with('/') { "" } else { "/" };
        let request =
            format!("{}\n{}{slash}\n{}\n{headers}\n{names}\n{}", self.method, self.path, self.query, hash(self.body));
        let text = format!("{ALGORITHM}\n{date}\n{}", hash(request.as_bytes()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.as_bytes());
        let signature = hexadecimal(hmac::sign(&key, text.as_bytes()).as_ref());
        format!("{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}")
    }
}

fn hash(bytes: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_as_in_the_documentation() {
        let request = Signed {
            method: "GET",
            path: "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
            query: "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
            headers: &[
                ("content-type", "application/json"),
                ("host", "service.region.example.com"),
                ("x-sdk-date", "20191115T033655Z"),
            ],
            body: b"",
        };
        let secret = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc";
        assert_eq!(
            request.authorization("20191115T033655Z", "QTWAOYTTINDUT2QVKYUC", secret),
            "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=content-type;host;x-sdk-date, \
             Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
        );
    }
}
