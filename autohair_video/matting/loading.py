"""Loading the networks of a pipeline on first use."""

from __future__ import annotations

import logging
import time

from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.options import PipelineOptions

_log = logging.getLogger(__name__)


def load_pipeline(options: PipelineOptions) -> MattingPipeline:
    """The pipeline that ``options`` describe. See `MattingPipeline` for errors."""
    began_s = time.perf_counter()
    pipeline = MattingPipeline(
        tier=options.tier,
        device=options.device,
        options=options.matting,
        segmenter=options.segmenter,
        matting_net=options.matting_net,
    )
    _log.info("tier %s on %s loaded in %.1f s", options.tier, pipeline.device, time.perf_counter() - began_s)
    return pipeline


class LazyPipeline:
    """A pipeline that is loaded on first use, once for all jobs.

    ``error``: the exception of a failed load.
    """

    def __init__(self, source: PipelineOptions | MattingPipeline) -> None:
        self._source = source
        self.error: Exception | None = None

    @classmethod
    def of(cls, source: PipelineOptions | MattingPipeline | LazyPipeline) -> LazyPipeline:
        """``source`` itself if it is one."""
        return source if isinstance(source, LazyPipeline) else cls(source)

    def load(self) -> MattingPipeline:
        """The pipeline. See `MattingPipeline` for errors."""
        if isinstance(self._source, PipelineOptions):
            try:
                self._source = load_pipeline(self._source)
            except Exception as exc:
                self.error = exc
                raise
        return self._source
