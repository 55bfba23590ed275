"""The API's document: every endpoint is in it, and it has the form that OpenAPI 3.1 asks for."""

from __future__ import annotations

import json
import re

from distributed_tracer.serve.api import ALL
from distributed_tracer.serve.encode import json_bytes
from distributed_tracer.serve.endpoint import endpoints_by_path
from distributed_tracer.serve.openapi import openapi_document

ENDPOINTS = endpoints_by_path(ALL)
DOCUMENT = json.loads(json_bytes(openapi_document(ENDPOINTS.values())))


def test_every_endpoint_is_in_the_document_with_its_parameters() -> None:
    documented = {
        (method.upper(), path): operation
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    }
    wanted = {(method, "/api/v1" + path.replace(":path}", "}")): one for (method, path), one in ENDPOINTS.items()}
    assert documented.keys() == wanted.keys()
    for key, endpoint in wanted.items():
        operation = documented[key]
        assert operation["summary"] == endpoint.summary
        assert [one["name"] for one in operation["parameters"]] == [param.name for param in endpoint.params]
        assert ("requestBody" in operation) == (endpoint.body is not None)
        assert endpoint.returns in operation["responses"]["200"]["content"]


def test_the_document_has_the_form_of_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for path, operations in DOCUMENT["paths"].items():
        assert path.startswith("/")
        for method, operation in operations.items():
            assert method in ("get", "post")
            assert operation["responses"]
            of_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert of_path == set(re.findall(r"\{(\w+)\}", path))
            places = [(one["name"], one["in"]) for one in operation["parameters"]]
            assert len(set(places)) == len(places), path
            for one in operation["parameters"]:
                assert one["in"] in ("query", "path")
                assert one["schema"]["type"] in ("string", "integer", "number", "boolean", "array")
                assert one["description"].endswith("."), f"{path}: {one['name']}"
                assert one["required"] or one["in"] == "query"
    (scheme,) = DOCUMENT["security"][0]
    assert scheme in DOCUMENT["components"]["securitySchemes"]


def test_endpoints_that_change_something_are_posts() -> None:
    for endpoint in ENDPOINTS.values():
        assert endpoint.writes <= (endpoint.method == "POST")
