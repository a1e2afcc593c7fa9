"""Hold one stream with its outputs, from its opening until what it had is delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack.errors import OutputError

if TYPE_CHECKING:
    from backpack._media.output import WorkerOutput
    from backpack._worker.intake import Stream


class Lodger:
    """
    A stream and its outputs. Main thread's.

    Args:
        stream: The stream.

    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._kinds: list[str] = []
        self._outputs: list[WorkerOutput] = []
        # Those that were not yet open when they were made.
        self._slow: list[WorkerOutput] = []
        self._has_encoder = False
        # Whether the application knows that it is open.
        self._is_open = False
        # Whether it ends: its outputs could not be opened, or it was said goodbye.
        self.is_leaving = False
        # How long its outputs may take then, and how long while they get somewhere.
        self._deliver_seconds = 0.0
        self._longest_seconds = 0.0
        self._is_delivering = False
        # Whether the application knows that all outputs have given up.
        self._has_told_failure = False

    @property
    def outputs(self) -> list[WorkerOutput]:
        """The outputs, in the application's order."""
        return self._outputs

    def take_in(self, kinds: list[str], outputs: list[WorkerOutput]) -> None:
        """
        Take in the outputs, once.

        Args:
            kinds: What each is called in numbers.
            outputs: The outputs, in the application's order.

        """
        self._kinds = kinds
        self._outputs = outputs
        self._slow = [output for output in outputs if output.opening]

    def found_encoder(self) -> None:
        """Learn that the stream can be encoded."""
        self._has_encoder = True

    def take_opening(self) -> bool:
        """
        Tell, once, that everything is open.

        Raises:
            OutputError: An output cannot be opened.

        """
        if self.is_leaving or any(output.opening for output in self._slow):
            return False
        refused = next((output for output in self._slow if output.failed), None)
        if refused is not None and not self._is_open:
            raise OutputError(refused.trouble)
        if self._is_open or not self._has_encoder:
            return False
        self._is_open = True
        return True

    def numbers(self) -> dict[str, Any]:
        """Give everything that is counted, under the names of `Stats`."""
        numbers = self.stream.numbers()
        return {
            **numbers,
            "viewers": sum(output.viewers for output in self.outputs),
            "lost": sum(output.lost for output in self.outputs),
            "error": numbers["error"] or self.trouble or None,
            "outputs": [
                {
                    "kind": kind,
                    "viewers": output.viewers,
                    "lost": output.lost,
                    "trouble": output.trouble,
                    **output.numbers(),
                }
                for kind, output in zip(self._kinds, self.outputs, strict=True)
            ],
        }

    @property
    def is_watched(self) -> bool:
        """Tell whether somebody watches, be it by frames that are not encoded."""
        return self.stream.is_wanted or any(output.viewers for output in self.outputs)

    @property
    def trouble(self) -> str:
        """Tell what keeps outputs from delivering."""
        return " ".join(output.trouble for output in self.outputs if output.trouble)

    def take_failure(self) -> str:
        """Say, once, why nothing is delivered; nothing while something is."""
        if not self._has_failed or self._has_told_failure or not self._is_open:
            return ""
        self._has_told_failure = True
        return self.trouble or "The output has failed."

    def take_recovery(self) -> bool:
        """Tell, once, that something is delivered again after a failure that was told."""
        if self._has_failed or not self._has_told_failure:
            return False
        self._has_told_failure = False
        return True

    @property
    def _has_failed(self) -> bool:
        return bool(self.outputs) and all(output.failed for output in self.outputs)

    def finish(
        self, seconds: float, *, deliver_seconds: float, longest_seconds: float = 0.0
    ) -> None:
        """
        Begin to end; `is_over` tells when it has.

        Args:
            seconds: For encoding what was put.
            deliver_seconds: For the outputs, after that.
            longest_seconds: The same, while they get somewhere.

        """
        self.is_leaving = True
        self.stream.finish(seconds)
        self._deliver_seconds = deliver_seconds
        self._longest_seconds = longest_seconds

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended, and do what is next for that."""
        if not self.stream.finished:
            return False
        if not self._is_delivering:
            # Only now: the encoder had something for them still.
            self._is_delivering = True
            for output in self.outputs:
                output.finish(self._deliver_seconds, self._longest_seconds)
        return all(output.finished for output in self.outputs)

    @property
    def is_delivering(self) -> bool:
        """Tell whether only its outputs are waited for."""
        return self._is_delivering

    def orphaned(self) -> None:
        """Learn that the application has gone."""
        for output in self.outputs:
            output.orphaned()

    def close(self) -> None:
        """Close everything, whatever is left."""
        self.stream.finish(0.0)
        self.stream.join()
        for output in self.outputs:
            output.close()
        self.stream.close()
