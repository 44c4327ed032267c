//! Brokers and queues.

mod beanstalkd;
mod liiklus;
mod nats_jetstream;
mod rabbitmq;
mod temporal;
