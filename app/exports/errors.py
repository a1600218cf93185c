"""What exports refuse, and why."""

from app.core.errors import AppError, Conflict


class ExportNotReady(Conflict):
    """The file is still being written, or never will be: see the job."""

    code = "export_not_ready"
    vi, en = "File xuất chưa sẵn sàng", "The file is not ready"


class ExportExpired(AppError):
    """The file was deleted after its time; export again."""

    status, code = 410, "export_expired"
    vi, en = "File xuất đã hết hạn và bị xóa; vui lòng xuất lại", "The file was deleted after its time; export again"
