"""Notifications about uploads, as Amazon S3 writes them and Amazon SNS gives them to a function.

AWS documentation: «Event message structure», Amazon S3 User Guide; «Invoking Lambda functions with Amazon SNS
notifications», AWS Lambda Developer Guide.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

BUCKET = "hub-uploadsbucket-1a2b3c4d5e6f"
TOPIC = "arn:aws:sns:us-east-1:123456789012:hub-UploadsTopic-1A2B3C4D5E6F"
SUBSCRIPTION = f"{TOPIC}:12345678-1234-1234-1234-123456789012"


def s3_record(
    *,
    key: str = "uploads/lab-7/results.ndjson",
    name: str = "ObjectCreated:Put",
    sequencer: str | None = "0055AED6DCD90281E5",
    version: str | None = "3HL4kqtJvjVBH40Nrjfkd",
    size: int = 1024,
    etag: str = "d41d8cd98f00b204e9800998ecf8427e",
    time: str = "2026-11-21T09:00:00.000Z",
    written: str | None = None,
) -> dict[str, Any]:
    """One record of a notification; `written` is the key as S3 encodes it."""
    created = name.removeprefix("s3:").startswith("ObjectCreated")
    about: dict[str, Any] = {
        "key": written if written is not None else quote_plus(key, safe="/"),
        **({"size": size, "eTag": etag} if created else {}),
        **({"versionId": version} if version else {}),
        **({"sequencer": sequencer} if sequencer is not None else {}),
    }
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": time,
        "eventName": name,
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:session"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploads",
            "bucket": {
                "name": BUCKET,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{BUCKET}",
            },
            "object": about,
        },
    }


def notification(message: Any) -> dict[str, Any]:
    """A message of S3 as the topic passes it on; `message` is JSON, or a text that is none."""
    return {
        "Type": "Notification",
        "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
        "TopicArn": TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-11-21T09:00:00.123Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLEpH+DcEwjAPg8O9mY8dReBSwksfg2S7WKQcikcNKWLQjwu6A4VbeS0",
        "SigningCertUrl": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0000000000000000.pem",
        "UnsubscribeUrl": (
            f"https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}"
        ),
        "MessageAttributes": {},
    }


def sns_event(message: Any) -> dict[str, Any]:
    """The event of a function that is subscribed to the topic."""
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": SUBSCRIPTION,
        "Sns": notification(message),
    }
    return {"Records": [record]}
