"""Mends Triton's interpreter where a release of it is broken or slow; imported by what runs in it.

Must be imported in a process with TRITON_INTERPRET=1.
"""

import dataclasses

import numpy as np
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

interpreted_dot = InterpreterBuilder.create_dot
patch_tensor = interpreter._patch_lang_tensor
patch_language = interpreter._patch_lang
patched: set[tuple[bool, bool]] = set()


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


def patch_language_once(fn):
    """Each call of a function in a kernel looks through all of triton.language for what to patch,
    most of an interpreted kernel's time; here every kernel is interpreted, so it stays patched.
    """
    seen = list(fn.__globals__.values())
    modules = any(value is tl for value in seen), any(value is tl.core for value in seen)
    if modules not in patched:
        patched.add(modules)
        patch_language(fn)
    return interpreter._LangPatchScope()  # nothing to restore


InterpreterBuilder.create_dot = dot_of_bfloat16
interpreter._patch_lang_tensor = patch_tensor_for_numpy
interpreter._patch_lang = patch_language_once
# each sum of indices is also made in 64 bits and compared: half of the time, and the tests' tensors
# are a million times too small for it to differ
builder = interpreter.interpreter_builder
builder.options = dataclasses.replace(builder.options, sanitize_overflow=False)
