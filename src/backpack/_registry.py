"""
The outputs that streams can go to: the one table of them.

An output is a package with modules that have fixed names, and an entry here. Everything that
has to know which outputs exist reads this table: URLs, the streaming process, the command line,
the doctor. Other packages add outputs by entry points; docs/outputs.md says how.

Both processes load this module. It imports no output.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backpack.errors import MissingDependencyError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

ENTRY_POINTS: Final = "backpack.outputs"
"""The group of entry points by which packages add outputs: its name is the URLs' scheme."""


@dataclass(frozen=True)
class OutputType:
    """
    A kind of output.

    Attributes:
        name: Its name in messages, statistics and metrics.
        room: Its folder below `_outputs`, if it is one of ours and has another name.
        scheme: That of its URLs; empty if there are none.
        secure_scheme: The same with TLS; empty if there is none.
        port: Where it listens by default; 0 if it does not listen.
        secure_port: The same with TLS.
        page: Whether its URLs are opened in a browser.
        target: What a URL names if it does not listen, for help texts.
        requires: Modules that the streaming process must be able to import for it.
        elements: GStreamer's elements that it cannot do without.
        players: Commands that play its URLs, with ``{url}`` in their place.
        has_command: Whether ``spyglass NAME`` is a command, in its module ``cli``.
        package: The package with its modules.
        folder: Where the package is, if it is not part of ours.

    """

    name: str
    room: str = ""
    scheme: str = ""
    secure_scheme: str = ""
    port: int = 0
    secure_port: int = 0
    page: bool = False
    target: str = ""
    requires: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    players: tuple[str, ...] = ()
    has_command: bool = False
    package: str = ""
    folder: str = ""

    @property
    def listens(self) -> bool:
        """Whether viewers connect to it."""
        return bool(self.port)

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes of its URLs."""
        return tuple(scheme for scheme in (self.scheme, self.secure_scheme) if scheme)

    def port_of(self, scheme: str) -> int:
        """Return the default port of one of its schemes."""
        return self.secure_port if scheme == self.secure_scheme else self.port

    def load(self, module: str) -> ModuleType:
        """
        Import one of its modules, such as ``output`` or ``worker.stream``.

        The streaming process finds no packages but its own: one of others is loaded from the
        folder that the application has told.

        Raises:
            MissingDependencyError: It is another package's, and cannot be loaded.

        """
        if not self.package:
            return importlib.import_module(f"backpack._outputs.{self.room or self.name}.{module}")
        try:
            if self.folder and self.package not in sys.modules and not _can_import(self.package):
                _import_from(self.package, Path(self.folder))
            return importlib.import_module(f"{self.package}.{module}")
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.name}:// is an output of the package {self.package!r}, which cannot be "
                f"loaded: {error}. Install it again, or ask whoever made it."
            ) from error


OUTPUTS: Final = (
    OutputType(
        "web",
        scheme="http",
        secure_scheme="https",
        port=8080,
        secure_port=8443,
        page=True,
        requires=("aiohttp",),
    ),
    # The port that players and tutorials know; 554 is for root.
    OutputType(
        "rtsp",
        scheme="rtsp",
        secure_scheme="rtsps",
        port=8554,
        secure_port=8322,
        elements=("rtph264pay", "rtpbin"),
        players=(
            "ffplay -fflags nobuffer -rtsp_transport tcp {url}",
            "vlc --network-caching=200 {url}",
            "gst-launch-1.0 rtspsrc location={url} latency=0 ! decodebin ! autovideosink",
        ),
    ),
    OutputType("kvs", scheme="kvs", target="REGION/STREAM", has_command=True, requires=("h11",)),
    OutputType("gstreamer", room="gst"),
)
"""Our own. Adding one is a folder below `_outputs` and an entry here."""


def output_types() -> tuple[OutputType, ...]:
    """Return all types of outputs: our own, then those of installed packages."""
    return (*OUTPUTS, *_plugins())


def type_named(name: str) -> OutputType:
    """
    Return one of our own types.

    Raises:
        SettingsError: There is none of this name.

    """
    for one in OUTPUTS:
        if one.name == name:
            return one
    raise SettingsError(f"There is no output of the kind {name!r}.")


def type_of_scheme(scheme: str) -> OutputType | None:
    """Return the type whose URLs have this scheme, or `None`."""
    ours = next((one for one in OUTPUTS if scheme in one.schemes), None)
    # Looking for packages takes milliseconds: not for our own.
    return ours or next((one for one in _plugins() if scheme in one.schemes), None)


def location_of(description: Mapping[str, Any]) -> dict[str, str]:
    """Return what the streaming process needs to find an output: nothing if it is one of ours."""
    name = description.get("kind")
    if any(one.name == name for one in OUTPUTS):
        return {}
    found = [one for one in _plugins() if one.name == name]
    return {"package": found[0].package, "folder": found[0].folder} if found else {}


def described_type(description: Mapping[str, Any]) -> OutputType:
    """
    Return the type of an output that the application has described.

    Raises:
        SettingsError: There is none.

    """
    name = str(description.get("kind"))
    if description.get("folder"):
        return OutputType(
            name, package=str(description["package"]), folder=str(description["folder"])
        )
    return type_named(name)


@functools.cache
def _plugins() -> tuple[OutputType, ...]:
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    ours = {scheme for one in OUTPUTS for scheme in one.schemes}
    return tuple(
        OutputType(one.name, scheme=one.name, package=one.value, folder=_folder_of(one.value))
        for one in sorted(found)
        if one.name not in ours
    )


def _folder_of(package: str) -> str:
    """Return where a package is, without importing it; empty if it cannot be found."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return ""
    folders = [] if spec is None else spec.submodule_search_locations
    return next(iter(folders or []), "")


def _can_import(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _import_from(package: str, folder: Path) -> None:
    """Import a package from its folder, and nothing that is beside it."""
    spec = importlib.util.spec_from_file_location(
        package, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"There is no package in {folder}.", name=package)
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[package]
        raise
