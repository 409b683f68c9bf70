"""Chat completions, OpenAI's first dialect and everybody's second."""

from woollama.surfaces.openai_chat.decode import decode
from woollama.surfaces.openai_chat.encode import FINISH_REASONS, StreamEncoder, encode_answer, encode_error_frame
from woollama.surfaces.openai_errors import encode_error
from woollama.surfaces.stream_shape import CHAT as SHAPE

__all__ = [
    "FINISH_REASONS",
    "SHAPE",
    "StreamEncoder",
    "decode",
    "encode_answer",
    "encode_error",
    "encode_error_frame",
]
