"""`stc_ddk.stc_aic`: one piece for the chip, and one for the host where the test wants one."""

import json
import os
import sys
from pathlib import Path

import onnx
from narrowed_graph import narrowed

given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
Path(os.environ["STC_CALLS"]).write_text(json.dumps(given))
if os.environ.get("STC_FAILS"):
    sys.exit("E: operator NonZero: no rule to cut the graph")
folder = Path(given["--outdir"])
folder.mkdir()
network = narrowed(Path(given["--model"]).read_bytes(), "float16")
(folder / "graph.stcobj").write_bytes(network)
nodes = [{"name": "graph", "source": "graph.stcobj"}]
if os.environ.get("STC_LEAVES"):
    piece = onnx.load_model_from_string(network)
    del piece.graph.node[:-1]
    onnx.save(piece, folder / "rest.onnx")
    nodes.append({"name": "rest", "source": "rest.onnx"})
if os.environ.get("STC_LOSES"):
    nodes.append({"name": "lost", "source": "lost.stcobj"})
(folder / "model.json").write_text(json.dumps({"nodes": nodes, "stcop_rate": 100}))
