//! Brokers and queues.

mod activemq;
mod beanstalkd;
mod kafka;
mod kafka_broker;
mod liiklus;
mod nats_jetstream;
mod rabbitmq;
mod temporal;
