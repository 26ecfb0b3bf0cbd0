"""Files of memory over time, in the grammar of memory_profiler's mprof.

One record a line; unknown ones are skipped::

    CMDLINE python script.py
    MEM <MiB> <unix time>
    CHLD <pid> <MiB> <unix time>
    FUNC <module.function> <MiB> <time> <MiB> <time> [<level>]
"""

from __future__ import annotations

import glob
import os
from collections import namedtuple

PATTERN = "mprofile_??????????????.dat"

Sample = namedtuple("Sample", "memory time")
Call = namedtuple("Call", "start end memory_start memory_end level")


class Recording:
    """One file: ``samples`` [(MiB, unix time)], ``children`` {pid: samples}, ``calls`` {function:
    [Call]}, ``command`` (str or None)."""

    def __init__(self, path: str):
        self.path = path
        self.command: str | None = None
        self.samples: list[Sample] = []
        self.children: dict[int, list[Sample]] = {}
        self.calls: dict[str, list[Call]] = {}

    @property
    def start(self) -> float:
        times = [sample.time for sample in self.samples]
        times += [call.start for calls in self.calls.values() for call in calls]
        return min(times, default=0.0)

    def peak(self, function: str | None = None) -> float:
        """The largest sample in MiB, or the largest while a function ran. KeyError when it is not
        in the file, ValueError when there is no sample."""
        if function is None:
            return max(sample.memory for sample in self.samples)
        calls = self.calls[function]
        return max(
            sample.memory
            for sample in self.samples
            if any(call.start <= sample.time <= call.end for call in calls)
        )


def read(path: str) -> Recording:
    """OSError when it cannot be read; ValueError when it is no such file."""
    recording = Recording(path)
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            kind, _, rest = line.strip().partition(" ")
            try:
                _add(recording, kind, rest)
            except (ValueError, IndexError):
                raise ValueError(f"{path}, line {number}: not a record of mprof") from None
    return recording


def _add(recording: Recording, kind: str, rest: str) -> None:
    if kind == "CMDLINE":
        recording.command = rest
    elif kind == "MEM":
        memory, time = rest.split()[:2]
        recording.samples.append(Sample(float(memory), float(time)))
    elif kind == "CHLD":
        pid, memory, time = rest.split()[:3]
        samples = recording.children.setdefault(int(pid), [])
        samples.append(Sample(float(memory), float(time)))
    elif kind == "FUNC":
        name, *words = rest.split()
        memory0, time0, memory1, time1 = map(float, words[:4])
        level = int(words[4]) if len(words) > 4 else 0
        calls = recording.calls.setdefault(name, [])
        calls.append(Call(time0, time1, memory0, memory1, level))


def all_files() -> list[str]:
    """Those in the working directory, the oldest first."""
    return sorted(glob.glob(PATTERN))


def find(words: list[str]) -> list[str]:
    """Files by name or by number in all_files() (-1: the newest). ValueError for others."""
    existing, found = all_files(), []
    for word in words:
        try:
            path = existing[int(word)]
        except IndexError:
            raise ValueError(f"Invalid index (non-existing file): {word}") from None
        except ValueError:
            path = word
            if os.path.isdir(path):
                raise ValueError(f"Path {path} is a directory") from None
            if not os.path.isfile(path):
                raise ValueError(f"File {path} not found") from None
        if path not in found:
            found.append(path)
    return found


def function_labels(names) -> dict[str, str]:
    """{dotted name: its shortest end that no other has}."""
    names = list(names)
    labels = {}
    for name in names:
        words = name.split(".")
        for count in range(1, len(words) + 1):
            label = ".".join(words[-count:])
            if _is_unique(label, name, names, count):
                break
        labels[name] = label
    return labels


def _is_unique(label: str, name: str, names: list[str], count: int) -> bool:
    return all(other == name or ".".join(other.split(".")[-count:]) != label for other in names)


def slope(samples: list[Sample]) -> tuple[float, float]:
    """(MiB a second, MiB at the first sample): least squares. (0, mean) for a single time."""
    times = [sample.time - samples[0].time for sample in samples]
    memory = [sample.memory for sample in samples]
    mean_time, mean = sum(times) / len(times), sum(memory) / len(memory)
    spread = sum((time - mean_time) ** 2 for time in times)
    if spread == 0:
        return 0.0, mean
    rate = sum((t - mean_time) * (m - mean) for t, m in zip(times, memory, strict=True)) / spread
    return rate, mean - rate * mean_time
