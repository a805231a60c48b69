"""What an add or update did, counted."""

from dataclasses import asdict, dataclass, field
from typing import Any

from core.collections.list_rows import Conflict

# Reasons that a summary names.
_MOST_REASONS = 5


@dataclass
class Report:
    """What an add or update did, in images.

    added : new, with a vector of their own or that of the same content; duplicates : those of them whose content was stored already;
    changed : known paths with new content, label or metadata; unchanged; failed; removed; reasons : how many were left out for each reason,
    including the failed; kept_out : left out because they were removed before; restored : removed before, and stored again;
    conflicting : images to which lists now give different labels, which keep the label they had or none; conflicts : some of them;
    problems : sources that could not be read.
    """

    added: int = 0
    duplicates: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    removed: int = 0
    kept_out: int = 0
    restored: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    conflicting: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count images or rows that are left out."""
        if count:
            self.reasons[reason] = self.reasons.get(reason, 0) + count

    @property
    def left_out(self) -> int:
        """Images and rows that were read and are not stored."""
        return sum(self.reasons.values())

    @property
    def read(self) -> int:
        """All images and rows that were read."""
        return self.added + self.changed + self.unchanged + self.restored + self.left_out

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"read": self.read, "left_out": self.left_out, **asdict(self)}

    def conflict_summary(self) -> str:
        """A message about the conflicts, to be followed by their list."""
        one = self.conflicting == 1
        some = "" if self.conflicting == len(self.conflicts) else f" The first {len(self.conflicts):,}:"
        return (
            f"Lists give different labels to {self.conflicting:,} image{'' if one else 's'}, which {'keeps' if one else 'keep'} the "
            "previous label, or none. Correct the lists and update, or let one of them win with `playground collection update --labels-from "
            f"LIST`.{some}"
        )

    def summary(self) -> str:
        """All counts but those of nothing in one line, with the reasons for what was left out."""
        counts = {
            "added": self.added,
            "changed": self.changed,
            "already there": self.unchanged,
            "removed": self.removed,
            "restored": self.restored,
            "left out": self.left_out,
        }
        parts = [f"{self.read:,} read", *(f"{count:,} {what}" for what, count in counts.items() if count)]
        reasons = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        named = [f"{reason} ({count:,})" for reason, count in reasons[:_MOST_REASONS]]
        if others := sum(count for _, count in reasons[_MOST_REASONS:]):
            named.append(f"other reasons ({others:,})")
        why = f": {'; '.join(named)}" if named else ""
        return f"{', '.join(parts)}{why}."
