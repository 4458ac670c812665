"""The tree and its proofs against the vectors of transparency-dev/merkle and against the definition itself.

Leaves, roots, inclusion and consistency proofs are those of `proof/verify_test.go` of
github.com/transparency-dev/merkle at commit 02194e9afb6c1d95b5381350007963aa70fff472 (`leaves`, `roots`,
`inclusionProofs` without the first, which is no path; `consistencyProofs`), the hashes of a leaf and of a
node those of `rfc6962/rfc6962_test.go` there, at commit 78493b07ef9b552e3379abf9e23d4da26fbe797c
(Apache-2.0). The corruptions are those that the same test tries on every proof.
"""

import hashlib
from random import Random

import pytest

from pipeline.journal.merkle import (
    HashGoneError,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
)
from tests.support.leaf_tree import LeafHashes, verify_inclusion

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
NODE_0_0 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
NODE_1_1 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_2_1 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
NODE_0_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_1_3 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_1_2 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_0_6 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
# Leaf (counted from 1, as there), size, proof.
INCLUSION_PROOFS: list[tuple[int, int, list[str]]] = [
    (1, 1, []),
    (1, 8, [NODE_0_0, NODE_1_1, NODE_2_1]),
    (6, 8, [NODE_0_4, NODE_1_3, ROOTS[3]]),
    (3, 3, [ROOTS[1]]),
    (2, 5, [ROOTS[0], NODE_1_1, NODE_0_4]),
]
# Size, larger size, proof.
CONSISTENCY_PROOFS: list[tuple[int, int, list[str]]] = [
    (1, 1, []),
    (1, 8, [NODE_0_0, NODE_1_1, NODE_2_1]),
    (6, 8, [NODE_1_2, NODE_1_3, ROOTS[3]]),
    (2, 5, [NODE_1_1, NODE_0_4]),
    (6, 7, [NODE_1_2, NODE_0_6, ROOTS[3]]),
]
SOME_HASH = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")
EMPTY_ROOT = hashlib.sha256().digest()


def known_nodes() -> LeafHashes:
    return LeafHashes([leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES])


def flipped(proof: list[bytes], position: int, bit: int) -> list[bytes]:
    changed = bytes([proof[position][0] ^ bit]) + proof[position][1:]
    return [*proof[:position], changed, *proof[position + 1 :]]


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


def test_the_known_hashes_of_a_leaf_and_a_node_come_out() -> None:
    assert leaf_hash(b"").hex() == ROOTS[0]
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    node = node_hash(b"N123", b"N456")
    assert node.hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


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


@pytest.mark.parametrize(("leaf", "size", "proof"), INCLUSION_PROOFS)
def test_the_known_inclusion_proofs_come_out_and_verify(leaf: int, size: int, proof: list[str]) -> None:
    nodes, root = known_nodes(), bytes.fromhex(ROOTS[size - 1])
    made = inclusion_proof(nodes, leaf - 1, size)
    assert [one.hex() for one in made] == proof
    assert verify_inclusion(nodes(0, leaf - 1), leaf - 1, size, made, root)


@pytest.mark.parametrize(("size", "larger", "proof"), CONSISTENCY_PROOFS)
def test_the_known_consistency_proofs_come_out_and_verify(size: int, larger: int, proof: list[str]) -> None:
    made = consistency_proof(known_nodes(), size, larger)
    assert [one.hex() for one in made] == proof
    old, new = bytes.fromhex(ROOTS[size - 1]), bytes.fromhex(ROOTS[larger - 1])
    assert verify_consistency(size, larger, old, new, made)


@pytest.mark.parametrize(("leaf", "size", "known"), INCLUSION_PROOFS)
def test_no_corrupted_inclusion_proof_verifies(leaf: int, size: int, known: list[str]) -> None:
    index, digest = leaf - 1, known_nodes()(0, leaf - 1)
    root, proof = bytes.fromhex(ROOTS[size - 1]), [bytes.fromhex(one) for one in known]
    corrupted = [
        (digest, index - 1, size, proof, root), (digest, index + 1, size, proof, root),
        (digest, index ^ 2, size, proof, root), (digest, index, size * 2, proof, root),
        (digest, index, size // 2, proof, root), (b"WrongLeaf", index, size, proof, root),
        (digest, index, size, proof, EMPTY_ROOT), (digest, index, size, proof, SOME_HASH),
        (digest, index, size, [*proof, b""], root), (digest, index, size, [*proof, root], root),
        (digest, index, size, [b"", *proof], root), (digest, index, size, [root, *proof], root),
        *((digest, index, size, flipped(proof, at, 8), root) for at in range(len(proof))),
    ]  # fmt: skip
    if proof:
        corrupted.append((digest, index, size, proof[:-1], root))
    if len(proof) > 1:
        corrupted.append((digest, index, size, [proof[0], SOME_HASH, *proof[1:]], root))
    for arguments in corrupted:
        assert not verify_inclusion(*arguments), arguments


@pytest.mark.parametrize(("size", "larger", "known"), CONSISTENCY_PROOFS[1:])
def test_no_corrupted_consistency_proof_verifies(size: int, larger: int, known: list[str]) -> None:
    old, new = bytes.fromhex(ROOTS[size - 1]), bytes.fromhex(ROOTS[larger - 1])
    proof = [bytes.fromhex(one) for one in known]
    corrupted = [
        (size - 1, larger, old, new, proof), (size + 1, larger, old, new, proof),
        (size ^ 2, larger, old, new, proof), (size, larger * 2, old, new, proof),
        (size, larger // 2, old, new, proof), (size, larger, b"WrongRoot", new, proof),
        (size, larger, old, b"WrongRoot", proof), (size, larger, new, old, proof),
        (size, larger, old, new, []), (size, larger, old, new, [*proof, b""]),
        (size, larger, old, new, [*proof, old]), (size, larger, old, new, [*proof, new]),
        (size, larger, old, new, [b"", *proof]), (size, larger, old, new, [old, *proof]),
        (size, larger, old, new, [new, *proof]), (size, larger, old, new, [proof[0], *proof]),
        (size, larger, old, new, proof[:-1]),
        *((size, larger, old, new, flipped(proof, at, 16)) for at in range(len(proof))),
    ]  # fmt: skip
    for arguments in corrupted:
        assert not verify_consistency(*arguments), arguments


def test_every_proof_of_every_small_tree_verifies_and_fits_nothing_else() -> None:
    digests = [leaf_hash(bytes([number])) for number in range(24)]
    nodes = LeafHashes(digests)
    roots = [root_by_definition([bytes([number]) for number in range(size)]) for size in range(25)]
    for size in range(1, 25):
        for index in range(size):
            proof = inclusion_proof(nodes, index, size)
            fits = [
                (other, at)
                for other, digest in enumerate(digests)
                for at in range(size)
                if verify_inclusion(digest, at, size, proof, roots[size])
            ]
            assert fits == [(index, index)]
        for old in range(size + 1):
            proof = consistency_proof(nodes, old, size)
            fits_old = [m for m in range(25) if verify_consistency(m, size, roots[m], roots[size], proof)]
            assert fits_old == ([0, size] if old in {0, size} else [old])


def test_the_empty_and_the_same_tree_need_no_proof() -> None:
    root = bytes.fromhex(ROOTS[2])
    assert verify_consistency(0, 3, EMPTY_ROOT, root, [])
    assert not verify_consistency(0, 3, root, root, [])
    assert not verify_consistency(0, 3, EMPTY_ROOT, root, [root])
    assert not verify_consistency(3, 3, EMPTY_ROOT, root, [])
    assert not verify_consistency(3, 2, root, root, [])


def test_a_proof_outside_the_tree_is_refused() -> None:
    nodes = known_nodes()
    with pytest.raises(ValueError, match="leaf 8 is not in"):
        inclusion_proof(nodes, 8, 8)
    with pytest.raises(ValueError, match="does not begin"):
        consistency_proof(nodes, 8, 7)
    with pytest.raises(HashGoneError, match="among 8 leaves"):
        inclusion_proof(nodes, 0, 9)
