"""The contract: the OpenAPI document that FastAPI makes, with our errors and security in it."""

import json
from collections.abc import Callable
from inspect import isfunction
from typing import Any, get_type_hints

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from app.core.errors import Problem

DESCRIPTION: dict[str, Any] = {
    "title": "Chốt API",
    "version": "1.0.0",
    "summary": "Telesales CRM backend for Vietnamese companies",
    "description": (
        "Sign in with `POST /api/v1/auth/login` and send `Authorization: Bearer …`, or send an API key as "
        "`X-API-Key`. Errors are `application/problem+json` with a stable `code`; texts follow `Accept-Language` "
        "(Vietnamese by default). A record's `ETag` is its version: send it as `If-Match` to change the record. "
        "Any POST may carry an `Idempotency-Key`; those that start work which a repetition would do again need one."
    ),
    "license_info": {"name": "Proprietary", "identifier": "LicenseRef-Proprietary"},
    "servers": [{"url": "/"}],
}


def install(app: FastAPI) -> None:
    """Makes `app.openapi` answer our document, built once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def build(app: FastAPI) -> dict[str, Any]:
    """The document: FastAPI's, with every refusal as a Problem instead of FastAPI's own shapes."""
    document = get_openapi(**DESCRIPTION, routes=app.routes, openapi_version="3.1.0")
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    access = {route.unique_id: found for route in iter_route_contexts(app.routes) if (found := _access(route))}
    schemes = {name: scheme for one in access.values() for name, scheme in one.security.items()}
    document["components"]["securitySchemes"] = schemes
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            found = access.get(operation["operationId"])
            if found is not None:
                operation["security"] = [{name: []} for name in found.security]
            if method == "post" and path.startswith("/api/"):
                once = found is not None and found.once
                operation.setdefault("parameters", []).append({**IDEMPOTENCY, "required": once})
                if once:
                    operation["responses"]["400"] = {}
            _name_refusals(path, method, operation)
            _describe_streams(operation)
    return document


def _access(route: Any) -> Any:
    """What an endpoint asks of its caller: the permission in its signature."""
    return _access_of(route.original_route.endpoint) if isinstance(route.original_route, APIRoute) else None


def _access_of(call: Callable[..., Any]) -> Any:
    """The same of a dependency, which may have its permission from another."""
    for hint in get_type_hints(call, include_extras=True).values():
        for note in getattr(hint, "__metadata__", ()):
            dependency = getattr(note, "dependency", None)
            if hasattr(dependency, "security"):
                return dependency
            if isfunction(dependency) and (found := _access_of(dependency)):
                return found
    return None


def _describe_streams(operation: dict[str, Any]) -> None:
    """Server-Sent Events as tools for OpenAPI 3.1 read them: one event's schema. `itemSchema` came with 3.2."""
    for reply in operation["responses"].values():
        stream = reply.get("content", {}).get("text/event-stream", {})
        if "itemSchema" in stream:
            stream["schema"] = stream.pop("itemSchema")


def _name_refusals(path: str, method: str, operation: dict[str, Any]) -> None:
    statuses = {status for status in operation["responses"] if status[0] in "45"}
    if path.startswith("/api/"):
        statuses |= {"422", "429", "503", "500"}
        if operation.get("security"):
            statuses |= {"401", "403"}
        if "requestBody" in operation:
            statuses |= {"413"}
        if "{" in path:
            statuses |= {"404"}
        if any(parameter["name"].lower() == "if-match" for parameter in operation.get("parameters", ())):
            statuses |= {"409", "412", "428"}
        if method == "post":
            statuses |= {"409"}
    for status in sorted(statuses):
        said = BUSY_KEY if (method, status) == ("post", "409") else REFUSALS.get(status, "Refused")
        operation["responses"][status] = {
            "description": said,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }


IDEMPOTENCY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Repeating the POST with the same key has one effect and gets the first reply.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
BUSY_KEY = "Conflict, or the same Idempotency-Key is still running"
REFUSALS = {
    "400": "Bad request",
    "401": "Not signed in, or no longer",
    "403": "The permission is missing",
    "404": "No such record for this caller",
    "409": "Conflict",
    "412": "The record has changed since it was read",
    "413": "The body is too large",
    "415": "The content type is not supported",
    "422": "Some values are not valid",
    "428": "If-Match is missing",
    "429": "Over the rate limit",
    "500": "A fault of ours",
    "503": "Busy or restarting",
    "507": "The disk is full",
}


def as_text(app: FastAPI) -> str:
    """The document as it is committed: stable order, one member a line."""
    return json.dumps(app.openapi(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
