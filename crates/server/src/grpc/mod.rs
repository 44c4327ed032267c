//! KEDA's internal gRPC: `api.MetricsService/GetMetrics`, from the metrics adapter to the operator.
//!
//! Both ends show a certificate of the same CA and verify the other's. The service is also what separately deployed adapters
//! of KEDA itself speak.

mod client;
mod counted;
mod messages;
mod server;

pub use client::{GrpcClientSettings, GrpcSource};
pub use counted::{Counted, Side};
pub use server::{metrics_service, serve_grpc};

const GET_METRICS: &str = "/api.MetricsService/GetMetrics";
const SERVICE: &str = "api.MetricsService";
