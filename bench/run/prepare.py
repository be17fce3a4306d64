"""Before cells run: simulated images are generated in parallel, and what their pictures are compared with is kept."""

from __future__ import annotations

from waldbench.bench.files import save_arrays, write_atomically
from waldbench.bench.protocol import Protocol
from waldbench.bench.results.store import Store
from waldbench.bench.run.evaluation import reference_images
from waldbench.bench.run.plan import Plan
from waldbench.bench.run.settings import Settings
from waldbench.datasets.base import Dataset, DatasetError


def prepare(planned: Plan, settings: Settings, store: Store, workers: int) -> list[str]:
    """Generate simulated images in parallel and keep the reference images and the protocol beside the results.

    Returns:
        Problems, one line each; none of them keeps a cell from running and failing on its own.
    """
    problems = []
    for name, dataset in planned.opened.items():
        jobs = [job for job in planned.jobs if job.dataset == name]
        rules = settings.protocol.on(dataset.track)
        try:
            if jobs:
                _generate(dataset, rules, any(job.trains for job in jobs), workers)
                _keep_reference(dataset, rules, store)
        except (OSError, ValueError, DatasetError) as error:
            problems.append(f"{dataset.label}: {error}")
    return problems


def _generate(dataset: Dataset, rules: Protocol, trains: bool, workers: int) -> None:
    generate = getattr(dataset, "prepare", None)
    counts = {"reduced": rules.reduced_images, "full": rules.full_images}
    counts |= {"train": rules.train_images, "valid": rules.valid_images} if trains else {}
    if generate is None:
        return
    for split, count in counts.items():
        generate(split, count or len(dataset.split(split)), workers)


def _keep_reference(dataset: Dataset, rules: Protocol, store: Store) -> None:
    import yaml

    save_arrays(store.root / rules.id / dataset.label / "reference.npz", reference_images(dataset, rules))
    content = yaml.safe_dump(rules.to_dict(), sort_keys=False)
    write_atomically(store.root / rules.id / "protocol.yaml", content.encode())
