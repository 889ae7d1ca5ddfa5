"""Loops are cut into equal parts: by how many."""


def divisors(number: int, most: int) -> list[int]:
    """Returns the divisors of a number from 1 to `most`, ascending."""
    return [one for one in range(1, min(number, most) + 1) if number % one == 0]
