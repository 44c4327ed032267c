//! Brokers and queues.

mod beanstalkd;
mod kafka;
mod liiklus;
mod nats_jetstream;
mod rabbitmq;
mod temporal;
