"""Settings of the process: environment variables named CHOT_*, checked once at the start."""

import os
import secrets
import sys
import tempfile
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

MIN_SECRET_BYTES = 32
# What a database's URL may say behind its "?". The driver's own words for TLS, and libpq's for a socket.
TLS_MEMBERS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
URL_MEMBERS = frozenset((*TLS_MEMBERS, "host", "port"))


class Settings(BaseSettings):
    """Everything an operator may set. Sizes are bytes, durations seconds."""

    model_config = SettingsConfigDict(env_prefix="CHOT_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    data_dir: Path = Path(".data")
    admin_password: str | None = None
    demo: bool = True
    database_url: str | None = None
    app_database_url: str | None = None
    redis_url: str | None = None
    blob_url: str | None = None
    secret_key: str | None = None
    cors_origins: Annotated[list[str], NoDecode] = []
    trusted_proxies: Annotated[list[str], NoDecode] = ["127.0.0.1", "::1"]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    pool_size: int = Field(16, ge=1, le=500)
    pool_wait: float = Field(5.0, gt=0)
    statement_timeout: int = Field(30, ge=1)
    max_body: int = Field(1_000_000, ge=1_000)
    max_upload: int = Field(200_000_000, ge=1_000)
    access_token_lifetime: int = Field(600, ge=30, le=3600)
    refresh_token_lifetime: int = Field(30 * 86400, ge=3600)
    rate_limit_per_minute: int = Field(3000, ge=0, description="Requests of one user or key; 0 is no limit.")
    rate_limit_workspace_per_minute: int = Field(30000, ge=0)
    job_lease: float = Field(20.0, ge=0.5, le=300, description="A worker silent for so long has lost its job.")
    upload_retention_days: int = Field(30, ge=1)

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for one in value:
            try:
                ip_network(one)
            except ValueError as error:
                # Also "*": then callers would choose the address by which their failed sign-ins are counted.
                raise ValueError(f"{one} is neither an address nor a network such as 10.1.0.0/16") from error
        return value

    @field_validator("secret_key")
    @classmethod
    def _long_secret(cls, value: str | None) -> str | None:
        if value is not None and len(value.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"must hold at least {MIN_SECRET_BYTES} bytes")
        return value

    @field_validator("database_url", "app_database_url")
    @classmethod
    def _postgres_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = make_url(value)
        except ArgumentError as error:
            raise ValueError("is not a database URL: postgresql://user:password@host:5432/name") from error
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise ValueError("must be a postgresql:// URL")
        if unknown := sorted(set(url.query) - URL_MEMBERS):
            raise ValueError(f"{', '.join(unknown)} is not understood here; {', '.join(sorted(URL_MEMBERS))} are")
        return value

    @cached_property
    def secret(self) -> bytes:
        """The installation's secret: CHOT_SECRET_KEY, or a random one kept in the data folder."""
        if self.secret_key:
            return self.secret_key.encode()
        if self.database_url:
            raise SettingsError("CHOT_SECRET_KEY is needed with a database of your own (32 bytes or more)")
        return kept_secret(self.data_dir / "secret").encode()


class SettingsError(Exception):
    """A setting that stops the start; its text is the one line that the operator reads."""


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment.

    Raises:
        SettingsError: a value is bad; the text names the variable and the rule.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "CHOT_" + str(first["loc"][0]).upper() if first["loc"] else "CHOT_*"
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def settings_or_exit() -> Settings:
    """Settings for a command: a bad one prints one line and ends the process with code 2."""
    try:
        settings = load_settings()
        _ = settings.secret
    except SettingsError as error:
        print(f"chot: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    return settings


def kept_secret(path: Path) -> str:
    """A random secret that is made once and kept in a file only its owner may read.

    Raises:
        SettingsError: the file holds less than a secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(48))
    secret = path.read_text().strip()
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"{path} holds no secret of {MIN_SECRET_BYTES} bytes: put back a copy, or delete the file")
    return secret


def driver_url(url: str) -> URL:
    """The same database through asyncpg, whatever driver the operator's URL names. TLS is told by `tls`."""
    return _parsed(url).set(drivername="postgresql+asyncpg").difference_update_query(TLS_MEMBERS)


def plain_url(url: str) -> str:
    """The same as the bare driver reads it, TLS included."""
    return _parsed(url).render_as_string(hide_password=False)


def tls(url: str) -> dict[str, str]:
    """What the driver's `connect` needs beside `driver_url`: SQLAlchemy would hand `sslmode` on as an argument, which
    it is not."""
    members = {name: value for name, value in _parsed(url).query.items() if name in TLS_MEMBERS}
    return {"dsn": URL.create("postgresql", query=members).render_as_string()} if members else {}


def _parsed(url: str) -> URL:
    return make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql")


def _write_once(path: Path, content: str) -> None:
    """Writes a whole file, or none: a full disk leaves no empty one, and of two processes the first one's stays."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
