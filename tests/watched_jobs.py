"""Jobs that note where they say something wrong of how far they are."""

from core.jobs import Job


class WatchedJob(Job):
    """Notes a bar that goes back, that is full before a stage begins, or that has no room for a stage.

    Attributes
    ----------
    faults : what was wrong, sentences.
    stages : the names of the stages, in their order.
    fractions : how much was done after each change.
    """

    def __init__(self, title: str):
        super().__init__(title)
        self.faults: list[str] = []
        self.stages: list[str] = []
        self.fractions = [0.0]

    def _begin(self, name: str, total: int, start: float, end: float) -> None:
        if self.fraction >= 1:
            self.faults.append(f"{self.title}: {name} begins at 100%")
        super()._begin(name, total, start, end)
        self.stages.append(name)
        if total and self._end <= self._start:
            self.faults.append(f"{self.title}: {name} has no part of the bar")

    def _changed(self) -> None:
        if not self.fractions[-1] <= self.fraction <= 1 + 1e-9:
            self.faults.append(
                f"{self.title}: from {self.fractions[-1]} to {self.fraction} in {self.stage_name}"
            )
        self.fractions.append(self.fraction)
