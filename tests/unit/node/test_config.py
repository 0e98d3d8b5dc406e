"""Configuration: file, environment, command line, and every fault at once."""

import json

import pytest

from node.config import Config, load_config, save_config
from node.domain import Destination
from node.errors import ConfigError

WHOLE = """
[node]
ae_title = "AI_NODE"
port = 104
data = "/srv/ftmtl"

[assembly]
quiet_s = 3

[[peers]]
ae_title = "MODALITY"
host = "10.1.0.0/16"

[[destinations]]
name = "archive"
ae_title = "PACS"
host = "10.1.2.3"
port = 11112
"""


def write(tmp_path, text, name="node.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def faults(path=None, overrides=None, environment=None):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides, environment or {})
    return caught.value.faults


def test_defaults_listen_on_loopback_only():
    config = load_config(None, None, {})
    assert config.node.host == "127.0.0.1"
    assert config.ledger_url.startswith("sqlite:////")
    assert config.spool_folder.is_absolute()


def test_reads_toml(tmp_path):
    config = load_config(write(tmp_path, WHOLE), None, {})
    assert (config.node.ae_title, config.node.port, config.assembly.quiet_s) == ("AI_NODE", 104, 3.0)
    assert config.peers[0].host == "10.1.0.0/16"
    assert config.destination_list() == (Destination("archive", "PACS", "10.1.2.3", 11112),)
    assert config.queue.lease_s == 30.0, "what the file leaves out has its default"


def test_environment_overrides_the_file_and_the_command_line_both(tmp_path):
    environment = {"FTMTL_NODE_PORT": "2762", "FTMTL_NODE_AE_TITLE": "ENV", "FTMTL_QUEUE_URL": "redis://q:1/0"}
    config = load_config(write(tmp_path, WHOLE), {"node": {"ae_title": "SHELL"}}, environment)
    assert (config.node.port, config.node.ae_title, config.queue.url) == (2762, "SHELL", "redis://q:1/0")


SERVICE = {
    "SERVICE_HOST": "10.43.7.12", "SERVICE_PORT": "11112", "SERVICE_PORT_DICOM": "11112", "PORT": "tcp://10.43.7.12:11112",
    "PORT_11112_TCP": "tcp://10.43.7.12:11112", "PORT_11112_TCP_PROTO": "tcp", "PORT_11112_TCP_PORT": "11112",
    "PORT_11112_TCP_ADDR": "10.43.7.12", "PORT_53_UDP_PROTO": "udp", "WEB_SERVICE_HOST": "10.43.7.13",
    "HTTP_PORT": "tcp://[fd00::7]:80", "HTTP_SERVICE_PORT_HTTP": "80", "WEB_PORT_80_TCP_ADDR": "10.43.7.13",
}  # fmt: skip
"""What Kubernetes sets in every pod for services named ftmtl-node, ftmtl-node-web, ftmtl-node-http and so on."""


@pytest.mark.parametrize("section", [name for name in Config.model_fields if name not in ("peers", "destinations")])
def test_variables_of_services_are_no_settings(section):
    environment = {f"FTMTL_{section.upper()}_{name}": value for name, value in SERVICE.items()}
    assert load_config(None, None, environment) == load_config(None, None, {})


def test_settings_are_settings_beside_variables_of_services():
    environment = {f"FTMTL_QUEUE_{name}": value for name, value in SERVICE.items()}
    environment |= {"FTMTL_QUEUE_URL": "redis://ftmtl-queue:6379/0", "FTMTL_NODE_PORT": "104"}
    config = load_config(None, None, environment)
    assert (config.queue.url, config.node.port) == ("redis://ftmtl-queue:6379/0", 104)


@pytest.mark.parametrize("name", ["SERVICE", "SERVICE_HOSTS", "PORT_TCP", "PORTS", "PORT_104_TCP_NAME"])
def test_what_only_looks_like_a_variable_of_a_service_is_a_fault(name):
    assert faults(environment={f"FTMTL_NODE_{name}": "104"})


def test_an_environment_variable_that_names_no_setting_is_a_fault():
    assert faults(environment={"FTMTL_NODE_PROT": "1"}) == ("FTMTL_NODE_PROT: there is no setting 'prot' in [node]",)


def test_other_variables_are_left_alone():
    load_config(None, None, {"FTMTL_TEST_DATA": "/data", "PATH": "/bin"})


def test_every_fault_is_listed_at_once_with_its_place(tmp_path):
    text = """
[node]
port = 70000
ae_title = "SEVENTEEN_LETTERS"
colour = "red"
[assembly]
quiet_s = -1
[queue]
lease_s = "soon"
[[destinations]]
name = "archive"
ae_title = "PACS"
host = "h"
port = 0
[[peers]]
ae_title = "OK"
host = "not an address"
[unheard_of]
x = 1
"""
    found = faults(write(tmp_path, text), environment={"FTMTL_NODE_NOPE": "1"})
    places = {fault.split(":")[0] for fault in found}
    assert places == {
        "FTMTL_NODE_NOPE",
        "node.port",
        "node.ae_title",
        "node.colour",
        "assembly.quiet_s",
        "queue.lease_s",
        "destinations.0.port",
        "peers.0",
        "unheard_of",
    }
    assert len(found) == len(places)


def test_distortions_are_mapped_for_the_destinations_that_say_so(tmp_path):
    mapped = WHOLE + 'objects = ["cad", "sc"]\nmap_distortion = "density"\n'
    plain = mapped.replace('map_distortion = "density"\n', "")
    kinds = [load_config(write(tmp_path, text), None, {}).destination_list()[0].objects for text in (plain, mapped)]
    assert kinds == [("cad", "sc"), ("cad-density", "sc")]


@pytest.mark.parametrize(
    ("objects", "mapping", "fault"),
    [
        (["cad"], "mass", "'mass' is not what distortions may be mapped to; choose from 'density'"),
        (["seg", "sr"], "density", "distortions are mapped in 'cad' only: name it, too"),
        (["cad-density"], "", "'cad-density' is not a kind of object"),
    ],
)
def test_a_mapping_that_means_nothing_is_a_fault(tmp_path, objects, mapping, fault):
    text = WHOLE + f'objects = {objects}\nmap_distortion = "{mapping}"\n'
    (found,) = faults(write(tmp_path, text))
    assert found.startswith("destinations.0: ")
    assert fault in found


def test_faults_between_sections_are_listed_together(tmp_path):
    text = (
        WHOLE.replace("[[peers]]", "[[destinations]]")
        .replace('ae_title = "MODALITY"\nhost = "10.1.0.0/16"', 'name="archive"\nae_title="A"\nhost="h"\nport=1')
        .replace("[assembly]", "[delivery]\nfirst_retry_s = 100\nlongest_retry_s = 10\n[assembly]")
        .replace("[node]", '[node]\nhost = "0.0.0.0"')
    )
    found = "\n".join(faults(write(tmp_path, text)))
    assert "'archive' appears more than once" in found
    assert "node.host: listening on 0.0.0.0 requires [[peers]]" in found
    assert "delivery.longest_retry_s" in found


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "node.hospital.example", ""])
def test_a_host_beyond_loopback_needs_peers(host):
    assert any("requires [[peers]]" in fault for fault in faults(overrides={"node": {"host": host}}))
    load_config(None, {"node": {"host": host}, "peers": [{"ae_title": "CT1", "host": "10.0.0.1"}]}, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_loopback_needs_none(host):
    load_config(None, {"node": {"host": host}}, {})


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_times_are_finite(value):
    assert faults(environment={"FTMTL_ASSEMBLY_QUIET_S": value})


def test_reads_back_the_json_that_it_writes(tmp_path):
    config = load_config(write(tmp_path, WHOLE), None, {})
    path = tmp_path / "run" / "node.json"
    save_config(config, path)
    assert json.loads(path.read_text())["node"]["ae_title"] == "AI_NODE"
    assert load_config(path, None, {}) == config


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", "[node"), ("a.json", "{"), ("a.json", "[1]"), ("a.toml", "node = 5"), ("a.toml", "peers = 3")],
)
def test_a_broken_file_is_one_fault_even_under_overrides(tmp_path, name, text):
    assert len(faults(write(tmp_path, text, name), overrides={"node": {}, "queue": {}})) == 1


def test_a_file_that_is_absent_or_no_text_is_named(tmp_path):
    assert "absent.toml" in faults(tmp_path / "absent.toml")[0]
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "binary.toml" in faults(tmp_path / "binary.toml")[0]
