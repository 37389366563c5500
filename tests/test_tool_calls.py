"""Calls of tools: written as Meta writes them, read in every notation, never executed, and never a reason to fail."""

import json
from typing import Any

import pytest
from llama_models.datatypes import ToolCall as MetaCall
from llama_models.datatypes import ToolPromptFormat
from llama_models.llama3.tool_utils import ToolUtils

from llama4_explained.errors import UserError
from llama4_explained.tool_calls import ToolCall, describe_tools, parse_tool_calls, read_tools

VALUES: list[dict[str, Any]] = [
    {}, {"a": 1}, {"city": "San Francisco", "metric": "celsius"},
    {"x": -2.5e-3, "flag": True, "off": False, "none": None}, {"words": ["a", "b"], "numbers": [1, 2]},
    {"text": "안녕 é \u2028"}, {"options": {"deep": "yes", "n": 3}},
    {"quote": 'say "hi"', "path": "C:\\new\\\n"},
]  # fmt: skip


@pytest.mark.parametrize("tool_format", ["json", "python_list"])
@pytest.mark.parametrize("arguments", VALUES)
def test_a_call_is_written_as_meta_writes_it(arguments: dict[str, Any], tool_format: str):
    theirs = ToolUtils.encode_tool_call(
        MetaCall(call_id="0", tool_name="look_up", arguments=arguments), ToolPromptFormat(tool_format)
    )
    assert ToolCall("look_up", arguments).write(tool_format) == theirs


@pytest.mark.parametrize("tool_format", ["json", "python_list"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("brave_search", {"query": "cats"}), ("wolfram_alpha", {"query": "1+1"}), ("photogen", {"query": "a cat"}),
     ("code_interpreter", {"code": "print(1)\n"})],
)  # fmt: skip
def test_built_in_tools_have_a_notation_of_their_own(name: str, arguments: dict[str, Any], tool_format: str):
    call = MetaCall(call_id="0", tool_name=name, arguments=arguments)
    theirs = ToolUtils.encode_tool_call(call, ToolPromptFormat(tool_format))
    assert ToolCall(name, arguments).write(tool_format) == theirs


@pytest.mark.parametrize("name", ["brave_search", "code_interpreter"])
def test_a_built_in_tool_without_its_argument_is_refused(name: str):
    with pytest.raises(UserError, match=f"a call of {name} needs the argument"):
        ToolCall(name, {"what": "cats"}).write()


@pytest.mark.parametrize("arguments", VALUES)
def test_what_is_written_as_json_reads_back(arguments: dict[str, Any]):
    calls = [ToolCall("first", arguments), ToolCall("second", {"n": 1}), ToolCall("third", arguments)]
    assert parse_tool_calls("".join(call.write("json") for call in calls)) == calls


@pytest.mark.parametrize("arguments", VALUES[:6])
def test_what_is_written_as_python_reads_back(arguments: dict[str, Any]):
    calls = [ToolCall("first", arguments), ToolCall("second", {"n": 1}), ToolCall("third", arguments)]
    assert parse_tool_calls("".join(call.write("python_list") for call in calls)) == calls


ADD = [ToolCall("add", {"a": 1, "b": "x"})]


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "function", "name": "add", "parameters": {"a": 1, "b": "x"}}',
        '{"name": "add", "parameters": {"a": 1, "b": "x"}}',
        '\n {"name": "add", "arguments": {"a": 1, "b": "x"}} \n',
        '{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": \\"x\\"}"}',
        '{"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": "x"}}}',
        '[{"name": "add", "parameters": {"a": 1, "b": "x"}}]',
        "[add(a=1, b='x')]",
        ' [add(\n    a=1,\n    b="x",\n)] ',
        '<function=add>{"a": 1, "b": "x"}</function>',
    ],
)
def test_every_notation_of_a_call_is_read(text: str):
    assert parse_tool_calls(text) == ADD


@pytest.mark.parametrize(
    "text",
    ['{"name": "f", "parameters": {}}{"name": "g", "parameters": {"s": "};"}}',
     '{"name": "f", "parameters": {}}; {"name": "g", "parameters": {"s": "};"}}',
     '[{"name": "f", "parameters": {}}, {"name": "g", "parameters": {"s": "};"}}]',
     '[f(), g(s="};")]', '[f()][g(s="};")]',
     '<function=f>{}</function>\n<function=g>{"s": "};"}</function>'],
)  # fmt: skip
def test_several_calls_are_read(text: str):
    assert parse_tool_calls(text) == [ToolCall("f", {}), ToolCall("g", {"s": "};"})]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [("[f(a=true, b=[false, null])]", {"a": True, "b": [False, None]}), ("[f(a=(1, -2.5))]", {"a": [1, -2.5]}),
     ('[f(a={"k": "v"}, b=\'it\\\'s\')]', {"a": {"k": "v"}, "b": "it's"}), ('[f(a="\\d")]', {"a": "\\d"}),
     ("[f(a='한')]", {"a": "한"})],
)  # fmt: skip
def test_values_of_python_calls(text: str, arguments: dict[str, Any]):
    assert parse_tool_calls(text) == [ToolCall("f", arguments)]


def test_a_method_is_called_by_its_whole_name():
    assert parse_tool_calls("[weather.now(city='Rome')]") == [ToolCall("weather.now", {"city": "Rome"})]


def test_a_built_in_search_is_read():
    assert parse_tool_calls('brave_search.call(query="a cat")') == [ToolCall("brave_search", {"query": "a cat"})]


@pytest.mark.parametrize(
    "text",
    ["", "Hello.", "[1, 2, 3]", "[f]", "[]", "{}", "[f(1)]", "[f(*a)]", "[f(**a)]", "[f(a=b)]", "[f(a=1)",
     "[f(a=1)] done", "[f(a={1, 2})]", "[f(a=1j)]", "[f(a=b'x')]", "[f(x)(a=1)]", "[(lambda: 0)()]", "[f()][0]",
     "f(a=1)",
     '{"name": "Bob"}', '{"name": "Bob", "parameters": null}', '{"name": 1, "parameters": {}}', '{"parameters": {}}',
     '{"name": "f", "parameters": [1]}', '{"name": "f", "parameters": {}', '{"name": "f", "parameters": {}} done',
     '{"name": "f", "parameters": {}}{"name": "g"}', '[{"name": "f", "parameters": {}}, 1]', "null", "3",
     "<function=f>{'a': 1}</function>", '<function=f>{"a": 1}', '<function=f>{}</function> done', "\0", "[f(a='\0')]",
     'Call brave_search.call(query="x")'],
)  # fmt: skip
def test_anything_else_is_text(text: str):
    assert parse_tool_calls(text) == []


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "[f(a=" + "-" * 100_000 + "1)]", "[f(a=" + "1+" * 20_000 + "1)]",
     "[f(a=" + "9" * 10_000 + ")]", '{"name": "f", "parameters": {"a": ' + "9" * 10_000 + "}}",
     "<function=f>{}" * 5_000, "[f(a=" + "(" * 5_000],
)  # fmt: skip
def test_text_without_end_is_text(text: str):
    assert parse_tool_calls(text) == []


def test_calls_are_never_executed(tmp_path):
    target = tmp_path / "made"
    assert parse_tool_calls(f"[f(a=open({str(target)!r}, 'w'))]") == []
    assert parse_tool_calls(f"[open(file={str(target)!r}, mode='w')]")[0].name == "open"
    assert not target.exists()


def test_differs_meta_reads_the_first_of_several_calls():
    text = '[f(a=1), g(b="x")]'
    assert ToolUtils.maybe_extract_custom_tool_call(text) == ("f", {"a": 1})
    assert [call.name for call in parse_tool_calls(text)] == ["f", "g"]


def test_differs_meta_fails_on_json_with_a_name_that_is_no_call():
    with pytest.raises(KeyError):
        ToolUtils.maybe_extract_custom_tool_call('{"name": "Bob"}')
    assert parse_tool_calls('{"name": "Bob"}') == []


def test_differs_meta_breaks_apostrophes_in_tagged_calls(capsys):
    text = '<function=say>{"text": "it\'s"}</function>'
    assert ToolUtils.maybe_extract_custom_tool_call(text) is None
    assert parse_tool_calls(text) == [ToolCall("say", {"text": "it's"})]


def test_differs_meta_writes_python_calls_that_nobody_can_read():
    written = ToolCall("say", {"text": 'a "b"'}).write("python_list")
    assert written == '[say(text="a "b"")]'
    assert parse_tool_calls(written) == []


def get_weather(city: str, days: int = 1):
    """Tells the weather.

    Args:
        city: Where.
        days: How far ahead.
    """


SCHEMA = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Where."},
                "days": {"type": "integer", "description": "How far ahead."},
            },
            "required": ["city"],
        },
    },
}


def test_a_python_function_describes_itself():
    assert read_tools([get_weather]) == [SCHEMA]


def test_schemas_are_taken_as_they_are():
    assert read_tools([SCHEMA, SCHEMA["function"]]) == [SCHEMA, SCHEMA["function"]]
    assert read_tools(None) == read_tools([]) == []


def test_python_descriptions_list_the_bare_functions():
    text = describe_tools([SCHEMA, SCHEMA["function"]], "python_list")
    listed = text[text.index("[\n") : text.rindex("]") + 1]
    assert json.loads(listed) == [SCHEMA["function"], SCHEMA["function"]]


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ("get_weather", "tools must be a list"),
        (SCHEMA, "tools must be a list"),
        ([1], "a tool is a JSON schema"),
        ([{"type": "function"}], "a tool is a JSON schema"),
        ([{"type": "function", "function": "get_weather"}], "a tool is a JSON schema"),
        ([{"name": "f", "default": {1, 2}}], "the description of tool f is not JSON"),
        ([lambda x: x], "needs type hints and a docstring"),
    ],
)
def test_malformed_tools_are_refused_in_one_line(tools: Any, reason: str):
    with pytest.raises(UserError, match=reason) as caught:
        read_tools(tools)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("add", "a tool call is"),
        ({}, "a tool call is"),
        ({"function": "add"}, "a tool call is"),
        ({"name": ""}, "a tool call is"),
        ({"name": "add"}, "must be a dictionary, got None"),
        ({"name": "add", "arguments": [1]}, "must be a dictionary"),
        ({"name": "add", "arguments": "a=1"}, "are not JSON"),
        ({"name": "add", "arguments": {"a": {1}}}, "are not JSON"),
    ],
)
def test_malformed_calls_are_refused_in_one_line(call: Any, reason: str):
    with pytest.raises(UserError, match=reason) as caught:
        ToolCall.from_dict(call)
    assert "\n" not in str(caught.value)
