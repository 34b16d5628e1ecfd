"""From a speech corpus to trained and scored members.

- Intel MKL rounds a matrix product differently when its arguments lie differently in memory. A
  member's frames lie elsewhere in every stack, so its numbers would depend on its companions in
  the last bit; MKL is asked not to. It looks at this when it is first used, and it costs nothing
  that could be measured (float32, 16 … 1536 columns, two Zen 5 cores).
"""

import os

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
