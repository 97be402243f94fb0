"""Several processes, on one host or on many, that train one model together.

JAX connects them (``jax.distributed``) and moves what they exchange. A run needs more, which is
here: errors as sentences, requests that all processes hear of at the same round, shares of a text
whose words and ids all processes get, and a guard, which ends a process if another one has failed,
died or got stuck. ``streams`` is about one process: its standard input, output and errors, as the
program that started it has left them.
"""
