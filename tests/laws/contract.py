"""The contract as the laws walk it: every operation, and every place in it where an id may stand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from app.core.settings import Settings
from app.main import create_app

METHODS = ("get", "post", "put", "patch", "delete")
MENTIONS_ID = re.compile(r"\bids?\b")


@dataclass(frozen=True)
class Spot:
    """A place in a request where an id may stand: a path or query parameter, or a member of the body. `of` is the field
    that the id is a value of, in the filter tree that stands there; or the bulk action that reads the member."""

    where: Literal["path", "query", "body", "tree"]
    name: str
    of: str = ""

    def __str__(self) -> str:
        return f"{self.where}.{self.name}{f' of {self.of}' if self.of else ''}"


@dataclass(frozen=True)
class Operation:
    """One operation of the contract. `raw` is its part of the document, with references followed one level."""

    id: str
    method: str
    path: str
    raw: dict[str, Any]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Path, query and header parameters."""
        return [resolve(parameter) for parameter in self.raw.get("parameters", [])]

    def names(self, where: str) -> list[str]:
        """The names of the parameters in path, query or header, in lower case for headers."""
        found = (p["name"] for p in self.parameters if p["in"] == where)
        return [name.lower() if where == "header" else name for name in found]

    @property
    def takes_key(self) -> bool:
        """Whether the operation takes an Idempotency-Key."""
        return "idempotency-key" in self.names("header")

    @property
    def needs_key(self) -> bool:
        """Whether it takes no call without one."""
        return any(p["name"] == "Idempotency-Key" and p["required"] for p in self.parameters)

    @property
    def needs_version(self) -> bool:
        """Whether the operation takes an If-Match."""
        return "if-match" in self.names("header")

    @property
    def secured(self) -> bool:
        """Whether somebody must be signed in."""
        return bool(self.raw.get("security"))

    @property
    def mutates(self) -> bool:
        """Whether the method promises a change."""
        return self.method != "get"

    @property
    def body(self) -> tuple[str, dict[str, Any]] | None:
        """Content type and schema of the request body."""
        if "requestBody" not in self.raw:
            return None
        ((kind, content),) = resolve(self.raw["requestBody"])["content"].items()
        return kind, resolve(content["schema"])

    @property
    def example(self) -> Any:
        """The contract's example of the body, None where it has none."""
        if self.body is None:
            return None
        kind, schema = self.body
        content = resolve(self.raw["requestBody"])["content"][kind]
        if "example" in content:
            return content["example"]
        if "example" in schema:
            return schema["example"]
        examples = schema.get("examples") or [one["value"] for one in content.get("examples", {}).values()]
        return examples[0] if examples else None

    def spots(self) -> Iterator[Spot]:
        """Every place where an id may stand, and the cursor, which holds one."""
        for parameter in self.parameters:
            schema = resolve(parameter.get("schema", {}))
            if parameter["in"] == "path":
                yield Spot("path", parameter["name"])
            elif parameter["in"] == "query" and (
                parameter["name"] == "cursor" or _may_hold_id(parameter["name"], {**schema, **parameter})
            ):
                yield Spot("query", parameter["name"])
        if self.body is not None and self.body[0] == "application/json":
            for name, member in _members(self.body[1], "", 0):
                if name == "cursor" or _may_hold_id(name.rpartition(".")[2], member):
                    yield Spot("body", name + ("[]" if _is_list(member) else ""))

    def trees(self) -> list[str]:
        """The members of the body that hold a filter tree, which is any JSON."""
        if self.body is None or self.body[0] != "application/json":
            return []
        members = _members(self.body[1], "", 0)
        return [name for name, member in members if name.endswith("filter") and not {"type", "anyOf"} & set(member)]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


@cache
def document() -> dict[str, Any]:
    """The contract as the code makes it now."""
    return create_app(
        Settings(database_url="postgresql://nobody@127.0.0.1:1/none", redis_url="redis://127.0.0.1:1")
    ).openapi()


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation of the contract."""
    return tuple(
        Operation(raw["operationId"], method, path, raw)
        for path, item in document()["paths"].items()
        for method, raw in item.items()
        if method in METHODS
    )


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """What a $ref points to; other nodes as they are."""
    if "$ref" not in node:
        return node
    found: Any = document()
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**resolve(found), **{key: value for key, value in node.items() if key != "$ref"}}


def _members(schema: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every member of a body and of the objects in it, with its schema: `owner`, `group.id`."""
    if depth > 6:
        return
    for part in (*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])):
        yield from _members(resolve(part), prefix, depth + 1)
    for name, given in schema.get("properties", {}).items():
        member = resolve(given)
        yield f"{prefix}{name}", member
        yield from _members(member, f"{prefix}{name}.", depth + 1)


def _may_hold_id(name: str, schema: dict[str, Any]) -> bool:
    kinds = [resolve(part) for part in (*schema.get("anyOf", []), *schema.get("oneOf", []))] or [schema]
    if any(_is_uuid(kind) or _is_uuid(resolve(kind.get("items", {}))) for kind in kinds):
        return True
    holds_text = any(
        kind.get("type") == "string" or resolve(kind.get("items", {})).get("type") == "string" for kind in kinds
    )
    named = name == "id" or name.endswith(("_id", "_ids"))
    return holds_text and (named or bool(MENTIONS_ID.search(schema.get("description", "").lower())))


def _is_uuid(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "uuid"


def _is_list(schema: dict[str, Any]) -> bool:
    kinds = [resolve(part) for part in (*schema.get("anyOf", []), *schema.get("oneOf", []))] or [schema]
    return any(kind.get("type") == "array" for kind in kinds)
