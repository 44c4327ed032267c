//! The Kubernetes shell: watches, decisions carried out on a cluster, the external metrics API.
