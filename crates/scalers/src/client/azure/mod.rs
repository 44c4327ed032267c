//! Azure: its clouds, who a trigger is there, and storage accounts (`scalers/_common-a-c.md`).

mod clouds;
mod connection;
mod login;
mod storage;

pub use clouds::{Cloud, StorageAccount, WORKLOAD_IDENTITY, check_monitor_login, endpoint, monitor_endpoint};
pub use connection::ConnectionString;
pub use login::{AzureEnvironment, AzureLogin, AzureTokens, TokenPool};
pub use storage::Storage;
