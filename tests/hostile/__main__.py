"""Write the corpus: `python -m hostile FOLDER`, in the folder of the tests."""

from __future__ import annotations

import sys
from pathlib import Path

from hostile.corpus import corpus, write_files

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"one folder is needed, {len(sys.argv) - 1} words came: python -m hostile FOLDER")
    write_files(corpus(), Path(sys.argv[1]))
    size = sum(len(file.content) for file in corpus())
    sys.stdout.write(f"{len(corpus())} files, {size / 1e6:.1f} MB in {sys.argv[1]}\n")
