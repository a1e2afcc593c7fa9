from __future__ import annotations

import itertools
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from backpack._outputs.kvs.output import KVSOutput
from backpack._outputs.kvs.settings import ProducerSettings
from backpack._outputs.kvs.shared import endpoints
from backpack._outputs.kvs.shared.endpoints import configured_endpoint, hosts_of
from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings
from backpack.errors import SettingsError

REGIONS = [
    "us-east-1", "ap-southeast-2", "cn-north-1", "us-gov-west-1", "eusc-de-east-1",
    "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "xx-new-7",
]  # fmt: skip
# botocore itself cannot call these, whatever its rules say.
NO_CLIENT = [("eu-isoe-west-1", True), ("us-isof-south-1", True)]
DUAL_STACK, FIPS = "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have none of whoever runs the tests."""
    for name in ("AWS_ENDPOINT_URL_KINESIS_VIDEO", "AWS_ENDPOINT_URL", DUAL_STACK, FIPS):
        monkeypatch.delenv(name, raising=False)


def called_by_botocore(region: str, *, dual_stack: bool, fips: bool) -> str:
    """Tell where botocore sends a request, and send none."""
    config = Config(use_dualstack_endpoint=dual_stack, use_fips_endpoint=fips)
    client = botocore.session.Session().create_client(
        "kinesisvideo", region, config=config, aws_access_key_id="x", aws_secret_access_key="x"
    )
    sent: list[str] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        sent.append(request.url)
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda **_: [b"{}"]))

    client.meta.events.register("before-send", answer)
    client.describe_stream(StreamName="door")
    return sent[0]


@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize(
    ("region", "dual_stack"),
    [one for one in itertools.product(REGIONS, (False, True)) if one not in NO_CLIENT],
)
def test_the_host_is_the_one_that_boto3_would_call(
    region: str, *, dual_stack: bool, fips: bool
) -> None:
    """In every partition, by IPv6 and with certified encryption, from the same data."""
    environ = {DUAL_STACK: str(dual_stack), FIPS: str(fips).lower()}
    found = ProducerSettings(region, "door", hosts=hosts_of(region, environ))

    called = called_by_botocore(region, dual_stack=dual_stack, fips=fips)
    assert called == f"{found.control_endpoint}/describeStream"
    found.validate()


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "s-1.kinesisvideo.us-east-1.amazonaws.com"),
        ("us-east-1", "s-1.kinesisvideo.us-east-1.api.aws"),
        ("us-gov-west-1", "s-1.kinesisvideo-fips.us-gov-west-1.api.aws"),
        ("eusc-de-east-1", "s-1.kinesisvideo.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "s-1.kinesisvideo.us-iso-east-1.c2s.ic.gov"),
        ("cn-north-1", "s-1.kinesisvideo.cn-north-1.amazonaws.com.cn"),
        ("us-east-1", "vpce-1a.kinesisvideo.us-east-1.vpce.amazonaws.com"),
    ],
)
def test_video_goes_to_the_hosts_of_the_partition(region: str, host: str) -> None:
    """Whichever of a region's names AWS gives; those of another partition are nobody's."""
    settings = ProducerSettings(region, "door", hosts=hosts_of(region, {}))
    assert settings.check_endpoint(f"https://{host}") == f"https://{host}"
    within = host.partition(".")[2]
    for other in (f"{host}.evil.test", f"evil{within}", host.replace(region, "eu-west-1")):
        with pytest.raises(SettingsError):
            settings.check_endpoint(f"https://{other}")


def test_what_does_not_go_together_is_refused_as_boto3_refuses_it() -> None:
    """FIPS with an endpoint of one's own."""
    environ = {FIPS: "true", "AWS_ENDPOINT_URL": "https://proxy.example"}
    with pytest.raises(SettingsError, match=f"{FIPS}.*custom endpoint"):
        hosts_of("us-east-1", environ)


def test_an_endpoint_of_ones_own_is_none_of_awss() -> None:
    """Hosts within it are taken only where it names itself."""
    environ = {"AWS_ENDPOINT_URL": "https://video.example/"}
    assert configured_endpoint(environ) == "https://video.example"
    assert not [one for one in hosts_of("us-east-1", environ) if "example" in one]
    environ["AWS_ENDPOINT_URL_KINESIS_VIDEO"] = "https://kvs.example"
    assert configured_endpoint(environ) == "https://kvs.example"
    environ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
    assert configured_endpoint(environ) is None


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [({}, None), ({FIPS: "true"}, "https://kinesisvideo-fips.us-east-1.amazonaws.com")],
)
def test_both_producers_are_told(
    variables: dict[str, str], endpoint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run without botocore; kvssink is told only what it would not find itself."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    described: dict[str, Any] = json.loads(
        json.dumps(KVSOutput("us-east-1", "door", producer="kvssink").describe())
    )

    assert SinkSettings.from_dict(described).control_endpoint == endpoint
    native = KVSOutput("us-east-1", "door")
    assert native.describe()["hosts"] == native.settings.hosts
    assert (endpoint or "").removeprefix("https://") in native.settings.hosts[0]


def test_botocore_is_read_and_not_loaded() -> None:
    """That would take the application 0.2 s at its start."""
    program = (
        "import sys; from backpack._outputs.kvs.output import KVSOutput; "
        "one = KVSOutput('us-east-1', 'door'); "
        "assert one.settings.hosts; assert not any(m.startswith('botocore') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_rules_that_are_not_understood_are_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer botocore must not keep anybody from streaming; without any nobody can sign."""
    rules = [{"conditions": [{"fn": "new", "argv": []}], "type": "error", "error": "x"}]
    monkeypatch.setattr(endpoints, "_read_data", lambda: (rules, []))
    assert hosts_of("us-east-1", {}) == ()
    monkeypatch.setattr(endpoints, "_read_data", lambda: None)
    assert hosts_of("us-east-1", {}) == ()
    assert ProducerSettings("cn-north-1", "door").control_endpoint.endswith(".amazonaws.com.cn")
