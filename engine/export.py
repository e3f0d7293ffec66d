"""Write a model as an ONNX file.

    python -m engine.export ID|FILE --out m.onnx [--weights FILE] [--decode]

The file takes any batch size. It is run with onnxruntime after it was written, and compared with the network.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import ModelError
from engine.utils.command_line import OK, Parser, run
from engine.utils.files import open_regular
from engine.utils.outputs import add_overwrite_option, check_outputs

# Of sums in float32 in another order; outputs are of the order of 1.
TOLERANCE = 1e-3
# The key of the description in a serialised ONNX file (StringStringEntryProto, field 1),
# see engine.inference.onnx_export.
METADATA_ENTRY = b"\x0a\x07poseapp"
MAX_METADATA_BYTES = 1 << 20


def export_model(
    model: str, out: Path, weights: str | None = None, *, decode: bool = False, overwrite: bool = False
) -> dict[str, float]:
    """Write a pose model as an ONNX file, and run it beside the network.

    Args:
        model: id or checkpoint file.
        out: ends in .onnx; an existing file that this program did not write is only replaced with ``overwrite``.
        weights: other weights for the same architecture.
        decode: keypoints and scores as outputs, instead of what the network gives.

    Returns:
        The largest difference of each output, by its name.

    Raises:
        ModelError: a detector, missing packages, a file that cannot be written, or one that gives other numbers.
        FileError: ``out`` is one of the inputs, or a file that would be lost.
    """
    if out.suffix.lower() != ".onnx":
        raise ModelError("the name of the file must end in .onnx", where=out)
    inputs = [("ID|FILE", model), ("--weights", weights)]
    check_outputs({"--out": out}, inputs, overwrite=overwrite, is_own=_is_own_file)

    from engine.inference.onnx_export import compare, write_onnx
    from engine.models.checkpoint import load_network

    network, info = load_network(model, weights)
    if info.task != "pose":
        raise ModelError(
            "is a detector; only pose models can be written as ONNX, detectors run with torch alone", where=model
        )
    names = write_onnx(network, info, out, decode=decode)
    differences = compare(out, network, info, decode=decode)
    if max(value for name, value in differences.items() if name != "keypoints") > TOLERANCE:
        raise ModelError(f"gives other numbers than the network: {_text(differences)}", where=out)
    return {name: differences[name] for name in names}


def main(argv: Sequence[str]) -> int:
    parser = Parser(prog="python -m engine.export", description="Write a pose model as an ONNX file.")
    parser.add_argument("model", metavar="ID|FILE")
    parser.add_argument("--out", required=True, metavar="FILE.onnx", help="the file to write")
    parser.add_argument("--weights", metavar="FILE", help="other weights for the same architecture")
    add_overwrite_option(parser)
    parser.add_argument(
        "--decode", action="store_true", help="give keypoints and scores, not the outputs of the network"
    )
    options = parser.parse_args(argv)
    out = Path(options.out)
    differences = export_model(options.model, out, options.weights, decode=options.decode, overwrite=options.overwrite)
    sys.stdout.write(f"{out}: {out.stat().st_size / 1e6:.1f} MB, outputs {', '.join(differences)}\n")
    sys.stdout.write(f"largest difference from the network, run with onnxruntime: {_text(differences)}\n")
    return OK


def _text(differences: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1e}" for name, value in differences.items())


def _is_own_file(path: Path) -> bool:
    """Whether an ONNX file was written by this command: its description is the last thing in the file."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, path.stat().st_size - MAX_METADATA_BYTES))
            return METADATA_ENTRY in file.read(MAX_METADATA_BYTES)
    except OSError:
        return False


if __name__ == "__main__":
    raise SystemExit(run(main))
