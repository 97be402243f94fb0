"""A program: fuzzes one parser guided by coverage. It needs `pip install atheris`, and is no test.

    python tests/fuzz_guided.py x.bin --seconds 600

Every input gives a result or an error of the package within 5 seconds. Anything else ends the
program, and the input that did it is left in the folder in a file named crash-... or timeout-....
"""

import argparse
import contextlib
import shutil
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["w2vjax"]):
    import fuzz_formats
    import jax.numpy as jnp

    import w2vjax as w2v
    from w2vjax.corpus.count import build_vocab
    from w2vjax.corpus.sources import Reading
    from w2vjax.runs.checkpoint import Position, load_checkpoint, save_checkpoint
    from w2vjax.training.copies import Joined

CHECKPOINT = "checkpoint-000000000000.safetensors"
TABLE = jnp.ones((2, 3))
STATE = Joined(w2v.Params(TABLE, TABLE), ((jnp.int32(4),),))
IDENTITY = {f"settings.{name}": value for name, value in w2v.Settings().as_json().items()}
IDENTITY |= {"program": "p", "start": None}
CORPUS = {
    "corpus": b"the king\r\nthe queen\n\n\xc3\xbcber\xe6\x97\xa5 the",
    "corpus-invalid": b"\xef\xbb\xbfthe \xff king\n",
}


def load(path: Path) -> object:
    if path.name == CHECKPOINT:
        return load_checkpoint(path.parent, STATE, IDENTITY)  # type: ignore[arg-type]
    if path.name.startswith("corpus"):
        errors = "replace" if "invalid" in path.name else "strict"
        return build_vocab(path, 1, reading=Reading(errors, block_bytes=7))  # type: ignore[arg-type]
    return fuzz_formats.load(path.with_name(path.name.replace("metadata", "tensors")))


def seeds(folder: Path) -> dict[str, bytes]:
    """One sound file of each format. Reading it imports what is imported on first use."""
    found = fuzz_formats.seeds(folder) | CORPUS
    save_checkpoint(folder, STATE, Position(), IDENTITY, [])  # type: ignore[arg-type]
    found |= {path.name: path.read_bytes() for path in folder.glob("checkpoint-*")}
    for name, data in found.items():
        (folder / name).write_bytes(data)
        if not name.endswith("metadata.tsv"):
            load(folder / name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parser", help="the name of a seed, such as x.txt, pairs or corpus")
    parser.add_argument("--folder", type=Path, default=Path("fuzzed"))
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    place, corpus = options.folder / "files", options.folder / "corpus" / options.parser
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    corpus.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["w2vjax"]):
        found = seeds(place)
    if options.parser not in found:
        sys.exit(f"There is no parser {options.parser}. Name one of {', '.join(sorted(found))}.")
    (corpus / "seed").write_bytes(found[options.parser])
    path = place / options.parser

    def one(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(w2v.W2VError):
            load(path)

    limits = [f"-max_total_time={options.seconds}", "-timeout=5", "-rss_limit_mb=8192"]
    limits += ["-max_len=4096", f"-artifact_prefix={options.folder}/", "-seed=1"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
