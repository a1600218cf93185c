"""The Makefile, the image and the compose file, as far as they can be proven without Docker."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from app import embedded
from app.core import health
from app.core.settings import load_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = ("api", "worker", "migrate")


def test_the_image_runs_as_an_ordinary_user() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", final, re.MULTILINE) == ["10001:10001"]
    assert final.index("USER ") < final.index("ENTRYPOINT ")
    assert "--uid 10001" in final


def test_the_image_copies_only_what_stands_here_and_passes_the_ignore_file() -> None:
    build = DOCKERFILE.partition("\nFROM ")[0] + DOCKERFILE.partition("AS build")[2].partition("\nFROM ")[0]
    sources = [word for line in re.findall(r"^COPY (.+)", build, re.MULTILINE) for word in line.split()[:-1]]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(sources) == kept
    assert [name for name in sources if not (ROOT / name).exists()] == []


def test_the_ports_agree() -> None:
    inside = re.search(r"CHOT_PORT=(\d+)", DOCKERFILE)
    assert inside
    port = inside[1]
    assert re.findall(r"^EXPOSE (\d+)", DOCKERFILE, re.MULTILINE) == [port]
    assert f"http://127.0.0.1:{port}/health/live" in DOCKERFILE
    assert COMPOSE["services"]["api"]["ports"] == [f"127.0.0.1:${{CHOT_PORT:-{port}}}:{port}"]
    assert [name for name in OURS if "ports" in COMPOSE["services"][name]] == ["api"]


def test_the_image_asks_a_health_path_that_exists() -> None:
    assert "/health/live" in {getattr(route, "path", None) for route in health.router.routes}


def test_every_command_is_one_of_chots() -> None:
    entry = re.search(r"^ENTRYPOINT (\[.+\])\nCMD (\[.+\])", DOCKERFILE, re.MULTILINE)
    assert entry
    module = yaml.safe_load(entry[1])[1:]
    wanted = {yaml.safe_load(entry[2])[0], *(COMPOSE["services"][name]["command"][0] for name in OURS)}
    shown = run(sys.executable, *module, "--help", env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"})
    offered = set(re.findall(r"^\W*(\w+)\s", shown, re.MULTILINE))
    assert wanted <= offered
    assert wanted == {"serve", "worker", "migrate"}


def test_the_proxy_in_front_is_believed() -> None:
    """Else every caller has the address of the containers' gateway, and failed sign-ins of one lock out all."""
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert COMPOSE["services"]["api"]["environment"]["CHOT_TRUSTED_PROXIES"] == network["subnet"]
    default = re.fullmatch(r"\$\{CHOT_SUBNET:-(.+)\}", network["subnet"])
    assert default
    assert load_settings(trusted_proxies=default[1]).trusted_proxies == [default[1]]


def test_no_secret_has_a_default() -> None:
    variables = re.findall(r"\$\{([^}]*)\}", (ROOT / "compose.yaml").read_text())
    secrets = {variable for variable in variables if re.search("PASSWORD|SECRET", variable)}
    assert {secret.partition(":?")[0] for secret in secrets} == {
        "CHOT_SECRET_KEY",
        "POSTGRES_PASSWORD",
        "VALKEY_PASSWORD",
    }
    assert not re.search(r"(?i)(password|secret)\w*=\S", DOCKERFILE)


def test_nothing_starts_before_the_schema_stands() -> None:
    services = COMPOSE["services"]
    for name in ("api", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert services["migrate"]["restart"] == "no"


def test_compose_has_the_servers_that_the_private_pair_has() -> None:
    """The same major versions and the same locale, on which Vietnamese trigrams depend."""
    postgres, valkey = COMPOSE["services"]["postgres"], COMPOSE["services"]["valkey"]
    private = run(str(embedded.binaries().postgres / "postgres"), "--version")
    assert postgres["image"] == "postgres:" + private.split()[-1].split(".")[0]
    private = run(str(embedded.binaries().valkey_server), "--version")
    assert valkey["image"] == "valkey/valkey:" + re.findall(r"v=(\d+)", private)[0]
    locale = {option for option in embedded.INITDB if "locale" in option or "ctype" in option}
    assert sys.platform == "darwin" or locale <= set(postgres["environment"]["POSTGRES_INITDB_ARGS"].split())


def test_ci_runs_the_gate_and_the_gate_runs_the_tests() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    run("bash", "-n", ".ci/run")
    assert "make gate" in (ROOT / ".ci" / "run").read_text()
    gate = run("make", "--dry-run", "--always-make", "gate")
    for step in ("ruff check", "ruff format --check", "mypy", "lint-imports", "-m pytest"):
        assert step in gate
    assert run("make", "--dry-run", "test").splitlines()[-1] in gate.splitlines()


def test_up_installs_only_what_runs() -> None:
    steps = run("make", "--dry-run", "--always-make", "up")
    assert "-r requirements.txt" in steps
    assert "requirements-dev.txt" not in steps
    assert steps.rstrip().endswith("-m app.cli up")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-boot.txt"])
def test_locks_are_hashed_and_name_no_address(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert [line for line in lines if "://" in line or line.startswith("-")] == []
    pins = [number for number, line in enumerate(lines) if not line.startswith(" ")]
    assert pins
    assert [lines[number] for number in pins if not lines[number + 1].strip().startswith("--hash=sha256:")] == []


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """What the command prints; a `make` here must not feel the `make test` that may run this."""
    clean = {name: value for name, value in (env or os.environ).items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
