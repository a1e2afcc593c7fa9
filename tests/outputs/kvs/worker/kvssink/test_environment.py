from __future__ import annotations

from backpack._outputs.kvs.shared.dotenv import parse_dotenv
from backpack._outputs.kvs.worker.kvssink.environment import child_environment
from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings

SETTINGS = SinkSettings("eu-west-1", "door")


def test_nothing_of_aws_comes_from_outside() -> None:
    """What kvssink takes before its properties is what the settings say, and nothing else."""
    before = {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_PROFILE": "other",
        "CONTROL_PLANE_URI": "https://elsewhere",
        "KVSSINK_CA_CERT_PATH": "/other.pem",
        "HOME": "/h",
    }
    plain = child_environment(before, SETTINGS, None)
    del plain["GST_REGISTRY"]

    assert plain == {"AWS_DEFAULT_REGION": "eu-west-1", "HOME": "/h"}


def test_an_endpoint_and_its_certificates_go_by_variables() -> None:
    """There are no properties for them."""
    settings = SinkSettings("eu-west-1", "door", "https://host:8443", "/ca.pem")
    found = child_environment({}, settings, None)

    assert found["CONTROL_PLANE_URI"] == "https://host:8443"
    assert found["KVSSINK_CA_CERT_PATH"] == "/ca.pem"


def test_the_applications_proxy_goes_by_variables() -> None:
    """Its curl reads them; the streaming process's own are the application's no more."""
    settings = SinkSettings(
        "eu-west-1", "door", proxy_url="http://me:s3cret@proxy:1", proxy_exceptions="localhost"
    )
    found = child_environment({}, settings, None)

    assert found["https_proxy"] == "http://me:s3cret@proxy:1"
    assert found["no_proxy"] == "localhost"
    assert "s3cret" not in repr(settings)
    assert "https_proxy" not in child_environment({}, SETTINGS, None)


def test_the_applications_libraries_stand_before_those_of_the_file() -> None:
    """LD_LIBRARY_PATH of the process that streams was cleared; the application's is described."""
    settings = SinkSettings("eu-west-1", "door", library_path="/app")
    dotenv = parse_dotenv("LD_LIBRARY_PATH=/b")

    assert child_environment({}, settings, dotenv)["LD_LIBRARY_PATH"] == "/app:/b"
    assert child_environment({}, settings, None)["LD_LIBRARY_PATH"] == "/app"
    assert "/app" not in repr(settings)


def test_other_folders_have_another_registry() -> None:
    """A plugin that one set of folders cannot load must not be blacklisted for another."""
    names = {
        child_environment(before, SETTINGS, dotenv)["GST_REGISTRY"]
        for before in ({"HOME": "/h"}, {"XDG_CACHE_HOME": "/c"}, {"GST_REGISTRY": "/r"}, {})
        for dotenv in (None, parse_dotenv("GST_PLUGIN_PATH=/a"), parse_dotenv("LD_PRELOAD=/a"))
    }
    assert len(names) == 12
    assert {name.split("kvssink")[0] for name in names} == {
        "/h/.cache/gstreamer-1.0/",
        "/c/gstreamer-1.0/",
        "/r.",
        "/.cache/gstreamer-1.0/",
    }
