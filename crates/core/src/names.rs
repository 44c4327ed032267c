//! How names of metrics are made (`reference: scalers/COMMON.md, Metric names`).

/// Replaces each of `/ . : % ( )` by `-`, and nothing else.
pub fn normalize(name: &str) -> String {
    name.replace(['/', '.', ':', '%', '(', ')'], "-")
}

/// What the name of a DatadogMetric begins with, as Datadog's Cluster Agent knows it.
const DATADOG_METRIC: &str = "datadogmetric@";

/// The name under which the HPA asks for a metric of the trigger at position `index`: `s<index>-<name>`. That of a
/// DatadogMetric stays as it is, as in KEDA.
pub fn with_index(index: usize, name: &str) -> String {
    if name.starts_with(DATADOG_METRIC) {
        return name.to_string();
    }
    format!("s{index}-{name}")
}

/// The name of the one metric that a `scalingModifiers` formula makes.
pub const COMPOSITE_METRIC: &str = "composite-metric";

/// Form-escapes a text as Go's `url.QueryEscape` does: a space becomes `+`, everything but letters, digits and
/// `-_.~` becomes `%XX`.
pub fn query_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// A hash of a text that stays the same in every version (FNV-1a): for names that outlive the process.
pub fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_characters_are_replaced() {
        assert_eq!(normalize("a/b.c:d%e(f)g_h*i j+K"), "a-b-c-d-e-f-g_h*i j+K");
    }

    #[test]
    fn the_hash_stays_the_same() {
        assert_eq!(stable_hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn escapes_like_a_form() {
        assert_eq!(query_escape("a b/c%é~"), "a+b%2Fc%25%C3%A9~");
    }
}
