"""A query has the rights of whoever asks: what the reader's policy gives is enough, and each of it is needed.

AWS documentation: Amazon Athena User Guide, «Identity and access management in Athena», «Configure access to
databases and tables in the AWS Glue Data Catalog», «Control access to Amazon S3 from Athena».
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.account.testing import running_account
from local.cli.compact import compactor_of
from local.cli.errors import CommandError
from local.cli.lake.athena import Athena, Row
from local.cli.operations.hub import DeployedHub
from local.testing.lake_stack import Version, deploy_lake, write_versions

SQL = "select id from fhir_current where resource_type = 'Patient'"
TO_COMPACT = {
    "LAKE/current/*": [
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    ],
    "GLUE": ["glue:CreatePartition", "glue:UpdatePartition", "glue:BatchUpdatePartition"],
}

As = Callable[[Any], DeployedHub]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedHub]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("athena",)) as account:
        hub = deploy_lake(account)
        _encrypt(hub)
        write_versions(hub, "Patient", [Version("a"), Version("b")])
        yield hub


def _encrypt(hub: DeployedHub) -> None:
    """What the template says of the bucket, and ministack's CloudFormation leaves out."""
    workgroup = hub.client("athena").get_work_group(WorkGroup=hub.outputs["LakeWorkGroupName"])["WorkGroup"]
    encryption = workgroup["Configuration"]["ResultConfiguration"]["EncryptionConfiguration"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": encryption["KmsKey"]}
    hub.client("s3").put_bucket_encryption(
        Bucket=hub.outputs["LakeBucketName"],
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
    )


@pytest.fixture(scope="module")
def policy(lake: DeployedHub) -> Any:
    """The document of the reader's policy."""
    arn = lake.outputs["LakeReaderPolicyArn"]
    document = lake.client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"][
        "Document"
    ]
    return json.loads(document) if isinstance(document, str) else document


@pytest.fixture
def allowed(lake: DeployedHub) -> Iterator[As]:
    """The hub as it is for a user who has this policy and no other."""
    iam = lake.client("iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    session: Any = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=lake.account.region)

    def hub(document: Any) -> DeployedHub:
        iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(document))
        services = ("athena", "glue", "s3")
        clients = {one: session.client(one, endpoint_url=lake.account.endpoint) for one in services}
        return DeployedHub(lake.account, lake.stack_name, lake.outputs, clients)

    yield hub
    iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="reader", PolicyName="all")
    iam.delete_user(UserName="reader")


def ask(hub: DeployedHub) -> list[Row]:
    athena = Athena.of(hub)
    return list(athena.columns_and_rows(athena.run(SQL).query_id)[1])


def without(document: Any, action: str) -> Any:
    """The policy less one action, wherever it stands."""
    statements = [
        {**one, "Action": [name for name in _listed(one["Action"]) if name != action]}
        for one in document["Statement"]
    ]
    return {**document, "Statement": [one for one in statements if one["Action"]]}


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_the_readers_policy_is_enough_to_ask(allowed: As, policy: Any) -> None:
    assert sorted(ask(allowed(policy))) == [["a"], ["b"]]


@pytest.mark.parametrize(
    "action",
    [
        "athena:StartQueryExecution",
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "glue:GetTable",
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "kms:Decrypt",
        "kms:GenerateDataKey",
    ],
)
def test_without_one_of_its_actions_the_query_is_refused_by_its_name(
    allowed: As, policy: Any, action: str
) -> None:
    with pytest.raises((CommandError, ClientError), match=action.split(":")[1]):
        ask(allowed(without(policy, action)))


def test_a_reader_can_neither_compact_nor_write_rows(allowed: As, policy: Any) -> None:
    with pytest.raises(CommandError, match="s3:PutObject"):
        compactor_of(allowed(policy)).compact("Patient")


def test_what_the_readme_names_besides_is_enough_to_compact(
    lake: DeployedHub, allowed: As, policy: Any
) -> None:
    catalog = [arn for one in policy["Statement"] for arn in _listed(one["Resource"]) if ":glue:" in arn]
    places = {"GLUE": catalog, "LAKE/current/*": [f"arn:aws:s3:::{lake.outputs['LakeBucketName']}/current/*"]}
    more = [
        {"Effect": "Allow", "Action": actions, "Resource": places[where]}
        for where, actions in TO_COMPACT.items()
    ]
    hub = allowed({**policy, "Statement": [*policy["Statement"], *more]})

    compactor = compactor_of(hub)
    assert compactor.compact("Patient").how == "all files"
    assert compactor.compact("Patient", full=True).how == "all files"
    generations = compactor.generations.names("Patient")
    compactor.generations.delete("Patient", min(generations), lambda _: None)
    assert len(compactor.generations.names("Patient")) == 1
