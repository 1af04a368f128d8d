"""Where what goes into a compiled program lies, and what comes out: the same, so that buffers can be reused."""

from __future__ import annotations

from typing import Any

import jax
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as Spec

from runner.frameworks.xla.layout import BATCH, DATA, RankLayout, SpreadLayout
from runner.frameworks.xla.network import Tree
from runner.frameworks.xla.step import State, StepFunctions


def optimizer_shardings(layout: RankLayout, rule: optax.GradientTransformation, params: Tree) -> Any:
    """Of the optimizer's state: what it keeps of a parameter lies where the parameter does."""

    def of(path: tuple[Any, ...], shape: Any) -> Any:
        name = getattr(path[-1], "key", None) if path else None
        own = name in params and params[name].shape == shape.shape
        return layout.sharding(name if own else None)

    return jax.tree_util.tree_map_with_path(of, jax.eval_shape(rule.init, params))


def compiled_functions(functions: StepFunctions, layout: RankLayout, state: State) -> tuple[Any, Any, Any]:
    """`accumulate`, `finish` and `judge`, to be compiled; the first gives up gradients, the second the state."""
    if not isinstance(layout, SpreadLayout):
        return (
            jax.jit(functions.accumulate, donate_argnums=(2,)),
            jax.jit(functions.finish, donate_argnums=(1,)),
            jax.jit(functions.judge),
        )
    places = jax.tree.map(lambda one: one.sharding, state)
    share, alike = NamedSharding(layout.mesh, Spec(BATCH)), layout.sharding()
    gradients = {name: NamedSharding(layout.mesh, Spec(DATA, *layout.specs[name])) for name in state["params"]}
    return (
        jax.jit(functions.accumulate, donate_argnums=(2,), out_shardings=(share, places["rest"], gradients)),
        jax.jit(
            functions.finish,
            donate_argnums=(1,),
            out_shardings=(share, places, alike if "scale" in state else None),
        ),
        jax.jit(functions.judge, out_shardings=share),
    )
