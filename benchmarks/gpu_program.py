"""What XLA makes of the training program for an H100, found on a machine without a GPU.

    pip install -e '.[cuda]'
    JAX_PLATFORMS=cpu python benchmarks/gpu_program.py

The CUDA plugin compiles for a described device, down to machine code. What it leaves says how many
kernels a step launches, whether a step waits for the host, whether it copies a table, how rows are
added, and what devices send each other. It says nothing of time. Kernels that XLA would choose by
timing them are chosen by its model here.
"""

import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # the check asks for a driver

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh
from timing import parser_of, report, table

from w2vjax.corpus.encode import Corpus
from w2vjax.devices import feed
from w2vjax.devices.fused import on_gpu
from w2vjax.devices.tables import AXES, places, sharding
from w2vjax.training import step
from w2vjax.training.methods import METHODS
from w2vjax.training.settings import Settings
from w2vjax.training.setup import Run, set_up
from w2vjax.vocab import Vocab
from w2vjax.windows.sampling import chunk_seed

# NVIDIA's data sheet of the H100 SXM, and its tuning guide for Hopper. XLA asks for the versions.
_H100 = """
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3" device_vendor: "NVIDIA Corporation"
  platform_version: "Compute Capability 9.0a"
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98 threads_per_warp: 32
  threads_per_block_limit: 1024 threads_per_core_limit: 2048
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472 l2_cache_size: 52428800 device_memory_size: 84942979072
  memory_bandwidth: 3352320000000 pcie_bandwidth: 34359738368
  device_address_bits: 64 ecc_enabled: true
  driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0"
  dnn_version: "9.10.0"
}
platform_name: "CUDA" device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 10 } runtime_version { major: 13 minor: 0 }
"""
_WORDS, _TOKENS = 70_000, 17_000_000  # like 100 MB of Wikipedia
# devices along the axes of devices/tables.py
_LAYOUTS = {"one": (1, 1, 1), "data": (2, 1, 1), "dim": (1, 2, 1), "vocabulary": (1, 1, 2)}
_COLLECTIVES = "all-reduce all-gather reduce-scatter collective-permute all-to-all".split()


def zipf_corpus(words: int = _WORDS, tokens: int = _TOKENS) -> Corpus:
    """A corpus of so many tokens, all of them word 0. Nothing here reads the ids."""
    counts = (tokens / np.log(words) / np.arange(1, words + 1)).astype(np.int64) + 5
    vocab = Vocab(tuple(f"w{i}" for i in range(words)), counts)
    ids = np.lib.stride_tricks.as_strided(np.zeros(1, np.int32), (tokens,), (0,))
    return Corpus(vocab=vocab, ids=ids, starts=np.array([0]), digest="zipf", reused=False)


def gpu_run(model: str, objective: str, **settings: Any) -> tuple[Run, int]:
    """The run of a method as a GPU would have it, and the words of its chunks."""
    chosen = METHODS[model, objective]
    settings.setdefault("batch_words", chosen.accelerator_words)
    deterministic = settings.pop("deterministic", False)
    run = set_up(
        zipf_corpus(),
        Settings(model=model, objective=objective, copies=1, min_count=1, **settings),
        deterministic=deterministic,
    )
    words = run.settings.batch_words
    size = feed.ACCELERATOR_CHUNK // words * words
    every = max(1, min(32, size // words // 4))
    return run._replace(recipe=run.recipe._replace(platform="gpu", every=every)), size


def compiled_for_h100(run: Run, size: int, layout: str, folder: str) -> Any:
    """The program of a chunk, compiled for one H100 or two. XLA writes its notes into a folder."""
    shape = _LAYOUTS[layout]
    topology = topologies.get_topology_desc(
        platform="cuda", target_config=_H100, topology=f"1x1x{math.prod(shape)}"
    )
    mesh = Mesh(np.array(topology.devices).reshape(shape), AXES)
    recipe = run.recipe._replace(mesh=mesh)
    if layout == "one":
        recipe = recipe._replace(mesh=None, objective=on_gpu(recipe.objective))
    ids = np.lib.stride_tricks.as_strided(
        np.zeros(1, np.int32), (-(-_TOKENS // size) * size,), (0,)
    )
    piece = ids, np.int32(0), np.int32(0), chunk_seed(0, 0, 0)
    rest = run.tables, run.keep, *piece
    divided = places(mesh, run.state, run.state.params.input.shape)
    arguments = jax.tree.map(
        lambda leaf, own: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=own),
        (run.state, *rest),
        (divided, *jax.tree.map(lambda _: sharding(mesh), rest)),
    )
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):  # Pallas asks for the device
        lowered = step.compile_chunk(recipe, size).lower(*arguments)
    dump = {"xla_dump_to": folder, "xla_dump_hlo_as_text": True}
    return lowered.compile(compiler_options=dump)


def kernels_of_a_step(thunks: str) -> int:
    """Kernels and copies in the body of the innermost loop of a thunk sequence."""
    depth = max(len(line) - len(line.lstrip()) for line in thunks.splitlines() if "kWhile" in line)
    body, inside = [], False
    for line in thunks.splitlines():
        indent = len(line) - len(line.lstrip())
        if "body:" in line:
            inside = indent > depth
        elif indent <= depth:
            inside = False
        elif inside:
            body.append(line)
    return sum("kCommandBuffer" not in line for line in body)


def waits_for_host(thunks: str) -> int:
    """Loops and conditions that the host drives: those that are not part of a CUDA graph."""
    waits, graph = 0, None
    for line in thunks.splitlines():
        indent = len(line) - len(line.lstrip())
        if graph is not None and indent <= graph and re.match(r"\s*\d+:", line):
            graph = None
        if graph is None and "kCommandBuffer" in line:
            graph = indent
        elif graph is None:
            waits += "kWhile" in line or "kConditional" in line
    return waits


def _bytes_of(kind: str) -> int:
    """The bytes of a number of XLA's, such as f32 or u8. A truth value, pred, has one."""
    bits = re.search(r"\d+", kind)
    return max(1, int(bits[0]) // 8) if bits else 1


def collective_bytes(program: str) -> dict[str, int]:
    """Bytes of the results of each kind of collective in a compiled program, each counted once.

    One that begins and ends in two instructions has its result at its end. The first instruction
    names what is sent too.
    """
    found = dict.fromkeys(_COLLECTIVES, 0)
    for line in program.splitlines():
        match = re.search(rf"= (.*?) ({'|'.join(_COLLECTIVES)})(?:-done)?\(", line)
        if match:
            for kind, sizes in re.findall(r"(\w+)\[([\d,]*)\]", match[1]):
                numbers = np.prod([int(n) for n in sizes.split(",") if n], dtype=np.int64)
                found[match[2]] += int(numbers) * _bytes_of(kind)
    return {kind: size for kind, size in found.items() if size}


def describe(model: str, objective: str, layout: str = "one", **settings: Any) -> dict[str, Any]:
    """Compile a shipped method for an H100 and count what is in the program."""
    run, size = gpu_run(model, objective, **settings)
    with tempfile.TemporaryDirectory() as folder:
        compiled = compiled_for_h100(run, size, layout, folder)
        notes = {path.name: path for path in Path(folder).iterdir()}

        def read(ending: str) -> list[str]:
            return [path.read_text() for name, path in notes.items() if name.endswith(ending)]

        (thunks,), codes = read("thunk_sequence_after_thunk_passes.txt"), read(".ptx")
    program = compiled.as_text()
    words, dim = run.state.params.input.shape
    _, columns, rows = _LAYOUTS[layout]
    whole = rf"f32\[{words // rows},{dim // columns}\]\S* copy\("
    memory = compiled.memory_analysis()
    return {
        "model": model,
        "objective": objective,
        "layout": layout,
        **settings,
        "batch_words": run.settings.batch_words,
        "kernels": kernels_of_a_step(thunks),
        "host_waits": waits_for_host(thunks),
        "table_copies": len(re.findall(whole, program)),
        # newer versions write no PTX
        "compare_and_swap": sum(len(re.findall(r"atom\S*\.cas", code)) for code in codes)
        if codes
        else None,
        "aliased_bytes": memory.alias_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "collective_bytes": collective_bytes(program),
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--pair", nargs=2, metavar=("MODEL", "OBJECTIVE"), help="one method only")
    parser.add_argument("--layouts", nargs="+", default=[*_LAYOUTS], choices=[*_LAYOUTS])
    options = parser.parse_args()
    rows = []
    for model, objective in [options.pair] if options.pair else METHODS:
        for layout in options.layouts:
            if objective == "softmax" and layout == "vocabulary":
                continue  # refused: a softmax reads every row
            rows.append(describe(model, objective, layout))
            print(rows[-1], flush=True)
    print(table([{k: v for k, v in row.items() if not isinstance(v, dict)} for row in rows]))
    report(
        "gpu_program", {"target": "H100 SXM"}, rows, write=options.write, quick=bool(options.pair)
    )


if __name__ == "__main__":
    main()
