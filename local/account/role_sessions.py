"""Sessions of roles for services of the local account that act as them.

AWS documentation: IAM User Guide, "Using service roles".
"""

from collections.abc import Mapping

from local.account.ministack_names import ministack


def role_session(service: str, role_arn: str, region: str, account_id: str) -> Mapping[str, str]:
    """AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the service as the role.

    The same role has the same session each time; asking for it registers it again after the account has
    forgotten its sessions. Where policies are not enforced it is the account itself, with an empty token.
    """
    # ministack knows sessions of functions only, and takes account and region from the function's ARN;
    # policies look at nothing but the role
    credentials: Mapping[str, str] = ministack("ministack.core.lambda_runtime").execution_credentials(
        {
            "Role": role_arn,
            "FunctionArn": f"arn:aws:lambda:{region}:{account_id}:function:{service}",
            "FunctionName": service,
        }
    )
    return credentials
