"""Where the files of exports lie in the blob store."""

from uuid import UUID


def folder(tenant_id: UUID, export_id: UUID) -> str:
    """The prefix of everything that an export keeps."""
    return f"exports/{tenant_id}/{export_id}"


def result(tenant_id: UUID, export_id: UUID, kind: str) -> str:
    """The file itself."""
    return f"{folder(tenant_id, export_id)}/customers.{kind}"
