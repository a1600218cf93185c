"""Deleting the files of imports after their time; what became of the rows stays."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from app.core.clock import now
from app.core.resources import Resources
from app.imports import files
from app.imports.models import Import

LIVE = ("reading", "queued")
AT_ONCE = 100


async def delete_old_files(resources: Resources, tenant_id: UUID) -> int:
    """Deletes uploads, their chunks and results that are older than the settings keep them; answers of how many."""
    before, deleted = now() - timedelta(days=resources.settings.upload_retention_days), 0
    while True:
        async with resources.db.transaction(tenant_id) as session:
            old = list(
                await session.scalars(
                    select(Import.id)
                    .where(Import.created_at < before, Import.files_deleted_at.is_(None), Import.state.not_in(LIVE))
                    .limit(AT_ONCE)
                )
            )
        for import_id in old:
            # The mark comes last, so that nothing is forgotten; a start in between fails for want of the files.
            await resources.blobs.delete_all(files.folder(tenant_id, import_id))
            async with resources.db.transaction(tenant_id) as session:
                await session.execute(
                    update(Import)
                    .where(Import.id == import_id)
                    .values(files_deleted_at=now(), version=Import.version + 1)
                )
        deleted += len(old)
        if len(old) < AT_ONCE:
            return deleted
