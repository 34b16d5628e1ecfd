"""A formula's program as code, for any language.

- A kernel needs three activations inlined into its loop, each as a value and as a value with all
  its slopes; none of these is written by hand.
- `Printer` knows SymPy and nothing of a language; a language is a subclass of a few short methods,
  so that torch, C and Triton read alike and cannot disagree about the order of operations, which
  decides what overflows.
- Parameters are arguments and never part of the code: learning must not compile.
"""

from collections.abc import Mapping, Sequence
from functools import reduce

import sympy

from activations.formula.primitives import Comparison, Primitive, Where
from activations.formula.program import Program, factors_in_order

_SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Printer:
    """A program as lines of code. Subclasses give the words of a language.

    inputs: what stands for each of the program's inputs in the code, by name.
    lines: the code of the steps. outputs: the code of each of the program's outputs.
    """

    def __init__(self, program: Program, inputs: Mapping[str, str]) -> None:
        self.program = program
        self.lines: list[str] = []
        self._names = dict(inputs)
        self._added = 0
        for symbol, step in program.steps:
            condition = program.is_condition(step)
            self.lines.append(self.assign(symbol.name, self.expression(step), condition=condition))
            self._names[symbol.name] = symbol.name
        self.outputs = [self.argument(output) for output in program.outputs]

    def number(self, value: float) -> str:
        """A constant beside a variable in a sum or product."""
        raise NotImplementedError

    def constant(self, value: float) -> str:
        """A constant alone, where the language may want it as wide as x."""
        return self.number(value)

    def assign(self, name: str, code: str, *, condition: bool) -> str:
        """A line that names the value of `code`."""
        raise NotImplementedError

    def call(self, function: type[Primitive], arguments: Sequence[sympy.Expr]) -> str:
        """A primitive other than a comparison and `where`."""
        raise NotImplementedError

    def compare(self, function: type[Comparison], arguments: Sequence[str]) -> str:
        """A condition (lt le gt ge isnan)."""
        raise NotImplementedError

    def choose(self, condition: str, yes: str, no: str) -> str:
        """Yes where the condition holds, else no."""
        raise NotImplementedError

    def branches(self, yes: sympy.Expr, no: sympy.Expr) -> tuple[str, str]:
        """What `choose` chooses from."""
        return self.argument(yes), self.argument(no)

    def total(self, terms: Sequence[str]) -> str:
        """A sum."""
        return f"({' + '.join(terms)})".replace("+ -", "- ")

    def product(self, negative: bool, above: Sequence[str], below: Sequence[str]) -> str:
        """1, multiplied by what is `above` and divided by what is `below`, one after another."""
        top = " * ".join(above) or self.number(1.0)
        product = f"{top}{''.join(f' / {each}' for each in below)}"
        if negative:
            return f"-({product})" if len(above) + len(below) > 1 else f"-{product}"
        return product if product.isidentifier() else f"({product})"

    def power(self, base: sympy.Expr, exponent: int) -> str:
        """A power of two or more: square and multiply, so that x**8 takes three products."""
        atom = self.expression(base)
        if not isinstance(base, sympy.Symbol):
            atom = self.name(atom)
        squares = [atom]
        while 1 << len(squares) <= exponent:
            squares.append(self.name(self.times(squares[-1], squares[-1])))
        factors = [s for i, s in enumerate(squares) if exponent >> i & 1]
        return factors[0] if len(factors) == 1 else self.whole(reduce(self.times, factors))

    def times(self, left: str, right: str) -> str:
        """A product of two names, without parentheses."""
        return f"{left} * {right}"

    def whole(self, code: str) -> str:
        """Code that any operator may stand beside."""
        return f"({code})"

    def name(self, code: str) -> str:
        """A new name for the value of `code`."""
        name = f"s{self._added}"
        self._added += 1
        self.lines.append(self.assign(name, code, condition=False))
        return name

    def argument(self, expression: sympy.Expr) -> str:
        """Code of a whole argument, without parentheses around it."""
        if expression.is_number:
            return self.constant(float(expression))
        code = self.expression(expression)
        return code[1:-1] if code.startswith("(") and expression.args else code

    def expression(self, expression: sympy.Expr) -> str:
        """Code of one expression; a sum or product comes in parentheses."""
        if isinstance(expression, sympy.Symbol):
            return self._names[expression.name]
        if isinstance(expression, sympy.Rational | sympy.Float):
            return self.number(float(expression))
        if isinstance(expression, sympy.Add):
            return self.total(list(map(self.expression, expression.as_ordered_terms())))
        if isinstance(expression, sympy.Mul | sympy.Pow):
            return self._product(expression)
        if isinstance(expression, Comparison):
            return self.compare(type(expression), list(map(self.argument, expression.args)))
        if isinstance(expression, Where):
            condition, yes, no = expression.args
            choice = self.branches(yes, no)
            return self.choose(self.expression(condition), *choice)
        if isinstance(expression, Primitive):
            return self.call(type(expression), expression.args)
        raise TypeError(f"no code for {type(expression).__name__}")

    def _product(self, expression: sympy.Expr) -> str:
        above: list[str] = []
        below: list[str] = []
        negative = False
        for factor in factors_in_order(expression):
            if factor == -1:
                negative = True
                continue
            base, exponent = factor.as_base_exp() if isinstance(factor, sympy.Pow) else (factor, 1)
            times = abs(int(exponent))
            code = self.expression(base) if times == 1 else self.power(base, times)
            (above if exponent > 0 else below).append(code)
        return self.product(negative, above, below)


class PythonPrinter(Printer):
    """What the languages that are written in Python share.

    names: how a primitive is called where it is not by its own name.
    """

    names: Mapping[str, str] = {}

    def number(self, value: float) -> str:
        """A Python number, which becomes as wide as the array it meets."""
        return repr(value) if abs(value) != float("inf") else f"float('{value}')"

    def assign(self, name: str, code: str, *, condition: bool) -> str:  # noqa: ARG002
        """A plain assignment."""
        return f"{name} = {code}"

    def call(self, function: type[Primitive], arguments: Sequence[sympy.Expr]) -> str:
        """A function call."""
        name = self.names.get(function.text_name, function.text_name)
        return f"{name}({', '.join(map(self.argument, arguments))})"

    def compare(self, function: type[Comparison], arguments: Sequence[str]) -> str:
        """Python's comparison; NaN is what differs from itself."""
        left, *right = (each if _alone(each) else f"({each})" for each in arguments)
        if function.text_name == "isnan":
            return f"({left} != {left})"
        return f"({left} {_SIGNS[function.text_name]} {right[0]})"


def python_words(program: Program) -> dict[str, str]:
    """What `x` and each parameter are called in Python: a parameter may have a function's name."""
    return {name: name if name == "x" else f"p_{name}" for name in program.inputs}


def python_source(program: Program, language: type[PythonPrinter], name: str) -> str:
    """Python source of one function of the program's inputs that returns a tuple of its outputs."""
    words = python_words(program)
    printer = language(program, words)
    lines = [f"def {name}({', '.join(words.values())}):"]
    lines += [f"    {line}" for line in printer.lines]
    lines.append(f"    return ({' '.join(f'{output},' for output in printer.outputs)})")
    return "\n".join(lines) + "\n"


def _alone(code: str) -> bool:
    """Whether an operator may stand beside this code: a name or a number."""
    return code.isidentifier() or code.replace(".", "", 1).isdigit()
