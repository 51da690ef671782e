# What people look at: summary, pictures, links; and the list of what nothing refers to any more.


rule summarise:
    input:
        scores=scores_of(plan.experiments),
        complete=links_of(plan.experiments),
        classifiers=[
            file
            for artifact in classifiers_of(plan.experiments)
            for file in scores_of_classifier(artifact)
        ],
    output:
        table=report(
            f"{FOLDER}/summary.csv",
            caption="../captions/summary.rst",
            category="Summary",
            labels={"what": "table of scores"},
        ),
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
        classifiers=[described_classifier(a) for a in classifiers_of(plan.experiments)],
    script:
        "../workflow_scripts/summarise.py"


rule make_report:
    input:
        index=plan.dataset.path("index.csv"),
        classes=plan.dataset.path("classes.json"),
        images=SHRUNKEN,
        masks=plan.masks.path("masks.csv") if HAS_MASKS else [],
        scores=scores_of(plan.experiments),
        complete=links_of(plan.experiments),
        classifiers=[
            file
            for artifact in classifiers_of(plan.experiments)
            for file in scores_of_classifier(artifact)
        ],
        climbs=[climb.path("climb.h5") for climb in plan.climbs.values()],
    output:
        page=report(
            f"{FOLDER}/report.html",
            caption="../captions/report_page.rst",
            category="Summary",
            labels={"what": "page about the run"},
        ),
    log:
        f"{FOLDER}/logs/make_report.log",
    conda:
        "../envs/wsss.yaml"
    params:
        dataset=plan.config.dataset.name,
        experiments={
            name: described(plan.config, name, stages) for name, stages in plan.experiments.items()
        },
        classifiers=[described_classifier(a) for a in classifiers_of(plan.experiments)],
        stages={
            name: {stage: str(artifact.directory) for stage, artifact in stages.items()}
            for name, stages in plan.experiments.items()
        },
        artifacts=described_artifacts(plan.experiments),
        settings=all_settings(plan.config),
        maps=described_maps(plan.experiments),
        seed_thresholds={
            name: described(plan.config, name, stages)["seed_threshold"]
            for name, stages in plan.experiments.items()
            if "cams" in stages
        },
        shown=plan.config.report.images,
        climbs=described_climbs(),
    script:
        "../workflow_scripts/make_report.py"


rule report_sweep:
    input:
        scores=lambda wildcards: scores_of(point.name for point in SWEEPS[wildcards.sweep]),
        complete=lambda wildcards: links_of(point.name for point in SWEEPS[wildcards.sweep]),
    output:
        table=report(
            f"{FOLDER}/sweeps/{{sweep}}/table.csv",
            caption="../captions/sweep.rst",
            category="Sweeps",
            subcategory="{sweep}",
            labels={"what": "table"},
        ),
        text=f"{FOLDER}/sweeps/{{sweep}}/table.md",
        picture=report(
            f"{FOLDER}/sweeps/{{sweep}}/plot.png",
            caption="../captions/sweep.rst",
            category="Sweeps",
            subcategory="{sweep}",
            labels={"what": "plot"},
        ),
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
        images=SHRUNKEN,
        masks=plan.masks.path("masks.csv") if HAS_MASKS else [],
        complete=links_of(plan.experiments),
    output:
        picture=report(
            f"{FOLDER}/overview.png",
            caption="../captions/overview.rst",
            category="Summary",
            labels={"what": "overview of images and maps"},
        ),
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
