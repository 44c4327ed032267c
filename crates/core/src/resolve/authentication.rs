//! The parameters that a TriggerAuthentication gives a trigger (`authentication.md` §2).

use std::collections::BTreeMap;

use super::{Lookup, environment_in_part, missing};
use crate::api::{
    AuthEnvironment, AuthTargetRef, AuthenticationRef, BoundServiceAccountToken, OAuth2, PodIdentity, PodSpec,
    TriggerAuthenticationSpec,
};
use crate::metadata::Hidden;
use crate::names::query_escape;
use crate::problem::{Path, Problem};
use crate::rule;

/// What a trigger is given to prove who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// Parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// Parameters whose values are not known here.
    pub hidden: Hidden,
    /// Whose each token among the parameters is.
    pub tokens: BTreeMap<String, String>,
    /// The pod identity.
    pub pod_identity: Option<PodIdentity>,
}

impl std::fmt::Debug for Authentication {
    /// Shows the names only: values are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authentication")
            .field("parameters", &self.parameters.keys())
            .field("pod_identity", &self.pod_identity)
            .finish()
    }
}

/// Collects values and problems while the sources are visited in their order; later ones win.
struct Collector<'a> {
    lookup: &'a dyn Lookup,
    /// Where Secrets and ConfigMaps are.
    namespace: &'a str,
    parameters: BTreeMap<String, String>,
    hidden: Hidden,
    tokens: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

/// Resolves the reference of a trigger in `namespace`. What KEDA only logs is a warning here.
pub fn authentication(
    lookup: &dyn Lookup,
    namespace: &str,
    reference: Option<&AuthenticationRef>,
    pod_spec: Option<&PodSpec>,
) -> (Authentication, Vec<Problem>) {
    let Some(reference) = reference.filter(|reference| !reference.name.is_empty()) else {
        return (Authentication::default(), Vec::new());
    };
    let name = &reference.name;
    let (spec, kind, home) = if reference.is_cluster() {
        let spec = lookup.cluster_trigger_authentication(name);
        (spec, "ClusterTriggerAuthentication", lookup.cluster_namespace())
    } else {
        (lookup.trigger_authentication(namespace, name), "TriggerAuthentication", namespace)
    };
    let Some(spec) = spec else {
        let message = if reference.is_cluster() {
            format!("there is no ClusterTriggerAuthentication {name:?}, so the trigger gets no parameters from it")
        } else {
            format!("{}, so the trigger gets no parameters from it", missing(kind, namespace, name))
        };
        let hidden = if lookup.lenience().references { Hidden::Everything } else { Hidden::Nothing };
        let authentication = Authentication { hidden, ..Authentication::default() };
        if lookup.is_broken(kind, home, name) {
            return (authentication, Vec::new());
        }
        return (authentication, vec![Problem::warning(rule::MISSING_AUTHENTICATION, place(), message)]);
    };
    let mut collector = Collector {
        lookup,
        namespace: home,
        parameters: BTreeMap::new(),
        hidden: Hidden::Nothing,
        tokens: BTreeMap::new(),
        problems: Vec::new(),
    };
    collector.collect(&spec, reference.is_cluster(), namespace, pod_spec);
    if let Some(identity) = &spec.pod_identity {
        collector.identity(identity, namespace, pod_spec);
    }
    let Collector { parameters, hidden, tokens, problems, .. } = collector;
    (Authentication { parameters, hidden, tokens, pod_identity: spec.pod_identity }, problems)
}

fn place() -> Path {
    Path::root().key("authenticationRef").key("name")
}

impl Collector<'_> {
    fn collect(
        &mut self,
        spec: &TriggerAuthenticationSpec,
        is_cluster: bool,
        namespace: &str,
        pod_spec: Option<&PodSpec>,
    ) {
        for variable in &spec.env {
            self.variable(variable, namespace, pod_spec);
        }
        if let Some(path) = spec.file_path.as_deref().filter(|path| !path.is_empty()) {
            // Nothing beside it counts.
            return self.file(path, is_cluster);
        }
        for reference in &spec.config_map_target_ref {
            self.take("ConfigMap", reference, self.lookup.config_map(self.namespace, &reference.name));
        }
        for reference in &spec.secret_target_ref {
            self.take("Secret", reference, self.lookup.secret(self.namespace, &reference.name));
        }
        self.report_unsupported(spec);
        for wanted in &spec.bound_service_account_token {
            self.token(wanted);
        }
        if let Some(oauth2) = &spec.oauth2 {
            self.oauth2(oauth2);
        }
    }

    /// Whether files may be read, and what is in them, only the operator knows.
    fn file(&mut self, path: &str, is_cluster: bool) {
        let message = match is_cluster {
            true if self.lookup.lenience().references => {
                self.hidden = Hidden::Everything;
                return;
            }
            true => match self.lookup.file(path) {
                Ok(parameters) => {
                    self.parameters = parameters;
                    return;
                }
                Err(cause) => format!("filePath {path:?} cannot be read: {cause}"),
            },
            false => "filePath is only for a ClusterTriggerAuthentication".to_string(),
        };
        // What the trigger lacks follows from that.
        self.hidden = Hidden::Everything;
        self.problems.push(Problem::error(rule::UNUSABLE_AUTHENTICATION, place(), message));
    }

    fn variable(&mut self, variable: &AuthEnvironment, namespace: &str, pod_spec: Option<&PodSpec>) {
        let lenience = self.lookup.lenience();
        let parameter = &variable.parameter;
        let name = variable.container_name.as_deref().filter(|name| !name.is_empty());
        let container = pod_spec.and_then(|pod| pod.container(name));
        let found = container.map(|container| environment_in_part(self.lookup, namespace, container));
        let is_whole = found.as_ref().is_some_and(|(_, missing)| missing.is_empty());
        let is_known = is_whole || lenience.references;
        let value = found.filter(|_| is_known).and_then(|(mut variables, _)| variables.remove(&variable.name));
        if value.is_none() && (pod_spec.is_none() && lenience.targets || !is_whole && lenience.references) {
            self.hidden.add(parameter);
            return;
        }
        if value.is_none() {
            let message = format!("the target's container has no environment variable {:?}", variable.name);
            self.warn(parameter, &message);
        }
        self.parameters.insert(parameter.clone(), value.unwrap_or_default());
    }

    fn take(&mut self, kind: &str, reference: &AuthTargetRef, data: Option<BTreeMap<String, String>>) {
        let value = match data {
            // Whoever is lenient looks at the references of the TriggerAuthentication itself.
            None if self.lookup.lenience().references => {
                self.hidden.add(&reference.parameter);
                return;
            }
            None => {
                self.warn(&reference.parameter, &missing(kind, self.namespace, &reference.name));
                None
            }
            Some(data) if !data.contains_key(&reference.key) && self.is_unreadable(kind, &reference.name) => {
                self.hidden.add(&reference.parameter);
                return;
            }
            Some(mut data) => {
                let value = data.remove(&reference.key);
                if value.is_none() && !self.lookup.lenience().references {
                    let message = format!("{kind} {:?} has no key {:?}", reference.name, reference.key);
                    self.warn(&reference.parameter, &message);
                }
                value
            }
        };
        self.parameters.insert(reference.parameter.clone(), value.unwrap_or_default());
    }

    /// Whether an object has errors that were told, so that nothing more is told of what it lacks.
    fn is_unreadable(&self, kind: &str, name: &str) -> bool {
        self.lookup.lenience().references && self.lookup.is_broken(kind, self.namespace, name)
    }

    fn warn(&mut self, parameter: &str, cause: &str) {
        let message = format!("parameter {parameter:?} of the trigger's authentication is empty: {cause}");
        self.problems.push(Problem::warning(rule::MISSING_AUTHENTICATION_VALUE, place(), message));
    }

    /// Secret stores are read by the operator; what cannot be read must not look like an empty value.
    fn report_unsupported(&mut self, spec: &TriggerAuthenticationSpec) {
        if self.lookup.lenience().stores {
            spec.stored_parameters().for_each(|parameter| self.hidden.add(parameter));
            return;
        }
        let present = [
            ("hashiCorpVault", spec.hashi_corp_vault.is_some()),
            ("azureKeyVault", spec.azure_key_vault.is_some()),
            ("gcpSecretManager", spec.gcp_secret_manager.is_some()),
            ("awsSecretManager", spec.aws_secret_manager.is_some()),
        ];
        for (name, _) in present.into_iter().filter(|(_, present)| *present) {
            let message = format!("{name} is not supported yet as a source of parameters");
            self.problems.push(Problem::error(rule::UNSUPPORTED_AUTHENTICATION, place(), message));
        }
    }

    fn token(&mut self, wanted: &BoundServiceAccountToken) {
        let BoundServiceAccountToken { parameter, service_account_name } = wanted;
        let token = match self.lookup.token(self.namespace, service_account_name) {
            Some(Ok(token)) => {
                let owner = format!("token of {}/{service_account_name}", self.namespace);
                self.tokens.insert(token.clone(), owner);
                token
            }
            Some(Err(cause)) => {
                self.warn(parameter, &format!("no token of ServiceAccount {service_account_name:?}: {cause}"));
                String::new()
            }
            None if self.lookup.lenience().stores => return self.hidden.add(parameter),
            None => {
                let message = "boundServiceAccountToken needs a cluster that gives tokens".to_string();
                self.problems.push(Problem::error(rule::UNSUPPORTED_AUTHENTICATION, place(), message));
                return;
            }
        };
        self.parameters.insert(parameter.clone(), token);
    }

    fn oauth2(&mut self, oauth2: &OAuth2) {
        let secret = oauth2.client_secret.as_ref().map(|value| &value.value_from.secret_key_ref);
        let client_secret =
            secret.and_then(|reference| self.lookup.secret(self.namespace, &reference.name)?.remove(&reference.key));
        if secret.is_some() && client_secret.is_none() {
            self.warn("clientSecret", "its Secret or key is missing");
        }
        let mut set = |name: &str, value: String| self.parameters.insert(name.to_string(), value);
        set("oauthTokenURI", oauth2.token_url.clone());
        set("clientID", oauth2.client_id.clone());
        set("clientSecret", client_secret.unwrap_or_default());
        if !oauth2.scopes.is_empty() {
            set("scopes", oauth2.scopes.join(","));
        }
        if !oauth2.token_url_params.is_empty() {
            let pairs = oauth2.token_url_params.iter();
            let pairs: Vec<String> =
                pairs.map(|(key, value)| format!("{}={}", query_escape(key), query_escape(value))).collect();
            set("endpointParams", pairs.join("&"));
        }
    }

    /// Rules of identities that concern parameters; they hold only where there is a pod template (§2, step 5).
    fn identity(&mut self, identity: &PodIdentity, namespace: &str, pod_spec: Option<&PodSpec>) {
        let Some(pod_spec) = pod_spec else { return };
        let mut refuse = |message: String| {
            self.problems.push(Problem::error(rule::UNUSABLE_AUTHENTICATION, place(), message));
        };
        match identity.provider.as_str() {
            "azure-workload" if identity.identity_id.as_deref() == Some("") => {
                refuse("IdentityID of PodIdentity should not be empty".to_string());
            }
            "aws" | "aws-eks" => {
                let owner = identity.identity_owner.as_deref();
                let role = identity.role_arn.as_deref().filter(|role| !role.is_empty());
                let is_aws = identity.provider == "aws";
                if is_aws && role.is_some() && owner == Some("workload") {
                    refuse("roleArn can't be set if KEDA isn't identity owner, current value: 'workload'".to_string());
                    return;
                }
                if let (true, Some(role)) = (is_aws, role) {
                    self.parameters.insert("awsRoleArn".to_string(), role.to_string());
                } else if !is_aws || owner == Some("workload") {
                    let account = pod_spec.service_account_name.as_deref().filter(|name| !name.is_empty());
                    let account = account.unwrap_or("default");
                    let found = self.lookup.service_account(namespace, account);
                    if found.is_none() && self.lookup.lenience().references {
                        self.hidden.add("awsRoleArn");
                        return;
                    }
                    let annotations = found.unwrap_or_default();
                    match annotations.get("eks.amazonaws.com/role-arn") {
                        Some(role) => {
                            self.parameters.insert("awsRoleArn".to_string(), role.clone());
                        }
                        None if is_aws => refuse(format!(
                            "the ServiceAccount {account:?} has no annotation eks.amazonaws.com/role-arn"
                        )),
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::ScaleTarget;
    use crate::manifest::{Source, load};
    use crate::resolve::References;

    #[test]
    fn a_container_without_a_name_is_the_first() {
        let pod = json!({ "containers": [
            { "name": "worker", "env": [{ "name": "USER", "value": "first" }] },
            { "name": "sidecar", "env": [{ "name": "USER", "value": "second" }] },
        ] });
        let pod: PodSpec = serde_json::from_value(pod).unwrap();
        for (container, expected) in
            [("", "first"), (r#", "containerName": """#, "first"), (r#", "containerName": "sidecar""#, "second")]
        {
            let manifest = format!(
                r#"{{"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {{"name": "a"}},
                "spec": {{"env": [{{"parameter": "username", "name": "USER"{container}}}]}}}}"#
            );
            let references = References::new(&load(&[Source::new("a.json", manifest)]));
            let reference: AuthenticationRef = serde_json::from_value(json!({ "name": "a" })).unwrap();
            let (found, problems) = authentication(&references, "default", Some(&reference), Some(&pod));
            assert_eq!((problems, &*found.parameters["username"]), (Vec::new(), expected), "{container}");
        }
    }

    /// A cluster with one TriggerAuthentication, one file and one ServiceAccount.
    struct Operator(TriggerAuthenticationSpec);

    impl Lookup for Operator {
        fn pod_spec(&self, _: &str, _: &ScaleTarget) -> Result<Option<PodSpec>, String> {
            Ok(None)
        }

        fn secret(&self, _: &str, _: &str) -> Option<BTreeMap<String, String>> {
            None
        }

        fn config_map(&self, _: &str, _: &str) -> Option<BTreeMap<String, String>> {
            None
        }

        fn trigger_authentication(&self, _: &str, _: &str) -> Option<TriggerAuthenticationSpec> {
            Some(self.0.clone())
        }

        fn cluster_trigger_authentication(&self, _: &str) -> Option<TriggerAuthenticationSpec> {
            Some(self.0.clone())
        }

        fn service_account(&self, _: &str, _: &str) -> Option<BTreeMap<String, String>> {
            None
        }

        fn token(&self, namespace: &str, service_account: &str) -> Option<Result<String, String>> {
            Some(match service_account {
                "reader" => Ok(format!("token of {namespace}/reader")),
                _ => Err("forbidden".to_string()),
            })
        }

        fn file(&self, path: &str) -> Result<BTreeMap<String, String>, String> {
            match path {
                "login.json" => Ok([("username".to_string(), "of the file".to_string())].into()),
                _ => Err("no such file".to_string()),
            }
        }
    }

    fn found(spec: serde_json::Value, kind: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let operator = Operator(serde_json::from_value(spec).unwrap());
        let reference: AuthenticationRef = serde_json::from_value(json!({ "name": "a", "kind": kind })).unwrap();
        let (found, problems) = authentication(&operator, "shop", Some(&reference), None);
        (found.parameters, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn tokens_are_of_the_home_of_the_authentication_and_empty_where_there_is_none() {
        let token = |name: &str| json!({ "parameter": name, "serviceAccountName": name });
        let spec = json!({ "boundServiceAccountToken": [token("reader"), token("other")] });
        for (kind, home) in [("TriggerAuthentication", "shop"), ("ClusterTriggerAuthentication", "keda")] {
            let (parameters, problems) = found(spec.clone(), kind);
            assert_eq!(parameters["reader"], format!("token of {home}/reader"));
            assert_eq!(parameters["other"], "");
            assert!(problems.len() == 1 && problems[0].contains("no token of ServiceAccount \"other\": forbidden"));
        }
    }

    #[test]
    fn beside_a_file_nothing_counts() {
        let spec = |path: &str| {
            json!({ "filePath": path, "oauth2": { "clientId": "id", "tokenUrl": "http://t",
            "clientSecret": { "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } } } })
        };
        let expected = BTreeMap::from([("username".to_string(), "of the file".to_string())]);
        assert_eq!(found(spec("login.json"), "ClusterTriggerAuthentication"), (expected, Vec::new()));
        let (_, problems) = found(spec("other.json"), "ClusterTriggerAuthentication");
        assert_eq!(problems, ["filePath \"other.json\" cannot be read: no such file"]);
        let (_, problems) = found(spec("login.json"), "TriggerAuthentication");
        assert_eq!(problems, ["filePath is only for a ClusterTriggerAuthentication"]);
    }

    #[test]
    fn a_file_path_that_is_empty_is_none() {
        for (path, refusals) in [("", 0), ("login.json", 1)] {
            let manifest = format!(
                r#"{{"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {{"name": "a"}},
                "spec": {{"filePath": "{path}"}}}}"#
            );
            let references = References::new(&load(&[Source::new("a.json", manifest)]));
            let reference: AuthenticationRef = serde_json::from_value(json!({ "name": "a" })).unwrap();
            let (_, problems) = authentication(&references, "default", Some(&reference), None);
            assert_eq!(problems.len(), refusals, "{path:?}: {problems:?}");
        }
    }
}
