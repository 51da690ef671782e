# What people look at: summary, pictures, links; and the list of what nothing refers to any more.


def points_of(sweep):
    """What the report of a sweep is told of its points."""
    return [
        {
            "name": point.name,
            "values": dict(point.values),
            # What is published is not of these values.
            "described": {
                **described(point.plan.config, point.experiment, point.stages),
                "published": None,
            },
        }
        for point in SWEEPS[sweep]
    ]


def sweep_tables():
    """The tables of all sweeps."""
    return expand(f"{FOLDER}/sweeps/{{sweep}}/table.md", sweep=SWEEPS)


def described(config, experiment, stages):
    """What a table says of an experiment beside its scores, and where those lie."""
    settings = config.experiments[experiment]
    cams = config.cams.get(settings.cams)
    affinity = config.affinities.get(settings.affinity)
    background = affinity.pseudo_labels.background if affinity else None
    seed_threshold = (
        described_threshold(cams.threshold, stages.get("seed_threshold")) if cams else None
    )
    if background and background.times_seed_threshold:
        threshold = {**seed_threshold, "times": background.times_seed_threshold}
    elif background and background.threshold:
        threshold = described_threshold(background.threshold, stages.get("threshold"))
    else:
        threshold = None
    return {
        "labels": labels_in_words(settings, stages.get("segmenter")),
        "seed_threshold": seed_threshold,
        "walk_threshold": threshold,
        "published": settings.published.model_dump() if settings.published else None,
        "scores": score_files(stages),
    }


def described_threshold(choice, chosen):
    """A threshold and its source: the number itself, or the file of the artifact that chooses it."""
    return {
        "fixed": choice.fixed,
        "file": chosen.path("threshold.json") if chosen else None,
        "source": source_of_threshold(choice),
    }


rule summarise:
    input:
        scores=scores_of(plan.experiments),
        complete=links_of(plan.experiments),
    output:
        table=f"{FOLDER}/summary.csv",
        text=f"{FOLDER}/summary.md",
    log:
        f"{FOLDER}/logs/summarise.log",
    conda:
        "../envs/wsss.yaml"
    params:
        dataset=plan.config.dataset.name,
        experiments={
            name: described(plan.config, name, stages) for name, stages in plan.experiments.items()
        },
    script:
        "../workflow_scripts/summarise.py"


rule report_sweep:
    input:
        scores=lambda wildcards: scores_of(point.name for point in SWEEPS[wildcards.sweep]),
        complete=lambda wildcards: links_of(point.name for point in SWEEPS[wildcards.sweep]),
    output:
        table=f"{FOLDER}/sweeps/{{sweep}}/table.csv",
        text=f"{FOLDER}/sweeps/{{sweep}}/table.md",
        picture=report(f"{FOLDER}/sweeps/{{sweep}}/plot.png", category="Sweeps"),
    log:
        f"{FOLDER}/logs/report_sweep/{{sweep}}.log",
    conda:
        "../envs/wsss.yaml"
    params:
        title=lambda wildcards: f"{plan.config.dataset.name}, sweep {wildcards.sweep}: "
        f"experiment {plan.config.sweeps[wildcards.sweep].experiment}",
        points=lambda wildcards: points_of(wildcards.sweep),
    script:
        "../workflow_scripts/report_sweep.py"


rule draw_overview:
    input:
        index=plan.dataset.path("index.csv"),
        classes=plan.dataset.path("classes.json"),
        masks=plan.masks.path("masks.csv") if HAS_MASKS else [],
        complete=links_of(plan.experiments),
    output:
        picture=report(f"{FOLDER}/overview.png", category="Overview"),
    log:
        f"{FOLDER}/logs/draw_overview.log",
    conda:
        "../envs/wsss.yaml"
    params:
        experiments={
            name: {
                "cams": shard_paths(stages["cams"], "shards", ".h5"),
                "pseudo_labels": (
                    shard_paths(stages["pseudo_labels"], "labels", ".csv")
                    if "pseudo_labels" in stages
                    else []
                ),
            }
            for name, stages in plan.experiments.items()
            if "cams" in stages
        },
    script:
        "../workflow_scripts/draw_overview.py"


rule link_experiment:
    input:
        lambda wildcards: [f for a in STAGES[wildcards.experiment].values() for f in final_files(a)],
    output:
        links=f"{FOLDER}/experiments/{{experiment}}/links.json",
    log:
        f"{FOLDER}/logs/link_experiment/{{experiment}}.log",
    conda:
        "../envs/wsss.yaml"
    params:
        artifacts=lambda wildcards: {
            stage: str(artifact.directory)
            for stage, artifact in STAGES[wildcards.experiment].items()
        },
    script:
        "../workflow_scripts/link_experiment.py"


rule prune:
    log:
        f"{FOLDER}/logs/prune.log",
    conda:
        "../envs/wsss.yaml"
    params:
        folder=FOLDER,
        artifacts=[str(artifact.directory) for artifact in plan.artifacts()],
        experiments=list(STAGES),
        sweeps=list(SWEEPS),
        delete=RUNTIME.prune == "delete",
    script:
        "../workflow_scripts/prune.py"
