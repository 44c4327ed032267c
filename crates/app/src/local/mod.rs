//! The shell of `keda up`: workloads as processes of this machine, without Kubernetes.

pub mod process;
