"""Deleting the files of exports after their time; who took what stays told."""

from uuid import UUID

from sqlalchemy import select, update

from app.core.clock import now
from app.core.resources import Resources
from app.exports import files
from app.exports.models import Export

AT_ONCE = 100


async def delete_old_exports(resources: Resources, tenant_id: UUID) -> int:
    """Deletes the files whose time is over; answers of how many exports."""
    deleted = 0
    while True:
        async with resources.db.transaction(tenant_id) as session:
            old = list(
                await session.scalars(
                    select(Export.id).where(Export.expires_at <= now(), Export.file_deleted_at.is_(None)).limit(AT_ONCE)
                )
            )
        for export_id in old:
            # The mark comes last, so that nothing is forgotten.
            await resources.blobs.delete_all(files.folder(tenant_id, export_id))
            async with resources.db.transaction(tenant_id) as session:
                await session.execute(
                    update(Export)
                    .where(Export.id == export_id)
                    .values(file_deleted_at=now(), version=Export.version + 1, updated_at=now())
                )
        deleted += len(old)
        if len(old) < AT_ONCE:
            return deleted
