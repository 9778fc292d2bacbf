"""Who may query: a permission is asked for the workgroup, by every call about a query.

AWS documentation: «Actions, resources, and condition keys for Amazon Athena».
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account

OPEN, CLOSED = "open", "closed"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("athena",)) as account:
        client(account, "s3").create_bucket(Bucket="results")
        for name in (OPEN, CLOSED):
            configuration = {"ResultConfiguration": {"OutputLocation": f"s3://results/{name}/"}}
            client(account, "athena").create_work_group(Name=name, Configuration=configuration)
        yield account


@pytest.fixture(scope="module")
def reader(account: RunningAccount) -> Any:
    """Athena as a user meets it who may query in one of two workgroups."""
    iam = client(account, "iam")
    arn = iam.create_user(UserName="reader")["User"]["Arn"]
    allowed = {
        "Effect": "Allow",
        "Action": ["athena:StartQueryExecution", "athena:Get*", "athena:StopQueryExecution"],
        "Resource": f"arn:aws:athena:{account.region}:{arn.split(':')[4]}:workgroup/{OPEN}",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="query", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    user = replace(account, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])
    return client(user, "athena")


def started(athena: Any, workgroup: str) -> str:
    """The id of a query that is begun in a workgroup."""
    answer = athena.start_query_execution(QueryString="SELECT 1", WorkGroup=workgroup)
    query: str = answer["QueryExecutionId"]
    return query


def test_who_may_query_in_a_workgroup_may_look_at_its_queries(reader: Any) -> None:
    query = started(reader, OPEN)

    assert reader.get_query_execution(QueryExecutionId=query)["QueryExecution"]["WorkGroup"] == OPEN


def test_who_may_query_in_one_workgroup_may_not_in_another(reader: Any) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: athena:StartQueryExecution"):
        started(reader, CLOSED)


@pytest.mark.parametrize("call", ["get_query_execution", "get_query_results", "stop_query_execution"])
def test_a_query_of_another_workgroup_is_closed(account: RunningAccount, reader: Any, call: str) -> None:
    query = started(client(account, "athena"), CLOSED)

    with pytest.raises(ClientError, match="not authorized to perform: athena:"):
        getattr(reader, call)(QueryExecutionId=query)


def test_a_query_that_nobody_began_is_closed_too(reader: Any) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: athena:GetQueryExecution"):
        reader.get_query_execution(QueryExecutionId="00000000-0000-0000-0000-000000000000")
