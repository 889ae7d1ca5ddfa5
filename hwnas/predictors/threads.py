"""How many threads the linear algebra of a fit takes: one."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Linear algebra inside takes one thread, and outside as many as before.

    A fit is thousands of products and factors of small matrices. NumPy and SciPy bring an OpenBLAS
    each, whose threads wait for work by spinning: on two cores they hold up each other, and a fit
    that takes half a second on one thread takes over ten.
    """
    # Only libraries that are loaded by now can be told.
    import scipy.linalg  # noqa: F401

    with threadpool_limits(limits=1, user_api="blas"):
        yield
