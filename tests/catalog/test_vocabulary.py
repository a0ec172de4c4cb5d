"""Reading plugins' source gives what importing them gives."""

import inspect
from pathlib import Path

import pytest

from i2i_forge.catalog.loading import find_plugins, load_plugins, read_vocabulary
from i2i_forge.catalog.vocabulary import module_file, read_plugin


@pytest.fixture(scope="module")
def host():
    return load_plugins()


@pytest.fixture(scope="module")
def vocabulary():
    return read_vocabulary(find_plugins())


def test_names_kinds_and_origins_agree_with_the_catalog(host, vocabulary):
    live = {(r.kind, e.name, e.plugin, e.origin) for r in host.catalog.registries() for e in r.entries()}
    assert {(c.kind, c.name, c.plugin, c.origin) for c in vocabulary.components} == live
    assert vocabulary.complete and len(live) > 10


def test_options_agree_with_the_signatures(host, vocabulary):
    for component in vocabulary.components:
        target = getattr(host.catalog, component.kind).get(component.name)
        if component.kind == "trainers":
            continue
        assert component.summary == (inspect.getdoc(target) or "").partition("\n")[0] != "", component
        if component.kind in ("formats", "metrics"):  # not built with options
            continue
        parameters = inspect.signature(target).parameters.values()
        if inspect.isfunction(target):
            assert component.arguments == sum(p.default is p.empty for p in parameters), component
            parameters = [p for p in parameters if p.default is not p.empty]
        elif component.kind == "losses":
            assert component.arguments == len(inspect.signature(target.forward).parameters) - 1
        assert [p.name for p in component.options] == [p.name for p in parameters], component
        assert [p.default is None for p in component.options] == [p.default is p.empty for p in parameters], component


def test_trainers_agree_with_their_classes(host, vocabulary):
    for component in (c for c in vocabulary.components if c.kind == "trainers"):
        trainer = host.catalog.trainers.get(component.name)
        assert component.roles == dict(trainer.roles)
        assert component.routes == dict(trainer.routes)
        assert component.tensors == {name for route in trainer.routes for name in trainer.pass_along(route).tensors()}
        assert component.optional_roles == trainer.optional_roles
        assert component.state == set(trainer.state)


def test_what_is_not_literal_is_unknown(tmp_path: Path):
    file = tmp_path / "odd.py"
    file.write_text(
        "from elsewhere import Thing\n"
        "def register_components(catalog):\n"
        "    catalog.losses.add('thing', Thing)\n"
        "    for name in ('a', 'b'):\n"
        "        catalog.losses.add(name, Thing)\n"
        "    other.losses.add('no', Thing)\n"
    )
    components, complete = read_plugin("odd", "odd", file)
    assert [(c.name, c.options) for c in components] == [("thing", None)]
    assert not complete


def test_module_files_are_found_without_importing():
    assert module_file("i2i_forge_plugins.munit").name == "munit.py"
    assert module_file("no_such_package.module") is None
    assert module_file("i2i_forge.no_such_module") is None


HEAD = "from i2i_forge import hookimpl\n"


@pytest.fixture
def read(tmp_path):
    """The components and completeness of a plugin's source; `{hook}` is the hook's first line."""

    def reader(text):
        file = tmp_path / "odd.py"
        file.write_text(HEAD + text.replace("{hook}", "@hookimpl\ndef register_components(catalog):\n    "))
        return read_plugin("odd", "odd", file)

    return reader


@pytest.mark.parametrize(
    "text",
    [
        "{hook}losses = catalog.losses; losses.add('x', X)",
        "{hook}add = catalog.losses.add; add('x', X)",
        "{hook}getattr(catalog, 'losses').add('x', X)",
        "{hook}register_all(catalog)",
        "{hook}catalog.losses.add(NAME, X)",
        "{hook}catalog.losses.add(name='x', component=X)",
        "{hook}catalog.losses.add(f'x', X)",
        "{hook}[catalog.losses.add(n, X) for n in 'ab']",
        "{hook}catalog.oddities.add('x', X)",
        "from elsewhere import register_components",
        "from elsewhere import hook as register_components",
        "from elsewhere import *",
        "register_components = hookimpl(make())",
        "if True:\n    @hookimpl\n    def register_components(catalog):\n        catalog.losses.add('x', X)",
    ],
)
def test_dynamic_registration_is_seen(read, text):
    assert read(text) == ([], False)


@pytest.mark.parametrize("text", ["", "{hook}pass", "x = 1", "def run_started(run, step): pass", "class A:\n    pass"])
def test_nothing_to_register_is_complete(read, text):
    assert read(text) == ([], True)


def test_static_and_dynamic_registration_together(read):
    components, complete = read("{hook}catalog.losses.add('x', X); catalog.losses.add(NAME, X)")
    assert ([c.name for c in components], complete) == (["x"], False)


def options(read, text, kind="encoders"):
    ((component,), complete) = read(text + f"\n{{hook}}catalog.{kind}.add('x', X)")
    assert complete
    shown = None if component.options is None else [(p.name, p.annotation, p.default) for p in component.options]
    return shown, component.arguments


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("class X:\n    def __init__(self, a, b: int = 3, *, c: str | None = None): pass", "encoders",
         ([("a", None, None), ("b", "int", "3"), ("c", "str | None", "None")], None)),
        ("class X: pass", "encoders", ([], None)),
        ("class X(Base): pass", "encoders", (None, None)),
        ("class X:\n    def __init__(self, **options): pass", "encoders", (None, None)),
        ("class X:\n    def __init__(self, *sizes): pass", "encoders", (None, None)),
        ("@dataclass\nclass X:\n    width: int = 3", "encoders", (None, None)),
        ("@changed\ndef X(a, b, c=3): pass", "losses", (None, None)),
        ("X = partial(Y)", "encoders", (None, None)),
        ("def X(a, b, *, k, c=3): pass", "losses", ([("c", None, "3"), ("k", None, None)], 2)),
        ("def X(*tensors): pass", "losses", (None, None)),
        ("class X(Module):\n    def __init__(self, p=2): pass\n    def forward(self, a, b): pass", "losses",
         ([("p", None, "2")], 2)),
        ("class X:\n    def __call__(self, a): pass", "losses", ([], 1)),
        ("class X:\n    def __call__(self, a, mask=None): pass", "losses", ([], None)),
    ],
)  # fmt: skip
def test_signatures(read, text, kind, expected):
    found, arguments = options(read, text, kind)
    assert (sorted(found) if found else found, arguments) == (sorted(expected[0]) if expected[0] else expected[0],
                                                              expected[1])  # fmt: skip


TRAINER = """
class Other(ForwardPass):
    @tensor
    def one(self): pass

class X_Pass({base}):
    @tensor
    def two(self): pass
    def helper(self): pass

class X(Trainer):
    forward_pass = X_Pass
    roles: ClassVar = {roles}
    routes = {{"ab": ("a", "b")}}
"""


@pytest.mark.parametrize(
    ("base", "roles", "tensors", "known"),
    [
        ("Other", "{'encoder': 'encoders'}", {"source", "target", "one", "two"}, {"encoder": "encoders"}),
        ("i2i_forge.ForwardPass", "make()", {"source", "target", "two"}, None),
        ("Elsewhere", "[1]", None, None),
        ("X_Pass", "{**BASE}", None, None),  # a class may extend its namesake from elsewhere
    ],
)
def test_trainers(read, base, roles, tensors, known):
    ((x,), _) = read(TRAINER.format(base=base, roles=roles) + "\n{hook}catalog.trainers.add('x', X)")
    assert (x.tensors, x.roles, x.routes) == (tensors, known, {"ab": ("a", "b")})
