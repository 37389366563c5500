"""Tools: how functions are described to the model, and how its calls are written and read.

Llama 4 knows two ways to write a call, named by `tool_format`:
"json"         {"type": "function", "name": "add", "parameters": {"a": 1}}       HF's prompt asks for it; the default
"python_list"  [add(a=1)]                                                        Meta's documentation asks for it
What the model wrote is read in either way, whatever it was asked for, and never executed.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import UserError

TOOL_FORMATS = ("json", "python_list")

# Tools that Llama knows without a description, with a notation of their own.
_SEARCHES = ("brave_search", "wolfram_alpha", "photogen")
CODE_INTERPRETER = "code_interpreter"

# The wording is a part of the format: HF's processor writes these sentences, and ids must be equal.
_ASK_FOR_JSON = (
    "Given the following functions, please respond with a JSON for a function call with its proper arguments that best "
    "answers the given prompt.\n\n"
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
    "Do not use variables.\n\n"
)
_ASK_FOR_PYTHON = (
    "You can call the functions below, given in JSON. To call them, write nothing but a list of calls, such as "
    '[first(count=2, name="x"), second()]. Answer in plain text if none of them helps, and ask for arguments that are '
    "missing.\n\n"
)
# Opens the system message when there are tools, as in HF's processor: results come from the role "ipython".
ENVIRONMENT = "Environment: ipython\n"


@dataclass(frozen=True)
class ToolCall:
    """One call of a function, by name, with named arguments; what JSON can hold."""

    name: str
    arguments: dict[str, Any]

    @classmethod
    def from_dict(cls, call: Any) -> ToolCall:
        """Read {"function": {"name", "arguments"}} or {"name", "parameters"}; arguments may be JSON text.

        Errors: UserError if it is neither.
        """
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(name, str) or not name:
            raise UserError(f'a tool call is {{"name": ..., "arguments": {{...}}}}, got {_short(call)}')
        arguments = inner.get("arguments", inner.get("parameters"))
        try:
            if isinstance(arguments, str):
                arguments = json.loads(arguments)
            arguments = json.loads(json.dumps(arguments))
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(f"the arguments of the call of {name} are not JSON: {_short(arguments)}") from error
        if not isinstance(arguments, dict):
            raise UserError(f"the arguments of the call of {name} must be a dictionary, got {_short(arguments)}")
        return cls(name, arguments)

    def to_dict(self) -> dict[str, Any]:
        """The form that messages have, here and in HF's."""
        return {"type": "function", "function": {"name": self.name, "arguments": self.arguments}}

    def write(self, tool_format: str = "json") -> str:
        """The text of this call in a conversation.

        Errors: UserError if a built-in tool lacks its argument.
        Source: Meta `ToolUtils.encode_tool_call`, to the letter: "python_list" does not escape quotes inside strings.
        """
        if self.name in _SEARCHES:
            return f'{self.name}.call(query="{self._argument("query")}")'
        if self.name == CODE_INTERPRETER:
            return str(self._argument("code"))
        if tool_format == "json":
            return json.dumps({"type": "function", "name": self.name, "parameters": self.arguments})
        return f"[{self.name}({_python_arguments(self.arguments)})]"

    def _argument(self, name: str) -> Any:
        if name not in self.arguments:
            raise UserError(f"a call of {self.name} needs the argument {name!r}, got {_short(self.arguments)}")
        return self.arguments[name]


def check_tool_format(tool_format: str) -> None:
    """Errors: UserError if there is no such format."""
    if tool_format not in TOOL_FORMATS:
        raise UserError(f"tool_format must be one of {', '.join(TOOL_FORMATS)}; got {tool_format!r}")


def read_tools(tools: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Descriptions of tools as JSON schemas; a Python function is described by its types and docstring.

    Errors: UserError for a tool that is neither a schema with a name nor a function, or is not documented.
    Source: HF `get_json_schema` for functions.
    """
    if tools is None:
        return []
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise UserError(f"tools must be a list of JSON schemas or Python functions, got {_short(tools)}")
    return [_read_tool(tool) for tool in tools]


def describe_tools(tools: Sequence[dict[str, Any]], tool_format: str = "json") -> str:
    """What the model is told about its tools.

    Source: "json": HF's chat template. "python_list": the layout of Meta's prompt documentation, in our words.
    """
    if tool_format == "json":
        listed = [json.dumps(tool, indent=4, ensure_ascii=False) + "\n\n" for tool in tools]
        return _ASK_FOR_JSON + "".join(listed)
    functions = [tool.get("function", tool) for tool in tools]
    return _ASK_FOR_PYTHON + json.dumps(functions, indent=4, ensure_ascii=False) + "\n\n"


def parse_tool_calls(text: str) -> list[ToolCall]:
    """The calls that a text consists of; none if it is anything else, such as an answer or a call that is cut off.

    Reads calls in JSON and as Python lists, several too, `<function=name>{...}</function>`, and
    `brave_search.call(query="...")`.

    Source: Meta `ToolUtils`.
    Differs: Meta takes the first call only, finds some notations in the middle of a text (and loses the text), turns
        apostrophes into quotes inside <function=...>, and fails on JSON without parameters and on names as values.
    """
    text = text.strip()
    parsers: list[Callable[[str], list[ToolCall]]] = [_parse_json, _parse_python, _parse_tagged, _parse_search]
    for parse in parsers:
        try:
            if calls := parse(text):
                return calls
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: text nested without end
            continue
    return []


def _parse_json(text: str) -> list[ToolCall]:
    """Objects one after another, with nothing or `;` between them, or in a list."""
    if not text.startswith(("{", "[")):
        return []
    found: list[Any] = []
    while text:
        value, end = json.JSONDecoder().raw_decode(text)
        found += value if isinstance(value, list) else [value]
        text = text[end:].lstrip(" \t\r\n;")
    return [ToolCall.from_dict(value) for value in found]


def _parse_python(text: str) -> list[ToolCall]:
    """A list of calls with named arguments; `[f()][g()]`, which is how several calls are written, is one list."""
    if not text.startswith("["):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of unknown escapes such as "\d"
        node = ast.parse(text, mode="eval").body
    calls: list[ast.expr] = []
    while isinstance(node, ast.Subscript):
        calls = [*(node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]), *calls]
        node = node.value
    calls = [*(node.elts if isinstance(node, ast.List) else [node]), *calls]
    return [_python_call(call) for call in calls]


def _python_call(node: ast.expr) -> ToolCall:
    if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name | ast.Attribute):
        raise UserError("not a call of a function with named arguments")
    name = ast.unparse(node.func)
    if not all(part.isidentifier() for part in name.split(".")) or None in [keyword.arg for keyword in node.keywords]:
        raise UserError("not a call of a function with named arguments")
    arguments = {keyword.arg: ast.literal_eval(_JsonNames().visit(keyword.value)) for keyword in node.keywords}
    return ToolCall.from_dict({"name": name, "arguments": arguments})


class _JsonNames(ast.NodeTransformer):
    """Models that write Python calls often put JSON's true, false and null in them."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        values = {"true": True, "false": False, "null": None}
        return ast.Constant(values[node.id]) if node.id in values else node


def _parse_tagged(text: str) -> list[ToolCall]:
    pattern = re.compile(r"<function=([^>]+)>(.*?)</function>\s*", re.DOTALL)
    calls: list[ToolCall] = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            return []
        calls.append(ToolCall.from_dict({"name": match[1], "arguments": match[2]}))
        position = match.end()
    return calls


def _parse_search(text: str) -> list[ToolCall]:
    match = re.fullmatch(r'(\w+)\.call\(query="([^"]*)"\)', text)
    return [ToolCall(match[1], {"query": match[2]})] if match else []


def _python_arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_python_value(value)}" for name, value in arguments.items())


def _python_value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_python_value, value))}]"
    return f"{{{_python_arguments(value)}}}" if isinstance(value, dict) else str(value)


def _read_tool(tool: Any) -> dict[str, Any]:
    if callable(tool):
        from transformers.utils import chat_template_utils as hf

        try:
            return hf.get_json_schema(tool)
        except (hf.DocstringParsingException, hf.TypeHintParsingException) as error:
            raise UserError(f"a tool needs type hints and a docstring: {' '.join(str(error).split())}") from error
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise UserError(
            f'a tool is a JSON schema {{"type": "function", "function": {{"name": ...}}}} or a Python function, '
            f"got {_short(tool)}"
        )
    try:
        json.dumps(tool)
    except (TypeError, ValueError) as error:
        raise UserError(f"the description of tool {inner['name']} is not JSON: {error}") from error
    return dict(tool)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
