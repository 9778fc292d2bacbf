"""Joins the local HealthLake to ministack: requests, events, CloudFormation, state.

Requests reach it by credential scope `healthlake`, by X-Amz-Target, and by path. They are answered in worker
threads, so that neither SQLite nor a call back into the account holds up the event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from local.account.joined_service import Answer, Handler, join_service
from local.account.ministack_names import ministack
from local.account.settings import ACCOUNT_ID, DEFAULT_REGION, HOST
from local.healthlake import admin_api, rest_api
from local.healthlake.account_access import AccountAuthorizer
from local.healthlake.datastore_resource import TYPE, DatastoreResource
from local.healthlake.http_types import Request
from local.healthlake.job_events import DeliverEvent, Event
from local.healthlake.json_api import TARGET_PREFIX
from local.healthlake.role_clients import RoleClients
from local.healthlake.service import HealthLakeService, ServiceConfig
from local.healthlake.signature import SignatureCheck

SERVICE = "healthlake"


def register(port: int, data_dir: Path) -> HealthLakeService:
    """Serve HealthLake on the account's port, with its files in `data_dir`; returns the running service.

    The rest of the account starts empty, so datastores of an earlier process, whose stacks are gone, are
    dropped, unless ministack keeps its state too (PERSIST_STATE=1).
    """
    endpoint = f"http://{HOST}:{port}"
    region = os.environ.get("MINISTACK_REGION", DEFAULT_REGION)
    account_id = os.environ.get("MINISTACK_ACCOUNT_ID", ACCOUNT_ID)
    clients = RoleClients(endpoint, region, account_id)
    service = HealthLakeService(
        ServiceConfig(
            directory=data_dir,
            base_url=endpoint,
            put_object=clients.put_object,
            object_reader=clients,
            deliver_event=event_bus(region, account_id),
            authorizer=AccountAuthorizer(clients, region, account_id, SignatureCheck()),
            region=region,
            account_id=account_id,
        )
    )
    if os.environ.get("PERSIST_STATE") != "1":
        service.reset()
    _join_requests(service)
    provisioners = ministack("ministack.services.cloudformation.provisioners")
    provisioners._RESOURCE_HANDLERS[TYPE] = DatastoreResource(service.datastores).handlers()
    return service


def request_handler(service: HealthLakeService) -> Handler:
    """ministack's form of a service: an async function of the request's parts."""

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Answer:
        query = urlencode(query_params, doseq=True, quote_via=quote, safe=":/,")
        request = Request(method, path, quote(path), query, headers, body)
        response = await asyncio.to_thread(service.handle, request)
        return response.status, dict(response.headers), response.body

    return handle_request


def event_bus(region: str, account_id: str) -> DeliverEvent:
    """Delivers events to the rules of the account's default bus, on ministack's event loop.

    PutEvents refuses aws.* sources from clients; ministack's own services dispatch past it, and so does this.
    """

    async def dispatch(_method: str, _path: str, _headers: object, body: bytes, _query: object) -> None:
        responses = ministack("ministack.core.responses")
        responses.set_request_account_id(account_id)
        responses.set_request_region(region)
        ministack("ministack.services.eventbridge")._dispatch_event(json.loads(body))

    def deliver(event: Event) -> None:
        record = bus_record(event)
        ministack("ministack.app").call_service_handler_sync(
            dispatch, "POST", "/", {}, json.dumps(record).encode(), {}, 60
        )

    return deliver


def bus_record(event: Event) -> dict[str, Any]:
    """The event in the form that ministack's event buses hold."""
    return {
        "EventId": event["id"],
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "EventBusName": "default",
        "Time": int(datetime.fromisoformat(event["time"]).timestamp()),
        "Resources": event["resources"],
        "Account": event["account"],
        "Region": event["region"],
    }


def _join_requests(service: HealthLakeService) -> None:
    ministack("ministack.core.router").SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": [TARGET_PREFIX],
        "host_patterns": [r"healthlake\."],
    }
    paths = (rest_api.PREFIX, admin_api.PREFIX)
    join_service(SERVICE, request_handler(service), paths, service.reset)
