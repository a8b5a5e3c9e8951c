"""Deal subjects out to the parts of a cohort, by patient."""

from collections.abc import Mapping, Sequence

import numpy as np

from riskmap.data.cohort import PARTS

SOURCE_PARTS, TARGET_PARTS = PARTS[:2], PARTS[2:]


def split_by_site(
    sites: Mapping[str, str], split: Sequence[int], seed: int, source_sites: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Deal the subjects out to ``PARTS``: those of ``source_sites`` to the source's, all others to the target's.

    Args:
        sites: subject to site.
        split: relative sizes of ``PARTS``; they count within the source and within the target.
        seed: seed of the split.
        source_sites: sites of the source; empty: all subjects are dealt out to all parts, whatever their site.

    Raises:
        ValueError: if no subject comes from one of ``source_sites``, or too few are left for the source or the target.

    >>> sites = {"a": "1", "b": "2", "c": "1", "d": "2", "e": "3"}
    >>> parts = split_by_site(sites, (1, 1, 1, 1, 1), seed=0, source_sites=["1"])
    >>> sorted(parts["source_train"] + parts["source_val"])
    ['a', 'c']
    """
    if not source_sites:
        return split_subjects(list(sites), split, seed)
    allowed = ", ".join(map(repr, sorted(set(sites.values()))))
    if isinstance(source_sites, str) or not set(source_sites) <= set(sites.values()):
        raise ValueError(
            f"source_sites must be a list of sites that sound subjects have ({allowed}), got {source_sites!r}"
        )
    source = [subject for subject, site in sites.items() if site in source_sites]
    target = [subject for subject, site in sites.items() if site not in source_sites]
    if not target:
        raise ValueError(
            f"source_sites must leave at least one site to the target, got {source_sites!r}; sound subjects have the "
            f"sites {allowed}"
        )
    border = len(SOURCE_PARTS)
    return {
        **split_subjects(source, split[:border], seed, SOURCE_PARTS),
        **split_subjects(target, split[border:], seed, TARGET_PARTS),
    }


def split_subjects(
    subjects: Sequence[str], split: Sequence[int], seed: int, parts: Sequence[str] = PARTS
) -> dict[str, list[str]]:
    """Deal the subjects out to the parts at random, in proportion to ``split``, at least one to each.

    Few-shot experiments draw their patients from target_train by a seed of their own, not in its order.

    Raises:
        ValueError: if there are fewer subjects than parts.
    """
    if len(subjects) < len(parts):
        raise ValueError(
            f"{len(subjects)} sound subjects are too few: the {len(parts)} parts need one each ({', '.join(parts)})"
        )
    ideal = np.asarray(split) / sum(split) * len(subjects)
    sizes = np.maximum(np.floor(ideal).astype(int), 1)
    while sizes.sum() != len(subjects):
        # largest remainder first; where the minimum of one took too many, the most overdrawn part gives back
        lacking = ideal - sizes
        if sizes.sum() < len(subjects):
            sizes[np.argmax(lacking)] += 1
        else:
            sizes[np.argmin(np.where(sizes > 1, lacking, np.inf))] -= 1
    order = np.random.default_rng(seed).permutation(len(subjects))
    ends = np.cumsum(sizes)
    return {
        part: [subjects[index] for index in order[end - size : end]]
        for part, size, end in zip(parts, sizes, ends, strict=True)
    }
