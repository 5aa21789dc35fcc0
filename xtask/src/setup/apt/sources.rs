//! Reading the machine's own package sources, in both forms that apt knows (sources.list(5)).

/// One enabled binary source of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The mirror, as the machine's administrator wrote it.
    pub uri: String,
    /// The suite, such as `bookworm-updates`.
    pub suite: String,
    /// The value of `Signed-By`: a path, fingerprints, or an embedded key with its line breaks.
    pub signed_by: Option<String>,
}

/// Reads the one-line form (`deb [options] uri suite components...`).
pub(crate) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let (options, rest) = match rest.trim_start().strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="));
    Some(Source {
        uri: uri.into(),
        suite: suite.into(),
        signed_by: signed_by.map(Into::into),
    })
}

/// Reads the deb822 form: stanzas of `Field: value` with folded lines.
pub(crate) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Vec<Source> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let is_disabled = field("enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
    let has_binaries =
        field("types").is_some_and(|types| types.split_whitespace().any(|kind| kind == "deb"));
    if is_disabled || !has_binaries {
        return Vec::new();
    }
    let uris = field("uris").unwrap_or_default().split_whitespace();
    uris.flat_map(|uri| {
        let suites = field("suites").unwrap_or_default().split_whitespace();
        suites.map(move |suite| Source {
            uri: uri.into(),
            suite: suite.into(),
            signed_by: field("signed-by").map(Into::into),
        })
    })
    .collect()
}

/// Debian's releases that a machine of today may run, and the names that move between them.
const DEBIAN: [&str; 11] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "oldoldstable",
];

/// The source whose mirror carries every Debian release: the first one of a plain Debian suite.
///
/// Security archives, media and other distributions' mirrors do not hold the releases that are needed.
pub(crate) fn debian_mirror(sources: &[Source]) -> Option<&Source> {
    sources.iter().find(|source| {
        let suite = source.suite.as_str();
        let base = suite
            .strip_suffix("-updates")
            .or(suite.strip_suffix("-backports"))
            .unwrap_or(suite);
        DEBIAN.contains(&base) && !source.uri.starts_with("cdrom:")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_line_sources() {
        let text = "# deb http://off.test/debian trixie main\n\
                    deb-src http://mirror.test/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.test/debian bookworm main contrib # note\n\
                    deb\thttp://mirror.test/debian-security bookworm-security main\n";
        let sources = parse_list(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uri, "http://mirror.test/debian");
        assert_eq!(sources[0].suite, "bookworm");
        assert_eq!(sources[0].signed_by.as_deref(), Some("/keys/a.gpg"));
        assert_eq!(sources[1].suite, "bookworm-security");
        assert_eq!(sources[1].signed_by, None);
    }

    #[test]
    fn reads_deb822_stanzas() {
        let text = "Types: deb deb-src\n# a comment\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By:\n -----BEGIN KEY-----\n .\n abc\n\n\
                    Types: deb\nURIs: http://off.test\nSuites: sid\nEnabled: no\n\n\
                    Types: deb-src\nURIs: http://src.test\nSuites: sid\n";
        let sources = parse_deb822(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[1].suite, "bookworm-updates");
        assert_eq!(
            sources[0].signed_by.as_deref(),
            Some("\n -----BEGIN KEY-----\n .\n abc")
        );
    }

    #[test]
    fn takes_the_mirror_of_a_plain_debian_suite() {
        let source = |uri: &str, suite: &str| Source {
            uri: uri.into(),
            suite: suite.into(),
            signed_by: None,
        };
        let sources = [
            source("cdrom:[Debian]/", "trixie"),
            source("http://a.test/debian-security", "bookworm-security"),
            source("http://b.test/node", "nodistro"),
            source("http://c.test/ubuntu", "noble-updates"),
            source("http://d.test/debian", "bookworm-updates"),
            source("http://e.test/debian", "bookworm"),
        ];
        assert_eq!(
            debian_mirror(&sources).map(|found| found.uri.as_str()),
            Some("http://d.test/debian")
        );
        assert_eq!(debian_mirror(&sources[..4]), None);
    }
}
