"""How programs are compiled: options by the kind of device, and a folder that keeps programs."""

import os
import tempfile
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from w2vjax.errors import SettingError
from w2vjax.files import as_path

# Programs that took fewer seconds to compile are not written to disk, and JAX's own number for it.
_WORTH_KEEPING, _WORTH_KEEPING_TO_JAX = 0.1, 1.0


def compiler_options(platform: str, deterministic: bool) -> dict[str, Any] | None:
    """Options for XLA. An option that XLA_FLAGS names is left as it is."""
    options: dict[str, Any] = {}
    if platform == "cpu":
        # The program gains by XLA's own passes. LLVM's last passes take a second, with no gain that
        # could be measured.
        options = {"xla_backend_optimization_level": 1}
    elif platform == "gpu":
        # Without the first, jaxlib 0.10.2 compiles additions to rows to slow loops. With WHILE, the
        # last, a chunk is one CUDA graph, and no step waits for the host.
        captured = "FUSION CUBLAS CUBLASLT CUDNN CUSTOM_CALL DYNAMIC_SLICE_FUSION CONDITIONAL WHILE"
        options = {
            "xla_gpu_ftz": True,
            "xla_gpu_enable_command_buffer": captured.replace(" ", ","),
        }
        if deterministic:
            # XLA times its products in each process. Another fastest one may add in another order.
            options["xla_gpu_autotune_level"] = 0
    flags = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in flags} or None


def use_compile_cache(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Keep compiled programs in a folder, so that the next process need not compile them again.

    ``w2vjax train`` calls it. A program that cannot be written or read is compiled. Delete the
    folder whenever you like. Programs that compile in less than 0.1 s are not kept, unless
    jax_persistent_cache_min_compile_time_secs says another number.

    Args:
        folder: it is made if it is not there. Default: the folder that JAX uses already
            (JAX_COMPILATION_CACHE_DIR), or else ``w2vjax`` in XDG_CACHE_HOME or ~/.cache.

    Returns:
        The folder, or None if nothing can be written there. Then nothing is kept.

    Raises:
        SettingError: the folder that JAX uses already is a file.

    >>> use_compile_cache("/dev/null/nowhere") is None
    True
    """
    if folder is None and (given := getattr(jax.config, "jax_compilation_cache_dir", None)):
        if os.path.isfile(given):
            cause = f"JAX_COMPILATION_CACHE_DIR={given} is a file, and programs need a folder"
            raise SettingError(f"{cause}. Name a folder, or unset it.")
        return Path(given)
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "w2vjax")
    target = usual if folder is None else as_path(folder)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(target))
    least = "jax_persistent_cache_min_compile_time_secs"
    if getattr(jax.config, least) == _WORTH_KEEPING_TO_JAX and least.upper() not in os.environ:
        jax.config.update(least, _WORTH_KEEPING)
    reset_cache()  # JAX looks for the folder at its first compilation only
    return target
