"""`python -m hub_worker` runs a worker."""

import sys

from hub_worker.program import main

if __name__ == "__main__":
    sys.exit(main())
