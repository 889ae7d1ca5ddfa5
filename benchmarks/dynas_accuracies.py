"""Makes a CSV of measurements from the search histories in DyNAS-T's repository (`notebooks/data`).

    python benchmarks/dynas_accuracies.py mbnv3w10_*.csv -o FOLDER/ofa/accuracy_imagenet.csv

One row an evaluation, in the order in which the searches made them: five histories hold 2,373 of
2,162 distinct subnets, all at 224 px.
"""

import argparse
import ast
import csv
import json
from pathlib import Path

SPACE = "ofa-mobilenetv3-w1.0"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("histories", type=Path, nargs="+", help="as DyNAS-T wrote them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="what `hwnas fit --data` reads")
    arguments = parser.parse_args()
    with open(arguments.out, "w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["history", "order", "architecture", "accuracy_top1", "macs", "params"])
        for path in sorted(arguments.histories):
            with open(path, newline="", encoding="utf-8") as history:
                for order, row in enumerate(csv.DictReader(history)):
                    genes = ast.literal_eval(row["Sub-network"])
                    architecture = {
                        "space": SPACE,
                        **{name: genes[name] for name in ("ks", "e", "d")},
                        "r": genes["r"][0],
                    }
                    figures = (row["Top-1 Acc (%)"], row["MACs"], row["Model Parameters"])
                    rows.writerow([path.stem, order, json.dumps(architecture), *figures])


if __name__ == "__main__":
    main()
