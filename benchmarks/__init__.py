"""How fast and how large emeval is, as ratios to a limit that is measured in the same run on the same machine.

`python -m benchmarks` runs all, `python -m benchmarks latency resume` runs some. Nothing here asserts a time: machines
differ and are noisy, so what is printed is the median ratio with its range, and the target beside it. The server stands
on one core and the client on another where there are two; every pair that is compared is measured in turn.
"""
