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

    import w2vjax as w2v


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
        found = fuzz_formats.seeds(place)
    if options.parser not in found:
        sys.exit(f"There is no parser {options.parser}. Name one of {', '.join(sorted(found))}.")
    (corpus / "seed").write_bytes(found[options.parser])
    path = place / options.parser
    read = path.with_name(path.name.replace("metadata", "tensors"))

    def one(data: bytes) -> None:
        fuzz_formats.write(path, data)
        with contextlib.suppress(w2v.W2VError):
            fuzz_formats.load(read)

    limits = [f"-max_total_time={options.seconds}", "-timeout=5", "-rss_limit_mb=8192"]
    limits += ["-max_len=4096", f"-artifact_prefix={options.folder}/", "-seed=1"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
