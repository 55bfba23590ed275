"""VENDORED: the files of other projects that the pages use, with their hashes. All are unchanged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vendored:
    """One file of a package, which lies under `static/vendor`."""

    path: str
    package: str
    version: str
    licence: str
    sha256: str


VENDORED = (
    Vendored(
        "htm-preact-3.1.1/standalone.module.js",
        "htm (with preact)",
        "3.1.1",
        "Apache-2.0 and MIT",
        "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7",
    ),
    Vendored(
        "dagre-3.1.3/dagre.esm.js",
        "@dagrejs/dagre",
        "3.1.3",
        "MIT",
        "b0ddaf4af1417bec9bd89373a3a3987f081727d6cc6d95fc40dbf85a19bdf3b0",
    ),
    Vendored(
        "flatbush-4.7.0/flatbush.js",
        "flatbush (with flatqueue)",
        "4.7.0",
        "ISC",
        "802a97bfbadc80bd0904e8da8b7f66cc5b8136b71ba6385ac8858467b6c7d9b8",
    ),
)
