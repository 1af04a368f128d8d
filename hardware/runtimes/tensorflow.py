"""Devices through TensorFlow: CUDA and ROCm GPUs, and the host's processor."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hardware.base import MemoryPeaks, PrecisionUnsupportedError
from hardware.precision.float32 import require_mode
from hardware.runtimes.cluster import agreed_addresses
from hardware.runtimes.runtime import RuntimeDevice

AHEAD = 32
"""Results that are waited for at one time; a submitting host is rarely more steps ahead of its device."""


class TensorflowDevice(RuntimeDevice):
    """One device per rank; a function returns on the host's processor when it is done, on others when it is submitted.

    Of several ranks `strategy` is what their gradients meet through.
    """

    runtime = "tensorflow"
    packages = ("tensorflow", "keras")
    host_kind = "CPU"

    strategy: Any = None
    """`tf.distribute.MultiWorkerMirroredStrategy` over the ranks; None of one."""
    threads = 1
    """Of the host that one operation can use."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waits = ThreadPoolExecutor(AHEAD, thread_name_prefix="result") if self.asynchronous else None

    def connect(self) -> None:
        """Import TensorFlow, and Keras over it, whatever `keras.json` or the environment say."""
        os.environ["KERAS_BACKEND"] = "tensorflow"
        if find_spec("triton") is not None:
            # Both bring LLVM. TensorFlow after Triton works; Triton after TensorFlow, as torch imports it when it
            # needs it, ends the process: "Option registered more than once".
            import_module("triton._C.libtriton")
        super().connect()

    def start(self) -> None:
        """Compute on this rank's device alone, on as many of the host's threads as torch has."""
        import tensorflow as tf
        import torch

        self.threads = torch.get_num_threads()
        tf.config.threading.set_intra_op_parallelism_threads(self.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1 if self.on_host else 0)
        for kind in {"GPU", self.kind} - {"CPU"}:
            own = [] if self.on_host else tf.config.list_physical_devices(kind)[self.local_rank() :][:1]
            tf.config.set_visible_devices(own, kind)
            for device in own:
                tf.config.experimental.set_memory_growth(device, True)
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if world > 1:
            resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
                tf.train.ClusterSpec({"worker": agreed_addresses("tensorflow", rank, world)}),
                task_type="worker",
                task_id=rank,
                num_accelerators={self.kind: 0 if self.on_host else 1},
                rpc_layer="grpc",
            )
            ends = signal.getsignal(signal.SIGTERM)
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
            signal.signal(signal.SIGTERM, ends)  # the strategy's own only notes that the machine is taken away

    def visible(self) -> int:
        """Devices of the node, this process' own or not."""
        import tensorflow as tf

        return len(tf.config.list_physical_devices(self.kind))

    def own(self) -> str:
        """The device that this rank computes on, as `tf.device` takes it; the only one that it sees."""
        return f"/device:{self.kind}:0"

    # --- waiting ----------------------------------------------------------------------------------------------

    def submitted(self, result: Any) -> None:
        """Name the latest result, and begin at once to copy it to the host, beside this thread.

        The copy waits for what the device was given until then. Were it asked for later, when its turn comes, it would
        wait for the next steps as well.
        """
        if self.watch is not None and self._waits is not None:
            self.watch.submitted(self._waits.submit(result.numpy))

    def wait(self, result: Future[Any]) -> None:
        """Block until the copy is there."""
        result.result()

    def settle(self) -> None:
        """Wait for this rank's device, work of which no result is known included."""
        import tensorflow as tf

        # `tf.test.experimental.sync_devices` does this for every device of the cluster, and fails at other ranks'.
        with tf.device(self.own()):
            tf.raw_ops.SyncDevice()

    # --- settings ---------------------------------------------------------------------------------------------

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products as `mode`.

        Raises:
            PrecisionUnsupportedError: TF32, which only NVIDIA's GPUs have.
        """
        import tensorflow as tf

        require_mode(mode)
        if mode == "tf32" and (self.on_host or "tf32" not in self.spec.precisions):
            raise PrecisionUnsupportedError(f"{self.spec.title}: {self.reached_through} has no TF32")
        tf.config.experimental.enable_tensor_float_32_execution(mode == "tf32")

    def seed(self, seed: int) -> None:
        """TensorFlow's generator, too."""
        import tensorflow as tf

        super().seed(seed)
        tf.random.set_seed(seed)

    # --- what it tells ----------------------------------------------------------------------------------------

    def memory_peaks(self) -> MemoryPeaks:
        """The peak of TensorFlow's allocator since the last reset."""
        import tensorflow as tf

        if self.on_host:
            return super().memory_peaks()
        try:
            peak = int(tf.config.experimental.get_memory_info(f"{self.kind}:0")["peak"])
        except (ValueError, RuntimeError) as error:
            reason = f"TensorFlow tells no peak of {self.kind}: {error}"
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=reason)
        note = "TensorFlow's allocator keeps no peak of what it reserves"
        return MemoryPeaks(allocated_bytes=peak, reserved_bytes=None, reason=note)

    def reset_memory_peaks(self) -> None:
        """Begin anew from what is allocated now."""
        import tensorflow as tf

        if not self.on_host:
            tf.config.experimental.reset_memory_stats(f"{self.kind}:0")

    def device_name(self, index: int) -> str:
        """The chip as TensorFlow names it."""
        import tensorflow as tf

        found = tf.config.list_physical_devices(self.kind)
        details = tf.config.experimental.get_device_details(found[index])
        return str(details.get("device_name", self.kind))

    def versions(self) -> dict[str, str]:
        """TensorFlow's own, whatever its package is called, and how many threads of the host an operation can use.

        Of CUDA and cuDNN it tells those it was built for; of cuDNN that may be the first number alone.
        """
        import tensorflow as tf

        told = {"tensorflow": str(tf.__version__), "threads of an operation": str(self.threads)}
        build = {} if self.on_host else tf.sysconfig.get_build_info()
        libraries = {name: str(build[f"{name}_version"]) for name in ("cuda", "cudnn") if build.get(f"{name}_version")}
        return super().versions() | libraries | told
