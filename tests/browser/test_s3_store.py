"""A store on S3 in a browser: from the list of prompts to a graph, to a feature, and to another graph at that node."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import numpy as np
import pytest
from s3 import s3_server
from serving import opened, served

from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow


def test_prompts_graph_and_feature_of_a_store_on_s3(small_store: Path, browser: Any) -> None:
    nodes = open_store(str(small_store)).graph("dallas").nodes
    first = int(np.flatnonzero(nodes.kind_N == NodeKind.FEATURE)[0])
    node = f"feature:{nodes.layer_N[first]}:{nodes.position_N[first]}:{nodes.feature_N[first]}"
    with s3_server() as s3, s3.used():
        url = f"{s3.make_bucket('browsed')}/store"
        files, _ = fsspec.core.url_to_fs(url)
        files.put(f"{small_store}/", f"{url}/", recursive=True)
        with served(url, "--read-only", environment=s3.environment) as server, opened(browser, server) as shown:
            shown.wait_for_function("() => document.querySelector('.counts')?.textContent.includes('5 prompts')")
            shown.click("table.prompts tbody th a >> text=dallas")
            shown.wait_for_selector(".surface[data-ready]")
            shown.goto(f"{shown.url}&node={quote(node)}")  # as a click on this node would
            shown.click("text=Other prompts with this feature")
            shown.wait_for_selector("main section")
            shown.wait_for_function("() => !document.querySelector('.waiting')")
            assert "layer=" in shown.url
            others = shown.locator("main a[href^='graph?']")
            assert others.count() > 0
            others.first.click()
            shown.wait_for_selector(".surface[data-ready]")
            assert "node=feature" in shown.url
            assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in shown.content()
