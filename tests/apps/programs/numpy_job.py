"""A 500 MB array, worked on in rounds, and matrix products by BLAS threads. Whole numbers that
floating point holds exactly, so that the digest does not depend on the order of additions."""
import hashlib
import sys

import numpy

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 500
values = numpy.arange(megabytes * 125000, dtype=numpy.int64)  # 8 bytes each
matrix = (numpy.arange(700 * 700, dtype=numpy.float64).reshape(700, 700) * 7919) % 101
digest = hashlib.sha256()
for number in range(rounds):
    values *= 6364136223846793005
    values += number
    values ^= values >> 29
    product = (matrix @ matrix.T) % 1009
    matrix = product[::-1].copy() % 101
    digest.update(values[::1009].tobytes())
    digest.update(product.tobytes())
    if len(sys.argv) > 3:
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
print("sum", int(values.sum()), "digest", digest.hexdigest())
