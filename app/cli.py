"""`chot`: the operator's commands."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, TypeVar

import typer

from app.core.clock import VIETNAM
from app.core.errors import AppError
from app.core.i18n import language
from app.core.settings import Settings, SettingsError, kept_secret, settings_or_exit
from app.embedded import EmbeddedError

T = TypeVar("T")
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
workspaces = typer.Typer(no_args_is_help=True, help="Workspaces: the companies that use this installation.")
users = typer.Typer(no_args_is_help=True, help="The people of a workspace.")
app.add_typer(workspaces, name="workspace")
app.add_typer(users, name="user")

DEMO = "demo"


@app.command()
def up() -> None:
    """Run everything from this folder until Ctrl-C: private servers, migrations, demo data, API and worker."""
    from app import supervisor

    settings = settings_or_exit()
    chot = [sys.executable, "-m", "app.cli"]
    password = settings.admin_password or kept_secret(settings.data_dir / "admin_password")[:20]
    ready = settings

    def prepare() -> dict[str, str]:
        nonlocal ready
        # Servers that start have us wait as long as this import takes.
        Thread(target=import_module, args=["app.core.migrate"]).start()
        ready = with_servers(settings)
        from app.core.migrate import prepare_database

        _run(prepare_database(ready))
        return {
            "CHOT_DATABASE_URL": str(ready.database_url),
            "CHOT_REDIS_URL": str(ready.redis_url),
            "CHOT_SECRET_KEY": ready.secret.decode(),
        }

    def seed() -> None:
        from app.demo.mark import is_whole

        if settings.demo and not _run(is_whole(ready, DEMO)):
            _run(_seed(ready, DEMO, password, 20_000))

    url = base_url(settings)

    def banner() -> str:
        signed = f"Workspace  {DEMO}\nUser       admin\nPassword   {password}" if settings.demo else "No demo data."
        return f"Chốt runs.\n\nURL        {url}/api/v1\nDocs       {url}/docs\n{signed}"

    raise SystemExit(
        supervisor.up(
            port=settings.port,
            host=settings.host,
            data_dir=settings.data_dir,
            start_api=[*chot, "serve"],
            start_worker=[*chot, "worker"],
            env={"CHOT_PORT": str(settings.port), "CHOT_DATA_DIR": str(settings.data_dir.resolve())},
            ready_url=f"{url}/health/ready",
            banner=banner,
            prepare=prepare,
            meanwhile=seed,
            private_servers=not (settings.database_url and settings.redis_url),
        )
    )


@app.command()
def serve() -> None:
    """Run the API."""
    import uvicorn

    from app.core import log
    from app.main import create_app

    settings = with_servers(settings_or_exit())
    log.configure(settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        # The application does it itself, for the proxies that the settings name.
        proxy_headers=False,
        timeout_graceful_shutdown=25,
        # Longer than proxies and apps keep an idle connection, mostly a minute: whoever closes it first should be they,
        # or a request that is on its way at this moment is lost.
        timeout_keep_alive=75,
    )


@app.command()
def worker() -> None:
    """Run a worker: imports and all other background work."""
    from workers.main import serve as work

    asyncio.run(work(with_servers(settings_or_exit())))


@app.command()
def migrate() -> None:
    """Make the roles and bring the schema to the newest version."""
    from app.core.migrate import prepare_database

    _run(prepare_database(with_servers(settings_or_exit())))
    typer.echo("The database is up to date.")


@app.command()
def seed(
    customers: Annotated[int, typer.Option(min=0, max=2_000_000)] = 20_000,
    slug: Annotated[str, typer.Option(help="The workspace to make and fill.")] = DEMO,
) -> None:
    """Make a workspace full of invented customers, unless it exists; one that was left half made is completed."""
    settings = with_servers(settings_or_exit())
    password = settings.admin_password or kept_secret(settings.data_dir / "admin_password")[:20]
    made = _run(_seed(settings, slug, password, customers))
    typer.echo(f"Workspace {slug} made." if made else f"Workspace {slug} exists already.")


@app.command()
def doctor() -> None:
    """Look for rows that must not exist; ends with code 1 when there are any."""
    from app.doctor import examine

    findings = _run(examine(str(with_servers(settings_or_exit()).database_url)))
    for finding in findings:
        typer.echo(str(finding))
    if findings:
        raise SystemExit(1)
    typer.echo("Nothing wrong was found.")


@app.command()
def openapi(target: Annotated[Path, typer.Argument()] = Path("openapi/openapi.json")) -> None:
    """Write the contract."""
    from app.core import contract
    from app.main import create_app

    target.write_text(contract.as_text(create_app(Settings(database_url=None))))
    typer.echo(f"{target} written.")


@workspaces.command("create")
def create_workspace(
    slug: str,
    name: Annotated[str, typer.Option(help="The company's name.")],
    admin_password: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Password of the user admin.")],
    timezone: Annotated[str, typer.Option(help="IANA name of the zone where its days begin.")] = VIETNAM.key,
) -> None:
    """Make a workspace with its first user, `admin`."""
    from app.core.owner import owner_database
    from app.identity import workspaces as service
    from app.seeding import SEEDERS

    async def make() -> None:
        async with owner_database(with_servers(settings_or_exit())) as db:
            await service.create_workspace(
                db, slug=slug, name=name, admin_password=admin_password, timezone=timezone, seed_workspace=SEEDERS
            )

    _run(make())
    typer.echo(f"Workspace {slug} made; sign in as admin.")


@workspaces.command("list")
def list_workspaces() -> None:
    """List the workspaces."""
    from app.core.owner import owner_database
    from app.identity import workspaces as service

    async def read() -> list[tuple[Any, str, str]]:
        async with owner_database(with_servers(settings_or_exit())) as db:
            return await service.list_workspaces(db)

    for _, slug, name in _run(read()):
        typer.echo(f"{slug}\t{name}")


@users.command("create")
def create_user(
    slug: str,
    username: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True)],
    full_name: Annotated[str, typer.Option()] = "",
    role: Annotated[str, typer.Option(help="administrator, manager or sale")] = "sale",
) -> None:
    """Add a user to a workspace."""
    from app.core.owner import owner_database
    from app.identity import workspaces as service

    async def make() -> None:
        async with owner_database(with_servers(settings_or_exit())) as db:
            await service.create_user(
                db,
                slug,
                username=username,
                password=password,
                full_name=full_name or username,
                role=role,  # type: ignore[arg-type]
            )

    _run(make())
    typer.echo(f"User {username} added to {slug}.")


@users.command("password")
def set_password(
    slug: str, username: str, password: Annotated[str, typer.Option(prompt=True, hide_input=True)]
) -> None:
    """Set a user's password and end their sessions."""
    from app.core.owner import owner_database
    from app.identity import workspaces as service

    async def change() -> None:
        async with owner_database(with_servers(settings_or_exit())) as db:
            await service.set_password(db, slug, username, password)

    _run(change())
    typer.echo(f"The password of {username} is set.")


@users.command("list")
def list_users(slug: str) -> None:
    """List the users of a workspace."""
    from app.core.owner import owner_database
    from app.identity import workspaces as service

    async def read() -> list[Any]:
        async with owner_database(with_servers(settings_or_exit())) as db:
            return await service.list_users(db, slug)

    for user in _run(read()):
        typer.echo("\t".join(str(part) for part in user))


@workspaces.callback()
@users.callback()
def in_english() -> None:
    """What these commands refuse is said in the language of the command line; the product's own is Vietnamese."""
    language.set("en")


def base_url(settings: Settings) -> str:
    """Where the API listens."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def with_servers(settings: Settings) -> Settings:
    """The settings, completed by the private servers where none of one's own are named."""
    if settings.database_url and settings.redis_url:
        return settings
    from app import embedded

    servers = embedded.ensure(settings.data_dir)
    secret = settings.secret_key or (None if settings.database_url else kept_secret(settings.data_dir / "secret"))
    return settings.model_copy(
        update={
            "database_url": settings.database_url or servers.database_url,
            "redis_url": settings.redis_url or servers.redis_url,
            "secret_key": secret,
        }
    )


def main() -> None:
    """The entry point: refusals and bad settings end as one line, not as a traceback."""
    try:
        app()
    except (SettingsError, EmbeddedError, AppError) as error:
        lines = (
            [error.message("en"), *(f"{one.field}: {one.message}" for one in error.errors)]
            if isinstance(error, AppError)
            else [str(error)]
        )
        print("chot: " + "; ".join(lines), file=sys.stderr)
        raise SystemExit(2) from None


async def _seed(settings: Settings, slug: str, password: str, customers: int) -> bool:
    from app.core.owner import owner_database
    from app.demo.seed import complete_demo, seed_demo
    from app.identity import workspaces as service

    async with owner_database(settings) as db:
        if tenant_id := await service.find_workspace(db, slug):
            return await complete_demo(db, tenant_id, password=password, customers=customers)
        await seed_demo(db, slug=slug, password=password, customers=customers)
        return True


def _run(work: Coroutine[Any, Any, T]) -> T:
    os.environ.setdefault("PYTHONUTF8", "1")
    return asyncio.run(work)


if __name__ == "__main__":
    main()
