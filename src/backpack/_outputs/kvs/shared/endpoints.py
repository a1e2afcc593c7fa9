"""
Find where AWS answers for a region, in the data that botocore comes with.

Partitions have domains of their own (China, the EU's sovereign cloud, the isolated ones), each with
another for IPv6 (dual-stack), and hosts whose encryption is certified (FIPS). botocore's rules name
them all, and are updated with it. They are read as files: loading botocore takes 0.2 s.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VARIABLES: Final = ("AWS_ENDPOINT_URL_KINESIS_VIDEO", "AWS_ENDPOINT_URL")
"""What names another endpoint, the first that is set. (AWS SDKs and Tools Reference Guide,
"Service-specific endpoints".)"""
_IGNORE_VARIABLE: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
_DUAL_STACK_VARIABLE: Final = "AWS_USE_DUALSTACK_ENDPOINT"
_FIPS_VARIABLE: Final = "AWS_USE_FIPS_ENDPOINT"

_RULES: Final = "kinesisvideo/*/endpoint-rule-set-1.json*"
_PARTITIONS: Final = "partitions.json"
_USUAL_PARTITION: Final = "aws"
"""Where regions are that nobody knows yet."""
_TEMPLATE: Final = re.compile(r"\{([A-Za-z]+)(?:#([A-Za-z]+))?\}")


def configured_endpoint(environ: Mapping[str, str]) -> str | None:
    """Return the endpoint that stands in for AWS's, as AWS's programs find it."""
    if _is_true(environ, _IGNORE_VARIABLE):
        return None
    found = (environ.get(name) for name in _VARIABLES)
    endpoint = next(filter(None, found), None)
    return None if endpoint is None else endpoint.rstrip("/")


def hosts_of(region: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the hosts that are AWS's for a region, the one that is to be called first.

    Args:
        region: A region.
        environ: The application's environment, which may ask for dual-stack or FIPS.

    Returns:
        Their names; AWS names hosts within them for video. Empty: botocore is not
        installed, and nothing can be signed.

    Raises:
        SettingsError: There is no such host, or another one is configured.

    """
    data = _read_data()
    if data is None:
        return ()
    rules, partitions = data

    def host(*, dual_stack: bool, fips: bool, endpoint: str | None = None) -> str:
        known = {"Region": region, "UseDualStack": dual_stack, "UseFIPS": fips}
        url = _Evaluation(partitions, {**known, "Endpoint": endpoint}).endpoint(rules)
        return urlsplit(url).hostname or ""

    dual = _is_true(environ, _DUAL_STACK_VARIABLE)
    fips = _is_true(environ, _FIPS_VARIABLE)
    try:
        # The rules refuse what does not go together.
        host(dual_stack=dual, fips=fips, endpoint=configured_endpoint(environ))
        hosts = [host(dual_stack=dual, fips=fips)]
    except _NoEndpointError as error:
        if not (dual or fips):
            return ()
        names = f"{_DUAL_STACK_VARIABLE}, {_FIPS_VARIABLE}"
        raise SettingsError(f"{names}: {error}.") from None
    for one, other in itertools.product((False, True), repeat=2):
        with contextlib.suppress(_NoEndpointError):
            hosts.append(host(dual_stack=one, fips=other))
    return tuple(dict.fromkeys(hosts))


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() == "true"


def _read_data() -> tuple[list[Any], list[Any]] | None:
    """Read the rules for this service, and what is known of partitions."""
    spec = importlib.util.find_spec("botocore")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place) / "data"
        # A folder for each version of the interface.
        files = sorted(folder.glob(_RULES))
        if files:
            return _read(files[-1])["rules"], _read(folder / _PARTITIONS)["partitions"]
    return None


def _read(path: Path) -> Any:  # noqa: ANN401 - JSON
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


class _NoEndpointError(Exception):
    """The rules have none; the message says why."""


class _Evaluation:
    """
    Go through rules of an endpoint rule set (Smithy, "Rules engine").

    Args:
        partitions: What `aws.partition` looks in.
        known: Parameters by name, and what rules assign.

    """

    def __init__(self, partitions: list[Any], known: dict[str, Any]) -> None:
        self._partitions = partitions
        self._known = known
        self._functions: dict[str, Callable[..., Any]] = {
            "isSet": lambda value: value is not None,
            "not": lambda value: not value,
            "booleanEquals": lambda one, other: one is other,
            "stringEquals": lambda one, other: one == other,
            "getAttr": lambda value, path: None if value is None else value.get(path),
            "aws.partition": self._partition,
        }

    def endpoint(self, rules: list[Any]) -> str:
        """
        Return the URL of the first rule whose conditions hold.

        Raises:
            _NoEndpointError: That rule is an error, or there is none.

        """
        for rule in rules:
            if not all(self._holds(condition) for condition in rule["conditions"]):
                continue
            if rule["type"] == "tree":
                return self.endpoint(rule["rules"])
            if rule["type"] == "error":
                raise _NoEndpointError(self._value(rule["error"]))
            return str(self._value(rule["endpoint"]["url"]))
        raise _NoEndpointError("botocore knows no endpoint")

    def _holds(self, condition: dict[str, Any]) -> bool:
        found = self._value(condition)
        if "assign" in condition:
            self._known[condition["assign"]] = found
        return found is not None and found is not False

    def _value(self, term: Any) -> Any:  # noqa: ANN401 - of JSON
        if isinstance(term, str):
            return _TEMPLATE.sub(self._filled, term)
        if not isinstance(term, dict):
            return term
        if "ref" in term:
            return self._known.get(term["ref"])
        function = self._functions.get(term["fn"])
        if function is None:
            raise _NoEndpointError(f"botocore's rules use {term['fn']}, which is not known here")
        return function(*(self._value(one) for one in term["argv"]))

    def _filled(self, found: re.Match[str]) -> str:
        value = self._known.get(found[1])
        return str(value if found[2] is None else (value or {}).get(found[2]))

    def _partition(self, region: str) -> dict[str, Any] | None:
        usual = None
        for partition in self._partitions:
            outputs: dict[str, Any] = partition["outputs"]
            if region in partition["regions"]:
                return {**outputs, **partition["regions"][region]}
            if re.match(partition["regionRegex"], region):
                return outputs
            if partition["id"] == _USUAL_PARTITION:
                usual = outputs
        return usual
