"""Names of frameworks, compilers and data sets that lead nowhere are refused in the parent, with the nearest."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from case_samples import make_case
from toy import Toy, toy_recipe

from hardware.engines.native.inductor import Inductor
from runner import cli
from runner.config.checks import check
from runner.config.known import check_engine, engine_of
from runner.config.schema import Case, Compiler, FrameworkSpec
from runner.config.task import demands_of
from runner.core.errors import ConfigurationError, DependencyError
from runner.core.registries import ENGINES, FRAMEWORKS
from runner.frameworks.implementations import trainable_class
from runner.frameworks.lightning.pytorch import Pytorch

CASE = make_case()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            replace(CASE, framework=FrameworkSpec(name="pytorhc")),
            r"framework.name=pytorhc: no framework is called pytorhc\. Did you mean pytorch\? There are: deepspeed, "
            r"jax, megatron, mindspore, paddle, pytorch, tensorflow\.",
        ),
        (
            replace(CASE, compiler=Compiler(name="inducter")),
            r"compiler.name=inducter: no compiler is called inducter\. Did you mean inductor\? There are: .*inductor,",
        ),
        (
            replace(CASE, model=replace(CASE.model, dataset="imagnet")),
            r"model.dataset: no data set is called imagnet\. Did you mean imagenet\?",
        ),
        (
            replace(CASE, compiler=Compiler(name="inductor", options={"mod": 1})),
            r"compiler=inductor: mod is not an option here\. Did you mean mode\?",
        ),
        (
            make_case(data={"name": "dataset", "root": "."}),
            r"model=bert has no real data set\. Choose data=sample\.",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(case: Case, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check(case)


def test_an_engine_that_cannot_work_here_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inductor, "unavailable_reason", lambda self: "no g++")
    with pytest.raises(DependencyError, match="compiler=inductor cannot be used here: no g\\+\\+"):
        check(replace(CASE, compiler=Compiler(name="inductor")))
    check(replace(make_case("inspect"), compiler=Compiler(name="inductor")))


def test_a_framework_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.frameworks.lightning.pytorch.PACKAGES", ("torch", "no_such_package_at_all"))
    with pytest.raises(DependencyError, match=r"framework=pytorch .*no_such_package_at_all is not installed"):
        check(CASE)


def test_the_frameworks_of_conf_are_registered() -> None:
    names = ["deepspeed", "jax", "megatron", "mindspore", "paddle", "pytorch", "tensorflow"]
    assert FRAMEWORKS.find("pytorch") is Pytorch and FRAMEWORKS.names(outside=False) == names


def test_only_given_options_reach_the_engine() -> None:
    engine = engine_of(Compiler(name="inductor", mode="max-autotune"))
    assert engine.options == {"mode": "max-autotune"}
    assert engine_of(Compiler(name="inductor")).options == {}
    assert engine_of(Compiler(name="eager")).options == {}


def test_a_models_class_is_a_dotted_path_or_a_registered_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="toy", value="toy:Toy", group="touchstone.models")
    monkeypatch.setattr("hardware.registry.brought", lambda group: (point,) if group == "touchstone.models" else ())
    assert trainable_class(toy_recipe(), "pytorch") is Toy
    assert trainable_class(toy_recipe(implementations={"pytorch": "toy"}), "pytorch") is Toy
    with pytest.raises(ConfigurationError, match=r"implementations.pytorch: no model's class is called tov\. Did"):
        trainable_class(toy_recipe(implementations={"pytorch": "tov"}), "pytorch")
    with pytest.raises(ConfigurationError, match=r"toy.Toi cannot be imported: .*has no attribute 'Toi'"):
        trainable_class(toy_recipe(implementations={"pytorch": "toy.Toi"}), "pytorch")


def test_a_package_that_a_model_needs_is_named_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        trainable_class(toy_recipe(implementations={"pytorch": "needy.Model"}), "pytorch")


def test_help_says_what_each_group_decides_and_what_scale_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help", "vendor=cpu"]) == 0
    told = capsys.readouterr().out
    lines = {line.partition(":")[0]: line for line in told.splitlines() if re.match(r"\w+: .*   # ", line)}
    assert lines["compiler"] == f"compiler: {', '.join(sorted(ENGINES.names(outside=False)))}   # what compiles it"
    assert lines["task"].endswith("   # what is done")
    folders = {path.parent.name for path in (Path(cli.__file__).parents[1] / "conf").glob("*/*.yaml")}
    assert set(lines) == folders - {"published", "tuning"}
    assert "${scale:A,B} is A at scale=reference" in told


ZIXIAO = {
    "name": "zixiao",
    "title": "Tencent Zixiao",
    "device": "hardware.vendors.inference.zixiao.Zixiao",
    "compilers": ("zxrt",),
    "tasks": ("infer", "inspect"),
    "install": "Install TopsInference.",
}


def test_emulation_of_a_chip_that_only_its_engine_reaches_is_eager() -> None:
    case = make_case("infer", vendor=ZIXIAO, emulate=True)
    check_engine(case, demands_of(case))
    with pytest.raises(ConfigurationError, match=r"compiler=zxrt does not compile for it\. Add compiler=eager\.$"):
        check_engine(replace(case, compiler=Compiler(name="zxrt")), demands_of(case))


def test_what_an_engine_lacks_is_said_with_what_to_do() -> None:
    case = replace(make_case("infer", vendor=ZIXIAO), compiler=Compiler(name="zxrt"))
    with pytest.raises(DependencyError) as caught:
        check_engine(case, demands_of(case))
    assert str(caught.value) == (
        "compiler=zxrt cannot be used here: the Python package TopsInference is not installed. Install TopsInference. "
        "To try the configuration out on the host CPU, add: emulate=true compiler=eager scale=tiny"
    )
    without = make_case("infer", vendor=ZIXIAO)
    with pytest.raises(ConfigurationError, match=r"vendor=zixiao does not offer compiler=eager\. It offers: zxrt"):
        check_engine(without, demands_of(without))


def test_an_engine_may_name_the_vendors_it_works_on() -> None:
    eager_only = make_case(vendor={"compilers": ("eager",)})
    with pytest.raises(ConfigurationError, match="does not offer compiler=inductor"):
        check(replace(eager_only, compiler=Compiler(name="inductor")))
    check(replace(eager_only, compiler=Compiler(name="inductor", vendors=("cpu",))))
    with pytest.raises(ConfigurationError, match="does not offer compiler=inductor"):
        check(replace(eager_only, compiler=Compiler(name="inductor", vendors=("nvidia",))))


def test_a_refusal_lists_the_engines_that_name_the_vendor_themselves() -> None:
    case = replace(make_case("infer"), compiler=Compiler(name="tensorrt"))
    with pytest.raises(ConfigurationError, match=r"It offers: eager, inductor, .*onnxruntime, openvino,") as caught:
        check_engine(case, demands_of(case))
    assert "tensorrt" not in str(caught.value).partition("It offers")[2]
