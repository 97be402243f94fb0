"""Several processes, on one host or on many, that train one model together.

JAX connects them (``jax.distributed``) and moves what they exchange. This room adds what a run
needs beside that: errors as sentences, wishes that all processes hear of at the same round, shares
of a text whose words and ids all processes get, and a guard, which ends a process if another one
has failed, died or got stuck. ``streams`` is about one process: its standard input, output and
errors, as the program that started it has left them.
"""
