//! Platforms, by the names that Selenium has for them.

/// A platform by the name that it has among others, and its family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    name: String,
    family: Option<&'static str>,
}

const WINDOWS: &str = "windows";
const MAC: &str = "mac";
const UNIX: &str = "unix";

/// Versions of Windows, by name, with other names for them.
const WINDOWS_VERSIONS: [(&str, &[&str]); 7] = [
    ("windows xp", &["windows server 2003", "xp", "winnt", "windows_nt", "windows nt"]),
    ("windows vista", &["windows server 2008", "windows vista"]),
    ("windows 7", &["windows 7", "win7"]),
    ("windows 8", &["windows server 2012", "windows 8", "win8"]),
    ("windows 8.1", &["windows 8.1", "win8.1"]),
    ("windows 10", &["windows 10", "win10"]),
    ("windows 11", &["windows 11", "win11"]),
];

/// Versions of macOS, with the names that they are sold under.
const MAC_VERSIONS: [(&str, &str); 14] = [
    ("10.6", "snow leopard"),
    ("10.8", "mountain lion"),
    ("10.9", "mavericks"),
    ("10.10", "yosemite"),
    ("10.11", "el capitan"),
    ("10.12", "sierra"),
    ("10.13", "high sierra"),
    ("10.14", "mojave"),
    ("10.15", "catalina"),
    ("11.0", "big sur"),
    ("12.0", "monterey"),
    ("13.0", "ventura"),
    ("14.0", "sonoma"),
    ("15.0", "sequoia"),
];

impl Platform {
    /// The platform of a name in any case of letters; one that nobody knows stands for itself, and none for any.
    pub(super) fn new(name: &str) -> Self {
        let name = name.to_lowercase();
        if let Some((version, _)) = WINDOWS_VERSIONS.iter().find(|(_, names)| names.contains(&name.as_str())) {
            return Platform { name: (*version).to_string(), family: Some(WINDOWS) };
        }
        let number = name.strip_prefix("os x ").or_else(|| name.strip_prefix("macos "));
        let is_mac = |(version, sold_as): &&(&str, &str)| number == Some(version) || name == *sold_as;
        if let Some((version, _)) = MAC_VERSIONS.iter().find(is_mac) {
            return Platform { name: format!("macos {version}"), family: Some(MAC) };
        }
        match name.as_str() {
            "darwin" | "macos" | "mac os x" | "os x" => Platform { name: MAC.to_string(), family: None },
            "linux" | "bsd" | "solaris" => Platform { name, family: Some(UNIX) },
            "dalvik" => Platform { name: "android".to_string(), family: None },
            "" => Platform { name: "any".to_string(), family: None },
            _ => Platform { name, family: None },
        }
    }

    /// Whether what runs on one also runs on the other.
    pub(super) fn serves(&self, other: &Platform) -> bool {
        self.name == other.name || (self.family.is_some() && self.family == other.family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_many_names_and_families() {
        let serves = |one: &str, other: &str| Platform::new(one).serves(&Platform::new(other));
        for (one, other) in [
            ("Windows 11", "win10"),
            ("windows_nt", "XP"),
            ("Linux", "bsd"),
            ("macOS 10.15", "OS X 10.6"),
            ("Big Sur", "macos 11.0"),
            ("darwin", "Mac"),
            ("dalvik", "android"),
            ("", "ANY"),
            ("BeOS", "beos"),
        ] {
            assert!(serves(one, other), "{one} and {other}");
        }
        for (one, other) in [("windows", "Windows 11"), ("mac", "Sonoma"), ("any", "linux"), ("unix", "linux")] {
            assert!(!serves(one, other), "{one} and {other}");
        }
    }
}
