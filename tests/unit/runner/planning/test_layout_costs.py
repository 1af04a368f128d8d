"""Memory, traffic and least time of layouts, of a model of round numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.planning.division import refusal
from runner.planning.layout import JobLayout
from runner.planning.memory import memory, stage_memory
from runner.planning.model_costs import ModelCosts, Part
from runner.planning.network import JobDevices, all_reduced, collected
from runner.planning.search import device_counts, fitting_layouts
from runner.planning.stages import block_counts, fitting_stages, stages_of
from runner.planning.step_time import step_time
from runner.planning.traffic import traffic


def part(weights: float, *, flops: float = 0.0, kept: float = 0.0, share: float = 1.0, given: float = 0.0) -> Part:
    """So many bytes of weights, of which `share` is split by tensor groups; half of the activations is split."""
    return Part(
        parameter_bytes=weights,
        split_share=share,
        gradient_bytes=weights,
        optimizer_state_bytes=2 * weights,
        weight_copy_bytes=weights / 2,
        forward_flops_per_sample=flops,
        skipped_flops_per_sample=flops / 10,
        activation_bytes_per_sample=kept,
        whole_activation_bytes_per_sample=kept / 2,
        kept_bytes_per_sample=kept / 10,
        whole_kept_bytes_per_sample=0.0,
        input_bytes_per_sample=given,
    )


NOTHING = part(0.0)
COSTS = ModelCosts(
    before=part(100.0),
    blocks=((4, part(1000.0, flops=100.0, kept=80.0, given=20.0)),),
    behind=part(200.0, flops=50.0, kept=10.0),
    tied=NOTHING,
    in_line=True,
    tensor_divides=(("heads", 8), ("units", 12)),
    backward_per_forward=2.0,
    temporary_bytes_per_sample=6.0,
    parameter_bytes=4300.0,
    sparse_gradient_bytes=0.0,
    average_bytes=0.0,
    minimum_bytes_per_sample=0.0,
    counted=(1, 1),
)
CLUSTER = JobDevices(
    nodes=4,
    devices_per_node=8,
    peak_flops_per_second=90.0,
    memory_bandwidth=None,
    memory_gib=1.0,
    link=100.0,
    network=10.0,
)


class TestMemory:
    def test_one_device_has_everything(self) -> None:
        parts = memory(COSTS, JobLayout(micro_batch=3))
        assert parts["weights"] == parts["gradients"] == 4300
        assert parts["optimizer"] == 8600
        assert parts["weight_copies"] == 2150
        assert parts["activations"] == 3 * (4 * 80 + 10)
        assert parts["temporary"] == 3 * 6
        assert parts["gradient_buckets"] == 0

    def test_copies_of_the_model_have_buckets(self) -> None:
        assert memory(COSTS, JobLayout(data=2, micro_batch=1))["gradient_buckets"] == 4300

    def test_spread_weights_are_gathered_two_blocks_at_a_time(self) -> None:
        parts = memory(COSTS, JobLayout(fsdp=4, micro_batch=1))
        assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (1075, 1075, 2150)
        assert parts["weight_copies"] == 300 + 150 + 2 * 1000  # the root, autocast's copies of it, two blocks
        assert parts["gradient_buckets"] == 300 + 1000

    def test_a_tensor_group_splits_what_its_plan_splits(self) -> None:
        costs = replace(COSTS, behind=part(200.0, kept=10.0, share=0.5))
        parts = memory(costs, JobLayout(tensor=2, micro_batch=1))
        assert parts["weights"] == 4100 / 2 + 100 / 2 + 100
        assert parts["activations"] == 4 * (40 + 40 / 2) + 5 + 5 / 2
        assert parts["temporary"] == 6
        split = memory(costs, JobLayout(tensor=2, micro_batch=1, sequence_parallel=True))
        assert (split["activations"], split["temporary"]) == ((4 * 80 + 10) / 2, 3)

    def test_the_first_stage_has_most_micro_batches_in_flight_and_the_last_one(self) -> None:
        layout = JobLayout(pipeline=4, micro_batch=2, micro_batches=8)
        kept = [stage_memory(COSTS, layout, stage)["activations"] for stage in stages_of(COSTS, 4)]
        # Stages 1 and 2 are alike and stand for the first of them.
        assert kept == [4 * 2 * 80, 3 * 2 * 80, 1 * 2 * 90]
        few = [stage_memory(COSTS, replace(layout, micro_batches=2), stage) for stage in stages_of(COSTS, 4)]
        assert few[0]["activations"] == 2 * 2 * 80
        assert [one["temporary"] for one in few] == [0, 0, 12]

    def test_the_worst_stage_counts(self) -> None:
        """Many micro-batches in flight on the first, or the head on the last."""
        assert memory(COSTS, JobLayout(pipeline=4, micro_batch=4, micro_batches=8))["weights"] == 1100
        assert memory(COSTS, JobLayout(pipeline=4, micro_batch=1, micro_batches=8))["weights"] == 1200

    def test_a_tied_weight_is_on_both_ends_of_a_pipeline_and_once_without(self) -> None:
        costs = replace(COSTS, tied=part(100.0))
        assert memory(costs, JobLayout(micro_batch=1))["weights"] == 4300
        last = stages_of(costs, 4)[-1]
        assert stage_memory(costs, JobLayout(pipeline=4, micro_batch=1), last)["weights"] == 1300

    def test_recomputation_keeps_inputs_and_one_block(self) -> None:
        full = memory(COSTS, JobLayout(micro_batch=2, recomputation="full"))
        assert full["activations"] == 2 * (4 * 20 + 10)
        assert full["temporary"] == 2 * 80
        selective = memory(COSTS, JobLayout(micro_batch=2, recomputation="selective"))
        assert selective["activations"] == 2 * (4 * (20 + 8) + 10)


class TestStages:
    def test_stages_are_even_or_ends_take_a_blocks_place(self) -> None:
        assert block_counts(126, 16) == [7, *[8] * 14, 7]
        assert block_counts(96, 12) == [8] * 12
        assert block_counts(126, 5) is None
        assert fitting_stages(4) == [2, 3, 4]
        assert sum(block_counts(126, 8) or []) == 126

    def test_every_block_is_on_one_stage(self) -> None:
        stages = stages_of(COSTS, 3)
        assert [(stage.count, stage.block_count) for stage in stages] == [(1, 1), (1, 2), (1, 1)]

    @pytest.mark.parametrize(
        ("layout", "said"),
        [
            (JobLayout(micro_batch=1, tensor=3), "8 heads, 12 units. What would: 1, 2, 4"),
            (JobLayout(micro_batch=1, pipeline=5), "4 blocks"),
            (JobLayout(micro_batch=1, pipeline=5), "What would: 1, 2, 3, 4"),
        ],
    )
    def test_what_does_not_divide_names_what_would(self, layout: JobLayout, said: str) -> None:
        assert said in (refusal(COSTS, layout) or "")
        assert refusal(COSTS, JobLayout(micro_batch=1, tensor=4, pipeline=4)) is None

    def test_a_model_without_a_plan_or_a_line_has_no_group(self) -> None:
        costs = replace(COSTS, tensor_divides=None, in_line=False)
        assert "does not say" in (refusal(costs, JobLayout(micro_batch=1, tensor=2)) or "")
        assert "one after another" in (refusal(costs, JobLayout(micro_batch=1, pipeline=2)) or "")


class TestTraffic:
    def test_rings_send_all_but_a_share(self) -> None:
        assert collected(80.0, 8, 1, CLUSTER).link == 70
        assert all_reduced(80.0, 8, 1, CLUSTER).link == 140
        assert collected(80.0, 8, 1, CLUSTER).network == 0
        assert collected(80.0, 1, 1, CLUSTER).link == 0

    def test_across_nodes_the_devices_of_a_node_share_what_comes_in(self) -> None:
        """32 ranks on 4 nodes: each node needs three quarters from others, over 8 networks."""
        sent = collected(80.0, 32, 1, CLUSTER)
        assert (sent.link, sent.network) == (70, 80 * 3 / 4 / 8)
        alone = collected(80.0, 4, 8, CLUSTER)
        assert (alone.link, alone.network) == (0, 60)

    def test_copies_sum_their_gradients_once_a_step(self) -> None:
        (stage,) = stages_of(COSTS, 1)
        told = traffic(COSTS, JobLayout(data=8, micro_batch=1, micro_batches=5), stage, CLUSTER)
        assert told.by_name() == {
            "all_reduce": 2 * 7 / 8 * 4300,
            "all_gather": 0,
            "reduce_scatter": 0,
            "point_to_point": 0,
        }

    def test_spread_weights_are_gathered_twice_a_pass(self) -> None:
        """Backward gathers neither the root nor the last block again."""
        (stage,) = stages_of(COSTS, 1)
        told = traffic(COSTS, JobLayout(fsdp=8, micro_batch=1, micro_batches=2), stage, CLUSTER)
        assert told.all_gather.link == pytest.approx(7 / 8 * 2 * (300 + 4000 + 3000))
        assert told.reduce_scatter.link == pytest.approx(7 / 8 * 2 * 4300)

    def test_a_tensor_group_sums_twice_forward_and_twice_backward_in_each_block(self) -> None:
        (stage,) = stages_of(COSTS, 1)
        layout = JobLayout(tensor=4, micro_batch=3, micro_batches=2)
        told = traffic(COSTS, layout, stage, CLUSTER)
        assert told.all_reduce.link == pytest.approx(2 * 3 / 4 * (2 * 4) * 4 * 3 * 20)
        along = traffic(COSTS, replace(layout, sequence_parallel=True), stage, CLUSTER)
        assert along.total.link == pytest.approx(told.total.link)
        assert along.all_reduce.link == 0

    def test_a_stage_in_the_middle_sends_forward_and_back(self) -> None:
        layout = JobLayout(pipeline=4, data=8, micro_batch=2, micro_batches=3)
        sent = [traffic(COSTS, layout, stage, CLUSTER).point_to_point.network for stage in stages_of(COSTS, 4)]
        assert sent == [3 * 2 * 20, 2 * 3 * 2 * 20, 3 * 2 * 20]

    def test_of_two_stages_on_a_node_each_has_one_neighbour_on_another(self) -> None:
        """Stages 0 and 1 on node 0, 2 and 3 on node 1: stage 1 sends forward over the network, back over links."""
        layout = JobLayout(pipeline=4, data=4, micro_batch=2, micro_batches=3)
        two_nodes = replace(CLUSTER, nodes=2)
        sent = [traffic(COSTS, layout, stage, two_nodes).point_to_point for stage in stages_of(COSTS, 4)]
        one = 3 * 2 * 20
        assert [(each.link, each.network) for each in sent] == [(one, 0), (one, one), (one, 0)]
        inside = replace(CLUSTER, nodes=1, devices_per_node=16)
        sent = [traffic(COSTS, layout, stage, inside).point_to_point for stage in stages_of(COSTS, 4)]
        assert [(each.link, each.network) for each in sent] == [(one, 0), (2 * one, 0), (one, 0)]


class TestTime:
    def test_products_at_the_peak_without_the_masked_half(self) -> None:
        """450 FLOPs forward, a tenth masked, three times that for both passes."""
        time = step_time(COSTS, JobLayout(micro_batch=2, micro_batches=3), CLUSTER, overlap="full")
        assert time.compute == pytest.approx(6 * 3 * 405 / 90)
        assert time.total == time.compute
        again = step_time(
            COSTS, JobLayout(micro_batch=2, micro_batches=3, recomputation="full"), CLUSTER, overlap="full"
        )
        assert again.compute == pytest.approx(6 * (3 * 405 + 360) / 90)

    def test_even_stages_wait_p_less_one_of_m(self) -> None:
        costs = replace(COSTS, behind=part(200.0))
        time = step_time(costs, JobLayout(pipeline=4, micro_batch=1, micro_batches=8), CLUSTER, overlap="full")
        assert time.compute == pytest.approx(8 * 3 * 90 / 90)
        assert time.bubble == pytest.approx(3 / 8 * (time.compute or 0))

    def test_overlap_is_the_slowest_or_the_sum(self) -> None:
        layout = JobLayout(data=32, micro_batch=1)
        full, none = (step_time(COSTS, layout, CLUSTER, overlap=overlap) for overlap in ("full", "none"))
        assert full.network == pytest.approx(2 * 4300 * 3 / 4 / 8 / 10)
        assert full.link == pytest.approx(2 * 4300 * 7 / 8 / 100)
        assert full.total == max(full.compute or 0, full.link or 0, full.network or 0)
        assert none.total == pytest.approx((full.compute or 0) + (full.link or 0) + (full.network or 0))

    def test_a_rate_that_is_not_known_leaves_no_total_but_a_lower_bound(self) -> None:
        unknown = replace(CLUSTER, network=None)
        time = step_time(COSTS, JobLayout(data=32, micro_batch=1), unknown, overlap="full")
        assert time.network is None and time.total is None
        assert time.known == max(time.compute or 0, time.link or 0)
        inside = step_time(COSTS, JobLayout(data=8, micro_batch=1), replace(unknown, nodes=1), overlap="full")
        assert inside.network == 0 and inside.total is not None


class TestSearch:
    def test_each_way_to_factor_the_devices_comes_once_and_the_best_first(self) -> None:
        found = fitting_layouts(COSTS, CLUSTER, samples=64, overlap="full")
        axes = [(one.layout.pipeline, one.layout.data, one.layout.fsdp, one.layout.tensor) for one in found]
        assert len(axes) == len(set(axes)) > 10
        assert all(one.layout.devices == 32 and one.layout.samples_per_step == 64 for one in found)
        times = [one.time.known or 0 for one in found]
        assert times == sorted(times)

    def test_what_does_not_fit_is_left_out(self) -> None:
        little = replace(CLUSTER, memory_gib=3000 / 2**30)
        found = fitting_layouts(COSTS, little, samples=64, overlap="full")
        assert found and all(one.bytes <= 3000 for one in found)
        assert len(found) < len(fitting_layouts(COSTS, CLUSTER, samples=64, overlap="full"))
        assert fitting_layouts(COSTS, replace(CLUSTER, memory_gib=1e-9), samples=64, overlap="full") == []

    def test_clusters_are_halved_down_to_one_device(self) -> None:
        assert [one.devices for one in device_counts(CLUSTER)] == [32, 16, 8, 4, 2, 1]
