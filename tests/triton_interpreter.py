"""Mends Triton's interpreter where a release of it is broken; imported by what runs in it.

Must be imported in a process with TRITON_INTERPRET=1.
"""

import numpy as np
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

interpreted_dot = InterpreterBuilder.create_dot
patch_tensor = interpreter._patch_lang_tensor


def dot_of_bfloat16(self, a, b, d, *rest):
    """The interpreter multiplies bfloat16's bit patterns (triton 3.7): give it their values."""
    wide = [
        TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), tl.float32)
        if x.dtype.scalar == tl.bfloat16
        else x
        for x in (a, b)
    ]
    return interpreted_dot(self, *wide, d, *rest)


def patch_tensor_for_numpy(tensor, scope):
    """A loop's bound is an array of one number, which numpy 2.4 makes no int of (triton 3.6)."""
    patch_tensor(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())


InterpreterBuilder.create_dot = dot_of_bfloat16
interpreter._patch_lang_tensor = patch_tensor_for_numpy
