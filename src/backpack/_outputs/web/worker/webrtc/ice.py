"""Keep GStreamer's ICE agent within what was named: which addresses, which ports, nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._gst.webrtc import ice_agent
from backpack.errors import PipelineError

if TYPE_CHECKING:
    from backpack._gst.gi import Gst
    from backpack._outputs.web.worker.webrtc.settings import IceSettings


def confine(webrtcbin: Gst.Element, settings: IceSettings) -> None:
    """
    Have a webrtcbin listen where it may, before it has begun to.

    Left alone it listens on all interfaces, opens TCP ports as well, and asks
    the router to let the whole world in (UPnP).

    Raises:
        PipelineError: An address cannot be listened on.

    """
    agent = ice_agent(webrtcbin)
    agent.set_property("ice-tcp", False)  # noqa: FBT003 - GObject's own call
    if settings.ports is not None:
        low, high = settings.ports
        agent.set_property("min-rtp-port", low)
        agent.set_property("max-rtp-port", high)
    nice = agent.get_property("agent")
    nice.set_property("upnp", False)  # noqa: FBT003
    for address in settings.addresses:
        if not agent.emit("add-local-ip-address", address):
            raise PipelineError(f"WebRTC cannot listen on {address}.")
