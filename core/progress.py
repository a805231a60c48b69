"""How long computations tell what they are doing."""

from typing import Protocol


class Progress(Protocol):
    """Receives what is being computed; the command line draws a bar of it."""

    def stage(self, name: str, total: int) -> None:
        """A new stage begins, of ``total`` steps."""

    def step(self, n: int = 1) -> None:
        """Steps of the stage are done."""

    def say(self, sentence: str) -> None:
        """Something the user should read."""


class Silent:
    """Progress that nobody watches."""

    def stage(self, name: str, total: int) -> None:
        pass

    def step(self, n: int = 1) -> None:
        pass

    def say(self, sentence: str) -> None:
        pass
