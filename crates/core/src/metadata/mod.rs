//! Typed trigger metadata: the single truth of a trigger's parameters.
//!
//! A trigger is a struct with `#[derive(Metadata)]`. Each field is a parameter: its name is the key (in camel case),
//! its type says how the text is read, its doc comment is its documentation, and `#[meta(…)]` lists where it may come
//! from, in the order in which the places are searched. From the same table come the parser, the unknown-key check,
//! the schema and the docs. Parsing does no I/O.
//!
//! ```
//! use keda_core::metadata::{Context, Inputs, Metadata, parse};
//! use keda_core::secret::Secret;
//!
//! /// Scale on the number of jobs in a tube.
//! #[derive(Debug, Metadata)]
//! struct Beanstalkd {
//!     /// Address of the server, as `host:port`.
//!     #[meta(trigger)]
//!     server: String,
//!     /// Jobs above which the target leaves zero.
//!     #[meta(trigger, default = "0")]
//!     activation_value: f64,
//!     /// The password.
//!     #[meta(auth, env)]
//!     password: Option<Secret>,
//! }
//!
//! let inputs = Inputs::from_metadata([("server", "localhost:11300"), ("activationValue", "2")]);
//! let (parsed, problems) = parse::<Beanstalkd>(&inputs, &Context::default());
//! assert!(problems.is_empty());
//! assert_eq!(parsed.activation_value, 2.0);
//! ```
//!
//! Reference: `scalers/COMMON.md`, "Typed config parsing".

mod context;
mod keys;
mod reader;
mod value;

pub use context::{Context, Environment, Hidden, Inputs};
pub use keda_derive::Metadata;
pub use reader::{Parsed, Reader, parse, parse_with_fingerprint};
pub use value::{Kind, Map, UrlValues, Value, parse_bool};

/// Where a parameter may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `metadata.<name>` of the trigger.
    Trigger,
    /// The variable named by `metadata.<name>FromEnv`, in the environment of the target's container.
    Environment,
    /// A parameter of the referenced TriggerAuthentication.
    Authentication,
}

impl Source {
    /// The name of this source in KEDA's error texts.
    pub fn name(self) -> &'static str {
        match self {
            Source::Trigger => "triggerMetadata",
            Source::Environment => "resolvedEnv",
            Source::Authentication => "authParams",
        }
    }
}

/// One parameter of a trigger, as declared.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The key and its aliases, in the order in which they are searched. A star stands for any text.
    pub names: &'static [&'static str],
    /// Where it may come from, in the order in which the places are searched.
    pub sources: &'static [Source],
    /// How its text is read.
    pub kind: Kind,
    /// Whether it may be absent without a default.
    pub optional: bool,
    /// The text that is used when it is absent.
    pub default: Option<&'static str>,
    /// The only words allowed, if not empty. A list may hold several.
    pub one_of: &'static [&'static str],
    /// Words of which a list may hold only one.
    pub exclusive: &'static [&'static str],
    /// What separates the elements of a list or map; a comma by default.
    pub separator: Option<&'static str>,
    /// What separates the ends of a range in a list of numbers, where ranges are allowed.
    pub range: Option<&'static str>,
    /// Set when using it is an error, with KEDA's explanation.
    pub deprecated: Option<&'static str>,
    /// Set when using it is announced and works, with KEDA's explanation.
    pub announce: Option<&'static str>,
    /// What it is for.
    pub doc: &'static str,
}

impl Parameter {
    /// The key that the docs use.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Whether it may come from `source`.
    pub fn reads(&self, source: Source) -> bool {
        self.sources.contains(&source)
    }

    /// Whether an absent value is an error.
    pub fn required(&self) -> bool {
        !self.optional && self.default.is_none() && self.deprecated.is_none()
    }
}

/// A struct of parameters. Implemented by `#[derive(Metadata)]`.
pub trait Metadata: Sized {
    /// Every parameter, in the order of declaration, those of groups included.
    fn parameters() -> Vec<&'static Parameter>;

    /// Parameters that it reads besides, in a way of its own, and that KEDA's table does not list.
    fn unlisted() -> Vec<&'static Parameter> {
        Vec::new()
    }

    /// What it is for, in a sentence: the first paragraph of the struct's doc comment.
    fn summary() -> &'static str {
        ""
    }

    /// The other paragraphs, in Markdown. A block of YAML for each trigger type is its example.
    fn details() -> &'static str {
        ""
    }

    /// Reads the parameters. What cannot be read is reported to the reader and left at its zero value.
    fn read(reader: &mut Reader<'_>) -> Self;
}
