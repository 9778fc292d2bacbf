"""The account's process: ministack with the parts joined to it, served on one port of 127.0.0.1."""

import asyncio
import gc
import logging
import os
import resource
import shutil
import signal
import sys
import threading
from importlib import import_module
from typing import Any

from local.account import companion
from local.account.identity import answering_identity
from local.account.ministack_names import assert_private_names, ministack
from local.account.request_counts import counting_requests
from local.account.secure_transport import counting_loopback_as_secure
from local.account.settings import HOST, AccountSettings, account_environment

logger = logging.getLogger("local.account")

# A stuck stack or a handler that does not end must not outlive the account.
STOP_DEADLINE_SECONDS = 4.0


def run(settings: AccountSettings) -> None:
    """Serve the account until SIGTERM or SIGINT; never returns, the process ends with its workers.

    Raises MinistackNameMissing before anything listens when ministack is not the version that is built upon.
    """
    # what an account that was killed has left
    shutil.rmtree(settings.temporary_dir, ignore_errors=True)
    settings.create_directories()
    environment = account_environment(settings, os.environ)
    os.environ.clear()
    os.environ.update(environment)
    _raise_open_file_limit()
    _quieten_loggers()
    assert_private_names()
    ministack("ministack.app").BANNER = "ministack on port {port}"
    if companion.VARIABLE in environment:
        companion.end_with(int(environment[companion.VARIABLE]))
    register_parts(settings)
    _collect_garbage_seldom()
    asyncio.run(_serve(settings))
    end_process(settings)


def register_parts(settings: AccountSettings) -> None:
    """Join the parts to ministack: each registers itself, in the process that will serve it."""
    arguments: dict[str, tuple[object, ...]] = {
        "iam": (),
        "lambda_runtime": (),
        "healthlake": (settings.port, settings.data_dir),
        "stepfunctions": (settings.port,),
        "cloudwatch": (),
        "athena": (),
        "sqs": (),
        "streams": (),
        "pipes": (),
        "firehose": (settings.port,),
    }
    for part in settings.parts:
        import_module(f"local.{part}.registration").register(*arguments[part])


def _collect_garbage_seldom() -> None:
    """The account holds hundreds of megabytes of objects that stay: to go through them again and again took a
    tenth of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _serve(settings: AccountSettings) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stopping, settings)

    config = Config()
    config.bind = [f"{HOST}:{settings.port}"]
    config.keep_alive_timeout = 75
    config.keep_alive_max_requests = 1_000_000
    config.graceful_timeout = 0.5
    config.shutdown_timeout = 1.0
    config.accesslog = None
    application: Any = answering_identity(
        counting_requests(counting_loopback_as_secure(ministack("ministack.app").app)), settings
    )
    logger.info("account starts on %s, state below %s", settings.endpoint, settings.state_dir)
    await serve(application, config, shutdown_trigger=stopping.wait)


def _stop(stopping: asyncio.Event, settings: AccountSettings) -> None:
    """Begin to stop, and see to it that stopping ends."""
    stopping.set()
    deadline = threading.Timer(STOP_DEADLINE_SECONDS, end_process, [settings])
    deadline.daemon = True
    deadline.start()


def end_process(settings: AccountSettings) -> None:
    """Stop the function workers and end this process at once, threads or no threads."""
    lambda_runtime = ministack("ministack.core.lambda_runtime")
    with lambda_runtime._lock:
        workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
    lambda_runtime.kill_workers(workers)
    shutil.rmtree(settings.temporary_dir, ignore_errors=True)
    logger.info("account stopped")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _raise_open_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _quieten_loggers() -> None:
    """Keep the log to what helps: no line per request, no connection pool chatter."""
    for name in ("hypercorn.access", "werkzeug", "botocore", "boto3", "urllib3", "s3transfer", "moto"):
        logging.getLogger(name).setLevel(logging.WARNING)
