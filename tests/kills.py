"""Kill or stop a process of a run at random moments: the others end in time, a restart goes on.

    python tests/kills.py                 10 moments, 2 and 4 processes
    python tests/kills.py --moments 1     a quick look

A moment is up to 15 seconds after the start, so a process may also die while it starts or compiles.
Every other process has to end with an error within the heartbeat and 10 seconds, or within the time
of the start. The restart has to go on from the last checkpoint and write a newer one. The results
are lines of JSON.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from planted import planted_text
from test_devices import HEARTBEAT, Crew, options

START = 30  # seconds within which all processes have to come
LATEST = 15.0


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*.safetensors"))


def one(text: Path, folder: Path, count: int, victim: int, number: int, after: float) -> dict:
    """Seconds until the others had ended, what they said, and how the restart went."""
    kept = folder / "kept"
    saved = ["--checkpoint", kept, "--checkpoint-every", 1]
    arguments = options(text, folder / "out", 100_000, *saved)
    each = {number: ["--start-timeout", START] for number in range(count)}
    with Crew(count, *arguments, each=each) as crew:
        time.sleep(after)
        crew.processes[victim].send_signal(number)
        begin = time.monotonic()
        found = {"saved": len(before := checkpoints(kept))}
        try:
            ended = crew.ended(max(HEARTBEAT, START if not before else 0) + 10, victim)
        except subprocess.TimeoutExpired:
            return found | {"fault": "a process hangs"}
        found |= {"seconds": round(time.monotonic() - begin, 1), "said": ended[0][1][-300:]}
    if any(code == 0 or not said for code, said in ended):
        return found | {"fault": f"codes {[code for code, _ in ended]}"}
    before = checkpoints(kept)
    with Crew(count, *arguments, *(["--resume"] if before else [])) as crew:
        crew.wait_for(kept, "checkpoint-*.safetensors", after=max(before, default=""))
        crew.processes[-1].send_signal(signal.SIGTERM)
        ended = crew.ended(60)
    if [code for code, _ in ended] != [143] * count:
        return found | {"fault": f"the restart: {ended}"}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=10)
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw, faults, runs = random.Random(given.seed), 0, 0
    for _ in range(given.moments):
        for count in given.processes:
            for victim in (0, count - 1):
                for number in (signal.SIGKILL, signal.SIGSTOP):
                    after = round(draw.uniform(0, LATEST), 2)
                    with tempfile.TemporaryDirectory() as folder:
                        text = Path(folder, "text.txt")
                        text.write_text("".join(" ".join(line) + "\n" for line in planted_text(7)))
                        found = one(text, Path(folder), count, victim, number, after)
                    case = {"processes": count, "victim": victim, "signal": number.name}
                    print(json.dumps(case | {"after": after} | found), flush=True)
                    runs, faults = runs + 1, faults + ("fault" in found)
    print(f"{runs} runs, {faults} faults")
    sys.exit(int(faults > 0))


if __name__ == "__main__":
    main()
