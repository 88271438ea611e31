"""Speed and memory of emeval, as ratios to a limit measured in the same run on the same machine.

`python -m benchmarks` runs all, `python -m benchmarks latency resume` some. No time is asserted, as machines differ and
are noisy: the output is the median ratio with its range, and the target. Server and client run on separate cores if
there are two; compared measurements alternate.
"""
