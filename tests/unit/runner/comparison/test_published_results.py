import pytest

from runner.comparison.published import find_published, published_results
from runner.comparison.result import is_published
from runner.core.errors import ConfigurationError


def test_every_published_result_is_found_by_its_address():
    results = published_results(None)
    assert len(results) > 200
    addresses = [str(one.folder) for one in results]
    assert len(set(addresses)) == len(addresses)
    assert all(find_published(address) is one for address, one in zip(addresses, results, strict=True))


def test_a_job_s_figure_is_taken_as_it_is_and_its_share_is_per_device():
    figures = find_published("published:resnet50/A100-SXM4-40GB/tf32/x8").report.figures
    assert (figures["throughput/core"].value, figures["throughput/core"].unit) == (4659.0, "images/s")
    assert figures["throughput/core_per_device"].value == pytest.approx(582.375)


def test_a_figure_per_device_becomes_the_job_s():
    figures = find_published("published:aquila2_7b/A800-SXM4-80GB/bf16/x8/TP1 PP1 DP8, the default").report.figures
    assert figures["throughput/tokens_per_second"].value == pytest.approx(8 * 3936.8)


def test_an_accuracy_that_is_told_once_belongs_to_every_batch_size():
    gaudi = [one.report for one in published_results("resnet50") if one.report.case["chip"] == "Habana Gaudi2"]
    assert [one.case["batch_size"] for one in gaudi] == [4, 8, 16, 32, 64]
    assert {one.figures["accuracy/top1"].value for one in gaudi} == {0.7674}


def test_figures_of_training_and_serving_are_never_one_result():
    for one in published_results(None):
        groups = {name.partition("/")[0] for name in one.report.figures}
        assert not ({"infer", "accuracy", "generation"} & groups and "throughput" in groups)


def test_they_are_marked_and_never_publishable():
    report = find_published("published:resnet50/A100-SXM4-40GB/tf32/x8").report
    assert is_published(report) and report.figures["run/publishable"].value == 0
    assert report.division.name == "open" and report.case["source"] == "FlagPerf training/nvidia/resnet50-pytorch"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("published:resnet5", "Nearest: published:resnet50"),
        (
            "published:resnet50/A100-SXM4-80GB",
            "has 'A100-SXM4-80GB'. Choose one of: 'published:resnet50/A100-SXM4-40GB",
        ),
        ("published:resnet50/A100-SXM4-40GB", "stands for 5 results"),
        ("published:resnet50/A100-SXM4-40GB/tf33", "has 'tf33'"),
    ],
)
def test_what_is_not_there_or_ambiguous_names_the_choices(address, told):
    with pytest.raises(ConfigurationError) as refusal:
        find_published(address)
    assert told in str(refusal.value)
