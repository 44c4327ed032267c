"""fill.py ENDPOINT: makes what the tests read, and prints the address of the queue."""

import datetime
import sys

import boto3


def client(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="hunter2-secret",
    )


# Three messages, of which somebody works on one.
sqs = client("sqs")
queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
for number in range(3):
    sqs.send_message(QueueUrl=queue, MessageBody=str(number))
sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1, VisibilityTimeout=600)
print(queue)

client("kinesis").create_stream(StreamName="clicks", ShardCount=3)

# Three unpaid invoices among five, in a table with a stream.
dynamodb = client("dynamodb")
dynamodb.create_table(
    TableName="invoices",
    KeySchema=[{"AttributeName": "state", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
    AttributeDefinitions=[
        {"AttributeName": "state", "AttributeType": "S"},
        {"AttributeName": "number", "AttributeType": "N"},
    ],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
)
for number, state in enumerate(["unpaid", "paid", "unpaid", "paid", "unpaid"]):
    dynamodb.put_item(TableName="invoices", Item={"state": {"S": state}, "number": {"N": str(number)}})

# A number in each of the last minutes.
now = datetime.datetime.now(datetime.timezone.utc)
client("cloudwatch").put_metric_data(
    Namespace="Shop",
    MetricData=[
        {
            "MetricName": "Waiting",
            "Dimensions": [{"Name": "Counter", "Value": "2"}],
            "Timestamp": now - datetime.timedelta(minutes=minutes),
            "Value": 42.0,
        }
        for minutes in range(10)
    ],
)
