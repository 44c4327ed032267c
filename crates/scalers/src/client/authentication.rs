//! The authentication block that triggers over HTTP share (`scalers/COMMON.md`, "Shared auth block").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keda_core::metadata::{Metadata, Reader};
use keda_core::sample::SourceError;
use keda_core::secret::Secret;
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::oauth2::ClientCredentials;
use super::tls::TlsOptions;

/// How a trigger proves who it is. Without modes nothing is checked and nothing is sent.
#[derive(Debug, Clone, Default, Metadata)]
#[metadata(check)]
pub struct Authentication {
    /// The ways to authenticate, such as `bearer` or `basic,tls`; at most one of bearer, basic and oauth. When not
    /// given, nothing is sent.
    #[meta(
        names("authModes", "authMode"),
        trigger,
        auth,
        optional,
        one_of("apiKey", "basic", "tls", "bearer", "custom", "oauth"),
        exclusive("bearer", "basic", "oauth")
    )]
    modes: Vec<String>,
    /// Token of the `bearer` mode, without the word `Bearer`.
    #[meta(names("bearerToken", "token"), auth, optional)]
    bearer_token: Secret,
    /// User of the `basic` mode.
    #[meta(auth, optional)]
    username: String,
    /// Password of the `basic` mode; it may be missing.
    #[meta(auth, optional)]
    password: Secret,
    /// PEM of the client's certificate for the `tls` mode; needs `key`.
    #[meta(auth)]
    cert: Option<Secret>,
    /// PEM of the client's key for the `tls` mode; needs `cert`.
    #[meta(auth)]
    key: Option<Secret>,
    /// PEM of certificates to trust beside the system's.
    #[meta(auth)]
    ca: Option<Secret>,
    /// Of the oauth mode.
    #[meta(group)]
    oauth: ClientCredentials,
    /// Name of the header of the `custom` mode; needs `customAuthValue`.
    #[meta(auth, optional)]
    custom_auth_header: String,
    /// Value of the `custom` mode's header; needs `customAuthHeader`.
    #[meta(auth, optional)]
    custom_auth_value: Secret,
    /// Key of the `apiKey` mode.
    #[meta(trigger, auth, optional)]
    api_key: Secret,
    /// Where the `apiKey` mode puts its key: into a header or into the query of the address.
    #[meta(trigger, auth, default = "header", one_of("header", "query"))]
    method: String,
    /// Name of the header or query parameter that holds the key; `X-API-KEY` or `api_key` when not given.
    #[meta(trigger, auth, optional)]
    key_param_name: String,
}

impl Authentication {
    fn check(&mut self, reader: &mut Reader<'_>) {
        let presence = |missing: bool| if missing { "<empty>" } else { "<present>" };
        let pair = |one: (&str, bool), two: (&str, bool), mode: &str| {
            (one.1 || two.1).then(|| {
                let (first, second) = (presence(one.1), presence(two.1));
                format!("{}={first} and {}={second} are required when {mode} auth is enabled", one.0, two.0)
            })
        };
        let missing = |secret: &Option<Secret>| secret.as_ref().is_none_or(Secret::is_empty);
        let problems: Vec<Option<String>> = self
            .modes
            .iter()
            .map(|mode| match mode.as_str() {
                "bearer" => self
                    .bearer_token
                    .is_empty()
                    .then(|| "bearerToken is required when bearer auth is enabled".to_string()),
                "basic" => self
                    .username
                    .is_empty()
                    .then(|| "username=<empty> is required when basic auth is enabled".to_string()),
                "tls" => pair(("cert", missing(&self.cert)), ("key", missing(&self.key)), "tls"),
                "oauth" => pair(
                    ("oauthTokenURI", self.oauth.token_uri.is_empty()),
                    ("clientID", self.oauth.client_id.is_empty()),
                    "oauth",
                ),
                "custom" => pair(
                    ("customAuthHeader", self.custom_auth_header.is_empty()),
                    ("customAuthValue", self.custom_auth_value.is_empty()),
                    "custom",
                ),
                "apiKey" => {
                    self.api_key.is_empty().then(|| "apiKey is required when apiKey auth is enabled".to_string())
                }
                _ => None,
            })
            .collect();
        for problem in problems.into_iter().flatten() {
            reader.error(problem);
        }
    }

    /// Whether a mode is on.
    pub fn has(&self, mode: &str) -> bool {
        self.modes.iter().any(|on| on == mode)
    }

    /// Whether any mode is on.
    pub fn is_on(&self) -> bool {
        !self.modes.is_empty()
    }

    /// Whether `ca` is given.
    pub fn has_ca(&self) -> bool {
        self.ca.is_some()
    }

    /// The TLS options with the certificates of this block.
    pub fn tls(&self, insecure: bool) -> TlsOptions {
        let own = self.has("tls");
        TlsOptions {
            insecure,
            ca: self.ca.clone(),
            cert: self.cert.clone().filter(|_| own),
            key: self.key.clone().filter(|_| own),
            key_password: None,
        }
    }

    /// As [`Authentication::tls`], for triggers that show the client's certificate also where there is only a `ca`.
    pub fn tls_beside_ca(&self, insecure: bool) -> TlsOptions {
        let own = self.has("tls") || self.has_ca();
        let (cert, key) = (self.cert.clone().filter(|_| own), self.key.clone().filter(|_| own));
        TlsOptions { cert, key, ..self.tls(insecure) }
    }

    /// What the oauth mode asks for a token with.
    pub fn client_credentials(&self) -> Option<ClientCredentials> {
        self.has("oauth").then(|| self.oauth.clone())
    }

    /// Adds the key of the apiKey mode.
    pub fn with_api_key(&self, request: RequestBuilder, mut url: reqwest::Url) -> Result<RequestBuilder, SourceError> {
        if !self.has("apiKey") {
            return Ok(request);
        }
        if self.method == "query" {
            let name = if self.key_param_name.is_empty() { "api_key" } else { &self.key_param_name };
            let mut pairs: Vec<(String, String)> =
                url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
            pairs.push((name.to_string(), self.api_key.expose().to_string()));
            pairs.sort();
            url.query_pairs_mut().clear().extend_pairs(pairs);
            let (client, built) = request.build_split();
            let mut built = built.map_err(|_| SourceError::configuration("the request cannot be built"))?;
            built.url_mut().set_query(url.query());
            return Ok(RequestBuilder::from_parts(client, built));
        }
        let name = if self.key_param_name.is_empty() { "X-API-KEY" } else { &self.key_param_name };
        with_header(request, ("keyParamName", name), ("apiKey", &self.api_key))
    }

    /// Adds the header of the bearer, basic or custom mode, the first that is on.
    pub fn with_authorization(&self, request: RequestBuilder) -> Result<RequestBuilder, SourceError> {
        if self.has("bearer") {
            return with_bearer(request, ("bearerToken", &self.bearer_token));
        }
        if self.has("basic") {
            return with_basic(request, &self.username, &self.password);
        }
        if self.has("custom") {
            let name = ("customAuthHeader", self.custom_auth_header.as_str());
            return with_header(request, name, ("customAuthValue", &self.custom_auth_value));
        }
        Ok(request)
    }
}

/// Logs in by HTTP Basic, in place of a login that the address has.
///
/// # Errors
/// None, as every text can be sent.
pub fn with_basic(request: RequestBuilder, user: &str, password: &Secret) -> Result<RequestBuilder, SourceError> {
    let login = STANDARD.encode(format!("{user}:{}", password.expose()));
    with_header(request, ("", "Authorization"), ("the login", &Secret::new(format!("Basic {login}"))))
}

/// Logs in with a token, in place of a login that the address has. The token comes with the name of its parameter.
///
/// # Errors
/// [`SourceError::configuration`] for a token that cannot be in a header.
pub fn with_bearer(request: RequestBuilder, (from, token): (&str, &Secret)) -> Result<RequestBuilder, SourceError> {
    with_header(request, ("", "Authorization"), (from, &Secret::new(format!("Bearer {}", token.expose()))))
}

/// Adds a header, in place of one with the same name, whose value is not shown. Name and value come with the names of
/// their parameters, as both may be secrets.
///
/// # Errors
/// [`SourceError::configuration`] for what cannot be a header.
pub fn with_header(
    request: RequestBuilder,
    (name_from, name): (&str, &str),
    (value_from, value): (&str, &Secret),
) -> Result<RequestBuilder, SourceError> {
    let name: HeaderName =
        name.parse().map_err(|_| SourceError::configuration(format!("{name_from} cannot be the name of a header")))?;
    let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
        SourceError::configuration(format!("{value_from} has characters that the value of a header cannot have"))
    })?;
    value.set_sensitive(true);
    Ok(request.headers(HeaderMap::from_iter([(name, value)])))
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Context, Inputs, parse, parse_with_fingerprint};

    use super::*;
    use crate::client::{SourceSettings, Sources};

    fn problems(modes: &str, authentication: &[(&str, &str)]) -> Vec<String> {
        let inputs = Inputs::from_metadata([("authModes", modes)]).with_authentication(authentication.iter().copied());
        let (_, problems) = parse::<Authentication>(&inputs, &Context::default());
        problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn each_mode_wants_its_own() {
        assert!(problems("bearer", &[])[0].contains("bearerToken is required"));
        assert!(problems("basic", &[("password", "x")])[0].contains("username=<empty>"));
        assert_eq!(
            problems("tls", &[("cert", "c")]),
            ["cert=<present> and key=<empty> are required when tls auth is enabled"]
        );
        assert!(problems("tls, basic", &[("cert", "c"), ("key", "k"), ("username", "u")]).is_empty());
    }

    #[test]
    fn another_token_of_the_same_owner_asks_the_same() {
        let asks = |token: &str, owner: &str| {
            let inputs = Inputs::from_metadata([("authModes", "bearer")]).with_authentication([("token", token)]);
            let inputs = Inputs { tokens: [(token.to_string(), owner.to_string())].into(), ..inputs };
            parse_with_fingerprint::<Authentication>(&inputs, &Context::default()).fingerprint
        };
        assert_eq!(asks("one", "reader"), asks("two", "reader"));
        assert_ne!(asks("one", "reader"), asks("one", "writer"));
    }

    #[test]
    fn neither_name_nor_value_of_a_header_is_shown() {
        for (name, value) in [("hunter2 x", "v"), ("x", "hunter2\n")] {
            let sources = Sources::new(SourceSettings::default());
            let client = sources.http.client(&sources.tls, &TlsOptions::default()).unwrap();
            let request = client.get("http://h");
            let error = with_header(request, ("customAuthHeader", name), ("customAuthValue", &Secret::new(value)));
            let error = error.unwrap_err();
            assert!(error.message.starts_with("customAuth") && !error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn bearer_basic_and_oauth_exclude_each_other() {
        assert!(problems("bearer,basic", &[("token", "t"), ("username", "u")])[0].contains("only one of"));
        assert!(problems("telepathy", &[])[0].contains("value \"telepathy\" must be one of"));
        let (_, hidden) = parse::<Authentication>(
            &Inputs::default().with_authentication([("authModes", "basik"), ("endpointParams", "a=%zz")]),
            &Context::default(),
        );
        for problem in &hidden {
            assert!(problem.message.contains("value \"***\"") && problem.help.is_none(), "{problem}");
        }
        assert_eq!(hidden.len(), 2);
    }
}
