//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::roles::OperatorFlags;

/// Event-driven autoscaling, with or without Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "keda", version, about, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run Deployments as local processes and scale them by their ScaledObjects
    #[command(after_help = UP_EXAMPLES)]
    Up(Up),
    /// Show objects of a running `keda up`
    #[command(after_help = GET_EXAMPLES)]
    Get(Get),
    /// Explain why an object of a running `keda up` has the replicas it has, or what a trigger type is told
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Check manifests without a cluster and without their event sources
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(Validate),
    /// Print the HorizontalPodAutoscalers and Jobs that manifests lead to
    #[command(after_help = RENDER_EXAMPLES)]
    Render(Render),
    /// Turn manifests of KEDA 1 into those of KEDA 2
    ///
    /// Objects of keda.k8s.io are converted, all others are printed as they are. What has changed is told on standard
    /// error, and what is left to do.
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(Convert),
    /// Print what manifests may hold, for programs
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema(Schema),
    /// Print a ScaledObject to start from, with every setting explained
    #[command(after_help = NEW_EXAMPLES)]
    New(New),
    /// Print a page about a trigger type, or write all of them
    #[command(after_help = DOCS_EXAMPLES)]
    Docs(Docs),
    /// Print a script that completes this command line in a shell
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion(Completion),
    /// Print the CustomResourceDefinitions
    #[command(after_help = "Examples:\n  keda crds | kubectl apply --server-side -f -")]
    Crds(Crds),
    /// Print the objects that install the operator in a cluster
    #[command(after_help = MANIFESTS_EXAMPLES)]
    Manifests(DeployManifests),
    /// Run the operator of a cluster, with the external metrics API
    #[command(after_help = OPERATOR_EXAMPLES)]
    Operator(Box<OperatorFlags>),
    /// Start and watch one worker; used by `keda up` itself
    #[command(hide = true)]
    Shim {
        /// The worker's state folder
        folder: PathBuf,
    },
}

const UP_EXAMPLES: &str = "Examples:
  keda up -f manifests/                       run everything in a folder
  keda up -f app.yaml --watch                 pick up changes of the file
  keda up -f app.yaml --hpa-interval 2s       decide on replicas more often than a cluster does
  keda up -f app.yaml > events.jsonl          one JSON line per event when standard output is no terminal";

const GET_EXAMPLES: &str = "Examples:
  keda get scaledobject                       all of them, with KEDA's columns
  keda get so orders -o yaml                  one, with its whole status";

const EXPLAIN_EXAMPLES: &str = "Examples:
  keda explain so/orders
  keda explain so/orders -n shop -o json
  keda explain trigger/redis                  the parameters of a trigger type";

const MANIFESTS_EXAMPLES: &str = "Examples:
  keda manifests --image registry.example/keda:1.0 | kubectl apply --server-side -f -
  keda manifests --watch-namespace shop,billing        only for two namespaces
  keda manifests --scale-target rollouts.argoproj.io   for Deployments, StatefulSets and Rollouts only";

const OPERATOR_EXAMPLES: &str = "Examples:
  keda operator --leader-elect --enable-cert-rotation     as in the Deployment of `keda manifests`
  WATCH_NAMESPACE=shop keda operator                      one namespace, with the current kubeconfig";

const SCHEMA_EXAMPLES: &str = "Examples:
  keda schema triggers                        the parameters of all trigger types, in the shape of KEDA's schema
  keda schema triggers | jq -r .scalers[].type
  keda schema manifests > keda.schema.json    what editors complete and check manifests with";

const SCHEMA_MANIFESTS_EXAMPLES: &str = "Examples:
  keda schema manifests > keda.schema.json

An editor with a YAML language server uses it for a file that begins with
  # yaml-language-server: $schema=keda.schema.json

and for all files of a project with a setting such as this one of Visual Studio Code:
  \"yaml.schemas\": { \"keda.schema.json\": \"manifests/**/*.yaml\" }

Documents of other kinds in the same file are accepted as they are.";

const NEW_EXAMPLES: &str = "Examples:
  keda new kafka > orders.yaml
  keda new rabbitmq --name orders --target order-worker";

const DOCS_EXAMPLES: &str = "Examples:
  keda docs                                   the list of all trigger types
  keda docs redis-streams | less
  keda docs --output-dir docs/triggers        a page for each";

const COMPLETION_EXAMPLES: &str = "Examples:
  source <(keda completion bash)
  keda completion fish > ~/.config/fish/completions/keda.fish";

const VALIDATE_EXAMPLES: &str = "Examples:
  keda validate -f manifests/ --strict
  keda validate -f manifests/ -o sarif > keda.sarif
  kustomize build . | keda validate -f -";

const RENDER_EXAMPLES: &str = "Examples:
  keda render -f app.yaml
  keda render -f manifests/ -o json | jq .items[].metadata.name
  keda render -f manifests/ --rbac            the rights that the operator needs for exactly these";

const CONVERT_EXAMPLES: &str = "Examples:
  keda convert -f old/ > new.yaml
  keda convert -f old/ > new.yaml 2> notes.txt
  kubectl get scaledobjects.keda.k8s.io -A -o yaml | keda convert -f - > new.yaml

Then `keda validate -f new.yaml` tells whether KEDA 2 takes it. KEDA 1 must be uninstalled, with its
CustomResourceDefinitions, before KEDA 2 is installed.";

/// Which manifests.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manifests {
    /// Files or folders of manifests, or - for standard input
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true, num_args = 1..)]
    pub(crate) paths: Vec<PathBuf>,
    /// Look into subfolders too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Take warnings for errors
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Which running `keda up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Instance {
    /// Folder for state [default: the user's state folder, and the project's name]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Name of the project [default: the name of the current folder]
    #[arg(short = 'p', long, value_name = "NAME")]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) instance: Instance,
    /// Pick up changes of the manifests
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// How often the replicas between minimum and maximum are decided on
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub(crate) hpa_interval: Duration,
    /// How long fewer replicas must be wanted before replicas are taken away, where the object's behavior says nothing
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(crate) downscale_stabilization: Duration,
    /// Do not print the workers' output
    #[arg(long)]
    pub(crate) no_logs: bool,
    /// JSON lines even on a terminal
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// scaledobject (so)
    pub(crate) kind: String,
    /// Name of one object
    pub(crate) name: Option<String>,
    /// Namespace [default: all]
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Format>,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The object, as so/NAME, or the trigger type, as trigger/TYPE
    pub(crate) object: String,
    /// Namespace of the object
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,
    /// Form of the output
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Format>,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// A target that is not among the manifests is no error
    #[arg(long)]
    pub(crate) allow_missing_target: bool,
    /// Form of the findings
    #[arg(short, long, value_enum, default_value = "text")]
    pub(crate) output: FindingFormat,
}

/// How findings are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FindingFormat {
    /// For people, on standard error
    Text,
    /// JSON
    Json,
    /// SARIF 2.1.0, as code hosts read it
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// A target that is not among the manifests is no error
    #[arg(long)]
    pub(crate) allow_missing_target: bool,
    /// Print the least Role that the operator needs for these manifests instead
    #[arg(long)]
    pub(crate) rbac: bool,
    /// Namespace of the operator that the Role is bound to
    #[arg(long, default_value = "keda", value_name = "NAMESPACE", requires = "rbac")]
    pub(crate) operator_namespace: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value = "yaml")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Form of the output
    #[arg(short, long, value_enum, default_value = "yaml")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    #[command(subcommand)]
    pub(crate) of: SchemaOf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaOf {
    /// The parameters of all trigger types
    Triggers {
        /// Form of the output
        #[arg(short, long, value_enum, default_value = "json")]
        output: Format,
    },
    /// KEDA's kinds with the metadata of all trigger types, as a JSON Schema for editors
    #[command(after_help = SCHEMA_MANIFESTS_EXAMPLES)]
    Manifests {
        /// Form of the output
        #[arg(short, long, value_enum, default_value = "json")]
        output: Format,
    },
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The trigger type, such as kafka
    #[arg(value_name = "TYPE")]
    pub(crate) trigger_type: String,
    /// Name of the ScaledObject [default: worker]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Name of the Deployment to scale [default: that of the ScaledObject]
    #[arg(long)]
    pub(crate) target: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The trigger type, such as kafka
    #[arg(value_name = "TYPE")]
    pub(crate) trigger_type: Option<String>,
    /// Write a page for each type into this folder
    #[arg(short, long, value_name = "DIR", conflicts_with = "trigger_type")]
    pub(crate) output_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Crds {
    /// Form of the output
    #[arg(short, long, value_enum, default_value = "yaml")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DeployManifests {
    /// Namespace of the operator
    #[arg(short, long, default_value = "keda")]
    pub(crate) namespace: String,
    /// Image of the operator
    #[arg(long, default_value = "keda:latest")]
    pub(crate) image: String,
    /// Replicas of the operator; all answer for metrics, one scales
    #[arg(long, default_value_t = 1)]
    pub(crate) replicas: u16,
    /// Namespaces to look after [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) watch_namespace: Vec<String>,
    /// Kinds that may be scaled beside Deployments and StatefulSets, as PLURAL.GROUP [default: all; none with
    /// --restrict-secrets, as whoever may read every kind may read Secrets]
    #[arg(long, value_delimiter = ',')]
    pub(crate) scale_target: Vec<String>,
    /// Read Secrets of the operator's namespace only
    #[arg(long)]
    pub(crate) restrict_secrets: bool,
    /// Leave out the CustomResourceDefinitions
    #[arg(long)]
    pub(crate) no_crds: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value = "yaml")]
    pub(crate) output: Format,
}

/// Machine-readable output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = keda_core::duration::parse(text)?;
    if duration.is_zero() { Err("must be longer than 0".to_string()) } else { Ok(duration) }
}
