"""The files under deploy: they load, they name every setting, and their commands exist."""

from __future__ import annotations

import argparse
import ipaddress
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from support.places import ROOT

from node.cli.main import _parser
from node.config import Config, load_config
from node.settings import DestinationSection, Peer

DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
UNITS = sorted([*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.conf")])
SETTING = re.compile(r"^#(?=[a-z_0-9]+ = |\[)", re.MULTILINE)
"""A setting that is commented out; prose has a space behind its ``#``."""


def compose() -> dict[str, Any]:
    """Return compose.yaml, its anchors resolved."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def parse(command: list[str]) -> argparse.Namespace:
    """Parse a command line that begins with ``ftmtl``; fail if the command would refuse it."""
    assert Path(command[0]).name == "ftmtl"
    try:
        return _parser().parse_args(command[1:])
    except SystemExit:
        pytest.fail(f"ftmtl does not understand: {shlex.join(command)}")


def dockerfile_lists(instruction: str) -> list[list[str]]:
    """Return the exec forms of an instruction, in their order."""
    text = (DEPLOY / "Dockerfile").read_text()
    return [json.loads(form) for form in re.findall(rf"^{instruction} (\[.*\])$", text, re.MULTILINE)]


def exec_starts(unit: Path) -> list[list[str]]:
    """Return the commands of a unit; an instance is written for each queue."""
    lines = re.findall(r"^ExecStart=(.+)$", unit.read_text(), re.MULTILINE)
    queues = ("gpu", "dicom") if "%i" in unit.read_text() else ("",)
    return [shlex.split(line.replace("%i", queue)) for line in lines for queue in queues]


def documented_settings() -> dict[str, Any]:
    """Return node.toml with every setting in force."""
    return tomllib.loads(SETTING.sub("", (DEPLOY / "node.toml").read_text()))


def sections() -> dict[str, type[BaseModel]]:
    """Return the sections of the configuration, and those that may occur several times."""
    single = {name: type(getattr(Config(), name)) for name in Config.model_fields}
    return single | {"peers": Peer, "destinations": DestinationSection}


# -- node.toml ---------------------------------------------------------------------------------------------------


def test_the_sample_changes_nothing() -> None:
    assert load_config(DEPLOY / "node.toml", environment={}) == Config()


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_setting_is_in_the_sample_with_its_default(name: str) -> None:
    text, documented = (DEPLOY / "node.toml").read_text(), documented_settings()[name]
    given = documented[0] if isinstance(documented, list) else documented
    model = sections()[name]
    assert set(given) == set(model.model_fields)
    example = model.model_validate(given)
    for key, field in model.model_fields.items():
        if field.default is PydanticUndefined:
            continue
        if field.default is None:
            assert re.search(rf"^#{key} = .+# default: none$", text, re.MULTILINE), f"{name}.{key}"
        else:
            assert getattr(example, key) == field.default, f"{name}.{key}"


def test_the_sample_with_everything_in_force_loads(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(SETTING.sub("", (DEPLOY / "node.toml").read_text()))
    config = load_config(path, environment={})
    assert len(config.peers) == len(config.destinations) == 1


def test_every_setting_of_the_sample_is_explained() -> None:
    blocks = (DEPLOY / "node.toml").read_text().split("\n\n")
    for block in blocks:
        if re.search(r"^#[a-z_]+ = ", block, re.MULTILINE):
            assert re.search(r"^# [A-Z\"a-z]", block, re.MULTILINE), block


def test_the_settings_in_the_readme_load(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "node.toml"
    path.write_text(text)
    assert load_config(path, environment={}).queue.url


# -- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_the_units_commands_are_commands(unit: Path) -> None:
    commands = exec_starts(unit)
    assert commands
    for command in commands:
        assert parse(command).config == Path("/etc/ftmtl/node.toml")


def test_the_images_commands_are_commands() -> None:
    entries, commands = dockerfile_lists("ENTRYPOINT"), dockerfile_lists("CMD")
    assert len(entries) == len(commands) == 2
    for entry, command in zip(entries, commands, strict=True):
        assert parse([*entry, *command]).config == Path("/etc/ftmtl/node.toml")


def test_the_services_commands_are_commands() -> None:
    queues = []
    for name, service in compose()["services"].items():
        if not service["image"].startswith("ftmtl-"):
            continue
        arguments = parse(["ftmtl", *service["command"]])
        queues += getattr(arguments, "queue", [])
        assert f"./compose.toml:{arguments.config}:ro" in service["volumes"], name
    assert sorted(queues) == ["dicom", "gpu"]


def test_the_readmes_commands_are_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)
    commands = re.findall(r"(?:/bin/| )ftmtl ([a-z]+ .*)$", "".join(blocks), re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        parse(["ftmtl", *shlex.split(command)])


# -- containers --------------------------------------------------------------------------------------------------


def test_the_services_and_their_configuration_fit() -> None:
    services, config = compose()["services"], load_config(DEPLOY / "compose.toml", environment={})
    (subnet,) = compose()["networks"]["default"]["ipam"]["config"]
    assert {"node", "worker-gpu", "worker-dicom", "queue", "orthanc"} == set(services)
    assert config.queue.url.startswith("redis://queue:")
    assert config.destinations[0].host in services
    assert ipaddress.ip_network(config.peers[0].host) == ipaddress.ip_network(subnet["subnet"])
    for name in ("node", "worker-gpu", "worker-dicom"):
        assert f"data:{config.node.data}" in services[name]["volumes"]
        assert "user" not in services[name]
    (check,) = re.findall(r"http://127\.0\.0\.1:(\d+)/healthz", (DEPLOY / "Dockerfile").read_text())
    assert config.node.http_port == int(check)


def test_ports_are_on_this_machine_only() -> None:
    config = load_config(DEPLOY / "compose.toml", environment={})
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert {f"127.0.0.1:{p}:{p}" for p in (config.node.port, config.node.http_port)} <= set(ports)


def test_orthanc_and_the_node_know_each_other() -> None:
    text = re.sub(r"^\s*//.*$", "", (DEPLOY / "orthanc.json").read_text(), flags=re.MULTILINE)
    orthanc, config = json.loads(text), load_config(DEPLOY / "compose.toml", environment={})
    assert orthanc["DicomModalities"] == {"ftmtl": [config.node.ae_title, "node", config.node.port]}
    assert orthanc["DicomAet"] == config.peers[0].ae_title == config.destinations[0].ae_title
    assert orthanc["DicomPort"] == config.destinations[0].port
    assert "/modalities/ftmtl/store" in (DEPLOY / "orthanc.lua").read_text()


def test_the_images_hold_every_package_and_no_privileges() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.split(".")[0] for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    text, passed = (DEPLOY / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text().splitlines()
    for package in packages:
        assert f"COPY {package} {package}" in text
        assert f"!{package}" in passed
    stages = text.split("\nFROM ")[1:]
    images = [stage for stage in stages if "ENTRYPOINT" in stage]
    assert [stage.split()[2] for stage in images] == ["worker", "node"]
    assert all("USER ftmtl" in stage for stage in images)
    assert "HEALTHCHECK" in images[1]


# -- systemd -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    units = {"ftmtl-node.service.d/standalone.conf": "standalone.conf"}
    units |= {"ftmtl-worker@gpu1.service.d/device.conf": "worker-gpu1.conf"}
    units |= {name: name for name in ("ftmtl-node.service", "ftmtl-worker@.service", "ftmtl.target")}
    for target, source in units.items():
        (tmp_path / target).parent.mkdir(exist_ok=True)
        text = (SYSTEMD / source).read_text()
        (tmp_path / target).write_text(text.replace("/opt/ftmtl/bin/ftmtl", shutil.which("true") or "/bin/true"))
    names = ["ftmtl-node.service", "ftmtl-worker@gpu.service", "ftmtl-worker@gpu1.service", "ftmtl.target"]
    verified = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert [line for line in verified.stderr.splitlines() if "ftmtl" in line] == []


@pytest.mark.parametrize("unit", [u for u in UNITS if u.suffix == ".service"], ids=lambda path: path.name)
def test_services_come_back_and_may_write_only_their_data(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    wanted = ("Restart=always", "ProtectSystem=strict", "ReadWritePaths=/var/lib/ftmtl", "NoNewPrivileges=yes")
    for line in (*wanted, "PrivateTmp=yes", "User=ftmtl", "StartLimitIntervalSec=0"):
        assert line in lines
