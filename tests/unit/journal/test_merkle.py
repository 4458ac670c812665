"""The tree against known roots of RFC 6962 implementations and against the definition itself.

Leaves and roots were written down from memory; an independent recursive definition gives the same roots.
"""

import hashlib
from random import Random

import pytest

from pipeline.journal.merkle import Tree, leaf_hash, node_hash

# Leaves and roots as Certificate Transparency's reference code and transparency-dev/merkle test them.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(root_by_definition(leaves[:split]), root_by_definition(leaves[split:]))


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    assert Tree().root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_known_roots_come_out() -> None:
    tree = Tree()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.append(bytes.fromhex(leaf))
        assert tree.root().hex() == root


def test_every_size_agrees_with_the_recursive_definition() -> None:
    random = Random(6962)
    leaves = [random.randbytes(random.randint(0, 40)) for _ in range(130)]
    tree = Tree()
    for size in range(len(leaves) + 1):
        assert tree.root() == root_by_definition(leaves[:size])
        if size < len(leaves):
            tree.append(leaves[size])


def test_a_tree_goes_on_from_its_frontier() -> None:
    whole, leaves = Tree(), [bytes([n]) for n in range(77)]
    for number, leaf in enumerate(leaves):
        half = Tree(whole.size, whole.frontier)
        for later in leaves[number:]:
            half.append(later)
        assert half.root() == root_by_definition(leaves)
        copied = whole.copy()
        whole.append(leaf)
        assert copied.size == number


def test_a_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="frontier"):
        Tree(3, [bytes(32)])
