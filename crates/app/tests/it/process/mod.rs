//! Workloads as real processes: started, scaled, crashed, killed and adopted.

mod adoption;
mod harness;
mod life;
mod probes;
mod world;
