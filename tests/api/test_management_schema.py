"""What the OpenAPI says of the whole management plane, held against a gateway over a real socket: schemathesis makes
requests of it, sound ones and unsound ones, and judges the answers by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.edited import BEFORE, KEY
from support.gateway import Gateway

from omniroute.api import ENDPOINTS, openapi

LEFT_OUT = {
    "/api/shutdown": "ends the process",
    "/api/restart": "ends the process",
    "/api/auth/logout": "ends nothing here, for there is no session",
    "/api/cloud/bundle": "puts another configuration in the place of this one, without the key that asks",
    "/api/sync/cloud": "connects to where the body says",
    "/api/sync/initialize": "connects to where the body says",
}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "3"))
"""Of each operation, in the tests of a commit."""
SCHEMA = schemathesis.openapi.from_dict(openapi.describe([row for row in ENDPOINTS if row.path not in LEFT_OUT]))
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    config = BEFORE.replace("{data}", "{data_dir}") + f"cli_tools: {{home: {home}}}\n"
    with Gateway(config, LAB_KEY="x") as one:
        yield one


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_what_the_description_says(gateway: Gateway, label: str):
    operation: Any = OPERATIONS[label]
    with requests.Session() as session:
        session.trust_env = False
        session.headers["authorization"] = f"Bearer {KEY}"

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)))
        def judge(case: Any) -> None:
            case.call_and_validate(
                base_url=gateway.url, session=session, checks=CHECKS, timeout=20, allow_redirects=False
            )

        judge()
    assert gateway.process.poll() is None


def test_the_examples_of_the_description_are_bodies_that_it_takes(gateway: Gateway):
    """They are what people copy, so none of them is malformed."""
    with requests.Session() as session:
        session.trust_env = False
        for row in ENDPOINTS:
            if (
                row.told.example is None
                or row.told.query is None
                or "dry_run" not in row.told.query.__struct_encode_fields__
            ):
                continue
            path = row.path.replace("{id}", "nothing-of-this-name")
            reply = session.request(
                row.method,
                f"{gateway.url}{path}?dry_run=1",
                json=row.told.example,
                headers={"authorization": f"Bearer {KEY}"},
                timeout=20,
            )
            assert reply.status_code in (200, 201, 404, 409), (row.method, row.path, reply.text)
