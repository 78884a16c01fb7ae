"""Prints the time and the milliseconds of some products of matrices on processor 0, every 50 ms.

No process of this system comes before it, so it tells what others on the same hardware take of the processor: a second
thread of the core, or its caches.
"""

import os
import time

import numpy as np

os.sched_setaffinity(0, {0})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
matrix, product = np.ones((128, 128), np.float32), np.empty((128, 128), np.float32)
while True:
    begun = time.perf_counter()
    for _ in range(10):
        np.matmul(matrix, matrix, out=product)
    print(begun, (time.perf_counter() - begun) * 1e3, flush=True)
    time.sleep(0.05)
