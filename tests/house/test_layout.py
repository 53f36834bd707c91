"""The rules of the house that no linter holds. Each test looks at every file and names all that break its rule."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("farr", "coordinator", "node", "protocols", "queries")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "docs", "deploy", ".ci", ".github")
LONGEST_MODULE = 400

GENERATED = re.compile(r"wire_pb2(_grpc)?\.pyi?$")
LEFT_BY_TOOLS = {"__pycache__", "node_modules"}

# Folders at the root of a file system that the Filesystem Hierarchy Standard or the image names. Any other is one
# machine's own, and a path into it works on that machine only.
STANDARD_ROOTS = set(re.findall(r"\w+", "bin boot dev etc lib lib64 media mnt opt proc run sbin srv sys tmp usr var"))
IMAGE_ROOTS = {"data", "exchange", "registrar", "src", "state"}

# Packages come from whatever registry or mirror a machine is set up with; a file that names one breaks the others.
REGISTRY = re.compile(
    r"""(?ix)
    \b[\w.-]*(pypi|pythonhosted|npmjs|registry|mirror)[\w-]*(\.[\w-]+)*\.(org|com|net|io|dev|cn|edu)\b  # a host
    | --?(extra-)?index-url\b | --find-links\b | --trusted-host\b
    """
)
# Words of which a line has one wherever REGISTRY finds something; looking for them first is ten times as quick.
NEAR_REGISTRY = re.compile(
    r"(?i)^.*(?:pypi|pythonhosted|npmjs|registry|mirror|index-url|-links|trusted-).*$", re.MULTILINE
)
GENERAL_RANDOMNESS = ("random", "numpy.random")
SIMULATION = (
    "queries/answers/simulation.py"  # seeded by what was released already, for intervals and p-values at the client
)
PICKLES = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
AMBIENT_METHODS = {"now", "utcnow", "today", "generate", "generate_key", "urandom", "read_text", "read_bytes"}
AMBIENT_FUNCTIONS = {"open", "print", "input", "exec", "eval"}


def modules(*packages):
    """Return the packages' own modules, without the generated ones."""
    files = (path for package in packages or PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return [path for path in files if not GENERATED.search(path.name)]


def repository_files():
    """Return the files that are written by hand or kept: the root's and those in the folders of the repository."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for path in sorted(files) if not LEFT_BY_TOOLS & set(path.relative_to(ROOT).parts)]


def shown(path):
    """Return the path as a reader of the repository knows it."""
    return path.relative_to(ROOT).as_posix()


@cache
def nodes(path):
    """Return every node of the module's syntax tree, the module itself first; parsed once."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))))


@pytest.fixture(autouse=True, scope="module")
def trees():
    """Let a million nodes go when they are no longer needed: they slow every later test of the process."""
    yield
    nodes.cache_clear()


def dotted(node):
    """Return ``a.b.c`` for a chain of attributes on a name, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := dotted(node.value)):
        return f"{front}.{node.attr}"
    return None


def imported(path):
    """Return every module name that the module's imports name, ``from a import b`` as both a and a.b."""
    names = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def public(body, owner=""):
    """Yield (name, node) of the public classes, functions and methods defined here."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{owner}{node.name}.")


def described_elsewhere(node):
    """Tell whether this is one signature of several, or overrides a method that is described where it is declared."""
    names = {dotted(decorator) for decorator in node.decorator_list}
    return bool(names & {"overload", "override", "typing.overload", "typing.override"})


def machine_paths():
    """Return a pattern of paths of one machine: this checkout, this Python, homes, folders that are not standard."""
    own = {path.name for path in Path("/").iterdir()} - STANDARD_ROOTS - IMAGE_ROOTS
    starts = [str(ROOT), sys.prefix, *(f"/{name}" for name in sorted(own) if not name.startswith("."))]
    known = "|".join(re.escape(start) for start in starts if not start.startswith("/usr"))
    return re.compile(rf"(?m)(?:^|(?<=[\s\"'`(=:<]))(?:{known}|/home/\w+|/Users/\w+)(?=/[\w.])")


def test_the_five_packages_are_there():
    """Each package has a module, so the tests below look at something."""
    assert [package for package in PACKAGES if not modules(package)] == []


def test_a_module_is_short():
    """No module is longer than 400 lines: longer ones hold two ideas."""
    lines = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def test_names_say_what_is_inside():
    """No module is called utils or helpers, and nothing is a manager: such names collect what has no place."""
    vague = {"util", "utils", "helper", "helpers", "misc", "manager"}
    names = [shown(path) for path in modules()]
    assert [name for name in names if vague & set(re.split(r"[_/]", name.removesuffix(".py")))] == []
    classes = [(shown(path), node.name) for path in modules() for node in nodes(path) if isinstance(node, ast.ClassDef)]
    assert [(where, name) for where, name in classes if "Manager" in name] == []


def test_no_check_is_an_assertion():
    """No assert statement: it disappears under ``python -O``, and with it the check."""
    found = [(shown(path), node.lineno) for path in modules() for node in nodes(path) if isinstance(node, ast.Assert)]
    assert found == []


def test_no_general_purpose_randomness_and_no_pickle():
    """No random, numpy.random or pickle: noise and masks come from the system's generator, messages from schemas."""
    found = {}
    for path in modules():
        if shown(path) == SIMULATION:
            continue
        chains = {dotted(node) or "" for node in nodes(path) if isinstance(node, ast.Attribute)}
        named = imported(path) | {
            re.sub(r"^np\.", "numpy.", chain) for chain in chains if chain.startswith(("np.", "numpy."))
        }
        if bad := {
            name
            for name in named
            if name in PICKLES or f"{name}.".startswith(tuple(f"{g}." for g in GENERAL_RANDOMNESS))
        }:
            found[shown(path)] = bad
    assert found == {}


def test_nothing_near_noise_or_masks_can_simulate():
    """Draws that are seeded by a release serve the reading of releases only: no node and no protocol imports them."""
    found = [shown(path) for path in modules("node", "protocols") if "queries.answers.simulation" in imported(path)]
    assert found == []


def test_pure_packages_call_no_clock_generator_or_file():
    """Entropy, time and text are arguments in queries and protocols (the import contract covers whole modules)."""
    found = {}
    for path in modules("queries", "protocols"):
        called = [node.func for node in nodes(path) if isinstance(node, ast.Call)]
        bad = {func.attr for func in called if isinstance(func, ast.Attribute)} & AMBIENT_METHODS
        bad |= {func.id for func in called if isinstance(func, ast.Name)} & AMBIENT_FUNCTIONS
        if bad:
            found[shown(path)] = bad
    assert found == {}


def test_everything_public_is_described():
    """Every module and every public class, function and method in it have a docstring."""
    bare = []
    for path in modules():
        module = nodes(path)[0]
        defined = [("the module", module), *public(module.body)]
        bare += [
            (shown(path), name)
            for name, node in defined
            if not ast.get_docstring(node)
            and not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and described_elsewhere(node))
        ]
    assert bare == []


@cache
def functions_of_tests():
    """Return the names of the functions of each file under tests/."""
    return {
        shown(path): {node.name for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        for path in sorted((ROOT / "tests").rglob("*.py"))
    }


def test_every_guarantee_names_a_test_that_exists():
    """A docstring that promises something says which test would fail without it, and that file and test are there."""
    known = functions_of_tests()
    everything = set().union(*known.values())
    wrong, guarantees = [], 0
    for path in modules():
        for node in nodes(path):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            text = ast.get_docstring(node) or ""
            _before, guarantee, promised = text.partition("Guarantee:")
            guarantees += bool(guarantee)
            if guarantee and not re.search(r"tests/[\w/]+\.py|Test: as above", promised):
                wrong.append((shown(path), getattr(node, "name", ""), "names no test"))
            for file, name in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", text):
                if file not in known or (name and name not in known[file]):
                    wrong.append((shown(path), file, name))
            wrong += [(shown(path), name) for name in re.findall(r"(?<!/)\b(test_\w+)\b(?!\.py)", text)
                      if name not in everything]  # fmt: skip
    assert guarantees > 50
    assert wrong == []


def test_every_threat_names_checks_and_tests_that_exist():
    """Each row of the threat table of docs/secure-sum.md names files, functions and tests that are there."""
    known, package = functions_of_tests(), ROOT / "protocols" / "farrsum"
    scenarios = {"tests/protocols/farrsum/test_adversary.py", "tests/protocols/farrsum/test_adversary_messages.py"}
    lines = (ROOT / "docs" / "secure-sum.md").read_text(encoding="utf-8").splitlines()
    named, wrong = 0, []
    for row in (line for line in lines if line.startswith("| ")):
        files = set()
        for word in re.findall(r"`([^`]+)`", row):
            if test := re.fullmatch(r"((?:tests/[\w/]+/)?test_\w+\.py)?(?:::)?(test_\w+)?", word):
                file, name = test.groups()
                if file:
                    files = {file if file.startswith("tests/") else f"tests/protocols/farrsum/{file}"}
                among = files if file or word.startswith("::") else scenarios
                found = {each for each in among if each in known and (not name or name in known[each])}
            elif source := re.fullmatch(r"([\w/]+\.py)(?::([\w.]+))?", word):
                file, name = source.groups()
                path = ROOT / file if "/" in file else package / file
                names = {getattr(node, "name", "") for node in nodes(path)} if path.is_file() else set()
                found = path.is_file() and set((name or "").split(".")) - {""} <= names
            else:
                continue
            named += 1
            wrong += [] if found else [word]
    assert named > 80
    assert wrong == []


def test_tests_have_no_init():
    """There is no __init__.py under tests/: it would make tests/queries shadow the package queries."""
    assert [shown(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_every_test_is_a_sentence():
    """Every test function says in its docstring which property it holds."""
    bare = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        tests = [function for function in functions if function.name.startswith("test_")]
        bare += [(shown(path), function.name) for function in tests if not ast.get_docstring(function)]
    assert bare == []


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    """A fresh clone works anywhere: no package registry's host, no absolute path of the machine it was written on."""
    paths = machine_paths()
    found = []
    for path in repository_files():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        near = "\n".join(line.group() for line in NEAR_REGISTRY.finditer(text))
        found += [(shown(path), hit.group()) for hit in (*REGISTRY.finditer(near), *paths.finditer(text))]
    assert found == []


def test_constraints_pin_exactly():
    """Every line of constraints.txt is one exact version, without hashes, so any machine's registry can serve it."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+( ; .+)?", line)] == []
