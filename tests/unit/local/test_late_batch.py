"""What moto's engine imports besides, and nobody needs, is imported late."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "program",
    [
        "import local.stepfunctions.execution, sys; assert 'moto.ec2' not in sys.modules",
        "import local.stepfunctions.execution, moto.batch as batch; assert hasattr(batch, 'batch_backends')",
        "import moto.batch, local.stepfunctions.execution; assert moto.batch.models",
        "import local.stepfunctions, moto.batch as batch; assert not hasattr(batch, 'queues')",
    ],
    ids=["left out", "there when it is used", "as it is when it is there", "nothing but what it has"],
)
def test_batch_and_ec2_are_imported_by_those_who_use_them(program: str) -> None:
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
