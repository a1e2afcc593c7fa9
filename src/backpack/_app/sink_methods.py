"""The names under which other libraries put a frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SinkMethods(ABC):
    """Call `put` under the names that `cv2`, `supervision` and `inference` have for it."""

    @abstractmethod
    def put(self, frame: NDArray[np.uint8]) -> bool:
        """Hand over a frame."""

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Put a frame, under the name of the method of `cv2.VideoWriter`."""
        self.put(frame)

    def write_frame(self, frame: NDArray[np.uint8]) -> None:
        """Put a frame, under the name of the method of `supervision.VideoSink`."""
        self.put(frame)

    def __call__(self, predictions: object, frame: Any) -> None:  # noqa: ANN401, ARG002
        """
        Put a frame, called as Roboflow's `inference` calls a sink.

        Args:
            predictions: Ignored. Draw them before, or pass a function as the
                sink that draws and then puts.
            frame: An array, or an object with the array as its ``image``; a
                list of them puts the first one that is not None.

        """
        if isinstance(frame, (list, tuple)):
            frame = next((entry for entry in frame if entry is not None), None)
        if frame is not None:
            self.put(getattr(frame, "image", frame))
