//! Google Cloud: who a trigger is there, and what Cloud Monitoring says (`scalers/_common-d-m.md`).

mod login;
mod monitoring;
mod tokens;

pub use login::{GcpLogin, GcpOptions};
pub use monitoring::{Alignment, Monitoring};
pub use tokens::{GcpEnvironment, GcpTokens, TokenPool};
