"""Where the files of an import lie in the blob store. Names are made of ids only."""

from uuid import UUID


def folder(tenant_id: UUID, import_id: UUID) -> str:
    """The prefix of everything that an import keeps."""
    return f"imports/{tenant_id}/{import_id}"


def source(tenant_id: UUID, import_id: UUID) -> str:
    """The file as it was uploaded."""
    return f"{folder(tenant_id, import_id)}/source"


def rows(tenant_id: UUID, import_id: UUID) -> str:
    """The prefix of all chunks."""
    return f"{folder(tenant_id, import_id)}/rows"


def chunk(tenant_id: UUID, import_id: UUID, sheet: int, number: int) -> str:
    """A part of a sheet's rows, as reading hands it over."""
    return f"{rows(tenant_id, import_id)}/{sheet}/{number:06d}"


def seen(tenant_id: UUID, import_id: UUID, run: int, number: int) -> str:
    """What the normaliser learned from a chunk about the whole file."""
    return f"{folder(tenant_id, import_id)}/seen/{run}/{number:06d}"


def result(tenant_id: UUID, import_id: UUID, run: int) -> str:
    """The result file after so many runs and undos."""
    return f"{folder(tenant_id, import_id)}/result/{run}.xlsx"
