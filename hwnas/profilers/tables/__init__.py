"""Block tables: costs of blocks, their files, what they lack, and measuring them."""

from hwnas.profilers.tables.table import BlockCost, BlockTable, block_key

__all__ = ["BlockCost", "BlockTable", "block_key"]
