"""The OpenAPI document of the API, made of what the endpoints declare."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .endpoint import Endpoint, Param

_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
_ERROR = {
    "description": "What was wrong, in words.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "error": {
                        "type": "object",
                        "properties": {"kind": {"type": "string"}, "message": {"type": "string"}},
                    }
                },
            }
        }
    },
}


def openapi_document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the document, of OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = "/api/v1" + re.sub(r"\{(\w+):path\}", r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "distributed_tracer serve", "version": "1"},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _operation(endpoint: Endpoint, path: str) -> dict[str, Any]:
    ok = {"description": endpoint.summary, "content": {endpoint.returns: {}}}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "tags": list(endpoint.tags),
        "parameters": [_parameter(param, path) for param in endpoint.params],
        "responses": {"200": ok, "4XX": _ERROR, "5XX": _ERROR},
    }
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(endpoint.body)}}}
    return operation


def _parameter(param: Param, path: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES.get(param.kind, "string")}
    if param.kind == "strings":
        schema = {"type": "array", "items": {"type": "string"}}
    bounds = {"minimum": param.least, "maximum": param.most, "enum": list(param.choices) or None}
    schema |= {name: value for name, value in bounds.items() if value is not None}
    if param.default is not None:
        schema["default"] = param.default
    in_path = f"{{{param.name}}}" in path
    return {
        "name": param.name,
        "in": "path" if in_path else "query",
        "required": param.required or in_path,
        "description": param.help,
        "schema": schema,
    }
